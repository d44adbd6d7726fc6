// A file in the making: PATH.part, which one process at a time works on and which becomes PATH when
// it is whole. What a process leaves is there for the next.
#ifndef SSLTOP_DATA_PHOTOS_PART_H
#define SSLTOP_DATA_PHOTOS_PART_H

#include "metrics/base/error.h"

// Opens, creates and locks the file in the making; closing it ends the lock. *name: PATH.part, to
// be freed. The descriptor, or -1: PATH is there and is no file, or another process works on it.
int part_open(const char *path, char **name, struct error *e);

// Lock an open file that was found under this name. 1: it is ours. 0: another process has renamed
// or replaced it meanwhile, open it again. -1: another process works on it.
int part_claim(int fd, const char *name, struct error *e);

// The whole file, on disk and under its name.
int part_finish(int fd, const char *name, const char *path, struct error *e);

#endif
