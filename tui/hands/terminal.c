// Curses for what is shown, and giving the terminal back. The state is in file-level variables
// because a handler of SIGSEGV has no other way to it; everything it does is write(), tcsetattr()
// and raise().
#include "tui/hands/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#define NCURSES_WIDECHAR 1
#include <ncurses.h>
#include <term.h>

#include "metrics/base/path.h"

#define MOUSE_ON  "\033[?1006;1000h"
#define MOUSE_OFF "\033[?1006;1000l"
#define PASTE_ON  "\033[?2004h"
#define PASTE_OFF "\033[?2004l"

enum { DEATH_STACK = 1 << 16 };

static struct {
    volatile sig_atomic_t open;
    SCREEN *screen;
    struct termios before;
    char reset[256]; // what puts the terminal back into its normal state
    size_t reset_len;
    struct sigaction old[NSIG];
    unsigned char caught[NSIG];
    _Alignas(16) char stack[DEATH_STACK]; // for the handler: the program's own may be what is full
    const struct theme *theme;
    int colours; // 0, 8 (and 16), 256, or more: direct colour
    int heat;    // pairs of the ramp can be had
    struct keys keys;
    unsigned char input[4096]; // read and not yet taken
    size_t input_n, input_at;
    char called[41]; // the type by its name where it was taken for another; "" it was not
    double pasted;   // when a paste without marks was passed over last
} terminal;

static void on_death(int sig)
{
    if (terminal.open) {
        terminal.open = 0;
        ssize_t ignored = write(STDOUT_FILENO, terminal.reset, terminal.reset_len);
        (void)ignored;
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
    }
    raise(sig); // the handler was reset: this kills
}

void terminal_drop(void)
{
    int flags = fcntl(STDOUT_FILENO, F_GETFL);
    if (!terminal.screen)
        return;
    terminal.open = 0;
    tcflush(STDOUT_FILENO, TCOFLUSH);
    fcntl(STDOUT_FILENO, F_SETFL, flags | O_NONBLOCK);
    ssize_t ignored = write(STDOUT_FILENO, terminal.reset, terminal.reset_len);
    (void)ignored;
    fcntl(STDOUT_FILENO, F_SETFL, flags);
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
}

// One of the terminal's strings without its padding marks, behind what is there.
static void add_text(const char *s)
{
    while (*s && terminal.reset_len < sizeof terminal.reset) {
        if (s[0] == '$' && s[1] == '<' && strchr(s, '>'))
            s = strchr(s, '>') + 1;
        else
            terminal.reset[terminal.reset_len++] = *s++;
    }
}

static int is_in(int sig, const int *set, size_t n)
{
    while (n-- > 0)
        if (set[n] == sig)
            return 1;
    return 0;
}

// Every signal that would kill and that nobody has taken, and faults, whoever has.
static void catch_deaths(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    static const int harmless[] = {SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGTSTP, SIGTTIN, SIGTTOU};
    struct sigaction a = {.sa_handler = on_death,
                          .sa_flags = (int)SA_RESETHAND | SA_NODEFER | SA_ONSTACK};
    const stack_t own = {.ss_sp = terminal.stack, .ss_size = sizeof terminal.stack};
    sigaltstack(&own, NULL);
    for (int sig = 1; sig < NSIG; sig++) {
        struct sigaction *old = &terminal.old[sig];
        int is_ours = sigaction(sig, NULL, old) == 0 &&
                      (is_in(sig, faults, sizeof faults / sizeof *faults) ||
                       (old->sa_handler == SIG_DFL &&
                        !is_in(sig, harmless, sizeof harmless / sizeof *harmless)));
        terminal.caught[sig] = is_ours && sigaction(sig, &a, NULL) == 0;
    }
}

static void leave_deaths(void)
{
    const stack_t none = {.ss_flags = SS_DISABLE};
    for (int sig = 1; sig < NSIG; sig++)
        if (terminal.caught[sig])
            sigaction(sig, &terminal.old[sig], NULL);
    sigaltstack(&none, NULL);
}

// A colour of the 256 for this terminal: where colours are direct, its red, green and blue.
static int rich(int i)
{
    if (terminal.colours <= 256)
        return i;
    if (i >= 232)
        return (8 + 10 * (i - 232)) * 0x010101;
    i -= 16;
    const int level[] = {0, 95, 135, 175, 215, 255};
    return level[i / 36] << 16 | level[i / 6 % 6] << 8 | level[i % 6];
}

