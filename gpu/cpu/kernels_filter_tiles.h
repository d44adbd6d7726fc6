// Part of kernels.c: the gradient of a filter in bf16 where channels are last, by tiles.
//
// dw[tap] is the product of two matrices whose common side are the pixels: dy with a row for each
// channel, 32 pixels a tile, and x as it is seen through the tap, in pairs of pixels. dy is laid
// out once. x once for each column of the filter, with zero rows between the images that dy has
// too; the taps of a column then lie some whole rows of pairs apart. Or, `dense`, once for each tap
// without a pixel too many: where the stride is not 1, and where images are so small that the zeros
// would cost more than the copies.
struct filter_tiles {
    int dense;
    int planes;     // copies of x
    int in, out;    // blocks of channels
    int row, pitch; // not dense: pairs in a row of dy, rows of an image
    int image;      // pixels of an image, with the zeros
    int shift;      // not dense: pairs that the last row of taps lies further on
    int chunk;      // images at a time
    int by_images;  // threads share out images, each with sums of its own; else blocks of x
    int groups;     // not by images: parts of dy's blocks, so that each thread has something
    size_t tiles;   // in depth, of a chunk
    size_t rows;    // pairs of x, of a chunk
    size_t x, dy;   // elements of x and dy as a thread lays them out, or all together dy
    size_t sums;    // elements of dw
};

// Tiles in depth of n images.
static size_t filter_depth(const struct filter_tiles *p, int n)
{
    return ((size_t)n * (size_t)p->image + TILE_DEPTH - 1) / TILE_DEPTH;
}

static struct filter_tiles filter_tiles_of(const struct filter_args *a)
{
    enum { MULTIPLY = 16, COPY = 30 };                     // cycles, of a tile
    enum { BY_IMAGES = 1200, CACHE = 600000, LEAST = 16 }; // tiles of dw; bytes; tiles in depth
    struct filter_tiles p = {.in = a->ic / TILE_SIDE, .out = a->oc / TILE_SIDE};
    int taps = a->k * a->k, pixels = a->oh * a->ow;
    p.row = (a->ow + 1) / 2;
    p.pitch = a->ih + a->pad;
    double with_zeros = 2.0 * p.row * p.pitch / pixels;
    p.dense =
        a->stride > 1 || a->k == 1 ||
        taps * (p.out * MULTIPLY + COPY) < with_zeros * (taps * p.out * MULTIPLY + a->k * COPY);
    p.planes = p.dense ? taps : a->k;
    p.image = p.dense ? pixels : 2 * p.row * p.pitch;
    p.shift = p.dense ? 0 : (a->k - 1) * p.row;
    p.by_images = p.in * p.out * taps <= BY_IMAGES;
    int columns = (p.in + 1) / 2, n = p.by_images ? (a->n + a->threads - 1) / a->threads : a->n;
    p.groups = columns < a->threads ? (a->threads + columns - 1) / columns : 1;
    double bytes = 2.0 * p.image * (p.by_images ? p.planes * a->ic + a->oc : p.planes * 32);
    int most = (int)(CACHE / bytes), least = (LEAST * TILE_DEPTH + p.image - 1) / p.image;
    most = most < least ? least : most;
    most = most > n ? n : most;
    int chunks = (n + most - 1) / most;
    p.chunk = (n + chunks - 1) / chunks;
    p.tiles = filter_depth(&p, p.chunk);
    p.rows = p.tiles * TILE_SIDE + (size_t)p.shift;
    p.x = TILE_DEPTH * p.rows * (size_t)p.planes * (size_t)(p.by_images ? p.in : 2);
    p.dy = TILE_HALVES * p.tiles * (size_t)p.out *
           (size_t)(p.by_images ? 1 : (a->n + p.chunk - 1) / p.chunk);
    p.sums = TILE_FLOATS * (size_t)p.in * (size_t)p.out * (size_t)taps;
    return p;
}

