// The processor and its instruction sets; see isa.h.
#include "gpu/cpu/isa.h"

#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "gpu/cpu/onednn.h"

enum { KERNEL_SETS = 5 };

#ifdef __x86_64__
extern const struct kernels kernels_v2, kernels_v3, kernels_v4, kernels_v4b, kernels_v4a;

static const char nameless[] = "CPU";

static int allowed(dnnl_cpu_isa_t isa)
{
    unsigned takes = onednn_takes();
    return !takes || (takes & (unsigned)isa) == (unsigned)isa;
}

// The levels of x86-64, by their instructions: not every compiler knows their names.
static int has_v3(void)
{
    __builtin_cpu_init();
    return allowed(dnnl_cpu_isa_avx2) && __builtin_cpu_supports("avx2") &&
           __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
}

static int has_v4(void)
{
    return has_v3() && allowed(dnnl_cpu_isa_avx512_core) && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static int has_avx512_bf16(void)
{
    return has_v4() && allowed(dnnl_cpu_isa_avx512_core_bf16) &&
           __builtin_cpu_supports("avx512bf16");
}

// The kernel gives a process the registers of the tiles when it asks for them (Linux 5.16; its
// documentation, arch/x86/xstate.rst); threads that are made later have them too.
static int has_amx_bf16(void)
{
    enum { BF16 = 1 << 22, TILE = 1 << 24 }; // of cpuid 7.0, edx
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & BF16) && (d & TILE) &&
           allowed(dnnl_cpu_isa_avx512_core_amx) &&
           syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

static int kernel_sets(const struct kernels **k)
{
    int n = 0;
    k[n++] = &kernels_v2;
    if (has_v3())
        k[n++] = &kernels_v3;
    if (has_v4())
        k[n++] = &kernels_v4;
    if (has_avx512_bf16()) {
        k[n++] = &kernels_v4b;
        if (has_amx_bf16())
            k[n++] = &kernels_v4a;
    }
    return n;
}

const char *isa_bf16(void)
{
    return !has_avx512_bf16() ? NULL : has_amx_bf16() ? "amx_bf16" : "avx512_bf16";
}
#else
extern const struct kernels kernels_v8, kernels_v8b;

static const char nameless[] = "64-bit Arm"; // the kernel says no model

const char *isa_bf16(void)
{
    return getauxval(AT_HWCAP2) & HWCAP2_BF16 ? "bf16" : NULL;
}

static int kernel_sets(const struct kernels **k)
{
    k[0] = &kernels_v8;
    k[1] = &kernels_v8b;
    return isa_bf16() ? 2 : 1;
}
#endif

const struct kernels *kernels_usable(int i)
{
    const struct kernels *k[KERNEL_SETS];
    return i >= 0 && i < kernel_sets(k) ? k[i] : NULL;
}

const struct kernels *kernels_pick(void)
{
    const struct kernels *k[KERNEL_SETS] = {NULL};
    return k[kernel_sets(k) - 1];
}

void isa_processor(char *name, size_t size)
{
    snprintf(name, size, "%s", nameless);
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f)
        return;
    char line[256];
    while (fgets(line, sizeof line, f)) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !value)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(name, size, "%s", value + 2);
        break;
    }
    fclose(f);
}
