// Augmentation as numbers: what happens to an image to make a view. Drawn here on the host, worked
// on pixels by the device, so that every device sees the same views. Definitions follow
// torchvision's transforms.
#ifndef SSLTOP_DATA_AUGMENT_H
#define SSLTOP_DATA_AUGMENT_H

#include <stdint.h>

enum jitter_part {
    JITTER_BRIGHTNESS,
    JITTER_CONTRAST,
    JITTER_SATURATION,
    JITTER_HUE,
    JITTER_PARTS
};

// The numbers of one view of one image, applied in the order of the fields.
struct augment_view {
    int32_t top, left, height, width; // crop box in the source image; resized to the output size,
                                      // bilinear with antialias (PIL's). Pixels stay float from
                                      // here on, clamped to [0, 1] wherever torchvision clamps
    uint8_t jitter;                   // 0: no colour jitter
    uint8_t order[JITTER_PARTS];      // enum jitter_part, in the order of application
    float factor[JITTER_PARTS];       // indexed by enum jitter_part; hue: shift in [-0.5, 0.5]
    uint8_t grayscale;
    float sigma;      // Gaussian blur; 0: none. Radius ceil(3 sigma), reflected borders
    uint8_t solarize; // invert values >= 128 (BYOL)
    uint8_t flip;     // horizontal
};

// The distribution that views are drawn from. A recipe is a const row.
struct augment_recipe {
    const char *name, *doc;
    int enabled; // 0: both views are the image itself
    double scale_lo, scale_hi, ratio_lo, ratio_hi;
    double jitter_p, jitter[JITTER_PARTS]; // strength: factor in [max(0,1-s), 1+s]; hue in [-s, s]
    double gray_p, blur_p[2], sigma_lo, sigma_hi, solarize_p[2], flip_p; // [view]
};
extern const struct augment_recipe augment_table[]; // ends with a NULL name
const struct augment_recipe *augment_find(const char *name);

// The view of image `image` (index in the data set, below 2^31) at `step`; view is 0 or 1. A pure
// function of its arguments: size h x w, channels (gray images: saturation, hue and grayscale are
// left out), and side, the shorter side of the views in pixels: below 64 there is no blur.
void augment_draw(const struct augment_recipe *r, uint64_t seed, int64_t step, int64_t image,
                  int view, int channels, int h, int w, int side, struct augment_view *out);

// The view that is the image itself: full crop and nothing else.
void augment_identity(int h, int w, struct augment_view *out);

#endif
