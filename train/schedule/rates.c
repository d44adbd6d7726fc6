// Rates over the steps of a run, as the published codes of SimSiam and BYOL have them (per step,
// where SimSiam's own code does it per epoch), times what a person made of them.
#include "train/schedule/rates.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/memory.h"
#include "train/methods/method.h"
#include "train/schedule/schedule_text.h"

#define BATCH_OF_RATE 256.0 // lr is given for this batch (Goyal et al., 2017)
#define TRUST         0.001 // LARS
#define WARMUP_SHARE  0.1   // of the run, at most, where the user named no warm-up

double rates_warmup(const struct options *o, int64_t epoch, int64_t steps)
{
    if (o->warmup >= 0)
        return o->warmup * (double)epoch;
    const struct method_row *m = method_find(o->method);
    double usual = m ? m->defaults.warmup * (double)epoch : 0;
    return fmin(usual, WARMUP_SHARE * (double)steps);
}

void rates_update(const struct options *o, int64_t epoch, int64_t steps, int64_t t, double factor,
                  struct update *out)
{
    double peak = o->lr * o->batch / BATCH_OF_RATE * factor;
    double warm = rates_warmup(o, epoch, steps), at = (double)t;
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
double rates_tau(const struct options *o, int64_t steps, int64_t t)
{
    if (o->tau < 0 || strcmp(o->tau_schedule, "cosine") != 0)
        return o->tau;
    return 1 - (1 - o->tau) * 0.5 * (1 + cos(M_PI * (double)(t + 1) / (double)steps));
}

// --- factors ---

void rates_free(struct rates *r)
{
    free(r->entry);
    memset(r, 0, sizeof *r);
}

double rates_at(const struct rates *r, int64_t step)
{
    double factor = 1;
    for (int i = 0; i < r->n && r->entry[i].from <= step; i++)
        factor = r->entry[i].factor;
    return factor;
}

int rates_set(struct rates *r, int64_t from, double factor, struct error *e)
{
    int i = r->n;
    while (i > 0 && r->entry[i - 1].from >= from)
        i--;
    if (i < r->n && r->entry[i].from == from) {
        r->entry[i].factor = factor;
        return 0;
    }
    if (memory_grow(r->entry, r->cap, r->n + 1) < 0)
        return error_set(e, "too many changes of the learning rate");
    memmove(r->entry + i + 1, r->entry + i, (size_t)(r->n - i) * sizeof *r->entry);
    r->entry[i] = (struct rates_entry){from, factor};
    r->n++;
    return 0;
}

char *rates_text(const struct rates *r)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    if (!f)
        return NULL;
    for (int i = 0; i < r->n; i++)
        fprintf(f, "%s%" PRId64 ":%.17g", i ? "," : "", r->entry[i].from, r->entry[i].factor);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

// A factor as text, all of it, from this step on.
static int set_text(struct rates *r, int64_t from, const char *text, struct error *e)
{
    char *end, shown[64];
    double factor = strtod(text, &end);
    if (from >= 0 && end != text && !*end && isfinite(factor) && factor >= 0)
        return rates_set(r, from, factor, e);
    text_clean(shown, sizeof shown, text);
    return error_set(e, "a recorded learning rate factor can't be read at '%s'", shown);
}

int rates_parse(struct rates *r, const char *text, struct error *e)
{
    char word[64];
    int64_t from;
    int rc;
    rates_free(r);
    while ((rc = schedule_text_next(&text, &from, word, sizeof word)) > 0)
        if (set_text(r, from, word, e) < 0)
            return -1;
    return rc < 0 ? set_text(r, -1, text, e) : 0;
}

int rates_event(struct rates *r, const struct record_event *v, int64_t step, struct error *e)
{
    return strcmp(v->what, "lr") == 0 ? set_text(r, step, v->to, e) : 0;
}
