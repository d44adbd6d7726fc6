// A calibration in use.
#include "metrics/forecast/forecast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/science/metric.h"

static const double MARGIN = 0.1;

const struct forecast_input_row forecast_inputs[FORECAST_INPUTS] = {
    [FORECAST_AUC] = {"auc", "auc", 0, FORECAST_LIVE_AUC, FORECAST_ALL_LAWS},
    [FORECAST_RANKME] = {"ln_rankme", "rankme", 1, FORECAST_LIVE_RANKME, FORECAST_ALL_LAWS},
    [FORECAST_RANKME_RAW] = {"ln_rankme_raw", "rankme_raw", 1, FORECAST_LIVE_RANKME_RAW,
                             FORECAST_ALL_LAWS},
    [FORECAST_TWONN] = {"ln_twonn", "twonn", 1, FORECAST_INPUTS, FORECAST_EXACT_LAWS},
    [FORECAST_SELF_CLUSTER] = {"self_cluster", "self_cluster", 0, FORECAST_INPUTS,
                               FORECAST_EXACT_LAWS},
    [FORECAST_SELF_CLUSTER_C] = {"self_cluster_c", "self_cluster_c", 0, FORECAST_INPUTS,
                                 FORECAST_EXACT_LAWS},
    [FORECAST_PIXEL_R2] = {"pixel_r2", "pixel_r2", 0, FORECAST_LIVE_PIXEL_R2, FORECAST_ALL_LAWS},
    [FORECAST_PSEUDO10] = {"pseudo10", "pseudo10", 0, FORECAST_INPUTS, FORECAST_ALL_LAWS},
    [FORECAST_PSEUDO30] = {"pseudo30", "pseudo30", 0, FORECAST_INPUTS, FORECAST_ALL_LAWS},
    [FORECAST_PSEUDO100] = {"pseudo100", "pseudo100", 0, FORECAST_INPUTS, FORECAST_ALL_LAWS},
    [FORECAST_FEWSHOT_R2] = {"fewshot_r2", NULL, 0, FORECAST_INPUTS, FORECAST_LIVE_LAW},
    [FORECAST_FEWSHOT10] = {"fewshot10", NULL, 0, FORECAST_INPUTS, FORECAST_ALL_LAWS},
    [FORECAST_LIDAR] = {"ln_lidar", "lidar", 1, FORECAST_LIVE_LIDAR, 0},
    [FORECAST_LOSS] = {"loss", NULL, 0, FORECAST_INPUTS, FORECAST_ALL_LAWS},
    [FORECAST_WIDTH] = {"ln_width", NULL, 1, FORECAST_INPUTS, FORECAST_ALL_LAWS},
    [FORECAST_SHARE] = {"share", NULL, 0, FORECAST_INPUTS, FORECAST_EXACT_LAWS},
    [FORECAST_POOL] = {"ln_pool", NULL, 1, FORECAST_INPUTS, 0},
    [FORECAST_ZSTD] = {"zstd", NULL, 0, FORECAST_INPUTS, FORECAST_ALL_LAWS},
    [FORECAST_LIVE_AUC] = {"live_auc", NULL, 0, FORECAST_INPUTS, FORECAST_LIVE_LAW},
    [FORECAST_LIVE_RANKME] = {"live_ln_rankme", NULL, 1, FORECAST_INPUTS, FORECAST_LIVE_LAW},
    [FORECAST_LIVE_RANKME_RAW] = {"live_ln_rankme_raw", NULL, 1, FORECAST_INPUTS,
                                  FORECAST_LIVE_LAW},
    [FORECAST_LIVE_PIXEL_R2] = {"live_pixel_r2", NULL, 0, FORECAST_INPUTS, FORECAST_LIVE_LAW},
    [FORECAST_LIVE_LIDAR] = {"live_ln_lidar", NULL, 1, FORECAST_INPUTS, 0},
};

double forecast_input_bounded(enum forecast_in i, double input)
{
    int is_r2 = i == FORECAST_PIXEL_R2 || i == FORECAST_LIVE_PIXEL_R2 || i == FORECAST_FEWSHOT_R2;
    return is_r2 && input < 0 ? 0 : input; // NaN stays
}

double forecast_input_of(enum forecast_in i, double value)
{
    double input = !forecast_inputs[i].is_log ? value : value > 0 ? log(value) : NAN;
    return forecast_input_bounded(i, input);
}

