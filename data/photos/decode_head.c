// The heads of JPEG (ITU-T T.81, B.2), PNG and WebP files (RFC 9649), without a decoder: a set of a
// million images is opened by looking at each for an instant.
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "data/photos/decode_head.h"
#include "metrics/base/file.h"
#include "metrics/base/other_file.h"

enum { SEGMENTS_MAX = 2000, CHUNKS_MAX = 1 << 16, ORIENTATION = 0x0112, ENTRIES_MAX = 200 };

// 0 when all n bytes at `at` are there.
static int bytes_at(int fd, int64_t at, uint8_t *to, size_t n)
{
    return file_read_at(fd, to, n, (uint64_t)at) == n ? 0 : -1;
}

static unsigned big16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static uint32_t big32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int check_size(const struct decode_head *h, struct error *e)
{
    if (h->height < 1 || h->width < 1)
        return error_set(e, "has no pixels");
    if ((int64_t)h->height * h->width > DECODE_PIXELS_MAX)
        return error_set(e, "has %dx%d pixels, more than the %" PRId64 " that are read", h->width,
                         h->height, DECODE_PIXELS_MAX);
    return 0;
}

// --- EXIF ---

static uint32_t tiff_number(const uint8_t *p, int size, int big)
{
    uint32_t v = 0;
    for (int i = 0; i < size; i++)
        v |= (uint32_t)p[i] << 8 * (big ? size - 1 - i : i);
    return v;
}

// The orientation that the entry of a directory tells, 0 where it is no number.
static int entry_orientation(const uint8_t entry[12], int big)
{
    // TIFF says SHORT; there are those that write any of the integers.
    static const int size_of[] = {[1] = 1, [3] = 2, [4] = 4, [6] = 1, [8] = 2, [9] = 4, [13] = 4};
    uint32_t type = tiff_number(entry + 2, 2, big);
    int size = type < sizeof size_of / sizeof *size_of ? size_of[type] : 0;
    uint32_t v = size ? tiff_number(entry + 8, size, big) : 0;
    return v >= 1 && v <= 8 ? (int)v : 0;
}

// The orientation that the n bytes at `at` tell, a TIFF whose directory may lie anywhere in them;
// 0.
static int exif_orientation(int fd, int64_t at, int64_t n)
{
    uint8_t head[8], entry[12 * ENTRIES_MAX];
    if (n >= 6 && bytes_at(fd, at, head, 6) == 0 && memcmp(head, "Exif\0\0", 6) == 0) {
        at += 6;
        n -= 6;
    }
    if (n < 8 || bytes_at(fd, at, head, sizeof head) < 0)
        return 0;
    int big = head[0] == 'M';
    if (memcmp(head, big ? "MM" : "II", 2) != 0 || tiff_number(head + 2, 2, big) != 42)
        return 0;
    int64_t first = (int64_t)tiff_number(head + 4, 4, big) + 2;
    if (first > n || bytes_at(fd, at + first - 2, entry, 2) < 0)
        return 0;
    int64_t entries = (int64_t)tiff_number(entry, 2, big), there = (n - first) / 12;
    entries = entries < there ? entries : there;
    entries = entries < ENTRIES_MAX ? entries : ENTRIES_MAX;
    if (bytes_at(fd, at + first, entry, 12 * (size_t)entries) < 0)
        return 0;
    for (const uint8_t *p = entry; p < entry + 12 * entries; p += 12)
        if (tiff_number(p, 2, big) == ORIENTATION)
            return entry_orientation(p, big);
    return 0;
}

// --- JPEG ---

