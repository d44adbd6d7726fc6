// A region of a PNG by libspng, row by row: shrunk on the way in by averaging squares of pixels, so
// that a large image needs no more memory than a view of it.
#include "data/photos/decode_region.h"

#include <inttypes.h>
#include <spng.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define INTERLACED_MAX ((int64_t)1 << 24) // pixels: an interlaced file must be held as a whole
enum { CHUNK_MAX = 16 << 20, CHUNKS_MAX = 64 << 20 };

// What libspng could not do, as a sentence.
static int refuse(int code, struct error *e)
{
    if (code == SPNG_EMEM)
        return decode_unable(error_set(e, "out of memory"));
    return error_set(e, "is damaged: %s", spng_strerror(code));
}

// Rows on their way into averages.
struct sums {
    uint32_t *sum; // width * 3 of the squares' row that is being made
    int rows;      // added to it
};

// Add the region's part of a row of the image.
static void add(struct sums *s, const uint8_t *row, const struct region *r, int left)
{
    const uint8_t *p = row + (size_t)left * 3;
    int n = r->left + r->width - left;
    for (int x = 0; x < n; x++)
        for (int c = 0; c < 3; c++)
            s->sum[x / r->shrink * 3 + c] += *p++;
    s->rows++;
}

static void average(struct sums *s, const struct region *r, int left, int width, uint8_t *to)
{
    int n = r->left + r->width - left;
    for (int x = 0; x < width; x++) {
        int columns = n - x * r->shrink < r->shrink ? n - x * r->shrink : r->shrink;
        uint32_t count = (uint32_t)(columns * s->rows);
        for (int c = 0; c < 3; c++)
            to[x * 3 + c] = (uint8_t)((s->sum[x * 3 + c] + count / 2) / count);
    }
    memset(s->sum, 0, (size_t)width * 3 * sizeof *s->sum);
    s->rows = 0;
}

// One row of the image after the other: of a whole image, or as they come out of the file.
static int next_row(spng_ctx *png, const uint8_t *whole, int y, uint8_t *row, size_t bytes)
{
    if (whole) {
        memcpy(row, whole + (size_t)y * bytes, bytes);
        return 0;
    }
    int rc = spng_decode_row(png, row, bytes);
    return rc == SPNG_EOI ? 0 : rc;
}

static int read_rows(spng_ctx *png, const uint8_t *whole, int image_height, int image_width,
                     const struct region *r, struct decoded *out, struct error *e)
{
    int top = r->top / r->shrink * r->shrink, left = r->left / r->shrink * r->shrink;
    int height = (r->top + r->height - top + r->shrink - 1) / r->shrink;
    int width = (r->left + r->width - left + r->shrink - 1) / r->shrink;
    size_t bytes = (size_t)image_width * 3;
    uint8_t *row = malloc(bytes);
    struct sums s = {calloc((size_t)width * 3, sizeof *s.sum), 0};
    int rc = row && s.sum ? decoded_room(out, height, width, e)
                          : decode_unable(error_memory(e, "a row"));
    out->top = top;
    out->left = left;
    out->shrink = r->shrink;
    uint8_t *to = out->pixel;
    int bottom = r->top + r->height;
    for (int y = 0; rc == 0 && y < image_height; y++) { // to the end, for it may be cut off there
        int code = next_row(png, whole, y, row, bytes);
        if (code != 0)
            rc = refuse(code, e);
        if (code != 0 || y < top || y >= bottom)
            continue;
        if (r->shrink == 1) {
            memcpy(to, row + (size_t)left * 3, (size_t)width * 3);
            to += (size_t)width * 3;
            continue;
        }
        add(&s, row, r, left);
        if (s.rows == r->shrink || y == bottom - 1) {
            average(&s, r, left, width, to);
            to += (size_t)width * 3;
        }
    }
    free(row);
    free(s.sum);
    return rc;
}

static uint32_t big32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

// Every chunk whole and its checksum right, up to the end: libspng looks no further than the last
// row, and a file should not be broken for some crops only. (The stream's own checksum is met when
// it stands in the chunk of the last row; with all pixels there, a part of it may be missing: so
// does PIL.)
static int check_chunks(const uint8_t *data, size_t n, struct error *e)
{
    size_t at = 8;
    for (int end = 0; !end;) {
        if (n < at + 12 || big32(data + at) > n - at - 12)
            return error_set(e, "is damaged: cut off at byte %zu", n);
        size_t size = big32(data + at);
        if ((uint32_t)crc32_z(0, data + at + 4, size + 4) != big32(data + at + 8 + size))
            return error_set(e, "is damaged: wrong checksum at byte %zu", at + 8 + size);
        end = memcmp(data + at + 4, "IEND", 4) == 0;
        at += size + 12;
    }
    return 0;
}

// An interlaced image comes as seven small ones.
static int read_whole(spng_ctx *png, const struct decode_head *h, uint8_t **whole, struct error *e)
{
    if ((int64_t)h->width * h->height > INTERLACED_MAX)
        return error_set(
            e, "is interlaced and has more than the %" PRId64 " pixels that are read then",
            INTERLACED_MAX);
    size_t bytes = (size_t)h->width * (size_t)h->height * 3;
    *whole = malloc(bytes);
    if (!*whole)
        return decode_unable(error_memory(e, "%zu bytes", bytes));
    int code = spng_decode_image(png, *whole, bytes, SPNG_FMT_RGB8, 0);
    return code == 0 ? 0 : refuse(code, e);
}

int decode_png(const struct decode_head *h, const uint8_t *data, size_t n, const struct region *r,
               struct decoded *out, struct error *e)
{
    struct spng_ihdr head;
    uint8_t *whole = NULL;
    if (check_chunks(data, n, e) < 0)
        return -1;
    spng_ctx *png = spng_ctx_new(0);
    if (!png)
        return decode_unable(error_set(e, "out of memory"));
    spng_set_chunk_limits(png, CHUNK_MAX, CHUNKS_MAX);
    int rc = 0, code = spng_set_png_buffer(png, data, n);
    if (code == 0)
        code = spng_get_ihdr(png, &head);
    if (code != 0)
        rc = refuse(code, e);
    else if ((int)head.width != h->width || (int)head.height != h->height)
        rc = error_set(e, "has changed: %ux%u pixels, it had %dx%d", head.width, head.height,
                       h->width, h->height);
    else if (head.interlace_method)
        rc = read_whole(png, h, &whole, e);
    else if ((code = spng_decode_image(png, NULL, 0, SPNG_FMT_RGB8, SPNG_DECODE_PROGRESSIVE)) != 0)
        rc = refuse(code, e);
    if (rc == 0)
        rc = read_rows(png, whole, h->height, h->width, r, out, e);
    free(whole);
    spng_ctx_free(png);
    return rc;
}