// Dark blue over red to white, brighter from each to the next.
static const unsigned char hot[HEAT_LEVELS] = {17,  18,  53,  54,  90,  91,  126, 161,
                                               197, 166, 202, 172, 208, 209, 214, 215,
                                               220, 221, 222, 227, 228, 229, 230, 231};
enum { HEAT_PAIRS = ROLE_COUNT + 1, HEAT_SIDE = HEAT_LEVELS + 1 };

static int heat_colour(int level)
{
    if (level < 1)
        return -1;
    return rich(terminal.theme->heat == HEAT_GREY ? 231 + level : hot[level - 1]);
}

static void make_pairs(void)
{
    int own = use_default_colors() == OK; // else the terminal has no "its own" colour
    for (int i = 0; i < ROLE_COUNT; i++) {
        const struct style *s = &terminal.theme->style[i];
        int fg = s->rich && terminal.colours >= 256 ? rich(s->rich) : s->fg;
        init_extended_pair(i + 1, fg < 0 && !own ? COLOR_WHITE : fg,
                           s->bg < 0 && !own ? COLOR_BLACK : s->bg);
    }
    terminal.heat = terminal.theme->heat != HEAT_NONE && terminal.colours >= 256 && own &&
                    COLOR_PAIRS >= HEAT_PAIRS + HEAT_SIDE * HEAT_SIDE;
    for (int upper = 0; terminal.heat && upper < HEAT_SIDE; upper++)
        for (int lower = 0; lower < HEAT_SIDE; lower++)
            init_extended_pair(HEAT_PAIRS + upper * HEAT_SIDE + lower, heat_colour(upper),
                               heat_colour(lower));
}

static void start_colours(void)
{
    const char *no_color = getenv("NO_COLOR");
    if (has_colors() && !(no_color && *no_color) && start_color() == OK)
        terminal.colours = COLORS;
}

void terminal_theme(const struct theme *theme)
{
    terminal.theme = theme ? theme : theme_table;
    terminal.heat = 0;
    if (terminal.colours)
        make_pairs();
    else if (theme_find("mono"))
        terminal.theme = theme_find("mono");
}

static const char *string_of(const char *capability)
{
    const char *s = tigetstr(capability);
    return s == (char *)-1 ? NULL : s;
}

// Its controls are those of ECMA-48: it passes over modes that it does not have.
static int is_ansi(void)
{
    const char *move = string_of("cup");
    return move && strncmp(move, "\033[", 2) == 0;
}

