// Whole screens against committed ones, and what keys do to them. `SSLTOP_SCREENS=write build/check
// --filter 'screen/*'` writes the committed ones again; look at the difference before you commit
// it.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"
#include "tui/actions.h"
#include "tui/window.h"

// --- committed screens ---

static char *read_all(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return NULL;
    char *text = calloc(1, 1 << 17);
    cr_assert_not_null(text);
    text[fread(text, 1, (1 << 17) - 1, f)] = 0;
    fclose(f);
    return text;
}

static void expect_screen(struct test_scene *t, const char *name, int h, int w)
{
    char path[256];
    char *is = scene_text(t, h, w);
    snprintf(path, sizeof path, "tests/screens/%s.txt", name);
    const char *mode = getenv("SSLTOP_SCREENS");
    if (mode && strcmp(mode, "write") == 0) {
        FILE *f = fopen(path, "w");
        cr_assert_not_null(f, "%s", path);
        fputs(is, f);
        cr_assert_eq(fclose(f), 0);
    }
    char *should = read_all(path);
    cr_assert_not_null(should, "%s is missing", path);
    if (strcmp(is, should) != 0)
        cr_assert(0, "%s is not what is drawn:\n%s", path, is);
    free(is);
    free(should);
}

// Every view at every size, with Unicode and with ASCII only.
Test(screen, views)
{
    static const int size[][2] = {{24, 80}, {36, 120}, {60, 200}};
    struct test_scene t;
    scene_init(&t);
    t.probes = 1;
    scene_train(&t, 1284);
    scene_machine(&t);
    t.v.mark = 300;
    for (t.v.view = 0; t.v.view < view_count; t.v.view++)
        for (int i = 0; i < 3; i++)
            for (t.v.ascii = 0; t.v.ascii < 2; t.v.ascii++) {
                char name[96];
                snprintf(name, sizeof name, "%s-%dx%d%s", view_table[t.v.view].name, size[i][1],
                         size[i][0], t.v.ascii ? "-ascii" : "");
                expect_screen(&t, name, size[i][0], size[i][1]);
            }
    scene_free(&t);
}

// The same with a cursor, zoomed in, the waterfall large, and another metric.
Test(screen, cursor)
{
    struct test_scene t;
    scene_init(&t);
    t.probes = 1;
    scene_train(&t, 1284);
    t.v.cursor = 700;
    t.v.zoom = 1;
    expect_screen(&t, "cursor-120x36", 36, 120);
    t.v.view = VIEW_SPECTRUM;
    t.v.waterfall = 1;
    expect_screen(&t, "waterfall-120x36", 36, 120);
    t.v.ascii = 1;
    expect_screen(&t, "waterfall-120x36-ascii", 36, 120);
    t.v.ascii = 0;
    t.v.view = VIEW_COLLAPSE;
    t.v.metric = METRIC_RANKME;
    expect_screen(&t, "rankme-120x36", 36, 120);
    scene_free(&t);
}

Test(screen, a_card)
{
    struct test_scene t;
    struct record r;
    scene_init(&t);
    scene_train(&t, 1284);
    scene_machine(&t);
    record_init(&r, RECORD_DEVICE, 1280);
    r.u.device = (struct record_device){.utilization = 97,
                                        .memory_used = 31.4e9,
                                        .memory_total = 85e9,
                                        .power = 412,
                                        .power_limit = 700,
                                        .temperature = 61,
                                        .clock_sm = 1980,
                                        .clock_memory = 2619,
                                        .others = 1,
                                        .others_memory = 2e9,
                                        .others_text = "python3 4711"};
    scene_add(&t, &r);
    t.v.view = VIEW_DEVICE;
    expect_screen(&t, "card-120x36", 36, 120);
    r.u.device.power = r.u.device.temperature = NAN; // what a card does not tell is a dash
    scene_add(&t, &r);
    expect_screen(&t, "card-80x24", 24, 80);
    t.h.device_step = -1;
    t.v.machine.cores = 192; // more than there is room for numbers
    for (int i = 0; i < t.v.machine.cores; i++)
        t.v.machine.load[i] = i % 7 ? (float)(i % 100) / 99 : NAN;
    expect_screen(&t, "cores-80x24", 24, 80);
    scene_free(&t);
}

Test(screen, nothing_measured)
{
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 1284);
    expect_screen(&t, "numbers-80x24", 24, 80);
    t.v.view = VIEW_COLLAPSE;
    expect_screen(&t, "uncalibrated-120x36", 36, 120);
    scene_free(&t);
}

