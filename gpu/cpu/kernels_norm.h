// Batch norm for one element type: included by kernels_typed.h. Not a header to be read alone.

// --- batch norm, images ---
// Work goes strip by strip (kernels.c), of W vectors a pixel; sums take four vectors at a time, of
// one pixel or of neighbours. W is a constant wherever these are inlined.
#define EACH_WIDTH(s, f, ...)                                                                      \
    ((s)->w == 1 ? f(__VA_ARGS__, 1) : (s)->w == 2 ? f(__VA_ARGS__, 2) : f(__VA_ARGS__, 4))

// Four partial sums of W vectors: those of vector v together.
static inline __attribute__((always_inline)) vf NAME(four)(const vf s[4], int v, int W)
{
    return W == 4 ? s[v] : W == 2 ? s[v] + s[2 + v] : (s[0] + s[1]) + (s[2] + s[3]);
}

static inline __attribute__((always_inline)) void
NAME(norm_sums_strip)(const struct norm_args *a, const struct strip *strip, double *r, int W)
{
    const T *first = (const T *)a->x + strip->first, *p = (const T *)a->x + strip->at;
    size_t hw = (size_t)a->hw, i = 0;
    vf ref[4] = {{0}}, s[4] = {{0}}, q[4] = {{0}};
    for (int v = 0; v < W; v++)
        ref[v] = LOAD(first + v * LANES);
    for (; i + 4 / W <= hw; i += 4 / W)
        for (int j = 0; j < 4; j++) {
            vf v = LOAD(p + (i + j / W) * strip->step + j % W * LANES) - ref[j % W];
            s[j] += v;
            q[j] += v * v;
        }
    for (; i < hw; i++)
        for (int j = 0; j < W; j++) {
            vf v = LOAD(p + i * strip->step + j * LANES) - ref[j];
            s[j] += v;
            q[j] += v * v;
        }
    for (int v = 0; v < W; v++) {
        accumulate(r + (strip->b + v) * LANES, NAME(four)(s, v, W));
        accumulate(r + a->c + (strip->b + v) * LANES, NAME(four)(q, v, W));
    }
}

// This thread's sums of x - ref and its square over images [n0, n1), into r[0..c) and r[c..2c).
static void NAME(norm_sums)(const struct norm_args *a, int n0, int n1, double *r)
{
    memset(r, 0, 2 * (size_t)a->c * sizeof *r);
    for (int n = n0; n < n1; n++)
        for (int b = 0; b < a->c / LANES;) {
            struct strip s = strip_of(a->last, a->c, a->hw, n, b);
            EACH_WIDTH(&s, NAME(norm_sums_strip), a, &s, r);
            b += s.w;
        }
}

static inline __attribute__((always_inline)) void
NAME(norm_map_kind)(const struct norm_args *a, const struct strip *s, int adds, int relu, int W)
{
    const T *x = (const T *)a->x + s->at, *add = adds ? (const T *)a->add + s->at : NULL;
    T *y = (T *)a->y + s->at;
    vf scale[4], shift[4];
    for (int v = 0; v < W; v++) {
        scale[v] = load_f32(a->scale + (s->b + v) * LANES);
        shift[v] = load_f32(a->shift + (s->b + v) * LANES);
    }
    for (size_t i = 0; i < (size_t)a->hw; i++)
        for (int v = 0; v < W; v++) {
            size_t o = i * s->step + (size_t)v * LANES;
            vf z = LOAD(x + o) * scale[v] + shift[v];
            if (adds)
                z += LOAD(add + o);
            STORE(y + o, relu ? positive(z) : z);
        }
}

static inline __attribute__((always_inline)) void NAME(norm_map_strip)(const struct norm_args *a,
                                                                       const struct strip *s, int W)
{
    if (a->add && a->relu)
        NAME(norm_map_kind)(a, s, 1, 1, W);
    else if (a->add)
        NAME(norm_map_kind)(a, s, 1, 0, W);
    else if (a->relu)
        NAME(norm_map_kind)(a, s, 0, 1, W);
    else
        NAME(norm_map_kind)(a, s, 0, 0, W);
}

// y = [relu](scale x + shift [+ add]) over images [n0, n1), last image first: it is still in the
// cache.
static void NAME(norm_map)(const struct norm_args *a, int n0, int n1)
{
    for (int n = n1 - 1; n >= n0; n--)
        for (int b = 0; b < a->c / LANES;) {
            struct strip s = strip_of(a->last, a->c, a->hw, n, b);
            EACH_WIDTH(&s, NAME(norm_map_strip), a, &s);
            b += s.w;
        }
}

// Channel c of the first pixel.
static inline double NAME(norm_ref)(const struct norm_args *a, int c)
{
    return (double)LOAD1((const T *)a->x + strip_of(a->last, a->c, a->hw, 0, c / LANES).at +
                         c % LANES);
}

