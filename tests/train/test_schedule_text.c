// Words of schedules: what is read, what is refused and with which advice, what is switched and
// cleared, and that what is written is read again.
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/rng.h"
#include "train/schedule/schedule_text.h"

static const struct schedule_facts FACTS = {
    .seed = 1, .n = 1000, .batch = 10, .steps = 300, .chunks = 5};

static void check_plan(const struct schedule_facts *f, const char *text, int n,
                       const struct schedule_entry *want)
{
    struct schedule s;
    struct error e = {""};
    cr_assert(schedule_text_parse(&s, f, text, &e) == 0, "%s: %s", text, e.text);
    cr_assert(s.n == n, "%s: %d entries", text, s.n);
    for (int i = 0; i < n; i++)
        cr_assert(s.entry[i].from == want[i].from && s.entry[i].mode == want[i].mode &&
                      s.entry[i].chunks == want[i].chunks,
                  "%s: entry %d is %s@%d from %" PRId64, text, i, mode_name(s.entry[i].mode),
                  s.entry[i].chunks, s.entry[i].from);
    schedule_free(&s);
}

Test(schedule_text, reads_plans)
{
    const struct schedule_entry multi[] = {{0, MODE_MULTI_EPOCH, 5}};
    const struct schedule_entry hybrid[] = {{0, MODE_CONTINUAL, 5}, {120, MODE_MULTI_EPOCH, 5}};
    const struct schedule_entry three[] = {
        {0, MODE_CONTINUAL, 20}, {37, MODE_CUMULATIVE, 7}, {250, MODE_MULTI_EPOCH, 5}};
    const struct schedule_entry tiny[] = {{0, MODE_MULTI_EPOCH, 1}};
    check_plan(&FACTS, "multi-epoch", 1, multi);
    check_plan(&FACTS, "multi-epoch:100%", 1, multi);
    check_plan(&FACTS, "hybrid", 2, hybrid);
    check_plan(&FACTS, "continual:40%,multi-epoch", 2, hybrid);
    check_plan(&FACTS, " continual:120 , multi-epoch:300 ", 2, hybrid);
    check_plan(&FACTS, "continual@20:12.5%,cumulative@7:250,multi-epoch", 3, three);
    // 40 % of two steps is no step
    struct schedule_facts two = {.seed = 1, .n = 1000, .batch = 10, .steps = 2, .chunks = 1};
    check_plan(&two, "hybrid", 1, tiny);
}

