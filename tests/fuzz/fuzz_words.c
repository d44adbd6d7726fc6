// Texts that steer a run: commands, guard rules, schedules, factors of the rates.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/foreign.h"
#include "train/schedule/guard.h"
#include "train/schedule/rates.h"
#include "train/schedule/schedule_text.h"
#include "train/wire/control.h"

// --- lines of the control socket ---

// A call that was taken goes over the wire and comes out as it was.
static void send_and_hear(struct command_call *c)
{
    struct command_call heard;
    c->id &= INT32_MAX;
    char *line = command_to_json(c);
    fuzz_require(line && !strchr(line, '\n'));
    fuzz_require(command_parse_json(line, strlen(line), &heard, NULL) == 0);
    fuzz_require(heard.command == c->command && heard.id == c->id && !strcmp(heard.at, c->at));
    if (c->command == COMMAND_MODE || c->command == COMMAND_UNTIL)
        fuzz_require(heard.mode == c->mode && heard.chunks == c->chunks);
    if (c->command == COMMAND_LR)
        fuzz_require(heard.factor == c->factor);
    free(line);
}

int fuzz_control(const uint8_t *data, size_t size)
{
    struct command_call call;
    struct answer answer, again;
    struct error e = {""};
    const char *line = (const char *)data;
    int rc = command_parse_json(line, size, &call, &e);
    fuzz_require(rc == 0 || *e.text);
    if (rc == 0)
        send_and_hear(&call);
    char *text = input_text((struct input){data, size});
    *e.text = '\0';
    memset(&call, 0, sizeof call);
    rc = command_parse_text(text, &call, &e);
    fuzz_require(rc == 0 || *e.text);
    if (rc == 0)
        send_and_hear(&call);
    free(text);
    *e.text = '\0';
    rc = answer_parse(line, size, &answer, &e);
    fuzz_require(rc >= 0 || *e.text);
    if (rc == 1) {
        text = answer_to_json(&answer);
        if (text) { // NULL where its text is not UTF-8, which no trainer of ours sends
            fuzz_require(answer_parse(text, strlen(text), &again, NULL) == 1);
            fuzz_require(again.id == answer.id && again.ok == answer.ok);
        }
        free(text);
    }
    return 0;
}

// --- guard: rules up to a NUL, then numbers of steps, then a state ---

static double metric_of(unsigned v)
{
    return v == 255 ? NAN : v == 254 ? INFINITY : v == 253 ? -INFINITY : (v - 100.0) / 100;
}

int fuzz_guard(const uint8_t *data, size_t size)
{
    enum { STEPS = 40 };
    struct input in = {data, size};
    struct guard g, again;
    struct error e = {""};
    double metric[GUARD_VALUES];
    int fired[GUARD_MAX];
    char state[GUARD_STATE];
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    char *text = input_text(input_take(&in, end ? (size_t)(end - data) : size));
    input_byte(&in);
    int rc = guard_parse(&g, text, &e);
    fuzz_require(rc == 0 || *e.text);
    if (rc == 0) {
        fuzz_require(g.n >= 0 && g.n <= GUARD_MAX);
        for (int t = 0; t < STEPS; t++) {
            for (int i = 0; i < GUARD_VALUES; i++)
                metric[i] = metric_of(in.n > (size_t)i ? in.p[i] : (unsigned)t);
            int n = guard_step(&g, metric, fired);
            fuzz_require(n >= 0 && n <= g.n);
            for (int i = 0; i < n; i++)
                fuzz_require(fired[i] >= 0 && fired[i] < g.n);
            input_take(&in, 3);
        }
        guard_export(&g, state);
        fuzz_require(guard_parse(&again, text, NULL) == 0 &&
                     guard_import(&again, state, NULL) == 0);
        fuzz_require(memcmp(&g, &again, sizeof g) == 0);
        char *foreign = input_text(in);
        guard_import(&again, foreign, NULL);
        guard_step(&again, metric, fired);
        free(foreign);
    }
    free(text);
    return 0;
}

