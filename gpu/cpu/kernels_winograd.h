// Part of kernels.c: 3 x 3 convolutions of stride 1 in f32, the gradient of their input and that of
// their filter, with a quarter of the multiplications: Winograd's F(4 x 4, 3 x 3) (Lavin and Gray,
// "Fast algorithms for convolutional neural networks", 2016). Blocked layout.
//
// Tiles of 4 x 4 pixels, seen with their border as 6 x 6, are turned into 36 numbers a channel, for
// each of which the convolution is a product of matrices, tiles by channels; what comes out is
// turned back. The points are 0, +-5/8, +-3/2 and infinity, which lose half as much to rounding as
// the usual +-1 and +-2 (Barabasz et al., "Error analysis and improving the accuracy of Winograd
// convolution for deep neural networks", 2020). With P and Q for their squares:
//
//   B (6 of a pixel row to 6)          A (6 back to 4)               G (3 of the filter to 6)
//   PQ    0  -P-Q   0   1  0           1   1   1   1   1  0          1        0       0       / PQ
//   0   -+pQ   -Q  +-p  1  0           0  +-p     +-q     0          1      +-p       P       / Np
//   0   -+qP   -P  +-q  1  0           0   P   P   Q   Q  0          1      +-q       Q       / Nq
//   0    PQ    0  -P-Q  0  1           0  +-pP    +-qQ    1          0        0       1
//
// The gradient of the filter is the transpose: G' ((B x B') . (A' dy A)) G, summed over tiles.
#if defined __FMA__ || defined __ARM_FEATURE_FMA
#define WINOGRAD
enum { WINO_TILE = 4, WINO_SIDE = 6, WINO_NUMBERS = 36, WINO_TAPS = 9 };
// Tiles and vectors of channels that a product keeps in registers.
#if defined __AVX512F__
enum { WINO_ROWS = 12, WINO_WIDE = 2, WINO_FILTER_ROWS = 8 };
#else
enum { WINO_ROWS = 6, WINO_WIDE = 2, WINO_FILTER_ROWS = 4 };
#endif

#define WINO_P  0.625f
#define WINO_Q  1.5f
#define WINO_P2 (WINO_P * WINO_P)
#define WINO_Q2 (WINO_Q * WINO_Q)
#define WINO_PQ (WINO_P2 * WINO_Q2)
#define WINO_NP (2 * WINO_P2 * (WINO_P2 - WINO_Q2))
#define WINO_NQ (2 * WINO_Q2 * (WINO_Q2 - WINO_P2))

// --- one row or column of a tile ---
static inline __attribute__((always_inline)) void wino_in(const vf x[6], vf y[6])
{
    vf e = x[4] - WINO_Q2 * x[2], o = x[3] - WINO_Q2 * x[1];
    vf f = x[4] - WINO_P2 * x[2], q = x[3] - WINO_P2 * x[1];
    y[0] = x[4] + (WINO_PQ * x[0] - (WINO_P2 + WINO_Q2) * x[2]);
    y[1] = e + WINO_P * o;
    y[2] = e - WINO_P * o;
    y[3] = f + WINO_Q * q;
    y[4] = f - WINO_Q * q;
    y[5] = x[5] + (WINO_PQ * x[1] - (WINO_P2 + WINO_Q2) * x[3]);
}

static inline __attribute__((always_inline)) void wino_out(const vf x[6], vf y[4])
{
    vf s = x[1] + x[2], d = x[1] - x[2], t = x[3] + x[4], u = x[3] - x[4];
    y[0] = x[0] + (s + t);
    y[1] = WINO_P * d + WINO_Q * u;
    y[2] = WINO_P2 * s + WINO_Q2 * t;
    y[3] = x[5] + (WINO_P2 * WINO_P * d + WINO_Q2 * WINO_Q * u);
}

static inline __attribute__((always_inline)) void wino_spread(const vf x[4], vf y[6])
{
    vf e = x[0] + WINO_P2 * x[2], o = x[1] + WINO_P2 * x[3];
    vf f = x[0] + WINO_Q2 * x[2], q = x[1] + WINO_Q2 * x[3];
    y[0] = x[0];
    y[1] = e + WINO_P * o;
    y[2] = e - WINO_P * o;
    y[3] = f + WINO_Q * q;
    y[4] = f - WINO_Q * q;
    y[5] = x[3];
}

