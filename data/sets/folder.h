// The files of a folder per class, in an order that does not depend on the file system.
#ifndef SSLTOP_DATA_SETS_FOLDER_H
#define SSLTOP_DATA_SETS_FOLDER_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"

struct folder_file {
    size_t path;   // of its path below the root, in `text`
    int32_t label; // -1 without classes
};

enum { FOLDER_DEPTH = 32 }; // folders below NAME, classes among them; deeper is passed over

struct folder {
    char *text; // paths, each with its NUL
    size_t used, room;
    struct folder_file *file;
    int64_t n, cap;
    char **class_name; // sorted
    int classes;
    // What was passed over.
    int64_t deep;      // folders
    int64_t beside;    // images beside the folders of classes
    int64_t other;     // files for the end of their names
    char ending[3][8]; // of the first kinds of them; "" for none
    int empty;         // classes without an image
    int first_empty;   // of class_name
};

// JPEG, PNG and WebP files (by the end of their names) below NAME, a folder in the open folder
// `root`; the folders in NAME are the classes, whatever is deeper belongs to one of them. `known`:
// NULL, or a folder whose classes are meant; one that it does not have is refused. Without any
// folder in it NAME has no classes.
//
// `labels`: NULL, or the name of a file that has the labels: then folders in NAME are no classes.
//
// Names that begin with a dot, and what systems keep beside files (__MACOSX, lost+found, ...), are
// passed over. Links are followed, but not to `root`, to NAME, to
// the class or to what any of them lies in; and a folder that a class reaches in several ways
// counts once in it, by the first of them. What two classes reach counts in both. So a walk ends,
// with memory for the folders of one class. -1: nothing there, or not readable.
int folder_read(int root, const char *name, const struct folder *known, const char *labels,
                struct folder *out, struct error *e);
// What was passed over, for a person, into text[size]: "" where nothing was.
void folder_notice(const struct folder *f, const char *name, char *text, size_t size);
// Whether a name counts at all.
int folder_shows(const char *name);
void folder_free(struct folder *f); // takes a zeroed struct too

static inline const char *folder_path(const struct folder *f, int64_t i)
{
    return f->text + f->file[i].path;
}

#endif
