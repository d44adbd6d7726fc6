// The program on a terminal as in tests/tui/test_viewer.c, on logs: of a run that ended, and
// replayed.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "tests/kit/scene.h"
#include "tests/kit/session.h"
#include "tests/kit/watched.h"

static void make_ended_run(struct watched *r)
{
    char command[600];
    watched_make(r);
    snprintf(
        command, sizeof command,
        "%s train --headless --data synthetic:512 --width 4 --batch 16 --steps 300 --threads 1 "
        "--eval-every 100 --schedule hybrid --runs %s --name v >/dev/null 2>&1",
        getenv("SSLTOP") ? getenv("SSLTOP") : "./ssltop", r->runs);
    cr_assert_eq(system(command), 0);
}

static void attach(struct session *s, struct watched *r)
{
    char *argv[] = {"ssltop", "attach", "--runs", r->runs, "v", NULL};
    session_start(s, argv);
    session_wait(s, "finished at step 300");
}

// Whatever was on the screen before: it is what drawing every cell again makes it.
static void expect_repaint_changes_nothing(struct session *s, int n)
{
    static char before[sizeof s->text];
    char word[64];
    for (int i = 0; i < 3; i++) { // out of whatever is open
        session_type(s, "\033");
        while (session_feed(s, 60) > 0)
            continue;
    }
    snprintf(word, sizeof word, ":zzz%d\r", n); // its complaint says that everything before is done
    session_type(s, word);
    snprintf(word, sizeof word, "unknown command 'zzz%d'", n);
    session_wait(s, word);
    while (session_feed(s, 100) > 0)
        continue;
    strcpy(before, session_text(s));
    vterm_screen_reset(s->screen, 1);
    session_type(s, "\f");
    double end = clock_seconds() + DEADLINE;
    while (strcmp(before, session_text(s)) != 0) {
        cr_assert_lt(clock_seconds(), end, "was\n%s\nis\n%s", before, s->text);
        cr_assert_geq(session_feed(s, 200), 0);
    }
}

static void leave(struct session *s)
{
    session_type(s, "q");
    session_end(s);
}

Test(viewer_log, a_storm_of_sizes)
{
    struct session s = {0};
    struct watched r;
    uint32_t x = 9;
    make_ended_run(&r);
    attach(&s, &r);
    for (int i = 0; i < 100; i++) {
        x = x * 1664525 + 1013904223;
        session_resize(&s, 1 + (int)(x >> 24) % 70, 1 + (int)(x >> 16 & 0xFF) % 220);
        char key[2] = {"12345+-"[x % 7], 0};
        session_type(&s, key);
        session_feed(&s, 20);
    }
    session_resize(&s, 36, 120);
    expect_repaint_changes_nothing(&s, 1);
    leave(&s);
    watched_end(&r, 0);
}

Test(viewer_log, ten_thousand_random_keys)
{
    static const char *const keys[] = {"1",
                                       "2",
                                       "3",
                                       "4",
                                       "5",
                                       "\t",
                                       "\033[Z",
                                       "\033OA",
                                       "\033OB",
                                       "\033OC",
                                       "\033OD",
                                       "\033[5~",
                                       "\033[6~",
                                       "\033OH",
                                       "\033OF",
                                       "\033[1;2D",
                                       "+",
                                       "-",
                                       "0",
                                       "[",
                                       "]",
                                       "a",
                                       "l",
                                       "w",
                                       "x",
                                       ".",
                                       ",",
                                       "t",
                                       "/",
                                       "e",
                                       "c",
                                       "m",
                                       "n",
                                       " ",
                                       "?",
                                       ":",
                                       "\r",
                                       "\177",
                                       "\025",
                                       "z",
                                       "\033[3~",
                                       "\303\251",
                                       "\033[<0;%d;%dM",
                                       "\033[<64;%d;%dM",
                                       "\033[<65;%d;%dM"};
    enum { KEYS = sizeof keys / sizeof *keys };
    struct session s = {0};
    struct watched r;
    uint32_t x = 11;
    make_ended_run(&r);
    attach(&s, &r);
    for (int i = 0; i < 10000; i++) {
        char text[64];
        x = x * 1664525 + 1013904223;
        const char *key = keys[(x >> 8) % KEYS];
        if (strchr(key, '%')) // never the function bar, which has Quit
            snprintf(text, sizeof text,
                     strstr(key, "<0")    ? "\033[<0;%d;%dM"
                     : strstr(key, "<64") ? "\033[<64;%d;%dM"
                                          : "\033[<65;%d;%dM",
                     1 + (int)(x >> 24) % 80, 1 + (int)(x >> 16 & 0xFF) % 22);
        else
            snprintf(text, sizeof text, "%s", key);
        session_type(&s, text);
        if (i % 50 == 0)
            cr_assert_geq(session_feed(&s, 5), 0, "it ended at key %d", i);
        while (session_feed(&s, 0) > 0)
            continue;
    }
    expect_repaint_changes_nothing(&s, 2);
    leave(&s);
    watched_end(&r, 0);
}