static inline __attribute__((always_inline)) void wino_filter(const vf x[3], vf y[6])
{
    vf e = x[0] + WINO_P2 * x[2], f = x[0] + WINO_Q2 * x[2];
    y[0] = x[0] * (1 / WINO_PQ);
    y[1] = (e + WINO_P * x[1]) * (1 / WINO_NP);
    y[2] = (e - WINO_P * x[1]) * (1 / WINO_NP);
    y[3] = (f + WINO_Q * x[1]) * (1 / WINO_NQ);
    y[4] = (f - WINO_Q * x[1]) * (1 / WINO_NQ);
    y[5] = x[2];
}

static inline __attribute__((always_inline)) void wino_gather(const vf x[6], vf y[3])
{
    vf s = (x[1] + x[2]) * (1 / WINO_NP), d = (x[1] - x[2]) * (1 / WINO_NP);
    vf t = (x[3] + x[4]) * (1 / WINO_NQ), u = (x[3] - x[4]) * (1 / WINO_NQ);
    y[0] = x[0] * (1 / WINO_PQ) + (s + t);
    y[1] = WINO_P * d + WINO_Q * u;
    y[2] = x[5] + (WINO_P2 * s + WINO_Q2 * t);
}

// Both ways: N x N numbers to M x M.
#define WINO_BOTH(name, row, N, M)                                                                 \
    static inline __attribute__((always_inline)) void name(const vf x[(N) * (N)], vf y[(M) * (M)]) \
    {                                                                                              \
        vf half[(N) * (M)];                                                                        \
        for (int i = 0; i < (N); i++)                                                              \
            row(x + i * (N), half + i * (M));                                                      \
        for (int j = 0; j < (M); j++) {                                                            \
            vf from[N], to[M];                                                                     \
            for (int i = 0; i < (N); i++)                                                          \
                from[i] = half[i * (M) + j];                                                       \
            row(from, to);                                                                         \
            for (int i = 0; i < (M); i++)                                                          \
                y[i * (M) + j] = to[i];                                                            \
        }                                                                                          \
    }
WINO_BOTH(wino_in_both, wino_in, 6, 6)
WINO_BOTH(wino_out_both, wino_out, 6, 4)
WINO_BOTH(wino_spread_both, wino_spread, 4, 6)
WINO_BOTH(wino_filter_both, wino_filter, 3, 6)
WINO_BOTH(wino_gather_both, wino_gather, 6, 3)
#undef WINO_BOTH

// --- how it is cut ---
struct wino {
    int in, out, depth;   // blocks of channels; channels that are summed over
    int rows, columns;    // tiles of an image
    int tiles, chunk;     // of the batch; at a time, a multiple of WINO_ROWS
    size_t x, y, all;     // elements of a number of a chunk's input and output; of all numbers
    size_t weights, sums; // elements of a number of the filter; of all numbers
};

// At least so many tiles at a time, or 48.
static struct wino wino_of(int n, int ic, int oc, int depth, int h, int w, int least)
{
    enum { CACHE = 400000, LEAST = 48 };
    struct wino p = {.in = ic / LANES, .out = oc / LANES, .depth = depth};
    p.rows = (h + WINO_TILE - 1) / WINO_TILE;
    p.columns = (w + WINO_TILE - 1) / WINO_TILE;
    p.tiles = n * p.rows * p.columns;
    int most = CACHE / (WINO_NUMBERS * (int)sizeof(float) * (ic + oc));
    least = least < LEAST ? LEAST : least;
    most = most < least ? least : most;
    most = most > p.tiles ? p.tiles : most;
    p.chunk = (most + WINO_ROWS - 1) / WINO_ROWS * WINO_ROWS;
    p.x = (size_t)p.chunk * (size_t)ic;
    p.y = (size_t)p.chunk * (size_t)oc;
    p.all = WINO_NUMBERS * (p.x + p.y);
    p.weights = (size_t)ic * (size_t)oc;
    p.sums = WINO_NUMBERS * p.weights;
    return p;
}

// Where a tile lies.
struct wino_place {
    int image, row, column; // its first pixel
};

static inline struct wino_place wino_place(const struct wino *p, int tile)
{
    int in_image = tile % (p->rows * p->columns);
    return (struct wino_place){tile / (p->rows * p->columns), in_image / p->columns * WINO_TILE,
                               in_image % p->columns * WINO_TILE};
}

// side x side pixels of a plane, zeros where there is none.
static inline __attribute__((always_inline)) void wino_pixels(const float *plane, int h, int w,
                                                              int row, int column, int side, vf *to)
{
    if (row >= 0 && column >= 0 && row + side <= h && column + side <= w) {
        const float *from = plane + LANES * (row * w + column);
        for (int i = 0; i < side; i++)
            for (int j = 0; j < side; j++)
                to[i * side + j] = load_f32(from + LANES * (i * w + j));
        return;
    }
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
            int r = row + i, c = column + j;
            to[i * side + j] = r < 0 || r >= h || c < 0 || c >= w
                                   ? (vf){0}
                                   : load_f32(plane + LANES * (r * w + c));
        }
}

