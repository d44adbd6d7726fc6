// From crops to a region of the file, and from the decoded region back to crops: what all formats
// have in common. Coordinates are edges, not pixels: a box from 0 to 1 is one pixel, and a shrunk
// one half a pixel.
#include "data/photos/decode.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/photos/decode_region.h"
#include "metrics/base/file.h"
#include "metrics/base/memory.h"

enum { SPARE = 4 };

static const struct {
    int shrink; // at most
    int (*decode)(const struct decode_head *h, const uint8_t *data, size_t n,
                  const struct region *r, struct decoded *out, struct error *e);
} format[] = {[DECODE_JPEG] = {8, decode_jpeg},
              [DECODE_PNG] = {256, decode_png},
              [DECODE_WEBP] = {1, decode_webp}};

struct decoder {
    uint8_t *file;
    size_t room;
    struct decoded decoded, turned;
};

int decoder_new(struct decoder **out, struct error *e)
{
    *out = calloc(1, sizeof **out);
    return *out ? 0 : error_set(e, "out of memory");
}

void decoder_free(struct decoder *d)
{
    if (!d)
        return;
    free(d->file);
    free(d->decoded.pixel);
    free(d->turned.pixel);
    free(d);
}

int decode_blame(int code)
{
    return code == ENOMEM || code == EMFILE || code == ENFILE || code == EINTR || code == EAGAIN ||
                   code == ENOBUFS
               ? DECODE_UNABLE
               : -1;
}

int decoder_read(struct decoder *d, int fd, const uint8_t **data, size_t *n, struct error *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        int blame = decode_blame(errno);
        error_system(e, "cannot be looked at");
        return blame;
    }
    if (!S_ISREG(st.st_mode))
        return error_set(e, "is not a file");
    if (st.st_size > DECODE_FILE_MAX)
        return error_set(e, "has %" PRId64 " bytes, more than the %" PRId64 " that are read",
                         (int64_t)st.st_size, DECODE_FILE_MAX);
    size_t size = (size_t)st.st_size;
    if (memory_room(d->file, d->room, size) < 0)
        return decode_unable(error_memory(e, "a file of %zu bytes", size));
    *data = d->file;
    *n = file_read_at(fd, d->file, size, 0);
    if (*n == size || !errno) // it may have become shorter: whoever decodes it will see
        return 0;
    int blame = decode_blame(errno);
    error_system(e, "cannot be read at byte %zu", *n);
    return blame;
}

int decoded_room(struct decoded *d, int height, int width, struct error *e)
{
    size_t need = (size_t)height * (size_t)width * 3;
    if (memory_room(d->pixel, d->room, need) < 0)
        return decode_unable(error_memory(e, "%dx%d pixels", width, height));
    d->height = height;
    d->width = width;
    return 0;
}

// --- orientation (EXIF 2.32, tag 0x0112) ---

static int mirrors_x(int o) // an upright edge counts from the stored picture's right
{
    return o == 2 || o == 3 || o == 7 || o == 8;
}

static int mirrors_y(int o)
{
    return o == 3 || o == 4 || o == 6 || o == 7;
}

// From the upright picture to the stored one, of `height` x `width`.
static struct box to_stored(int o, double height, double width, struct box b)
{
    if (o >= 5)
        b = (struct box){b.left, b.top, b.width, b.height};
    if (mirrors_x(o))
        b.left = width - b.left - b.width;
    if (mirrors_y(o))
        b.top = height - b.top - b.height;
    return b;
}

static struct box to_upright(int o, double height, double width, struct box b)
{
    if (mirrors_x(o))
        b.left = width - b.left - b.width;
    if (mirrors_y(o))
        b.top = height - b.top - b.height;
    return o >= 5 ? (struct box){b.left, b.top, b.width, b.height} : b;
}

