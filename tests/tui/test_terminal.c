// Every view through curses on a terminal: what it shows is what was drawn, and looks as the scheme
// says, on terminals of every kind.
#include <criterion/criterion.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/path.h"
#include "tests/kit/room.h"
#include "tests/kit/scene.h"
#include "tests/kit/session.h"
#include "tui/draw/screen.h"
#include "tui/hands/terminal.h"

struct job {
    const struct scene *scene;
    const struct theme *theme;
    int h, w;
};

// Draw the scene and wait for a key.
static int draw_once(void *of)
{
    const struct job *j = of;
    struct canvas c = {0};
    int h, w;
    char key;
    if (terminal_open(j->theme, NULL))
        return 1;
    terminal_size(&h, &w);
    if (h != j->h || w != j->w || canvas_resize(&c, h, w, NULL))
        return 2;
    screen_draw(&c, j->scene);
    terminal_show(&c, 0);
    if (read(STDIN_FILENO, &key, 1) != 1)
        return 3;
    terminal_close();
    canvas_free(&c);
    return 0;
}

enum { MONO, EIGHT, RICH, DIRECT };

// A colour of the 256 as red, green and blue.
static int is_rgb(const VTermColor *is, int i)
{
    static const int level[] = {0, 95, 135, 175, 215, 255};
    int grey = 8 + 10 * (i - 232), r = grey, g = grey, b = grey;
    if (i < 232) {
        r = level[(i - 16) / 36];
        g = level[(i - 16) / 6 % 6];
        b = level[(i - 16) % 6];
    }
    return VTERM_COLOR_IS_RGB(is) && is->rgb.red == r && is->rgb.green == g && is->rgb.blue == b;
}

static int same_colour(const VTermColor *is, int should, int colours)
{
    if (should >= 16 && colours == DIRECT)
        return is_rgb(is, should);
    if (should < 0)
        return VTERM_COLOR_IS_DEFAULT_FG(is) || VTERM_COLOR_IS_DEFAULT_BG(is);
    return VTERM_COLOR_IS_INDEXED(is) && is->indexed.idx == should;
}

// Is this cell as it was drawn?
static int same(struct session *s, int y, int x, const struct cell *cell, const struct theme *theme,
                int colours)
{
    VTermScreenCell is;
    vterm_screen_get_cell(s->screen, (VTermPos){y, x}, &is);
    uint32_t ch = is.chars[0] ? is.chars[0] : ' ';
    const struct style *style = &theme->style[cell->role];
    if (cell->role == ROLE_HEAT && colours >= RICH && theme->heat != HEAT_NONE)
        return (ch == 0x2580 || ch == ' ') &&
               (colours == DIRECT ? VTERM_COLOR_IS_RGB(&is.bg) : is.bg.indexed.idx >= 16);
    if (cell->ch != 0 && ch != cell->ch)
        return 0;
    if (ch == ' ') // blanks may be made in other ways
        return !(style->attr & STYLE_REVERSE) || is.attrs.reverse;
    if (is.attrs.bold != ((style->attr & STYLE_BOLD) != 0) ||
        (is.attrs.underline != 0) != ((style->attr & STYLE_UNDERLINE) != 0) ||
        is.attrs.reverse != ((style->attr & STYLE_REVERSE) != 0))
        return 0;
    int fg = colours == MONO ? -1 : colours >= RICH && style->rich ? style->rich : style->fg;
    return same_colour(&is.fg, fg, colours) &&
           same_colour(&is.bg, colours == MONO ? -1 : style->bg, colours);
}

// The terminal's lines without the blanks at their ends are the committed text.
static void expect_committed(struct session *s, const char *name)
{
    char *should = scene_committed(name), *is = strdup(session_text(s)), *to = is;
    cr_assert_not_null(is);
    for (const char *from = is; *from; from++) {
        if (*from == '\n')
            while (to > is && to[-1] == ' ')
                to--;
        *to++ = *from;
    }
    *to = 0;
    cr_assert_str_eq(is, should, "%s", name);
    free(is);
    free(should);
}