static void NAME(norm_forward)(const struct norm_args *a)
{
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num(), nt = omp_get_num_threads();
        int n0 = (int)share(a->n, t, nt), n1 = (int)share(a->n, t + 1, nt);
        NAME(norm_sums)(a, n0, n1, a->partial + (size_t)t * 2 * (size_t)a->c);
#pragma omp barrier
#pragma omp for schedule(static)
        for (int c = 0; c < a->c; c++) {
            double s = 0, q = 0;
            for (int k = 0; k < nt; k++) {
                s += a->partial[(size_t)k * 2 * a->c + c];
                q += a->partial[(size_t)k * 2 * a->c + a->c + c];
            }
            finish_forward(a, c, s, q, NAME(norm_ref)(a, c));
        }
        NAME(norm_map)(a, n0, n1);
    }
}

static void NAME(norm_moments)(const struct norm_args *a)
{
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num(), nt = omp_get_num_threads();
        double m = (double)a->n * a->hw;
        NAME(norm_sums)
        (a, (int)share(a->n, t, nt), (int)share(a->n, t + 1, nt),
         a->partial + (size_t)t * 2 * (size_t)a->c);
#pragma omp barrier
#pragma omp for schedule(static)
        for (int c = 0; c < a->c; c++) {
            double s = 0, q = 0;
            for (int k = 0; k < nt; k++) {
                s += a->partial[(size_t)k * 2 * a->c + c];
                q += a->partial[(size_t)k * 2 * a->c + a->c + c];
            }
            a->sums[c] = s / m + NAME(norm_ref)(a, c);
            a->sums[a->c + c] = q - s / m * s;
        }
    }
}

static void NAME(norm_apply)(const struct norm_args *a)
{
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num(), nt = omp_get_num_threads();
        NAME(norm_map)(a, (int)share(a->n, t, nt), (int)share(a->n, t + 1, nt));
    }
}

// The gradient at the batch norm's own output: dy [+ dy2], masked by the ReLU. Without `add` the
// mask is that of scale x + shift, which saves reading y.
static inline __attribute__((always_inline)) vf NAME(norm_dy)(const T *dy, const T *dy2, const T *y,
                                                              vf x, vf scale, vf shift, int relu)
{
    vf g = LOAD(dy);
    if (dy2)
        g += LOAD(dy2);
    if (relu)
        g = gate(g, y ? LOAD(y) : x * scale + shift);
    return g;
}

static inline __attribute__((always_inline)) void
NAME(norm_back_sums_kind)(const struct norm_args *a, const struct strip *strip, double *r, int two,
                          int relu, int keep, int W)
{
    size_t hw = (size_t)a->hw, i = 0, at = strip->at;
    const T *x = (const T *)a->x + at, *dy2 = two ? (const T *)a->dy2 + at : NULL;
    const T *y = a->add ? (const T *)a->y + at : NULL;
    T *dy = (T *)a->dy + at;
    vf scale[4], shift[4], mean[4] = {{0}}, s[4] = {{0}}, q[4] = {{0}};
    for (int v = 0; v < W; v++) {
        scale[v] = load_f32(a->scale + (strip->b + v) * LANES);
        shift[v] = load_f32(a->shift + (strip->b + v) * LANES);
        mean[v] = load_f32(a->mean + (strip->b + v) * LANES);
    }
    for (; i + 4 / W <= hw; i += 4 / W)
        for (int j = 0; j < 4; j++) {
            size_t o = (i + j / W) * strip->step + j % W * LANES;
            vf v = LOAD(x + o), g = NAME(norm_dy)(dy + o, two ? dy2 + o : NULL, y ? y + o : NULL, v,
                                                  scale[j % W], shift[j % W], relu);
            if (keep)
                STORE(dy + o, g);
            s[j] += g;
            q[j] += g * (v - mean[j % W]);
        }
    for (; i < hw; i++)
        for (int j = 0; j < W; j++) {
            size_t o = i * strip->step + j * LANES;
            vf v = LOAD(x + o), g = NAME(norm_dy)(dy + o, two ? dy2 + o : NULL, y ? y + o : NULL, v,
                                                  scale[j], shift[j], relu);
            if (keep)
                STORE(dy + o, g);
            s[j] += g;
            q[j] += g * (v - mean[j]);
        }
    for (int v = 0; v < W; v++) {
        accumulate(r + (strip->b + v) * LANES, NAME(four)(s, v, W));
        accumulate(r + a->c + (strip->b + v) * LANES, NAME(four)(q, v, W));
    }
}

