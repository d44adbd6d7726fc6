// A region of a JPEG by libjpeg-turbo: scaled in the inverse transform, columns left out block by
// block, rows above skipped and rows below never looked at.
#include "data/photos/decode_region.h"

// jpeglib.h needs them first
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
// says which codes there are only after it
#include <jerror.h>

enum { SCANS_MAX = 500 };
// Bytes that libjpeg may hold: what is decoded in several scans is held as a whole, two bytes a
// value. DECODE_PIXELS_MAX of four components, rounded up to blocks, are below LARGE_MAX; of images
// above MEMORY_MAX one is read at a time, whatever the number of threads.
#define MEMORY_MAX (256L << 20)
#define ROWS_MAX   (32L << 20) // what is left for rows
#define LARGE_MAX  (640L << 20)
static pthread_mutex_t large = PTHREAD_MUTEX_INITIALIZER;

struct reading {
    struct jpeg_error_mgr manager; // first: what libjpeg hands back
    jmp_buf out;
    char text[JMSG_LENGTH_MAX];
};

static void give_up(j_common_ptr c)
{
    struct reading *r = (struct reading *)c->err;
    c->err->format_message(c, r->text);
    longjmp(r->out, 1);
}

// Warnings that mean pixels are made up. Others are harmless and common: bytes too many between
// segments and after the last scan. Before a restart marker they are what a decoder that has lost
// its way did not use.
static void judge(j_common_ptr c, int level)
{
    switch (level < 0 ? c->err->msg_code : JMSG_NOMESSAGE) {
    case JWRN_EXTRANEOUS_DATA:
        if (c->err->msg_parm.i[1] < JPEG_RST0 || c->err->msg_parm.i[1] > JPEG_RST0 + 7)
            return;
        give_up(c);
        return;
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
        give_up(c);
        return;
    default:
        return;
    }
}

static void say_nothing(j_common_ptr c)
{
}

// A small file may hold thousands of scans, each of which goes over the whole image.
static void count_scans(j_common_ptr c)
{
    struct reading *r = (struct reading *)c->err;
    if (!c->is_decompressor || ((j_decompress_ptr)c)->input_scan_number <= SCANS_MAX)
        return;
    snprintf(r->text, sizeof r->text, "more than %d scans", SCANS_MAX);
    longjmp(r->out, 1);
}

// CMYK to RGB in place, four bytes to three. Inverted, as Adobe's are, whether its marker is there
// or not: so do PIL and the browsers.
static void from_cmyk(uint8_t *p, int width)
{
    uint8_t *to = p;
    for (int x = 0; x < width; x++, p += 4) {
        unsigned k = p[3];
        for (int c = 0; c < 3; c++) {
            unsigned v = k * p[c] + 128;
            *to++ = (uint8_t)((v + (v >> 8)) >> 8); // k * v / 255, to nearest
        }
    }
}

static int read_rows(struct jpeg_decompress_struct *c, const struct region *r, struct decoded *out,
                     struct error *e)
{
    JDIMENSION shrink = (JDIMENSION)r->shrink, x = (JDIMENSION)r->left / shrink;
    JDIMENSION right = ((JDIMENSION)(r->left + r->width) + shrink - 1) / shrink;
    JDIMENSION top = (JDIMENSION)r->top / shrink,
               bottom = ((JDIMENSION)(r->top + r->height) + shrink - 1) / shrink;
    right = right < c->output_width ? right : c->output_width;
    bottom = bottom < c->output_height ? bottom : c->output_height;
    // colours are smoothed between neighbours: those of the region's edges must be there
    JDIMENSION margin = 2 * (JDIMENSION)c->max_h_samp_factor;
    x = x > margin ? x - margin : 0;
    right = c->output_width - right > margin ? right + margin : c->output_width;
    JDIMENSION width = right - x;
    if (x > 0 || right < c->output_width)
        jpeg_crop_scanline(c, &x, &width);
    int cmyk = c->out_color_space == JCS_CMYK;
    int rc = decoded_room(out, (int)(bottom - top), (int)width, e);
    if (rc < 0)
        return rc;
    out->top = (int)(top * shrink);
    out->left = (int)(x * shrink);
    out->shrink = r->shrink;
    uint8_t *four = NULL; // a row of CMYK, libjpeg's own memory
    if (cmyk)
        four = c->mem->alloc_large((j_common_ptr)c, JPOOL_IMAGE, (size_t)width * 4);
    if (top > 0)
        jpeg_skip_scanlines(c, top);
    while (c->output_scanline < bottom) {
        uint8_t *to = out->pixel + (size_t)(c->output_scanline - top) * (size_t)width * 3;
        JSAMPROW row = cmyk ? four : to;
        if (jpeg_read_scanlines(c, &row, 1) != 1)
            return error_set(e, "ends early");
        if (cmyk) {
            from_cmyk(four, (int)width);
            memcpy(to, four, (size_t)width * 3);
        }
    }
    return 0;
}

// Bytes of the coefficients that must be held, an image of one scan needs none.
static int64_t held(struct jpeg_decompress_struct *c)
{
    int64_t sum = 0;
    for (int i = 0; jpeg_has_multiple_scans(c) && i < c->num_components; i++) {
        const jpeg_component_info *k = &c->comp_info[i];
        sum += (int64_t)(k->width_in_blocks + (JDIMENSION)k->h_samp_factor) *
               (k->height_in_blocks + (JDIMENSION)k->v_samp_factor) * (int64_t)sizeof(JBLOCK);
    }
    return sum;
}

static int read_region(struct jpeg_decompress_struct *c, const struct decode_head *h,
                       const struct region *r, struct decoded *out, struct error *e)
{
    if ((int)c->image_width != h->width || (int)c->image_height != h->height)
        return error_set(e, "has changed: %dx%d pixels, it had %dx%d", (int)c->image_width,
                         (int)c->image_height, h->width, h->height);
    int cmyk = c->jpeg_color_space == JCS_CMYK || c->jpeg_color_space == JCS_YCCK;
    c->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    c->scale_num = 1;
    c->scale_denom = (unsigned)r->shrink;
    jpeg_start_decompress(c);
    return read_rows(c, r, out, e);
}

int decode_jpeg(const struct decode_head *h, const uint8_t *data, size_t n, const struct region *r,
                struct decoded *out, struct error *e)
{
    struct jpeg_decompress_struct c;
    struct jpeg_progress_mgr progress = {.progress_monitor = count_scans};
    struct reading reading;
    volatile int alone = 0;
    int rc;
    c.err = jpeg_std_error(&reading.manager);
    reading.manager.error_exit = give_up;
    reading.manager.emit_message = judge;
    reading.manager.output_message = say_nothing;
    if (setjmp(reading.out) == 0) {
        jpeg_create_decompress(&c);
        c.progress = &progress;
        c.mem->max_memory_to_use = MEMORY_MAX;
        jpeg_mem_src(&c, data, n);
        jpeg_read_header(&c, TRUE);
        if (held(&c) > MEMORY_MAX - ROWS_MAX) {
            c.mem->max_memory_to_use = LARGE_MAX;
            alone = pthread_mutex_lock(&large) == 0;
        }
        rc = read_region(&c, h, r, out, e);
    } else if (reading.manager.msg_code == JERR_OUT_OF_MEMORY)
        rc = decode_unable(error_set(e, "out of memory"));
    else
        rc = error_set(e, "is damaged: %.200s", reading.text);
    jpeg_destroy_decompress(&c); // most often before the end of the file
    if (alone)
        pthread_mutex_unlock(&large);
    return rc;
}
