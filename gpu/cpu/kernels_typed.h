// The kernels for one element type: included by kernels.c with T and NAME() set to f32 or bf16. Not
// a header to be read alone.

#define LOAD   NAME(load)
#define STORE  NAME(store)
#define LOAD1  NAME(load1)
#define STORE1 NAME(store1)

#include "gpu/cpu/kernels_norm.h"

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

static void NAME(gap)(float *y, const void *xv, int n, int c, int hw, int last, int threads)
{
    const T *x = xv;
    int cb = (c + LANES - 1) / LANES;
    vf inv = splat(1.0f / (float)hw);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int i = 0; i < n; i++)
        for (int b = 0; b < cb; b++) {
            struct strip at = strip_of(last, cb * LANES, hw, i, b);
            vf s = {0};
            for (size_t j = 0; j < (size_t)hw; j++)
                s += LOAD(x + at.at + j * at.step);
            float v[LANES];
            store_f32(v, s * inv);
            for (int j = 0; j < LANES && b * LANES + j < c; j++)
                y[(size_t)i * c + b * LANES + j] = v[j];
        }
}

static void NAME(gap_backward)(void *dxv, const float *dy, int n, int c, int hw, int last,
                               int threads)
{
    T *dx = dxv;
    int cb = (c + LANES - 1) / LANES;
    vf inv = splat(1.0f / (float)hw);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int i = 0; i < n; i++)
        for (int b = 0; b < cb; b++) {
            struct strip at = strip_of(last, cb * LANES, hw, i, b);
            float g[LANES] = {0};
            for (int j = 0; j < LANES && b * LANES + j < c; j++)
                g[j] = dy[(size_t)i * c + b * LANES + j];
            vf v = load_f32(g) * inv;
            for (size_t j = 0; j < (size_t)hw; j++)
                STORE(dx + at.at + j * at.step, v);
        }
}

// --- max pool: output by output, then input by input, which gathers from the windows it lies in
// ---

static void NAME(maxpool)(const struct pool_args *a)
{
    int blocks = (a->c + LANES - 1) / LANES;
#pragma omp parallel for collapse(2) num_threads(a->threads) schedule(static)
    for (int b = 0; b < a->n * blocks; b++)
        for (int oh = 0; oh < a->oh; oh++)
            for (int ow = 0; ow < a->ow; ow++) {
                int n = b / blocks;
                struct strip in = strip_of(a->last, blocks * LANES, a->h * a->w, n, b % blocks);
                struct strip out = strip_of(a->last, blocks * LANES, a->oh * a->ow, n, b % blocks);
                const T *x = (const T *)a->x + in.at;
                size_t to = out.at + ((size_t)oh * a->ow + ow) * out.step;
                int r = oh * a->stride - a->pad, q = ow * a->stride - a->pad;
                vf best = {0};
                vi at = (vi){0} - 1;
                for (int i = r < 0 ? -r : 0; i < a->k && r + i < a->h; i++)
                    for (int j = q < 0 ? -q : 0; j < a->k && q + j < a->w; j++) {
                        vf v = LOAD(x + ((size_t)(r + i) * a->w + q + j) * in.step);
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
    int blocks = (a->c + LANES - 1) / LANES;
#pragma omp parallel for collapse(2) num_threads(a->threads) schedule(static)
    for (int b = 0; b < a->n * blocks; b++)
        for (int r = 0; r < a->h; r++) {
            int n = b / blocks, first = (r + a->pad) / a->stride;
            struct strip in = strip_of(a->last, blocks * LANES, a->h * a->w, n, b % blocks);
            struct strip out = strip_of(a->last, blocks * LANES, a->oh * a->ow, n, b % blocks);
            for (int q = 0; q < a->w; q++) {
                vf sum = {0};
                for (int oh = first; oh >= 0 && r + a->pad - oh * a->stride < a->k; oh--)
                    for (int ow = (q + a->pad) / a->stride;
                         ow >= 0 && q + a->pad - ow * a->stride < a->k; ow--) {
                        if (oh >= a->oh || ow >= a->ow)
                            continue;
                        size_t o = out.at + ((size_t)oh * a->ow + ow) * out.step;
                        int tap =
                            (r + a->pad - oh * a->stride) * a->k + q + a->pad - ow * a->stride;
                        vb place;
                        memcpy(&place, a->place + o, sizeof place);
                        vi here = __builtin_convertvector(place, vi) == tap;
                        sum += (vf)((vi)LOAD((const T *)a->dy + o) & here);
                    }
                STORE((T *)a->dx + in.at + ((size_t)r * a->w + q) * in.step, sum);
            }
        }
}

#undef LOAD
#undef STORE
#undef LOAD1
#undef STORE1
