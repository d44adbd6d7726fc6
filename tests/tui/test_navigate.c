// Moving about with keys and pointer: what each key's line in the help promises.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/kit/scene.h"
#include "tui/hands/actions.h"
#include "tui/draw/panel_lists.h"
#include "tui/hands/settings.h"
#include "tui/feed/spectra.h"

struct place {
    struct test_scene t;
    struct ui ui;
};

static void draw(struct place *p)
{
    free(scene_text(&p->t, 24, 80));
}

static void arrive(struct place *p)
{
    memset(p, 0, sizeof *p);
    scene_init(&p->t);
    scene_train(&p->t, 1284);
    p->ui = (struct ui){.v = &p->t.v, .h = &p->t.h};
    draw(p);
}

static unsigned press(struct place *p, uint32_t key)
{
    unsigned flags = action_key(&p->ui, key);
    draw(p);
    return flags;
}

static void write_in(struct place *p, const char *text)
{
    while (*text)
        press(p, (uint32_t)(unsigned char)*text++);
}

static void point(struct place *p, uint32_t key, int y, int x)
{
    p->t.v.pointer.y = y;
    p->t.v.pointer.x = x;
    press(p, key);
}

static int shows(struct place *p, const char *what)
{
    char *text = scene_text(&p->t, 24, 80);
    int found = strstr(text, what) != NULL;
    free(text);
    return found;
}

Test(navigate, views)
{
    static const char keys[] = "12345";
    static const char *const title[] = {"numbers", "cumulative", "metrics", "events",
                                        "time of a step"};
    struct place p;
    arrive(&p);
    for (int i = 0; i < 5; i++) {
        press(&p, (uint32_t)keys[i]);
        cr_assert(p.t.v.view == i && shows(&p, title[i]), "%d", i);
    }
    press(&p, KEYS_TAB);
    cr_assert_eq(p.t.v.view, VIEW_OVERVIEW);
    press(&p, KEYS_BACK_TAB);
    cr_assert_eq(p.t.v.view, VIEW_DEVICE);
    scene_free(&p.t);
}

Test(navigate, the_spectrum_is_told_as_asked)
{
    struct place p;
    arrive(&p);
    cr_assert(shows(&p, "spectrum \u03c3/\u03c3\u2081 log"));
    press(&p, 'l');
    cr_assert(shows(&p, "spectrum \u03c3/\u03c3\u2081 \u2500"));
    press(&p, 'a');
    cr_assert(shows(&p, "spectrum \u03c3 \u2500") && shows(&p, "   40 "));
    press(&p, 'l');
    press(&p, 'w');
    cr_assert(p.t.v.view == VIEW_SPECTRUM && p.t.v.look.waterfall);
    press(&p, 'w');
    cr_assert(!p.t.v.look.waterfall);
    press(&p, KEYS_HOME);
    cr_assert(shows(&p, "now @0"));
    press(&p, 'x');
    press(&p, KEYS_END);
    cr_assert(p.t.v.time.mark == 0 && shows(&p, "mark @0"));
    press(&p, KEYS_HOME);
    press(&p, 'x');
    cr_assert_eq(p.t.v.time.mark, -1);
    scene_free(&p.t);
}

Test(navigate, a_singular_value_is_read_off)
{
    struct place p;
    arrive(&p);
    press(&p, '2');
    press(&p, '.');
    cr_assert(p.t.v.index == 1 && shows(&p, "i = 1  now 1.000  exact 1.000  start 1.000"));
    press(&p, ',');
    press(&p, ',');
    cr_assert_eq(p.t.v.index, 0);
    point(&p, KEYS_CLICK, 8, 43); // in the middle of 72 columns from 7 on
    cr_assert_eq(p.t.v.index, 65, "%d", p.t.v.index);
    cr_assert(shows(&p, "i = 65  now 0.02") && shows(&p, "  exact 0.0"));
    point(&p, KEYS_CLICK, 8, 43);
    cr_assert_eq(p.t.v.index, 0);
    for (int i = 0; i < 200; i++)
        press(&p, '.');
    cr_assert_eq(p.t.v.index, 128);
    scene_free(&p.t);
}

