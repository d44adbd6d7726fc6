// A run laid under the curves of another: where it is drawn, how it is told from one's own, what a
// small file of it holds, and which comes with the program.
#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "metrics/log/record_columns.h"
#include "metrics/log/runlog.h"
#include "tests/kit/desk.h"
#include "tests/kit/say.h"
#include "tests/kit/session.h"
#include "tui/draw/screen.h"
#include "tui/draw/timeplot.h"
#include "tui/feed/underlay.h"

// A run of `steps`, all of them made, `every` of them a record: AUC falls along a line from 0.9 to
// 0.6, the loss along one from 0 to -0.9.
static void straight(struct history *h, int64_t steps, int64_t every)
{
    struct record r;
    cr_assert_eq(history_init(h, NULL), 0);
    record_init(&r, RECORD_RUN, -1);
    r.u.run.version = 1;
    r.u.run.steps = steps;
    cr_assert_eq(history_add(h, &r, NULL), 0);
    for (int64_t t = 0; t < steps; t += every) {
        double share = (double)t / (double)steps;
        record_init(&r, RECORD_STEP, t);
        r.u.step.metric[METRIC_AUC] = 0.9 - 0.3 * share;
        r.u.step.metric[METRIC_LOSS] = -0.9 * share;
        r.u.step.forecast = 0.5 + 0.3 * share;
        cr_assert_eq(history_add(h, &r, NULL), 0);
    }
    record_init(&r, RECORD_EVAL, steps / 2);
    r.u.eval.metric[METRIC_AUC] = 0.95;
    r.u.eval.probe = 0.55;
    cr_assert_eq(history_add(h, &r, NULL), 0);
}

// --- where ---

// The row of the reference's line in each column of cells of the AUC panel of the overview.
static int rows_of(const struct canvas *c, struct rect in, int *row)
{
    int n = 0;
    for (int x = 0; x < in.w; x++) {
        row[x] = -1;
        for (int y = 0; y < in.h; y++) {
            const struct cell *p = canvas_at(c, in.y + y, in.x + x);
            if (p->role == ROLE_REFERENCE && p->ch > 0x2800 && p->ch <= 0x28FF) {
                row[x] = y;
                n++;
            }
        }
    }
    return n;
}

// However many steps the reference has, and however few of them are told, it lies in the same
// place: the share of its run is the share of one's own.
Test(underlay, lies_where_its_share_of_the_run_is)
{
    static const struct {
        int64_t steps, every;
    } as[] = {{4680, 1}, {4680, 20}, {468, 1}, {100, 1}, {46800, 1}, {46800, 600}};
    struct test_scene t;
    int first[200], row[200];
    scene_init(&t);
    scene_train(&t, 1284);
    t.v.reference = 1;
    for (size_t i = 0; i < sizeof as / sizeof *as; i++) {
        struct history h;
        struct canvas c = {0};
        struct peer under = {"known", &h, &h};
        straight(&h, as[i].steps, as[i].every);
        t.s.reference = &under;
        cr_assert_eq(canvas_resize(&c, 60, 200, NULL), 0);
        screen_draw(&c, &t.s);
        struct rect in = {4, 107, 22, 90};
        cr_assert_gt(rows_of(&c, in, row), 20);
        for (int x = 0; x < in.w && i; x++)
            if (row[x] >= 0 && first[x] >= 0)
                cr_expect(abs(row[x] - first[x]) <= 1, "column %d: %d, was %d (%ld steps)", x,
                          row[x], first[x], (long)as[i].steps);
        if (!i)
            memcpy(first, row, sizeof row);
        canvas_free(&c);
        history_free(&h);
    }
    scene_free(&t);
}

// Nobody knows how long it is, or one's own run: then step by step.
Test(underlay, lies_at_its_steps_where_there_is_no_share)
{
    struct test_scene t;
    struct history h;
    int with[200], without[200];
    struct rect in = {4, 107, 22, 90};
    struct peer under = {"known", &h, &h};
    scene_init(&t);
    scene_train(&t, 1284);
    straight(&h, 9360, 1);
    t.s.reference = &under;
    t.v.reference = 1;
    for (int k = 0; k < 2; k++) {
        struct canvas c = {0};
        h.run.steps = k ? 0 : 9360;
        cr_assert_eq(canvas_resize(&c, 60, 200, NULL), 0);
        screen_draw(&c, &t.s);
        cr_assert_gt(rows_of(&c, in, k ? without : with), 20);
        canvas_free(&c);
    }
    int lower = 0; // half as far along it, AUC is higher
    for (int x = 40; x < in.w; x++)
        if (with[x] >= 0 && without[x] >= 0) {
            cr_expect(without[x] <= with[x]);
            lower += without[x] < with[x];
        }
    cr_expect_gt(lower, 0);
    history_free(&h);
    scene_free(&t);
}