// `committed`: what the text is besides; NULL: nothing.
static void expect_terminal(const struct scene *scene, const char *term, const int size[2],
                            const struct theme *theme, const struct theme *shown, int colours,
                            const char *committed)
{
    struct session s = {.term = term};
    int h = size[0], w = size[1];
    struct job j = {scene, theme, h, w};
    struct canvas c = {0};
    cr_assert_eq(canvas_resize(&c, h, w, NULL), 0);
    screen_draw(&c, scene);
    session_run(&s, h, w, draw_once, &j);
    double end = clock_seconds() + DEADLINE;
    for (int bad = 1; bad;) {
        int at = 0;
        while (at < h * w && same(&s, at / w, at % w, &c.cell[at], shown, colours))
            at++;
        bad = at < h * w;
        cr_assert(!bad || clock_seconds() < end, "%s, %s, view %d, line %d, column %d: %s", term,
                  shown->name, scene->v->view, at / w, at % w, session_text(&s));
        cr_assert(!bad || session_feed(&s, 1000) >= 0, "the program ended");
    }
    if (committed)
        expect_committed(&s, committed);
    session_type(&s, "x");
    session_end(&s);
    canvas_free(&c);
}

static void open_scene(struct test_scene *t)
{
    scene_usual(t);
    t->v.time.cursor = 900;
}

Test(terminal, every_view_and_scheme)
{
    struct test_scene t;
    open_scene(&t);
    for (const struct theme *theme = theme_table; theme->name; theme++)
        for (int i = 0; i < 3; i++)
            for (t.v.view = 0; t.v.view < VIEW_COUNT; t.v.view++)
                for (t.v.ascii = 0; t.v.ascii < 2; t.v.ascii++)
                    expect_terminal(&t.s, "xterm-256color", scene_size[i], theme, theme, RICH,
                                    NULL);
    scene_free(&t);
}

// What is committed, without colours: live, of a replay, and of several runs. Colours change no
// letter of it but the waterfall's.
Test(terminal, committed_screens_in_mono)
{
    const struct theme *mono = theme_find("mono");
    struct test_scene t;
    scene_usual(&t);
    for (t.v.view = 0; t.v.view < VIEW_COUNT; t.v.view++)
        for (int i = 0; i < 3; i++)
            for (t.v.ascii = 0; t.v.ascii < 2; t.v.ascii++)
                expect_terminal(&t.s, t.v.ascii ? "vt100" : "xterm-256color", scene_size[i], mono,
                                mono, MONO, scene_name("", &t.v, scene_size[i]));
    scene_free(&t);
}

Test(terminal, replays)
{
    const struct theme *mono = theme_find("mono");
    struct room m;
    room_usual(&m);
    m.v.time.cursor = 1000;
    m.v.time.mark = 300;
    for (m.v.view = 0; m.v.view < VIEW_COUNT; m.v.view++)
        for (int i = 0; i < 3; i++)
            for (m.v.ascii = 0; m.v.ascii < 2; m.v.ascii++) {
                struct scene s = room_scene(&m);
                const char *name = scene_name("replay-", &m.v, scene_size[i]);
                expect_terminal(&s, "xterm-256color", scene_size[i], theme_table, theme_table, RICH,
                                m.v.view == VIEW_SPECTRUM ? NULL : name);
                expect_terminal(&s, "xterm-256color", scene_size[i], mono, mono, MONO, name);
            }
    room_free(&m);
}

Test(terminal, several_runs)
{
    const struct theme *mono = theme_find("mono");
    struct room m;
    room_init(&m);
    room_log(&m, 0, 1284, 1, 0);
    room_log(&m, 1, 700, 0, 0.08);
    room_log(&m, 2, 1900, 1, -0.07);
    room_open(&m, 3);
    m.v.time.cursor = 900;
    for (int i = 0; i < 3; i++)
        for (m.v.ascii = 0; m.v.ascii < 2; m.v.ascii++) {
            struct scene s = room_scene(&m);
            const char *name = scene_name("compare-", &m.v, scene_size[i]);
            expect_terminal(&s, "xterm-256color", scene_size[i], theme_table, theme_table, RICH,
                            name);
            expect_terminal(&s, "xterm-256color", scene_size[i], mono, mono, MONO, name);
        }
    room_free(&m);
}