Test(navigate, every_metric_can_be_chosen)
{
    struct place p;
    arrive(&p);
    press(&p, '3');
    for (int i = 0; i < panel_list_rows(&p.t.h); i++, press(&p, KEYS_DOWN)) {
        cr_assert_eq(p.t.v.list.metric, i);
        char *text = scene_text(&p.t, 24, 80), title[64];
        int m = panel_list_series(&p.t.h, i);
        snprintf(title, sizeof title, "\u250c %s ",
                 m == SERIES_LR         ? "learning rate"
                 : m == SERIES_IMAGES_S ? "throughput"
                                        : metric_table[m].title);
        cr_assert_not_null(strstr(text, title), "%s\n%s", title, text);
        free(text);
    }
    cr_assert_eq(p.t.v.list.metric, 0, "the list is a ring");
    press(&p, KEYS_UP);
    cr_assert_eq(p.t.v.list.metric, panel_list_rows(&p.t.h) - 1);
    press(&p, KEYS_PAGE_UP);
    cr_assert_lt(p.t.v.list.metric, panel_list_rows(&p.t.h) - 1);
    scene_free(&p.t);
}

Test(navigate, events_are_selected_searched_and_jumped_to)
{
    struct place p;
    arrive(&p);
    press(&p, '2');
    press(&p, '/');
    cr_assert(p.t.v.view == VIEW_EVENTS && p.t.v.context == CONTEXT_SEARCH);
    write_in(&p, "CKPT");
    cr_assert_str_eq(p.t.h.event[p.t.v.list.event].text, "checkpoint ckpt-936.safetensors");
    press(&p, KEYS_DOWN);
    cr_assert_str_eq(p.t.h.event[p.t.v.list.event].text, "checkpoint ckpt-468.safetensors");
    press(&p, KEYS_DOWN);
    cr_assert_str_eq(p.t.h.event[p.t.v.list.event].text, "checkpoint ckpt-468.safetensors");
    press(&p, KEYS_UP);
    press(&p, KEYS_ENTER);
    cr_assert_eq(p.t.v.context, CONTEXT_MAIN);
    press(&p, '/');
    press(&p, KEYS_ENTER); // the same again
    cr_assert_str_eq(p.t.h.event[p.t.v.list.event].text, "checkpoint ckpt-468.safetensors");
    press(&p, KEYS_ENTER);
    cr_assert(p.t.v.time.cursor == 468 && p.t.v.view == VIEW_SPECTRUM);
    press(&p, '/');
    write_in(&p, "exact");
    press(&p, KEYS_ESCAPE);
    cr_assert_str_eq(p.t.h.event[p.t.v.list.event].text, "checkpoint ckpt-468.safetensors");
    press(&p, '/');
    write_in(&p, "no such");
    press(&p, KEYS_ENTER);
    cr_assert_not_null(strstr(p.t.v.message.text, "no event has 'no such'"));
    press(&p, '/');
    press(&p, 'x');
    press(&p, KEYS_BACKSPACE);
    press(&p, KEYS_BACKSPACE);
    cr_assert_eq(p.t.v.context, CONTEXT_MAIN);
    press(&p, KEYS_PAGE_UP);
    cr_assert_eq(p.t.v.list.event, -1, "the newest");
    scene_event(&p.t, 1284, "lr", "key", "1", "0.5", "");
    press(&p, KEYS_DOWN);
    cr_assert_eq(p.t.v.list.event, p.t.h.n_event - 2);
    scene_event(&p.t, 1284, "lr", "key", "0.5", "1", "");
    draw(&p);
    cr_assert_eq(p.t.v.list.event, p.t.h.n_event - 3, "a new event does not move the selection");
    scene_free(&p.t);
}