// --- how it looks ---

Test(underlay, screens)
{
    static const struct {
        int view, h, w, ascii;
        const char *name;
    } shown[] = {{VIEW_OVERVIEW, 24, 80, 0, "reference-80x24"},
                 {VIEW_OVERVIEW, 24, 80, 1, "reference-80x24-ascii"},
                 {VIEW_OVERVIEW, 60, 200, 0, "reference-200x60"}};
    struct test_scene t;
    struct underlay r;
    struct error e = {""};
    cr_assert(underlay_open(&r, "data/reference/fashion-mnist.jsonl", "fashion-mnist", &e) == 0,
              "%s", e.text);
    struct peer under = {r.name, &r.h, &r.h};
    scene_usual(&t);
    t.s.reference = &under;
    t.v.reference = 1;
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        t.v.view = shown[i].view;
        t.v.ascii = shown[i].ascii;
        scene_expect(&t.s, shown[i].name, shown[i].h, shown[i].w);
    }
    scene_free(&t);
    underlay_free(&r);
}

// Hidden it changes nothing, whatever the size; shown it has its name in every view with curves.
Test(underlay, nothing_of_it_is_seen_when_it_is_hidden)
{
    struct test_scene t;
    struct history h;
    struct peer under = {"a \033[31mname that is far too long for the title of any panel", &h, &h};
    straight(&h, 1000, 1);
    scene_usual(&t);
    for (int view = 0; view < VIEW_COUNT; view++)
        for (int i = 0; i < 3; i++) {
            t.v.view = view;
            t.s.reference = NULL;
            char *without = scene_text(&t, scene_size[i][0], scene_size[i][1]);
            t.s.reference = &under;
            char *hidden = scene_text(&t, scene_size[i][0], scene_size[i][1]);
            cr_expect_str_eq(hidden, without);
            t.v.reference = 1;
            char *shown = scene_text(&t, scene_size[i][0], scene_size[i][1]);
            cr_expect_null(strchr(shown, '\033'));
            int has_curves = view != VIEW_SPECTRUM && view != VIEW_EVENTS;
            cr_expect_eq(strstr(shown, DOTTED "a ") != NULL, has_curves, "view %d:\n%s", view,
                         shown);
            t.v.reference = 0;
            free(without);
            free(hidden);
            free(shown);
        }
    scene_free(&t);
    history_free(&h);
}

// --- the key ---

static int answer(void *to, const char **name, struct error *e)
{
    struct sent *s = to;
    s->n++;
    *name = "known";
    return s->refuse ? error_set(e, "there is none") : 0;
}

Test(underlay, a_key_shows_and_hides_it)
{
    struct desk d;
    desk_open(&d, 50);
    desk_type(&d, "r");
    cr_expect_str_eq(d.t.v.message.text, "no reference here");
    cr_expect_eq(d.t.v.reference, 0);
    d.ui.reference = answer;
    d.sent.refuse = 1;
    desk_type(&d, "r");
    cr_expect_str_eq(d.t.v.message.text, "there is none");
    cr_expect_eq(d.t.v.reference, 0);
    d.sent.refuse = 0;
    desk_type(&d, "r");
    cr_expect_eq(d.t.v.reference, 1);
    cr_expect_not_null(strstr(d.t.v.message.text, "known"));
    desk_type(&d, "r");
    cr_expect_eq(d.t.v.reference, 0);
    cr_expect_eq(d.sent.n, 2, "hiding it asks nobody");
    scene_free(&d.t);
}

// --- the small file ---

static char folder[64], log_path[96], small[96];