int forecast_input_find(const char *key)
{
    for (int i = 0; key && i < FORECAST_INPUTS; i++)
        if (strcmp(forecast_inputs[i].key, key) == 0)
            return i;
    return -1;
}

int forecast_metric(enum forecast_in i)
{
    return forecast_inputs[i].metric ? metric_find(forecast_inputs[i].metric) : -1;
}

struct forecast_input forecast_nothing(void)
{
    struct forecast_input in;
    for (int i = 0; i < FORECAST_INPUTS; i++)
        in.v[i] = NAN;
    return in;
}

double forecast_accuracy(double logit)
{
    return 1 / (1 + exp(-logit));
}

void forecast_free(struct forecast *f)
{
    for (int i = 0; i < f->runs && f->run; i++)
        free(f->run[i]);
    free(f->run);
    free(f->now.left_out);
    free(f->live.left_out);
    free(f->end.left_out);
    free(f->linear.left_out);
    memset(f, 0, sizeof *f);
}

const char *forecast_term_text(const struct forecast_term *t, char *text, size_t size)
{
    const char *a = forecast_inputs[t->a].key;
    if (t->b == FORECAST_INPUTS)
        snprintf(text, size, "%s", a);
    else if (t->b == t->a)
        snprintf(text, size, "%s^2", a);
    else
        snprintf(text, size, "%s x %s", a, forecast_inputs[t->b].key);
    return text;
}

// One evaluation's offset is as far from the next one's as the usual one is; halfway between them
// is nearer than either.
double forecast_stand_in(enum forecast_in i, double live, double offset, double usual)
{
    if (forecast_inputs[i].live == FORECAST_INPUTS)
        return live;
    double v = live + (isfinite(offset) ? (offset + usual) / 2 : usual);
    return !forecast_inputs[i].is_log && v > 1 ? 1 : v;
}

static int is_outside(const struct forecast_range *r, double v)
{
    double margin = MARGIN * (r->hi - r->lo);
    return v < r->lo - margin || v > r->hi + margin;
}

static int is_far(const struct forecast *f, const struct forecast_law *law,
                  const struct forecast_input *in)
{
    for (int i = 0; i < FORECAST_INPUTS; i++)
        if (law->range[i].lo <= law->range[i].hi && isfinite(in->v[i]) &&
            is_outside(&law->range[i], in->v[i]))
            return 1;
    // Where the fit left complete collapses out they lie above the largest AUC: no margin there.
    const struct forecast_range *auc = &law->range[FORECAST_AUC];
    if (f->collapsed && auc->lo <= auc->hi && in->v[FORECAST_AUC] > auc->hi)
        return 1;
    double zstd = in->v[FORECAST_ZSTD]; // whether a term looks at it or not
    return isfinite(zstd) && is_outside(&f->zstd, zstd);
}

double forecast_interval(const struct forecast_law *law, double logit)
{
    const struct forecast_knot *k = law->knot;
    if (logit <= k[0].at)
        return k[0].size;
    for (int i = 1; i < law->knots; i++)
        if (logit < k[i].at)
            return k[i - 1].size +
                   (k[i].size - k[i - 1].size) * (logit - k[i - 1].at) / (k[i].at - k[i - 1].at);
    return k[law->knots - 1].size;
}

struct forecast_value forecast_at(const struct forecast *f, const struct forecast_law *law,
                                  const struct forecast_input *in)
{
    struct forecast_value v = {FORECAST_UNKNOWN, NAN, NAN, NAN};
    double at = law->constant;
    if (!law->knots)
        return v;
    for (int t = 0; t < law->terms; t++) {
        const struct forecast_term *term = &law->term[t];
        double x = in->v[term->a] - law->centre[term->a];
        if (term->b != FORECAST_INPUTS)
            x *= in->v[term->b] - law->centre[term->b];
        at += term->coefficient * x;
    }
    if (isnan(at)) // something is not known, or coefficients are beyond sense
        return v;
    double size = forecast_interval(law, at);
    v.state = is_far(f, law, in) ? FORECAST_EXTRAPOLATING : FORECAST_OK;
    v.value = forecast_accuracy(at);
    v.lo = forecast_accuracy(at - size);
    v.hi = forecast_accuracy(at + size);
    return v;
}
