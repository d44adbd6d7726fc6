// Spectra over steps. When there is no room, strides double and every second one goes.
#include "tui/feed/spectra.h"

#include <stdlib.h>

void spectra_free(struct spectra *s)
{
    for (int i = 0; i < s->n; i++)
        free(s->row[i].sigma);
    free(s->row);
    *s = (struct spectra){0};
}

int spectra_wants(const struct spectra *s, int64_t step)
{
    return step >= 0 && (s->n == 0 || step / s->stride > s->row[s->n - 1].step / s->stride);
}

static void thin(struct spectra *s)
{
    int kept = 0;
    s->stride *= 2;
    for (int i = 0; i < s->n; i++) {
        if (kept && s->row[kept - 1].step / s->stride == s->row[i].step / s->stride)
            free(s->row[i].sigma);
        else
            s->row[kept++] = s->row[i];
    }
    s->n = kept;
}

int spectra_add(struct spectra *s, int64_t step, double n, int d, const double *sigma)
{
    if (d < 1 || d > SPECTRA_VALUES || !spectra_wants(s, step))
        return 0;
    int most = SPECTRA_VALUES / d < SPECTRA_MAX ? SPECTRA_VALUES / d : SPECTRA_MAX;
    if (!s->row) {
        s->row = calloc(SPECTRA_MAX, sizeof *s->row);
        if (!s->row)
            return -1;
        s->stride = 1;
    }
    while (s->n >= most && s->n > 0) {
        if (most < 2)
            spectra_cut(s, 0);
        else
            thin(s);
        if (!spectra_wants(s, step))
            return 0;
    }
    float *copy = malloc((size_t)d * sizeof *copy);
    if (!copy)
        return -1;
    for (int i = 0; i < d; i++)
        copy[i] = (float)sigma[i];
    s->row[s->n++] = (struct spectra_row){step, n, d, copy};
    return 0;
}

void spectra_cut(struct spectra *s, int64_t step)
{
    while (s->n && s->row[s->n - 1].step >= step)
        free(s->row[--s->n].sigma);
}

const struct spectra_row *spectra_at(const struct spectra *s, int64_t step)
{
    int lo = 0, hi = s->n; // the first behind it
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (s->row[mid].step <= step)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? &s->row[lo - 1] : NULL;
}
