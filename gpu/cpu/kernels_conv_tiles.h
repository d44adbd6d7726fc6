// Part of kernels.c: convolution in bf16 where channels are last, and the gradient of its input, by
// tiles.
//
// Both gather: an output pixel is the sum over taps and channels of input pixels times weights. For
// 32 output pixels at a time the input pixels are copied side by side as tiles want them, tap by
// tap, zeros where there is none; then a pair of tiles runs over taps and channels against each
// pair of blocks of weights. Weights are taken a panel at a time that stays in the cache. In the
// gradient of a convolution with stride s the output pixels are of s x s phases, each with taps of
// its own.
enum { CONV_PIXELS = 2 * TILE_SIDE };

// What one phase gathers.
struct conv_phase {
    int taps, tap[CONV_TAPS]; // of the filter, in order
    int rows, columns;        // pixels of an image
    int32_t *from;            // tap by tap: where each pixel's input begins, in elements, -1: zero
    int32_t *to;              // where the pixel itself lies
};

// One phase's rows or columns: the first and how many.
static int conv_first(const struct conv_args *a, int phase)
{
    return a->back ? (phase - a->pad % a->stride + a->stride) % a->stride : 0;
}

static int conv_count(const struct conv_args *a, int phase, int size)
{
    int first = conv_first(a, phase);
    return !a->back ? size : first < size ? (size - first + a->stride - 1) / a->stride : 0;
}

static int conv_phases(const struct conv_args *a)
{
    return a->back ? a->stride * a->stride : 1;
}

// Images at a time: some hundred pixels that fill whole pairs of tiles, or nearly.
static int conv_chunk(const struct conv_args *a)
{
    enum { LEAST = 512, MOST = 2048 };
    int n = 1, pixels = a->oh * a->ow;
    while (n < a->n && (n * pixels < LEAST || (n * pixels % CONV_PIXELS && n * pixels < MOST)))
        n++;
    return n;
}

// The phase, with its places from `place` on; returns how many these are.
static size_t conv_phase(const struct conv_args *a, int number, int32_t *place,
                         struct conv_phase *p)
{
    int row = number / a->stride, column = number % a->stride;
    *p = (struct conv_phase){.rows = conv_count(a, row, a->oh),
                             .columns = conv_count(a, column, a->ow)};
    for (int tap = 0; tap < a->k * a->k; tap++)
        if (!a->back || (tap / a->k % a->stride == row && tap % a->k % a->stride == column))
            p->tap[p->taps++] = tap;
    size_t pixels = (size_t)conv_chunk(a) * (size_t)p->rows * (size_t)p->columns;
    size_t sources = (size_t)p->taps * pixels;
    p->from = place;
    p->to = place ? place + sources : NULL;
    return sources + pixels;
}

// Where a tap of an output row or column reads: -1 outside.
static int conv_source(const struct conv_args *a, int at, int tap, int size)
{
    int v = a->back ? (at + a->pad - tap) / a->stride : at * a->stride + tap - a->pad;
    return at + a->pad - tap < 0 && a->back ? -1 : v < 0 || v >= size ? -1 : v;
}

static size_t conv_tiles_places(const struct conv_args *a)
{
    struct conv_phase p;
    size_t n = 0;
    for (int i = 0; i < conv_phases(a); i++)
        n += conv_phase(a, i, NULL, &p);
    return n;
}