Test(navigate, pointer)
{
    struct place p;
    arrive(&p);
    point(&p, KEYS_CLICK, 6, 55); // inside the AUC plot of the overview
    cr_assert(p.t.v.view == VIEW_OVERVIEW && p.t.v.time.cursor > 100 && p.t.v.time.cursor < 1283);
    int64_t at = p.t.v.time.cursor;
    point(&p, KEYS_WHEEL_UP, 6, 55);
    cr_assert(p.t.v.time.zoom == 1 && p.t.v.time.cursor == at);
    point(&p, KEYS_WHEEL_DOWN, 6, 55);
    cr_assert_eq(p.t.v.time.zoom, 0);
    point(&p, KEYS_CLICK, 3, 50); // its border
    cr_assert_eq(p.t.v.view, VIEW_COLLAPSE);
    point(&p, KEYS_CLICK, 6, 5);
    cr_assert_eq(p.t.v.list.metric, 2);
    point(&p, KEYS_WHEEL_DOWN, 6, 5);
    cr_assert_eq(p.t.v.list.metric, 5);
    press(&p, '1');
    point(&p, KEYS_CLICK, 6, 5);
    cr_assert_eq(p.t.v.view, VIEW_SPECTRUM);
    press(&p, '4');
    point(&p, KEYS_CLICK, 6, 30);
    cr_assert_eq(p.t.v.list.event, p.t.h.n_event - 3);
    point(&p, KEYS_CLICK, 23, 2); // "? Help" of the function bar
    cr_assert_eq(p.t.v.context, CONTEXT_HELP);
    press(&p, KEYS_WHEEL_DOWN);
    cr_assert_eq(p.t.v.list.help_scroll, 1);
    point(&p, KEYS_CLICK, 500, -3);
    scene_free(&p.t);
}

Test(navigate, schemes)
{
    struct place p;
    arrive(&p);
    p.t.v.look.theme = theme_table;
    for (const struct theme *t = theme_table + 1; t->name; t++) {
        cr_assert_eq(press(&p, 't'), UI_REPAINT);
        cr_assert_eq(p.t.v.look.theme, t);
    }
    press(&p, 't');
    cr_assert_eq(p.t.v.look.theme, theme_table);
    scene_free(&p.t);
}

// --- settings ---

Test(settings, written_and_read)
{
    char dir[] = "/tmp/ssltop-settings-XXXXXX", path[128];
    struct look a = {.theme = theme_find("light"), .linear = 1, .no_mouse = 1}, b = {0};
    struct error e = {""};
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/deep/er/ssltop.ini", dir);
    cr_assert_eq(settings_read(path, &b, &e), 0, "a missing file is fine");
    cr_assert(settings_differ(&a, &b));
    cr_assert_eq(settings_write(path, &a, &e), 0, "%s", e.text);
    cr_assert_eq(settings_read(path, &b, &e), 0, "%s", e.text);
    cr_assert(!settings_differ(&a, &b));
    FILE *f = fopen(path, "w");
    fputs("[screen]\naxis = linear\ntheme = loud\nfuture = 3\nwaterfall = on\n", f);
    fclose(f);
    b = (struct look){0};
    cr_assert_eq(settings_read(path, &b, &e), -1);
    cr_assert_not_null(strstr(e.text, "line 3"), "%s", e.text);
    cr_assert(b.linear == 1 && b.waterfall == 1, "the other lines count");
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_assert_eq(settings_write(path, &a, &e), -1);
    cr_assert_eq(rmdir(path), 0);
    snprintf(path, sizeof path, "rm -r %s", dir);
    cr_assert_eq(system(path), 0);
}

// --- spectra over steps ---