static inline void wino_store(const vf v[WINO_NUMBERS], float *to, size_t apart)
{
    _Pragma("GCC unroll 36") for (size_t p = 0; p < WINO_NUMBERS; p++)
        store_f32(to + p * apart, v[p]);
}

// Tiles [from, n) of a chunk of x (pad pixels of border before it), which begins with tile `first`:
// number, block, tile. Then zeros to `end`.
static void wino_lay_x(const struct wino *p, const float *x, int h, int w, int pad, int first,
                       int from, int n, int end, float *to)
{
    for (int b = 0; b < p->in; b++) {
        float *block = to + LANES * (size_t)(b * p->chunk);
        for (int t = from; t < n; t++) {
            struct wino_place at = wino_place(p, first + t);
            vf pixel[WINO_NUMBERS], v[WINO_NUMBERS];
            wino_pixels(x + (size_t)(at.image * p->in + b) * (size_t)(h * w) * LANES, h, w,
                        at.row - pad, at.column - pad, WINO_SIDE, pixel);
            wino_in_both(pixel, v);
            wino_store(v, block + LANES * t, p->x);
        }
        for (int i = 0; i < WINO_NUMBERS && n < end; i++)
            memset(block + LANES * n + (size_t)i * p->x, 0,
                   LANES * (size_t)(end - n) * sizeof *block);
    }
}

// The same of the gradient of the output.
static void wino_lay_dy(const struct wino *p, const float *dy, int h, int w, int first, int from,
                        int n, float *to)
{
    for (int b = 0; b < p->out; b++)
        for (int t = from; t < n; t++) {
            struct wino_place at = wino_place(p, first + t);
            vf pixel[WINO_TILE * WINO_TILE], v[WINO_NUMBERS];
            wino_pixels(dy + (size_t)(at.image * p->out + b) * (size_t)(h * w) * LANES, h, w,
                        at.row, at.column, WINO_TILE, pixel);
            wino_spread_both(pixel, v);
            wino_store(v, to + LANES * (size_t)(b * p->chunk + t), p->y);
        }
}

static void wino_lay_y(const struct wino *p, const float *from, int h, int w, int first, int n,
                       float *y)
{
    for (int b = 0; b < p->out; b++)
        for (int t = 0; t < n; t++) {
            struct wino_place at = wino_place(p, first + t);
            float *plane = y + (size_t)(at.image * p->out + b) * (size_t)(h * w) * LANES;
            vf v[WINO_NUMBERS], pixel[WINO_TILE * WINO_TILE];
            for (size_t i = 0; i < WINO_NUMBERS; i++)
                v[i] = load_f32(from + i * p->y + LANES * (size_t)(b * p->chunk + t));
            wino_out_both(v, pixel);
            for (int i = 0; i < WINO_TILE && at.row + i < h; i++)
                for (int j = 0; j < WINO_TILE && at.column + j < w; j++)
                    store_f32(plane + LANES * ((at.row + i) * w + at.column + j),
                              pixel[i * WINO_TILE + j]);
        }
}

// --- products ---
// WINO_ROWS tiles by `wide` blocks of output channels, of one number.
static inline __attribute__((always_inline)) void wino_rows(const struct wino *p, const float *x,
                                                            const float *w, float *y, int wide)
{
    size_t y_apart = LANES * (size_t)p->chunk, w_apart = LANES * LANES * (size_t)p->in;
    vf s[WINO_ROWS][WINO_WIDE];
    for (int r = 0; r < WINO_ROWS; r++)
        for (int c = 0; c < wide; c++)
            s[r][c] = (vf){0};
    for (int left = p->depth; left > 0; left -= LANES, x += LANES * p->chunk)
        for (int i = 0; i < LANES && i < left; i++, w += LANES) {
            vf v[WINO_WIDE];
            for (int c = 0; c < wide; c++)
                v[c] = load_f32(w + (size_t)c * w_apart);
            _Pragma("GCC unroll 16") for (int r = 0; r < WINO_ROWS; r++)
            {
                vf one = splat(x[LANES * r + i]);
                for (int c = 0; c < wide; c++)
                    s[r][c] += one * v[c];
            }
        }
    for (int r = 0; r < WINO_ROWS; r++)
        for (int c = 0; c < wide; c++)
            store_f32(y + (size_t)c * y_apart + LANES * r, s[r][c]);
}

