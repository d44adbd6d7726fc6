// Photographs: the head of a file, and its pixels in crops that the input chooses.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "data/photos/decode.h"
#include "tests/fuzz/foreign.h"

enum { CROP_BYTES = 10, PIXELS = 1 << 20 };

// Crops of an upright image, four bytes each: where they begin and how large they are.
static int choose_crops(struct input *in, const struct decode_head *h, struct box crop[4])
{
    int height, width, n = 1 + input_byte(in) % 4;
    decode_upright(h, &height, &width);
    fuzz_require(height > 0 && width > 0);
    for (int i = 0; i < 4; i++) {
        double y = (double)input_byte(in) / 256, x = (double)input_byte(in) / 256;
        if (i < n)
            crop[i] = (struct box){y * height, x * width, (1 - y) * height * (i % 2 ? 0.5 : 1),
                                   (1 - x) * width * (i > 1 ? 0.1 : 1)};
    }
    return n;
}

static void decode(struct input how, const void *file, size_t n)
{
    struct decode_head h;
    struct decoder *d;
    struct error e = {""};
    struct box crop[4], box[4];
    struct picture p;
    const uint8_t *data;
    size_t all;
    unsigned sum = 0;
    int out = 1 + input_byte(&how);
    int fd = foreign_fd(0);
    fuzz_require(write(fd, file, n) == (ssize_t)n && lseek(fd, 0, SEEK_SET) == 0);
    if (decode_head(fd, &h, &e) < 0) {
        fuzz_require(*e.text);
        return;
    }
    fuzz_require(h.orientation >= 1 && h.orientation <= 8);
    int crops = choose_crops(&how, &h, crop);
    if ((int64_t)h.height * h.width > PIXELS) // slow, and the same
        return;
    fuzz_require(decoder_new(&d, NULL) == 0);
    fuzz_require(decoder_read(d, fd, &data, &all, NULL) == 0 && all == n);
    int rc = decoder_run(d, &h, data, all, crop, crops, out, out, &p, box, &e);
    fuzz_require(rc == 0 || *e.text);
    for (int y = 0; rc == 0 && y < p.height; y++) // every pixel that is promised is there
        for (size_t x = 0; x < 3 * (size_t)p.width; x++)
            sum += p.pixel[(size_t)y * p.row + x];
    for (int i = 0; rc == 0 && i < crops; i++)
        fuzz_require(box[i].top > -1e-6 && box[i].left > -1e-6 &&
                     box[i].top + box[i].height < p.height + 1e-6 &&
                     box[i].left + box[i].width < p.width + 1e-6);
    static volatile unsigned sink;
    sink = sum;
    (void)sink;
    decoder_free(d);
}

int fuzz_jpeg(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct input how = input_take(&in, CROP_BYTES);
    decode(how, in.p, in.n);
    return 0;
}

// --- PNG: a byte says whether the file is the input's, has its checksums put right, or is made of
// an IHDR, and pixels that are compressed here ---

static unsigned char png[1 << 16];

static size_t put_chunk(size_t at, const char *name, const void *data, size_t n)
{
    unsigned char head[8] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16),
                             (unsigned char)(n >> 8), (unsigned char)n};
    if (at + n + 12 > sizeof png)
        return at;
    memcpy(head + 4, name, 4);
    memcpy(png + at, head, 8);
    if (n)
        memcpy(png + at + 8, data, n);
    uint32_t crc = (uint32_t)crc32_z(0, png + at + 4, n + 4);
    for (int i = 0; i < 4; i++)
        png[at + 8 + n + (size_t)i] = (unsigned char)(crc >> (24 - 8 * i));
    return at + n + 12;
}

static size_t put_right(struct input file)
{
    memcpy(png, file.p, file.n);
    for (size_t at = 8; at + 12 <= file.n;) {
        size_t n = (size_t)png[at] << 24 | (size_t)png[at + 1] << 16 | (size_t)png[at + 2] << 8 |
                   png[at + 3];
        if (n > file.n - at - 12)
            break;
        uint32_t crc = (uint32_t)crc32_z(0, png + at + 4, n + 4);
        for (int i = 0; i < 4; i++)
            png[at + 8 + n + (size_t)i] = (unsigned char)(crc >> (24 - 8 * i));
        at += n + 12;
    }
    return file.n;
}

static size_t build(struct input in)
{
    static const unsigned char magic[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    static const unsigned char depth[] = {1, 2, 4, 8, 16}, colour[] = {0, 2, 3, 4, 6};
    unsigned char rows[1 << 14], head[13] = {0}, palette[48];
    uLongf n = sizeof rows;
    head[3] = input_byte(&in);
    head[7] = input_byte(&in);
    head[8] = depth[input_byte(&in) % 5];
    head[9] = colour[input_byte(&in) % 5];
    head[12] = input_byte(&in) & 1;
    struct input pal = input_take(&in, input_byte(&in) % 48);
    memcpy(palette, pal.p, pal.n);
    memcpy(png, magic, sizeof magic);
    size_t at = put_chunk(sizeof magic, "IHDR", head, sizeof head);
    if (pal.n)
        at = put_chunk(at, "PLTE", palette, pal.n);
    if (compress2(rows, &n, in.p, in.n, 1) == Z_OK) {
        at = put_chunk(at, "IDAT", rows, n / 2); // in two parts
        at = put_chunk(at, "IDAT", rows + n / 2, n - n / 2);
    }
    return put_chunk(at, "IEND", NULL, 0);
}

int fuzz_png(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct input how = input_take(&in, CROP_BYTES);
    unsigned kind = input_byte(&in) % 3;
    if (kind == 0)
        decode(how, in.p, in.n);
    else
        decode(how, png, kind == 1 ? put_right(in) : build(in));
    return 0;
}