Test(spectra, a_long_run_is_thinned)
{
    struct spectra s = {0};
    double sigma[8] = {8, 7, 6, 5, 4, 3, 2, 1};
    int wanted = 0;
    for (int64_t i = 0; i < 100000; i++) {
        sigma[0] = 10 + (double)i;
        wanted += spectra_wants(&s, i);
        cr_assert_eq(spectra_add(&s, i, 5, 8, sigma), 0);
    }
    cr_assert(s.n > SPECTRA_MAX / 4 && s.n <= SPECTRA_MAX, "%d", s.n);
    cr_assert_lt(wanted, 10 * SPECTRA_MAX);
    cr_assert_eq(s.row[0].step, 0, "the first stays");
    for (int64_t at = 0; at < 100000; at += 997) {
        const struct spectra_row *p = spectra_at(&s, at);
        cr_assert(p && p->step <= at && at - p->step < 2 * s.stride);
        cr_assert_eq(p->sigma[0], (float)(10 + p->step));
    }
    spectra_cut(&s, 500);
    cr_assert(s.row[s.n - 1].step < 500);
    cr_assert_eq(spectra_add(&s, 512, 5, 8, sigma), 0);
    cr_assert_eq(spectra_at(&s, 600)->step, 512);
    cr_assert_null(spectra_at(&s, -1));
    spectra_free(&s);
    cr_assert_null(spectra_at(&s, 600));
}

// Few of many values: the memory is bounded too.
Test(spectra, wide_ones)
{
    enum { D = SPECTRA_VALUES / 4 };
    struct spectra s = {0};
    double *sigma = calloc(D, sizeof *sigma);
    cr_assert_not_null(sigma);
    for (int64_t i = 0; i < 40; i++)
        cr_assert_eq(spectra_add(&s, i, 5, D, sigma), 0);
    cr_assert_leq(s.n, 4);
    spectra_free(&s);
    free(sigma);
}

// --- the table ---

static int count_sent(void *to, const struct command_call *call, struct error *e)
{
    ++*(int *)to;
    return 0;
}

// Does this key do anything in this view, from a state in which there is something to do?
static int has_effect(const struct action *a, uint32_t key, int view)
{
    struct place p;
    int sent = 0;
    arrive(&p);
    p.ui.send = count_sent;
    p.ui.to = &sent;
    struct view_state *v = &p.t.v;
    v->view = view;
    v->context = a->context;
    v->time.cursor = 700;
    v->time.mark = 300;
    v->time.centre = 600;
    v->time.zoom = 2;
    v->list.metric = v->index = v->menu_row = 1;
    v->list.help_scroll = 3;
    v->list.event = p.t.h.n_event - 4;
    v->look.theme = theme_table;
    strcpy(v->line.text, "exact");
    v->line.len = 5;
    v->line.at = 3;
    strcpy(v->line.kept[0], "lr 0.5x");
    strcpy(v->line.kept[1], "eval");
    v->line.n_kept = 2;
    v->line.kept_at = 1;
    draw(&p);
    v->pointer.y = 6;
    v->pointer.x = 60;
    struct view_state *before = malloc(sizeof *before);
    cr_assert_not_null(before);
    memcpy(before, v, sizeof *v);
    unsigned flags = action_key(&p.ui, key);
    int changed = memcmp(before, v, sizeof *v) != 0;
    free(before);
    scene_free(&p.t);
    return changed || sent || flags;
}

// Those of a replay: tests/tui/test_replay.c.
Test(navigate, every_key_of_the_table_does_something)
{
    for (const struct action *a = action_table; a->keys; a++)
        for (int i = 0; a->context != CONTEXT_REPLAY && i < 3 && a->key[i]; i++) {
            int effect = 0;
            for (int view = 0; view < VIEW_COUNT && !effect; view++)
                effect = has_effect(a, a->key[i], view);
            cr_assert(effect, "%s (%s) does nothing", a->keys, a->doc);
        }
}

// What is left to flags: leaving, suspending, drawing again.
Test(navigate, flags)
{
    struct place p;
    arrive(&p);
    cr_assert_eq(press(&p, KEY_CTRL('L')), UI_REPAINT);
    cr_assert_eq(press(&p, KEY_CTRL('Z')), UI_SUSPEND);
    cr_assert_eq(press(&p, 'd'), UI_LEAVE);
    cr_assert_eq(press(&p, KEYS_F1 + 1000), 0);
    scene_free(&p.t);
}