static void setup(void)
{
    strcpy(folder, "/tmp/ssltop-underlay-XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(log_path, sizeof log_path, "%s/run.jsonl.zst", folder);
    snprintf(small, sizeof small, "%s/mine.jsonl", folder);
}

static void teardown(void)
{
    unlink(log_path);
    unlink(small);
    cr_assert_eq(rmdir(folder), 0);
}

TestSuite(underlay_file, .init = setup, .fini = teardown);

static void write_log(int steps)
{
    struct test_scene t;
    scene_init(&t);
    t.probes = 1;
    cr_assert_eq(runlog_create(log_path, &t.log, NULL), 0);
    scene_train(&t, steps);
    cr_assert_eq(runlog_close(t.log, NULL), 0);
    scene_free(&t);
}

// Means of parts, in a file that is small, and is a log: what was written is read again.
Test(underlay_file, holds_the_curves)
{
    struct underlay whole, made;
    struct error e = {""};
    write_log(2000);
    struct said s = SAY("export", log_path, "--format", "reference", "-o", small);
    cr_assert(s.code == 0, "%s", s.err);
    said_free(&s);
    cr_assert(underlay_open(&whole, log_path, "w", &e) == 0, "%s", e.text);
    cr_assert(underlay_open(&made, small, "m", &e) == 0, "%s", e.text);
    cr_expect_eq(made.h.run.steps, 4680);
    cr_expect_str_eq(made.h.run.dataset.name, "fashion-mnist");
    cr_expect_str_eq(made.h.method, "simsiam");
    cr_assert_eq(made.h.n_eval, whole.h.n_eval);
    for (int i = 0; i < made.h.n_eval; i++) {
        cr_expect_eq(made.h.eval[i].step, whole.h.eval[i].step);
        cr_expect_float_eq(made.h.eval[i].probe, whole.h.eval[i].probe, 1e-4);
    }
    static const int series[] = {METRIC_AUC, METRIC_LOSS, METRIC_RANKME, SERIES_LR,
                                 SERIES_FORECAST};
    for (size_t k = 0; k < sizeof series / sizeof *series; k++) {
        int points = 0;
        for (int64_t t = 0; t < 2000; t++) {
            double v = series_range(&made.h.series[series[k]], t, t + 1).last;
            if (isnan(v))
                continue;
            points++;
            struct span around = series_range(&whole.h.series[series[k]], t - 20, t + 20);
            cr_expect(v >= around.lo - 1e-3 * fabs(v) && v <= around.hi + 1e-3 * fabs(v),
                      "series %d, step %ld: %g in %g .. %g", series[k], (long)t, v,
                      (double)around.lo, (double)around.hi);
        }
        cr_expect(points > 90 && points < 120, "%d of series %d", points, series[k]);
    }
    cr_expect(isnan(series_range(&made.h.series[SERIES_IMAGES_S], 0, 2000).last),
              "the speed is the machine's");
    underlay_free(&whole);
    underlay_free(&made);
    // It is a log: it can be looked at and exported like one.
    s = SAY("log", "check", small);
    cr_expect(s.code == 0 && strstr(s.out, "lost    nothing"), "%s%s", s.out, s.err);
    said_free(&s);
    s = SAY("export", small, "--columns", "step,auc");
    cr_expect(s.code == 0 && strncmp(s.out, "step,auc\n", 9) == 0, "%s%s", s.out, s.err);
    said_free(&s);
}

Test(underlay_file, refusals)
{
    struct underlay r;
    struct error e = {""};
    struct said s = SAY("export", log_path, "--format", "reference", "--columns", "auc");
    cr_expect(s.code == 2 && strstr(s.err, "a reference shows what it shows"), "%s", s.err);
    said_free(&s);
    FILE *f = fopen(small, "w");
    cr_assert(f && fputs("{\"type\":\"run\",\"steps\":9}\n", f) >= 0 && fclose(f) == 0);
    cr_expect(underlay_open(&r, small, "m", &e) < 0);
    cr_expect_not_null(strstr(e.text, "no steps"), "%s", e.text);
    underlay_free(&r);
    s = SAY("export", small, "--format", "reference");
    cr_expect(s.code == 1 && strstr(s.err, "no steps"), "%s", s.err);
    said_free(&s);
    cr_expect(underlay_open(&r, folder, "m", &e) < 0);
    underlay_free(&r);
    static const char *const command[] = {"attach", "replay", "train"};
    for (size_t i = 0; i < 3; i++) {
        s = SAY(command[i], "--reference");
        cr_expect_eq(s.code, 2, "%s", command[i]);
        said_free(&s);
    }
    char path[300];
    cr_expect(underlay_find(folder, "nosuch", path, sizeof path, &e) < 0);
    cr_expect_not_null(strstr(e.text, "nosuch"), "%s", e.text);
    cr_expect(underlay_check(folder, "auto", &e) == 0);
}

// --- those of the program ---

// Every recipe that says where its data are has one; it is found by its name, and by the run.
Test(underlay_file, come_with_the_program)
{
    struct error e = {""};
    struct underlay r;
    char path[4300], name[64];
    setenv("SSLTOP_REFERENCE", "data/reference", 1);
    int n = 0;
    for (; underlay_value(n, name, sizeof name); n++) {
        char recipe[200];
        snprintf(recipe, sizeof recipe, "data/recipes/%s.ini", name);
        cr_expect_eq(access(recipe, F_OK), 0, "%s", recipe);
        cr_assert(underlay_find(folder, name, path, sizeof path, &e) == 0, "%s", e.text);
        cr_assert(underlay_open(&r, path, name, &e) == 0, "%s", e.text);
        cr_expect(r.h.last_step > 0.99 * (double)r.h.run.steps && r.h.n_eval > 5);
        cr_expect_gt(r.h.eval[r.h.n_eval - 1].probe, 0.8);
        struct record_run run = r.h.run;
        cr_expect_eq(underlay_for(&run, path, sizeof path, name), 1);
        run.model.width++;
        cr_expect_eq(underlay_for(&run, path, sizeof path, name), 0);
        run = r.h.run;
        snprintf(run.dataset.name, sizeof run.dataset.name, "cifar10:x");
        cr_expect_eq(underlay_for(&run, path, sizeof path, name), 0);
        struct underlay found;
        cr_expect_eq(underlay_for_run(&found, folder, NULL, &r.h.run, &e), 0);
        underlay_free(&found);
        cr_expect_eq(underlay_for_run(&found, folder, "auto", &run, &e), -1);
        cr_expect_not_null(strstr(e.text, "--reference RUN"), "%s", e.text);
        underlay_free(&r);
    }
    cr_expect_eq(n, 1, "one for fashion-mnist: the others name no data");
    // A folder of one's own.
    setenv("SSLTOP_REFERENCE", folder, 1);
    cr_expect_eq(underlay_value(0, name, sizeof name), 0);
    cr_expect(underlay_find(folder, "fashion-mnist", path, sizeof path, &e) < 0);
    cr_expect_not_null(strstr(e.text, "comes none"), "%s", e.text);
    unsetenv("SSLTOP_REFERENCE");
}

// --- on a terminal ---

static void wait_gone(struct session *s, const char *what)
{
    while (strstr(session_text(s), what))
        cr_assert_geq(session_feed(s, 200), 0);
}

Test(underlay_file, on_a_terminal, .timeout = 300)
{
    struct session s = {0};
    write_log(900);
    setenv("SSLTOP_REFERENCE", "data/reference", 1);
    setenv("NO_COLOR", "1", 1);
    char *argv[] = {"ssltop", "replay", "--ascii", "--reference", "fashion-mnist", log_path, NULL};
    session_start(&s, argv);
    session_wait(&s, "~ ~ fashion-mnist");
    session_type(&s, "r");
    wait_gone(&s, "~");
    session_type(&s, "r");
    session_wait(&s, "under the curves: fashion-mnist");
    session_resize(&s, 40, 120);
    session_wait(&s, "~ ~ fashion-mnist");
    session_type(&s, "q");
    session_end(&s);
    // Without the option the key finds the one for this run, which this one is for.
    argv[3] = log_path;
    argv[4] = NULL;
    session_start(&s, argv);
    session_wait(&s, "step 900 / 4 680");
    cr_expect_null(strstr(session_text(&s), "~ ~"));
    session_type(&s, "r");
    session_wait(&s, "~ ~ fashion-mnist");
    session_type(&s, "q");
    session_end(&s);
    argv[3] = "--reference=nosuch";
    argv[4] = log_path;
    argv[5] = NULL;
    session_start(&s, argv);
    int status = session_finish(&s, 1);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    cr_expect_not_null(strstr(s.text, "no run, file or reference 'nosuch'"), "%s", s.text);
    unsetenv("SSLTOP_REFERENCE");
    unsetenv("NO_COLOR");
}
