// What the two views of training steps tell that is too dear for every step: the spectrum of the
// projections and LiDAR of the features. Both are worked a little at each
// (metrics/science/paced.h).
#ifndef SSLTOP_METRICS_SCIENCE_VIEWS_H
#define SSLTOP_METRICS_SCIENCE_VIEWS_H

#include "metrics/base/error.h"
#include "metrics/science/metric.h"
#include "metrics/science/paced.h"

enum { VIEWS_ROWS = 128 }; // of a view, that are looked at at a step

// Rows of both views, as many as there are; n 0: none.
struct view_rows {
    const float *at[2];
    int64_t n[2];
};

struct views {
    struct paced z, h;   // d 0: nobody looks
    double *sigma, *lda; // of the last spectrum of z, and eigenvalues of LiDAR's matrix
    double n;            // n_eff of that spectrum
};

// For projections of `dim` numbers and features of d, of either 0: there are none, or not yet. Free
// in any case.
int views_init(struct views *o, int dim, int d, struct error *e);
void views_free(struct views *o);                            // takes a zeroed struct too
int views_open_z(struct views *o, int dim, struct error *e); // once they are known
int views_open_h(struct views *o, int d, struct error *e);
// At the end of a step: the rows that are wanted (paced_wants of z and h); LiDAR takes those of
// which there are both views. Which of the two there is now, as bits: z's spectrum is in sigma, and
// it and LiDAR in `in`. -1: error.
enum { VIEWS_Z = 1, VIEWS_LIDAR = 2 };
int views_step(struct views *o, const struct view_rows *z, const struct view_rows *h,
               struct metric_input *in, struct error *e);
// What metric[METRIC_COUNT] of a step says of them, `said` as views_step: kept for who resumes.
void views_tell(struct views *o, int said, const double *metric);
// value[METRIC_COUNT]: what they say now; NaN: nothing yet.
void views_last(const struct views *o, double *value);

#endif
