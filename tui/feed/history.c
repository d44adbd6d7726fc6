// Records in, series and the few things worth keeping out.
#include "tui/feed/history.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/memory.h"
#include "metrics/log/run_facts.h"
#include "train/methods/method.h"
#include "train/store/checkpoint.h"

static const double rate_memory =
    0.95; // weight of the past in the smoothed images/s: about the last 20 steps

int history_init(struct history *h, struct error *e)
{
    *h = (struct history){.last_step = -1,
                          .spectrum_step = -1,
                          .checkpoint_step = -1,
                          .device_step = -1,
                          .ranks.step = -1,
                          .rate = NAN,
                          .waiting = NAN};
    h->first_live.step = h->live.step = h->first_exact.step = h->exact.step = -1;
    h->first_z.step = h->z.step = -1;
    h->eval = calloc(HISTORY_EVALS, sizeof *h->eval);
    h->mode = calloc(HISTORY_SWITCHES, sizeof *h->mode);
    if (h->eval && h->mode)
        return 0;
    history_free(h);
    return error_memory(e, "the history of a run");
}

void history_free(struct history *h)
{
    free(h->first_live.sigma);
    free(h->live.sigma);
    free(h->first_exact.sigma);
    free(h->exact.sigma);
    free(h->first_z.sigma);
    free(h->z.sigma);
    spectra_free(&h->live_rows);
    spectra_free(&h->exact_rows);
    spectra_free(&h->z_rows);
    for (int i = 0; i < SERIES_COUNT; i++)
        series_free(&h->series[i]);
    free(h->run.config);
    free(h->run.device.algorithms);
    free(h->eval);
    free(h->mode);
    free(h->event);
    *h = (struct history){0};
}

