// A row a command: what it is to the client, and how it is told.
#include "train/recorder/orders.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metrics/base/clock.h"
#include "metrics/base/text.h"
#include "train/client/ssltop-client.h"
#include "train/recorder/line.h"
#include "train/schedule/schedule_text.h"

enum to { TO_NOTHING, TO_MODE, TO_FACTOR };

static const struct {
    int what;         // enum ssltop_what, -1: it is not for the client
    const char *done; // "paused from" (step 7)
    enum to to;       // "continual" (from step 7)
} row[COMMAND_COUNT] = {
    [COMMAND_WATCH] = {-1, "", TO_NOTHING},
    [COMMAND_STATUS] = {-1, "", TO_NOTHING},
    [COMMAND_PAUSE] = {SSLTOP_PAUSE, "paused from", TO_NOTHING},
    [COMMAND_RESUME] = {SSLTOP_RESUME, "goes on with", TO_NOTHING},
    [COMMAND_STEP] = {SSLTOP_STEP, "makes", TO_NOTHING},
    [COMMAND_EVAL] = {SSLTOP_EVALUATE, "evaluated before", TO_NOTHING},
    [COMMAND_CHECKPOINT] = {SSLTOP_CHECKPOINT, "a checkpoint is written before", TO_NOTHING},
    [COMMAND_STOP] = {SSLTOP_STOP, "stops before", TO_NOTHING},
    [COMMAND_MODE] = {SSLTOP_MODE, "", TO_MODE},
    [COMMAND_LR] = {SSLTOP_RATE, "learning rates times", TO_FACTOR},
    [COMMAND_UNTIL] = {SSLTOP_MODE, "", TO_MODE},
};

static int is_offered(const struct recorder *r, enum command c)
{
    int what = row[c].what;
    return what >= 0 && (what <= SSLTOP_STOP || (r->hello.what & SSLTOP_CAN(what)));
}

void orders_offered(const struct recorder *r, char *text, size_t size)
{
    *text = '\0';
    for (int c = 0; c < COMMAND_COUNT; c++)
        if (is_offered(r, (enum command)c))
            text_item(text, size, " ", "%s", command_table[c].name);
}

void orders_status(struct recorder *r)
{
    report_status(&r->report, r->step + 1, r->paused, r->mode, "");
}

// The step of "40%", which must be to come.
static int point(const struct recorder *r, const char *at, int64_t *from, struct error *e)
{
    int64_t steps = r->report.steps;
    if (steps <= 0 && strchr(at, '%'))
        return error_set(e, "how long this training is, it did not say: name a step");
    if (schedule_text_point(at, steps > 0 ? steps : INT64_MAX / 2, from, e) < 0)
        return -1;
    if (*from <= r->step)
        return error_set(e, "step %" PRId64 " has passed: the next is %" PRId64, *from,
                         r->step + 1);
    return 0;
}

// Send it; the answer comes later. `rule`: of the guard, or NULL. -1 with the reason.
static int send(struct recorder *r, const struct request *q, const char *rule, struct error *e)
{
    const struct command_call *c = &q->call;
    struct order *o = r->order;
    int64_t from = -1;
    if (!is_offered(r, c->command))
        return error_set(e, "%s",
                         command_table[c->command].missing ? command_table[c->command].missing
                                                           : "it is not for the training");
    if (c->command == COMMAND_UNTIL && point(r, c->at, &from, e) < 0)
        return -1;
    while (o < r->order + ORDERS && o->id)
        o++;
    if (o == r->order + ORDERS)
        return error_set(e, "the training has not answered %d commands yet", ORDERS);
    struct link_message m = {.id = ++r->ids,
                             .what = (uint32_t)row[c->command].what,
                             .step = from,
                             .mode = c->mode,
                             .chunks = c->chunks,
                             .factor = c->factor};
    snprintf(m.by, sizeof m.by, "%s", c->by);
    if (line_say(r->fd, LINK_ORDER, &m, "") < 0)
        return error_system(e, "the training does not listen");
    *o = (struct order){.id = r->ids, .request = *q, .from = from, .by_guard = rule != NULL};
    snprintf(o->text, sizeof o->text, "%s", rule ? rule : "");
    return 0;
}

