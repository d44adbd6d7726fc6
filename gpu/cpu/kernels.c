// Element-wise kernels, compiled once for each instruction set (ISA = v2, v3, v4: the levels of
// x86-64; v8: of 64-bit Arm; b: with bf16; a: with AMX) with vectors of the level's natural length.
// See kernels.h for the layouts. Float sums run over one image plane at most; across images and
// threads they are double.
#include "gpu/cpu/kernels.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#ifdef __AVX512F__
#include <immintrin.h>
#define LANES 16
#else
#define LANES 8 // one AVX register, or two of SSE or of Arm that the compiler pairs
#endif
#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
#include <arm_neon.h>
#endif

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * LANES)));
typedef uint16_t vh __attribute__((vector_size(2 * LANES)));
typedef uint8_t vb __attribute__((vector_size(LANES)));
typedef double vd __attribute__((vector_size(8 * LANES)));

static const float EPS = 1e-5f;

// --- vectors of either element type ---
static inline vf load_f32(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store_f32(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}

static inline vf load_bf16(const uint16_t *p)
{
    vh h;
    memcpy(&h, p, sizeof h);
    return (vf)(__builtin_convertvector(h, vu) << 16);
}

// Round to nearest, ties to even; a NaN stays a NaN. (The
// instruction of AVX-512 takes denormals for zero.)
static inline void store_bf16(uint16_t *p, vf v)
{
#ifdef __AVX512BF16__
    __m256bh h = _mm512_cvtneps_pbh((__m512)v);
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
    float32x4_t half[2];
    memcpy(half, &v, sizeof half);
    bfloat16x8_t h = vcvtq_high_bf16_f32(vcvtq_low_bf16_f32(half[0]), half[1]);
#else
    vu u = (vu)v;
    vu rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    vu nan = (vu)(v != v);
    vh h = __builtin_convertvector((rounded & ~nan) | (((u >> 16) | 0x40) & nan), vh);
#endif
    memcpy(p, &h, sizeof h);
}

static inline float load1_f32(const float *p)
{
    return *p;
}

static inline void store1_f32(float *p, float v)
{
    *p = v;
}

static inline float load1_bf16(const uint16_t *p)
{
    uint32_t u = (uint32_t)*p << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline void store1_bf16(uint16_t *p, float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    *p = (uint16_t)(v != v ? (u >> 16) | 0x40 : (u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

// 0 where g <= 0, else v: a NaN is not hidden. (A maximum would take the other operand for one.)
static inline vf gate(vf v, vf g)
{
#ifdef __AVX512F__
    __mmask16 m = _mm512_cmp_ps_mask((__m512)g, _mm512_setzero_ps(), _CMP_NLE_UQ);
    return (vf)_mm512_maskz_mov_ps(m, (__m512)v);
#else
    return (vf)((vi)v & ~(g <= 0));
#endif
}

static inline vf positive(vf v)
{
    return gate(v, v);
}

static inline void accumulate(double *sum, vf v)
{
    vd s;
    memcpy(&s, sum, sizeof s);
    s += __builtin_convertvector(v, vd);
    memcpy(sum, &s, sizeof s);
}

static inline vf splat(float v)
{
    return v - (vf){0};
}

// The share [lo, hi) of thread t of T.
static inline int64_t share(int64_t n, int t, int T)
{
    return n * t / T;
}

// --- strips ---
// Channels side by side of all pixels of an image: a block, or where channels come last 4, 2 or 1
// vectors of them. Offsets are elements from the first image.
struct strip {
    int b, w;         // its first block; vectors a pixel
    size_t at, first; // where it begins, and that of the first image
    size_t step;      // from pixel to pixel
};

static inline struct strip strip_of(int last, int c, int hw, int n, int b)
{
    int blocks = c / LANES, left = blocks - b;
    size_t image = (size_t)c * (size_t)hw;
    struct strip s = {.b = b, .w = 1, .first = (size_t)b * (size_t)hw * LANES, .step = LANES};
    if (last) {
        s.w = left >= 4 ? 4 : left >= 2 ? 2 : 1;
        s.first = (size_t)b * LANES;
        s.step = (size_t)c;
    }
    s.at = s.first + (size_t)n * image;
    return s;
}

// --- the sums that both layouts end with ---
// Channel c: mean, variance and the affine map from the sums of x - ref and (x - ref)^2.
static inline void finish_forward(const struct norm_args *a, int c, double s, double q, double ref)
{
    double m = (double)a->n * a->hw;
    double mean = s / m, var = q / m - mean * mean;
    if (var < 0)
        var = 0;
    mean += ref;
    double inv = 1 / sqrt(var + (double)EPS);
    a->mean[c] = (float)mean;
    a->var[c] = (float)var;
    a->scale[c] = (float)(a->weight[c] * inv);
    a->shift[c] = (float)(a->bias[c] - mean * a->weight[c] * inv);
}

// Channel c: from s = sum dy and q = sum dy (x - mean): dweight, dbias, and dx = scale dy + k1 x +
// k0.
static inline void finish_backward(const struct norm_args *a, int c, double s, double q)
{
    double m = (double)a->n * a->hw, inv = 1 / sqrt((double)a->var[c] + (double)EPS);
    double scale = a->weight[c] * inv, slope = -q * inv * inv / m * scale;
    a->dbias[c] = (float)s;
    a->dweight[c] = (float)(q * inv);
    a->k1[c] = (float)slope;
    a->k0[c] = (float)(-s / m * scale - slope * a->mean[c]);
}

#define T       float
#define NAME(x) x##_f32
#include "gpu/cpu/kernels_typed.h"
#undef T
#undef NAME

#define T       uint16_t
#define NAME(x) x##_bf16
#include "gpu/cpu/kernels_typed.h"
#undef T
#undef NAME

static void sgd(float *w, float *v, const float *g0, const float *g1, size_t n, float lr,
                float momentum, float wd, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static) if (n > 1 << 14)
    for (size_t i = 0; i < n; i++) {
        v[i] = momentum * v[i] + (g0[i] + g1[i] + wd * w[i]);
        w[i] -= lr * v[i];
    }
}

static void squares(const float *w, const float *g0, const float *g1, size_t n, float wd,
                    double *partial, double sum[2], int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++) {
        double a = 0, b = 0;
        size_t lo = (size_t)share((int64_t)n, t, threads);
        size_t hi = (size_t)share((int64_t)n, t + 1, threads);
#pragma omp simd reduction(+ : a, b)
        for (size_t i = lo; i < hi; i++) {
            double x = w[i], y = g0[i] + g1[i] + wd * w[i];
            a += x * x;
            b += y * y;
        }
        partial[2 * t] = a;
        partial[2 * t + 1] = b;
    }
    sum[0] = sum[1] = 0;
    for (int t = 0; t < threads; t++) {
        sum[0] += partial[2 * t];
        sum[1] += partial[2 * t + 1];
    }
}

static void lars(float *w, float *v, const float *g0, const float *g1, size_t n, float lr,
                 float momentum, float wd, float q, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static) if (n > 1 << 14)
    for (size_t i = 0; i < n; i++) {
        v[i] = momentum * v[i] + q * (g0[i] + g1[i] + wd * w[i]);
        w[i] -= lr * v[i];
    }
}

static void ema(float *w, const float *followed, size_t n, double tau, int threads)
{
    float keep = (float)tau, take = (float)(1 - tau);
#pragma omp parallel for num_threads(threads) schedule(static) if (n > 1 << 14)
    for (size_t i = 0; i < n; i++)
        w[i] = keep * w[i] + take * followed[i];
}

#include "gpu/cpu/kernels_loss.h"
#include "gpu/cpu/kernels_filter.h"
#include "gpu/cpu/kernels_tiles.h"

#include "gpu/cpu/kernels_conv_tiles.h"
#include "gpu/cpu/kernels_filter_tiles.h"
#include "gpu/cpu/kernels_winograd.h"

#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)
#define STRING_(a)   #a
#define STRING(a)    STRING_(a)
#define BOTH(f)                                                                                    \
    {                                                                                              \
        f##_f32, f##_bf16                                                                          \
    }

extern const struct kernels PASTE(kernels_, ISA);
const struct kernels PASTE(kernels_, ISA) = {
    .name = ISA_FAMILY "-" STRING(ISA),
    .block = LANES,
#ifdef __AMX_BF16__
    .channels_last = 1,
#endif
    .norm_forward = BOTH(norm_forward),
    .norm_backward = BOTH(norm_backward),
    .norm_apply = BOTH(norm_apply),
    .row_norm_forward = BOTH(row_norm_forward),
    .row_norm_backward = BOTH(row_norm_backward),
    .row_norm_apply = BOTH(row_norm_apply),
    .norm_moments = BOTH(norm_moments),
    .norm_slopes = BOTH(norm_slopes),
    .norm_return = BOTH(norm_return),
    .row_norm_moments = BOTH(row_norm_moments),
    .row_norm_slopes = BOTH(row_norm_slopes),
    .row_norm_return = BOTH(row_norm_return),
    .relu = BOTH(relu),
    .add = BOTH(add),
    .relu_backward = BOTH(relu_backward),
    .gap = BOTH(gap),
    .gap_backward = BOTH(gap_backward),
    .maxpool = BOTH(maxpool),
    .maxpool_backward = BOTH(maxpool_backward),
    .cosine_dots = cosine_dots,
    .cosine_backward = cosine_backward,
    .direction_sums = direction_sums,
    .direction_std = direction_std,
    .dot = dot,
    .centre = centre,
    .combine = combine,
    .multiply = multiply,
    .sgd = sgd,
    .squares = squares,
    .lars = lars,
#ifdef __AVX512BF16__
    .filter_work = filter_work,
    .filter_gradient = filter_gradient,
#endif
    .filter_tiles_places = filter_tiles_places,
    .filter_tiles_find = filter_tiles_find,
    .filter_tiles_work = filter_tiles_work,
    .filter_tiles_gradient = filter_tiles_gradient,
    .conv_tiles_places = conv_tiles_places,
    .conv_tiles_find = conv_tiles_find,
    .conv_tiles_work = conv_tiles_work,
    .conv_tiles = conv_tiles,
#ifdef WINOGRAD
    .winograd_work = winograd_work,
    .winograd = winograd,
    .winograd_filter_work = winograd_filter_work,
    .winograd_filter = winograd_filter,
#endif
    .ema = ema,
};
