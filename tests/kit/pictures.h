// Image files for tests, written by libjpeg and libspng in every form that people have.
#ifndef SSLTOP_TESTS_KIT_PICTURES_H
#define SSLTOP_TESTS_KIT_PICTURES_H

#include <stddef.h>
#include <stdint.h>

// A smooth colourful picture, RGB interleaved, malloc'd; every corner looks different. `seed` makes
// others.
uint8_t *picture_draw(int height, int width, int seed);

// Every value at random.
uint8_t *picture_noise(int height, int width, int seed);

enum picture_form {
    JPEG_RGB,
    JPEG_PROGRESSIVE,
    JPEG_GRAY,
    JPEG_CMYK,       // inverted as Adobe's, without a marker: PIL takes it for such
    JPEG_CMYK_ADOBE, // with its marker
    JPEG_422,        // half as many colours across; JPEG_RGB has a quarter
    JPEG_444,        // as many colours as pixels
    JPEG_444_PROGRESSIVE,
    JPEG_ARITHMETIC,
    JPEG_ARITHMETIC_PROGRESSIVE,
    JPEG_RESTARTS, // a marker to begin afresh at after every row of blocks
    PNG_RGB,
    PNG_INTERLACED,
    PNG_RGBA,
    PNG_GRAY,
    PNG_GRAY_ALPHA,
    PNG_PALETTE,
    PNG_PALETTE_ALPHA, // its colours are transparent, each otherwise
    PNG_16,            // RGB, 16 bits
    PNG_RGBA_16,
    PNG_GRAY_16,
    PNG_GRAY_1, // black and white, eight pixels a byte
    PICTURE_FORMS
};
extern const char *const picture_form_name[PICTURE_FORMS];

// The pixels as a file in memory, malloc'd. `orientation` 0: without EXIF. A gray form keeps
// the green channel, a palette the picture's colours cut to 6 x 6 x 6.
uint8_t *picture_encode(enum picture_form form, const uint8_t *rgb, int height, int width,
                        int orientation, size_t *size);
// What a reader should get of that form, in place: gray spread, palette colours cut.
void picture_expect(enum picture_form form, uint8_t *rgb, int height, int width);

void picture_write(const char *path, const uint8_t *data, size_t size);
// A whole JPEG in one step.
void picture_jpeg(const char *path, int height, int width, int seed);

// A fresh folder under /tmp, and its end with all in it.
void scratch_make(char path[64]);
void scratch_remove(const char *path);

#endif
