// The pixels of a view, in the order of struct augment_view, as gpu/views/pixels.c defines them:
// crop and resize by PIL's antialiased bilinear filter, colour as torchvision's, Gaussian blur with
// reflected borders, then normalise and flip. A block works one view at a time in memory of its
// own; between the blur's passes and for means the block waits, everything else is a pixel a
// thread. Quotients are good to 2 ulp: exact division is a call, and calls spill.
#include "gpu/cuda/kernels/kernels.cuh"

enum { THREADS = 256, WARPS = THREADS / 32, RADIUS_MAX = 30 };

// Work memory of a block: the view's planes, and one or three for the half-way blur.
DEVICE float clamp01(float v)
{
    v = v > 0 ? v : 0;
    return v < 1 ? v : 1;
}

DEVICE float luminance(const float *x, int n, int i)
{
    return 0.299f * x[i] + 0.587f * x[n + i] + 0.114f * x[2 * n + i];
}

// One axis of the resize: from which to which source pixel output i reaches.
struct reach {
    float centre, wide;
    int lo, hi;
};

DEVICE void reach_of(struct reach *r, int i, int in, int out)
{
    float scale = __fdividef((float)in, (float)out);
    r->wide = scale > 1 ? scale : 1;
    r->centre = ((float)i + 0.5f) * scale;
    r->lo = (int)(r->centre - r->wide + 0.5f);
    r->hi = (int)(r->centre + r->wide + 0.5f);
    r->lo = r->lo < 0 ? 0 : r->lo;
    r->hi = r->hi > in ? in : r->hi;
}

DEVICE float weight_of(const struct reach *r, int x)
{
    float v = 1 - fabsf(__fdividef((float)x - r->centre + 0.5f, r->wide));
    return v > 0 ? v : 0;
}

// Output pixel (y, x) of one plane, in [0, 1].
DEVICE float resized(const struct cuda_augment *a, const uint8_t *plane,
                     const struct augment_view *v, int y, int x)
{
    struct reach ry, rx;
    reach_of(&ry, y, v->height, a->out_h);
    reach_of(&rx, x, v->width, a->out_w);
    float sum = 0, total_y = 0, total_x = 0;
    for (int j = rx.lo; j < rx.hi; j++)
        total_x += weight_of(&rx, j);
    for (int i = ry.lo; i < ry.hi; i++) {
        const uint8_t *row = plane + (size_t)(v->top + i) * a->w + v->left;
        float wy = weight_of(&ry, i), part = 0;
        for (int j = rx.lo; j < rx.hi; j++)
            part += weight_of(&rx, j) * (float)row[j];
        sum += wy * part;
        total_y += wy;
    }
    return __fdividef(sum, total_y * total_x * 255.0f);
}

DEVICE float from_hue(float h, float offset, float v, float chroma)
{
    float k = h + offset;
    k -= k >= 6 ? 6.0f : 0.0f;
    k -= k >= 6 ? 6.0f : 0.0f;
    float other = 4 - k;
    return v - chroma * clamp01(k < other ? k : other);
}

DEVICE void turn_hue(float *x, int n, int i, float f)
{
    float r = x[i], g = x[n + i], b = x[2 * n + i];
    float hi = fmaxf(fmaxf(r, g), b), lo = fminf(fminf(r, g), b), chroma = hi - lo;
    float over = hi == r ? g - b : hi == g ? b - r : r - g;
    float base = hi == r ? 6.0f : hi == g ? 2.0f : 4.0f;
    float h = base + __fdividef(over, chroma > 0 ? chroma : 1.0f);
    h -= h >= 6 ? 6.0f : 0.0f;
    h += 6 * f + (f < 0 ? 6.0f : 0.0f);
    h -= h >= 6 ? 6.0f : 0.0f;
    x[i] = clamp01(from_hue(h, 5, hi, chroma));
    x[n + i] = clamp01(from_hue(h, 3, hi, chroma));
    x[2 * n + i] = clamp01(from_hue(h, 1, hi, chroma));
}

// One part of the colour jitter. Each thread keeps to its own pixels; only the mean is the block's.
DEVICE void jitter(float *x, int n, int c, int part, float f, float *room)
{
    int t = (int)threadIdx.x;
    float base = 0;
    if (part == JITTER_CONTRAST) {
        float sum = 0;
        for (int i = t; i < n; i += THREADS)
            sum += c == 3 ? luminance(x, n, i) : x[i];
        base = __fdividef(block_sum(sum, room), (float)n);
    }
    for (int i = t; i < n; i += THREADS) {
        if (part == JITTER_HUE) {
            if (c == 3 && f != 0)
                turn_hue(x, n, i, f);
            continue;
        }
        if (part == JITTER_SATURATION) {
            if (c != 3)
                continue;
            base = luminance(x, n, i);
        }
        for (int k = 0; k < c; k++)
            x[k * n + i] = clamp01(f * x[k * n + i] + (1 - f) * base);
    }
}