// What was chosen by hand is there the next time.
Test(viewer_log, settings_are_kept)
{
    char config[] = "/tmp/ssltop-config-XXXXXX", command[200];
    cr_assert_not_null(mkdtemp(config));
    struct session s = {.config = config};
    struct watched r;
    make_ended_run(&r);
    attach(&s, &r);
    session_type(&s, "2");
    session_wait(&s, "\u03c3\u2081 log");
    session_type(&s, "l");
    session_wait(&s, "\u03c3\u2081 \u2500");
    leave(&s);
    attach(&s, &r);
    session_wait(&s, "\u03c3\u2081 \u2500");
    leave(&s);
    snprintf(command, sizeof command, "grep -q 'axis = linear' %s/ssltop/ssltop.ini && rm -r %s",
             config, config);
    cr_assert_eq(system(command), 0);
    watched_end(&r, 0);
}

// The mouse through the terminal: a click shows a view, puts the cursor, presses a key of the bar;
// the wheel scrolls.
Test(viewer_log, mouse)
{
    struct session s = {0};
    struct watched r;
    make_ended_run(&r);
    attach(&s, &r);
    session_wait(&s, "Help");
    session_type(&s,
                 "\033[<0;10;7M\033[<0;10;7m"); // column and line count from 1: inside the spectrum
    session_wait(&s, "cumulative");
    session_type(&s, "\033[<0;50;20M\033[<0;50;20m"); // in the waterfall
    session_wait(&s, "now @");
    session_type(&s, "\033[<0;2;24M\033[<0;2;24m"); // Help of the function bar
    session_wait(&s, "this help;");
    double end = clock_seconds() + DEADLINE;
    session_type(&s, "\033[<65;40;9M\033[<65;40;9M");
    while (strstr(session_text(&s), "this help;")) {
        cr_assert_lt(clock_seconds(), end, "the wheel does not scroll");
        cr_assert_geq(session_feed(&s, 200), 0);
    }
    session_type(&s, "\033[<64;40;9M\033[<64;40;9M");
    session_wait(&s, "this help;");
    session_type(&s, "?");
    leave(&s);
    watched_end(&r, 0);
}

// The spectrum of a step between those that are kept is looked up in the log.
Test(viewer_log, any_spectrum_of_a_run)
{
    struct session s = {0};
    struct watched r;
    make_ended_run(&r);
    attach(&s, &r);
    session_type(&s, "2");
    session_wait(&s, "cumulative");
    for (int i = 91; i < 96; i++) { // of 300 steps some 256 are kept
        char text[32];
        snprintf(text, sizeof text, ":goto %d\r", i);
        session_type(&s, text);
        snprintf(text, sizeof text, "of step %d", i);
        session_wait(&s, text);
    }
    leave(&s);
    watched_end(&r, 0);
}

// A log on the terminal: keys, an end, and words about what is damaged.
Test(viewer_log, a_replay)
{
    struct session s = {0};
    struct watched r;
    struct test_scene t;
    char path[200];
    watched_make(&r);
    snprintf(path, sizeof path, "%s/log.jsonl.zst", r.runs);
    scene_init(&t);
    cr_assert_eq(runlog_create(path, &t.log, NULL), 0);
    scene_train(&t, 900);
    cr_assert_eq(runlog_close(t.log, NULL), 0);
    scene_free(&t);
    char *argv[] = {"ssltop", "replay", path, path, NULL};
    session_start(&s, argv);
    session_wait(&s, "REPLAY");
    session_wait(&s, "step 900 / 4 680");
    session_type(&s, "\033OH");
    session_wait(&s, "step 1 / 4 680");
    session_type(&s, "m");
    session_wait(&s, "there is no training to steer");
    session_type(&s, ">>>>>>> ");
    session_wait(&s, "step 900 / 4 680"); // the end, a second and a half later
    session_resize(&s, 30, 100);
    session_type(&s, "?");
    session_wait(&s, "in a replay");
    session_type(&s, "\033"); // by itself: with a key at once it would be Alt
    while (strstr(session_text(&s), "in a replay"))
        cr_assert_geq(session_feed(&s, 200), 0);
    session_type(&s, "2");
    session_wait(&s, "of step 899");
    leave(&s);

    cr_assert_eq(truncate(path, 20000), 0);
    argv[3] = NULL;
    session_start(&s, argv);
    session_wait(&s, "the log is damaged");
    leave(&s);
    cr_assert_not_null(strstr(s.text, "ssltop: the log is damaged"), "%s", s.text);

    cr_assert_eq(truncate(path, 3), 0);
    session_start(&s, argv);
    int status = session_finish(&s, 1);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    cr_assert_not_null(strstr(s.text, "nothing of a log can be read"), "%s", s.text);
    cr_assert_eq(unlink(path), 0);
    watched_end(&r, 0);
}
