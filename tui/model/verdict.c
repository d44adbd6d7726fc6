// What the numbers say, in words: constant, collapsed in part, or how many directions carry the
// spectrum. It calls nothing healthy: AUC has no scale and a z-std near 1 says nothing of a partial
// collapse, so only facts are stated.
#include "tui/model/verdict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tui/draw/canvas.h"
#include "tui/model/format.h"

static const double constant_spread = 1e-3, collapsed_zstd = 0.1, carried = 0.9, partial = 0.1;

// How many of the directions carry 90 % of the sum of the spectrum.
static int directions(const struct history_spectrum *s)
{
    double sum = 0, part = 0;
    for (int i = 0; i < s->d; i++)
        sum += s->sigma[i];
    int k = 0;
    while (k < s->d && part < carried * sum)
        part += s->sigma[k++];
    return k;
}

enum { LONG = 64, EACH = 8 }; // steps

// Of the newest step, or where that is without, as most steps of another's training are, what was
// measured last.
static double recent(const struct history *h, int metric)
{
    int64_t from = h->last_step - LONG;
    if (h->spectrum_step >= 0 && h->spectrum_step < from)
        from = h->spectrum_step;
    double v = h->last.metric[metric];
    return isnan(v) ? series_range(&h->series[metric], from, h->last_step + 1).last : v;
}

static int has_loss(const struct history *h, int64_t step)
{
    return isfinite(series_range(&h->series[METRIC_LOSS], step, step + 1).last);
}

// The newest loss is not a number. Another's script may hand over none, or one in some steps only:
// there it is missed where the steps before had one each, or where none has come for long.
static int loss_is_lost(const struct history *h)
{
    if (isfinite(h->last.metric[METRIC_LOSS]) || !*h->run.can)
        return !isfinite(h->last.metric[METRIC_LOSS]);
    int64_t had = h->last_step;
    while (had >= 0 && had > h->last_step - LONG && !has_loss(h, had))
        had--;
    if (had < 0 || had == h->last_step - LONG)
        return isfinite(series_range(&h->series[METRIC_LOSS], 0, had + 1).last);
    for (int64_t t = had; t >= 0 && t > had - EACH; t--)
        if (!has_loss(h, t))
            return 0;
    return 1;
}

enum role verdict(const struct history *h, char *text, size_t size)
{
    if (h->last_step < 0) {
        snprintf(text, size, "waiting for the first step");
        return ROLE_DIM;
    }
    if (loss_is_lost(h)) {
        snprintf(text, size, "the loss is not finite");
        return ROLE_BAD;
    }
    double spread = recent(h, METRIC_SPREAD), zstd = recent(h, METRIC_ZSTD);
    if (spread < constant_spread) {
        snprintf(text, size,
                 "constant: spread %s, below 1e-3: every image gets nearly the same feature",
                 format_value(spread, 3).s);
        return ROLE_BAD;
    }
    if (zstd < collapsed_zstd) {
        snprintf(text, size,
                 "collapse: z-std %s: projections of different images are nearly the same",
                 format_value(zstd, 3).s);
        return ROLE_BAD;
    }
    if (h->live.step < 0) {
        snprintf(text, size, "no spectrum yet");
        return ROLE_DIM;
    }
    int k = directions(&h->live);
    char start[96] = "";
    if (h->n_eval && h->eval[0].step < h->last_step && isfinite(h->eval[0].metric[METRIC_AUC]))
        snprintf(start, sizeof start, ", exact at start %s",
                 format_fixed(h->eval[0].metric[METRIC_AUC], 3).s);
    int is_partial = k <= partial * h->live.d;
    snprintf(text, size, "%s%d of %d directions carry 90 %% of \u03a3\u03c3 (AUC live %s%s)",
             is_partial ? "partial collapse: " : "", k, h->live.d,
             format_fixed(recent(h, METRIC_AUC), 3).s, start);
    return is_partial ? ROLE_WARN : ROLE_DIM;
}

// --- the best so far ---

void verdict_best(const struct history *h, char *text, size_t size)
{
    const struct history_eval *v = h->n_eval ? &h->eval[h->n_eval - 1] : NULL;
    *text = '\0';
    if (v && v->best_step >= 0)
        snprintf(text, size, "best step %s (%s %s %%)", format_count(v->best_step).s,
                 v->by_probe ? "probe" : "forecast", format_fixed(100 * v->best, 1).s);
}

enum role verdict_with_best(const struct history *h, int columns, char *text, size_t size)
{
    enum role role = verdict(h, text, size);
    const struct history_eval *v = h->n_eval ? &h->eval[h->n_eval - 1] : NULL;
    if (!v || v->best_step < 0 || v->best_age < 1)
        return role;
    char since[192], with[288], first[256], parts[256], line[512];
    snprintf(since, sizeof since, "nothing gained for %s evaluation%s, since step %s",
             format_count(v->best_age).s, v->best_age == 1 ? "" : "s",
             format_count(v->best_step).s);
    snprintf(with, sizeof with, "%s (%s %s %%)", since, v->by_probe ? "probe" : "forecast",
             format_fixed(100 * v->best, 1).s);
    snprintf(first, sizeof first, "%s", text);
    snprintf(parts, sizeof parts, "%s", text);
    if (role != ROLE_BAD && strstr(parts, " (AUC")) // a panel has it
        *strstr(parts, " (AUC") = '\0';
    const struct {
        const char *first, *then;
    } tries[] = {{first, with}, {parts, with}, {parts, since}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        snprintf(line, sizeof line, "%s \u00b7 %s", tries[i].first, tries[i].then);
        if (text_columns(line) <= columns) {
            snprintf(text, size, "%s", line);
            return role;
        }
    }
    if (role == ROLE_DIM) // nothing that has to be said before it
        snprintf(text, size, "%s", text_columns(with) <= columns ? with : since);
    return role;
}
