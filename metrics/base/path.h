// A path, put together from parts. It fits in any case: one that is longer than the kernel takes
// stays too long, so that whoever uses it is told ENAMETOOLONG, and nobody has to ask before.
//
//     FILE *f = fopen(path_of("%s/config.ini", folder).s, "re");
#ifndef SSLTOP_METRICS_BASE_PATH_H
#define SSLTOP_METRICS_BASE_PATH_H

#include <limits.h>

struct path {
    char s[PATH_MAX + 1];
};

struct path path_of(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// The folder that a path lies in, with a slash at its end; "./" where it names none.
struct path path_folder(const char *path);

// A library of ours: beside the program, or where `make install` puts it, which is said from the
// program, since an installation may be moved; "": neither.
struct path path_library(const char *name);

// This program's own file; "" where the system does not say.
struct path path_program(void);

#endif
