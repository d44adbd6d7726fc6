// Images that do not lie in memory: each is read, and of it only what is asked for, when a view of
// it is made. A kind of source is a table of functions; what all share is here: sizes, names,
// labels, and what happens to an image that turns out to be broken.
#ifndef SSLTOP_DATA_PHOTOS_PICTURES_H
#define SSLTOP_DATA_PHOTOS_PICTURES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "data/augment.h"
#include "data/resize.h"
#include "metrics/base/error.h"

enum {
    PICTURES_BROKEN_SHARE = 100, // more than one in so many broken: an error
    PICTURES_BROKEN_KEPT = 1000, // names that are remembered
    PICTURES_CROPS = 2           // of an image at a time
};

// Instead of -1: it is not the image that is broken. This machine is short of memory or files, or
// a file that holds all images cannot be read.
enum { PICTURES_FAILED = -2 };

struct pictures;
struct pictures_reader; // one a thread; begins with the source that it reads

struct pictures_ops {
    int (*reader_new)(struct pictures *s, struct pictures_reader **out, struct error *e);
    // See pictures_read. -1: this image is broken, and why; less: PICTURES_FAILED.
    int (*read)(struct pictures_reader *r, int64_t i, const struct box *crop, int crops, int out_h,
                int out_w, struct picture *picture, struct box *box, struct error *e);
    void (*reader_free)(struct pictures_reader *r);
    // The name of an image for a person, into text[size].
    void (*name)(const struct pictures *s, int64_t i, char *text, size_t size);
    void (*free)(struct pictures *s);
};

struct pictures_size {
    int32_t height, width;
};

// Kinds begin with this. Everything but the ledger stays as it was opened.
struct pictures {
    const struct pictures_ops *ops;
    int64_t n;
    const struct pictures_size *size; // n, of upright images in colour
    const int32_t *labels;            // n, or NULL
    uint32_t crc;                     // of names, sizes and labels
    char *notice;                     // a sentence about what was passed over, malloc'd; or NULL
    // The ledger of broken images. Those that were found when the source was opened are not among
    // its n.
    pthread_mutex_t lock;
    int64_t dropped;
    unsigned char *broken; // n flags
    _Atomic int64_t n_broken;
    char **sentence; // "NAME: why" of the first PICTURES_BROKEN_KEPT
};

// For kinds: give the ledger its memory, note one that was left out at opening, free all of it.
int pictures_init(struct pictures *s, struct error *e);
void pictures_drop(struct pictures *s, const char *name, const char *why);
void pictures_release(struct pictures *s);

// -1 with a list when more than one in PICTURES_BROKEN_SHARE images is broken.
int pictures_check(const struct pictures *s, struct error *e);

int pictures_reader_new(struct pictures *s, struct pictures_reader **out, struct error *e);
void pictures_reader_free(struct pictures_reader *r); // NULL is fine
void pictures_free(struct pictures *s);               // NULL is fine

// What is needed to make results of out_h x out_w from these crops of image i: a picture, 3
// channels, that stays until the reader's next call, and the crops' boxes in it (the picture may be
// a part of the image, and smaller). An image that cannot be read is noted in the ledger, and
// another takes its place, of the same class where there is one and always the same one; its crops
// are the same shares. -1: too many are broken, or something else than an image has failed.
int pictures_read(struct pictures_reader *r, int64_t i, const struct box *crop, int crops,
                  int out_h, int out_w, struct picture *picture, struct box *box, struct error *e);

// Image i itself or -1: then it is broken, is noted, and `why` says so. PICTURES_FAILED: nothing
// is noted, and `why` says whose image could not be read.
int pictures_try(struct pictures_reader *r, int64_t i, const struct box *crop, int crops, int out_h,
                 int out_w, struct picture *picture, struct box *box, struct error *why);

// Broken images so far, and the sentence about the k-th of them; NULL beyond what is remembered.
int64_t pictures_broken(const struct pictures *s);
const char *pictures_sentence(struct pictures *s, int64_t k);

// The crop that an image is looked at with when it is not augmented: the middle of it, 7/8 of its
// shorter side (resized to 256, 224 of it cropped), of the shape out_h x out_w.
void pictures_centre(const struct pictures *s, int64_t i, int out_h, int out_w, struct box *out);

// That as the numbers of a view, in whole pixels.
void pictures_plain(const struct pictures *s, int64_t i, int out_h, int out_w,
                    struct augment_view *out);

// Mean and deviation of pixels in [0, 1], 3 of each, from the centres of up to 512 images. Threads
// as of parallel_run; the result does not depend on them.
int pictures_measure(struct pictures *s, int threads, int out_h, int out_w, float *mean, float *std,
                     struct error *e);

#endif
