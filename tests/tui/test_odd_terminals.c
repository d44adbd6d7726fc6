// Terminals that are none, locales that are none, signals at any time, and bytes that nobody typed:
// the program itself on a pseudo terminal.
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "tests/kit/scene.h"
#include "tests/kit/session.h"
#include "tests/kit/watched.h"
#include "tui/hands/terminal.h"

static const char *locale = "C.UTF-8";

static int run_binary(void *of)
{
    const char *ssltop = getenv("SSLTOP");
    setenv("LC_ALL", locale, 1);
    execv(ssltop ? ssltop : "./ssltop", of);
    return 99;
}

// A log to replay in the folder of `r`.
static void make_log(struct watched *r, char path[200])
{
    struct test_scene t;
    watched_make(r);
    snprintf(path, 200, "%s/log.jsonl.zst", r->runs);
    scene_init(&t);
    cr_assert_eq(runlog_create(path, &t.log, NULL), 0);
    scene_train(&t, 50);
    cr_assert_eq(runlog_close(t.log, NULL), 0);
    scene_free(&t);
}

static const struct {
    const char *term, *says;
} poor[] = {
    {"dumb", "a terminal of type 'dumb' (TERM) can't show a screen"},
    {"", "TERM is not set: no screen can be shown"},
    {"no-such-terminal", "the terminal type 'no-such-terminal' is unknown (TERM)"},
};

// A training gets lines there, as with --headless.
Test(terminal, lines_where_no_screen_can_be)
{
    for (size_t i = 0; i < sizeof poor / sizeof *poor; i++) {
        struct watched r;
        watched_make(&r);
        struct session s = {.term = poor[i].term};
        char *argv[] = {"ssltop",    "train",   "--data", "synthetic:64", "--width",
                        "4",         "--batch", "16",     "--steps",      "3",
                        "--threads", "1",       "--runs", r.runs,         "--name",
                        "v",         NULL};
        session_run(&s, 24, 120, run_binary, argv);
        session_end(&s);
        cr_assert_not_null(strstr(s.text, poor[i].says), "%s", s.text);
        cr_assert_not_null(strstr(s.text, "lines as with --headless"), "%s", s.text);
        cr_assert_not_null(strstr(s.text, "exact auc"), "%s", s.text);
        watched_state(&r, "finished");
        watched_end(&r, 0);
    }
}

Test(terminal, a_sentence_where_no_screen_can_be)
{
    struct watched r;
    char path[200];
    make_log(&r, path);
    for (size_t i = 0; i < sizeof poor / sizeof *poor; i++) {
        struct session s = {.term = poor[i].term};
        char *argv[] = {"ssltop", "replay", path, NULL};
        session_run(&s, 24, 120, run_binary, argv);
        int status = session_finish(&s, 1);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%d", status);
        cr_assert_not_null(strstr(s.text, poor[i].says), "%s", s.text);
        cr_assert_not_null(strstr(s.text, "ssltop export"), "%s", s.text);
    }
    cr_assert_eq(unlink(path), 0);
    watched_end(&r, 0);
}

// One of the kind of xterm or screen is taken for that where the system has no description of it.
Test(terminal, a_relative_stands_in)
{
    static const char *const terms[] = {"xterm-nobody-has", "tmux.nobody-has", "foot-nobody-has"};
    struct watched r;
    char path[200];
    make_log(&r, path);
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++) {
        struct session s = {.term = terms[i]};
        char *argv[] = {"ssltop", "replay", path, NULL};
        session_run(&s, 24, 120, run_binary, argv);
        session_wait(&s, "is unknown (TERM): taken for ");
        session_wait(&s, "REPLAY");
        session_type(&s, "q");
        session_end(&s);
    }
    cr_assert_eq(unlink(path), 0);
    watched_end(&r, 0);
}

