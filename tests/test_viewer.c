// The program on a terminal: a pseudo terminal with a real small training behind it and libvterm in
// front. What is waited for is waited for by looking at the screen; the deadline only ends a test
// that has failed.
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <locale.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>
#include <vterm.h>

#include "scene.h"
#include "session.h"
#include "train/control.h"
#include "train/trainer.h"
#include "tui/actions.h"
#include "tui/commands.h"

// --- a run under a temporary folder ---

static int remove_one(const char *path, const struct stat *st, int type_flag, struct FTW *at)
{
    return remove(path);
}

struct run {
    char runs[64], path[128];
};

static void make_run(struct run *r)
{
    strcpy(r->runs, "/tmp/ssltop-viewer-XXXXXX");
    cr_assert_not_null(mkdtemp(r->runs));
    snprintf(r->path, sizeof r->path, "%s/v", r->runs);
}

static void start_training(struct session *s, const struct run *r)
{
    char *argv[] = {"ssltop",       "train", "--data",    "synthetic:512",
                    "--width",      "4",     "--batch",   "16",
                    "--steps",      "20000", "--threads", "1",
                    "--eval-every", "5000",  "--runs",    (char *)r->runs,
                    "--name",       "v",     NULL};
    session_start(s, argv);
    session_wait(s, "live 0."); // a step with a spectrum
}

static pid_t trainer_of(const struct run *r)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    int fd = control_connect(r->path, NULL);
    cr_assert_geq(fd, 0);
    cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size), 0);
    close(fd);
    return peer.pid;
}

static struct answer ask(const struct run *r, enum command command)
{
    struct command_call call = {.command = command, .id = 1, .by = "ctl"};
    struct answer a;
    struct error e = {""};
    int fd = control_connect(r->path, &e);
    cr_assert_geq(fd, 0, "%s", e.text);
    cr_assert_eq(control_call(fd, &call, DEADLINE * 1000, &a, &e), 0, "%s", e.text);
    close(fd);
    return a;
}

static void expect_state(const struct run *r, const char *state)
{
    struct run_info *all;
    int n;
    cr_assert_eq(run_list(r->runs, &all, &n, NULL), 0);
    cr_assert_eq(n, 1);
    cr_assert_str_eq(all[0].state, state);
    free(all);
}

// Wait until the trainer, which is nobody's child any more, is gone.
static void wait_for_death(pid_t pid)
{
    time_t end = session_now() + DEADLINE;
    while (kill(pid, 0) == 0) {
        cr_assert_lt(session_now(), end, "the trainer did not end");
        poll(NULL, 0, 20);
    }
}

static void stop_and_remove(struct run *r, pid_t trainer)
{
    if (trainer > 0) {
        cr_assert(ask(r, COMMAND_STOP).ok);
        wait_for_death(trainer);
        expect_state(r, "stopped");
    }
    cr_assert_eq(nftw(r->runs, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

// The training makes steps.
static void expect_progress(const struct run *r)
{
    int64_t step = ask(r, COMMAND_STATUS).step;
    time_t end = session_now() + DEADLINE;
    while (ask(r, COMMAND_STATUS).step <= step + 1) {
        cr_assert_lt(session_now(), end, "the training stands still");
        poll(NULL, 0, 20);
    }
}

// --- tests ---

Test(viewer, steering_and_stopping)
{
    struct session s = {0};
    struct run r;
    make_run(&r);
    start_training(&s, &r);
    cr_assert(s.alternate && s.hidden && s.mouse);
    session_type(&s, ":mode cumulative\r");
    session_wait(&s, "cumulative chunk");
    session_type(&s, " ");
    session_wait(&s, "PAUSED");
    int64_t step = ask(&r, COMMAND_STATUS).step;
    session_type(&s, "n");
    time_t end = session_now() + DEADLINE;
    while (ask(&r, COMMAND_STATUS).step == step)
        cr_assert_lt(session_now(), end);
    cr_assert_eq(ask(&r, COMMAND_STATUS).step, step + 1);
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
    pid_t trainer = trainer_of(&r);
    session_type(&s, "s");
    int status = session_finish(&s, 1);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    wait_for_death(trainer);
    expect_state(&r, "stopped");
    stop_and_remove(&r, 0);
}

// Every key of the table, in every context, with the window changing its size all the time.
Test(viewer, every_key_at_any_size)
{
    struct session s = {0};
    struct run r;
    uint32_t x = 5;
    make_run(&r);
    start_training(&s, &r);
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
    pid_t trainer = trainer_of(&r);
    session_type(&s, "d");
    int status = session_finish(&s, 1);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    stop_and_remove(&r, trainer);
}

Test(viewer, a_killed_trainer)
{
    struct session s = {0};
    struct run r;
    make_run(&r);
    start_training(&s, &r);
    cr_assert_eq(kill(trainer_of(&r), SIGKILL), 0);
    session_wait(&s, "trainer died (signal 9");
    session_wait(&s, "resume with: ssltop train --resume");
    session_type(&s, "3");
    session_wait(&s, "spread");
    session_type(&s, "q");
    int status = session_finish(&s, 1);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    cr_assert_not_null(strstr(s.text, "ssltop: resume with: ssltop train --resume"), "%s", s.text);
    expect_state(&r, "died");
    stop_and_remove(&r, 0);
}

Test(viewer, signals_to_the_viewer)
{
    static const struct {
        int signal, code;
    } rows[] = {{SIGTERM, 143}, {SIGINT, 130}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct session s = {0};
        struct run r;
        make_run(&r);
        start_training(&s, &r);
        pid_t trainer = trainer_of(&r);
        cr_assert_eq(kill(s.pid, rows[i].signal), 0);
        int status = session_finish(&s, 1);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == rows[i].code, "%d", status);
        cr_assert_not_null(strstr(s.text, "ssltop: look again with: ssltop attach"), "%s", s.text);
        expect_progress(&r);
        stop_and_remove(&r, trainer);
    }
}

// A fault of the viewer gives the terminal back before it kills.
Test(viewer, a_crash_restores_the_terminal)
{
    struct session s = {0};
    struct run r;
    make_run(&r);
    start_training(&s, &r);
    pid_t trainer = trainer_of(&r);
    cr_assert_eq(kill(s.pid, SIGSEGV), 0);
    int status = session_finish(&s, 1);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    expect_progress(&r);
    stop_and_remove(&r, trainer);
}

// Stopped, killed, looked at again: the training goes on.
Test(viewer, a_stuck_and_a_killed_viewer)
{
    struct session s = {0};
    struct run r;
    make_run(&r);
    start_training(&s, &r);
    pid_t trainer = trainer_of(&r);
    cr_assert_eq(kill(s.pid, SIGSTOP), 0);
    expect_progress(&r);
    cr_assert_eq(kill(s.pid, SIGCONT), 0);
    session_type(&s, "5");
    session_wait(&s, "time of a step");
    cr_assert_eq(kill(s.pid, SIGKILL), 0);
    int status = session_finish(&s, 0);
    cr_assert(WIFSIGNALED(status));
    expect_progress(&r);

    char *argv[] = {"ssltop", "attach", "--ascii", "--runs", r.runs, "v", NULL};
    session_start(&s, argv);
    session_wait(&s, "live 0.");
    session_wait(&s, "+ spectrum");
    cr_assert_null(strstr(session_text(&s), "\u2500"));
    session_type(&s, "ql");
    status = session_finish(&s, 1);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    stop_and_remove(&r, trainer);
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
        struct run r;
        make_run(&r);
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
        stop_and_remove(&r, 0);
    }
}

// --- the screen on the log of a run that ended ---

static void make_ended_run(struct run *r)
{
    char command[600];
    make_run(r);
    snprintf(
        command, sizeof command,
        "%s train --headless --data synthetic:512 --width 4 --batch 16 --steps 300 --threads 1 "
        "--eval-every 100 --schedule hybrid --runs %s --name v >/dev/null 2>&1",
        getenv("SSLTOP") ? getenv("SSLTOP") : "./ssltop", r->runs);
    cr_assert_eq(system(command), 0);
}

static void attach(struct session *s, struct run *r)
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
    time_t end = session_now() + DEADLINE;
    while (strcmp(before, session_text(s)) != 0) {
        cr_assert_lt(session_now(), end, "was\n%s\nis\n%s", before, s->text);
        cr_assert_geq(session_feed(s, 200), 0);
    }
}

