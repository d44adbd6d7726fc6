// A region of a JPEG by libjpeg-turbo: scaled in the inverse transform, columns left out block by
// block, rows above skipped and rows below never looked at.
#include "data/decode_region.h"

// jpeglib.h needs them first
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

enum { MEMORY_MAX = 256 << 20, SCANS_MAX = 500 };

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

// Warnings that mean pixels are made up. Others (bytes too many between segments) are harmless and
// common.
static void judge(j_common_ptr c, int level)
{
    int code = c->err->msg_code;
    if (level < 0 &&
        (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE))
        give_up(c);
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

// CMYK to RGB in place, four bytes to three; Adobe's are stored inverted.
static void from_cmyk(uint8_t *p, int width, int inverted)
{
    uint8_t *to = p;
    for (int x = 0; x < width; x++, p += 4) {
        unsigned k = inverted ? p[3] : 255u - p[3];
        for (int c = 0; c < 3; c++) {
            unsigned v = k * (inverted ? p[c] : 255u - p[c]) + 128;
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
            from_cmyk(four, (int)width, c->saw_Adobe_marker);
            memcpy(to, four, (size_t)width * 3);
        }
    }
    return 0;
}

int decode_jpeg(const struct decode_head *h, const uint8_t *data, size_t n, const struct region *r,
                struct decoded *out, struct error *e)
{
    struct jpeg_decompress_struct c;
    struct jpeg_progress_mgr progress = {.progress_monitor = count_scans};
    struct reading reading;
    c.err = jpeg_std_error(&reading.manager);
    reading.manager.error_exit = give_up;
    reading.manager.emit_message = judge;
    reading.manager.output_message = say_nothing;
    if (setjmp(reading.out)) {
        jpeg_destroy_decompress(&c);
        if (reading.manager.msg_code == JERR_OUT_OF_MEMORY)
            return decode_unable(error_set(e, "out of memory"));
        return error_set(e, "is damaged: %.200s", reading.text);
    }
    jpeg_create_decompress(&c);
    c.progress = &progress;
    c.mem->max_memory_to_use = MEMORY_MAX;
    jpeg_mem_src(&c, data, n);
    jpeg_read_header(&c, TRUE);
    if ((int)c.image_width != h->width || (int)c.image_height != h->height) {
        int width = (int)c.image_width, height = (int)c.image_height;
        jpeg_destroy_decompress(&c);
        return error_set(e, "has changed: %dx%d pixels, it had %dx%d", width, height, h->width,
                         h->height);
    }
    int cmyk = c.jpeg_color_space == JCS_CMYK || c.jpeg_color_space == JCS_YCCK;
    c.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    c.scale_num = 1;
    c.scale_denom = (unsigned)r->shrink;
    jpeg_start_decompress(&c);
    int rc = read_rows(&c, r, out, e);
    jpeg_destroy_decompress(&c); // most often before the end of the file
    return rc;
}
