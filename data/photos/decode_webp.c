// A WebP by libwebp, lossy or lossless: as a whole, for its decoder has to come to the last row in
// any case to know that the file is sound.
#include "data/photos/decode_region.h"

#include <webp/decode.h>

static uint32_t little32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

// Every chunk whole: the decoder looks no further than the picture's own.
static int check_chunks(const uint8_t *data, size_t n, struct error *e)
{
    size_t at = 12, end = n >= 12 ? (size_t)little32(data + 4) + 8 : 0;
    if (end < 20 || end > n)
        return error_set(e, "is damaged: cut off at byte %zu", n);
    while (end - at >= 8) {
        size_t size = little32(data + at + 4);
        if (size > end - at - 8)
            return error_set(e, "is damaged: cut off at byte %zu", n);
        at += 8 + size + (size & 1 && size < end - at - 8);
    }
    return 0;
}

static int refuse(VP8StatusCode code, struct error *e)
{
    static const char *const why[] = {
        [VP8_STATUS_INVALID_PARAM] = "its sizes contradict each other",
        [VP8_STATUS_BITSTREAM_ERROR] = "its pixels can't be decoded",
        [VP8_STATUS_UNSUPPORTED_FEATURE] = "it has a feature that nobody knows",
        [VP8_STATUS_SUSPENDED] = "cut off",
        [VP8_STATUS_NOT_ENOUGH_DATA] = "cut off",
    };
    if (code == VP8_STATUS_OUT_OF_MEMORY)
        return decode_unable(error_set(e, "out of memory"));
    int known = code < (int)(sizeof why / sizeof *why) && why[code];
    return error_set(e, "is damaged: %s", known ? why[code] : "it can't be decoded");
}

int decode_webp(const struct decode_head *h, const uint8_t *data, size_t n, const struct region *r,
                struct decoded *out, struct error *e)
{
    WebPDecoderConfig config;
    if (check_chunks(data, n, e) < 0)
        return -1;
    if (!WebPInitDecoderConfig(&config))
        return error_set(e, "needs another version of libwebp");
    VP8StatusCode code = WebPGetFeatures(data, n, &config.input);
    if (code != VP8_STATUS_OK)
        return refuse(code, e);
    if (config.input.has_animation)
        return error_set(e, "is an animation, not a picture");
    if (config.input.width != h->width || config.input.height != h->height)
        return error_set(e, "has changed: %dx%d pixels, it had %dx%d", config.input.width,
                         config.input.height, h->width, h->height);
    int rc = decoded_room(out, h->height, h->width, e);
    if (rc < 0)
        return rc;
    out->top = out->left = 0;
    out->shrink = 1;
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = out->pixel;
    config.output.u.RGBA.stride = h->width * 3;
    config.output.u.RGBA.size = (size_t)h->width * (size_t)h->height * 3;
    code = WebPDecode(data, n, &config);
    WebPFreeDecBuffer(&config.output);
    return code == VP8_STATUS_OK ? 0 : refuse(code, e);
}
