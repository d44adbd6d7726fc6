// Spectra over steps, thinned so that memory is bounded however long the run: one for every
// `stride` steps. What the waterfall and the overlays of earlier steps draw.
#ifndef SSLTOP_TUI_FEED_SPECTRA_H
#define SSLTOP_TUI_FEED_SPECTRA_H

#include <stdint.h>

enum { SPECTRA_MAX = 1024, SPECTRA_VALUES = 1 << 23 }; // at most so many, and so many values in all

struct spectra_row {
    int64_t step;
    double n; // samples behind it
    int d;
    float *sigma; // descending
};
struct spectra {
    int64_t stride; // 0: empty
    int n;
    struct spectra_row *row; // by step
};

// Zeroed is empty.
void spectra_free(struct spectra *s);
// Keeps a copy if the step begins a new stride. -1 without memory. Steps may not go back: cut
// first.
int spectra_add(struct spectra *s, int64_t step, double n, int d, const double *sigma);
// Would spectra_add keep one of this step?
int spectra_wants(const struct spectra *s, int64_t step);
// Forget steps >= step.
void spectra_cut(struct spectra *s, int64_t step);
// The newest at or before the step; NULL: none.
const struct spectra_row *spectra_at(const struct spectra *s, int64_t step);

#endif
