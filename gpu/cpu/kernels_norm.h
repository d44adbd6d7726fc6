// Batch norm for one element type: included by kernels_typed.h. Not a header to be read alone.

// --- batch norm, blocked ---

// This thread's sums of x - ref and its square over images [n0, n1), into r[0..c) and r[c..2c).
static void NAME(norm_sums)(const struct norm_args *a, int n0, int n1, double *r)
{
    const T *x = a->x;
    int cb = a->c / LANES;
    size_t hw = (size_t)a->hw;
    memset(r, 0, 2 * (size_t)a->c * sizeof *r);
    for (int n = n0; n < n1; n++)
        for (int b = 0; b < cb; b++) {
            const T *p = x + ((size_t)n * cb + b) * hw * LANES;
            vf ref = LOAD(x + (size_t)b * hw * LANES), s[4] = {{0}}, q[4] = {{0}};
            size_t i = 0;
            for (; i + 4 <= hw; i += 4)
                for (int j = 0; j < 4; j++) {
                    vf v = LOAD(p + (i + j) * LANES) - ref;
                    s[j] += v;
                    q[j] += v * v;
                }
            for (; i < hw; i++) {
                vf v = LOAD(p + i * LANES) - ref;
                s[0] += v;
                q[0] += v * v;
            }
            accumulate(r + b * LANES, (s[0] + s[1]) + (s[2] + s[3]));
            accumulate(r + a->c + b * LANES, (q[0] + q[1]) + (q[2] + q[3]));
        }
}

// y = [relu](scale x + shift [+ add]) over images [n0, n1), last image first: it is still in the
// cache.
static void NAME(norm_map)(const struct norm_args *a, int n0, int n1)
{
    int cb = a->c / LANES;
    size_t hw = (size_t)a->hw;
    for (int n = n1 - 1; n >= n0; n--)
        for (int b = cb - 1; b >= 0; b--) {
            size_t at = ((size_t)n * cb + b) * hw * LANES;
            const T *x = (const T *)a->x + at, *add = a->add ? (const T *)a->add + at : NULL;
            T *y = (T *)a->y + at;
            vf scale = load_f32(a->scale + b * LANES), shift = load_f32(a->shift + b * LANES);
            if (add && a->relu)
                for (size_t i = 0; i < hw * LANES; i += LANES)
                    STORE(y + i, positive(LOAD(x + i) * scale + shift + LOAD(add + i)));
            else if (add)
                for (size_t i = 0; i < hw * LANES; i += LANES)
                    STORE(y + i, LOAD(x + i) * scale + shift + LOAD(add + i));
            else if (a->relu)
                for (size_t i = 0; i < hw * LANES; i += LANES)
                    STORE(y + i, positive(LOAD(x + i) * scale + shift));
            else
                for (size_t i = 0; i < hw * LANES; i += LANES)
                    STORE(y + i, LOAD(x + i) * scale + shift);
        }
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
            finish_forward(
                a, c, s, q,
                LOAD1((const T *)a->x + (size_t)(c / LANES) * a->hw * LANES + c % LANES));
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
            a->sums[c] = s / m + (double)LOAD1((const T *)a->x +
                                               (size_t)(c / LANES) * a->hw * LANES + c % LANES);
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
NAME(norm_back_sums_block)(const struct norm_args *a, size_t at, int b, int two, int relu, int keep,
                           double *r)
{
    size_t hw = (size_t)a->hw;
    const T *x = (const T *)a->x + at, *dy2 = two ? (const T *)a->dy2 + at : NULL;
    const T *y = a->add ? (const T *)a->y + at : NULL;
    T *dy = (T *)a->dy + at;
    vf scale = load_f32(a->scale + b * LANES), shift = load_f32(a->shift + b * LANES);
    vf mean = load_f32(a->mean + b * LANES), s[4] = {{0}}, q[4] = {{0}};
    size_t i = 0;
    for (; i + 4 <= hw; i += 4)
        for (int j = 0; j < 4; j++) {
            size_t o = (i + j) * LANES;
            vf v = LOAD(x + o), g = NAME(norm_dy)(dy + o, two ? dy2 + o : NULL, y ? y + o : NULL, v,
                                                  scale, shift, relu);
            if (keep)
                STORE(dy + o, g);
            s[j] += g;
            q[j] += g * (v - mean);
        }
    for (; i < hw; i++) {
        size_t o = i * LANES;
        vf v = LOAD(x + o),
           g = NAME(norm_dy)(dy + o, two ? dy2 + o : NULL, y ? y + o : NULL, v, scale, shift, relu);
        if (keep)
            STORE(dy + o, g);
        s[0] += g;
        q[0] += g * (v - mean);
    }
    accumulate(r + b * LANES, (s[0] + s[1]) + (s[2] + s[3]));
    accumulate(r + a->c + b * LANES, (q[0] + q[1]) + (q[2] + q[3]));
}

// This thread's sums of dy and dy (x - mean) over images [n0, n1), into r[0..c) and r[c..2c). Where
// the gradients are two, or are the residual's too, dy keeps what was added and masked.
static void NAME(norm_back_sums)(const struct norm_args *a, int n0, int n1, double *r)
{
    int two = a->dy2 != NULL, keep = two || a->add, cb = a->c / LANES;
    size_t hw = (size_t)a->hw;
    memset(r, 0, 2 * (size_t)a->c * sizeof *r);
    for (int n = n0; n < n1; n++)
        for (int b = 0; b < cb; b++) {
            size_t at = ((size_t)n * cb + b) * hw * LANES;
            if (a->relu && two)
                NAME(norm_back_sums_block)(a, at, b, 1, 1, 1, r);
            else if (a->relu && keep)
                NAME(norm_back_sums_block)(a, at, b, 0, 1, 1, r);
            else if (a->relu)
                NAME(norm_back_sums_block)(a, at, b, 0, 1, 0, r);
            else if (two)
                NAME(norm_back_sums_block)(a, at, b, 1, 0, 1, r);
            else
                NAME(norm_back_sums_block)(a, at, b, 0, 0, 0, r);
        }
}

// dx = scale dy + k1 x + k0 over images [n0, n1), last image first.
static void NAME(norm_back_map)(const struct norm_args *a, int n0, int n1)
{
    int cb = a->c / LANES, mask = a->relu && !a->dy2 && !a->add;
    size_t hw = (size_t)a->hw;
    for (int n = n1 - 1; n >= n0; n--)
        for (int b = cb - 1; b >= 0; b--) {
            size_t at = ((size_t)n * cb + b) * hw * LANES;
            const T *x = (const T *)a->x + at, *dy = (const T *)a->dy + at;
            T *dx = (T *)a->dx + at;
            vf scale = load_f32(a->scale + b * LANES), shift = load_f32(a->shift + b * LANES);
            vf k1 = load_f32(a->k1 + b * LANES), k0 = load_f32(a->k0 + b * LANES);
            if (mask)
                for (size_t i = 0; i < hw * LANES; i += LANES) {
                    vf v = LOAD(x + i);
                    STORE(dx + i, gate(LOAD(dy + i), v * scale + shift) * scale + (v * k1 + k0));
                }
            else
                for (size_t i = 0; i < hw * LANES; i += LANES)
                    STORE(dx + i, LOAD(dy + i) * scale + (LOAD(x + i) * k1 + k0));
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
