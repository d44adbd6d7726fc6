// The series and what else a screen remembers of the records.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/scene.h"
#include "tui/feed/past.h"
#include "tui/model/series.h"

static uint32_t next(uint32_t *x)
{
    *x = *x * 1664525 + 1013904223;
    return *x >> 8;
}

static void expect_range(const struct series *s, const double *v, int64_t n, int64_t from,
                         int64_t to)
{
    double lo = NAN, hi = NAN, last = NAN;
    for (int64_t i = from < 0 ? 0 : from; i < to && i < n; i++) {
        lo = fmin(lo, v[i]);
        hi = fmax(hi, v[i]);
        last = isnan(v[i]) ? last : v[i];
    }
    struct span is = series_range(s, from, to);
    cr_assert(isnan(lo) ? isnan(is.lo) && isnan(is.hi) : is.lo == (float)lo && is.hi == (float)hi,
              "%lld to %lld", (long long)from, (long long)to);
    cr_assert(isnan(last) ? isnan(is.last) : is.last == (float)last);
}

// Any range of steps has the minimum, maximum and last value of a plain loop, gaps left out.
Test(history, ranges_are_those_of_a_loop)
{
    enum { N = 20000 };
    static double v[N];
    struct series s = {0};
    uint32_t x = 7;
    for (int i = 0; i < N; i++) {
        uint32_t r = next(&x);
        v[i] = r % 5 == 0 ? NAN : (double)(r % 100000) / 7;
        cr_assert_eq(series_add(&s, i, v[i]), 0);
    }
    for (int i = 0; i < 3000; i++) {
        int64_t from = next(&x) % N, to = from + next(&x) % (i % 3 ? 60 : N);
        expect_range(&s, v, N, from, to);
    }
    expect_range(&s, v, N, -5, N + 100);
    expect_range(&s, v, N, N, N + 100);
    cr_assert(isnan(series_range(&s, 10, 10).lo));
    series_free(&s);
}

Test(history, steps_left_out_are_gaps)
{
    struct series s = {0};
    series_add(&s, 3, 1.5);
    series_add(&s, 9000, 2.5);
    cr_assert(isnan(series_range(&s, 0, 3).lo));
    cr_assert(isnan(series_range(&s, 4, 9000).lo));
    cr_assert_eq(series_range(&s, 0, 9001).lo, 1.5f);
    cr_assert_eq(series_range(&s, 0, 9001).hi, 2.5f);
    series_add(&s, 9001, INFINITY);
    cr_assert(isnan(series_range(&s, 9001, 9002).lo));
    series_free(&s);
}

// The last value of a step wins, and what was known of later steps is forgotten.
Test(history, a_repeated_step_replaces)
{
    struct series s = {0};
    for (int i = 0; i < 5000; i++)
        series_add(&s, i, i);
    series_add(&s, 1234, -7);
    cr_assert_eq(series_range(&s, 1234, 1235).last, -7.0f);
    cr_assert_eq(series_range(&s, 0, 5000).hi, 1233.0f);
    cr_assert_eq(series_range(&s, 0, 5000).lo, -7.0f);
    cr_assert(isnan(series_range(&s, 1235, 5000).lo));
    series_cut(&s, 0);
    cr_assert(isnan(series_range(&s, 0, 5000).lo));
    series_add(&s, 0, 4);
    cr_assert_eq(series_range(&s, 0, 5000).hi, 4.0f);
    series_free(&s);
}

// However many steps: bounded memory, and a spike of one step stays.
Test(history, a_million_steps_keep_their_spikes)
{
    struct series s = {0};
    for (int64_t i = 0; i < 1000000; i++)
        cr_assert_eq(series_add(&s, i, i == 123457 ? 99 : i == 777777 ? -99 : 1), 0);
    cr_assert(s.n <= SERIES_MAX && s.cap <= SERIES_MAX);
    cr_assert_eq(series_range(&s, 120000, 125000).hi, 99.0f);
    cr_assert_eq(series_range(&s, 120000, 123000).hi, 1.0f);
    cr_assert_eq(series_range(&s, 0, 1000000).lo, -99.0f);
    series_add(&s, (int64_t)1 << 60, 5);
    cr_assert(s.n <= SERIES_MAX && s.cap <= SERIES_MAX);
    cr_assert_eq(series_range(&s, 0, ((int64_t)1 << 60) + 1).hi, 99.0f);
    cr_assert_eq(series_add(&s, INT64_MAX, 5), 0);
    cr_assert_eq(series_add(&s, -1, 5), 0);
    series_free(&s);
}