static void leave(struct session *s)
{
    session_type(s, "q");
    int status = session_finish(s, 1);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", status);
}

Test(viewer, a_storm_of_sizes)
{
    struct session s = {0};
    struct run r;
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
    stop_and_remove(&r, 0);
}

Test(viewer, ten_thousand_random_keys)
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
    struct run r;
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
    stop_and_remove(&r, 0);
}

// What was chosen by hand is there the next time.
Test(viewer, settings_are_kept)
{
    char config[] = "/tmp/ssltop-config-XXXXXX", command[200];
    cr_assert_not_null(mkdtemp(config));
    struct session s = {.config = config};
    struct run r;
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
    stop_and_remove(&r, 0);
}

// The mouse through the terminal: a click shows a view, puts the cursor, presses a key of the bar;
// the wheel scrolls.
Test(viewer, mouse)
{
    struct session s = {0};
    struct run r;
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
    time_t end = session_now() + DEADLINE;
    session_type(&s, "\033[<65;40;9M\033[<65;40;9M");
    while (strstr(session_text(&s), "this help;")) {
        cr_assert_lt(session_now(), end, "the wheel does not scroll");
        cr_assert_geq(session_feed(&s, 200), 0);
    }
    session_type(&s, "\033[<64;40;9M\033[<64;40;9M");
    session_wait(&s, "this help;");
    session_type(&s, "?");
    leave(&s);
    stop_and_remove(&r, 0);
}

// The spectrum of a step between those that are kept is looked up in the log.
Test(viewer, any_spectrum_of_a_run)
{
    struct session s = {0};
    struct run r;
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
    stop_and_remove(&r, 0);
}

// A log on the terminal: keys, an end, and words about what is damaged.
Test(viewer, a_replay)
{
    struct session s = {0};
    struct run r;
    struct test_scene t;
    char path[200];
    make_run(&r);
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
    session_type(&s, "\033");
    session_type(&s, "2");
    session_wait(&s, "of step 899");
    session_type(&s, "q");
    int status = session_finish(&s, 1);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);

    cr_assert_eq(truncate(path, 20000), 0);
    argv[3] = NULL;
    session_start(&s, argv);
    session_wait(&s, "the log is damaged");
    session_type(&s, "q");
    status = session_finish(&s, 1);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_assert_not_null(strstr(s.text, "ssltop: the log is damaged"), "%s", s.text);

    cr_assert_eq(truncate(path, 3), 0);
    session_start(&s, argv);
    status = session_finish(&s, 1);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    cr_assert_not_null(strstr(s.text, "nothing of a log can be read"), "%s", s.text);
    cr_assert_eq(unlink(path), 0);
    stop_and_remove(&r, 0);
}
