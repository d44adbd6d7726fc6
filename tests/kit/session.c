// A pseudo terminal with a program behind it and libvterm in front.
#include "tests/kit/session.h"

#include <criterion/criterion.h>
#include <locale.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#include "metrics/base/clock.h"
#include "tui/cli/commands.h"

// Of LeakSanitizer, in a build that has it.
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

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

void session_run(struct session *s, int h, int w, int (*program)(void *of), void *of)
{
    int slave;
    struct winsize size = {.ws_row = (unsigned short)h, .ws_col = (unsigned short)w};
    const char *term = s->term, *config = s->config;
    memset(s, 0, sizeof *s);
    s->term = term;
    s->config = config;
    s->h = h;
    s->w = w;
    cr_assert_eq(openpty(&s->master, &slave, NULL, NULL, &size), 0);
    cr_assert_eq(tcgetattr(slave, &s->before), 0);
    // Or a Ctrl-C right behind the key that leaves takes with it what was written and is not read
    // yet: the strings that restore the screen.
    s->before.c_lflag |= NOFLSH;
    cr_assert_eq(tcsetattr(slave, TCSANOW, &s->before), 0);
    fflush(NULL);
    s->pid = fork();
    cr_assert_geq(s->pid, 0);
    if (s->pid == 0) {
        close(s->master);
        login_tty(slave);
        signal(SIGINT, SIG_DFL); // a test that runs in the background was told to ignore it
        setenv("TERM", s->term ? s->term : "xterm-256color", 1);
        setenv("XDG_CONFIG_HOME", s->config ? s->config : "/dev/null", 1);
        setlocale(LC_CTYPE, "C.UTF-8");
        int rc = program(of);
        fflush(NULL);
        if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check())
            rc = SESSION_LEAK;
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

static int run_command(void *of)
{
    char **argv = of;
    int argc = 0;
    while (argv[argc])
        argc++;
    return commands_main(argc, argv);
}

void session_start(struct session *s, char **argv)
{
    session_run(s, 24, 80, run_command, argv);
}

// Bytes for the terminal: 1 = some, 0 = none within the time, -1 = the program closed it.
int session_feed(struct session *s, int timeout_ms)
{
    char chunk[8192];
    struct pollfd p = {.fd = s->master, .events = POLLIN};
    if (poll(&p, 1, timeout_ms) <= 0)
        return 0;
    ssize_t n = read(s->master, chunk, sizeof chunk);
    if (n <= 0)
        return -1;
    s->bytes += n;
    for (ssize_t i = 0; i < n; i++) { // libvterm looks at the first of several modes only
        memmove(s->tail, s->tail + 1, sizeof s->tail - 1);
        s->tail[sizeof s->tail - 1] = chunk[i];
        if (memcmp(s->tail, "1000h", 5) == 0 || memcmp(s->tail, "1000l", 5) == 0)
            s->mouse = chunk[i] == 'h';
        if (memcmp(s->tail, "2004h", 5) == 0 || memcmp(s->tail, "2004l", 5) == 0)
            s->paste = chunk[i] == 'h';
    }
    vterm_input_write(s->vt, chunk, (size_t)n);
    return 1;
}

// What the terminal shows, blanks as blanks.
const char *session_text(struct session *s)
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

void session_wait(struct session *s, const char *what)
{
    double end = clock_seconds() + DEADLINE;
    while (!strstr(session_text(s), what)) {
        cr_assert_lt(clock_seconds(), end, "'%s' never came; the screen is\n%s", what,
                     session_text(s));
        cr_assert_geq(session_feed(s, 200), 0,
                      "the program ended while '%s' was waited for; the screen is\n%s", what,
                      session_text(s));
    }
}

void session_type(struct session *s, const char *keys)
{
    size_t n = strlen(keys);
    cr_assert_eq(write(s->master, keys, n), (ssize_t)n);
}

void session_resize(struct session *s, int h, int w)
{
    struct winsize size = {.ws_row = (unsigned short)h, .ws_col = (unsigned short)w};
    s->h = h;
    s->w = w;
    vterm_set_size(s->vt, h, w);
    cr_assert_eq(ioctl(s->master, TIOCSWINSZ, &size), 0);
}

// Wait until the program ended; its status. The terminal must be as it was.
int session_finish(struct session *s, int check_terminal)
{
    int status = 0;
    double end = clock_seconds() + DEADLINE;
    while (waitpid(s->pid, &status, WNOHANG) != s->pid) {
        cr_assert_lt(clock_seconds(), end, "the program did not end; the screen is\n%s",
                     session_text(s));
        if (session_feed(s, 50) < 0)
            poll(NULL, 0, 10);
    }
    while (session_feed(s, 0) > 0)
        continue;
    if (check_terminal) {
        struct termios after;
        cr_assert_eq(tcgetattr(s->master, &after), 0);
        cr_assert_eq(after.c_lflag, s->before.c_lflag, "echo and line mode are back");
        cr_assert_eq(after.c_iflag, s->before.c_iflag);
        cr_assert_eq(after.c_oflag, s->before.c_oflag);
        cr_assert_eq(s->alternate, 0, "the alternate screen is left");
        cr_assert_eq(s->hidden, 0, "the cursor is back");
        cr_assert_eq(s->mouse, 0, "the mouse is the terminal's");
        cr_assert_eq(s->paste, 0, "pastes are not marked");
    }
    session_text(s); // what stays on the terminal
    close(s->master);
    vterm_free(s->vt);
    return status;
}

void session_end(struct session *s)
{
    int status = session_finish(s, 1);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", status);
}
