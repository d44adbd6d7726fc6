// A calibration in use.
#include "metrics/science/forecast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double MARGIN = 0.1;

const char *const forecast_term_key[FORECAST_TERMS] = {
    [FORECAST_CONSTANT] = "constant", [FORECAST_AUC] = "auc",        [FORECAST_AUC2] = "auc2",
    [FORECAST_LOSS] = "loss",         [FORECAST_WIDTH] = "ln_width",
};

double forecast_accuracy(double logit)
{
    return 1 / (1 + exp(-logit));
}

// x[FORECAST_TERMS]; the square is of AUC less `centre`.
void forecast_terms(double auc, double loss, double width, double centre, double *x)
{
    x[FORECAST_CONSTANT] = 1;
    x[FORECAST_AUC] = auc;
    x[FORECAST_AUC2] = (auc - centre) * (auc - centre);
    x[FORECAST_LOSS] = loss;
    x[FORECAST_WIDTH] = log(width);
}

double forecast_sum(const double *coefficient, const double *x)
{
    double sum = 0;
    for (int t = 0; t < FORECAST_TERMS; t++)
        sum += coefficient[t] * x[t];
    return sum;
}

void forecast_free(struct forecast *f)
{
    for (int i = 0; i < f->runs && f->run; i++)
        free(f->run[i]);
    free(f->run);
    memset(f, 0, sizeof *f);
}

// One evaluation's offset is as far from the next one's as the usual one is; halfway between them
// is nearer than either.
double forecast_stand_in(double live, double offset, double usual)
{
    double auc = live + (isfinite(offset) ? (offset + usual) / 2 : usual);
    return auc > 1 ? 1 : auc;
}

static int is_outside(const struct forecast_range *r, double v)
{
    double margin = MARGIN * (r->hi - r->lo);
    return v < r->lo - margin || v > r->hi + margin;
}

static int is_far(const struct forecast *f, const struct forecast_input *in)
{
    struct forecast_range width = {log(f->width.lo), log(f->width.hi)};
    // Above the largest AUC lies what the fit left out, a complete collapse: no margin there. Nor
    // is a fallen z-std within it.
    return is_outside(&f->auc, in->auc) || in->auc > f->auc.hi || is_outside(&f->loss, in->loss) ||
           is_outside(&width, log(in->width)) ||
           (isfinite(in->zstd) && is_outside(&f->zstd, in->zstd));
}

struct forecast_value forecast_at(const struct forecast *f, const struct forecast_input *in)
{
    struct forecast_value v = {FORECAST_UNKNOWN, NAN, NAN, NAN};
    double x[FORECAST_TERMS];
    if (!isfinite(in->auc) || !isfinite(in->loss) || in->width < 1)
        return v;
    forecast_terms(in->auc, in->loss, in->width, 0, x);
    double at = forecast_sum(f->coefficient, x);
    if (isnan(at)) // of a file whose coefficients are beyond sense
        return v;
    v.state = is_far(f, in) ? FORECAST_EXTRAPOLATING : FORECAST_OK;
    v.value = forecast_accuracy(at);
    v.lo = forecast_accuracy(at - f->quantile);
    v.hi = forecast_accuracy(at + f->quantile);
    return v;
}
