// Part of kernels.c: the gradient of a filter in bf16, for processors that multiply pairs of bf16.
//
// The instruction adds a pair of products to each of 16 floats, so the sum over pixels goes two
// pixels of a row at a time: pixels are laid out anew as pairs (channel c: pixel j, pixel j + 1
// side by side), dy once and x once for each column of the filter, with zeros beyond the border.
// Then a tap of the filter is a run over pairs with the 16 x 16 sums of one block of input and one
// of output channels in registers. oneDNN does the same with less success where images are small
// or the stride is 2: 70 to 310 GFLOP/s where this makes 370 to 520 (two cores of Zen 5).
#ifdef __AVX512BF16__

enum { PAIR = 32, TILE = 256 }; // elements of a pair of pixels; of a tap of two blocks of channels

// How the pairs lie. x: block, filter column, image of the chunk, row, pair. A row's place is by
// its remainder modulo the stride first: the rows that a tap meets one after the other are
// neighbours. dy: block, image of the chunk, row, pair.
struct alignment {
    int per_row, rows; // pairs in a row of dy; rows of x, with the border's
    int chunk;         // images packed at a time
    int in, out;       // blocks of channels
    int by_images;     // threads share out images, each with sums of its own; else pairs of blocks
    size_t x, dy;      // pairs of one image and block (and filter column)
    size_t x_all, work, sums; // elements: packed x of a chunk, all packed of a chunk, dw
};

static struct alignment lay_out(const struct filter_args *a)
{
    // Sums that small stay in a core's cache beside what is packed: half a megabyte of that.
    enum { BY_IMAGES = 64, CACHE = 800000 };
    struct alignment p = {.per_row = (a->ow + 1) / 2, .in = a->ic / 16, .out = a->oc / 16};
    p.rows = (a->ih + 2 * a->pad + a->stride - 1) / a->stride * a->stride;
    p.x = (size_t)p.rows * (size_t)p.per_row;
    p.dy = (size_t)a->oh * (size_t)p.per_row;
    p.by_images = p.in * p.out <= BY_IMAGES;
    size_t in = p.by_images ? (size_t)p.in : 1, out = p.by_images ? (size_t)p.out : 1;
    size_t image = PAIR * sizeof(uint16_t) * (in * (size_t)a->k * p.x + out * p.dy);
    int n = p.by_images ? (a->n + a->threads - 1) / a->threads : a->n;
    int most = (int)(CACHE / image);
    most = most < 1 ? 1 : most > n ? n : most;
    int chunks = (n + most - 1) / most;
    p.chunk = (n + chunks - 1) / chunks;
    p.x_all = PAIR * (size_t)p.in * (size_t)a->k * (size_t)p.chunk * p.x;
    p.work = p.x_all + PAIR * (size_t)p.out * (size_t)p.chunk * p.dy;
    p.sums = TILE * (size_t)p.in * (size_t)p.out * (size_t)(a->k * a->k);
    return p;
}

static size_t filter_work(const struct filter_args *a)
{
    struct alignment p = lay_out(a);
    size_t threads = p.by_images ? (size_t)a->threads : 1;
    return threads * p.work * sizeof(uint16_t) + (threads - 1) * p.sums * sizeof(float);
}

// 16 channels of two pixels, side by side; NULL for a pixel outside.
static inline __m512i pair_up(const uint16_t *left, const uint16_t *right)
{
    __m512i l = left ? _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)left))
                     : _mm512_setzero_si512();
    __m512i r = right ? _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)right))
                      : _mm512_setzero_si512();
    return _mm512_or_si512(l, _mm512_slli_epi32(r, 16));
}