// Where a pixel of the run lies, in elements from the first image of a chunk; -1: it is a zero.
// x through each plane, p.rows pairs of them, then dy.
static size_t filter_tiles_places(const struct filter_args *a)
{
    struct filter_tiles p = filter_tiles_of(a);
    return 2 * p.rows * (size_t)p.planes + TILE_DEPTH * p.tiles;
}

static void filter_tiles_find(const struct filter_args *a, int32_t *place)
{
    struct filter_tiles p = filter_tiles_of(a);
    int width = p.dense ? a->ow : 2 * p.row;
    for (int plane = 0; plane <= p.planes; plane++) {
        int is_x = plane < p.planes;
        int kh = !is_x ? 0 : p.dense ? plane / a->k : 0, kw = p.dense ? plane % a->k : plane;
        size_t n = is_x ? 2 * p.rows : TILE_DEPTH * p.tiles;
        for (size_t q = 0; q < n; q++) {
            int image = (int)(q / (size_t)p.image), at = (int)(q % (size_t)p.image);
            int r = at / width, c = at % width, h = is_x ? a->ih : a->oh, w = is_x ? a->iw : a->ow;
            if (is_x) {
                r = r * a->stride + kh - a->pad;
                c = c * a->stride + kw - a->pad;
            }
            *place++ = r < 0 || r >= h || c < 0 || c >= w || image >= p.chunk
                           ? -1
                           : ((image * h + r) * w + c) * (is_x ? a->ic : a->oc);
        }
    }
}

static const uint16_t filter_zeros[TILE_DEPTH];

static inline const uint16_t *filter_pixel(const uint16_t *first, int32_t place, size_t block)
{
    return place < 0 ? filter_zeros : first + (size_t)place + TILE_SIDE * block;
}

// Blocks [from, to) of x, of n images from the first on: plane, block, row of pairs.
static void filter_lay_x(const struct filter_args *a, const struct filter_tiles *p, int first,
                         int n, int from, int to, uint16_t *out)
{
    const uint16_t *x =
        (const uint16_t *)a->x + (size_t)first * (size_t)(a->ih * a->iw) * (size_t)a->ic;
    size_t rows = filter_depth(p, n) * TILE_SIDE + (size_t)p->shift;
    size_t end = (size_t)n * (size_t)p->image, apart = TILE_DEPTH * rows;
    for (int plane = 0; plane < p->planes; plane++) {
        const int32_t *at = a->place + 2 * p->rows * (size_t)plane;
        uint16_t *row = out + (size_t)plane * (size_t)(to - from) * apart;
        for (size_t r = 0; r < rows; r++, row += TILE_DEPTH) {
            int32_t left = 2 * r < end ? at[2 * r] : -1;
            int32_t right = 2 * r + 1 < end ? at[2 * r + 1] : -1;
            for (int b = from; b < to; b += 2)
                tile_pair(filter_pixel(x, left, (size_t)b), filter_pixel(x, right, (size_t)b),
                          b + 1 < to ? 2 : 1, row + (size_t)(b - from) * apart, apart);
        }
    }
}

// Depths [from, to) in tiles of dy, of n images: block, depth.
static void filter_lay_dy(const struct filter_args *a, const struct filter_tiles *p, int first,
                          int n, size_t from, size_t to, uint16_t *out)
{
    const uint16_t *dy =
        (const uint16_t *)a->dy + (size_t)first * (size_t)(a->oh * a->ow) * (size_t)a->oc;
    size_t depth = filter_depth(p, n), end = (size_t)n * (size_t)p->image;
    const int32_t *place = a->place + 2 * p->rows * (size_t)p->planes;
    for (size_t t = from; t < to; t++)
        for (size_t b = 0; b < (size_t)p->out; b++) {
            const uint16_t *pixel[TILE_DEPTH];
            for (size_t i = 0; i < TILE_DEPTH; i++) {
                size_t q = t * TILE_DEPTH + i;
                pixel[i] = filter_pixel(dy, q < end ? place[q] : -1, b);
            }
            tile_turn(pixel, 0, out + TILE_HALVES * (b * depth + t));
        }
}

