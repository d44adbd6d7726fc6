// Numbers for tests of kernels: from a seed, the same on every machine.
#ifndef SSLTOP_TESTS_KIT_NUMBERS_H
#define SSLTOP_TESTS_KIT_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

// n numbers in [-1, 1), to be freed; aligned to 64 bytes. Fails the test without memory.
float *numbers_f32(size_t n, uint64_t seed);
// The same of numbers that bf16 holds exactly, and one of these as a float.
uint16_t *numbers_bf16(size_t n, uint64_t seed);
float numbers_widened(uint16_t h);

#endif