Test(screen, why_there_is_no_forecast)
{
    struct test_scene t;
    scene_init(&t);
    t.probes = 1;
    t.v.view = VIEW_COLLAPSE;
    scene_train(&t, 20);
    char *text = scene_text(&t, 24, 80);
    cr_assert(strstr(text, "extrapolating") && strstr(text, "AUC, loss or width are"), "%s", text);
    free(text);
    scene_free(&t);
}

Test(screen, overlays)
{
    static const struct {
        const char *name;
        enum context context;
    } rows[] = {
        {"help-80x24", CONTEXT_HELP},     {"menu-80x24", CONTEXT_MENU},
        {"quit-80x24", CONTEXT_QUIT},     {"command-80x24", CONTEXT_COMMAND},
        {"search-80x24", CONTEXT_SEARCH},
    };
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 900);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        t.v.context = rows[i].context;
        expect_screen(&t, rows[i].name, 24, 80);
    }
    scene_free(&t);
}

Test(screen, linear_spectrum)
{
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 1284);
    t.v.linear = t.v.absolute = 1;
    t.v.view = VIEW_SPECTRUM;
    expect_screen(&t, "spectrum-linear-80x24", 24, 80);
    scene_free(&t);
}

Test(screen, states)
{
    struct test_scene t;
    scene_init(&t);
    t.v.link = LINK_READING;
    expect_screen(&t, "waiting-80x24", 24, 80);
    t.v.link = LINK_LIVE;
    scene_train(&t, 0);
    expect_screen(&t, "preparing-80x24", 24, 80);
    scene_free(&t);
    scene_init(&t);
    scene_train(&t, 300);
    scene_event(&t, 300, "pause", "key", "", "", "");
    expect_screen(&t, "paused-80x24", 24, 80);
    t.v.link = LINK_LOST;
    t.v.can_steer = 0;
    snprintf(t.v.link_text, sizeof t.v.link_text, "trainer died (signal 9, Killed) at step 300");
    snprintf(t.v.link_hint, sizeof t.v.link_hint, "resume with: ssltop train --resume study-1");
    expect_screen(&t, "died-80x24", 24, 80);
    snprintf(t.v.lost, sizeof t.v.lost, "the last 312 bytes are no whole frame");
    expect_screen(&t, "damaged-80x24", 24, 80);
    scene_free(&t);
}

Test(screen, finished)
{
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 4680);
    struct record r;
    record_init(&r, RECORD_END, 4680);
    snprintf(r.u.end.reason, sizeof r.u.end.reason, "finished");
    scene_add(&t, &r);
    t.v.link = LINK_ENDED;
    snprintf(t.v.link_text, sizeof t.v.link_text, "finished at step 4 680");
    expect_screen(&t, "finished-80x24", 24, 80);
    scene_free(&t);
}

// Smaller than 80 x 24 says so, at any size.
Test(screen, any_size)
{
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 500);
    expect_screen(&t, "small-40x10", 10, 40);
    char *text = scene_text(&t, 10, 40);
    cr_assert_not_null(strstr(text, "needs 80x24"));
    free(text);
    for (int h = 1; h < 60; h += 7)
        for (int w = 1; w < 220; w += 13)
            for (t.v.view = 0; t.v.view < view_count; t.v.view++)
                for (int c = 0; c < CONTEXT_COUNT; c++) {
                    t.v.context = (enum context)c;
                    text = scene_text(&t, h, w);
                    cr_assert(strlen(text) >= (size_t)h);
                    free(text);
                }
    scene_free(&t);
}

// What a data set or a run is called reaches the screen without its control characters.
Test(screen, hostile_text)
{
    struct test_scene t;
    scene_init(&t);
    struct record r;
    record_init(&r, RECORD_RUN, -1);
    snprintf(r.u.run.dataset.name, sizeof r.u.run.dataset.name,
             "images:/\x1b]0;x\x07/\xe7\x8c\xab\xff");
    r.u.run.steps = 100;
    scene_add(&t, &r);
    scene_event(&t, 3, "warning", "trainer", "", "",
                "\x1b[2J gone \xc2\x9b"
                "1m");
    for (int ascii = 0; ascii < 2; ascii++) {
        t.v.ascii = ascii;
        char *text = scene_text(&t, 24, 120);
        for (const char *p = text; *p; p++)
            cr_assert(*p == '\n' || ((unsigned char)*p >= 0x20 && *p != 0x7f));
        cr_assert_null(strstr(text, "\xc2\x9b"));
        cr_assert_not_null(strstr(text, "gone"));
        cr_assert_eq(strstr(text, "\xe7\x8c\xab") != NULL, !ascii);
        free(text);
    }
    scene_free(&t);
}