Test(schedule_text, refuses_plans_that_cannot_work)
{
    static const struct {
        const char *text, *because;
    } bad[] = {
        {"", "mode"},
        {"multi", "multi-epoch"},
        {"continual,", "mode"},
        {"continual,multi-epoch", "only the last"},
        {"continual:40%", "last mode"},
        {"continual:40%,multi-epoch:90%", "last mode"},
        {"continual:100%,multi-epoch", "nothing can follow"},
        {"continual:60%,cumulative:40%,multi-epoch", "later"},
        {"continual:40%,cumulative:120,multi-epoch", "later"},
        {"continual:0%,multi-epoch", "later"},
        {"continual:301,multi-epoch", "300"},
        {"continual:101%,multi-epoch", "100 %"},
        {"continual:,multi-epoch", "percentage"},
        {"continual:%,multi-epoch", "percentage"},
        {"continual:.%,multi-epoch", "percentage"},
        {"continual:4.5,multi-epoch", "percentage"},
        {"continual:-4%,multi-epoch", "percentage"},
        {"continual:4e1%,multi-epoch", "percentage"},
        {"continual:nan,multi-epoch", "percentage"},
        {"continual:1.2.3%,multi-epoch", "percentage"},
        {"continual:99999999999999999999999999999999999999999999,multi-epoch", "percentage"},
        {"continual@:40%,multi-epoch", "'@'"},
        {"continual@x", "'@'"},
        {"continual@-1", "'@'"},
        {"continual@5x", "'@'"},
        {"continual@99999999999", "'@'"},
        {"continual@0", "at most 100"},
        {"continual@101", "at most 100"},
        {"continual@4294967297", "at most 100"},
        {"hybrid:40%,multi-epoch", "mode"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct schedule s;
        struct error e = {""};
        cr_assert(schedule_text_parse(&s, &FACTS, bad[i].text, &e) == -1, "'%s' was taken",
                  bad[i].text);
        cr_assert(strstr(e.text, bad[i].because), "'%s': %s", bad[i].text, e.text);
        cr_assert(!s.entry && !s.cache, "'%s' leaves something", bad[i].text);
    }
}

Test(schedule_text, default_chunks)
{
    // max(1, min(round(T/S), floor(N/B), T))
    cr_assert(schedule_default_chunks(60000, 128, 4680) == 10);
    cr_assert(schedule_default_chunks(60000, 128, 4680 + 233) == 10);
    cr_assert(schedule_default_chunks(60000, 128, 4680 + 234) == 11);
    cr_assert(schedule_default_chunks(60000, 128, 100) == 1);
    cr_assert(schedule_default_chunks(100, 40, 1000) == 2);
    cr_assert(schedule_default_chunks(40, 40, 1000) == 1);
    cr_assert(schedule_max_chunks(60000, 128, 1000000) == 468);
    cr_assert(schedule_max_chunks(60000, 128, 100) == 100);
    struct schedule s;
    struct schedule_facts f = {.n = 60000, .batch = 128, .steps = 4680};
    cr_assert(schedule_text_parse(&s, &f, "continual", NULL) == 0);
    cr_assert(s.facts.chunks == 10 && s.entry[0].chunks == 10);
    schedule_free(&s);
}

static int append(struct schedule *s, int64_t from, enum mode mode, int chunks, struct error *e)
{
    return schedule_switch(s, &(struct schedule_switch){from, mode, chunks, -1}, e);
}

Test(schedule_text, switches_keep_the_entries_in_order)
{
    struct schedule s;
    struct error e = {""};
    cr_assert(schedule_text_parse(&s, &FACTS, "continual:40%,multi-epoch", &e) == 0);
    cr_assert(append(&s, 60, MODE_CUMULATIVE, 0, &e) == 0);
    cr_assert(s.n == 3 && s.entry[1].from == 60 && s.entry[2].from == 120);
    cr_assert(append(&s, 60, MODE_CONTINUAL, 7, &e) == 0); // in place of it
    cr_assert(s.n == 3 && s.entry[1].mode == MODE_CONTINUAL && s.entry[1].chunks == 7);
    for (int i = 0; i < 100; i++)
        cr_assert(append(&s, 299 - i, (enum mode)(i % MODE_COUNT), 0, &e) == 0);
    cr_assert(s.n == 103);
    for (int i = 1; i < s.n; i++)
        cr_assert(s.entry[i - 1].from < s.entry[i].from);
    // "until 130 then" from step 120 on, and "until 250 then" from step 119 on
    struct schedule_switch w = {130, MODE_CONTINUAL, 0, .clears = 120};
    cr_assert(schedule_switch(&s, &w, &e) == 0);
    cr_assert(s.n == 4 && s.entry[2].from == 120 && s.entry[3].from == 130);
    w = (struct schedule_switch){250, MODE_CONTINUAL, 0, .clears = 119};
    cr_assert(schedule_switch(&s, &w, &e) == 0);
    cr_assert(s.n == 3 && s.entry[1].from == 60 && s.entry[2].from == 250);

    // Refused: nothing is cleared.
    w = (struct schedule_switch){300, MODE_CONTINUAL, 0, .clears = 0};
    cr_assert(schedule_switch(&s, &w, &e) == -1);
    cr_assert(append(&s, 300, MODE_CONTINUAL, 0, &e) == -1);
    cr_assert(strstr(e.text, "300"));
    cr_assert(append(&s, -1, MODE_CONTINUAL, 0, &e) == -1);
    cr_assert(append(&s, 10, MODE_CONTINUAL, 101, &e) == -1);
    cr_assert(strstr(e.text, "at most 100"), "%s", e.text);
    cr_assert(s.n == 3);
    schedule_free(&s);
}

Test(schedule_text, points_are_exact)
{
    struct rng r;
    rng_init(&r, 10, RNG_TEST, 0, 0);
    struct error e = {""};
    int64_t at;
    for (int round = 0; round < 10000; round++) {
        int64_t steps = 1 + (int64_t)rng_below(&r, round % 2 ? 1000 : 1000000000000000);
        int64_t thousandths = (int64_t)rng_below(&r, 100001);
        char text[32];
        snprintf(text, sizeof text, "%" PRId64 ".%03" PRId64 "%%", thousandths / 1000,
                 thousandths % 1000);
        cr_assert(schedule_text_point(text, steps, &at, &e) == 0, "%s: %s", text, e.text);
        cr_assert(at == (int64_t)((__int128)thousandths * steps / 100000), "%s of %" PRId64, text,
                  steps);
        snprintf(text, sizeof text, "%" PRId64, steps);
        cr_assert(schedule_text_point(text, steps, &at, &e) == 0 && at == steps);
        cr_assert(schedule_text_point(text, steps - 1, &at, &e) == -1);
    }
    cr_assert(schedule_text_point("33.3%", 1000, &at, &e) == 0 && at == 333);
    cr_assert(schedule_text_point(".5%", 1000, &at, &e) == 0 && at == 5);
    cr_assert(schedule_text_point("40 %", 1000, &at, &e) == -1);
    cr_assert(schedule_text_point("0.0000000001%", 1000, &at, &e) == -1);
}

static void expect_same(const struct schedule *a, const struct schedule *b, const char *what)
{
    cr_assert(a->n == b->n, "%s: %d entries, not %d", what, b->n, a->n);
    for (int i = 0; i < a->n; i++)
        cr_assert(a->entry[i].from == b->entry[i].from && a->entry[i].mode == b->entry[i].mode &&
                      a->entry[i].chunks == b->entry[i].chunks,
                  "%s: entry %d", what, i);
}

// Whatever was switched: a checkpoint's text and the events say it all.
Test(schedule_text, what_is_written_is_read_again)
{
    struct rng r;
    struct error e = {""};
    rng_init(&r, 11, RNG_TEST, 0, 0);
    for (int round = 0; round < 300; round++) {
        struct schedule s, told, read;
        cr_assert(schedule_text_parse(&s, &FACTS, "hybrid", &e) == 0);
        cr_assert(schedule_text_parse(&told, &FACTS, "hybrid", &e) == 0);
        cr_assert(schedule_init(&read, &FACTS, &e) == 0);
        for (int i = (int)rng_below(&r, 12); i-- > 0;) {
            struct schedule_switch w = {(int64_t)rng_below(&r, 300),
                                        (enum mode)rng_below(&r, MODE_COUNT),
                                        (int)rng_below(&r, 101), -1};
            if (rng_below(&r, 3) == 0)
                w.clears = (int64_t)rng_below(&r, (uint64_t)w.from + 1);
            // Chunks say nothing in multi-epoch, and an event does not tell them.
            if (w.mode == MODE_MULTI_EPOCH)
                w.chunks = 0;
            struct record_event v = {.by = "key"};
            snprintf(v.what, sizeof v.what, "%s", schedule_text_switch(&s, &w, v.to, sizeof v.to));
            cr_assert(schedule_switch(&s, &w, &e) == 0, "%s", e.text);
            struct schedule_switch heard;
            int64_t step = schedule_switch_step(&w);
            cr_assert(schedule_text_event(&v, step, &heard, &e) == 1, "%s: %s", v.to, e.text);
            cr_assert(schedule_switch(&told, &heard, &e) == 0, "%s: %s", v.to, e.text);
            expect_same(&s, &told, v.to);
        }
        char *text = schedule_text_write(&s);
        cr_assert(text && schedule_text_read(&read, text, &e) == 0, "%s", e.text);
        expect_same(&s, &read, text);
        free(text);
        schedule_free(&s);
        schedule_free(&told);
        schedule_free(&read);
    }
}

Test(schedule_text, refuses_records_that_cannot_be_read)
{
    static const char *const bad[] = {"",
                                      "0",
                                      "0:",
                                      "1:continual@5",
                                      "0:continual@5,",
                                      "0:continual@5,7",
                                      "0:continual@5,x:multi-epoch@5",
                                      "0:continual@5,-1:multi-epoch@5",
                                      "0:continual@5,300:multi-epoch@5",
                                      "0:continual@500",
                                      "0:continual@5 ,7:multi-epoch@5",
                                      "0:dance@5",
                                      "99999999999999999999:continual@5"};
    static const char *const to[] = {"",
                                     "dance",
                                     "continual@",
                                     "continual@0",
                                     "continual@x",
                                     "continual at 5",
                                     "continual@99999999999"};
    static const char *const until[] = {"",
                                        "continual",
                                        "continual at",
                                        "continual at x",
                                        "continual at 5x",
                                        " at 5",
                                        "continual at 99999999999999999999"};
    struct schedule_switch w;
    struct record_event v = {.what = "mode", .by = "key"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct schedule s;
        struct error e = {""};
        cr_assert(schedule_init(&s, &FACTS, &e) == 0);
        int rc = schedule_text_read(&s, bad[i], &e);
        // A comma at the end is what nobody writes, and harms nobody.
        cr_expect(rc == (strcmp(bad[i], "0:continual@5,") == 0 ? 0 : -1), "'%s'", bad[i]);
        cr_expect(rc == 0 || e.text[0], "'%s' needs a sentence", bad[i]);
        schedule_free(&s);
    }
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        snprintf(v.to, sizeof v.to, "%s", to[i]);
        cr_expect(schedule_text_event(&v, 3, &w, NULL) == -1, "'%s'", to[i]);
    }
    snprintf(v.what, sizeof v.what, "until");
    for (size_t i = 0; i < sizeof until / sizeof *until; i++) {
        snprintf(v.to, sizeof v.to, "%s", until[i]);
        cr_expect(schedule_text_event(&v, 3, &w, NULL) == -1, "'%s'", until[i]);
    }
    // What was planned happens by itself; what is no switch is none.
    snprintf(v.by, sizeof v.by, "plan");
    cr_expect(schedule_text_event(&v, 3, &w, NULL) == 0);
    snprintf(v.by, sizeof v.by, "key");
    snprintf(v.what, sizeof v.what, "pause");
    cr_expect(schedule_text_event(&v, 3, &w, NULL) == 0);
}
