// Guard rules: read once, then counted step by step.
#include "train/schedule/guard.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/text.h"

const struct guard_action_row guard_action_table[GUARD_ACTION_COUNT] = {
    [GUARD_MODE] = {"MODE", NULL, "Switch to this mode from the next step."},
    [GUARD_PAUSE] = {"pause", NULL, "Pause before the next step."},
    [GUARD_STOP] = {"stop", NULL, "End the run with a checkpoint."},
    [GUARD_LR] = {"lr", "FACTORx", "Multiply the learning rates from the next step."},
};

const struct guard_value_row guard_value_table[GUARD_VALUES - METRIC_COUNT] = {
    {"forecast",
     "Accuracy that the probe is foretold to reach, 0 to 1, where a forecast is shown."},
    {"best_age", "Evaluations since the one that found the best network so far: 0 if it was the "
                 "newest."},
};

// Longer ones first: ">" is a beginning of ">=".
static const struct {
    const char *text;
    enum guard_op op;
} op_table[] = {
    {">=", GUARD_AT_LEAST}, {"<=", GUARD_AT_MOST}, {">", GUARD_ABOVE}, {"<", GUARD_BELOW}};

// --- reading ---

// A cursor over one rule; every reader skips blanks first and moves on over what it took.
struct cursor {
    const char *at;
};

static void skip_blanks(struct cursor *c)
{
    c->at += strspn(c->at, " \t");
}

// A word of letters, digits, '_', '-' and '.'; "" when there is none. Cut to `size`.
static void read_word(struct cursor *c, char *word, size_t size)
{
    skip_blanks(c);
    size_t n = 0;
    while (isalnum((unsigned char)c->at[n]) || c->at[n] == '_' || c->at[n] == '-' ||
           c->at[n] == '.')
        n++;
    snprintf(word, size, "%.*s", (int)(n < size ? n : size - 1), c->at);
    c->at += n;
}

static int read_number(struct cursor *c, double *x)
{
    skip_blanks(c);
    size_t n = strspn(c->at, "+-0123456789.");
    n += n && (c->at[n] == 'e' || c->at[n] == 'E') ? 1 + strspn(c->at + n + 1, "+-0123456789") : 0;
    char *end;
    *x = strtod(c->at, &end);
    if (!n || end != c->at + n || !isfinite(*x))
        return -1;
    c->at = end;
    return 0;
}

static int find_value(const char *word)
{
    for (int i = METRIC_COUNT; i < GUARD_VALUES; i++)
        if (strcmp(guard_value_table[i - METRIC_COUNT].key, word) == 0)
            return i;
    return metric_find(word);
}

static int read_condition(struct cursor *c, struct guard_rule *r, struct error *e)
{
    char word[32];
    read_word(c, word, sizeof word);
    r->metric = find_value(word);
    if (r->metric < 0)
        return error_set(e, "'%s' is no metric (auc, rankme, loss, ..., forecast, best_age)", word);
    skip_blanks(c);
    size_t k = 0, n = sizeof op_table / sizeof *op_table;
    while (k < n && strncmp(c->at, op_table[k].text, strlen(op_table[k].text)) != 0)
        k++;
    if (k == n)
        return error_set(e, "expected >, <, >= or <= after '%s'", word);
    r->op = op_table[k].op;
    c->at += strlen(op_table[k].text);
    if (read_number(c, &r->bound) < 0)
        return error_set(e, "expected a number after '%s %s'", word, op_table[k].text);
    return 0;
}

// "for N steps", which may be left out.
static int read_duration(struct cursor *c, struct guard_rule *r, struct error *e)
{
    r->steps = 1;
    skip_blanks(c);
    if (*c->at == ':')
        return 0;
    char word[32];
    double steps = 0;
    read_word(c, word, sizeof word);
    if (strcmp(word, "for") != 0)
        return error_set(e, "expected ':' and what to do, or 'for N steps:'");
    int ok = read_number(c, &steps) == 0 && steps >= 1 && steps <= 1e15 && steps == floor(steps);
    read_word(c, word, sizeof word);
    if (!ok || (strcmp(word, "steps") != 0 && strcmp(word, "step") != 0))
        return error_set(e, "expected 'for N steps' with N a whole number from 1");
    r->steps = (int64_t)steps;
    return 0;
}

