// LiDAR, Linear Discriminant Analysis Rank (Thilak et al., ICLR 2024, arXiv 2312.04000, sec. 4): of
// how many directions of the features one can tell images apart by, where views of one image are
// alike. Every image is a class, its q views are its samples:
//
//   S_w = 1/(n q) sum_i sum_k (e_ik - m_i)(e_ik - m_i)^T + delta I,  m_i the mean of image i,
//   S_b = 1/n sum_i (m_i - m)(m_i - m)^T,                            m the mean of all,
//   LiDAR = exp(-sum_j p_j ln p_j),  p_j = l_j / sum l + 1e-7,
//   l_j the eigenvalues of S_w^-1/2 S_b S_w^-1/2.
//
// The paper's delta is a constant, 1e-4; here it is that of the mean of S_w's diagonal, so that the
// metric has no scale, as all others. A rank of covariance counts a direction that augmentation
// moves about as much as images do; this one does not. Between 1 and d, and below n.
#ifndef SSLTOP_METRICS_SCIENCE_LIDAR_H
#define SSLTOP_METRICS_SCIENCE_LIDAR_H

#include <stdint.h>

#include "metrics/base/error.h"

// The matrix whose eigenvalues count, symmetric, into `between`. Lower triangles, row major, d x d,
// of n q S_b and n q S_w without delta (any common factor does), both overwritten. 1: no such
// matrix, because views do not differ or something is not finite.
int lidar_matrix(double *between, double *within, int d);

// LiDAR from its d eigenvalues; below zero counts as zero. NaN where all are, or one is not finite.
double lidar_rank(const double *eigenvalue, int d);

// LiDAR of n images of q >= 2 views each: n q x d floats, the views of an image one after the
// other. NaN for fewer than two images, or where there is no such matrix.
int lidar_measure(const float *x, int64_t n, int q, int d, double *out, struct error *e);

#endif