static void conv_tiles_find(const struct conv_args *a, int32_t *place)
{
    struct conv_phase p;
    int step = a->back ? a->stride : 1, images = conv_chunk(a);
    for (int i = 0; i < conv_phases(a); i++) {
        place += conv_phase(a, i, place, &p);
        int32_t *to = p.to;
        for (int m = 0; m < images; m++)
            for (int r = 0; r < p.rows; r++)
                for (int c = 0; c < p.columns; c++)
                    *to++ = ((m * a->oh + conv_first(a, i / a->stride) + r * step) * a->ow +
                             conv_first(a, i % a->stride) + c * step) *
                            a->oc;
        int32_t *from = p.from;
        for (int t = 0; t < p.taps; t++)
            for (int m = 0; m < images; m++)
                for (int r = 0; r < p.rows; r++)
                    for (int c = 0; c < p.columns; c++) {
                        int y = conv_source(a, conv_first(a, i / a->stride) + r * step,
                                            p.tap[t] / a->k, a->ih);
                        int x = conv_source(a, conv_first(a, i % a->stride) + c * step,
                                            p.tap[t] % a->k, a->iw);
                        *from++ = y < 0 || x < 0 ? -1 : ((m * a->ih + y) * a->iw + x) * a->ic;
                    }
    }
}

// Up to 32 channels of a pixel as a row of a tile.
static inline void conv_copy(uint16_t *to, const uint16_t *from, int channels)
{
#ifdef __AVX512BW__
    __mmask32 there = channels >= TILE_DEPTH ? ~0u : (1u << channels) - 1;
    _mm512_store_si512(to, _mm512_maskz_loadu_epi16(there, from));
#else
    int n = channels < TILE_DEPTH ? channels : TILE_DEPTH;
    memcpy(to, from, (size_t)n * sizeof *to);
    memset(to + n, 0, (size_t)(TILE_DEPTH - n) * sizeof *to);
#endif
}

static int conv_depth(int channels)
{
    return (channels + TILE_DEPTH - 1) / TILE_DEPTH;
}

// Pixels [m, end) of a phase, at most 32 of them, as tiles: of the first 16 pixels, then of the
// others; channels, then taps.
static void conv_gather(const struct conv_args *a, const struct conv_phase *p, size_t pixels,
                        const uint16_t *x, size_t m, size_t end, uint16_t *to)
{
    size_t taps = (size_t)p->taps, depth = (size_t)conv_depth(a->ic);
    for (size_t t = 0; t < taps; t++)
        for (size_t i = 0; i < CONV_PIXELS; i++) {
            int32_t place = m + i < end ? p->from[t * pixels + m + i] : -1;
            uint16_t *row = to + TILE_HALVES * (i / TILE_SIDE * taps * depth + t) +
                            TILE_DEPTH * (i % TILE_SIDE);
            if (place < 0)
                for (size_t d = 0; d < depth; d++)
                    memset(row + TILE_HALVES * taps * d, 0, TILE_DEPTH * sizeof *row);
            else
                for (size_t d = 0; d < depth; d++)
                    conv_copy(row + TILE_HALVES * taps * d, x + (size_t)place + TILE_DEPTH * d,
                              a->ic - (int)(TILE_DEPTH * d));
        }
}

// The products of 32 pixels with one or two blocks of weights: into four tiles of floats, of which
// the second and the last are the second block's.
static inline __attribute__((always_inline)) void conv_run(const struct conv_args *a,
                                                           const struct conv_phase *p,
                                                           const uint16_t *x, const uint16_t *w,
                                                           float sum[4 * TILE_FLOATS], int blocks)
{
    TILES_HERE;
    size_t depth = (size_t)conv_depth(a->ic), half = TILE_HALVES * (size_t)p->taps * depth;
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    for (size_t d = 0; d < depth; d++, w += a->w_depth)
        for (int t = 0; t < p->taps; t++, x += TILE_HALVES) {
            const uint16_t *tap = w + TILE_HALVES * (size_t)p->tap[t];
            TILE_LOAD(6, tap, 64);
            TILE_LOAD(4, x, 64);
            TILE_MULTIPLY(0, 4, 6);
            if (blocks == 2) {
                TILE_LOAD(7, tap + a->w_block, 64);
                TILE_MULTIPLY(1, 4, 7);
            }
            TILE_LOAD(5, x + half, 64);
            TILE_MULTIPLY(2, 5, 6);
            if (blocks == 2)
                TILE_MULTIPLY(3, 5, 7);
        }
    TILE_STORE(0, sum, 64);
    TILE_STORE(2, sum + 2 * TILE_FLOATS, 64);
    if (blocks == 2) {
        TILE_STORE(1, sum + TILE_FLOATS, 64);
        TILE_STORE(3, sum + 3 * TILE_FLOATS, 64);
    }
}