static inline __attribute__((always_inline)) void
NAME(norm_back_sums_strip)(const struct norm_args *a, const struct strip *s, double *r, int W)
{
    int two = a->dy2 != NULL, keep = two || a->add;
    if (a->relu && two)
        NAME(norm_back_sums_kind)(a, s, r, 1, 1, 1, W);
    else if (a->relu && keep)
        NAME(norm_back_sums_kind)(a, s, r, 0, 1, 1, W);
    else if (a->relu)
        NAME(norm_back_sums_kind)(a, s, r, 0, 1, 0, W);
    else if (two)
        NAME(norm_back_sums_kind)(a, s, r, 1, 0, 1, W);
    else
        NAME(norm_back_sums_kind)(a, s, r, 0, 0, 0, W);
}

// This thread's sums of dy and dy (x - mean) over images [n0, n1), into r[0..c) and r[c..2c). Where
// the gradients are two, or are the residual's too, dy keeps what was added and masked.
static void NAME(norm_back_sums)(const struct norm_args *a, int n0, int n1, double *r)
{
    memset(r, 0, 2 * (size_t)a->c * sizeof *r);
    for (int n = n0; n < n1; n++)
        for (int b = 0; b < a->c / LANES;) {
            struct strip s = strip_of(a->last, a->c, a->hw, n, b);
            EACH_WIDTH(&s, NAME(norm_back_sums_strip), a, &s, r);
            b += s.w;
        }
}

static inline __attribute__((always_inline)) void
NAME(norm_back_map_kind)(const struct norm_args *a, const struct strip *s, int mask, int W)
{
    const T *x = (const T *)a->x + s->at, *dy = (const T *)a->dy + s->at;
    T *dx = (T *)a->dx + s->at;
    vf scale[4], shift[4], k1[4], k0[4];
    for (int v = 0; v < W; v++) {
        scale[v] = load_f32(a->scale + (s->b + v) * LANES);
        shift[v] = load_f32(a->shift + (s->b + v) * LANES);
        k1[v] = load_f32(a->k1 + (s->b + v) * LANES);
        k0[v] = load_f32(a->k0 + (s->b + v) * LANES);
    }
    for (size_t i = 0; i < (size_t)a->hw; i++)
        for (int v = 0; v < W; v++) {
            size_t o = i * s->step + (size_t)v * LANES;
            vf z = LOAD(x + o), g = LOAD(dy + o);
            if (mask)
                g = gate(g, z * scale[v] + shift[v]);
            STORE(dx + o, g * scale[v] + (z * k1[v] + k0[v]));
        }
}

static inline __attribute__((always_inline)) void
NAME(norm_back_map_strip)(const struct norm_args *a, const struct strip *s, int mask, int W)
{
    if (mask)
        NAME(norm_back_map_kind)(a, s, 1, W);
    else
        NAME(norm_back_map_kind)(a, s, 0, W);
}

// dx = scale dy + k1 x + k0 over images [n0, n1), last image first.
static void NAME(norm_back_map)(const struct norm_args *a, int n0, int n1)
{
    int mask = a->relu && !a->dy2 && !a->add;
    for (int n = n1 - 1; n >= n0; n--)
        for (int b = 0; b < a->c / LANES;) {
            struct strip s = strip_of(a->last, a->c, a->hw, n, b);
            EACH_WIDTH(&s, NAME(norm_back_map_strip), a, &s, mask);
            b += s.w;
        }
}

// `whole`: all of it; else only to the sums, which go out.
static inline __attribute__((always_inline)) void NAME(norm_back)(const struct norm_args *a,
                                                                  int whole)
{
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num(), nt = omp_get_num_threads();
        int n0 = (int)share(a->n, t, nt), n1 = (int)share(a->n, t + 1, nt);
        NAME(norm_back_sums)(a, n0, n1, a->partial + (size_t)t * 2 * (size_t)a->c);
#pragma omp barrier
#pragma omp for schedule(static)
        for (int c = 0; c < a->c; c++) {
            double s = 0, q = 0;
            for (int k = 0; k < nt; k++) {
                s += a->partial[(size_t)k * 2 * a->c + c];
                q += a->partial[(size_t)k * 2 * a->c + a->c + c];
            }
            if (whole) {
                finish_backward(a, c, s, q);
                continue;
            }
            a->sums[c] = s;
            a->sums[a->c + c] = q;
        }
        if (whole)
            NAME(norm_back_map)(a, n0, n1);
    }
}

static void NAME(norm_backward)(const struct norm_args *a)
{
    NAME(norm_back)(a, 1);
}

static void NAME(norm_slopes)(const struct norm_args *a)
{
    NAME(norm_back)(a, 0);
}

static void NAME(norm_return)(const struct norm_args *a)
{
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num(), nt = omp_get_num_threads();
        NAME(norm_back_map)(a, (int)share(a->n, t, nt), (int)share(a->n, t + 1, nt));
    }
}

// --- batch norm, rows (hw = 1): columns are shared out, sums are double, the variance takes a
// second pass ---

