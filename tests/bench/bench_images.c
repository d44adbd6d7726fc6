// Images a second that one core decodes and augments, two views of each at 224, for
// tests/bench/bench_images.sh. Prints one line of key=value.
//
//   bench_images SET IMAGES           SET: images:DIR or pack:FILE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/augment.h"
#include "data/sets/dataset_table.h"
#include "gpu/views/pixels.h"
#include "metrics/base/clock.h"
#include "tests/kit/measure.h"

enum { SIDE = 224, WARM_UP = 10, IMAGE = 3 * SIDE * SIDE };

// Both views of an image, as the pool's threads make them.
static int one(const struct dataset *d, struct pictures_reader *r, struct pixel_scratch *s,
               int64_t step, int64_t i, float *out, struct error *e)
{
    const struct pictures *source = d->split[SPLIT_TRAIN].source;
    const struct pictures_size *size = &source->size[i];
    struct augment_view view[2];
    struct box crop[2], box[2];
    struct picture picture;
    for (int v = 0; v < 2; v++) {
        augment_draw(augment_find("simsiam"), 1, step, i, v, 3, size->height, size->width, SIDE,
                     &view[v]);
        crop[v] = (struct box){view[v].top, view[v].left, view[v].height, view[v].width};
    }
    if (pictures_read(r, i, crop, 2, SIDE, SIDE, &picture, box, e) < 0)
        return -1;
    for (int v = 0; v < 2; v++)
        if (pixel_view_of(s, &picture, &box[v], &view[v], d->mean, d->std, 0,
                          out + (size_t)v * IMAGE, e) < 0)
            return -1;
    return 0;
}

static int run(const char *spec, int images, struct error *e)
{
    struct dataset d;
    struct pictures_reader *r = NULL;
    struct pixel_scratch *s = NULL;
    struct pixel_shape shape = {3, SIDE, SIDE, SIDE, SIDE};
    float *out = malloc(2 * IMAGE * sizeof *out);
    double begun = 0;
    if (!out)
        return error_set(e, "out of memory");
    if (dataset_open_sized(spec, 1, SIDE, 0, &d, e) < 0) {
        free(out);
        return -1;
    }
    struct pictures *source = d.split[SPLIT_TRAIN].source;
    int rc =
        source ? pictures_reader_new(source, &r, e) : error_set(e, "%s is held in memory", spec);
    if (rc == 0)
        rc = pixel_scratch_new(&shape, &s, e);
    for (int i = -WARM_UP; i < images && rc == 0; i++) {
        if (i == 0)
            begun = clock_seconds();
        rc = one(&d, r, s, i + WARM_UP, (i + WARM_UP) % source->n, out, e);
    }
    if (rc == 0)
        printf("who=%.*s images_s=%.2f\n", (int)strcspn(spec, ":"), spec,
               images / (clock_seconds() - begun));
    pictures_reader_free(r);
    pixel_scratch_free(s);
    dataset_close(&d);
    free(out);
    return rc;
}

int main(int argc, char **argv)
{
    struct error e = {""};
    int images = argc == 3 ? atoi(argv[2]) : 0;
    if (images < 1) {
        fprintf(stderr, "usage: bench_images SET IMAGES\n");
        return 2;
    }
    if (run(argv[1], images, &e) == 0)
        return 0;
    fprintf(stderr, "bench_images: %s\n", e.text);
    return 1;
}