static int read_action(struct cursor *c, struct guard_rule *r, struct error *e)
{
    char word[32];
    skip_blanks(c);
    if (*c->at != ':')
        return error_set(e, "expected ':' and what to do");
    c->at++;
    read_word(c, word, sizeof word);
    r->mode = mode_find(word, strlen(word));
    if (r->mode != MODE_NONE) {
        r->action = GUARD_MODE;
    } else if (!strcmp(word, "pause")) {
        r->action = GUARD_PAUSE;
    } else if (!strcmp(word, "stop")) {
        r->action = GUARD_STOP;
    } else if (!strcmp(word, "lr")) {
        r->action = GUARD_LR;
        if (read_number(c, &r->factor) < 0 || *c->at != 'x' || r->factor <= 0 || r->factor > 1e3)
            return error_set(e, "expected a factor after 'lr': 'lr 0.5x'");
        c->at++;
    } else {
        return error_set(e,
                         "'%s' is not what a guard can do: a mode (multi-epoch, continual, "
                         "cumulative), pause, stop or 'lr 0.5x'",
                         word);
    }
    skip_blanks(c);
    if (*c->at)
        return error_set(e, "unexpected '%.20s' at its end", c->at);
    return 0;
}

static int read_rule(const char *text, struct guard_rule *r, struct error *e)
{
    struct cursor c = {text};
    memset(r, 0, sizeof *r);
    snprintf(r->text, sizeof r->text, "%s", text);
    if (read_condition(&c, r, e) < 0 || read_duration(&c, r, e) < 0 || read_action(&c, r, e) < 0)
        return error_prefix(e, "guard '%.80s'", text);
    return 0;
}

int guard_parse(struct guard *g, const char *text, struct error *e)
{
    memset(g, 0, sizeof *g);
    while (*text) {
        char rule[sizeof g->rule[0].text];
        text += strspn(text, " \t");
        size_t len = strcspn(text, ";"), used = len;
        while (used && (text[used - 1] == ' ' || text[used - 1] == '\t'))
            used--;
        if (used >= sizeof rule)
            return error_set(e, "guard: a rule is longer than %zu bytes", sizeof rule - 1);
        snprintf(rule, sizeof rule, "%.*s", (int)used, text);
        text += len + (text[len] == ';');
        if (!used)
            continue;
        if (g->n == GUARD_MAX)
            return error_set(e, "guard: more than %d rules", GUARD_MAX);
        if (read_rule(rule, &g->rule[g->n], e) < 0)
            return -1;
        g->n++;
    }
    return 0;
}

// --- running ---

static int holds(const struct guard_rule *r, double x)
{
    // every comparison with NaN is false
    switch (r->op) {
    case GUARD_ABOVE:
        return x > r->bound;
    case GUARD_BELOW:
        return x < r->bound;
    case GUARD_AT_LEAST:
        return x >= r->bound;
    case GUARD_AT_MOST:
        return x <= r->bound;
    }
    return 0;
}

int guard_step(struct guard *g, const double value[GUARD_VALUES], int *fired)
{
    int n = 0;
    for (int i = 0; i < g->n; i++) {
        struct guard_rule *r = &g->rule[i];
        if (!holds(r, value[r->metric])) {
            r->held = 0;
            r->fired = 0;
            continue;
        }
        r->held += r->held < r->steps;
        if (r->held == r->steps && !r->fired) {
            r->fired = 1;
            fired[n++] = i;
        }
    }
    return n;
}

// --- state: "17,200!,0": steps held, and '!' after a rule that has fired ---

void guard_export(const struct guard *g, char text[GUARD_STATE])
{
    text[0] = '\0';
    for (int i = 0; i < g->n; i++)
        text_item(text, GUARD_STATE, ",", "%" PRId64 "%s", g->rule[i].held,
                  g->rule[i].fired ? "!" : "");
}

int guard_import(struct guard *g, const char *text, struct error *e)
{
    struct guard new = *g;
    for (int i = 0; i < new.n; i++) {
        struct guard_rule *r = &new.rule[i];
        size_t digits = strspn(text, "0123456789");
        r->held = digits && digits <= 16 ? strtoll(text, NULL, 10) : -1;
        text += digits;
        r->fired = *text == '!';
        text += r->fired;
        if (r->held < 0 || r->held > r->steps || (r->fired && r->held < r->steps) ||
            *text != (i + 1 < new.n ? ',' : '\0'))
            return error_set(e, "guard: a recorded state that does not fit the %d rules", new.n);
        text += *text == ',';
    }
    if (*text)
        return error_set(e, "guard: a recorded state that does not fit the %d rules", new.n);
    *g = new;
    return 0;
}
