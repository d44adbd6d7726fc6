// Decode the whole of an image and make it small.
#include "data/sets/pack_image.h"

#include <math.h>
#include <stdlib.h>
#include <zlib.h>

#include "data/resize.h"

static void to_bytes(const float *from, size_t pixels, uint8_t *to)
{
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < 3; c++)
            to[3 * i + c] = (uint8_t)fminf(255.0f, fmaxf(0.0f, from[c * pixels + i] + 0.5f));
}

static int shrink(const struct picture *picture, const struct box *box, int height, int width,
                  uint8_t *to, struct error *e)
{
    struct resizer *r = NULL;
    size_t pixels = (size_t)height * (size_t)width;
    float *planes = malloc(3 * pixels * sizeof *planes);
    int rc = planes ? resizer_new(3, height, width, &r, e) : error_set(e, "out of memory");
    if (rc == 0)
        rc = resizer_run(r, picture, box, 1.0f, planes, e);
    if (rc == 0)
        to_bytes(planes, pixels, to);
    resizer_free(r);
    free(planes);
    return rc;
}

int pack_image_make(struct pictures_reader *reader, const struct pictures *s, int64_t i, int size,
                    struct pack_image *out, struct error *e)
{
    struct picture picture;
    struct box whole = {0, 0, s->size[i].height, s->size[i].width}, box;
    struct error why = {""};
    double by = fmin(1.0, size / fmin(whole.height, whole.width));
    int height = (int)fmax(1, rint(whole.height * by)),
        width = (int)fmax(1, rint(whole.width * by));
    *out = (struct pack_image){{PACK_RECORD, 0, 0, s->labels ? s->labels[i] : -1, 0}, NULL};
    int rc = pictures_try(reader, i, &whole, 1, height, width, &picture, &box, &why);
    if (rc < 0)
        return rc == PICTURES_FAILED ? error_set(e, "%s", why.text) : 0;
    size_t bytes = 3 * (size_t)height * (size_t)width;
    uint8_t *pixel = malloc(bytes);
    if (!pixel)
        return error_set(e, "out of memory for an image of %zu bytes", bytes);
    if (shrink(&picture, &box, height, width, pixel, e) < 0) {
        free(pixel);
        return -1;
    }
    out->pixel = pixel;
    out->record.height = height;
    out->record.width = width;
    out->record.crc = (uint32_t)crc32_z(0, pixel, bytes);
    return 0;
}