// Image `slot` of a chunk of n, one block.
static void pack_x(const struct filter_args *a, const struct alignment *p, const uint16_t *image,
                   int block, int n, int slot, uint16_t *work)
{
    int per_class = p->rows / a->stride;
    for (int kw = 0; kw < a->k; kw++) {
        uint16_t *to =
            work + PAIR * p->x * ((size_t)(block * a->k + kw) * (size_t)n + (size_t)slot);
        for (int y = 0; y < a->ih; y++) {
            const uint16_t *row = image + 16 * (size_t)y * (size_t)a->iw;
            int at = (y + a->pad) % a->stride * per_class + (y + a->pad) / a->stride;
            uint16_t *out = to + PAIR * (size_t)at * (size_t)p->per_row;
            for (int j = 0; j < p->per_row; j++, out += PAIR) {
                int left = 2 * j * a->stride + kw - a->pad, right = left + a->stride;
                _mm512_storeu_si512(out,
                                    pair_up(left >= 0 && left < a->iw ? row + 16 * left : NULL,
                                            right >= 0 && right < a->iw ? row + 16 * right : NULL));
            }
        }
    }
}

static void pack_dy(const struct filter_args *a, const struct alignment *p, const uint16_t *image,
                    int block, int n, int slot, uint16_t *work)
{
    uint16_t *out = work + p->x_all + PAIR * p->dy * ((size_t)block * (size_t)n + (size_t)slot);
    for (int y = 0; y < a->oh; y++) {
        const uint16_t *row = image + 16 * (size_t)y * (size_t)a->ow;
        for (int j = 0; j < p->per_row; j++, out += PAIR)
            _mm512_storeu_si512(
                out, pair_up(row + 32 * j, 2 * j + 1 < a->ow ? row + 32 * j + 16 : NULL));
    }
}

// Pack block b (input's first, then output's) of image `from + slot`.
static void pack(const struct filter_args *a, const struct alignment *p, int from, int n, int slot,
                 int b, uint16_t *work)
{
    size_t i = (size_t)(from + slot);
    if (b < p->in)
        pack_x(a, p,
               (const uint16_t *)a->x +
                   16 * (i * (size_t)p->in + (size_t)b) * (size_t)(a->ih * a->iw),
               b, n, slot, work);
    else
        pack_dy(a, p,
                (const uint16_t *)a->dy +
                    16 * (i * (size_t)p->out + (size_t)(b - p->in)) * (size_t)(a->oh * a->ow),
                b - p->in, n, slot, work);
}

// A run over pairs: `images` times `length` of them.
struct run {
    int images;
    size_t length, x_step, dy_step; // pairs
    const uint16_t *x, *dy;
};

static inline __m512bh broadcast_pair(const uint16_t *x)
{
    int both;
    memcpy(&both, x, sizeof both);
    return (__m512bh)_mm512_set1_epi32(both);
}

