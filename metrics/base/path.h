// A path, put together from parts, and where ssltop's own files lie. It fits in any case: one that
// is longer than the kernel takes stays too long, so that whoever uses it is told ENAMETOOLONG, and
// nobody has to ask before.
//
//     FILE *f = fopen(path_of("%s/config.ini", folder).s, "re");
#ifndef SSLTOP_METRICS_BASE_PATH_H
#define SSLTOP_METRICS_BASE_PATH_H

#include <limits.h>

#include "metrics/base/error.h"

struct path {
    char s[PATH_MAX + 1];
};

struct path path_of(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// Whether there is a regular file of this name.
int path_is_file(const char *path);

// The folder that a path lies in, with a slash at its end; "./" where it names none.
struct path path_folder(const char *path);

// Where the folder that is open as `fd` is now, if not at this path. 0: there; 1: it was moved, and
// *path says where to; -1: it can't be found (errno); PATH_REMOVED.
enum { PATH_REMOVED = -2 };
int path_follow(int fd, struct path *path);

// A path that begins with ~ or ~NAME as the shell would have made it, where the shell did not see
// it; any other, and that of somebody who is not there, as it is.
struct path path_home(const char *path);

// --- what comes with the program ---
// This program's own file; "" where the system does not say.
struct path path_program(void);

// A library of ours: beside the program, or where `make install` puts it, which is said from the
// program, since an installation may be moved; "": neither.
struct path path_library(const char *name);

// The folders to look for files of a kind ("recipes") in, in this order: only the one that the
// environment variable names, if it is set; else data/KIND beside the program and
// ../share/ssltop/KIND of its installation. Their number.
enum { PATH_INSTALLED = 2 };
int path_installed(const char *variable, const char *kind, struct path folder[PATH_INSTALLED]);

// --- what it keeps of a user ---
// Where a file of this name is kept, as the XDG base directories say, absolute paths only: one that
// the user may lose, and one that they set. "": there is no place (neither the variable nor $HOME
// is set).
struct path path_cache(const char *name);
struct path path_config(const char *name);

// Make the folder of such a path, and the one around it, where they are missing.
int path_make_folder(const char *path, struct error *e);

#endif