Test(terminal, says_why_it_is_ascii)
{
    static const struct {
        const char *locale, *says;
    } rows[] = {{"xx_XX.UTF-8", "ASCII only: the locale xx_XX.UTF-8 is not installed"},
                {"POSIX", "ASCII only: the locale POSIX has no UTF-8"}};
    struct watched r;
    char path[200];
    make_log(&r, path);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct session s = {0};
        char *argv[] = {"ssltop", "replay", path, NULL};
        locale = rows[i].locale;
        session_run(&s, 24, 120, run_binary, argv);
        session_wait(&s, rows[i].says);
        session_wait(&s, "+ spectrum");
        session_type(&s, "q");
        session_end(&s);
    }
    cr_assert_eq(unlink(path), 0);
    watched_end(&r, 0);
}

// --- signals ---

static int show_and_wait(void *of)
{
    char key;
    if (terminal_open(NULL, NULL))
        return 1;
    terminal_mouse(1);
    cr_assert_eq(write(STDOUT_FILENO, "ready", 5), 5);
    return read(STDIN_FILENO, &key, 1) == 1;
}

static int kills(int sig)
{
    static const int others[] = {SIGKILL,  SIGSTOP, SIGCHLD, SIGCONT, SIGURG,
                                 SIGWINCH, SIGTSTP, SIGTTIN, SIGTTOU};
    struct sigaction now;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (sig == others[i])
            return 0;
    return sigaction(sig, NULL, &now) == 0;
}

static int show_with_defaults(void *of)
{
    for (int sig = 1; sig < NSIG; sig++)
        if (kills(sig))
            signal(sig, SIG_DFL);
    return show_and_wait(of);
}

// Whatever the signal, it kills as it would, and the terminal is back.
Test(terminal, comes_back_after_any_signal)
{
    for (int sig = 1; sig < NSIG; sig++) {
        if (!kills(sig))
            continue;
        struct session s = {0};
        session_run(&s, 24, 80, show_with_defaults, NULL);
        session_wait(&s, "ready");
        cr_assert(s.alternate && s.mouse && s.paste);
        cr_assert_eq(kill(s.pid, sig), 0);
        int status = session_finish(&s, 1);
        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == sig, "signal %d: %d", sig, status);
    }
}

// A function that comes to no end.
__attribute__((noinline)) static int too_deep(volatile int *from)
{
    volatile int here[1000];
    here[0] = *from + 1;
    return *from < 0 ? 0 : too_deep(here) + here[0];
}

static int show_and_overflow(void *of)
{
    volatile int n = 0;
    struct rlimit small = {1 << 20, 1 << 20};
    for (int sig = 1; sig < NSIG; sig++)
        if (kills(sig))
            signal(sig, SIG_DFL);
    setrlimit(RLIMIT_STACK, &small);
    if (terminal_open(NULL, NULL))
        return 1;
    cr_assert_eq(write(STDOUT_FILENO, "ready", 5), 5);
    return too_deep(&n);
}

// Where the stack is what is full, a handler needs another.
Test(terminal, comes_back_after_a_full_stack)
{
    struct session s = {0};
    session_run(&s, 24, 80, show_and_overflow, NULL);
    int status = session_finish(&s, 1);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "%d", status);
    cr_assert(s.bytes > 100, "it was shown");
}

// Stopped by a signal the terminal is the shell's; afterwards it is taken again.
Test(terminal, is_given_back_while_stopped)
{
    struct watched r;
    struct session s = {0};
    char path[200];
    int status = 0;
    make_log(&r, path);
    char *argv[] = {"ssltop", "replay", path, NULL};
    session_run(&s, 24, 80, run_binary, argv);
    session_wait(&s, "REPLAY");
    cr_assert_eq(kill(s.pid, SIGTSTP), 0);
    double end = clock_seconds() + DEADLINE;
    while (waitpid(s.pid, &status, WNOHANG | WUNTRACED) != s.pid) {
        cr_assert_lt(clock_seconds(), end, "it does not stop");
        session_feed(&s, 20);
    }
    cr_assert(WIFSTOPPED(status));
    while (session_feed(&s, 0) > 0)
        continue;
    cr_assert(!s.alternate && !s.hidden && !s.mouse && !s.paste);
    cr_assert_eq(kill(s.pid, SIGCONT), 0);
    while (!s.alternate || !s.mouse || !s.paste) {
        cr_assert_lt(clock_seconds(), end, "it does not come back");
        session_feed(&s, 20);
    }
    session_type(&s, "?");
    session_wait(&s, "in a replay");
    session_type(&s, "?q");
    session_end(&s);
    cr_assert_eq(unlink(path), 0);
    watched_end(&r, 0);
}