// Output pixels [m, m + n) of a phase, blocks [from, to) of their channels.
static void conv_pixels(const struct conv_args *a, const struct conv_phase *p, const uint16_t *x,
                        uint16_t *y, size_t m, size_t n, int from, int to)
{
    float sum[4 * TILE_FLOATS] __attribute__((aligned(64)));
    for (int b = from; b < to; b += 2) {
        const uint16_t *w = (const uint16_t *)a->w + a->w_block * (size_t)b;
        int blocks = b + 1 < to ? 2 : 1;
        if (blocks == 2)
            conv_run(a, p, x, w, sum, 2);
        else
            conv_run(a, p, x, w, sum, 1);
        for (size_t i = 0; i < n; i++) {
            const float *row =
                sum + 2 * TILE_FLOATS * (i / TILE_SIDE) + TILE_SIDE * (i % TILE_SIDE);
            uint16_t *out = y + (size_t)p->to[m + i] + TILE_SIDE * (size_t)b;
            for (int k = 0; k < blocks; k++)
                for (int c = 0; c < TILE_SIDE; c += LANES)
                    store_bf16(out + TILE_SIDE * k + c, load_f32(row + TILE_FLOATS * k + c));
        }
    }
}

static size_t conv_gathered(const struct conv_args *a)
{
    return 2 * TILE_HALVES * (size_t)(a->k * a->k) * (size_t)conv_depth(a->ic);
}

static size_t conv_tiles_work(const struct conv_args *a)
{
    return 64 + (size_t)a->threads * conv_gathered(a) * sizeof(uint16_t);
}

static void conv_tiles(const struct conv_args *a)
{
    enum { CACHE = 1200000 }; // bytes of weights
    uint16_t *work = (uint16_t *)(((uintptr_t)a->work + 63) / 64 * 64);
    int blocks = a->oc / TILE_SIDE, images = conv_chunk(a), chunks = (a->n + images - 1) / images;
    int phases = conv_phases(a);
    size_t weights = (size_t)conv_gathered(a) / 2 * sizeof(uint16_t);
    int panel = (int)(CACHE / weights) / 2 * 2;
    panel = panel < 2 ? 2 : panel;
#pragma omp parallel num_threads(a->threads)
    {
        uint16_t *gathered = work + (size_t)omp_get_thread_num() * conv_gathered(a);
        tiles_begin();
        for (int from = 0; from < blocks; from += panel) {
            const int32_t *place = a->place;
            for (int i = 0; i < phases; i++) {
                struct conv_phase p;
                place += conv_phase(a, i, (int32_t *)place, &p);
                int64_t image = (int64_t)p.rows * p.columns, pixels = image * images;
                int64_t pieces = (pixels + CONV_PIXELS - 1) / CONV_PIXELS;
#pragma omp for schedule(static) nowait
                for (int64_t q = 0; q < pieces * chunks; q++) {
                    int64_t first = q / pieces * images, m = q % pieces * CONV_PIXELS;
                    int64_t end = (a->n - first < images ? a->n - first : images) * image;
                    int64_t n = end - m < CONV_PIXELS ? end - m : CONV_PIXELS;
                    if (n <= 0)
                        continue;
                    const uint16_t *x =
                        (const uint16_t *)a->x + (size_t)(first * a->ih * a->iw * a->ic);
                    uint16_t *y = (uint16_t *)a->y + (size_t)(first * a->oh * a->ow * a->oc);
                    conv_gather(a, &p, (size_t)pixels, x, (size_t)m, (size_t)end, gathered);
                    conv_pixels(a, &p, gathered, y, (size_t)m, (size_t)n, from,
                                from + panel < blocks ? from + panel : blocks);
                }
            }
        }
        tiles_end();
    }
}
