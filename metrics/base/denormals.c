// The mode is a bit or two of the register that also says how a thread rounds; a new thread has its
// starter's.
#include "metrics/base/denormals.h"

#include <stdint.h>

#if defined __x86_64__
#include <immintrin.h>

enum { ZERO_RESULTS = 0x8000, ZERO_INPUTS = 0x0040 }; // FTZ, DAZ

void denormals_flush(void)
{
    _mm_setcsr(_mm_getcsr() | ZERO_RESULTS | ZERO_INPUTS);
}
#elif defined __aarch64__
void denormals_flush(void)
{
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    mode |= UINT64_C(1) << 24; // FZ
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
}
#else
void denormals_flush(void)
{
}
#endif