// --- the verdict ---

static enum role verdict_with(int metric, double value, int direction, char *text, size_t size)
{
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 400);
    if (metric >= 0)
        t.h.last.metric[metric] = value;
    for (int i = 0; direction && i < t.h.live.d; i++)
        t.h.live.sigma[i] = i < direction ? 1 : 1e-6;
    enum role role = verdict(&t.h, text, size);
    scene_free(&t);
    return role;
}

Test(screen, verdicts_state_facts)
{
    char text[256];
    cr_assert_eq(verdict_with(METRIC_SPREAD, 4e-4, 0, text, sizeof text), ROLE_BAD);
    cr_assert_not_null(strstr(text, "constant"));
    cr_assert_eq(verdict_with(METRIC_SPREAD, 2e-3, 0, text, sizeof text), ROLE_DIM);
    cr_assert_eq(verdict_with(METRIC_ZSTD, 0.02, 0, text, sizeof text), ROLE_BAD);
    cr_assert_eq(verdict_with(METRIC_LOSS, NAN, 0, text, sizeof text), ROLE_BAD);
    cr_assert_not_null(strstr(text, "not finite"));
    cr_assert_eq(verdict_with(-1, 0, 3, text, sizeof text), ROLE_WARN);
    cr_assert_not_null(strstr(text, "partial collapse: 3 of 128 directions"));
    cr_assert_eq(verdict_with(-1, 0, 100, text, sizeof text), ROLE_DIM);
    cr_assert_null(strstr(text, "collapse"));
}

// --- keys ---

struct sent {
    int n, refuse;
    struct command_call last;
};

static int fake_send(void *to, const struct command_call *call, struct error *e)
{
    struct sent *s = to;
    if (s->refuse)
        return error_set(e, "the trainer went away");
    s->n++;
    s->last = *call;
    return 0;
}

struct desk {
    struct test_scene t;
    struct sent sent;
    struct ui ui;
};

static void desk_open(struct desk *d)
{
    memset(d, 0, sizeof *d);
    scene_init(&d->t);
    scene_train(&d->t, 50);
    d->ui = (struct ui){&d->t.v, &d->t.h, &d->t.c, fake_send, &d->sent, NULL};
}

static unsigned type(struct desk *d, const char *text)
{
    unsigned flags = 0;
    while (*text)
        flags |= action_key(&d->ui, (uint32_t)(unsigned char)*text++);
    return flags;
}

Test(keys, no_key_twice_in_a_context)
{
    for (const struct action *a = action_table; a->keys; a++)
        for (const struct action *b = a; b->keys; b++)
            for (int i = 0; i < 3; i++)
                for (int j = a == b ? i + 1 : 0; j < 3; j++)
                    cr_assert(a->context != b->context || !a->key[i] || a->key[i] != b->key[j],
                              "%s and %s", a->keys, b->keys);
}

Test(keys, commands_go_out_as_typed)
{
    static const struct {
        const char *keys;
        enum command command;
    } rows[] = {{"n", COMMAND_STEP}, {"e", COMMAND_EVAL}, {"c", COMMAND_CHECKPOINT}};
    struct desk d;
    desk_open(&d);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        type(&d, rows[i].keys);
        cr_assert_eq(d.sent.n, (int)i + 1);
        cr_assert_eq(d.sent.last.command, rows[i].command);
        cr_assert_str_eq(d.sent.last.by, "key");
    }
    scene_free(&d.t);
}

Test(keys, space_pauses_and_resumes_before_the_answer)
{
    struct desk d;
    desk_open(&d);
    type(&d, " ");
    cr_assert_eq(d.sent.last.command, COMMAND_PAUSE);
    type(&d, " ");
    cr_assert_eq(d.sent.last.command, COMMAND_RESUME);
    struct answer no = {.ok = 0, .text = "why not"};
    action_answer(&d.ui, &no);
    cr_assert_str_eq(d.t.v.message, "refused: why not");
    scene_event(&d.t, 50, "pause", "ctl", "", "", "");
    type(&d, " ");
    cr_assert_eq(d.sent.last.command, COMMAND_RESUME);
    scene_free(&d.t);
}