Test(history, offset_of_the_last_exact_evaluation)
{
    struct test_scene t;
    int64_t at = -1;
    scene_init(&t);
    scene_train(&t, 1);
    cr_assert(isnan(history_auc_offset(&t.h, &at)),
              "the evaluation before the first step has nothing beside it");
    scene_free(&t);
    scene_init(&t);
    scene_train(&t, 500);
    double offset = history_auc_offset(&t.h, &at);
    cr_assert_eq(at, 468);
    cr_assert(offset > 0.015 && offset < 0.045, "%g", offset);
    cr_assert_float_eq(t.h.eval[1].metric[METRIC_AUC] - offset,
                       series_range(&t.h.series[METRIC_AUC], 467, 468).last, 1e-6);
    scene_free(&t);
}

Test(history, spectra_worth_keeping)
{
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 1000);
    cr_assert_eq(t.h.first_exact.step, 0);
    cr_assert_eq(t.h.exact.step, 936);
    cr_assert_eq(t.h.first_live.step, 0);
    cr_assert_eq(t.h.live.step, 999);
    cr_assert(t.h.exact.sigma[100] > t.h.first_exact.sigma[100]);
    cr_assert(t.h.first_z.step < 0 && t.h.z.step < 0);
    scene_free(&t);
}

// Of projections, which only some steps have; a resumed run may have them at others.
Test(history, spectra_of_projections)
{
    struct test_scene t;
    struct record r;
    struct history past;
    scene_init(&t);
    t.projects = 1;
    scene_train(&t, 1000);
    cr_assert(t.h.first_z.step == 63 && t.h.z.step == 959 && t.h.z.d == 4 * t.h.live.d);
    cr_assert_eq(t.h.z_rows.n, 15);
    cr_assert_float_eq(series_range(&t.h.series[METRIC_Z_AUC], 0, 1000).last, 0.9, 0.02);
    past_at(&t.h, 500, &past);
    cr_assert(past.first_z.step == 63 && past.z.step == -1);
    record_init(&r, RECORD_STEP, 700);
    scene_add(&t, &r);
    cr_assert_eq(t.h.z.step, -1);
    cr_assert_eq(spectra_at(&t.h.z_rows, 1000)->step, 639);
    scene_free(&t);
}

static void add_step(struct test_scene *t, int64_t step, enum mode mode, double loss)
{
    struct record r;
    record_init(&r, RECORD_STEP, step);
    r.u.step.mode = mode;
    r.u.step.metric[METRIC_LOSS] = loss;
    scene_add(t, &r);
}

// A run that was resumed: steps come again, and switches, evaluations and values after the
// resumption are the new ones.
Test(history, resumed_run)
{
    struct test_scene t;
    scene_init(&t);
    for (int i = 0; i < 100; i++)
        add_step(&t, i, i < 60 ? MODE_MULTI_EPOCH : MODE_CONTINUAL, -0.1);
    cr_assert_eq(t.h.n_mode, 2);
    scene_event(&t, 50, "resume", "trainer", "", "", "from ckpt-50.safetensors");
    for (int i = 50; i < 70; i++)
        add_step(&t, i, MODE_MULTI_EPOCH, -0.2);
    cr_assert_eq(t.h.n_mode, 1, "the switch at 60 did not happen this time");
    cr_assert_eq(t.h.last_step, 69);
    cr_assert_eq(series_range(&t.h.series[METRIC_LOSS], 50, 51).last, -0.2f);
    cr_assert_eq(series_range(&t.h.series[METRIC_LOSS], 49, 50).last, -0.1f);
    cr_assert(isnan(series_range(&t.h.series[METRIC_LOSS], 70, 100).last));
    scene_free(&t);
}

