// Which build of the kernels this processor runs.
#include "gpu/cpu/kernels.h"

extern const struct kernels kernels_v2, kernels_v3, kernels_v4, kernels_v4b;

const struct kernels *kernels_pick(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v4"))
        return __builtin_cpu_supports("avx512bf16") ? &kernels_v4b : &kernels_v4;
    if (__builtin_cpu_supports("x86-64-v3"))
        return &kernels_v3;
    return &kernels_v2;
}