// What the terminal shall send besides keys. Not through curses, which would want to read it.
static void ask(const char *modes)
{
    if (!is_ansi())
        return;
    fflush(stdout);
    for (size_t n = strlen(modes); n > 0;) {
        ssize_t done = write(STDOUT_FILENO, modes, n);
        if (done < 0 && errno != EINTR)
            return; // it is gone: reading will tell
        modes += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
}

static void ask_for_input(void)
{
    ask(PASTE_ON);
    ask(terminal.keys.mouse ? MOUSE_ON : MOUSE_OFF);
}

void terminal_mouse(int on)
{
    terminal.keys.mouse = on && string_of("kmous");
    ask_for_input();
}

// Where the system knows no such terminal, what came with the program may: a folder more to look
// in, behind the system's own (the empty one).
static int set_up_from_ours(int *found)
{
    struct path folder[PATH_INSTALLED];
    const char *set = getenv("TERMINFO_DIRS");
    int n = path_installed("SSLTOP_TERMINFO", "terminfo", folder);
    return setenv("TERMINFO_DIRS", path_of("%s:%s", set ? set : "", folder[n - 1].s).s, 1) == 0 &&
           setupterm(NULL, STDOUT_FILENO, found) == OK;
}

// Terminals that come with a description of their own, which a machine at the other end of ssh
// seldom has, and understand what these do.
static const struct {
    const char *name, *like;
} stand_in[] = {
    {"xterm", "xterm-256color"},       {"screen", "screen-256color"},
    {"tmux", "screen-256color"},       {"foot", "xterm-256color"},
    {"kitty", "xterm-256color"},       {"alacritty", "xterm-256color"},
    {"wezterm", "xterm-256color"},     {"ghostty", "xterm-256color"},
    {"konsole", "xterm-256color"},     {"gnome", "xterm-256color"},
    {"vte", "xterm-256color"},         {"st", "xterm-256color"},
    {"contour", "xterm-256color"},     {"rio", "xterm-256color"},
    {"putty", "xterm-256color"},       {"iterm2", "xterm-256color"},
    {"mintty", "xterm-256color"},      {"mlterm", "xterm-256color"},
    {"ms-terminal", "xterm-256color"},
};

static int set_up_another(const char *type, int *found)
{
    for (size_t i = 0; i < sizeof stand_in / sizeof *stand_in; i++) {
        size_t n = strlen(stand_in[i].name);
        if (strncmp(type, stand_in[i].name, n) != 0 || (type[n] && !strchr("-+.", type[n])))
            continue;
        int other = 0;
        if (setupterm(stand_in[i].like, STDOUT_FILENO, &other) != OK)
            return 0;
        snprintf(terminal.called, sizeof terminal.called, "%s", type);
        *found = other;
        return setenv("TERM", stand_in[i].like, 1) == 0;
    }
    return 0;
}

int terminal_stands_in(struct error *e)
{
    const char *type = getenv("TERM");
    return *terminal.called &&
           error_set(e, "the terminal type '%s' is unknown (TERM): taken for %s", terminal.called,
                     type ? type : "");
}

int terminal_suits(struct error *e)
{
    const char *type = getenv("TERM");
    int found = 0, suits = setupterm(NULL, STDOUT_FILENO, &found) == OK ||
                           (found < 1 && type && *type &&
                            (set_up_from_ours(&found) || set_up_another(type, &found)));
    suits = suits && string_of("cup");
    if (cur_term)
        del_curterm(cur_term);
    if (suits)
        return 1;
    error_set(e,
              !type || !*type ? "TERM is not set: no screen can be shown"
              : found < 1 ? "the terminal type '%.40s' is unknown (TERM): no screen can be shown"
                          : "a terminal of type '%.40s' (TERM) can't show a screen",
              type ? type : "");
    return 0;
}

static void learn_keys(void)
{
    terminal.keys = (struct keys){0};
    terminal.pasted = -INFINITY;
    for (int i = 0; i < KEYS_ROWS; i++)
        terminal.keys.own[i] = string_of(keys_table[i].capability);
}

int terminal_open(const struct theme *theme, struct error *e)
{
    if (tcgetattr(STDIN_FILENO, &terminal.before))
        return error_set(e, "standard input is not a terminal: use --headless, or ssltop ctl");
    if (!terminal_suits(e))
        return -1;
    catch_deaths(); // before curses does so in its own way
    terminal.screen = newterm(NULL, stdout, stdin);
    if (!terminal.screen) {
        leave_deaths();
        return error_set(e, "the terminal can't be used");
    }
    terminal.reset_len = 0;
    terminal.colours = 0;
    if (is_ansi())
        add_text(MOUSE_OFF PASTE_OFF);
    static const char *const capabilities[] = {"sgr0", "rmkx", "cnorm", "rmcup"};
    for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++)
        add_text(string_of(capabilities[i]) ? string_of(capabilities[i]) : "");
    learn_keys();
    raw(); // Ctrl-C and Ctrl-Z are keys
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    curs_set(0);
    start_colours();
    terminal_theme(theme);
    terminal.open = 1;
    ask_for_input();
    return 0;
}

void terminal_close(void)
{
    if (!terminal.open)
        return;
    terminal.open = 0;
    leave_deaths();
    ask(MOUSE_OFF PASTE_OFF);
    endwin();
    delscreen(terminal.screen);
    terminal.screen = NULL;
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
}

// The locale that the environment asks for; "" none.
static const char *locale_asked(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return value;
    }
    return "";
}