// Index i of a signal of n mirrored at both ends without repeating them.
DEVICE int reflect(int i, int n)
{
    if (n == 1)
        return 0;
    int period = 2 * (n - 1);
    i = i < 0 ? -i : i;
    i %= period;
    return i < n ? i : period - i;
}

DEVICE void blur(const struct cuda_augment *a, float *x, float *half, float sigma, float *kernel)
{
    int t = (int)threadIdx.x, n = a->out_h * a->out_w, w = a->out_w;
    int radius = (int)ceilf(3 * sigma);
    radius = radius > RADIUS_MAX ? RADIUS_MAX : radius;
    __syncthreads();
    if (t <= 2 * radius)
        kernel[t] = expf(-0.5f * __fdividef((float)((t - radius) * (t - radius)), sigma * sigma));
    __syncthreads();
    float total = 0;
    for (int k = 0; k <= 2 * radius; k++)
        total += kernel[k];
    for (int i = t; i < a->c * n; i += THREADS) {
        const float *row = x + i / w * w;
        float sum = 0;
        for (int k = -radius; k <= radius; k++)
            sum += kernel[radius + k] * row[reflect(i % w + k, w)];
        half[i] = __fdividef(sum, total);
    }
    __syncthreads();
    for (int i = t; i < a->c * n; i += THREADS) {
        const float *plane = half + i / n * n + i % w;
        float sum = 0;
        for (int k = -radius; k <= radius; k++)
            sum += kernel[radius + k] * plane[reflect(i % n / w + k, a->out_h) * w];
        x[i] = __fdividef(sum, total);
    }
    __syncthreads(); // pixels change hands: here i counts over planes, elsewhere over one
}

DEVICE void finish(const struct cuda_augment *a, const float *x, int flip, void *out, size_t at)
{
    int n = a->out_h * a->out_w, w = a->out_w;
    for (int i = (int)threadIdx.x; i < n; i += THREADS) {
        int to = flip ? i / w * w + (w - 1 - i % w) : i;
        for (int k = 0; k < a->c; k++) {
            float v = x[k * n + i] * a->gain[k] + a->shift[k];
            size_t o = at + (size_t)to * a->c + k;
            if (a->type == CUDA_BF16)
                store1((bf16 *)out + o, v);
            else
                store1((float *)out + o, v);
        }
    }
}

KERNEL(THREADS) augment(const __grid_constant__ struct cuda_augment a)
{
    SHARED(float, room, WARPS);
    SHARED(float, kernel, 2 * RADIUS_MAX + 1);
    int n = a.out_h * a.out_w, c = a.c;
    float *x = a.work + (size_t)blockIdx.x * 2 * c * n, *half = x + (size_t)c * n;
    for (int job = (int)blockIdx.x; job < a.views * a.batch; job += (int)gridDim.x) {
        const struct augment_view *v = a.view + job;
        const uint8_t *image = a.pixels + (size_t)a.index[job % a.batch] * c * a.h * a.w;
        __syncthreads(); // the view before is finished
        for (int i = (int)threadIdx.x; i < n; i += THREADS)
            for (int k = 0; k < c; k++)
                x[k * n + i] =
                    resized(&a, image + (size_t)k * a.h * a.w, v, i / a.out_w, i % a.out_w);
        for (int k = 0; v->jitter && k < JITTER_PARTS; k++)
            jitter(x, n, c, v->order[k], v->factor[v->order[k]], room);
        if (v->grayscale && c == 3)
            for (int i = (int)threadIdx.x; i < n; i += THREADS)
                x[i] = x[n + i] = x[2 * n + i] = luminance(x, n, i);
        if (v->sigma > 0)
            blur(&a, x, half, v->sigma, kernel);
        if (v->solarize)
            for (int i = (int)threadIdx.x; i < n; i += THREADS)
                for (int k = 0; k < c; k++)
                    x[k * n + i] =
                        x[k * n + i] >= 128.0f / 255.0f ? 1 - x[k * n + i] : x[k * n + i];
        finish(&a, x, v->flip, a.out, (size_t)job * n * c);
    }
}

size_t cuda_augment_work(const struct cuda_augment *a)
{
    return (size_t)a->blocks * 2 * a->c * a->out_h * a->out_w;
}

cudaError_t cuda_augment(const struct cuda_augment *a, cudaStream_t s)
{
    int jobs = a->views * a->batch;
    LAUNCH(augment, (unsigned)(jobs < a->blocks ? jobs : a->blocks), THREADS, s, *a);
    return cudaGetLastError();
}
