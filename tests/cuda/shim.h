// Lets g++ compile the .cu files: blocks, threads, barriers, shuffles and launches as calls into
// emu.cc. Comes after NVIDIA's own headers, whose prototypes and bf16 rounding stay in force.
#ifndef SSLTOP_TESTS_CUDA_SHIM_H
#define SSLTOP_TESTS_CUDA_SHIM_H

#include <cuda_runtime.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <functional>
#include <tuple>

struct emu_thread { // the running thread of the card
    uint3 at;
    int linear;
};
extern emu_thread *emu_self;
extern uint3 emu_block;
extern dim3 emu_block_dim, emu_grid_dim;
#define threadIdx (emu_self->at)
#define blockIdx  emu_block
#define blockDim  emu_block_dim
#define gridDim   emu_grid_dim

#undef __launch_bounds__
#undef __grid_constant__
#define __launch_bounds__(...)
#define __grid_constant__
#define DEVICE static inline
// Shared memory of the block; `key` tells one array, and one instance of a template, from another.
void *emu_shared(const void *key, size_t size);
#define SHARED(type, name, n)                                                                      \
    static const char name##_key = 0;                                                              \
    type *name = (type *)emu_shared(&name##_key, sizeof(type) * (n))

// Arguments are converted and copied when a kernel is launched, as <<<>>> does.
typedef std::function<void(void)> emu_work;
void emu_launch(const char *name, dim3 grid, dim3 block, cudaStream_t s, emu_work work);
template <class... P, class... A>
static inline void emu_bind(const char *name, void (*kernel)(P...), dim3 grid, dim3 block,
                            cudaStream_t s, A... a)
{
    static_assert(sizeof...(P) == sizeof...(A), "arguments of a kernel");
    std::tuple<P...> kept(a...);
    emu_launch(name, grid, block, s, [kernel, kept]() { std::apply(kernel, kept); });
}
#define LAUNCH(kernel, grid, block, stream, ...)                                                   \
    emu_bind(#kernel, kernel, dim3(grid), dim3(block), (stream), __VA_ARGS__)

void emu_barrier(const char *file, int line);
uint64_t emu_shuffle(unsigned mask, uint64_t v, int from, const char *file, int line);
int emu_lane(void);
#define __syncthreads() emu_barrier(__FILE__, __LINE__)
template <class T>
static inline T emu_shuffle_down(unsigned mask, T v, int by, const char *file, int line)
{
    uint64_t u = 0;
    static_assert(sizeof(T) <= sizeof u, "type of a shuffle");
    memcpy(&u, &v, sizeof v);
    int lane = emu_lane();
    u = emu_shuffle(mask, u, lane + by < 32 ? lane + by : lane, file, line);
    memcpy(&v, &u, sizeof v);
    return v;
}
#define __shfl_down_sync(mask, v, by) emu_shuffle_down(mask, v, by, __FILE__, __LINE__)

static inline float __uint_as_float(unsigned u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static inline double __longlong_as_double(long long u)
{
    double f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static inline float __fdividef(float a, float b)
{
    return a / b;
}

#endif
