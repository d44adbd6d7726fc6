// Curses, and giving the terminal back. The state is in file-level variables because a handler of
// SIGSEGV has no other way to it; everything it does is write(), tcsetattr() and raise().
#include "tui/hands/terminal.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#define NCURSES_WIDECHAR 1
#include <ncurses.h>
#include <term.h>

#include "tui/hands/keys.h"

static struct {
    volatile sig_atomic_t open;
    SCREEN *screen;
    struct termios before;
    char reset[256]; // what puts the terminal back into its normal state
    size_t reset_len;
    struct sigaction old[NSIG];
    const struct theme *theme;
    int colours; // 0, 8 (and 16), 256, or more: direct colour
    int heat;    // pairs of the ramp can be had
    int pointer_y, pointer_x;
} terminal;

static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
enum { FAULTS = sizeof faults / sizeof *faults };

static void on_fault(int sig)
{
    if (terminal.open) {
        terminal.open = 0;
        ssize_t ignored = write(STDOUT_FILENO, terminal.reset, terminal.reset_len);
        (void)ignored;
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
    }
    raise(sig); // the handler was reset: this kills
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

static void add_reset(const char *capability)
{
    const char *s = tigetstr(capability);
    if (s && (intptr_t)s != -1)
        add_text(s);
}

static void catch_faults(void)
{
    struct sigaction a = {.sa_handler = on_fault, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    for (int i = 0; i < FAULTS; i++)
        sigaction(faults[i], &a, &terminal.old[faults[i]]);
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

void terminal_mouse(int on)
{
    mouseinterval(0); // a press is a click: waiting for the release would be felt
    mousemask(on ? BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED : 0, NULL);
}

void terminal_pointer(int *y, int *x)
{
    *y = terminal.pointer_y;
    *x = terminal.pointer_x;
}

int terminal_open(const struct theme *theme, struct error *e)
{
    if (tcgetattr(STDIN_FILENO, &terminal.before))
        return error_set(e, "standard input is not a terminal: use --headless, or ssltop ctl");
    const char *type = getenv("TERM");
    terminal.screen = newterm(NULL, stdout, stdin);
    if (!terminal.screen)
        return error_set(e, "the terminal type '%.40s' is unknown: set TERM", type ? type : "");
    terminal.reset_len = 0;
    terminal.colours = 0;
    static const char *const capabilities[] = {"sgr0", "rmkx", "cnorm", "rmcup"};
    for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++)
        add_reset(capabilities[i]);
    const char *mouse = tigetstr("kmous");
    if (mouse && (intptr_t)mouse != -1)
        add_text("\033[?1006;1000l");
    raw(); // Ctrl-C and Ctrl-Z are keys
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(25);
    curs_set(0);
    start_colours();
    terminal_theme(theme);
    terminal.open = 1;
    catch_faults();
    return 0;
}

void terminal_close(void)
{
    if (!terminal.open)
        return;
    terminal.open = 0;
    for (int i = 0; i < FAULTS; i++)
        sigaction(faults[i], &terminal.old[faults[i]], NULL);
    endwin();
    delscreen(terminal.screen);
    terminal.screen = NULL;
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
}

int terminal_unicode(void)
{
    static const char *const poor[] = {"linux", "vt", "ansi", "cons", "dumb"};
    const char *set = nl_langinfo(CODESET), *type = getenv("TERM");
    for (size_t i = 0; type && i < sizeof poor / sizeof *poor; i++)
        if (strncmp(type, poor[i], strlen(poor[i])) == 0)
            return 0;
    return strcasecmp(set, "UTF-8") == 0 || strcasecmp(set, "utf8") == 0;
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

static int64_t mouse_key(void)
{
    MEVENT m;
    if (getmouse(&m) != OK)
        return KEYS_OTHER;
    terminal.pointer_y = m.y;
    terminal.pointer_x = m.x;
    return m.bstate & BUTTON1_PRESSED   ? KEYS_CLICK
           : m.bstate & BUTTON4_PRESSED ? KEYS_WHEEL_UP
           : m.bstate & BUTTON5_PRESSED ? KEYS_WHEEL_DOWN
                                        : KEYS_OTHER;
}

int64_t terminal_key(void)
{
    static const struct {
        wint_t curses;
        uint32_t key;
    } map[] = {
        {KEY_UP, KEYS_UP},
        {KEY_DOWN, KEYS_DOWN},
        {KEY_LEFT, KEYS_LEFT},
        {KEY_RIGHT, KEYS_RIGHT},
        {KEY_SLEFT, KEYS_FAR_LEFT},
        {KEY_SRIGHT, KEYS_FAR_RIGHT},
        {KEY_PPAGE, KEYS_PAGE_UP},
        {KEY_NPAGE, KEYS_PAGE_DOWN},
        {KEY_HOME, KEYS_HOME},
        {KEY_END, KEYS_END},
        {KEY_DC, KEYS_DELETE},
        {KEY_F(1), KEYS_F1},
        {KEY_BACKSPACE, KEYS_BACKSPACE},
        {KEY_ENTER, KEYS_ENTER},
        {KEY_BTAB, KEYS_BACK_TAB},
    };
    wint_t ch;
    int rc;
    do
        rc = get_wch(&ch);
    while (rc == KEY_CODE_YES && ch == KEY_RESIZE); // the size is looked at anyway
    if (rc == ERR) {
        struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
        return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR | POLLNVAL)) ? -1 : 0;
    }
    if (rc == KEY_CODE_YES && ch == KEY_MOUSE)
        return mouse_key();
    if (rc == KEY_CODE_YES) {
        for (size_t i = 0; i < sizeof map / sizeof *map; i++)
            if (map[i].curses == ch)
                return map[i].key;
        return KEYS_OTHER;
    }
    if (ch == 127 || ch == 8)
        return KEYS_BACKSPACE;
    return ch == '\n' ? KEYS_ENTER : (int64_t)ch;
}

void terminal_suspend(void)
{
    def_prog_mode();
    endwin();
    tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
    raise(SIGSTOP);
    reset_prog_mode();
    clearok(curscr, TRUE);
    refresh();
}