// Sums over `depth` tiles: two blocks of dy, or one, by two of x, or one.
struct filter_run {
    const uint16_t *dy, *x;
    size_t dy_apart, x_apart; // elements from block to block
    size_t depth;
    float *sum;
    size_t out_apart, in_apart; // of the sums
    int fresh;
};

static inline __attribute__((always_inline)) void filter_run(const struct filter_run *r, int out,
                                                             int in)
{
    TILES_HERE;
    const uint16_t *dy = r->dy, *x = r->x;
    float *s00 = r->sum, *s01 = s00 + r->in_apart, *s10 = s00 + r->out_apart,
          *s11 = s10 + r->in_apart;
    if (r->fresh) {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
    } else {
        TILE_LOAD(0, s00, 64);
        if (in == 2)
            TILE_LOAD(1, s01, 64);
        if (out == 2)
            TILE_LOAD(2, s10, 64);
        if (out == 2 && in == 2)
            TILE_LOAD(3, s11, 64);
    }
    for (size_t t = 0; t < r->depth; t++, dy += TILE_HALVES, x += TILE_HALVES) {
        TILE_LOAD(6, x, 64);
        TILE_LOAD(4, dy, 64);
        TILE_MULTIPLY(0, 4, 6);
        if (in == 2) {
            TILE_LOAD(7, x + r->x_apart, 64);
            TILE_MULTIPLY(1, 4, 7);
        }
        if (out == 2) {
            TILE_LOAD(5, dy + r->dy_apart, 64);
            TILE_MULTIPLY(2, 5, 6);
            if (in == 2)
                TILE_MULTIPLY(3, 5, 7);
        }
    }
    TILE_STORE(0, s00, 64);
    if (in == 2)
        TILE_STORE(1, s01, 64);
    if (out == 2)
        TILE_STORE(2, s10, 64);
    if (out == 2 && in == 2)
        TILE_STORE(3, s11, 64);
}

// All taps of blocks [o, o_end) of dy and [i, i_end) of x, whose layouts begin with these blocks.
static void filter_taps(const struct filter_args *a, const struct filter_tiles *p, int n,
                        const uint16_t *x, int i, int i_end, const uint16_t *dy, int o, int o_end,
                        float *dw, int fresh)
{
    size_t depth = filter_depth(p, n), rows = depth * TILE_SIDE + (size_t)p->shift;
    size_t taps = (size_t)(a->k * a->k), block = TILE_FLOATS * taps;
    for (int ob = o; ob < o_end; ob += 2)
        for (int ib = i; ib < i_end; ib += 2)
            for (size_t tap = 0; tap < taps; tap++) {
                size_t kh = tap / (size_t)a->k, kw = tap % (size_t)a->k;
                size_t plane = p->dense ? tap : kw, at = p->dense ? 0 : kh * (size_t)p->row;
                struct filter_run r = {
                    .dy = dy + TILE_HALVES * depth * (size_t)(ob - o),
                    .x = x + TILE_DEPTH *
                                 (rows * (plane * (size_t)(i_end - i) + (size_t)(ib - i)) + at),
                    .dy_apart = TILE_HALVES * depth,
                    .x_apart = TILE_DEPTH * rows,
                    .depth = depth,
                    .sum =
                        dw + block * ((size_t)ob * (size_t)p->in + (size_t)ib) + TILE_FLOATS * tap,
                    .out_apart = block * (size_t)p->in,
                    .in_apart = block,
                    .fresh = fresh};
                int outs = ob + 1 < o_end ? 2 : 1, ins = ib + 1 < i_end ? 2 : 1;
                if (outs == 2 && ins == 2)
                    filter_run(&r, 2, 2);
                else if (outs == 2)
                    filter_run(&r, 2, 1);
                else if (ins == 2)
                    filter_run(&r, 1, 2);
                else
                    filter_run(&r, 1, 1);
            }
}