// Start of frame: a frame header and not a table (DHT, JPG, DAC lie among their numbers).
static int is_frame(int marker)
{
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

// What libjpeg-turbo reads: Huffman or arithmetic, sequential or progressive.
static int is_read(int marker)
{
    return marker <= 0xc2 || marker == 0xc9 || marker == 0xca;
}

static int take_frame(int fd, int64_t at, int marker, struct decode_head *h, struct error *e)
{
    uint8_t b[6];
    if (bytes_at(fd, at, b, sizeof b) < 0)
        return error_set(e, "is cut off in its head");
    if (!is_read(marker) || b[0] != 8)
        return error_set(e, "is a JPEG of a kind that is not read (frame type %d, %d bits)",
                         marker - 0xc0, b[0]);
    h->height = (int)big16(b + 1);
    h->width = (int)big16(b + 3);
    return check_size(h, e);
}

static int jpeg_head(int fd, struct decode_head *h, struct error *e)
{
    int64_t at = 2;
    h->orientation = 0;
    for (int i = 0; i < SEGMENTS_MAX; i++) {
        uint8_t b[8];
        if (bytes_at(fd, at, b, 2) < 0)
            return error_set(e, "is cut off in its head, at byte %" PRId64, at);
        if (b[0] != 0xff)
            return error_set(e, "is damaged at byte %" PRId64 ": no marker where one must be", at);
        if (b[1] == 0xff) { // fill
            at++;
            continue;
        }
        int marker = b[1];
        if (marker == 0xd9 || marker == 0xda)
            return error_set(e, "has no frame before its data");
        at += 2;
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) // no content
            continue;
        if (bytes_at(fd, at, b, 2) < 0 || big16(b) < 2)
            return error_set(e, "is cut off in its head, at byte %" PRId64, at);
        int64_t n = big16(b) - 2;
        if (is_frame(marker)) {
            if (!h->orientation)
                h->orientation = 1;
            return take_frame(fd, at + 2, marker, h, e);
        }
        if (marker == 0xe1 && !h->orientation && n > 6 && bytes_at(fd, at + 2, b, 6) == 0 &&
            memcmp(b, "Exif\0\0", 6) == 0)
            h->orientation = exif_orientation(fd, at + 2, n);
        at += 2 + n;
    }
    return error_set(e, "has more than %d segments before its data", SEGMENTS_MAX);
}

// --- PNG ---

// The orientation of its eXIf chunk (PNG 1.2 extensions 1.5.0, 3.7), which may stand behind the
// pixels; what is wrong with the chunks is said when these are read.
static int png_orientation(int fd)
{
    int64_t at = 8;
    for (int i = 0; i < CHUNKS_MAX; i++) {
        uint8_t b[8];
        if (bytes_at(fd, at, b, sizeof b) < 0 || memcmp(b + 4, "IEND", 4) == 0)
            return 1;
        int64_t n = big32(b);
        if (memcmp(b + 4, "eXIf", 4) == 0) {
            int o = exif_orientation(fd, at + 8, n);
            return o ? o : 1;
        }
        at += n + 12;
    }
    return 1;
}

// --- WebP ---

static uint32_t little(const uint8_t *p, int bytes)
{
    uint32_t v = 0;
    while (bytes-- > 0)
        v = v << 8 | p[bytes];
    return v;
}

// The orientation of its EXIF chunk, some of which begin as a JPEG's.
static int webp_orientation(int fd, int64_t end)
{
    int64_t at = 12;
    for (int i = 0; i < CHUNKS_MAX && at + 8 <= end; i++) {
        uint8_t b[8];
        if (bytes_at(fd, at, b, sizeof b) < 0)
            return 1;
        int64_t n = little(b + 4, 4);
        if (memcmp(b, "EXIF", 4) == 0) {
            int o = exif_orientation(fd, at + 8, n);
            return o ? o : 1;
        }
        at += 8 + n + (n & 1);
    }
    return 1;
}

// The first chunk says the size: VP8 (lossy), VP8L (lossless), VP8X (there is more than pixels).
static int webp_head(int fd, const uint8_t b[30], struct decode_head *h, struct error *e)
{
    enum { ANIMATED = 2, HAS_EXIF = 8 };
    static const uint8_t lossy[3] = {0x9d, 0x01, 0x2a};
    const uint8_t *p = b + 20;
    if (memcmp(b + 12, "VP8 ", 4) == 0 && memcmp(p + 3, lossy, 3) == 0) {
        h->width = (int)(little(p + 6, 2) & 0x3fff);
        h->height = (int)(little(p + 8, 2) & 0x3fff);
    } else if (memcmp(b + 12, "VP8L", 4) == 0 && p[0] == 0x2f) {
        uint32_t bits = little(p + 1, 4);
        h->width = (int)(bits & 0x3fff) + 1;
        h->height = (int)(bits >> 14 & 0x3fff) + 1;
    } else if (memcmp(b + 12, "VP8X", 4) == 0) {
        if (p[0] & ANIMATED)
            return error_set(e, "is an animation, not a picture");
        h->width = (int)little(p + 4, 3) + 1;
        h->height = (int)little(p + 7, 3) + 1;
        if (p[0] & HAS_EXIF)
            h->orientation = webp_orientation(fd, (int64_t)little(b + 4, 4) + 8);
    } else {
        return error_set(e, "is a WebP without a head");
    }
    return check_size(h, e);
}

