// Files for readers that want a path.
#ifndef SSLTOP_TESTS_FUZZ_FOREIGN_H
#define SSLTOP_TESTS_FUZZ_FOREIGN_H

#include <stddef.h>

#include "tests/fuzz/targets.h"

// Files in memory: a descriptor at the start of an empty one, and the path of it; the path of one
// that holds these bytes.
enum { FOREIGN_FILES = 4 };
int foreign_fd(int place);
const char *foreign_path(int place);
const char *foreign_file(int place, const void *data, size_t n);

// A folder of this process, made at the first call in $FUZZ_TMP or /tmp, and a file in it.
const char *foreign_folder(void);
void foreign_put(const char *name, const void *data, size_t n);
void foreign_clear(void); // empty it
void foreign_close(void); // and remove it

// A log of these lines of text in file `place`: a frame every `every` lines, closed or as a kill
// left it. Its path.
const char *foreign_log(int place, struct input text, int every, int closed);

#endif