// A chunk of n tiles, all numbers.
static void wino_multiply(const struct wino *p, const float *x, const float *w, float *y, int n)
{
    for (int i = 0; i < WINO_NUMBERS; i++, x += p->x, y += p->y, w += p->weights)
        for (int o = 0; o < p->out; o += WINO_WIDE) {
            const float *panel = w + LANES * LANES * (size_t)(o * p->in);
            for (int t = 0; t < n; t += WINO_ROWS) {
                float *to = y + LANES * (size_t)(o * p->chunk + t);
                if (o + WINO_WIDE <= p->out)
                    wino_rows(p, x + LANES * t, panel, to, WINO_WIDE);
                else
                    wino_rows(p, x + LANES * t, panel, to, 1);
            }
        }
}

// Rows of input channels by `wide` blocks of output channels, summed over n tiles.
static inline __attribute__((always_inline)) void wino_sum(const struct wino *p, const float *x,
                                                           const float *dy, float *sum, int n,
                                                           int fresh, int wide)
{
    size_t dy_apart = LANES * (size_t)p->chunk, apart = LANES * LANES * (size_t)p->in;
    vf s[WINO_FILTER_ROWS][WINO_WIDE];
    for (int r = 0; r < WINO_FILTER_ROWS; r++)
        for (int c = 0; c < wide; c++)
            s[r][c] = fresh ? (vf){0} : load_f32(sum + (size_t)c * apart + LANES * r);
    for (int t = 0; t < n; t++, x += LANES, dy += LANES) {
        vf v[WINO_WIDE];
        for (int c = 0; c < wide; c++)
            v[c] = load_f32(dy + (size_t)c * dy_apart);
        _Pragma("GCC unroll 16") for (int r = 0; r < WINO_FILTER_ROWS; r++)
        {
            vf one = splat(x[r]);
            for (int c = 0; c < wide; c++)
                s[r][c] += one * v[c];
        }
    }
    for (int r = 0; r < WINO_FILTER_ROWS; r++)
        for (int c = 0; c < wide; c++)
            store_f32(sum + (size_t)c * apart + LANES * r, s[r][c]);
}

// Numbers [from, to) of n tiles: [output block][input channel][output channel of the block].
static void wino_sums(const struct wino *p, const float *x, const float *dy, float *sum, int n,
                      int fresh, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        for (int o = 0; o < p->out; o += WINO_WIDE)
            for (int c = 0; c < p->in * LANES; c += WINO_FILTER_ROWS) {
                const float *tiles =
                    x + i * p->x + (size_t)(c / LANES * p->chunk) * LANES + c % LANES;
                const float *by = dy + i * p->y + LANES * (size_t)(o * p->chunk);
                float *into = sum + i * p->weights + LANES * (size_t)(o * p->in * LANES + c);
                if (o + WINO_WIDE <= p->out)
                    wino_sum(p, tiles, by, into, n, fresh, WINO_WIDE);
                else
                    wino_sum(p, tiles, by, into, n, fresh, 1);
            }
}

// --- forward, or the gradient of the input ---
static struct wino wino_of_conv(const struct conv_args *a)
{
    return wino_of(a->n, a->ic, a->oc, a->depth, a->oh, a->ow, 0);
}

static size_t winograd_work(const struct conv_args *a)
{
    struct wino p = wino_of_conv(a);
    return (p.sums + p.all * (size_t)a->threads) * sizeof(float);
}

static void winograd(const struct conv_args *a)
{
    struct wino p = wino_of_conv(a);
    int pad = a->back ? a->k - 1 - a->pad : a->pad;
    float *weights = a->work;
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num();
#pragma omp for schedule(static)
        for (int row = 0; row < p.out * p.depth; row++) {
            int o = row / p.depth, i = row % p.depth;
            const float *w = (const float *)a->w + (size_t)o * a->w_block +
                             (size_t)(i / LANES) * a->w_depth + (size_t)(i % LANES) * LANES;
            vf tap[WINO_TAPS], v[WINO_NUMBERS];
            for (int k = 0; k < WINO_TAPS; k++)
                tap[k] = load_f32(w + LANES * LANES * (a->back ? WINO_TAPS - 1 - k : k));
            wino_filter_both(tap, v);
            wino_store(v, weights + LANES * (size_t)(o * p.in * LANES + i), p.weights);
        }
        float *x = weights + p.sums + (size_t)t * p.all, *y = x + WINO_NUMBERS * p.x;
        int to = (int)share(p.tiles, t + 1, a->threads);
        for (int first = (int)share(p.tiles, t, a->threads); first < to; first += p.chunk) {
            int n = to - first < p.chunk ? to - first : p.chunk;
            wino_lay_x(&p, a->x, a->ih, a->iw, pad, first, 0, n,
                       (n + WINO_ROWS - 1) / WINO_ROWS * WINO_ROWS, x);
            wino_multiply(&p, x, weights, y, n);
            wino_lay_y(&p, y, a->oh, a->ow, first, n, a->y);
        }
    }
}