static void add_measured(struct test_scene *t, int64_t step, double auc)
{
    struct record r;
    record_init(&r, RECORD_EVAL, step);
    r.u.eval.metric[METRIC_AUC] = auc;
    scene_add(t, &r);
}

static int events_with(const struct history *h, const char *text)
{
    int n = 0;
    for (int i = 0; i < h->n_event; i++)
        n += strstr(h->event[i].text, text) != NULL;
    return n;
}

// What comes again after a resumption is listed once; steering, which does not come again, stays.
Test(history, resumed_events)
{
    struct test_scene t;
    struct record r;
    scene_init(&t);
    for (int i = 0; i < 100; i++)
        add_step(&t, i, MODE_MULTI_EPOCH, -0.1);
    add_measured(&t, 50, 0.71);
    add_measured(&t, 80, 0.72);
    record_init(&r, RECORD_CHECKPOINT, 50);
    snprintf(r.u.checkpoint.file, sizeof r.u.checkpoint.file, "ckpt-50.safetensors");
    scene_add(&t, &r);
    record_init(&r, RECORD_CHECKPOINT, 80);
    snprintf(r.u.checkpoint.file, sizeof r.u.checkpoint.file, "ckpt-80.safetensors");
    scene_add(&t, &r);
    scene_event(&t, 60, "lr", "key", "1", "0.5", "");
    scene_event(&t, 70, "mode", "plan", "continual", "multi-epoch", "");
    scene_event(&t, 75, "guard", "guard", "", "", "it is continual already");
    scene_event(&t, 90, "warning", "trainer", "", "", "the disk is full");
    scene_event(&t, 20, "warning", "trainer", "", "", "the disk was slow");
    scene_event(&t, 50, "resume", "trainer", "", "", "from there");
    cr_expect_eq(events_with(&t.h, "the disk is full"), 0);
    cr_expect_eq(events_with(&t.h, "the disk was slow"), 1);
    cr_expect_eq(events_with(&t.h, "ckpt-80"), 0);
    cr_expect_eq(events_with(&t.h, "ckpt-50"), 1, "it was made before");
    cr_expect_eq(events_with(&t.h, "exact AUC 0.72"), 0);
    cr_expect_eq(events_with(&t.h, "lr 1"), 1);
    cr_expect_eq(events_with(&t.h, "mode continual"), 1);
    cr_expect_eq(events_with(&t.h, "guard"), 1);
    add_measured(&t, 50, 0.73);
    cr_expect_eq(events_with(&t.h, "exact AUC"), 1, "the newer one of two at a step");
    cr_expect_eq(events_with(&t.h, "exact AUC 0.73"), 1);
    scene_event(&t, 55, "resume", "key", "", "", "after a pause");
    cr_expect_eq(events_with(&t.h, "lr 1"), 1);
    scene_free(&t);
}

Test(history, pause_and_end)
{
    struct test_scene t;
    scene_init(&t);
    add_step(&t, 0, MODE_MULTI_EPOCH, -0.1);
    scene_event(&t, 1, "pause", "key", "", "", "");
    cr_assert(t.h.paused);
    scene_event(&t, 1, "resume", "ctl", "", "", "");
    cr_assert(!t.h.paused);
    struct record r;
    record_init(&r, RECORD_END, 1);
    snprintf(r.u.end.reason, sizeof r.u.end.reason, "stopped");
    scene_add(&t, &r);
    cr_assert(t.h.ended);
    add_step(&t, 1, MODE_MULTI_EPOCH, -0.1);
    cr_assert(!t.h.ended, "it was resumed");
    scene_free(&t);
}

