// A run as a reference for others: few lines of JSON that are a log by themselves. The run, its
// evaluations, and of its steps the means of equal parts, so that the curve of a part is what the
// steps in it were about, and not what one of them happened to be.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/log/record_columns.h"
#include "tui/export/export.h"

enum { POINTS = 240, DIGITS = 5 };

static int put(FILE *f, const struct record *r, const unsigned char *wanted, struct error *e)
{
    char *line;
    size_t n;
    if (record_format_rounded(r, wanted, DIGITS, &line, &n, e) < 0)
        return -1;
    fwrite(line, 1, n, f);
    fputc('\n', f);
    free(line);
    return 0;
}

// --- means of parts ---

enum { VALUES = METRIC_COUNT + 4 }; // and the rates, and the forecast with its interval

static double *value_of(struct record_step *s, int i)
{
    double *const rest[] = {&s->lr, &s->forecast, &s->forecast_lo, &s->forecast_hi};
    return i < METRIC_COUNT ? &s->metric[i] : rest[i - METRIC_COUNT];
}

struct part {
    int64_t first, last; // steps in it; first -1: none
    double sum[VALUES];
    int64_t n[VALUES];
};

static void part_add(struct part *p, int64_t step, struct record_step *s)
{
    int is_foretold = !s->forecast_state[0];
    p->first = p->first < 0 ? step : p->first;
    p->last = step;
    for (int i = 0; i < VALUES; i++) {
        double v = *value_of(s, i);
        if (!isfinite(v) || (i > METRIC_COUNT && !is_foretold))
            continue;
        p->sum[i] += v;
        p->n[i]++;
    }
}

// As a record of the step in its middle; the part is empty then.
static int part_put(struct part *p, FILE *f, const unsigned char *wanted, struct error *e)
{
    struct record r;
    if (p->first < 0)
        return 0;
    record_init(&r, RECORD_STEP, p->first + (p->last - p->first) / 2);
    for (int i = 0; i < VALUES; i++)
        if (p->n[i])
            *value_of(&r.u.step, i) = p->sum[i] / (double)p->n[i];
    if (isnan(r.u.step.forecast)) // or a reader would show that there is one
        snprintf(r.u.step.forecast_state, sizeof r.u.step.forecast_state, "waiting");
    *p = (struct part){.first = -1};
    return put(f, &r, wanted, e);
}

// --- the whole ---

static const char *const columns_of[RECORD_END + 1] = {
    [RECORD_STEP] = "step,lr,forecast,forecast_lo,forecast_hi,forecast_state"};

// What is of the run and not of the machine that it ran on.
static int choose(unsigned char wanted[RECORD_COLUMNS_MAX], struct error *e)
{
    if (export_columns(RECORD_STEP, columns_of[RECORD_STEP], wanted, e) < 0)
        return -1;
    for (int i = 0; i < METRIC_COUNT; i++)
        wanted[record_column_find(RECORD_STEP, metric_table[i].key, strlen(metric_table[i].key))] =
            1;
    return 0;
}

// Steps that a part has: so many that there are POINTS of them in the whole run.
static int64_t width_of(const struct record_run *run)
{
    return run->steps > POINTS ? (run->steps + POINTS - 1) / POINTS : 1;
}

static int put_run(FILE *f, struct record *r, struct error *e)
{
    char *algorithms = r->u.run.device.algorithms;
    r->u.run.device.algorithms = NULL; // nobody goes on with it
    int rc = put(f, r, NULL, e);
    r->u.run.device.algorithms = algorithms;
    return rc;
}

int export_reference(struct cursor *c, const struct cursor_range *range, FILE *f, struct error *e)
{
    unsigned char wanted[RECORD_COLUMNS_MAX];
    struct part part = {.first = -1};
    struct record r;
    int64_t width = 0, at = -1, steps = 0;
    int rc = 1, bad = choose(wanted, e);
    cursor_want(
        c, &(struct cursor_wanted){.kinds = 1u << RUNLOG_SCALARS, .range = range, .newest = 1});
    for (; !bad && !ferror(f) && (rc = cursor_record(c, &r, e)) == 1; record_free(&r)) {
        if (r.type == RECORD_RUN && !width) {
            width = width_of(&r.u.run);
            bad = put_run(f, &r, e);
        } else if (width && r.type == RECORD_STEP && r.step >= 0) {
            if (r.step / width != at)
                bad = part_put(&part, f, wanted, e);
            at = r.step / width;
            part_add(&part, r.step, &r.u.step);
            steps++;
        } else if (width && (r.type == RECORD_EVAL || r.type == RECORD_END)) {
            bad = part_put(&part, f, wanted, e); // what came before stands before it
            at = -1;
            bad = bad ? bad : put(f, &r, NULL, e);
        }
    }
    if (!bad && rc == 0)
        bad = part_put(&part, f, wanted, e);
    if (!bad && rc == 0 && !width)
        bad = error_set(e, "it does not say what was trained");
    if (!bad && rc == 0 && !steps)
        bad = error_set(e, "it has no steps there");
    return bad || rc < 0 ? -1 : 0;
}
