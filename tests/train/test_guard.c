// The guard: how rules are read, when they fire, and that their state survives a checkpoint.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metrics/base/rng.h"
#include "train/schedule/guard.h"

static struct guard parse(const char *text)
{
    struct guard g;
    struct error e = {""};
    cr_assert(guard_parse(&g, text, &e) == 0, "%s: %s", text, e.text);
    return g;
}

// One step in which only this metric has a value: the number of rules that fire.
static int step(struct guard *g, int id, double value)
{
    double metric[GUARD_VALUES];
    int fired[GUARD_MAX];
    for (int i = 0; i < GUARD_VALUES; i++)
        metric[i] = NAN;
    metric[id] = value;
    return guard_step(g, metric, fired);
}

Test(guard, reads_rules)
{
    struct guard g = parse("auc > 0.85 for 200 steps: continual; loss>=-.1:pause ;"
                           " rankme<1e1 for 1 step : lr 0.5x;zstd <= 0.2: stop;");
    cr_assert(g.n == 4);
    const struct guard_rule *r = g.rule;
    cr_assert(r[0].metric == METRIC_AUC && r[0].op == GUARD_ABOVE && r[0].bound == 0.85);
    cr_assert(r[0].steps == 200 && r[0].action == GUARD_MODE && r[0].mode == MODE_CONTINUAL);
    cr_assert_str_eq(r[0].text, "auc > 0.85 for 200 steps: continual");
    cr_assert(r[1].metric == METRIC_LOSS && r[1].op == GUARD_AT_LEAST && r[1].bound == -0.1);
    cr_assert(r[1].steps == 1 && r[1].action == GUARD_PAUSE);
    cr_assert_str_eq(r[1].text, "loss>=-.1:pause");
    cr_assert(r[2].metric == METRIC_RANKME && r[2].op == GUARD_BELOW && r[2].bound == 10);
    cr_assert(r[2].steps == 1 && r[2].action == GUARD_LR && r[2].factor == 0.5);
    cr_assert(r[3].op == GUARD_AT_MOST && r[3].action == GUARD_STOP);
    cr_assert(parse("").n == 0);
    cr_assert(parse(" ; ;").n == 0);
}

Test(guard, every_value_and_mode_can_stand_in_a_rule)
{
    char text[200];
    for (int i = 0; i < GUARD_VALUES; i++) {
        for (int m = 0; m < MODE_COUNT; m++) {
            const char *key =
                i < METRIC_COUNT ? metric_table[i].key : guard_value_table[i - METRIC_COUNT].key;
            snprintf(text, sizeof text, "%s < 3 : %s", key, mode_table[m].name);
            struct guard g = parse(text);
            cr_assert(g.n == 1 && (int)g.rule[0].metric == i && (int)g.rule[0].mode == m);
        }
    }
}