Test(keys, mode_menu)
{
    struct desk d;
    desk_open(&d);
    type(&d, "m");
    cr_assert_eq(d.t.v.context, CONTEXT_MENU);
    cr_assert_eq(d.t.v.menu_row, MODE_CONTINUAL, "the menu opens on the mode that holds");
    action_key(&d.ui, KEYS_DOWN);
    action_key(&d.ui, KEYS_ENTER);
    cr_assert_eq(d.t.v.context, CONTEXT_MAIN);
    cr_assert_eq(d.sent.last.command, COMMAND_MODE);
    cr_assert_str_eq(d.sent.last.mode, "cumulative");
    type(&d, "m1");
    cr_assert_str_eq(d.sent.last.mode, "multi-epoch");
    type(&d, "m");
    action_key(&d.ui, KEYS_ESCAPE);
    cr_assert_eq(d.t.v.context, CONTEXT_MAIN);
    cr_assert_eq(d.sent.n, 2);
    scene_free(&d.t);
}

Test(keys, menu_says_what_each_mode_would_do)
{
    struct desk d;
    char text[128];
    desk_open(&d);
    course_what_if(&d.t.c, MODE_MULTI_EPOCH, 2340, text, sizeof text);
    cr_assert_str_eq(text, "60 000 images, 5.0 passes left");
    course_what_if(&d.t.c, MODE_CONTINUAL, 2340, text, sizeof text);
    cr_assert_str_eq(text, "chunk 11/20, 3 000 images, 10.0 passes left");
    course_what_if(&d.t.c, MODE_CUMULATIVE, 2340, text, sizeof text);
    cr_assert_str_eq(text, "chunk 11/20, 33 000 images, 0.9 passes left");
    scene_free(&d.t);
}

Test(keys, quit_asks)
{
    struct desk d;
    desk_open(&d);
    cr_assert_eq(type(&d, "q"), 0);
    cr_assert_eq(d.t.v.context, CONTEXT_QUIT);
    action_key(&d.ui, KEYS_ESCAPE);
    cr_assert_eq(d.t.v.context, CONTEXT_MAIN);
    cr_assert_eq(type(&d, "ql"), UI_LEAVE);
    d.t.v.context = CONTEXT_MAIN;
    cr_assert_eq(type(&d, "qs"), UI_STOP);
    cr_assert_eq(d.sent.n, 1);
    cr_assert_eq(d.sent.last.command, COMMAND_STOP);
    d.t.v.link = LINK_LOST;
    d.t.v.can_steer = 0;
    cr_assert_eq(type(&d, "q"), UI_LEAVE, "nothing to ask when no trainer runs");
    cr_assert_eq(type(&d, "d"), UI_LEAVE);
    scene_free(&d.t);
}

Test(keys, command_line)
{
    struct desk d;
    desk_open(&d);
    type(&d, ":lr 0.5x");
    cr_assert_eq(d.sent.n, 0);
    action_key(&d.ui, KEYS_ENTER);
    cr_assert_eq(d.sent.n, 1);
    cr_assert_eq(d.sent.last.command, COMMAND_LR);
    cr_assert_float_eq(d.sent.last.factor, 0.5, 0);
    type(&d, ":until 40% then multi-epoch");
    action_key(&d.ui, KEYS_ENTER);
    cr_assert_eq(d.sent.last.command, COMMAND_UNTIL);
    type(&d, ":");
    action_key(&d.ui, KEYS_UP);
    action_key(&d.ui, KEYS_UP);
    cr_assert_str_eq(d.t.v.line, "lr 0.5x");
    action_key(&d.ui, KEYS_DOWN);
    cr_assert_str_eq(d.t.v.line, "until 40% then multi-epoch");
    action_key(&d.ui, KEYS_ESCAPE);
    cr_assert_eq(d.sent.n, 2);
    scene_free(&d.t);
}

// ":" with nonsense: a message, nothing else.
Test(keys, nonsense_is_a_message)
{
    struct desk d;
    desk_open(&d);
    char *before = scene_text(&d.t, 24, 80);
    type(&d, ":frobnicate 7");
    cr_assert_eq(action_key(&d.ui, KEYS_ENTER), 0);
    cr_assert_eq(d.sent.n, 0);
    cr_assert_eq(d.t.v.context, CONTEXT_MAIN);
    cr_assert_not_null(strstr(d.t.v.message, "frobnicate"));
    action_key(&d.ui, KEYS_ESCAPE);
    char *after = scene_text(&d.t, 24, 80);
    cr_assert_str_eq(after, before);
    free(before);
    free(after);
    scene_free(&d.t);
}

