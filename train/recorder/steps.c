#include "train/recorder/steps.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "metrics/base/clock.h"
#include "metrics/base/text.h"
#include "train/recorder/greeting.h"
#include "train/recorder/orders.h"

// Log and folder, once there is a first step that says how large features are.
static int begin(struct recorder *r, int64_t step, int batch, struct error *e)
{
    struct record first;
    batch = r->hello.batch > 0 ? (int)r->hello.batch : batch;
    r->report.begin = step;
    r->report.batch = batch;
    r->report.begun = clock_seconds();
    report_speed(&r->report, step + 1, r->report.begun); // nobody saw how long this one took
    live_forecast_init(&r->report.forecast,
                       &(struct live_forecast_facts){.width = r->width,
                                                     .d = r->d ? r->d : 1,
                                                     .samples = 2 * (int64_t)(batch ? batch : 1),
                                                     .steps = r->hello.steps,
                                                     .images = r->hello.n});
    struct error passed_over = {{0}};
    char path[4096];
    const char *calibration = r->word[LINK_CALIBRATION];
    int rc = live_forecast_calibrate(&r->report.forecast, *calibration ? calibration : "auto",
                                     r->data, r->arch, r->method, path, sizeof path, &passed_over);
    if (greeting_record(r, batch, &first, e) < 0 ||
        publisher_sync(r->report.publisher, &first, e) < 0 || rundir_publish(&r->dir, e) < 0 ||
        publisher_settle(r->report.publisher, r->dir.path, e) < 0)
        return -1;
    r->report.dir = r->dir.path;
    r->begun = 1;
    for (int i = 0; i < r->n_early; i++)
        report_warning(&r->report, step, "%s", r->early[i]);
    if (rc < 0 || *passed_over.text)
        report_warning(&r->report, step, "calibration passed over: %s", passed_over.text);
    return 0;
}

void steps_warning(struct recorder *r, const char *text)
{
    if (r->begun)
        report_warning(&r->report, r->step + 1, "%s", text);
    else if (r->n_early < (int)(sizeof r->early / sizeof *r->early))
        text_clean(r->early[r->n_early++], sizeof *r->early, text);
}

// What the scalars of a step are called, where that is new.
static void learn(struct recorder *r, const struct link_slot *head)
{
    _Static_assert((int)RECORD_OWN_NAME >= (int)LINK_NAME,
                   "a record has room for a client's names");
    for (uint32_t k = 0; k < head->scalars; k++)
        if (head->scalar[k] < RECORD_OWN && !*r->own.item[head->scalar[k]].name)
            slots_name(&r->slots, head->scalar[k], r->own.item[head->scalar[k]].name);
}

// The scalars that came with the step. Those that have a field of their own are not among them.
static const struct record_own *own(struct recorder *r, const struct link_slot *head)
{
    static const char *const known[] = {"lr_pred"};
    for (int i = 0; i < RECORD_OWN; i++)
        r->own.item[i].value = NAN;
    for (uint32_t k = 0; k < head->scalars; k++)
        if (head->scalar[k] < RECORD_OWN &&
            strcmp(r->own.item[head->scalar[k]].name, known[0]) != 0)
            r->own.item[head->scalar[k]].value = head->value[k];
    return &r->own;
}

// ---------------------------------------------------------------- into the log

// The oldest step that waits; with what was measured last, if that is of it or of one before it.
static void report(struct recorder *r)
{
    struct waiting *w = &r->waiting;
    const struct link_slot *head = &w->step[0].head;
    struct measuring *m = &r->measuring;
    struct step_result s = {.n = NAN};
    for (int i = 0; i < METRIC_COUNT; i++)
        s.metric[i] = NAN;
    for (int i = 0; i < PHASE_COUNT; i++)
        s.ms[i] = NAN;
    if (w->is_measured && (m->step <= head->step || w->n == 1)) {
        w->is_measured = 0;
        s = m->result;
        if (m->rc < 0 && !r->told_features++)
            report_warning(&r->report, head->step, "no spectrum: %s", m->why.text);
    }
    s.metric[METRIC_LOSS] = head->loss;
    s.lr = head->lr;
    s.lr_pred = head->lr_pred;
    s.dropped = head->dropped > r->dropped ? head->dropped : r->dropped;
    s.own = own(r, head);
    s.mode = head->mode >= 0 && head->mode < MODE_COUNT ? (enum mode)head->mode : MODE_NONE;
    s.chunk = s.mode == MODE_NONE || head->chunk < 0 ? -1 : head->chunk;
    if (head->step <= r->step && !r->told_order++)
        report_warning(&r->report, head->step, "step %" PRId64 " came after step %" PRId64,
                       head->step, r->step);
    r->step = head->step;
    r->mode = s.mode;
    r->dropped = s.dropped;
    report_step(&r->report, head->step, &s);
    if (w->step[0].slot >= 0)
        slots_release(&r->slots, w->step[0].slot);
    memmove(&w->step[0], &w->step[1], (size_t)--w->n * sizeof w->step[0]);
    orders_guard(r, &s);
    orders_status(r);
}

