// The kernels for one element type: included by kernels.c with T and NAME() set to f32 or bf16. Not
// a header to be read alone.

#define LOAD   NAME(load)
#define STORE  NAME(store)
#define LOAD1  NAME(load1)
#define STORE1 NAME(store1)

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

static void NAME(norm_backward)(const struct norm_args *a)
{
    int two = a->dy2 != NULL,
        keep = two || a->add; // then dy holds the summed, masked gradient for the second pass
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num(), nt = omp_get_num_threads(), cb = a->c / LANES;
        int n0 = (int)share(a->n, t, nt), n1 = (int)share(a->n, t + 1, nt);
        size_t hw = (size_t)a->hw;
        double *r = a->partial + (size_t)t * 2 * (size_t)a->c;
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
#pragma omp barrier
#pragma omp for schedule(static)
        for (int c = 0; c < a->c; c++) {
            double s = 0, q = 0;
            for (int k = 0; k < nt; k++) {
                s += a->partial[(size_t)k * 2 * a->c + c];
                q += a->partial[(size_t)k * 2 * a->c + a->c + c];
            }
            finish_backward(a, c, s, q);
        }
        int mask = a->relu && !keep;
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
                        STORE(dx + i,
                              gate(LOAD(dy + i), v * scale + shift) * scale + (v * k1 + k0));
                    }
                else
                    for (size_t i = 0; i < hw * LANES; i += LANES)
                        STORE(dx + i, LOAD(dy + i) * scale + (LOAD(x + i) * k1 + k0));
            }
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

static void NAME(row_norm_forward)(const struct norm_args *a)
{
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num(), nt = omp_get_num_threads();
        int64_t c0 = share(a->c, t, nt), c1 = share(a->c, t + 1, nt);
        double *s = a->partial, *q = a->partial + a->c;
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
        for (int64_t c = c0; c < c1; c++)
            finish_forward(a, (int)c, 0, q[c], s[c]);
        NAME(row_map)(a, c0, c1);
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

static void NAME(row_norm_backward)(const struct norm_args *a)
{
#pragma omp parallel num_threads(a->threads)
    {
        int t = omp_get_thread_num(), nt = omp_get_num_threads();
        int64_t c0 = share(a->c, t, nt), c1 = share(a->c, t + 1, nt);
        double *s = a->partial, *q = a->partial + a->c;
        const T *x = a->x, *dy2 = a->dy2, *y = a->add ? a->y : NULL;
        T *dy = a->dy, *dx = a->dx;
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
        for (int64_t c = c0; c < c1; c++)
            finish_backward(a, (int)c, s[c], q[c]);
        for (int n = 0; n < a->n; n++)
            for (int64_t c = c0; c < c1; c++) {
                size_t i = (size_t)n * a->c + c;
                STORE1(dx + i, LOAD1(dy + i) * a->scale[c] + (LOAD1(x + i) * a->k1[c] + a->k0[c]));
            }
    }
}

// --- plain element-wise ---

static void NAME(relu)(void *yv, const void *xv, size_t n, int threads)
{
    T *y = yv;
    const T *x = xv;
    size_t whole = n / LANES * LANES;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < whole; i += LANES)
        STORE(y + i, positive(LOAD(x + i)));
    for (size_t i = whole; i < n; i++) {
        float v = LOAD1(x + i);
        STORE1(y + i, v <= 0 ? 0 : v);
    }
}

static void NAME(add)(void *yv, const void *av, const void *bv, size_t n, int threads)
{
    T *y = yv;
    const T *a = av, *b = bv;
    size_t whole = n / LANES * LANES;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < whole; i += LANES)
        STORE(y + i, LOAD(a + i) + LOAD(b + i));
    for (size_t i = whole; i < n; i++)
        STORE1(y + i, LOAD1(a + i) + LOAD1(b + i));
}

static void NAME(relu_backward)(void *dxv, const void *dyv, const void *yv, size_t n, int threads)
{
    T *dx = dxv;
    const T *dy = dyv, *y = yv;
    size_t whole = n / LANES * LANES;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < whole; i += LANES)
        STORE(dx + i, gate(LOAD(dy + i), LOAD(y + i)));
    for (size_t i = whole; i < n; i++)
        STORE1(dx + i, LOAD1(y + i) <= 0 ? 0 : LOAD1(dy + i));
}