int terminal_unicode(struct error *why)
{
    static const char *const poor[] = {"linux", "vt", "ansi", "cons", "dumb"};
    const char *set = nl_langinfo(CODESET), *type = getenv("TERM"), *asked = locale_asked();
    for (size_t i = 0; type && i < sizeof poor / sizeof *poor; i++)
        if (strncmp(type, poor[i], strlen(poor[i])) == 0)
            return error_set(why, "terminals of type %.40s have no Braille", type) + 1;
    if (strcasecmp(set, "UTF-8") == 0 || strcasecmp(set, "utf8") == 0)
        return 1;
    int fell_back = strcmp(setlocale(LC_CTYPE, NULL), "C") == 0 && *asked &&
                    strcmp(asked, "C") != 0 && strcmp(asked, "POSIX") != 0;
    error_set(why,
              fell_back ? "the locale %.60s is not installed (see locale -a)"
                        : "the locale %.60s has no UTF-8 (LANG=C.UTF-8 has)",
              *asked ? asked : "C");
    return 0;
}

void terminal_size(int *h, int *w)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0 &&
        !is_term_resized(size.ws_row, size.ws_col)) {
        *h = size.ws_row;
        *w = size.ws_col;
        return;
    }
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
        resizeterm(size.ws_row, size.ws_col);
    getmaxyx(stdscr, *h, *w);
}

static attr_t attributes(const struct style *s)
{
    return (s->attr & STYLE_BOLD ? A_BOLD : 0) | (s->attr & STYLE_DIM ? A_DIM : 0) |
           (s->attr & STYLE_REVERSE ? A_REVERSE : 0) |
           (s->attr & STYLE_UNDERLINE ? A_UNDERLINE : 0);
}

// How a cell looks: character, attributes, pair.
static void look_of(const struct cell *cell, wchar_t *ch, attr_t *attr, short *pair)
{
    *ch = (wchar_t)cell->ch;
    const struct style *style = &terminal.theme->style[cell->role];
    *attr = attributes(style);
    if (style->rich && terminal.colours >= 256)
        *attr &= ~A_DIM; // the colour is dim enough
    *pair = (short)(terminal.colours ? cell->role + 1 : 0);
    if (cell->role != ROLE_HEAT || !terminal.heat)
        return;
    int is_ascii = cell->ch < 0x80; // one colour for both halves
    *ch = is_ascii ? L' ' : L'\u2580';
    *pair = (short)(HEAT_PAIRS + cell->upper * HEAT_SIDE + (is_ascii ? cell->upper : cell->lower));
}

void terminal_show(const struct canvas *c, int again)
{
    if (again)
        clearok(curscr, TRUE);
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++) {
            const struct cell *cell = canvas_at(c, y, x);
            if (!cell->ch)
                continue; // the wide character before it covers this one
            wchar_t text[2] = {0, 0};
            cchar_t out;
            attr_t attr;
            short pair;
            look_of(cell, text, &attr, &pair);
            setcchar(&out, text, attr, pair, NULL);
            mvadd_wch(y, x, &out);
        }
    refresh();
}

int terminal_read(void)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    if (terminal.input_at < terminal.input_n || poll(&p, 1, 0) < 1)
        return 0;
    ssize_t n = read(STDIN_FILENO, terminal.input, sizeof terminal.input);
    terminal.input_at = 0;
    terminal.input_n = n > 0 ? (size_t)n : 0;
    return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)) ? 0 : -1;
}

int terminal_key(double now, struct keys_event *out)
{
    while (terminal.input_at < terminal.input_n)
        if (keys_take(&terminal.keys, terminal.input[terminal.input_at++], now, out))
            return 1;
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&p, 1, 0) == 0 && keys_idle(&terminal.keys, now, out);
}

int terminal_pass_over_paste(double now)
{
    static const double pause = 0.1; // seconds within a paste that comes in pieces
    if (!keys_pasted(&terminal.keys, terminal.input + terminal.input_at,
                     terminal.input_n - terminal.input_at, now - terminal.pasted < pause))
        return 0;
    terminal.input_at = terminal.input_n;
    terminal.pasted = now;
    return 1;
}

double terminal_patience(double now)
{
    return keys_patience(&terminal.keys, now);
}

void terminal_suspend(void)
{
    def_prog_mode();
    ask(MOUSE_OFF PASTE_OFF);
    endwin();
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
    raise(SIGSTOP);
    terminal_resume();
}

void terminal_resume(void)
{
    reset_prog_mode();
    clearok(curscr, TRUE);
    refresh();
    ask_for_input();
}