Test(keys, editing_utf8)
{
    struct desk d;
    desk_open(&d);
    type(&d, ":ac");
    action_key(&d.ui, KEYS_LEFT);
    action_key(&d.ui, 0xE9);
    action_key(&d.ui, 0x732B);
    cr_assert_str_eq(d.t.v.line, "a\u00e9\u732bc");
    action_key(&d.ui, KEYS_BACKSPACE);
    action_key(&d.ui, KEYS_LEFT);
    action_key(&d.ui, KEYS_DELETE);
    cr_assert_str_eq(d.t.v.line, "ac");
    action_key(&d.ui, KEYS_HOME);
    action_key(&d.ui, KEYS_DELETE);
    action_key(&d.ui, KEYS_END);
    action_key(&d.ui, KEYS_BACKSPACE);
    cr_assert_str_eq(d.t.v.line, "");
    action_key(&d.ui, KEYS_BACKSPACE);
    cr_assert_eq(d.t.v.context, CONTEXT_MAIN);
    type(&d, ":");
    for (int i = 0; i < 2 * LINE_SIZE; i++)
        action_key(&d.ui, 0x1F40D);
    cr_assert(d.t.v.line_len < LINE_SIZE && d.t.v.line_len % 4 == 0);
    scene_free(&d.t);
}

Test(keys, a_trainer_that_is_gone_is_a_message)
{
    struct desk d;
    desk_open(&d);
    d.sent.refuse = 1;
    type(&d, "e");
    cr_assert_str_eq(d.t.v.message, "the trainer went away");
    cr_assert_eq(type(&d, "qs"), 0, "a stop that cannot be sent does not leave");
    d.t.v.can_steer = 0;
    type(&d, " ");
    cr_assert_eq(d.t.v.asked_pause, -1);
    scene_free(&d.t);
}

// However narrow the bar, the ways out are in it.
Test(keys, function_bar)
{
    struct desk d;
    desk_open(&d);
    for (int w = 80; w < 200; w += 5) {
        char *text = scene_text(&d.t, 24, w);
        const char *bar = strrchr(text, '\n');
        while (bar > text && bar[-1] != '\n')
            bar--;
        static const char *const must[] = {"? Help", "m Mode", "Space Pause", "d Detach", "q Quit"};
        for (size_t i = 0; i < sizeof must / sizeof *must; i++)
            cr_assert_not_null(strstr(bar, must[i]), "%s at %d columns: %s", must[i], w, bar);
        free(text);
    }
    scene_free(&d.t);
}

// Every key of the table at every context, in any order, on every state of the trainer.
Test(keys, any_key_anywhere)
{
    struct desk d;
    desk_open(&d);
    uint32_t x = 1;
    for (int i = 0; i < 20000; i++) {
        x = x * 1664525 + 1013904223;
        static const uint32_t odd[] = {KEYS_UP,        KEYS_DOWN,  KEYS_ENTER, KEYS_ESCAPE,
                                       KEYS_PAGE_DOWN, KEYS_OTHER, KEYS_TAB};
        uint32_t key = x >> 28 < 5 ? odd[(x >> 16) % 7] : (x >> 16) % 300;
        d.t.v.can_steer = x >> 12 & 1;
        action_key(&d.ui, key);
        cr_assert(d.t.v.view >= 0 && d.t.v.view < view_count);
        cr_assert(d.t.v.context < CONTEXT_COUNT);
        cr_assert(d.t.v.menu_row >= 0 && d.t.v.menu_row < MODE_COUNT);
        if (i % 50 == 0)
            free(scene_text(&d.t, 24, 80));
    }
    scene_free(&d.t);
}

// --- cursor and window ---

