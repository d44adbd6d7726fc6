// Arithmetic of the host; see host.h.
#include "gpu/cuda/host.h"

#include <math.h>
#include <string.h>

#define TINY 1e-240 // as in metrics/science/spectrum.c: what decays below it is zero

// Chan, Golub, LeVeque (1983): scatter += scatter_b + w n / (w + n) delta delta^T.
void host_join(struct moments *m, int n, const double *mean, const double *scatter)
{
    size_t d = (size_t)m->d;
    double sum = m->weight + n, share = n / sum, pull = m->weight * share;
    double *delta = m->work;
    for (size_t i = 0; i < d; i++)
        delta[i] = mean[i] - m->mean[i];
    for (size_t i = 0; i < d; i++) {
        double *row = m->scatter + i * d;
        for (size_t j = 0; j <= i; j++)
            row[j] += *scatter++ + pull * delta[i] * delta[j];
    }
    for (size_t i = 0; i < d; i++) {
        double v = m->mean[i] + share * delta[i];
        m->mean[i] = fabs(v) < sqrt(TINY) ? 0 : v;
    }
    m->weight = sum;
    m->weight2 += n;
}

static float wide(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

// Nearest, ties to even; a NaN stays one.
static uint16_t narrow(float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    return (uint16_t)(v != v ? (u >> 16) | 0x40 : (u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

void host_to_planes(const void *from, int bf16, int n, int c, int hw, float *to)
{
    size_t image = (size_t)c * (size_t)hw;
    for (size_t i = 0; i < (size_t)n; i++)
        for (size_t k = 0; k < (size_t)c; k++)
            for (size_t q = 0; q < (size_t)hw; q++) {
                size_t at = i * image + q * (size_t)c + k;
                to[i * image + k * (size_t)hw + q] =
                    bf16 ? wide(((const uint16_t *)from)[at]) : ((const float *)from)[at];
            }
}

void host_to_rows(const float *from, int bf16, int n, int c, int hw, void *to)
{
    size_t image = (size_t)c * (size_t)hw;
    for (size_t i = 0; i < (size_t)n; i++)
        for (size_t k = 0; k < (size_t)c; k++)
            for (size_t q = 0; q < (size_t)hw; q++) {
                size_t at = i * image + q * (size_t)c + k;
                float v = from[i * image + k * (size_t)hw + q];
                if (bf16)
                    ((uint16_t *)to)[at] = narrow(v);
                else
                    ((float *)to)[at] = v;
            }
}
