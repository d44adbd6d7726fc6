// The program on a terminal: a pseudo terminal with a real small training behind it and libvterm in
// front. What is waited for is waited for by looking at the screen; the deadline only ends a test
// that has failed.
#include <criterion/criterion.h>
#include <signal.h>
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
#include "tui/hands/actions.h"

Test(viewer, steering_and_stopping)
{
    struct session s = {0};
    struct watched r;
    watched_make(&r);
    watched_start(&s, &r);
    cr_assert(s.alternate && s.hidden && s.mouse && s.paste);
    session_type(&s, ":mode cumulative\r");
    session_wait(&s, "cumulative chunk");
    session_type(&s, " ");
    session_wait(&s, "PAUSED");
    int64_t step = watched_ask(&r, COMMAND_STATUS).step;
    session_type(&s, "n");
    double end = clock_seconds() + DEADLINE;
    while (watched_ask(&r, COMMAND_STATUS).step == step)
        cr_assert_lt(clock_seconds(), end);
    cr_assert_eq(watched_ask(&r, COMMAND_STATUS).step, step + 1);
    session_type(&s, "m");
    session_wait(&s, "passes left");
    session_type(&s, "2");
    session_wait(&s, "continual from");
    session_type(&s, ":frobnicate\r");
    session_wait(&s, "unknown command 'frobnicate'");
    session_type(&s, " ");
    session_wait(&s, "\u25b6 continual");
    session_type(&s, "q");
    session_wait(&s, "what becomes of the training?");
    pid_t trainer = watched_trainer(&r);
    session_type(&s, "s");
    session_end(&s);
    watched_death(trainer);
    watched_state(&r, "stopped");
    watched_end(&r, 0);
}

// Every key of the table, in every context, with the window changing its size all the time.
Test(viewer, every_key_at_any_size)
{
    struct session s = {0};
    struct watched r;
    uint32_t x = 5;
    watched_make(&r);
    watched_start(&s, &r);
    static const struct {
        uint32_t key;
        const char *bytes;
    } special[] = {{KEYS_UP, "\033OA"},
                   {KEYS_DOWN, "\033OB"},
                   {KEYS_RIGHT, "\033OC"},
                   {KEYS_LEFT, "\033OD"},
                   {KEYS_PAGE_UP, "\033[5~"},
                   {KEYS_PAGE_DOWN, "\033[6~"},
                   {KEYS_HOME, "\033OH"},
                   {KEYS_END, "\033OF"},
                   {KEYS_DELETE, "\033[3~"},
                   {KEYS_BACKSPACE, "\177"},
                   {KEYS_F1, "\033OP"},
                   {KEYS_FAR_LEFT, "\033[1;2D"},
                   {KEYS_FAR_RIGHT, "\033[1;2C"},
                   {KEYS_BACK_TAB, "\033[Z"},
                   {KEYS_CLICK, "\033[<0;9;9M"},
                   {KEYS_WHEEL_UP, "\033[<64;50;9M"},
                   {KEYS_WHEEL_DOWN, "\033[<65;50;9M"}};
    static const char *const open[CONTEXT_COUNT] = {"", "", "?", "m", "q", ":x", "/x"};
    for (const struct action *a = action_table; a->keys; a++)
        for (int i = 0; i < 3 && a->key[i]; i++) {
            int leaves = a->context == CONTEXT_QUIT && a->key[i] != KEYS_ESCAPE &&
                         a->key[i] != KEYS_ENTER && a->key[i] != 'q';
            if (leaves || a->context == CONTEXT_REPLAY ||
                (a->context == CONTEXT_MAIN && (a->key[i] == 'd' || a->key[i] == KEY_CTRL('Z'))))
                continue;
            char key[24] = {(char)a->key[i], 0};
            for (size_t k = 0; k < sizeof special / sizeof *special; k++)
                if (special[k].key == a->key[i])
                    strcpy(key, special[k].bytes);
            x = x * 1664525 + 1013904223;
            session_resize(&s, 5 + (int)(x >> 24) % 50, 10 + (int)(x >> 16 & 0xFF) % 150);
            session_type(&s, open[a->context]);
            session_type(&s, key);
            while (session_feed(&s, 20) > 0)
                continue;
            session_type(&s, "\033");
            while (session_feed(&s, 60) > 0) // longer than an escape sequence may take
                continue;
        }
    session_resize(&s, 24, 80);
    session_type(&s, "1");
    session_wait(&s, "forecast");
    pid_t trainer = watched_trainer(&r);
    session_type(&s, "d");
    session_end(&s);
    watched_end(&r, trainer);
}

// There is nothing to go on with then, and nothing is said to be.
Test(viewer, a_run_whose_folder_is_removed)
{
    struct session s = {0};
    struct watched r;
    char command[160];
    watched_make(&r);
    watched_start(&s, &r);
    pid_t trainer = watched_trainer(&r);
    snprintf(command, sizeof command, "rm -r %s", r.path);
    cr_assert_eq(system(command), 0);
    session_wait(&s, ", its folder is removed: nothing more");
    watched_death(trainer);
    session_type(&s, "q");
    session_finish(&s, 1);
    cr_expect_not_null(strstr(s.text, "v: failed at step "), "%s", s.text);
    cr_expect_null(strstr(s.text, "resume with"), "%s", s.text);
    watched_end(&r, 0);
}

Test(viewer, a_killed_trainer)
{
    struct session s = {0};
    struct watched r;
    watched_make(&r);
    watched_start(&s, &r);
    cr_assert_eq(kill(watched_trainer(&r), SIGKILL), 0);
    session_wait(&s, "trainer died (signal 9");
    session_wait(&s, "resume with: ssltop train --resume");
    session_type(&s, "3");
    session_wait(&s, "spread");
    session_type(&s, "q");
    int status = session_finish(&s, 1);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    cr_assert_not_null(strstr(s.text, "ssltop: resume with: ssltop train --resume"), "%s", s.text);
    watched_state(&r, "died");
    watched_end(&r, 0);
}

