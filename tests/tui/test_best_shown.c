// What the screen says of the best network so far: a star where it is, and for how many evaluations
// nothing was gained.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/scene.h"
#include "tui/feed/past.h"
#include "tui/model/verdict.h"

// An evaluation of this accuracy, and what the run says is the best by then.
static void evaluate(struct test_scene *t, int64_t step, double probe, double best,
                     int64_t best_step, int64_t age)
{
    struct record r;
    record_init(&r, RECORD_EVAL, step);
    r.u.eval.metric[METRIC_AUC] = 0.8;
    r.u.eval.metric[METRIC_RANKME] = 40;
    r.u.eval.probe = probe;
    r.u.eval.knn = probe - 0.02;
    r.u.eval.best = best;
    r.u.eval.best_step = best_step;
    r.u.eval.best_age = age;
    snprintf(r.u.eval.best_by, sizeof r.u.eval.best_by, "probe");
    scene_add(t, &r);
}

static void usual(struct test_scene *t)
{
    scene_init(t);
    t->probes = 1;
    scene_train(t, 930);
    evaluate(t, 400, 0.70, 0.70, 400, 0);
    evaluate(t, 500, 0.73, 0.73, 500, 0);
    evaluate(t, 600, 0.71, 0.73, 500, 1);
    evaluate(t, 700, 0.69, 0.73, 500, 2);
    evaluate(t, 800, 0.72, 0.73, 500, 3);
}

static int shows(struct test_scene *t, int h, int w, const char *what)
{
    char *text = scene_text(t, h, w);
    int is = strstr(text, what) != NULL;
    free(text);
    return is;
}

Test(best_shown, screens)
{
    static const struct {
        int view, h, w, ascii;
        const char *name;
    } shown[] = {{VIEW_OVERVIEW, 24, 80, 0, "best-80x24"},
                 {VIEW_OVERVIEW, 24, 80, 1, "best-80x24-ascii"},
                 {VIEW_OVERVIEW, 60, 200, 0, "best-200x60"}};
    struct test_scene t;
    usual(&t);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        t.v.view = shown[i].view;
        t.v.ascii = shown[i].ascii;
        scene_expect(&t.s, shown[i].name, shown[i].h, shown[i].w);
    }
    scene_free(&t);
}

Test(best_shown, as_much_as_fits)
{
    struct test_scene t;
    char text[512];
    usual(&t);
    for (int w = 30; w < 200; w++) {
        enum role role = verdict_with_best(&t.h, w, text, sizeof text);
        cr_expect(role == ROLE_DIM || role == ROLE_WARN);
        cr_expect_not_null(strstr(text, "nothing gained for 3 evaluations, since step 500"), "%d",
                           w);
    }
    cr_expect(shows(&t, 24, 80, "nothing gained for 3 evaluations, since step 500"));
    cr_expect(shows(&t, 24, 200, "directions carry") &&
              shows(&t, 24, 200, "since step 500 (probe 73.0 %)"));
    // What has to be said before it is.
    t.h.last.metric[METRIC_ZSTD] = 0.01;
    cr_expect(shows(&t, 24, 80, "collapse: z-std"));
    scene_free(&t);
}

Test(best_shown, only_while_nothing_is_gained)
{
    struct test_scene t;
    usual(&t);
    evaluate(&t, 900, 0.75, 0.75, 900, 0);
    cr_expect(!shows(&t, 24, 200, "nothing gained"));
    cr_expect(shows(&t, 36, 120, "best so far"), "the evaluation says it");
    cr_expect(shows(&t, 60, 200, "\u2605 best 75.0 % @900"));
    // In a replay what was known then.
    struct history then;
    past_at(&t.h, 850, &then);
    char text[256];
    verdict_best(&then, text, sizeof text);
    cr_expect_str_eq(text, "best step 500 (probe 73.0 %)");
    // At the end the last words name it.
    t.v.link.state = LINK_ENDED;
    snprintf(t.v.link.text, sizeof t.v.link.text, "finished at step 930");
    cr_expect(shows(&t, 24, 80, "finished at step 930; best step 900 (probe 75.0 %)"));
    scene_free(&t);
}

// Runs of versions before it, and those that measure and foretell nothing.
Test(best_shown, nothing_where_none_is_known)
{
    struct test_scene t;
    char text[64];
    scene_init(&t);
    scene_train(&t, 930);
    verdict_best(&t.h, text, sizeof text);
    cr_expect_str_eq(text, "");
    cr_expect(!shows(&t, 60, 200, "\u2605") && !shows(&t, 60, 200, "gained"));
    scene_free(&t);
}

// The file has no line of its own: its evaluation has said it.
Test(best_shown, its_file_is_no_event)
{
    struct test_scene t;
    struct record r;
    usual(&t);
    int n = t.h.n_event;
    record_init(&r, RECORD_CHECKPOINT, 500);
    snprintf(r.u.checkpoint.file, sizeof r.u.checkpoint.file, "best.safetensors");
    scene_add(&t, &r);
    cr_expect_eq(t.h.n_event, n);
    scene_free(&t);
}