Test(history, bounded_lists_keep_first_and_newest)
{
    struct test_scene t;
    struct record r;
    scene_init(&t);
    for (int i = 0; i < 3 * HISTORY_EVALS; i++) {
        record_init(&r, RECORD_EVAL, i);
        r.u.eval.metric[METRIC_AUC] = 0.7;
        scene_add(&t, &r);
        add_step(&t, i, i % 2 ? MODE_CONTINUAL : MODE_CUMULATIVE, -0.5);
    }
    cr_assert(t.h.n_eval <= HISTORY_EVALS && t.h.n_mode <= HISTORY_SWITCHES);
    cr_assert_eq(t.h.eval[0].step, 0);
    cr_assert_eq(t.h.eval[t.h.n_eval - 1].step, 3 * HISTORY_EVALS - 1);
    cr_assert_eq(t.h.mode[t.h.n_mode - 1].step, 3 * HISTORY_EVALS - 1);
    for (int i = 1; i < t.h.n_eval; i++)
        cr_assert(t.h.eval[i].step > t.h.eval[i - 1].step);
    scene_free(&t);
}

Test(history, eta)
{
    struct test_scene t;
    scene_init(&t);
    cr_assert(isnan(history_eta(&t.h)));
    scene_train(&t, 680);
    cr_assert_float_eq(history_eta(&t.h), 4000.0 * 128 / 1312, 1e-6);
    scene_free(&t);
}

// --- the schedule ---

Test(schedule_view, past_is_what_happened_future_is_the_plan)
{
    struct test_scene t;
    int64_t step;
    enum mode mode;
    scene_init(&t);
    scene_train(&t, 1284);
    cr_assert(t.schedule.known);
    cr_assert_eq(schedule_view_mode(&t.schedule, &t.h, 859), MODE_CONTINUAL);
    cr_assert_eq(schedule_view_mode(&t.schedule, &t.h, 860), MODE_MULTI_EPOCH);
    cr_assert_eq(schedule_view_mode(&t.schedule, &t.h, 1200), MODE_CONTINUAL);
    cr_assert_eq(schedule_view_mode(&t.schedule, &t.h, 1871), MODE_CONTINUAL);
    cr_assert_eq(schedule_view_mode(&t.schedule, &t.h, 1872), MODE_MULTI_EPOCH);
    cr_assert_eq(schedule_view_next(&t.schedule, 1283, &step, &mode), 1);
    cr_assert_eq(step, 1872);
    cr_assert_eq(mode, MODE_MULTI_EPOCH);
    cr_assert_eq(schedule_view_next(&t.schedule, 1872, &step, &mode), 0);
    scene_free(&t);
}

Test(schedule_view, until_replaces_what_was_planned)
{
    struct test_scene t;
    int64_t step;
    enum mode mode;
    scene_init(&t);
    scene_train(&t, 100);
    scene_event(&t, 100, "until", "key", "", "cumulative@10 at 3000", "");
    cr_assert_eq(schedule_view_next(&t.schedule, 99, &step, &mode), 1);
    cr_assert_eq(step, 3000);
    cr_assert_eq(mode, MODE_CUMULATIVE);
    cr_assert_eq(schedule_view_mode(&t.schedule, &t.h, 2000), MODE_CONTINUAL);
    cr_assert_eq(schedule_view_mode(&t.schedule, &t.h, 4000), MODE_CUMULATIVE);
    scene_event(&t, 100, "mode", "plan", "continual", "multi-epoch", "");
    cr_assert_eq(schedule_view_mode(&t.schedule, &t.h, 200), MODE_CONTINUAL,
                 "what the plan says is in it already");
    scene_free(&t);
}

Test(schedule_view, borders_are_where_chunks_begin)
{
    struct test_scene t;
    struct schedule_place a, b;
    scene_init(&t);
    scene_train(&t, 1);
    for (int64_t at = 0; at < 4680;) {
        int64_t border = schedule_view_border(&t.schedule, 20, at);
        cr_assert(border > at);
        if (border < 1872) { // continual by plan
            schedule_at(&t.schedule.run, border - 1, &a);
            schedule_at(&t.schedule.run, border, &b);
            cr_assert_eq(b.chunk, a.chunk + 1);
        }
        at = border;
    }
    scene_free(&t);
}

