// What the fit of a forecast and its use share: the terms of the law, and the scale it is written
// in.
#ifndef SSLTOP_METRICS_SCIENCE_FORECAST_LAW_H
#define SSLTOP_METRICS_SCIENCE_FORECAST_LAW_H

#include <math.h>

#include "metrics/science/forecast.h"

static inline double forecast_accuracy(double logit)
{
    return 1 / (1 + exp(-logit));
}

// x[FORECAST_TERMS]; the square is of AUC less `centre`.
static inline void forecast_terms(double auc, double loss, double width, double centre, double *x)
{
    x[FORECAST_CONSTANT] = 1;
    x[FORECAST_AUC] = auc;
    x[FORECAST_AUC2] = (auc - centre) * (auc - centre);
    x[FORECAST_LOSS] = loss;
    x[FORECAST_WIDTH] = log(width);
}

static inline double forecast_sum(const double *coefficient, const double *x)
{
    double sum = 0;
    for (int t = 0; t < FORECAST_TERMS; t++)
        sum += coefficient[t] * x[t];
    return sum;
}

#endif
