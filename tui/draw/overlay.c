// What lies over the panels: help, mode menu, the question of q, the command line, and the function
// bar.
#include "tui/draw/overlay.h"

#include <stdio.h>
#include <string.h>

#include "metrics/science/metric.h"
#include "tui/hands/actions.h"
#include "tui/model/format.h"

// A cleared box in the middle; what is inside.
static struct rect open_box(struct canvas *c, int h, int w, const char *title)
{
    h = h < c->h - 2 ? h : c->h - 2;
    w = w < c->w - 2 ? w : c->w - 2;
    struct rect r = {(c->h - h) / 2, (c->w - w) / 2, h, w};
    canvas_fill(c, r, ' ', ROLE_OVERLAY);
    struct rect in = canvas_frame(c, r, ROLE_TITLE);
    canvas_printf(c, r.y, r.x + 2, w - 4, ROLE_TITLE, " %s ", title);
    return in;
}

// Lines of the help, one by one: 0 when there is no line i.
struct help_line {
    const char *keys, *doc;
    int is_title;
};

static const struct help_line signs[] = {
    {"signs", "", 1},
    {"\u2824\u2824", "live: of this step, or of the spectrum now", 0},
    {"\u2824 \u2824", "at the start (spectrum); z-std beside the loss", 0},
    {"\u2804 \u2804", "at the last switch of mode (spectrum)", 0},
    {"\u2020", "at the marked step", 0},
    {"\u2591", "area that is AUC; interval of the forecast", 0},
    {"\u25c6", "exact: measured on un-augmented images", 0},
    {"M C A", "switch to multi-epoch, continual, cumulative (all that arrived)", 0},
    {"\u2501\u253f\u2501 \u2500\u253c\u2500", "schedule bar: past, planned; with borders of chunks",
     0},
    {"\u254b \u25cf", "schedule bar: a switch of mode; where the run is", 0},
};

// The keys of the context `first` come first.
static int help_line(int i, int first, struct help_line *out)
{
    for (int k = 0; k < CONTEXT_COUNT; k++) {
        int context = k == 0 ? first : k <= first ? k - 1 : k;
        if (i-- == 0) {
            *out = (struct help_line){context_title[context], "", 1};
            return 1;
        }
        for (const struct action *a = action_table; a->keys; a++)
            if ((int)a->context == context && i-- == 0) {
                *out = (struct help_line){a->keys, a->doc, 0};
                return 1;
            }
    }
    if (i-- == 0) {
        *out = (struct help_line){"commands behind :", "", 1};
        return 1;
    }
    for (int k = 0; k < COMMAND_COUNT; k++)
        if (k != COMMAND_WATCH && i-- == 0) {
            *out = (struct help_line){command_table[k].name, command_table[k].doc, 0};
            return 1;
        }
    if (i-- == 0) {
        *out = (struct help_line){"numbers", "", 1};
        return 1;
    }
    if (i < METRIC_COUNT) {
        *out = (struct help_line){metric_table[i].title, metric_table[i].doc, 0};
        return 1;
    }
    i -= METRIC_COUNT;
    if (i >= (int)(sizeof signs / sizeof *signs))
        return 0;
    *out = signs[i];
    return 1;
}

enum { HELP_KEYS = 13, HELP_LINES = 4 }; // columns of the keys; lines that a text may take

static int help_height(struct canvas *c, int i, int first, int width)
{
    struct help_line line;
    if (!help_line(i, first, &line))
        return 0;
    int n =
        canvas_wrap(c, -HELP_LINES - 1, 0, width, HELP_LINES, ROLE_TEXT, line.doc); // off the grid
    return n > 1 ? n : 1;
}

static void draw_help(struct canvas *c, const struct scene *s)
{
    int n = 0, first = s->v->replay.on ? CONTEXT_REPLAY : CONTEXT_MAIN;
    struct help_line line;
    while (help_line(n, first, &line))
        n++;
    struct rect in = open_box(c, c->h - 2, 96, "help");
    int width = in.w - HELP_KEYS - 2, most = n, room = in.h;
    while (most > 0 && (room -= help_height(c, most - 1, first, width)) >= 0)
        most--; // from there on the rest fits
    if (s->v->list.help_scroll > most)
        s->v->list.help_scroll = most;
    s->v->list.help_page = in.h;
    int y = in.y, i = s->v->list.help_scroll;
    for (; help_line(i, first, &line) && y + help_height(c, i, first, width) <= in.y + in.h; i++) {
        canvas_text(c, y, in.x + 1, line.is_title ? in.w - 2 : HELP_KEYS - 1,
                    line.is_title ? ROLE_TITLE : ROLE_BAR_KEY, line.keys);
        canvas_wrap(c, y, in.x + 1 + HELP_KEYS, width, HELP_LINES, ROLE_TEXT, line.doc);
        y += help_height(c, i, first, width);
    }
    if (most)
        canvas_printf(c, in.y + in.h, in.x + 2, in.w - 4, ROLE_DIM,
                      i < n ? " Down for more, Esc closes: %d of %d " : " Esc closes: %d of %d ", i,
                      n);
}

