// An image is its red, green and blue plane, column by column; a label is a byte from 1 to 10 in a
// file of its own.
#include "data/sets/stl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "data/sets/fixed_file.h"
#include "metrics/base/path.h"

enum { SIDE = 96, PLANE = SIDE * SIDE, IMAGE = 3 * PLANE, CLASSES = 10, UNLABELLED = -1 };

static void transpose(uint8_t *image)
{
    for (int c = 0; c < 3; c++, image += PLANE)
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < y; x++) {
                uint8_t t = image[y * SIDE + x];
                image[y * SIDE + x] = image[x * SIDE + y];
                image[x * SIDE + y] = t;
            }
}

// Append the images of DIR/NAME to the split; where they have no labels, label -1.
static int take_images(const char *dir, const char *name, struct dataset_split *s, struct error *e)
{
    struct fixed_file b;
    if (fixed_file_open(&b, dir, name, IMAGE, e) < 0)
        return -1;
    uint8_t *images = realloc(s->images, (size_t)(s->n + b.n) * IMAGE);
    s->images = images ? images : s->images;
    int32_t *labels = images ? realloc(s->labels, (size_t)(s->n + b.n) * sizeof *labels) : NULL;
    s->labels = labels ? labels : s->labels;
    int rc = labels ? 0 : error_memory(e, "the %" PRId64 " images of %s", b.n, b.path);
    for (; rc == 0 && b.at < b.n; s->n++) {
        uint8_t *image = s->images + (size_t)s->n * IMAGE;
        rc = fixed_file_read(&b, image, 1, e);
        if (rc < 0)
            break;
        transpose(image);
        s->labels[s->n] = UNLABELLED;
    }
    fixed_file_close(&b);
    return rc;
}

// The labels of the images from `first` on: as many as there are.
static int take_labels(const char *dir, const char *name, int64_t first, struct dataset_split *s,
                       struct error *e)
{
    struct fixed_file b;
    if (fixed_file_open(&b, dir, name, 1, e) < 0)
        return -1;
    int rc = 0;
    if (b.n != s->n - first)
        rc = error_set(
            e, "%s holds %" PRId64 " labels, expected %" PRId64 ", as many as there are images",
            b.path, b.n, s->n - first);
    for (int64_t i = 0; rc == 0 && i < b.n; i++) {
        uint8_t label = 0;
        rc = fixed_file_read(&b, &label, 1, e);
        if (rc == 0 && (label < 1 || label > CLASSES))
            rc = error_set(e, "%s has label %d at byte %" PRId64 ", expected 1 to %d", b.path,
                           label, i, CLASSES);
        s->labels[first + i] = label - 1;
    }
    fixed_file_close(&b);
    return rc;
}

static int load(const char *dir, struct dataset *out, struct error *e)
{
    struct dataset_split *train = &out->split[SPLIT_TRAIN], *test = &out->split[SPLIT_TEST];
    if (take_images(dir, "unlabeled_X.bin", train, e) < 0)
        return -1;
    out->trained = train->n;
    if (take_images(dir, "train_X.bin", train, e) < 0 ||
        take_labels(dir, "train_y.bin", out->trained, train, e) < 0 ||
        take_images(dir, "test_X.bin", test, e) < 0 ||
        take_labels(dir, "test_y.bin", 0, test, e) < 0)
        return -1;
    out->channels = 3;
    out->height = out->width = SIDE;
    out->classes = CLASSES;
    return 0;
}

int stl10_open(const char *dir, uint64_t seed, struct dataset *out, struct error *e)
{
    struct path inside = path_of("%s/stl10_binary", dir);
    struct stat st;
    return load(stat(inside.s, &st) == 0 && S_ISDIR(st.st_mode) ? inside.s : dir, out, e);
}
