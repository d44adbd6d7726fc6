// Metrics that are of one step in so many: when they are wanted, whose they are, and what is kept
// of them for a run that goes on.
#include "metrics/science/views.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static void tell(struct views *o, int64_t step, double v)
{
    double metric[METRIC_COUNT];
    for (int i = 0; i < METRIC_COUNT; i++)
        metric[i] = v;
    views_tell(o, step, VIEWS_NOW, metric);
}

Test(views, are_wanted_of_the_first_step_that_can_have_them)
{
    struct error e = {""};
    struct views o;
    cr_assert_eq(views_init(&o, 0, 0, &e), 0);
    cr_assert(views_due(&o, 0));
    tell(&o, 0, 1);
    for (int t = 1; t < VIEWS_EVERY; t++)
        cr_assert(!views_due(&o, t), "%d", t);
    // A card may have no spectrum at a step: then the next that has.
    cr_assert(views_due(&o, VIEWS_EVERY) && views_due(&o, VIEWS_EVERY + 3));
    tell(&o, VIEWS_EVERY + 3, 1);
    cr_assert(!views_due(&o, 2 * VIEWS_EVERY - 1) && views_due(&o, 2 * VIEWS_EVERY));
    views_free(&o);
}

Test(views, say_which_metrics_are_of_a_step)
{
    static const int rare[] = {METRIC_ALIGNMENT, METRIC_UNIFORMITY, METRIC_RANKME_RAW,
                               METRIC_PIXEL_R2};
    for (int i = 0; i < VIEWS_RARE; i++)
        cr_assert(views_say(VIEWS_NOW, rare[i]) == 1 &&
                  views_say(VIEWS_Z | VIEWS_LIDAR, rare[i]) == 0);
    cr_assert(views_say(VIEWS_Z, METRIC_Z_AUC) == 1 && views_say(VIEWS_NOW, METRIC_Z_AUC) == 0);
    cr_assert(views_say(VIEWS_LIDAR, METRIC_LIDAR) == 1 && views_say(VIEWS_Z, METRIC_LIDAR) == 0);
    cr_assert(views_say(VIEWS_NOW, METRIC_AUC) == -1 && views_say(0, METRIC_LOSS) == -1);
}

Test(views, what_they_said_last_goes_on)
{
    struct error e = {""};
    struct views o, p;
    char text[VIEWS_STATE];
    double value[METRIC_COUNT];
    cr_assert(views_init(&o, 0, 0, &e) == 0 && views_init(&p, 0, 0, &e) == 0);
    views_export(&o, text);
    cr_assert_str_eq(text, "-:-:-:-");
    cr_assert_eq(views_import(&p, 0, text, &e), 0);
    cr_assert(views_due(&p, 0) && isnan(p.told[0]));
    tell(&o, 32, -1.0 / 3);
    o.told[2] = NAN;
    views_export(&o, text);
    cr_assert_eq(views_import(&p, 37, text, &e), 0, "%s", e.text);
    cr_assert(p.due == o.due && p.due == 3 * VIEWS_EVERY);
    views_last(&p, value);
    cr_assert(value[METRIC_ALIGNMENT] == -1.0 / 3 && value[METRIC_PIXEL_R2] == -1.0 / 3 &&
              isnan(value[METRIC_RANKME_RAW]));
    cr_assert_eq(views_import(&p, 48, "", &e), 0, "as in checkpoints of before");
    cr_assert(views_due(&p, 48));
}

Test(views, words_that_make_no_sense_are_refused)
{
    static const char *const bad[] = {
        "1:2:3", "1:2:3:4:5", "x:-:-:-", ":::", "-:-:-:-:", "1", "--:-:-:-"};
    struct error e = {""};
    struct views o;
    cr_assert_eq(views_init(&o, 0, 0, &e), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(views_import(&o, 0, bad[i], &e), -1, "%s", bad[i]);
}
