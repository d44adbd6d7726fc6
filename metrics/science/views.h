// What is too dear for every step. The spectrum of the projections and LiDAR of the features are
// worked a little at each (metrics/science/paced.h). Alignment and uniformity, the spectrum of
// features that are not centred, and pixel R2 are of one step in VIEWS_EVERY.
#ifndef SSLTOP_METRICS_SCIENCE_VIEWS_H
#define SSLTOP_METRICS_SCIENCE_VIEWS_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/science/metric.h"
#include "metrics/science/paced.h"

enum { VIEWS_ROWS = 128 };                 // of a view, that are looked at at a step
enum { VIEWS_EVERY = 16, VIEWS_RARE = 4 }; // VIEWS_RARE: metrics of one step in VIEWS_EVERY
enum { VIEWS_STATE = 32 * VIEWS_RARE };

// Rows of both views, as many as there are; n 0: none.
struct view_rows {
    const float *at[2];
    int64_t n[2];
};

struct views {
    struct paced z, h;       // d 0: nobody looks
    double *sigma, *lda;     // of the last spectrum of z, and eigenvalues of LiDAR's matrix
    double n;                // n_eff of that spectrum
    int64_t due;             // from this step on the rare ones are wanted
    double told[VIEWS_RARE]; // what they said last; NaN: nothing yet
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
enum { VIEWS_Z = 1, VIEWS_LIDAR = 2, VIEWS_NOW = 4 }; // VIEWS_NOW: the rare ones are of this step
int views_step(struct views *o, const struct view_rows *z, const struct view_rows *h,
               struct metric_input *in, struct error *e);
// Whether the rare ones are wanted of a step: the first that can have them, of every VIEWS_EVERY.
int views_due(const struct views *o, int64_t step);
// Whether it is the bits of `said` that tell what metric m is: -1, all steps do (or none does).
int views_say(int said, int m);
// What metric[METRIC_COUNT] of a step says of them, `said` as views_step or with VIEWS_NOW: kept
// for who resumes.
void views_tell(struct views *o, int64_t step, int said, const double *metric);
// value[METRIC_COUNT]: what they say now; NaN: nothing yet.
void views_last(const struct views *o, double *value);
// What the rare ones said last, as a word, and back for a run that goes on at `step`; "": nothing.
void views_export(const struct views *o, char text[VIEWS_STATE]);
int views_import(struct views *o, int64_t step, const char *text, struct error *e);

#endif