// Whether it stands in a write to its terminal.
static int hangs(pid_t pid)
{
    char path[64], text[128] = "", first[32] = "";
    snprintf(path, sizeof path, "/proc/%d/syscall", (int)pid);
    FILE *f = fopen(path, "r");
    cr_assert(f, "%s", path);
    int got = fgets(text, sizeof text, f) && sscanf(text, "%*s %31s", first) == 1;
    fclose(f);
    return got && strcmp(first, "0x1") == 0;
}

// A terminal that does not read (a connection that hangs): a signal is heard all the same.
Test(terminal, that_does_not_read_is_left, .timeout = 120)
{
    struct watched r;
    struct session s = {0};
    char path[200];
    make_log(&r, path);
    char *argv[] = {"ssltop", "replay", path, NULL};
    session_run(&s, 60, 200, run_binary, argv);
    session_wait(&s, "REPLAY");
    for (int in_a_row = 0, i = 0; in_a_row < 20; i++) {
        session_type(&s, i & 1 ? "1" : "2");
        poll(NULL, 0, 20);
        in_a_row = hangs(s.pid) ? in_a_row + 1 : 0;
    }
    cr_assert_eq(kill(s.pid, SIGTERM), 0);
    int status = 0;
    cr_assert_eq(waitpid(s.pid, &status, 0), s.pid);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 143, "%d", status);
    while (session_feed(&s, 0) > 0)
        continue;
    cr_expect(!s.mouse && !s.paste);
    close(s.master);
    vterm_free(s.vt);
    cr_assert_eq(unlink(path), 0);
    watched_end(&r, 0);
}

// --- what nobody typed ---

Test(terminal, bytes_that_nobody_typed_steer_nothing)
{
    static const char *const bytes[] = {
        "\033[>41;380;0c",
        "\033[12;34R",
        "\033P1+r544e=787465726d\033\\",
        "\033c",
        "\033e",
        "\033]11;rgb:ecec/cccc/nnnn\a",
        "\033[200~e c\rm1",
        " n\033[201~",
        "\033[I",
        "\033[99;5u",
        "\033_Ge c\033",
        "\\",
        "\033[O",
        "\033[?62;22c",
        "\033[M#!!",
    };
    struct session s = {0};
    struct watched r;
    char command[400];
    watched_make(&r);
    watched_start(&s, &r);
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        session_type(&s, bytes[i]);
        session_feed(&s, 50);
    }
    session_type(&s, "quits"); // pasted, though no mark says so
    session_wait(&s, "what becomes of the training?");
    session_type(&s, "q");
    while (strstr(session_text(&s), "what becomes"))
        cr_assert_geq(session_feed(&s, 200), 0);
    session_type(&s, "python train.py --epochs 10\nquit\ns\n");
    session_wait(&s, "passed over: so much at once");
    session_type(&s, "\033[F:zzz\r"); // a key of its own: what was pasted does not go on
    session_wait(&s, "unknown command 'zzz'");
    session_type(&s,
                 ":\033[200~lr\003 2\033[31mx\n\033[201~\r"); // text without its control characters
    session_wait(&s, "times 2 from");
    pid_t trainer = watched_trainer(&r);
    session_type(&s, "d");
    session_end(&s);
    snprintf(command, sizeof command,
             "%s export --runs %s v --format jsonl --what event | grep '\"by\":\"key\"' >%s/by; "
             "test $(wc -l <%s/by) = 1 && rm %s/by",
             getenv("SSLTOP") ? getenv("SSLTOP") : "./ssltop", r.runs, r.runs, r.runs, r.runs);
    cr_assert_eq(system(command), 0, "%s", command);
    watched_end(&r, trainer);
}