Test(guard, refuses_what_is_no_rule)
{
    static const struct {
        const char *text, *because;
    } bad[] = {
        {"auc", "expected >"},
        {"auc = 1: pause", "expected >"},
        {"> 1: pause", "no metric"},
        {"auk > 1: pause", "'auk'"},
        {"auc > : pause", "a number"},
        {"auc > x: pause", "a number"},
        {"auc > nan: pause", "a number"},
        {"auc > inf: pause", "a number"},
        {"auc > 1e999: pause", "a number"},
        {"auc > 1-2: pause", "a number"},
        {"auc > 0x1: pause", "a number"},
        {"auc > 1", "':'"},
        {"auc > 1 pause", "':'"},
        {"auc > 1 for 0 steps: pause", "whole number"},
        {"auc > 1 for 1.5 steps: pause", "whole number"},
        {"auc > 1 for -1 steps: pause", "whole number"},
        {"auc > 1 for 1e16 steps: pause", "whole number"},
        {"auc > 1 for 5: pause", "steps"},
        {"auc > 1 for 5 epochs: pause", "steps"},
        {"auc > 1 for 5 steps pause", "':'"},
        {"auc > 1:", "not what a guard can do"},
        {"auc > 1: sleep", "'sleep'"},
        {"auc > 1: pause now", "'now'"},
        {"auc > 1: lr", "factor"},
        {"auc > 1: lr 0.5", "factor"},
        {"auc > 1: lr 0x", "factor"},
        {"auc > 1: lr -1x", "factor"},
        {"auc > 1: lr 1001x", "factor"},
        {"auc > 1: lr 2xx", "'x'"},
        {"auc > 1: pause; auc", "'auc'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct guard g;
        struct error e = {""};
        cr_assert(guard_parse(&g, bad[i].text, &e) == -1, "'%s' was taken", bad[i].text);
        cr_assert(strstr(e.text, bad[i].because) != NULL, "'%s': %s", bad[i].text, e.text);
        cr_assert(strncmp(e.text, "guard", 5) == 0, "%s", e.text);
    }
    char many[1024] = "", long_rule[300];
    struct guard g;
    for (int i = 0; i <= GUARD_MAX; i++)
        strncat(many, "auc>1:pause;", sizeof many - strlen(many) - 1);
    cr_assert(guard_parse(&g, many, NULL) == -1);
    snprintf(long_rule, sizeof long_rule, "auc > 1:%*spause", 250, "");
    cr_assert(guard_parse(&g, long_rule, NULL) == -1);
}

Test(guard, fires_once_until_the_condition_has_been_false)
{
    struct guard g = parse("auc > 0.85 for 3 steps: continual");
    cr_assert(step(&g, METRIC_AUC, 0.9) == 0);
    cr_assert(step(&g, METRIC_AUC, 0.9) == 0);
    cr_assert(step(&g, METRIC_AUC, 0.85) == 0); // not above: the count starts again
    cr_assert(step(&g, METRIC_AUC, 0.9) == 0);
    cr_assert(step(&g, METRIC_AUC, 0.9) == 0);
    cr_assert(step(&g, METRIC_AUC, 0.86) == 1);
    for (int i = 0; i < 10; i++)
        cr_assert(step(&g, METRIC_AUC, 0.9) == 0);
    cr_assert(step(&g, METRIC_AUC, 0.1) == 0);
    cr_assert(step(&g, METRIC_AUC, 0.9) == 0);
    cr_assert(step(&g, METRIC_AUC, 0.9) == 0);
    cr_assert(step(&g, METRIC_AUC, 0.9) == 1);
}

Test(guard, a_value_that_does_not_exist_is_false)
{
    struct guard g = parse("auc > 0 for 2 steps: pause; auc <= 5 for 2 steps: pause");
    cr_assert(step(&g, METRIC_AUC, 1) == 0);
    cr_assert(step(&g, METRIC_AUC, NAN) == 0);
    cr_assert(step(&g, METRIC_AUC, 1) == 0);
    cr_assert(step(&g, METRIC_AUC, 1) == 2);
    cr_assert(step(&g, METRIC_AUC, NAN) == 0); // and lets it fire again
    cr_assert(step(&g, METRIC_AUC, 1) == 0);
    cr_assert(step(&g, METRIC_AUC, 1) == 2);
}

Test(guard, bounds)
{
    static const struct {
        const char *rule;
        int below, at, above;
    } row[] = {{"loss > 2: pause", 0, 0, 1},
               {"loss >= 2: pause", 0, 1, 1},
               {"loss < 2: pause", 1, 0, 0},
               {"loss <= 2: pause", 1, 1, 0}};
    for (int i = 0; i < 4; i++) {
        struct guard below = parse(row[i].rule), at = below, above = below;
        cr_assert(step(&below, METRIC_LOSS, nextafter(2, 0)) == row[i].below, "%s", row[i].rule);
        cr_assert(step(&at, METRIC_LOSS, 2) == row[i].at, "%s", row[i].rule);
        cr_assert(step(&above, METRIC_LOSS, nextafter(2, 3)) == row[i].above, "%s", row[i].rule);
    }
}

Test(guard, says_which_rules_fire)
{
    struct guard g = parse("auc > 0.5: pause; loss > 0: stop; auc > 0.7: continual");
    double metric[GUARD_VALUES] = {[METRIC_AUC] = 0.8, [METRIC_LOSS] = -1};
    int fired[GUARD_MAX];
    cr_assert(guard_step(&g, metric, fired) == 2);
    cr_assert(fired[0] == 0 && fired[1] == 2);
    metric[METRIC_LOSS] = 1;
    cr_assert(guard_step(&g, metric, fired) == 1 && fired[0] == 1);
}

Test(guard, goes_on_from_its_state_as_if_never_interrupted)
{
    const char *text =
        "auc > 0.5 for 3 steps: pause; auc < 0.3: stop; loss > 0 for 20 steps: pause";
    struct guard whole = parse(text), parts = parse(text);
    struct rng r;
    rng_init(&r, 1, RNG_TEST, 0, 0);
    int total = 0;
    for (int t = 0; t < 3000; t++) {
        double metric[GUARD_VALUES] = {0};
        metric[METRIC_AUC] = 0.2 + 0.8 * rng_uniform(&r);
        metric[METRIC_LOSS] = rng_uniform(&r) - 0.1;
        int a[GUARD_MAX], b[GUARD_MAX];
        int n = guard_step(&whole, metric, a), m = guard_step(&parts, metric, b);
        cr_assert(n == m && !memcmp(a, b, (size_t)n * sizeof *a), "step %d", t);
        total += n;
        char state[GUARD_STATE], again[GUARD_STATE];
        struct error e = {""};
        guard_export(&parts, state);
        parts = parse(text);
        cr_assert(guard_import(&parts, state, &e) == 0, "%s: %s", state, e.text);
        guard_export(&parts, again);
        cr_assert_str_eq(state, again);
    }
    cr_assert(total > 100, "only %d firings were compared", total);
}

Test(guard, refuses_a_state_that_is_not_its_own)
{
    struct guard g = parse("auc > 0.5 for 3 steps: pause; auc < 0.3: stop");
    struct error e = {""};
    cr_assert(guard_import(&g, "2,1!", &e) == 0);
    static const char *const bad[] = {"",    "2",    "2,",   "2,1,0",
                                      "4,0", "2!,0", "-1,0", "2,0 ",
                                      "x,0", "2,,",  "2;0",  "99999999999999999999,0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert(guard_import(&g, bad[i], &e) == -1, "'%s' was taken", bad[i]);
        cr_assert(g.rule[0].held == 2 && g.rule[1].fired == 1, "'%s' left something", bad[i]);
    }
    struct guard none = parse("");
    char state[GUARD_STATE];
    guard_export(&none, state);
    cr_assert_str_eq(state, "");
    cr_assert(guard_import(&none, "", &e) == 0);

    // the longest state fits
    char text[1024] = "";
    for (int i = 0; i < GUARD_MAX; i++)
        strncat(text, "auc>0 for 1e15 steps:stop;", sizeof text - strlen(text) - 1);
    struct guard full = parse(text);
    for (int i = 0; i < GUARD_MAX; i++) {
        full.rule[i].held = full.rule[i].steps;
        full.rule[i].fired = 1;
    }
    guard_export(&full, state);
    cr_assert(strlen(state) == GUARD_MAX * 18 - 1);
    cr_assert(guard_import(&full, state, &e) == 0, "%s", e.text);
}