static size_t filter_tiles_work(const struct filter_args *a)
{
    struct filter_tiles p = filter_tiles_of(a);
    size_t threads = (size_t)a->threads;
    size_t halves = p.by_images ? threads * (p.x + p.dy) : threads * p.x + p.dy;
    size_t sums = p.by_images ? (threads - 1) * p.sums : 0;
    return 64 + halves * sizeof(uint16_t) + sums * sizeof(float);
}

static void filter_tiles_by_images(const struct filter_args *a, const struct filter_tiles *p,
                                   uint16_t *work)
{
    float *others = (void *)(work + (size_t)a->threads * (p->x + p->dy));
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num();
        int from = (int)share(a->n, t, a->threads), to = (int)share(a->n, t + 1, a->threads);
        uint16_t *x = work + (size_t)t * (p->x + p->dy), *dy = x + p->x;
        float *dw = t ? others + (size_t)(t - 1) * p->sums : a->dw;
        if (from == to)
            memset(dw, 0, p->sums * sizeof *dw);
        tiles_begin();
        for (int first = from; first < to; first += p->chunk) {
            int n = to - first < p->chunk ? to - first : p->chunk;
            filter_lay_x(a, p, first, n, 0, p->in, x);
            filter_lay_dy(a, p, first, n, 0, filter_depth(p, n), dy);
            filter_taps(a, p, n, x, 0, p->in, dy, 0, p->out, dw, first == from);
        }
        tiles_end();
    }
#pragma omp parallel for num_threads(a->threads) schedule(static)
    for (size_t i = 0; i < p->sums; i++)
        for (int t = 1; t < a->threads; t++)
            a->dw[i] += others[(size_t)(t - 1) * p->sums + i];
}

static void filter_tiles_by_blocks(const struct filter_args *a, const struct filter_tiles *p,
                                   uint16_t *work)
{
    int chunks = (a->n + p->chunk - 1) / p->chunk, columns = (p->in + 1) / 2;
    size_t chunk_dy = TILE_HALVES * p->tiles * (size_t)p->out;
    uint16_t *dy = work + (size_t)a->threads * p->x;
#pragma omp parallel num_threads(a->threads)
    {
        uint16_t *x = work + (size_t)omp_get_thread_num() * p->x;
#pragma omp for schedule(static)
        for (int64_t q = 0; q < (int64_t)p->tiles * chunks; q++) {
            int first = (int)(q / (int64_t)p->tiles) * p->chunk;
            int n = a->n - first < p->chunk ? a->n - first : p->chunk;
            size_t t = (size_t)q % p->tiles;
            if (t < filter_depth(p, n))
                filter_lay_dy(a, p, first, n, t, t + 1, dy + chunk_dy * (size_t)(first / p->chunk));
        }
        tiles_begin();
#pragma omp for schedule(static)
        for (int q = 0; q < columns * p->groups; q++) {
            int i = q % columns * 2, i_end = i + 2 < p->in ? i + 2 : p->in, g = q / columns;
            int pairs = (p->out + 1) / 2;
            int o = 2 * (int)share(pairs, g, p->groups),
                o_end = 2 * (int)share(pairs, g + 1, p->groups);
            o_end = o_end < p->out ? o_end : p->out;
            for (int first = 0; first < a->n && o < o_end; first += p->chunk) {
                int n = a->n - first < p->chunk ? a->n - first : p->chunk;
                filter_lay_x(a, p, first, n, i, i_end, x);
                filter_taps(a, p, n, x, i, i_end,
                            dy + chunk_dy * (size_t)(first / p->chunk) +
                                TILE_HALVES * filter_depth(p, n) * (size_t)o,
                            o, o_end, a->dw, !first);
            }
        }
        tiles_end();
    }
}

static void filter_tiles_gradient(const struct filter_args *a)
{
    struct filter_tiles p = filter_tiles_of(a);
    uint16_t *work = (uint16_t *)(((uintptr_t)a->work + 63) / 64 * 64);
    (p.by_images ? filter_tiles_by_images : filter_tiles_by_blocks)(a, &p, work);
}
