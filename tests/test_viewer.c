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

#include "train/control.h"
#include "train/trainer.h"
#include "tui/actions.h"
#include "tui/commands.h"

enum { DEADLINE = 240 }; // seconds

struct session {
    pid_t pid;
    int master;
    struct termios before;
    VTerm *vt;
    VTermScreen *screen;
    int h, w;
    int alternate, hidden;     // screen and cursor, as the terminal was told
    const char *term, *config; // its TERM, and the folder of its settings; NULL: usual, none
    char text[1 << 16];
};

static int on_property(VTermProp prop, VTermValue *value, void *to)
{
    struct session *s = to;
    if (prop == VTERM_PROP_ALTSCREEN)
        s->alternate = value->boolean;
    if (prop == VTERM_PROP_CURSORVISIBLE)
        s->hidden = !value->boolean;
    return 1;
}

static const VTermScreenCallbacks callbacks = {.settermprop = on_property};

static void start(struct session *s, char **argv)
{
    int slave;
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    const char *term = s->term, *config = s->config;
    memset(s, 0, sizeof *s);
    s->term = term;
    s->config = config;
    s->h = size.ws_row;
    s->w = size.ws_col;
    cr_assert_eq(openpty(&s->master, &slave, NULL, NULL, &size), 0);
    cr_assert_eq(tcgetattr(slave, &s->before), 0);
    fflush(NULL);
    s->pid = fork();
    cr_assert_geq(s->pid, 0);
    if (s->pid == 0) {
        close(s->master);
        login_tty(slave);
        setenv("TERM", s->term ? s->term : "xterm-256color", 1);
        setenv("XDG_CONFIG_HOME", s->config ? s->config : "/nonexistent", 1);
        setlocale(LC_CTYPE, "C.UTF-8");
        int argc = 0;
        while (argv[argc])
            argc++;
        int rc = commands_main(argc, argv);
        fflush(NULL);
        _exit(rc);
    }
    close(slave);
    s->vt = vterm_new(s->h, s->w);
    vterm_set_utf8(s->vt, 1);
    s->screen = vterm_obtain_screen(s->vt);
    vterm_screen_set_callbacks(s->screen, &callbacks, s);
    vterm_screen_enable_altscreen(s->screen, 1);
    vterm_screen_reset(s->screen, 1);
}

static time_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

// Bytes for the terminal: 1 = some, 0 = none within the time, -1 = the program closed it.
static int feed(struct session *s, int timeout_ms)
{
    char chunk[8192];
    struct pollfd p = {.fd = s->master, .events = POLLIN};
    if (poll(&p, 1, timeout_ms) <= 0)
        return 0;
    ssize_t n = read(s->master, chunk, sizeof chunk);
    if (n <= 0)
        return -1;
    vterm_input_write(s->vt, chunk, (size_t)n);
    return 1;
}

// What the terminal shows, blanks as blanks.
static const char *text_of(struct session *s)
{
    size_t n = 0;
    for (int y = 0; y < s->h; y++) {
        for (int x = 0; x < s->w; x++) {
            VTermScreenCell cell;
            uint32_t ch =
                vterm_screen_get_cell(s->screen, (VTermPos){y, x}, &cell) ? cell.chars[0] : ' ';
            if (ch == (uint32_t)-1)
                continue;
            if (!ch)
                ch = ' ';
            cr_assert_lt(n, sizeof s->text - 8);
            if (ch < 0x80) {
                s->text[n++] = (char)ch;
            } else if (ch < 0x800) {
                s->text[n++] = (char)(0xC0 | ch >> 6);
                s->text[n++] = (char)(0x80 | (ch & 0x3F));
            } else {
                s->text[n++] = (char)(0xE0 | (ch >> 12 & 0xF));
                s->text[n++] = (char)(0x80 | (ch >> 6 & 0x3F));
                s->text[n++] = (char)(0x80 | (ch & 0x3F));
            }
        }
        s->text[n++] = '\n';
    }
    s->text[n] = 0;
    return s->text;
}

static void wait_for(struct session *s, const char *what)
{
    time_t end = now() + DEADLINE;
    while (!strstr(text_of(s), what)) {
        cr_assert_lt(now(), end, "'%s' never came; the screen is\n%s", what, text_of(s));
        cr_assert_geq(feed(s, 200), 0,
                      "the program ended while '%s' was waited for; the screen is\n%s", what,
                      text_of(s));
    }
}

static void type(struct session *s, const char *keys)
{
    size_t n = strlen(keys);
    cr_assert_eq(write(s->master, keys, n), (ssize_t)n);
}

static void resize(struct session *s, int h, int w)
{
    struct winsize size = {.ws_row = (unsigned short)h, .ws_col = (unsigned short)w};
    s->h = h;
    s->w = w;
    vterm_set_size(s->vt, h, w);
    cr_assert_eq(ioctl(s->master, TIOCSWINSZ, &size), 0);
}