// Eight colours, none, and NO_COLOR.
Test(terminal, poorer_ones)
{
    struct test_scene t;
    const struct theme *mono = theme_find("mono");
    open_scene(&t);
    t.v.ascii = 1;
    for (t.v.view = 0; t.v.view < VIEW_COUNT; t.v.view++) {
        expect_terminal(&t.s, "xterm", scene_size[0], theme_table, theme_table, EIGHT, NULL);
        expect_terminal(&t.s, "linux", scene_size[0], theme_table, theme_table, EIGHT, NULL);
        expect_terminal(&t.s, "vt100", scene_size[0], theme_table, mono, MONO, NULL);
        expect_terminal(&t.s, "screen-256color", scene_size[0], theme_table, theme_table, RICH,
                        NULL);
    }
    setenv("NO_COLOR", "1", 1);
    t.v.view = VIEW_SPECTRUM;
    expect_terminal(&t.s, "xterm-256color", scene_size[0], theme_table, mono, MONO, NULL);
    unsetenv("NO_COLOR");
    scene_free(&t);
}

// A terminal of which every colour is red, green and blue.
Test(terminal, direct_colour)
{
    char dir[] = "/tmp/ssltop-terminfo-XXXXXX", path[128], command[300];
    struct test_scene t;
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/direct.ti", dir);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fputs("direct-test|direct colour,\n"
          "  RGB, colors#0x1000000, pairs#0x7FFF,\n"
          "  setaf=\\E[%?%p1%{8}%<%t3%p1%d%e38;2;%p1%{65536}%/%d;%p1%{256}%/%{255}%&%d;%p1%{255}"
          "%&%d%;m,\n"
          "  setab=\\E[%?%p1%{8}%<%t4%p1%d%e48;2;%p1%{65536}%/%d;%p1%{256}%/%{255}%&%d;%p1%{255}"
          "%&%d%;m,\n"
          "  use=xterm-256color,\n",
          f);
    cr_assert_eq(fclose(f), 0);
    snprintf(command, sizeof command, "tic -x -o %s %s", dir, path);
    cr_assert_eq(system(command), 0);
    setenv("TERMINFO", dir, 1);
    open_scene(&t);
    for (t.v.view = 0; t.v.view < VIEW_COUNT; t.v.view++)
        expect_terminal(&t.s, "direct-test", scene_size[1], theme_table, theme_table, DIRECT, NULL);
    scene_free(&t);
    unsetenv("TERMINFO");
    snprintf(command, sizeof command, "rm -r %s", dir);
    cr_assert_eq(system(command), 0);
}

Test(terminal, what_can_show_braille)
{
    static const struct {
        const char *term;
        int unicode;
    } rows[] = {{"xterm-256color", 1}, {"screen", 1}, {"tmux-256color", 1}, {"linux", 0},
                {"vt100", 0},          {"vt220", 0},  {"ansi", 0}};
    setlocale(LC_CTYPE, "C.UTF-8");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        setenv("TERM", rows[i].term, 1);
        cr_assert_eq(terminal_unicode(NULL), rows[i].unicode, "%s", rows[i].term);
    }
    setlocale(LC_CTYPE, "C");
    setenv("TERM", "xterm", 1);
    cr_assert_eq(terminal_unicode(NULL), 0);
}

// Nothing of the terminal is known but what came with the program.
Test(terminal, a_type_that_the_system_does_not_know)
{
    char dir[] = "/tmp/ssltop-terminfo-XXXXXX";
    struct error e = {""};
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(
        system(path_of("echo 'ours-test|of ours, cup=\\E[%%i%%p1%%d;%%p2%%dH,' > %s/t.ti && "
                       "tic -x -o %s %s/t.ti",
                       dir, dir, dir)
                   .s),
        0);
    setenv("TERM", "ours-test", 1);
    setenv("SSLTOP_TERMINFO", "/nonexistent", 1);
    cr_expect(!terminal_suits(&e) && strstr(e.text, "is unknown"), "says: %s", e.text);
    setenv("SSLTOP_TERMINFO", dir, 1);
    cr_expect(terminal_suits(&e), "says: %s", e.text);
    setenv("TERM", "xterm", 1); // and the system's own are known as before
    cr_expect(terminal_suits(&e), "says: %s", e.text);
    cr_expect_eq(system(path_of("rm -r %s", dir).s), 0);
}
