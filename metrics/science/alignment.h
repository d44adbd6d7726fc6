// Alignment and uniformity of projections (Wang, Isola, ICML 2020, sec. 4): how near the two views
// of an image lie on the unit sphere, and how evenly all images fill it.
#ifndef SSLTOP_METRICS_SCIENCE_ALIGNMENT_H
#define SSLTOP_METRICS_SCIENCE_ALIGNMENT_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/base/memory.h"

enum { ALIGNMENT_ROWS = 128 }; // images looked at, at most: pairs grow with the square

// Workspace; allocate once, reuse.
struct alignment {
    int rows, dim;
    double *x, *gram; // 2 x rows x dim, rows x rows
    struct memory memory;
};

// For batches of `rows` (those beyond ALIGNMENT_ROWS are not looked at) rows of dim >= 1 numbers.
int alignment_init(struct alignment *p, int rows, int dim, struct error *e);
void alignment_free(struct alignment *p); // takes a zeroed struct too

// z[v]: projections of view v, p->rows x dim floats, row i of both from one image. Alignment: mean
// |x - y|^2 of the normalised pairs, 0 to 4. Uniformity: ln mean exp(-2 |x_i - x_j|^2) over the
// pairs i < j of a view, mean of the two views, -8 to 0 (0: all in one point); NaN below two rows.
// Rows without a direction (zero, or not finite) make both NaN.
void alignment_measure(struct alignment *p, const float *const z[2], double *alignment,
                       double *uniformity);

// The check that everybody uses: the mean over dimensions of std(z / |z|), times sqrt(dim), of n
// rows of dim floats. 1: their directions are spread as evenly as random ones; 0: all the same. NaN
// below two rows, or without memory.
double alignment_zstd(const float *z, int64_t n, int dim);

#endif