// --- schedule: facts (8 bytes), the plan, then lines of changes ---

static void walk(struct schedule *s)
{
    static int64_t position[256];
    int64_t steps = s->facts.steps;
    for (int64_t i = 0; i < 8; i++) {
        int64_t t = i * (steps - 1) / 7;
        struct schedule_place at;
        schedule_at(s, t, &at);
        fuzz_require(at.mode >= 0 && at.mode < MODE_COUNT && at.pool_lo >= 0 &&
                     at.pool_lo < at.pool_hi && at.pool_hi <= s->facts.n && at.segment <= t &&
                     at.ends > t && at.chunk < at.chunks);
        fuzz_require(schedule_batch(s, t, position, NULL) == 0);
        for (int k = 0; k < s->facts.batch; k++)
            fuzz_require(position[k] >= at.pool_lo && position[k] < at.pool_hi);
    }
    for (int i = 0; i < s->n; i++)
        fuzz_require(s->entry[i].from < steps && (!i || s->entry[i - 1].from < s->entry[i].from));
}

// What a checkpoint keeps is read as it was.
static void keep(const struct schedule *s)
{
    struct schedule again;
    char *text = schedule_text_write(s);
    fuzz_require(text && schedule_init(&again, &s->facts, NULL) == 0);
    fuzz_require(schedule_text_read(&again, text, NULL) == 0 && again.n == s->n);
    for (int i = 0; i < s->n; i++)
        fuzz_require(again.entry[i].from == s->entry[i].from &&
                     again.entry[i].mode == s->entry[i].mode &&
                     again.entry[i].chunks == s->entry[i].chunks);
    schedule_free(&again);
    free(text);
}

// As an event of the log tells of it: "what TO".
static void steer(struct schedule *s, struct rates *rates, const char *line, int64_t step)
{
    struct record_event v = {.what = "mode"};
    struct schedule_switch w;
    size_t n = strcspn(line, " ");
    snprintf(v.what, sizeof v.what, "%.*s", (int)(n < 15 ? n : 15), line);
    snprintf(v.to, sizeof v.to, "%.63s", line + n + (line[n] == ' '));
    snprintf(v.by, sizeof v.by, "ctl");
    if (schedule_text_event(&v, step, &w, NULL) == 1)
        schedule_switch(s, &w, NULL);
    rates_event(rates, &v, step, NULL);
}

int fuzz_schedule(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct schedule s;
    struct rates rates = {0}, again = {0};
    struct error e = {""};
    char line[512];
    struct schedule_facts f = {.seed = input_byte(&in),
                               .n = 1 + (int64_t)(input_number(&in, 2) & 1023),
                               .batch = 1 + input_byte(&in) % 200,
                               .steps = 1 + (int64_t)input_number(&in, 3),
                               .chunks = input_byte(&in)};
    if (!input_line(&in, line, sizeof line))
        *line = '\0';
    if (schedule_text_parse(&s, &f, line, &e) < 0) {
        fuzz_require(*e.text);
        return 0;
    }
    walk(&s);
    keep(&s);
    for (int64_t step = 0; input_line(&in, line, sizeof line); step += f.steps / 8 + 1) {
        int64_t point;
        struct rates r = {0};
        steer(&s, &rates, line, step);
        if (schedule_text_point(line, f.steps, &point, NULL) == 0)
            fuzz_require(point >= 0 && point <= f.steps);
        schedule_text_read(&s, line, NULL);
        if (rates_parse(&r, line, NULL) == 0)
            fuzz_require(isfinite(rates_at(&r, step)));
        rates_free(&r);
    }
    walk(&s);
    keep(&s);
    char *text = rates_text(&rates);
    fuzz_require(text && rates_parse(&again, text, NULL) == 0 && again.n == rates.n);
    free(text);
    rates_free(&rates);
    rates_free(&again);
    schedule_free(&s);
    return 0;
}
