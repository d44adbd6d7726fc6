// Folders of images for tests: made, opened as data sets, read as batches, packed. All of it fails
// the test when it cannot, but where an error comes back.
#ifndef SSLTOP_TESTS_KIT_IMAGESET_H
#define SSLTOP_TESTS_KIT_IMAGESET_H

#include <sys/types.h>

#include "data/sets/dataset.h"
#include "data/sets/pack.h"
#include "data/photos/pictures.h"

enum { IMAGESET_CLASSES = 3, IMAGESET_VIEW = 32, IMAGESET_BATCH = 12 };
extern const char *const imageset_class[IMAGESET_CLASSES];

void imageset_folder(const char *path);
// dir/SPLIT/CLASS/NNN.jpg, `each` in every class.
void imageset_split(const char *dir, const char *split, int each, int seed);
// A folder under /tmp with `each` of a class to train on and 4 to test (scratch_remove ends it).
void imageset_make(char dir[64], int each);
void imageset_cut(const char *path, off_t size);

// `kind`:path as a data set: "images" or "pack".
int imageset_open(const char *kind, const char *path, struct dataset *d, struct error *e);
// That is refused with a sentence that has both words.
void imageset_refused(const char *kind, const char *path, const char *a, const char *b);

// Both views of a batch, on so many threads: 2 x IMAGESET_BATCH x 3 x IMAGESET_VIEW x IMAGESET_VIEW
// floats, malloc'd; NULL with the reason.
float *imageset_load(struct pictures *s, int threads, int64_t at, struct error *e);

// Pack a folder; see pack_write.
int imageset_pack(const char *dir, const char *path, int size, int threads,
                  struct pack_progress *made, struct error *e);

// What `ssltop WORDS` says on both its streams; its exit code.
int imageset_command(char *said, size_t size, const char *words);

#endif