// --- the gradient of the filter ---
// Threads share out tiles, each with sums of its own; where the sums are larger than what they are
// of, numbers.
static int wino_by_numbers(const struct filter_args *a)
{
    return a->ic * a->oc > 128 * 128;
}

static struct wino wino_of_filter(const struct filter_args *a)
{
    enum { LEAST = 192 };
    return wino_of(a->n, a->ic, a->oc, a->ic, a->oh, a->ow, wino_by_numbers(a) ? LEAST : 0);
}

static size_t winograd_filter_work(const struct filter_args *a)
{
    struct wino p = wino_of_filter(a);
    return (p.sums + p.all) * (size_t)(wino_by_numbers(a) ? 1 : a->threads) * sizeof(float);
}

static void wino_filter_by_tiles(const struct filter_args *a, const struct wino *p, int thread)
{
    float *sum = (float *)a->work + (size_t)thread * p->sums;
    float *x = (float *)a->work + (size_t)a->threads * p->sums + (size_t)thread * p->all;
    float *dy = x + WINO_NUMBERS * p->x;
    int from = (int)share(p->tiles, thread, a->threads);
    int to = (int)share(p->tiles, thread + 1, a->threads);
    if (from == to)
        memset(sum, 0, p->sums * sizeof *sum);
    for (int first = from; first < to; first += p->chunk) {
        int n = to - first < p->chunk ? to - first : p->chunk;
        wino_lay_x(p, a->x, a->ih, a->iw, a->pad, first, 0, n, n, x);
        wino_lay_dy(p, a->dy, a->oh, a->ow, first, 0, n, dy);
        wino_sums(p, x, dy, sum, n, first == from, 0, WINO_NUMBERS);
    }
}

static void wino_filter_by_numbers(const struct filter_args *a, const struct wino *p, int thread)
{
    float *sum = a->work, *x = sum + p->sums, *dy = x + WINO_NUMBERS * p->x;
    for (int first = 0; first < p->tiles; first += p->chunk) {
        int n = p->tiles - first < p->chunk ? p->tiles - first : p->chunk;
        int from = (int)share(n, thread, a->threads), to = (int)share(n, thread + 1, a->threads);
        wino_lay_x(p, a->x, a->ih, a->iw, a->pad, first, from, to, to, x);
        wino_lay_dy(p, a->dy, a->oh, a->ow, first, from, to, dy);
#pragma omp barrier
        wino_sums(p, x, dy, sum, n, !first, (size_t)share(WINO_NUMBERS, thread, a->threads),
                  (size_t)share(WINO_NUMBERS, thread + 1, a->threads));
#pragma omp barrier
    }
}

static void winograd_filter(const struct filter_args *a)
{
    struct wino p = wino_of_filter(a);
    const float *sums = a->work;
    int by_numbers = wino_by_numbers(a), copies = by_numbers ? 1 : a->threads;
#pragma omp parallel num_threads(a->threads)
    {
        (by_numbers ? wino_filter_by_numbers : wino_filter_by_tiles)(a, &p, omp_get_thread_num());
#pragma omp barrier
#pragma omp for schedule(static)
        for (int row = 0; row < p.out * p.in * LANES; row++) {
            int o = row / (p.in * LANES), i = row % (p.in * LANES);
            vf v[WINO_NUMBERS], tap[WINO_TAPS];
            for (size_t k = 0; k < WINO_NUMBERS; k++) {
                const float *sum = sums + k * p.weights + LANES * (size_t)row;
                v[k] = load_f32(sum);
                for (size_t other = 1; other < (size_t)copies; other++)
                    v[k] += load_f32(sum + other * p.sums);
            }
            wino_gather_both(v, tap);
            float *dw = a->dw + LANES * LANES * WINO_TAPS * (size_t)(o * p.in + i / LANES) +
                        LANES * (i % LANES);
            for (int k = 0; k < WINO_TAPS; k++)
                store_f32(dw + LANES * LANES * k, tap[k]);
        }
    }
}

#endif
