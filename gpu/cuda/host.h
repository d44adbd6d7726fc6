// The host's mathematics of the CUDA device: moments joined to moments, tensors turned around.
#ifndef SSLTOP_GPU_CUDA_HOST_H
#define SSLTOP_GPU_CUDA_HOST_H

#include "metrics/science/spectrum.h"

// Add n samples of weight one, known by their mean (d) and the lower triangle of their scatter
// about it, row after row.
void host_join(struct moments *m, int n, const double *mean, const double *scatter);

// n images of hw x c (floats, or bf16) to c x hw floats, and back.
void host_to_planes(const void *from, int bf16, int n, int c, int hw, float *to);
void host_to_rows(const float *from, int bf16, int n, int c, int hw, void *to);

#endif
