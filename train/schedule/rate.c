// Rates over the steps of a run, as the published codes of SimSiam and BYOL have them (per step,
// where SimSiam's own code does it per epoch).
#include "train/schedule/rate.h"

#include <math.h>
#include <string.h>

#include "train/methods/method.h"

#define BATCH_OF_RATE 256.0 // lr is given for this batch (Goyal et al., 2017)
#define TRUST         0.001 // LARS
#define WARMUP_SHARE  0.1   // of the run, at most, where the user named no warm-up

double rate_warmup(const struct options *o, int64_t epoch, int64_t steps)
{
    if (o->warmup >= 0)
        return o->warmup * (double)epoch;
    const struct method_row *m = method_find(o->method);
    double usual = m ? m->defaults.warmup * (double)epoch : 0;
    return fmin(usual, WARMUP_SHARE * (double)steps);
}

void rate_update(const struct options *o, int64_t epoch, int64_t steps, int64_t t, double factor,
                 struct update *out)
{
    double peak = o->lr * o->batch / BATCH_OF_RATE * factor;
    double warm = rate_warmup(o, epoch, steps), at = (double)t;
    memset(out, 0, sizeof *out);
    if (at < warm) {
        out->lr[GROUP_MAIN] = out->lr[GROUP_PREDICTOR] = peak * at / warm;
    } else {
        double left = (double)steps - warm;
        out->lr[GROUP_MAIN] = peak * 0.5 * (1 + cos(M_PI * (at - warm) / left));
        out->lr[GROUP_PREDICTOR] = o->fix_pred_lr ? peak : out->lr[GROUP_MAIN];
    }
    out->kind = strcmp(o->optimizer, "lars") == 0 ? UPDATE_LARS : UPDATE_SGD;
    out->momentum = o->momentum;
    out->weight_decay = o->wd;
    out->trust = TRUST;
}

// The paper's code moves the target at the start of a step, towards what the step before left, with
// that step's tau; here it moves at the end.
double rate_tau(const struct options *o, int64_t steps, int64_t t)
{
    if (o->tau < 0 || strcmp(o->tau_schedule, "cosine") != 0)
        return o->tau;
    return 1 - (1 - o->tau) * 0.5 * (1 + cos(M_PI * (double)(t + 1) / (double)steps));
}
