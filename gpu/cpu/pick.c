// Which build of the kernels this processor runs.
#include "gpu/cpu/kernels.h"

extern const struct kernels kernels_v2, kernels_v3, kernels_v4;

const struct kernels *kernels_pick(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v4"))
        return &kernels_v4;
    if (__builtin_cpu_supports("x86-64-v3"))
        return &kernels_v3;
    return &kernels_v2;
}