// At any step the past of a run says what a run that ended there would have said.
Test(history, the_past_is_what_was_known_then)
{
    static const int64_t steps[] = {0, 1, 467, 468, 620, 859, 860, 1100, 1283};
    struct test_scene all, then;
    scene_init(&all);
    scene_train(&all, 1284);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        int64_t at = steps[i];
        struct history past;
        scene_init(&then);
        scene_train(&then, (int)at + 1);
        past_at(&all.h, at, &past);
        // what stands behind the last step of a run that ended there comes one step later
        int at_its_end = at == 467;
        const struct history *h = &then.h;
        cr_assert_eq(past.last_step, at);
        cr_assert_eq(past.steps, at + 1);
        cr_assert_eq(past.n_eval, h->n_eval - at_its_end);
        cr_assert_eq(past.n_mode, h->n_mode);
        cr_assert_eq(past.n_event, h->n_event - 2 * at_its_end);
        if (past.n_event)
            cr_assert_str_eq(history_event(&past, 0)->text, past.event[past.n_event - 1].text);
        cr_assert_eq(past.spectrum_step, h->spectrum_step);
        cr_assert_eq(past.last.mode, h->last.mode);
        cr_assert_eq(past.last.chunk, h->last.chunk);
        for (int k = 0; k < SERIES_COUNT; k++)
            for (int64_t from = -3; from < 1400; from += 97) {
                struct span a = series_range(&past.series[k], from, from + 300),
                            b = series_range(&h->series[k], from, from + 300);
                cr_assert(memcmp(&a, &b, sizeof a) == 0 || (isnan(a.lo) && isnan(b.lo)),
                          "series %d at %lld", k, (long long)from);
            }
        for (int m = 0; m < METRIC_COUNT; m++)
            cr_assert(isnan(past.last.metric[m]) ? isnan(h->last.metric[m])
                                                 : fabs(past.last.metric[m] - h->last.metric[m]) <=
                                                       1e-6 * fabs(h->last.metric[m]));
        scene_free(&then);
    }
    struct history past;
    past_at(&all.h, -1, &past);
    cr_assert(past.last_step == -1 && past.n_event == 0 && past.n_eval == 0);
    past_at(&all.h, 5000, &past);
    cr_assert_eq(memcmp(&past, &all.h, sizeof past), 0);
    scene_free(&all);
}

// Events are kept to a bound; the newest stay.
Test(history, many_events)
{
    struct test_scene t;
    char text[32];
    scene_init(&t);
    for (int i = 0; i < 3 * HISTORY_EVENTS; i++) {
        snprintf(text, sizeof text, "%d", i);
        scene_event(&t, i, "warning", "trainer", "", "", text);
    }
    cr_assert(history_event(&t.h, 0)->warning);
    cr_assert(t.h.n_event <= HISTORY_EVENTS && t.h.n_event >= HISTORY_EVENTS / 2);
    for (int64_t i = 0; i < t.h.n_event; i++)
        cr_assert_eq(history_event(&t.h, i)->step, 3 * HISTORY_EVENTS - 1 - i);
    cr_assert_null(history_event(&t.h, t.h.n_event));
    cr_assert_null(history_event(&t.h, -1));
    scene_free(&t);
}

// The axis of a loss is the method's; of a method from a later version, open.
Test(history, limits_are_the_metrics_and_the_methods)
{
    static const struct {
        const char *method;
        double lo, hi;
    } row[] = {{"simsiam", -1, 1}, {"byol", 0, 8}, {"moco", -INFINITY, INFINITY}};
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 3);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        snprintf(t.h.method, sizeof t.h.method, "%s", row[i].method);
        struct limits l = history_limits(&t.h, METRIC_LOSS);
        cr_expect(l.lo == row[i].lo && l.hi == row[i].hi, "%s: %g to %g", row[i].method, l.lo,
                  l.hi);
    }
    struct limits auc = history_limits(&t.h, METRIC_AUC), rank = history_limits(&t.h, METRIC_PR),
                  rate = history_limits(&t.h, SERIES_FORECAST);
    cr_expect(auc.lo == 0.5 && auc.hi == 1);
    cr_expect(rank.lo == 1 && rank.hi == t.h.run.model.d && rank.hi > 1);
    cr_expect(rate.lo == 0 && isinf(rate.hi));
    scene_free(&t);
}