static void NAME(gap)(float *y, const void *xv, int n, int c, int hw, int threads)
{
    const T *x = xv;
    int cb = (c + LANES - 1) / LANES;
    vf inv = splat(1.0f / (float)hw);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int i = 0; i < n; i++)
        for (int b = 0; b < cb; b++) {
            const T *p = x + ((size_t)i * cb + b) * (size_t)hw * LANES;
            vf s = {0};
            for (size_t j = 0; j < (size_t)hw; j++)
                s += LOAD(p + j * LANES);
            float v[LANES];
            store_f32(v, s * inv);
            for (int j = 0; j < LANES && b * LANES + j < c; j++)
                y[(size_t)i * c + b * LANES + j] = v[j];
        }
}

static void NAME(gap_backward)(void *dxv, const float *dy, int n, int c, int hw, int threads)
{
    T *dx = dxv;
    int cb = (c + LANES - 1) / LANES;
    vf inv = splat(1.0f / (float)hw);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int i = 0; i < n; i++)
        for (int b = 0; b < cb; b++) {
            T *p = dx + ((size_t)i * cb + b) * (size_t)hw * LANES;
            float g[LANES] = {0};
            for (int j = 0; j < LANES && b * LANES + j < c; j++)
                g[j] = dy[(size_t)i * c + b * LANES + j];
            vf v = load_f32(g) * inv;
            for (size_t j = 0; j < (size_t)hw; j++)
                STORE(p + j * LANES, v);
        }
}

// --- max pool: output by output, then input by input, which gathers from the windows it lies in
// ---

static void NAME(maxpool)(const struct pool_args *a)
{
    int blocks = a->n * ((a->c + LANES - 1) / LANES);
#pragma omp parallel for collapse(2) num_threads(a->threads) schedule(static)
    for (int b = 0; b < blocks; b++)
        for (int oh = 0; oh < a->oh; oh++)
            for (int ow = 0; ow < a->ow; ow++) {
                const T *x = (const T *)a->x + (size_t)b * a->h * a->w * LANES;
                size_t to = (((size_t)b * a->oh + oh) * a->ow + ow) * LANES;
                int r = oh * a->stride - a->pad, q = ow * a->stride - a->pad;
                vf best = {0};
                vi at = (vi){0} - 1;
                for (int i = r < 0 ? -r : 0; i < a->k && r + i < a->h; i++)
                    for (int j = q < 0 ? -q : 0; j < a->k && q + j < a->w; j++) {
                        vf v = LOAD(x + ((size_t)(r + i) * a->w + q + j) * LANES);
                        // A NaN is taken and stays.
                        vi take = (at < 0) | (~(v <= best) & (best == best));
                        best = (vf)(((vi)v & take) | ((vi)best & ~take));
                        at = ((i * a->k + j) & take) | (at & ~take);
                    }
                STORE((T *)a->y + to, best);
                vb place = __builtin_convertvector(at, vb);
                memcpy(a->place + to, &place, sizeof place);
            }
}

static void NAME(maxpool_backward)(const struct pool_args *a)
{
    int blocks = a->n * ((a->c + LANES - 1) / LANES);
#pragma omp parallel for collapse(2) num_threads(a->threads) schedule(static)
    for (int b = 0; b < blocks; b++)
        for (int r = 0; r < a->h; r++) {
            int first = (r + a->pad) / a->stride;
            for (int q = 0; q < a->w; q++) {
                vf sum = {0};
                for (int oh = first; oh >= 0 && r + a->pad - oh * a->stride < a->k; oh--)
                    for (int ow = (q + a->pad) / a->stride;
                         ow >= 0 && q + a->pad - ow * a->stride < a->k; ow--) {
                        if (oh >= a->oh || ow >= a->ow)
                            continue;
                        size_t o = (((size_t)b * a->oh + oh) * a->ow + ow) * LANES;
                        int tap =
                            (r + a->pad - oh * a->stride) * a->k + q + a->pad - ow * a->stride;
                        vb place;
                        memcpy(&place, a->place + o, sizeof place);
                        vi here = __builtin_convertvector(place, vi) == tap;
                        sum += (vf)((vi)LOAD((const T *)a->dy + o) & here);
                    }
                STORE((T *)a->dx + (((size_t)b * a->h + r) * a->w + q) * LANES, sum);
            }
        }
}

#undef LOAD
#undef STORE
#undef LOAD1
#undef STORE1