static inline void NAME(row_map)(const struct norm_args *a, int64_t c0, int64_t c1)
{
    for (int n = 0; n < a->n; n++) {
        size_t at = (size_t)n * (size_t)a->c;
        for (int64_t c = c0; c < c1; c++) {
            float v = LOAD1((const T *)a->x + at + c) * a->scale[c] + a->shift[c];
            if (a->add)
                v += LOAD1((const T *)a->add + at + c);
            STORE1((T *)a->y + at + c, a->relu && v <= 0 ? 0 : v);
        }
    }
}

// Means and sums of squared deviations of columns [c0, c1), into s and q.
static inline void NAME(row_moments)(const struct norm_args *a, int64_t c0, int64_t c1, double *s,
                                     double *q)
{
    const T *x = a->x;
    for (int64_t c = c0; c < c1; c++)
        s[c] = q[c] = 0;
    for (int n = 0; n < a->n; n++)
        for (int64_t c = c0; c < c1; c++)
            s[c] += LOAD1(x + (size_t)n * a->c + c);
    for (int64_t c = c0; c < c1; c++)
        s[c] /= a->n;
    for (int n = 0; n < a->n; n++)
        for (int64_t c = c0; c < c1; c++) {
            double v = LOAD1(x + (size_t)n * a->c + c) - s[c];
            q[c] += v * v;
        }
}

static void NAME(row_norm_forward)(const struct norm_args *a)
{
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num(), nt = omp_get_num_threads();
        int64_t c0 = share(a->c, t, nt), c1 = share(a->c, t + 1, nt);
        double *s = a->partial, *q = a->partial + a->c;
        NAME(row_moments)(a, c0, c1, s, q);
        for (int64_t c = c0; c < c1; c++)
            finish_forward(a, (int)c, 0, q[c], s[c]);
        NAME(row_map)(a, c0, c1);
    }
}

static void NAME(row_norm_moments)(const struct norm_args *a)
{
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num(), nt = omp_get_num_threads();
        NAME(row_moments)
        (a, share(a->c, t, nt), share(a->c, t + 1, nt), a->sums, a->sums + a->c);
    }
}

static void NAME(row_norm_apply)(const struct norm_args *a)
{
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num(), nt = omp_get_num_threads();
        NAME(row_map)(a, share(a->c, t, nt), share(a->c, t + 1, nt));
    }
}

// Sums of dy and dy (x - mean) of columns [c0, c1), into s and q; dy keeps what was added and
// masked.
static inline void NAME(row_slopes)(const struct norm_args *a, int64_t c0, int64_t c1, double *s,
                                    double *q)
{
    const T *x = a->x, *dy2 = a->dy2, *y = a->add ? a->y : NULL;
    T *dy = a->dy;
    for (int64_t c = c0; c < c1; c++)
        s[c] = q[c] = 0;
    for (int n = 0; n < a->n; n++)
        for (int64_t c = c0; c < c1; c++) {
            size_t i = (size_t)n * a->c + c;
            float v = LOAD1(x + i), g = LOAD1(dy + i) + (dy2 ? LOAD1(dy2 + i) : 0);
            if (a->relu && (y ? LOAD1(y + i) : v * a->scale[c] + a->shift[c]) <= 0)
                g = 0;
            STORE1(dy + i, g);
            s[c] += g;
            q[c] += (double)g * (v - a->mean[c]);
        }
}

static inline void NAME(row_return)(const struct norm_args *a, int64_t c0, int64_t c1)
{
    const T *x = a->x, *dy = a->dy;
    T *dx = a->dx;
    for (int n = 0; n < a->n; n++)
        for (int64_t c = c0; c < c1; c++) {
            size_t i = (size_t)n * a->c + c;
            STORE1(dx + i, LOAD1(dy + i) * a->scale[c] + (LOAD1(x + i) * a->k1[c] + a->k0[c]));
        }
}

static void NAME(row_norm_backward)(const struct norm_args *a)
{
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num(), nt = omp_get_num_threads();
        int64_t c0 = share(a->c, t, nt), c1 = share(a->c, t + 1, nt);
        double *s = a->partial, *q = a->partial + a->c;
        NAME(row_slopes)(a, c0, c1, s, q);
        for (int64_t c = c0; c < c1; c++)
            finish_backward(a, (int)c, s[c], q[c]);
        NAME(row_return)(a, c0, c1);
    }
}

static void NAME(row_norm_slopes)(const struct norm_args *a)
{
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num(), nt = omp_get_num_threads();
        NAME(row_slopes)
        (a, share(a->c, t, nt), share(a->c, t + 1, nt), a->sums, a->sums + a->c);
    }
}

static void NAME(row_norm_return)(const struct norm_args *a)
{
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num(), nt = omp_get_num_threads();
        NAME(row_return)(a, share(a->c, t, nt), share(a->c, t + 1, nt));
    }
}