// The window shows all, or halves of it that hold what it is centred on; columns keep their steps.
Test(window, holds_what_it_is_centred_on)
{
    uint32_t x = 7;
    for (int i = 0; i < 20000; i++) {
        x = x * 1664525 + 1013904223;
        int64_t last = x >> 8 & 0xFFFFF;
        struct view_state v = {.cursor = -1, .centre = -1, .zoom = (int)(x >> 28)};
        int columns = 8 + 2 * (int)(x >> 4 & 0xFF);
        x = x * 1664525 + 1013904223;
        if (x & 1)
            v.cursor = (x >> 8) % (last + 1);
        struct window w = window_of(&v, last, columns);
        int64_t at = v.cursor >= 0 ? v.cursor : last;
        cr_assert(w.per >= 1 && (w.per & (w.per - 1)) == 0 && w.from >= 0);
        cr_assert(w.from <= at && at < w.from + w.per * columns, "%lld not in %lld + %lld * %d",
                  (long long)at, (long long)w.from, (long long)w.per, columns);
        cr_assert_eq(w.from % w.per, 0, "columns begin where they begin in the whole run");
        cr_assert_eq(window_column(&w, at, last), (at - w.from) / w.per);
        cr_assert_eq(window_column(&w, w.from - 1, last), -1);
    }
}

Test(window, the_cursor_moves_by_columns_and_reads_its_step)
{
    struct desk d;
    desk_open(&d);
    free(scene_text(&d.t, 24, 80));
    cr_assert_eq(d.t.v.per, 1);
    action_key(&d.ui, KEYS_LEFT);
    action_key(&d.ui, KEYS_LEFT);
    cr_assert_eq(d.t.v.cursor, 47);
    action_key(&d.ui, KEYS_FAR_LEFT);
    cr_assert_eq(d.t.v.cursor, 37);
    action_key(&d.ui, KEYS_FAR_RIGHT);
    action_key(&d.ui, KEYS_RIGHT);
    cr_assert_eq(d.t.v.cursor, 48);
    action_key(&d.ui, KEYS_RIGHT);
    cr_assert_eq(d.t.v.cursor, -1, "the newest step is no cursor");
    action_key(&d.ui, KEYS_HOME);
    cr_assert_eq(d.t.v.cursor, 0);
    action_key(&d.ui, KEYS_LEFT);
    cr_assert_eq(d.t.v.cursor, 0);
    char *text = scene_text(&d.t, 24, 80);
    cr_assert_not_null(strstr(text, "live 0.955"), "%s", text);
    free(text);
    action_key(&d.ui, KEYS_ESCAPE);
    cr_assert_eq(d.t.v.cursor, -1);
    scene_free(&d.t);
}

Test(window, zoom_and_pan)
{
    struct desk d;
    memset(&d, 0, sizeof d);
    scene_init(&d.t);
    scene_train(&d.t, 1284);
    d.ui = (struct ui){&d.t.v, &d.t.h, &d.t.c, fake_send, &d.sent, NULL};
    free(scene_text(&d.t, 24, 80));
    int64_t per = d.t.v.per;
    cr_assert_gt(per, 1);
    type(&d, "+");
    free(scene_text(&d.t, 24, 80));
    cr_assert_eq(d.t.v.per, per / 2);
    for (int i = 0; i < 60; i++) {
        type(&d, "+");
        free(scene_text(&d.t, 24, 80));
    }
    cr_assert_eq(d.t.v.per, 1, "no further than one step a column");
    cr_assert_lt(d.t.v.zoom, 12);
    int64_t span = d.t.v.span;
    type(&d, "[");
    cr_assert_eq(d.t.v.centre, 1283 - span / 2);
    type(&d, "]]]");
    cr_assert_eq(d.t.v.centre, 1283);
    type(&d, "0");
    cr_assert(d.t.v.zoom == 0 && d.t.v.centre == -1);
    type(&d, "[-");
    cr_assert(d.t.v.zoom == 0 && d.t.v.centre == -1);
    scene_free(&d.t);
}

// From a tenth of a step on the header says that the step waits for data.
Test(screen, waiting_for_data)
{
    struct test_scene t;
    scene_init(&t);
    scene_train(&t, 100);
    char *calm = scene_text(&t, 24, 100);
    cr_expect_null(strstr(calm, "waiting for data"));
    struct record r;
    record_init(&r, RECORD_STEP, 0);
    for (int64_t step = 100; step < 200; step++) {
        record_init(&r, RECORD_STEP, step);
        snprintf(r.u.step.mode, sizeof r.u.step.mode, "multi-epoch");
        r.u.step.ms[PHASE_DATA] = 60;
        for (int i = PHASE_DATA + 1; i < PHASE_COUNT; i++)
            r.u.step.ms[i] = 10;
        scene_add(&t, &r);
    }
    char *slow = scene_text(&t, 24, 100);
    cr_expect_not_null(strstr(slow, "waiting for data 60 %"), "%s", slow);
    free(calm);
    free(slow);
    scene_free(&t);
}