Test(viewer, signals_to_the_viewer)
{
    static const struct {
        int signal, code;
    } rows[] = {{SIGTERM, 143}, {SIGINT, 130}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct session s = {0};
        struct watched r;
        watched_make(&r);
        watched_start(&s, &r);
        pid_t trainer = watched_trainer(&r);
        cr_assert_eq(kill(s.pid, rows[i].signal), 0);
        int status = session_finish(&s, 1);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == rows[i].code, "%d", status);
        cr_assert_not_null(strstr(s.text, "ssltop: look again with: ssltop attach"), "%s", s.text);
        watched_progress(&r);
        watched_end(&r, trainer);
    }
}

// A fault of the viewer gives the terminal back before it kills.
static int run_binary(void *of)
{
    const char *ssltop = getenv("SSLTOP");
    setenv("LC_ALL", "C.UTF-8", 1);
    execv(ssltop ? ssltop : "./ssltop", of);
    return 99;
}

// The same of the program itself: in it libraries have threads of their own, which a signal may
// find.
Test(viewer, signals_to_the_program)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    struct watched r;
    struct test_scene t;
    char path[200];
    watched_make(&r);
    snprintf(path, sizeof path, "%s/log.jsonl.zst", r.runs);
    scene_init(&t);
    cr_assert_eq(runlog_create(path, &t.log, NULL), 0);
    scene_train(&t, 50);
    cr_assert_eq(runlog_close(t.log, NULL), 0);
    scene_free(&t);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct session s = {0};
        char *argv[] = {"ssltop", "replay", path, NULL};
        session_run(&s, 24, 80, run_binary, argv);
        session_wait(&s, "REPLAY");
        cr_assert_eq(kill(s.pid, signals[i]), 0);
        int status = session_finish(&s, 1);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 128 + signals[i], "signal %d: %d",
                  signals[i], status);
    }
    cr_assert_eq(unlink(path), 0);
    watched_end(&r, 0);
}

// While the trainer gets ready: it is ended too, unless it was ready just then.
Test(viewer, a_signal_at_the_start)
{
    struct session s = {0};
    struct watched r;
    watched_make(&r);
    char *argv[] = {"ssltop", "train",   "--data", "synthetic:512", "--width", "16",     "--batch",
                    "64",     "--steps", "20000",  "--threads",     "1",       "--runs", r.runs,
                    "--name", "v",       NULL};
    session_run(&s, 24, 80, run_binary, argv);
    session_wait(&s, "ssltop: ");
    cr_assert_eq(kill(s.pid, SIGINT), 0);
    int status = session_finish(&s, 1);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 130, "%d", status);
    int fd = control_connect(r.path, 0, NULL);
    if (fd >= 0)
        close(fd);
    watched_end(&r, fd >= 0 ? watched_trainer(&r) : 0);
}

Test(viewer, a_crash_restores_the_terminal)
{
    struct session s = {0};
    struct watched r;
    watched_make(&r);
    watched_start(&s, &r);
    pid_t trainer = watched_trainer(&r);
    cr_assert_eq(kill(s.pid, SIGSEGV), 0);
    int status = session_finish(&s, 1);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    watched_progress(&r);
    watched_end(&r, trainer);
}

// Stopped, killed, looked at again: the training goes on.
Test(viewer, a_stuck_and_a_killed_viewer)
{
    struct session s = {0};
    struct watched r;
    watched_make(&r);
    watched_start(&s, &r);
    pid_t trainer = watched_trainer(&r);
    cr_assert_eq(kill(s.pid, SIGSTOP), 0);
    watched_progress(&r);
    cr_assert_eq(kill(s.pid, SIGCONT), 0);
    session_type(&s, "5");
    session_wait(&s, "time of a step");
    cr_assert_eq(kill(s.pid, SIGKILL), 0);
    int status = session_finish(&s, 0);
    cr_assert(WIFSIGNALED(status));
    watched_progress(&r);

    char *argv[] = {"ssltop", "attach", "--ascii", "--runs", r.runs, "v", NULL};
    session_start(&s, argv);
    session_wait(&s, "live 0.");
    session_wait(&s, "+ spectrum");
    cr_assert_null(strstr(session_text(&s), "\u2500"));
    session_type(&s, "ql");
    session_end(&s);
    watched_end(&r, trainer);
}

// What is refused is one sentence on the terminal, before any screen.
Test(viewer, a_refusal_is_a_sentence)
{
    static const struct {
        const char *option, *value, *says;
        int code;
    } rows[] = {
        {"--data", "idx:/nowhere", "/nowhere", 1},
        {"--batch", "100000", "batch", 2},
        {"--frobnicate", "1", "--frobnicate", 2},
        {"--theme", "loud", "loud", 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct session s = {0};
        struct watched r;
        watched_make(&r);
        char *argv[] = {"ssltop",
                        "--data",
                        "synthetic:64",
                        "--width",
                        "4",
                        "--batch",
                        "16",
                        "--threads",
                        "1",
                        "--runs",
                        r.runs,
                        (char *)rows[i].option,
                        (char *)rows[i].value,
                        NULL};
        session_start(&s, argv);
        int status = session_finish(&s, 0);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == rows[i].code, "%s: %d",
                  rows[i].option, WEXITSTATUS(status));
        cr_assert_not_null(strstr(s.text, rows[i].says), "%s", s.text);
        watched_end(&r, 0);
    }
}