static void draw_menu(struct canvas *c, const struct scene *s)
{
    struct rect in = open_box(c, MODE_COUNT + 5, 76, "mode from the next step on");
    for (int m = 0; m < MODE_COUNT; m++) {
        char what[128];
        schedule_view_what_if(s->schedule, (enum mode)m, s->h->last_step + 1, what, sizeof what);
        enum role role = m == s->v->menu_row ? ROLE_SELECTED : ROLE_TEXT;
        canvas_fill(c, (struct rect){in.y + m, in.x, 1, in.w}, ' ', role);
        canvas_printf(c, in.y + m, in.x + 1, in.w - 2, role, "%s %d %c %-12s %s %s",
                      m == s->v->menu_row ? "\u25b6" : " ", m + 1, theme_mode_letter(m),
                      mode_table[m].name, m == (int)s->h->last.mode ? "now" : "   ", what);
    }
    canvas_wrap(c, in.y + MODE_COUNT, in.x + 1, in.w - 2, 2, ROLE_DIM,
                mode_table[s->v->menu_row].doc);
    canvas_text(c, in.y + MODE_COUNT + 2, in.x + 1, in.w - 2, ROLE_DIM,
                "Up, Down, Enter; Esc closes");
}

static void draw_question(struct canvas *c, const struct scene *s)
{
    int n = 0;
    for (const struct action *a = action_table; a->keys; a++)
        n += a->context == CONTEXT_QUIT;
    struct rect in = open_box(c, n + 2, 52, "quit: what becomes of the training?");
    int y = in.y;
    for (const struct action *a = action_table; a->keys; a++) {
        if (a->context != CONTEXT_QUIT)
            continue;
        // Another's training does at its end what its script does.
        const char *more = *s->h->run.can ? strstr(a->doc, " with a checkpoint") : NULL;
        canvas_text(c, y, in.x + 2, 6, ROLE_BAR_KEY, a->keys);
        canvas_printf(c, y++, in.x + 8, in.w - 9, ROLE_TEXT, "%.*s",
                      more ? (int)(more - a->doc) : (int)strlen(a->doc), a->doc);
    }
}

static void draw_command_line(struct canvas *c, const struct scene *s)
{
    const struct view_state *v = s->v;
    int y = c->h - 2, room = c->w - 3;
    canvas_fill(c, (struct rect){y, 0, 1, c->w}, ' ', ROLE_TEXT);
    canvas_put(c, y, 0, v->context == CONTEXT_SEARCH ? '/' : ':', ROLE_BAR_KEY);
    char before[LINE_SIZE];
    memcpy(before, v->line.text, v->line.at);
    before[v->line.at] = 0;
    const char *shown = before; // its end, when it is longer than the line
    while (text_columns(shown) > room) {
        shown++;
        while (((unsigned char)*shown & 0xC0) == 0x80)
            shown++;
    }
    int x = 1 + canvas_text(c, y, 1, room, ROLE_TEXT, shown);
    canvas_text(c, y, x, c->w - 1 - x, ROLE_TEXT, v->line.text + v->line.at);
    const struct cell *cell = canvas_at(c, y, x);
    canvas_put(c, y, x, cell && cell->ch ? cell->ch : ' ', ROLE_SELECTED);
    if (!v->line.len)
        canvas_text(c, y, 4, c->w - 5, ROLE_DIM,
                    v->context == CONTEXT_SEARCH
                        ? "text of an event; Down and Up: next match; Esc goes back"
                        : "mode continual, lr 0.5x, until 40% then multi-epoch, eval, stop; Esc "
                          "leaves");
}

void overlay_draw(struct canvas *c, const struct scene *s)
{
    static void (*const draw[CONTEXT_COUNT])(struct canvas *, const struct scene *) = {
        [CONTEXT_HELP] = draw_help,           [CONTEXT_MENU] = draw_menu,
        [CONTEXT_QUIT] = draw_question,       [CONTEXT_COMMAND] = draw_command_line,
        [CONTEXT_SEARCH] = draw_command_line,
    };
    if (draw[s->v->context])
        draw[s->v->context](c, s);
}

// The first word of the keys: "?" of "? F1".
static int key_length(const struct action *a)
{
    return (int)strcspn(a->keys, " ");
}

enum { ACTIONS = 256 }; // at most so many rows are looked at

// The actions that get a place, those of the highest rank first.
static void choose_actions(int room, const struct scene *s, unsigned char chosen[ACTIONS])
{
    memset(chosen, 0, ACTIONS);
    for (int rank = 1, i; rank <= 9; rank++) {
        i = 0;
        for (const struct action *a = action_table; a->keys && i < ACTIONS; a++, i++) {
            int need = key_length(a) + 3 + (a->label ? (int)strlen(action_label(a, s)) : 0);
            if (!a->label || a->rank != rank || !action_holds(a, s->v) || need > room + 2)
                continue; // behind the last one there is no gap
            room -= need;
            chosen[i] = 1;
        }
    }
}

void function_bar_draw(struct canvas *c, int y, const struct scene *s)
{
    unsigned char chosen[ACTIONS];
    int x = 1, i = 0;
    choose_actions(c->w - 1, s, chosen);
    for (const struct action *a = action_table; a->keys && i < ACTIONS; a++, i++) {
        if (!chosen[i])
            continue;
        int n = key_length(a), begin = x;
        char key[16];
        snprintf(key, sizeof key, "%.*s", n, a->keys);
        const char *why = action_missing(a, s->h);
        x += canvas_text(c, y, x, n, why ? ROLE_DIM : ROLE_BAR_KEY, key) + 1;
        x += canvas_text(c, y, x, 12, why ? ROLE_DIM : ROLE_BAR, action_label(a, s));
        view_zone(s->v, (struct rect){y, begin, 1, x - begin}, ZONE_KEY, a->key[0], 0);
        x += 2;
    }
}