// Input channels [i, i + C) of a block by B blocks of output channels: C x B vectors of sums in
// registers. `blocks` lies between the sums of the output blocks, dy_block between their dy.
#define TAP(name, B, C)                                                                            \
    static inline void name(const struct run *r, size_t dy_block, float *sum, size_t blocks,       \
                            int fresh, int i)                                                      \
    {                                                                                              \
        __m512 s[B][C];                                                                            \
        for (int b = 0; b < B; b++)                                                                \
            for (int c = 0; c < C; c++)                                                            \
                s[b][c] = fresh ? _mm512_setzero_ps()                                              \
                                : _mm512_loadu_ps(sum + (size_t)b * blocks + 16 * (i + c));        \
        for (int m = 0; m < r->images; m++) {                                                      \
            const uint16_t *x = r->x + PAIR * (size_t)m * r->x_step + 2 * i;                       \
            const uint16_t *dy = r->dy + PAIR * (size_t)m * r->dy_step;                            \
            for (size_t j = 0; j < r->length; j++, x += PAIR, dy += PAIR) {                        \
                __m512bh d[B];                                                                     \
                for (int b = 0; b < B; b++)                                                        \
                    d[b] = (__m512bh)_mm512_loadu_si512(dy + (size_t)b * dy_block);                \
                _Pragma("GCC unroll 16") for (int c = 0; c < C; c++)                               \
                {                                                                                  \
                    __m512bh v = broadcast_pair(x + 2 * c);                                        \
                    for (int b = 0; b < B; b++)                                                    \
                        s[b][c] = _mm512_dpbf16_ps(s[b][c], d[b], v);                              \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
        for (int b = 0; b < B; b++)                                                                \
            for (int c = 0; c < C; c++)                                                            \
                _mm512_storeu_ps(sum + (size_t)b * blocks + 16 * (i + c), s[b][c]);                \
    }
TAP(tap_one, 1, 16)
TAP(tap_two, 2, 8) // fewer loads for a multiplication
#undef TAP

// All taps of input block i and of the output blocks [o, o + blocks), over the packed chunk of n
// images.
static void add_taps(const struct filter_args *a, const struct alignment *p, int n,
                     const uint16_t *work, int i, int o, int blocks, float *dw, int fresh)
{
    int per_class = p->rows / a->stride;
    size_t dy_block = PAIR * (size_t)n * p->dy;
    size_t block = TILE * (size_t)p->in * (size_t)(a->k * a->k); // of dw
    float *sums = dw + TILE * (size_t)(o * p->in + i) * (size_t)(a->k * a->k);
    for (int kw = 0; kw < a->k; kw++)
        for (int kh = 0; kh < a->k; kh++) {
            int first = 0, last = a->oh; // rows of dy that meet a row of x
            while (first < last && a->stride * first + kh < a->pad)
                first++;
            while (last > first && a->stride * (last - 1) + kh - a->pad >= a->ih)
                last--;
            int at = kh % a->stride * per_class + kh / a->stride + first;
            size_t start = (size_t)at * (size_t)p->per_row;
            struct run r = {
                .images = n,
                .length = (size_t)(last - first) * (size_t)p->per_row,
                .x_step = p->x,
                .dy_step = p->dy,
                .x = work + PAIR * ((size_t)(i * a->k + kw) * (size_t)n * p->x + start),
                .dy = work + p->x_all + (size_t)o * dy_block +
                      PAIR * (size_t)first * (size_t)p->per_row,
            };
            float *sum = sums + TILE * (size_t)(kh * a->k + kw);
            if (blocks == 2) {
                tap_two(&r, dy_block, sum, block, fresh, 0);
                tap_two(&r, dy_block, sum, block, fresh, 8);
            } else {
                tap_one(&r, dy_block, sum, block, fresh, 0);
            }
        }
}

static void filter_by_images(const struct filter_args *a, const struct alignment *p, int together)
{
    float *others = (float *)((uint16_t *)a->work + (size_t)a->threads * p->work);
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num();
        int from = (int)share(a->n, t, a->threads), to = (int)share(a->n, t + 1, a->threads);
        uint16_t *work = (uint16_t *)a->work + (size_t)t * p->work;
        float *dw = t ? others + (size_t)(t - 1) * p->sums : a->dw;
        if (from == to)
            memset(dw, 0, p->sums * sizeof *dw);
        for (int first = from; first < to; first += p->chunk) {
            int n = to - first < p->chunk ? to - first : p->chunk;
            for (int slot = 0; slot < n; slot++)
                for (int b = 0; b < p->in + p->out; b++)
                    pack(a, p, first, n, slot, b, work);
            for (int i = 0; i < p->in; i++)
                for (int o = 0; o < p->out; o += together)
                    add_taps(a, p, n, work, i, o, together, dw, first == from);
        }
    }
#pragma omp parallel for num_threads(a->threads) schedule(static)
    for (size_t i = 0; i < p->sums; i++)
        for (int t = 1; t < a->threads; t++)
            a->dw[i] += others[(size_t)(t - 1) * p->sums + i];
}

static void filter_by_blocks(const struct filter_args *a, const struct alignment *p, int together)
{
    uint16_t *work = a->work;
    int blocks = p->in + p->out, columns = p->out / together;
#pragma omp parallel num_threads(a->threads)
    for (int first = 0; first < a->n; first += p->chunk) {
        int n = a->n - first < p->chunk ? a->n - first : p->chunk;
#pragma omp for schedule(static)
        for (int q = 0; q < n * blocks; q++)
            pack(a, p, first, n, q / blocks, q % blocks, work);
#pragma omp for schedule(static)
        for (int q = 0; q < p->in * columns; q++)
            add_taps(a, p, n, work, q / columns, q % columns * together, together, a->dw, !first);
    }
}

static void filter_gradient(const struct filter_args *a)
{
    struct alignment p = lay_out(a);
    (p.by_images ? filter_by_images : filter_by_blocks)(a, &p, p.out % 2 ? 1 : 2);
}

#endif