// Wait until the program ended; its status. The terminal must be as it was.
static int finish(struct session *s, int check_terminal)
{
    int status = 0;
    time_t end = now() + DEADLINE;
    while (waitpid(s->pid, &status, WNOHANG) != s->pid) {
        cr_assert_lt(now(), end, "the program did not end; the screen is\n%s", text_of(s));
        if (feed(s, 50) < 0)
            poll(NULL, 0, 10);
    }
    while (feed(s, 0) > 0)
        continue;
    if (check_terminal) {
        struct termios after;
        cr_assert_eq(tcgetattr(s->master, &after), 0);
        cr_assert_eq(after.c_lflag, s->before.c_lflag, "echo and line mode are back");
        cr_assert_eq(after.c_iflag, s->before.c_iflag);
        cr_assert_eq(after.c_oflag, s->before.c_oflag);
        cr_assert_eq(s->alternate, 0, "the alternate screen is left");
        cr_assert_eq(s->hidden, 0, "the cursor is back");
    }
    text_of(s); // what stays on the terminal
    close(s->master);
    vterm_free(s->vt);
    return status;
}

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
    start(s, argv);
    wait_for(s, "live 0."); // a step with a spectrum
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
    time_t end = now() + DEADLINE;
    while (kill(pid, 0) == 0) {
        cr_assert_lt(now(), end, "the trainer did not end");
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
    time_t end = now() + DEADLINE;
    while (ask(r, COMMAND_STATUS).step <= step + 1) {
        cr_assert_lt(now(), end, "the training stands still");
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
    cr_assert(s.alternate && s.hidden);
    type(&s, ":mode cumulative\r");
    wait_for(&s, "cumulative chunk");
    type(&s, " ");
    wait_for(&s, "PAUSED");
    int64_t step = ask(&r, COMMAND_STATUS).step;
    type(&s, "n");
    time_t end = now() + DEADLINE;
    while (ask(&r, COMMAND_STATUS).step == step)
        cr_assert_lt(now(), end);
    cr_assert_eq(ask(&r, COMMAND_STATUS).step, step + 1);
    type(&s, "m");
    wait_for(&s, "passes left");
    type(&s, "2");
    wait_for(&s, "continual from");
    type(&s, ":frobnicate\r");
    wait_for(&s, "unknown command 'frobnicate'");
    type(&s, " ");
    wait_for(&s, "\u25b6 continual");
    type(&s, "q");
    wait_for(&s, "what becomes of the training?");
    pid_t trainer = trainer_of(&r);
    type(&s, "s");
    int status = finish(&s, 1);
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
    static const char *const open[CONTEXT_COUNT] = {"", "?", "m", "q", ":x", "/x"};
    for (const struct action *a = action_table; a->keys; a++)
        for (int i = 0; i < 3 && a->key[i]; i++) {
            int leaves = a->context == CONTEXT_QUIT && a->key[i] != KEYS_ESCAPE &&
                         a->key[i] != KEYS_ENTER && a->key[i] != 'q';
            if (leaves ||
                (a->context == CONTEXT_MAIN && (a->key[i] == 'd' || a->key[i] == KEY_CTRL('Z'))))
                continue;
            char key[24] = {(char)a->key[i], 0};
            for (size_t k = 0; k < sizeof special / sizeof *special; k++)
                if (special[k].key == a->key[i])
                    strcpy(key, special[k].bytes);
            x = x * 1664525 + 1013904223;
            resize(&s, 5 + (int)(x >> 24) % 50, 10 + (int)(x >> 16 & 0xFF) % 150);
            type(&s, open[a->context]);
            type(&s, key);
            while (feed(&s, 20) > 0)
                continue;
            type(&s, "\033");
            while (feed(&s, 60) > 0) // longer than an escape sequence may take
                continue;
        }
    resize(&s, 24, 80);
    type(&s, "1");
    wait_for(&s, "forecast");
    pid_t trainer = trainer_of(&r);
    type(&s, "d");
    int status = finish(&s, 1);
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
    wait_for(&s, "trainer died (signal 9");
    wait_for(&s, "resume with: ssltop train --resume");
    type(&s, "3");
    wait_for(&s, "spread");
    type(&s, "q");
    int status = finish(&s, 1);
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
        int status = finish(&s, 1);
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
    int status = finish(&s, 1);
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
    type(&s, "5");
    wait_for(&s, "time of a step");
    cr_assert_eq(kill(s.pid, SIGKILL), 0);
    int status = finish(&s, 0);
    cr_assert(WIFSIGNALED(status));
    expect_progress(&r);

    char *argv[] = {"ssltop", "attach", "--ascii", "--runs", r.runs, "v", NULL};
    start(&s, argv);
    wait_for(&s, "live 0.");
    wait_for(&s, "+ spectrum");
    cr_assert_null(strstr(text_of(&s), "\u2500"));
    type(&s, "ql");
    status = finish(&s, 1);
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
        start(&s, argv);
        int status = finish(&s, 0);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == rows[i].code, "%s: %d",
                  rows[i].option, WEXITSTATUS(status));
        cr_assert_not_null(strstr(s.text, rows[i].says), "%s", s.text);
        stop_and_remove(&r, 0);
    }
}