// Whoever waits is measured or reported, as far as that goes now. `held`: so many records may wait
// for the measurement that is under way.
static void advance(struct recorder *r, int held)
{
    struct waiting *w = &r->waiting;
    struct measuring *m = &r->measuring;
    for (;;) {
        if (measuring_end(m)) {
            w->is_measured = 1;
            if (r->before.ring)
                slots_close(&r->before);
            else
                slots_release(&r->slots, m->slot);
        }
        if (!w->n)
            return;
        struct step_waiting *newest = &w->step[w->n - 1];
        if (!m->is_busy && !w->is_measured && newest->slot >= 0 && measuring_is_rested(m)) {
            measuring_begin(m, newest->head.step, newest->head.loss, newest->slot,
                            (const struct intake_rows(*)[LINK_VIEWS])newest->rows);
            newest->slot = -1;
        }
        if (m->is_busy && w->step[0].head.step >= m->step && w->n <= held)
            return;
        report(r);
    }
}

// ---------------------------------------------------------------- out of the ring

static int take(struct recorder *r, int slot, const struct link_slot *head,
                const struct intake_rows rows[LINK_PLACES][LINK_VIEWS], struct error *e)
{
    struct waiting *w = &r->waiting;
    const struct intake_rows *h = rows[INTAKE_H];
    learn(r, head);
    if (!r->begun) {
        r->d = h[0].at ? h[0].d : h[1].at ? h[1].d : 0;
        int batch = h[0].at ? (int)h[0].n : h[1].at ? (int)h[1].n : 0;
        if (begin(r, head->step, batch, e) < 0) {
            slots_release(&r->slots, slot);
            return -1;
        }
    }
    // Only the newest one's features are still worth their place in the ring.
    if (w->n && w->step[w->n - 1].slot >= 0) {
        slots_release(&r->slots, w->step[w->n - 1].slot);
        w->step[w->n - 1].slot = -1;
    }
    struct step_waiting *s = &w->step[w->n++];
    s->head = *head;
    s->slot = slot;
    memcpy(s->rows, rows, sizeof s->rows);
    if (!head->parts) {
        slots_release(&r->slots, slot);
        s->slot = -1;
    }
    advance(r, STEPS_WAITING - 1);
    return 0;
}

int steps_take(struct recorder *r, struct error *e)
{
    struct link_slot head;
    struct intake_rows rows[LINK_PLACES][LINK_VIEWS];
    struct error why = {{0}};
    int slot, got;
    advance(r, STEPS_WAITING - 1);
    // No more than there can be, or one who fills slots without end would be all that is looked
    // after.
    for (int i = 0; i < LINK_SLOTS && (got = slots_take(&r->slots, &head, rows, &slot, &why)) != 0;
         i++) {
        if (got < 0 && r->begun) {
            steps_settle(r, STEPS_SOON);
            report_warning(&r->report, r->step + 1, "%s", why.text);
        }
        if (got > 0 && take(r, slot, &head, (const struct intake_rows(*)[LINK_VIEWS])rows, e) < 0)
            return -1;
    }
    return 0;
}

int steps_ring(struct recorder *r, int memory, struct error *e)
{
    struct slots next = {0};
    if (steps_take(r, e) < 0) // those in the ring before
        return -1;
    steps_settle(r, STEPS_SOON); // and none of them waits with rows there
    if (memory < 0)
        return error_set(e, "a ring without its memory");
    if (slots_open(&next, memory, e) < 0)
        return -1;
    if (r->measuring.is_busy && !r->before.ring)
        r->before = r->slots;
    else
        slots_close(&r->slots);
    r->slots = next;
    return 0;
}

void steps_settle(struct recorder *r, int ms)
{
    int64_t until = clock_ms() + ms;
    int left = -1;
    advance(r, STEPS_WAITING - 1);
    while (r->measuring.is_busy && (ms < 0 || (r->waiting.n && (left = clock_left(until)) > 0))) {
        measuring_wait(&r->measuring, left);
        advance(r, STEPS_WAITING - 1);
    }
    advance(r, 0);
}
