// Factors of the learning rates: as text and back, and from which step they hold.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/rng.h"
#include "train/schedule/rates.h"

Test(rates, the_last_factor_at_or_before_a_step_holds)
{
    enum { STEPS = 60 };
    struct rng r;
    struct error e = {""};
    rng_init(&r, 12, RNG_TEST, 0, 0);
    for (int round = 0; round < 200; round++) {
        struct rates rates = {0}, read = {0};
        double want[STEPS];
        for (int t = 0; t < STEPS; t++)
            want[t] = 1;
        for (int i = (int)rng_below(&r, 20); i-- > 0;) {
            int from = (int)rng_below(&r, STEPS), next = STEPS;
            double factor = 0.1 + (double)rng_below(&r, 1000) / 7;
            for (int k = rates.n; k-- > 0 && rates.entry[k].from > from;)
                next = (int)rates.entry[k].from;
            for (int t = from; t < next; t++)
                want[t] = factor;
            cr_assert(rates_set(&rates, from, factor, &e) == 0, "%s", e.text);
        }
        char *text = rates_text(&rates);
        cr_assert(text && rates_parse(&read, text, &e) == 0, "%s: %s", text, e.text);
        for (int t = 0; t < STEPS; t++)
            cr_assert(rates_at(&rates, t) == want[t] && rates_at(&read, t) == want[t], "step %d",
                      t);
        for (int i = 1; i < rates.n; i++)
            cr_assert(rates.entry[i - 1].from < rates.entry[i].from);
        free(text);
        rates_free(&rates);
        rates_free(&read);
    }
}

Test(rates, refuses_texts_that_are_none)
{
    static const char *const bad[] = {"x",    "5",     "5:",    "5:x",           "-1:2",
                                      "5:-1", "5:nan", "5:inf", "5:1e999,6:0.5", "5:0.5,6"};
    struct record_event v = {.what = "lr", .to = "0.5x"};
    struct rates r = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error e = {""};
        cr_expect(rates_parse(&r, bad[i], &e) == -1 && e.text[0], "'%s'", bad[i]);
    }
    cr_expect(rates_event(&r, &v, 3, NULL) == -1);
    snprintf(v.to, sizeof v.to, "0.5");
    cr_expect(rates_event(&r, &v, 300, NULL) == 0 && rates_at(&r, 300) == 0.5);
    snprintf(v.what, sizeof v.what, "mode");
    cr_expect(rates_event(&r, &v, 301, NULL) == 0 && rates_at(&r, 301) == 0.5);
    rates_free(&r);
}