static int turn(const struct decoded *d, int o, struct decoded *out, struct error *e)
{
    int h = o >= 5 ? d->width : d->height, w = o >= 5 ? d->height : d->width;
    int rc = decoded_room(out, h, w, e);
    if (rc < 0)
        return rc;
    uint8_t *to = out->pixel;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++, to += 3) {
            int sx = o >= 5 ? y : x, sy = o >= 5 ? x : y;
            sx = mirrors_x(o) ? d->width - 1 - sx : sx;
            sy = mirrors_y(o) ? d->height - 1 - sy : sy;
            memcpy(to, d->pixel + ((size_t)sy * (size_t)d->width + (size_t)sx) * 3, 3);
        }
    return 0;
}

// --- regions ---

// The largest shrink, up to `most`, at which every crop still has SPARE times as many pixels on a
// side as its result: squares of pixels averaged are not quite what the triangle would have made
// of them.
static int shrink_of(const struct box *crop, int crops, int out_h, int out_w, int most)
{
    int shrink = most;
    for (int i = 0; i < crops; i++)
        while (shrink > 1 && (crop[i].height < (double)SPARE * shrink * out_h ||
                              crop[i].width < (double)SPARE * shrink * out_w))
            shrink /= 2;
    return shrink;
}

// The pixels that any of the boxes touches.
static void join(const struct decode_head *h, const struct box *b, int n, struct region *r)
{
    double top = h->height, left = h->width, bottom = 0, right = 0;
    for (int i = 0; i < n; i++) {
        top = fmin(top, b[i].top);
        left = fmin(left, b[i].left);
        bottom = fmax(bottom, b[i].top + b[i].height);
        right = fmax(right, b[i].left + b[i].width);
    }
    r->top = (int)fmin(h->height - 1, fmax(0, floor(top)));
    r->left = (int)fmin(h->width - 1, fmax(0, floor(left)));
    r->height = (int)fmax(1, fmin(h->height, ceil(bottom - 1e-9)) - r->top);
    r->width = (int)fmax(1, fmin(h->width, ceil(right - 1e-9)) - r->left);
}

// A box of the stored image in what was decoded of it, with its edges inside.
static struct box localise(const struct decoded *d, const struct box *b)
{
    double s = 1.0 / d->shrink;
    double top = fmax(0, b->top * s - d->top * s), left = fmax(0, b->left * s - d->left * s);
    double bottom = fmin(d->height, (b->top + b->height) * s - d->top * s);
    double right = fmin(d->width, (b->left + b->width) * s - d->left * s);
    return (struct box){top, left, bottom - top, right - left};
}

int decoder_run(struct decoder *d, const struct decode_head *h, const uint8_t *data, size_t n,
                const struct box *crop, int crops, int out_h, int out_w, struct picture *picture,
                struct box *box, struct error *e)
{
    enum { CROPS = 4 };
    struct box stored[CROPS];
    struct region r = {0};
    int o = h->orientation;
    if (crops < 1 || crops > CROPS)
        return error_set(e, "%d crops of an image, expected 1 to %d", crops, CROPS);
    for (int i = 0; i < crops; i++)
        stored[i] = to_stored(o, h->height, h->width, crop[i]);
    join(h, stored, crops, &r);
    r.shrink = shrink_of(crop, crops, out_h, out_w, format[h->kind].shrink);
    int rc = format[h->kind].decode(h, data, n, &r, &d->decoded, e);
    if (rc == 0 && o != 1)
        rc = turn(&d->decoded, o, &d->turned, e);
    if (rc < 0)
        return rc;
    const struct decoded *from = o != 1 ? &d->turned : &d->decoded;
    for (int i = 0; i < crops; i++) {
        box[i] = localise(&d->decoded, &stored[i]);
        box[i] = to_upright(o, d->decoded.height, d->decoded.width, box[i]);
    }
    *picture = (struct picture){.pixel = from->pixel,
                                .channels = 3,
                                .height = from->height,
                                .width = from->width,
                                .row = (size_t)from->width * 3,
                                .plane = 1,
                                .step = 3};
    return 0;
}