void orders_take(struct recorder *r, const struct request *q)
{
    struct error why = {{0}};
    struct answer a;
    answer_init(&a, q->call.id);
    if (send(r, q, NULL, &why) == 0)
        return;
    snprintf(a.text, sizeof a.text, "%.250s", why.text);
    publisher_answer(r->report.publisher, q, &a);
}

// What the log and the person are told of an order that was carried out from this step on; `text`
// is the training's own, where it kept a checkpoint for one.
static void carried_out(struct recorder *r, const struct order *o, int64_t step, const char *text,
                        struct answer *a)
{
    const struct command_call *c = &o->request.call;
    int is_mode = row[c->command].to == TO_MODE, is_rate = row[c->command].to == TO_FACTOR;
    const char *done = row[c->command].done;
    char to[64] = "", event[96];
    if (is_mode)
        mode_text(to, sizeof to, c->mode, c->chunks);
    if (is_rate)
        snprintf(to, sizeof to, "%g", c->factor);
    a->ok = 1;
    a->step = step;
    snprintf(a->text, sizeof a->text, "%s%s%s%s step %" PRId64, done, *done && *to ? " " : "", to,
             *to ? " from" : "", step);
    snprintf(event, sizeof event, o->from >= 0 ? "%s at %" PRId64 : "%s", to, step);
    report_event(&r->report, o->from >= 0 ? r->step + 1 : step, command_table[c->command].name,
                 c->by, is_mode ? mode_name(r->mode) : "", event, is_mode || is_rate, "%.250s",
                 c->command == COMMAND_CHECKPOINT ? text : o->text);
    if (c->command == COMMAND_PAUSE || c->command == COMMAND_RESUME)
        r->paused = c->command == COMMAND_PAUSE;
    if (c->command == COMMAND_RESUME)
        report_speed(&r->report, step, clock_seconds());
    if (c->command == COMMAND_MODE)
        r->mode = c->mode;
}

void orders_answered(struct recorder *r, const struct link_message *m, const char *text)
{
    struct order *o = r->order;
    struct answer a;
    while (o < r->order + ORDERS && o->id != m->id)
        o++;
    if (m->id == 0 || o == r->order + ORDERS)
        return;
    answer_init(&a, o->request.call.id);
    if (m->ok) {
        int makes_sense = m->step >= 0 && m->step <= INT64_MAX / 2;
        carried_out(r, o, makes_sense ? m->step : r->step + 1, text, &a);
        if (*text)
            snprintf(a.text, sizeof a.text, "%.250s", text);
    } else {
        snprintf(a.text, sizeof a.text, "%.250s", *text ? text : "the training refused it");
        if (o->by_guard)
            report_event(&r->report, r->step + 1, "guard", "guard", "", "", 1, "%s: %s", o->text,
                         a.text);
    }
    orders_status(r);
    if (!o->by_guard)
        publisher_answer(r->report.publisher, &o->request, &a);
    o->id = 0;
}

static const enum command guard_command[GUARD_ACTION_COUNT] = {[GUARD_MODE] = COMMAND_MODE,
                                                               [GUARD_PAUSE] = COMMAND_PAUSE,
                                                               [GUARD_STOP] = COMMAND_STOP,
                                                               [GUARD_LR] = COMMAND_LR};

void orders_guard(struct recorder *r, const struct step_result *s)
{
    int fired[GUARD_MAX];
    for (int i = 0; i < METRIC_COUNT; i++)
        if (step_result_says(s, i))
            r->last_value[i] = s->metric[i];
    const struct best *best = &r->report.best;
    r->last_value[GUARD_FORECAST] = r->report.foretold;
    r->last_value[GUARD_BEST_AGE] = best->step < 0 ? NAN : (double)best->age;
    int n = guard_step(&r->guard, r->last_value, fired);
    for (int i = 0; i < n; i++) {
        const struct guard_rule *rule = &r->guard.rule[fired[i]];
        struct error why = {{0}};
        struct request q = {.call = {.command = guard_command[rule->action],
                                     .by = "guard",
                                     .mode = rule->mode,
                                     .factor = rule->factor}};
        if (send(r, &q, rule->text, &why) < 0)
            report_event(&r->report, r->step + 1, "guard", "guard", "", "", 1, "%s: %s", rule->text,
                         why.text);
    }
}