// --- all ---

// Images of other kinds, whatever their names end with.
static const char *other_image(const uint8_t *b, size_t n)
{
    static const struct {
        size_t at, n;
        const char *bytes, *is;
    } kind[] = {
        {0, 4, "GIF8", "a GIF"},
        {0, 2, "BM", "a BMP"},
        {0, 4, "II*\0", "a TIFF"},
        {0, 4, "MM\0*", "a TIFF"},
        {0, 4, "\0\0\1\0", "an icon"},
        {4, 8, "ftypavif", "an AVIF"},
        {4, 8, "ftypavis", "an AVIF"},
        {4, 7, "ftyphei", "a HEIC"},
        {4, 7, "ftyphev", "a HEIC"},
        {4, 8, "ftypmif1", "a HEIC or AVIF"},
        {4, 4, "ftyp", "a video"},
        {4, 8, "jP  \r\n\x87\n", "a JPEG 2000"},
        {0, 4, "\xff\x4f\xff\x51", "a JPEG 2000"},
        {4, 8, "JXL \r\n\x87\n", "a JPEG XL"},
        {0, 2, "\xff\x0a", "a JPEG XL"},
        {0, 4, "8BPS", "a file of Photoshop"},
        {0, 5, "%PDF-", "a PDF"},
    };
    for (size_t i = 0; i < sizeof kind / sizeof *kind; i++)
        if (kind[i].at + kind[i].n <= n && memcmp(b + kind[i].at, kind[i].bytes, kind[i].n) == 0)
            return kind[i].is;
    return NULL;
}

static int refuse_other(const uint8_t *b, size_t n, struct error *e)
{
    const char *image = other_image(b, n), *other = image ? NULL : other_file(b, n);
    if (image)
        return error_set(e, "is %s: JPEG, PNG and WebP are read", image);
    return error_set(e, "%s", other ? other : "is neither a JPEG, nor a PNG, nor a WebP");
}

int decode_head(int fd, struct decode_head *out, struct error *e)
{
    static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    uint8_t b[30] = {0};
    memset(out, 0, sizeof *out);
    out->orientation = 1;
    size_t n = sizeof b; // a short file keeps zeros, which are no image
    if (bytes_at(fd, 0, b, n) < 0)
        for (n = 0; n < sizeof b && bytes_at(fd, (int64_t)n, b + n, 1) == 0;)
            n++;
    if (!n)
        return error_set(e, "is empty or cannot be read");
    if (b[0] == 0xff && b[1] == 0xd8) {
        out->kind = DECODE_JPEG;
        return jpeg_head(fd, out, e);
    }
    if (memcmp(b, "RIFF", 4) == 0 && memcmp(b + 8, "WEBP", 4) == 0) {
        out->kind = DECODE_WEBP;
        return webp_head(fd, b, out, e);
    }
    if (memcmp(b, png, sizeof png) != 0)
        return refuse_other(b, n, e);
    if (memcmp(b + 12, "IHDR", 4) != 0)
        return error_set(e, "is a PNG without a head");
    out->kind = DECODE_PNG;
    if (big32(b + 16) > 65535 || big32(b + 20) > 65535)
        return error_set(e, "has a side of more than 65535 pixels");
    out->width = (int)big32(b + 16);
    out->height = (int)big32(b + 20);
    if (check_size(out, e) < 0)
        return -1;
    out->orientation = png_orientation(fd);
    return 0;
}

void decode_upright(const struct decode_head *h, int *height, int *width)
{
    int turned = h->orientation >= 5;
    *height = turned ? h->width : h->height;
    *width = turned ? h->height : h->width;
}