static int add_run(struct history *h, const struct record_run *r, struct error *e)
{
    char *config = r->config ? strdup(r->config) : NULL;
    if (r->config && !config)
        return error_memory(e, "the configuration of a run");
    free(h->run.config);
    free(h->run.device.algorithms);
    h->run = *r;
    h->run.config = config;
    if (h->run.steps > SERIES_LAST_STEP)
        h->run.steps = -1;
    h->run.device.algorithms = NULL;
    const struct {
        char *to;
        const char *from;
        size_t size;
    } texts[] = {
        {h->run.name, r->name, sizeof r->name},
        {h->run.created, r->created, sizeof r->created},
        {h->run.dataset.name, r->dataset.name, sizeof r->dataset.name},
        {h->run.model.arch, r->model.arch, sizeof r->model.arch},
        {h->run.device.name, r->device.name, sizeof r->device.name},
        {h->run.device.detail, r->device.detail, sizeof r->device.detail},
        {h->run.device.precision, r->device.precision, sizeof r->device.precision},
        {h->run.parent, r->parent, sizeof r->parent},
        {h->run.can, r->can, sizeof r->can},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        text_clean(texts[i].to, texts[i].size, texts[i].from);
    struct run_facts facts;
    run_facts_read(r, &facts);
    h->batch = facts.batch;
    snprintf(h->method, sizeof h->method, "%s", facts.method);
    h->have_run = 1;
    return 0;
}

// A resumed run goes on from `step`: what was recorded from there on will come again.
static void rewind_to(struct history *h, int64_t step)
{
    for (int i = 0; i < SERIES_COUNT; i++)
        series_cut(&h->series[i], step);
    spectra_cut(&h->live_rows, step);
    spectra_cut(&h->exact_rows, step + 1);
    spectra_cut(&h->z_rows, step);
    if (h->z.step >= step)
        h->z.step = -1;
    while (h->n_eval && h->eval[h->n_eval - 1].step > step)
        h->n_eval--;
    while (h->n_mode && h->mode[h->n_mode - 1].step >= step)
        h->n_mode--;
}

// The part of a step that waits for data; NaN where a phase is missing.
static double waiting_share(const struct record_step *r)
{
    double sum = 0;
    for (int i = 0; i < PHASE_COUNT; i++)
        if (i < PHASE_SPECTRUM || isfinite(r->ms[i]))
            sum += r->ms[i];
    return sum > 0 ? r->ms[PHASE_DATA] / sum : NAN;
}

// A forecast whose state says that nothing stands behind it is in the log, but nobody sees it.
static void hide_forecast(struct record_step *r)
{
    if (r->forecast_state[0])
        r->forecast = r->forecast_lo = r->forecast_hi = NAN;
    if (r->forecast_state[0])
        r->forecast_end = r->forecast_end_lo = r->forecast_end_hi = NAN;
}

static int add_own(struct history *h, int64_t step, const struct record_own *own)
{
    int bad = 0;
    for (int i = 0; i < own->n; i++) {
        char name[RECORD_OWN_NAME];
        int k = 0;
        text_clean(name, sizeof name, own->item[i].name);
        while (k < h->n_own && strcmp(h->own[k], name) != 0)
            k++;
        if (k == RECORD_OWN)
            continue;
        if (k == h->n_own)
            memcpy(h->own[h->n_own++], name, sizeof name);
        bad |= series_add(&h->series[SERIES_OWN + k], step, own->item[i].value);
    }
    return bad;
}

static int add_step(struct history *h, int64_t step, const struct record_step *logged,
                    struct error *e)
{
    struct record_step shown = *logged, *r = &shown;
    if (step < 0)
        return 0;
    hide_forecast(r);
    if (step <= h->last_step)
        rewind_to(h, step);
    int bad = 0;
    for (int i = 0; i < METRIC_COUNT; i++)
        bad |= series_add(&h->series[i], step, r->metric[i]);
    bad |= series_add(&h->series[SERIES_IMAGES_S], step, r->images_s);
    bad |= series_add(&h->series[SERIES_LR], step, r->lr);
    for (int i = 0; i < PHASE_COUNT; i++)
        bad |= series_add(&h->series[SERIES_PHASE + i], step, r->ms[i]);
    bad |= series_add(&h->series[SERIES_FORECAST], step, 100 * r->forecast);
    bad |= series_add(&h->series[SERIES_FORECAST_LO], step, 100 * r->forecast_lo);
    bad |= series_add(&h->series[SERIES_FORECAST_HI], step, 100 * r->forecast_hi);
    bad |= series_add(&h->series[SERIES_TIME], step, r->t);
    bad |= series_add(&h->series[SERIES_CHUNK], step, r->chunk < 0 ? NAN : r->chunk);
    bad |= add_own(h, step, &r->own);
    if (bad)
        return error_memory(e, "the series of a run");
    h->last = *r;
    h->last_step = step;
    h->steps++;
    h->ended = 0;
    if (isfinite(r->metric[METRIC_AUC])) {
        h->spectrum_gap = h->spectrum_step >= 0 ? step - h->spectrum_step : 0;
        h->spectrum_step = step;
    }
    if (r->images_s > 0 && isfinite(r->images_s))
        h->rate =
            isnan(h->rate) ? r->images_s : rate_memory * h->rate + (1 - rate_memory) * r->images_s;
    double share = waiting_share(r);
    if (isfinite(share))
        h->waiting =
            isnan(h->waiting) ? share : rate_memory * h->waiting + (1 - rate_memory) * share;
    if (r->mode != MODE_NONE && (!h->n_mode || h->mode[h->n_mode - 1].mode != r->mode)) {
        if (h->n_mode == HISTORY_SWITCHES) { // keep the newest
            memmove(h->mode, h->mode + 1, (HISTORY_SWITCHES - 1) * sizeof *h->mode);
            h->n_mode--;
        }
        h->mode[h->n_mode++] = (struct history_switch){step, r->mode};
    }
    return 0;
}

static int keep_spectrum(struct history_spectrum *to, int64_t step, const struct record_spectrum *r,
                         struct error *e)
{
    double *sigma = to->d == r->d && to->sigma ? to->sigma : malloc((size_t)r->d * sizeof *sigma);
    if (!sigma)
        return error_memory(e, "a spectrum of %d values", r->d);
    if (sigma != to->sigma)
        free(to->sigma);
    memcpy(sigma, r->sigma, (size_t)r->d * sizeof *sigma);
    *to = (struct history_spectrum){step, r->n, r->d, sigma};
    return 0;
}

static int add_spectrum(struct history *h, int64_t step, const struct record_spectrum *r,
                        struct error *e)
{
    if (r->d < 1 || !r->sigma)
        return 0;
    const struct {
        struct history_spectrum *first, *now;
        struct spectra *rows;
    } kept[SPECTRUM_SOURCES] = {[SPECTRUM_LIVE] = {&h->first_live, &h->live, &h->live_rows},
                                [SPECTRUM_EXACT] = {&h->first_exact, &h->exact, &h->exact_rows},
                                [SPECTRUM_Z] = {&h->first_z, &h->z, &h->z_rows}};
    struct history_spectrum *first = kept[r->source].first;
    if ((first->step < 0 || step <= first->step) && keep_spectrum(first, step, r, e))
        return -1;
    struct spectra *rows = kept[r->source].rows;
    spectra_cut(rows, step);
    if (spectra_add(rows, step, r->n, r->d, r->sigma))
        return error_memory(e, "the spectra of a run");
    return keep_spectrum(kept[r->source].now, step, r, e);
}

static int add_event_text(struct history *h, int64_t step, enum history_kind kind, int warning,
                          const char *text, struct error *e)
{
    if (memory_grow(h->event, h->event_cap, h->n_event + (h->n_event < HISTORY_EVENTS)) < 0)
        return error_memory(e, "the events of a run");
    if (h->n_event == HISTORY_EVENTS) {
        h->n_event -= HISTORY_EVENTS / 4;
        memmove(h->event, h->event + HISTORY_EVENTS / 4, (size_t)h->n_event * sizeof *h->event);
    }
    struct history_event *v = &h->event[h->n_event++];
    *v = (struct history_event){.step = step, .warning = warning, .kind = kind};
    text_clean(v->text, sizeof v->text, text);
    return 0;
}

// Remarks and evaluations (or these only) from `step` on are of a past that did not happen, or come
// again.
static void forget_events(struct history *h, int64_t step, int only_measured)
{
    int kept = 0;
    for (int i = 0; i < h->n_event; i++) {
        enum history_kind kind = h->event[i].kind;
        int goes = kind == HISTORY_MEASURED || (kind == HISTORY_REMARK && !only_measured);
        if (goes && h->event[i].step >= step)
            continue;
        if (kept != i)
            h->event[kept] = h->event[i];
        kept++;
    }
    h->n_event = kept;
}

static int add_eval(struct history *h, int64_t step, const struct record_eval *r, struct error *e)
{
    while (h->n_eval && h->eval[h->n_eval - 1].step >= step)
        h->n_eval--;
    if (h->n_eval == HISTORY_EVALS) { // thin out: every second one, the first stays
        for (int i = 0; i < HISTORY_EVALS / 2; i++)
            h->eval[i] = h->eval[2 * i];
        h->n_eval /= 2;
    }
    struct history_eval *v = &h->eval[h->n_eval++];
    v->step = step;
    memcpy(v->metric, r->metric, sizeof v->metric);
    v->probe = r->probe;
    v->knn = r->knn;
    v->best = r->best;
    v->best_step = isfinite(r->best) ? r->best_step : -1;
    v->best_age = r->best_age;
    v->by_probe = strcmp(r->best_by, "probe") == 0;
    v->live_auc = series_range(&h->series[METRIC_AUC], h->spectrum_step, h->spectrum_step + 1).last;
    if (h->spectrum_step < 0)
        v->live_auc = NAN;
    char text[200], offset[32] = "", probe[64] = "";
    if (isfinite(v->live_auc))
        snprintf(offset, sizeof offset, " (live %.3f)", v->live_auc);
    if (isfinite(v->probe) && isfinite(v->knn))
        snprintf(probe, sizeof probe, ", probe %.1f %%, kNN %.1f %%", 100 * v->probe, 100 * v->knn);
    snprintf(text, sizeof text, "exact AUC %.3f%s%s, RankMe %.1f%s", v->metric[METRIC_AUC], offset,
             probe, v->metric[METRIC_RANKME], v->best_step == step ? ", best so far" : "");
    forget_events(h, step, 1);
    return add_event_text(h, step, HISTORY_MEASURED, 0, text, e);
}

static int is_steering(const struct record_event *r)
{
    return strcmp(r->by, "guard") == 0 || strcmp(r->what, "mode") == 0 ||
           strcmp(r->what, "until") == 0 || strcmp(r->what, "lr") == 0;
}

static int add_event(struct history *h, int64_t step, const struct record_event *r, struct error *e)
{
    if (strcmp(r->what, "pause") == 0)
        h->paused = 1;
    if (strcmp(r->what, "resume") == 0)
        h->paused = 0;
    if (strcmp(r->what, "resume") == 0 && strcmp(r->by, "trainer") == 0)
        forget_events(h, step + 1, 0);
    char text[512], change[160] = "";
    if (r->to[0])
        snprintf(change, sizeof change, " %s%s%s", r->from, r->from[0] ? " \u2192 " : "", r->to);
    snprintf(text, sizeof text, "%s%s%s%s%s%s%s", r->what, change, r->text[0] ? ": " : "", r->text,
             r->by[0] ? " (" : "", r->by, r->by[0] ? ")" : "");
    return add_event_text(h, step, is_steering(r) ? HISTORY_STEERING : HISTORY_REMARK,
                          strcmp(r->what, "warning") == 0 || strcmp(r->what, "guard") == 0, text,
                          e);
}

// The k-th word of the hosts.
static size_t host_of(const struct record_ranks *r, int k, const char **word)
{
    const char *at = r->hosts ? r->hosts : "";
    for (; k > 0 && *at; k--)
        at += strcspn(at, " ") + (at[strcspn(at, " ")] != '\0');
    *word = at;
    return strcspn(at, " ");
}

static void hear_ranks(struct history_ranks *h, const struct record_ranks *r, int64_t step)
{
    const char *host, *other;
    double own = 0, reduce = 0;
    *h = (struct history_ranks){.step = step, .n = r->own.d, .ms = NAN};
    for (int k = 0; k < h->n; k++) {
        double ms = r->own.sigma[k];
        size_t n = host_of(r, k, &host);
        int i = 0;
        own += ms;
        reduce += k < r->reduce.d ? r->reduce.sigma[k] : 0;
        while (i < k && (host_of(r, i, &other) != n || strncmp(host, other, n) != 0))
            i++;
        h->hosts += i == k && n > 0;
        if (k && !(ms > h->ms))
            continue;
        char raw[sizeof h->host];
        snprintf(raw, sizeof raw, "%.*s", (int)(n < sizeof raw ? n : sizeof raw - 1), host);
        text_clean(h->host, sizeof h->host, raw);
        h->slowest = k;
        h->ms = ms;
    }
    h->waiting = own + reduce > 0 ? reduce / (own + reduce) : NAN;
}

int history_add(struct history *h, const struct record *r, struct error *e)
{
    char text[512];
    if (r->step > SERIES_LAST_STEP)
        return 0;
    switch (r->type) {
    case RECORD_RUN:
        return add_run(h, &r->u.run, e);
    case RECORD_STEP:
        return add_step(h, r->step, &r->u.step, e);
    case RECORD_SPECTRUM:
        return add_spectrum(h, r->step, &r->u.spectrum, e);
    case RECORD_EVAL:
        return add_eval(h, r->step, &r->u.eval, e);
    case RECORD_EVENT:
        return add_event(h, r->step, &r->u.event, e);
    case RECORD_CHECKPOINT:
        if (strcmp(r->u.checkpoint.file, CHECKPOINT_BEST) == 0)
            return 0; // the evaluation has said it
        h->checkpoint_step = r->step;
        text_clean(h->checkpoint, sizeof h->checkpoint, r->u.checkpoint.file);
        snprintf(text, sizeof text, "checkpoint %s", h->checkpoint);
        return add_event_text(h, r->step, HISTORY_REMARK, 0, text, e);
    case RECORD_DEVICE:
        h->device = r->u.device;
        text_clean(h->device.others_text, sizeof h->device.others_text, r->u.device.others_text);
        h->device_step = r->step;
        return 0;
    case RECORD_RANKS:
        hear_ranks(&h->ranks, &r->u.ranks, r->step);
        return 0;
    case RECORD_END:
        h->ended = 1;
        h->paused = 0;
        text_clean(h->end_reason, sizeof h->end_reason, r->u.end.reason);
        text_clean(h->end_text, sizeof h->end_text, r->u.end.text);
        snprintf(text, sizeof text, "%s%s%s", h->end_reason, h->end_text[0] ? ": " : "",
                 h->end_text);
        return add_event_text(h, r->step, HISTORY_REMARK, strcmp(h->end_reason, "failed") == 0,
                              text, e);
    case RECORD_UNKNOWN:
        return 0;
    }
    return 0;
}

int history_can(const struct history *h, const char *command)
{
    const char *rest = h->run.can, *word;
    size_t n;
    while ((word = text_word(&rest, ' ', &n)) != NULL)
        if (strlen(command) == n && memcmp(word, command, n) == 0)
            return 1;
    return !*h->run.can;
}

const struct history_event *history_event(const struct history *h, int64_t i)
{
    return i < 0 || i >= h->n_event ? NULL : &h->event[h->n_event - 1 - i];
}

double history_auc_offset(const struct history *h, int64_t *step)
{
    for (int i = h->n_eval - 1; i >= 0; i--) {
        double offset = h->eval[i].metric[METRIC_AUC] - h->eval[i].live_auc;
        if (isfinite(offset)) {
            *step = h->eval[i].step;
            return offset;
        }
    }
    return NAN;
}

double history_eta(const struct history *h)
{
    if (!h->have_run || h->run.steps <= 0 || h->batch <= 0 || !(h->rate > 0) || h->last_step < 0)
        return NAN;
    int64_t left = h->run.steps - 1 - h->last_step;
    return left > 0 ? (double)left * h->batch / h->rate : 0;
}

struct limits history_limits(const struct history *h, int series)
{
    struct limits l = {0, INFINITY};
    if (series < METRIC_COUNT)
        l = (struct limits){metric_table[series].lo, metric_table[series].hi};
    if (series == METRIC_LOSS)
        method_loss_range(h->method, &l.lo, &l.hi);
    if (series >= SERIES_OWN)
        l.lo = -INFINITY;
    if (isnan(l.hi)) // of a rank: as many as there are directions
        l.hi = h->run.model.d > 0 ? h->run.model.d : INFINITY;
    return l;
}
