// The best so far, evaluation by evaluation. Only what is better counts: a tie is no gain.
#include "train/schedule/best.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const best_by_name[] = {
    [BEST_BY_NONE] = "", [BEST_BY_FORECAST] = "forecast", [BEST_BY_PROBE] = "probe"};

void best_init(struct best *b)
{
    *b = (struct best){.value = NAN, .step = -1, .last = -1};
}

int best_add(struct best *b, int64_t step, double probe, double forecast)
{
    enum best_by by = isfinite(probe) ? BEST_BY_PROBE : BEST_BY_FORECAST;
    double value = by == BEST_BY_PROBE ? probe : forecast;
    int again = step == b->last;
    b->last = step;
    if (by == BEST_BY_PROBE && b->by == BEST_BY_FORECAST) // what was foretold counts no more
        *b = (struct best){.value = NAN, .step = -1, .last = step};
    if (by >= b->by && isfinite(value) && (b->step < 0 || value > b->value)) {
        b->by = by;
        b->value = value;
        b->step = step;
        b->age = 0;
    } else if (b->step >= 0 && !again) {
        b->age++;
    }
    return b->step == step;
}

void best_says(const struct best *b, char *text, size_t size)
{
    *text = '\0';
    if (b->step >= 0 && b->age > 0)
        snprintf(text, size, "nothing gained for %" PRId64 " evaluation%s, since step %" PRId64,
                 b->age, b->age == 1 ? "" : "s", b->step);
}

// --- "probe:0.8215:400:3:1200": by, value, step, age, last ---

void best_export(const struct best *b, char text[BEST_STATE])
{
    *text = '\0';
    if (b->step >= 0)
        snprintf(text, BEST_STATE, "%s:%.17g:%" PRId64 ":%" PRId64 ":%" PRId64, best_by_name[b->by],
                 b->value, b->step, b->age, b->last);
}

int best_import(struct best *b, const char *text, struct error *e)
{
    char by[16];
    struct best new;
    int end = 0;
    best_init(b);
    if (!*text)
        return 0;
    int n = sscanf(text, "%15[a-z]:%lf:%" SCNd64 ":%" SCNd64 ":%" SCNd64 "%n", by, &new.value,
                   &new.step, &new.age, &new.last, &end);
    new.by = n < 1                                             ? BEST_BY_NONE
             : strcmp(by, best_by_name[BEST_BY_PROBE]) == 0    ? BEST_BY_PROBE
             : strcmp(by, best_by_name[BEST_BY_FORECAST]) == 0 ? BEST_BY_FORECAST
                                                               : BEST_BY_NONE;
    if (n != 5 || text[end] || new.by == BEST_BY_NONE || !(new.value >= 0 && new.value <= 1) ||
        new.step < 0 || new.age < 0 || new.last < new.step)
        return error_set(e, "a recorded best that can't be read");
    *b = new;
    return 0;
}
