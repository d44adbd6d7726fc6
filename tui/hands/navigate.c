// Moving about.
#include "tui/hands/navigate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/model/cmdline.h"
#include "tui/draw/panel_lists.h"

unsigned navigate_view(struct ui *u, int view)
{
    struct view_state *v = u->v;
    if (v->view != VIEW_EVENTS)
        v->view_last = v->view;
    v->view = view;
    v->list.scroll = 0;
    return 0;
}

unsigned navigate_turn(struct ui *u, int by)
{
    return navigate_view(u, (u->v->view + by + VIEW_COUNT) % VIEW_COUNT);
}

// --- lists ---

static int clamp(int i, int n)
{
    return i >= n ? n - 1 : i < 0 ? 0 : i;
}

// The selected event, counted from the newest.
static int picked(const struct ui *u)
{
    const struct view_state *v = u->v;
    return v->list.event >= 0 && v->list.event < u->h->n_event
               ? u->h->n_event - 1 - (int)v->list.event
               : 0;
}

static void pick(struct ui *u, int from_newest)
{
    int n = u->h->n_event;
    if (n)
        u->v->list.event = from_newest <= 0 ? -1 : n - 1 - clamp(from_newest, n);
}

unsigned navigate_scroll(struct ui *u, int by)
{
    struct view_state *v = u->v;
    int is_help = v->context == CONTEXT_HELP;
    int half = (is_help ? v->list.help_page : v->list.page) / 2;
    int lines = by >= -1 && by <= 1 ? by : by / 2 * (half > 1 ? half : 1);
    if (is_help) {
        v->list.help_scroll = v->list.help_scroll + lines < 0 ? 0 : v->list.help_scroll + lines;
    } else if (v->view == VIEW_COLLAPSE) {
        v->list.metric = by >= -1 && by <= 1
                             ? (v->list.metric + by + panel_list_rows(u->h)) % panel_list_rows(u->h)
                             : clamp(v->list.metric + lines, panel_list_rows(u->h));
    } else if (v->view == VIEW_EVENTS) {
        pick(u, picked(u) + lines);
    } else {
        v->list.scroll = v->list.scroll + lines < 0 ? 0 : v->list.scroll + lines;
    }
    return 0;
}

// The newest step there is: in a replay of several runs that of the longest.
static int64_t newest(const struct ui *u)
{
    return u->v->replay.on && u->v->replay.newest > u->h->last_step ? u->v->replay.newest
                                                                    : u->h->last_step;
}

static void put_cursor(struct ui *u, int64_t step)
{
    window_put_cursor(&u->v->time, step, newest(u));
}

unsigned navigate_cursor(struct ui *u, int by)
{
    int64_t per = u->v->time.per > 0 ? u->v->time.per : 1;
    int64_t at = u->v->time.cursor >= 0 ? u->v->time.cursor : newest(u);
    if (at >= 0)
        put_cursor(u, at + by * per);
    return 0;
}

int navigate_goto(struct ui *u, const char *text, struct error *e)
{
    char *end;
    double v = strtod(text, &end);
    int is_share = *end == '%';
    int bad = end == text || end[is_share] || !(v >= 0) || v > (is_share ? 100 : 1e18);
    if (bad)
        return error_set(e, "goto needs a step or a percentage, as 1200 or 40%%");
    if (newest(u) < 0)
        return error_set(e, "there is no step yet");
    put_cursor(u, is_share ? (int64_t)(v / 100 * (double)newest(u)) : (int64_t)v);
    return 0;
}

unsigned navigate_to_mark(struct ui *u, int unused)
{
    if (u->v->time.mark >= 0)
        put_cursor(u, u->v->time.mark);
    return 0;
}

// Events need not lie in order: a resumed run steers again.
unsigned navigate_event(struct ui *u, int by)
{
    int64_t at = u->v->time.cursor >= 0 ? u->v->time.cursor : newest(u), best = -1;
    for (int i = 0; i < u->h->n_event; i++) {
        int64_t step = u->h->event[i].step;
        if (by > 0 ? step > at && (best < 0 || step < best) : step < at && step > best)
            best = step;
    }
    if (best >= 0)
        put_cursor(u, best);
    return 0;
}

unsigned navigate_end(struct ui *u, int end)
{
    if (newest(u) >= 0)
        put_cursor(u, end ? newest(u) : 0);
    return 0;
}

unsigned navigate_zoom(struct ui *u, int by)
{
    window_zoom(&u->v->time, by);
    return 0;
}

unsigned navigate_pan(struct ui *u, int by)
{
    window_pan(&u->v->time, by, u->h->last_step);
    return 0;
}

unsigned navigate_index(struct ui *u, int by)
{
    const struct spectra *rows = &u->h->live_rows;
    int d = u->h->live.step >= 0 ? u->h->live.d : rows->n ? rows->row[rows->n - 1].d : 0;
    int at = u->v->index + by;
    u->v->index = at < 0 ? 0 : at > d ? d : at;
    return 0;
}

unsigned navigate_mark(struct ui *u, int unused)
{
    int64_t at = u->v->time.cursor >= 0 ? u->v->time.cursor : u->h->last_step;
    u->v->time.mark = u->v->time.mark == at ? -1 : at;
    return 0;
}

// --- events ---

unsigned navigate_jump(struct ui *u, int unused)
{
    const struct history_event *v = history_event(u->h, picked(u));
    if (u->v->view != VIEW_EVENTS || !v)
        return 0;
    put_cursor(u, v->step);
    return navigate_view(u, u->v->view_last == VIEW_EVENTS ? VIEW_OVERVIEW : u->v->view_last);
}

// The next event from line `from` on (towards older ones, or newer) that holds the text; -1: none.
static int find(const struct ui *u, const char *text, int from, int older)
{
    for (int i = from; i >= 0 && i < u->h->n_event; i += older)
        if (strcasestr(history_event(u->h, i)->text, text))
            return i;
    return -1;
}

unsigned navigate_search(struct ui *u, int unused)
{
    if (u->v->view != VIEW_EVENTS)
        navigate_view(u, VIEW_EVENTS);
    cmdline_open(&u->v->line);
    u->v->list.event_before = u->v->list.event;
    u->v->context = CONTEXT_SEARCH;
    return 0;
}

// The line is another one: look again from where the search began.
static void look(struct ui *u)
{
    struct view_state *v = u->v;
    v->list.event = v->list.event_before;
    int found = v->line.len ? find(u, v->line.text, picked(u), 1) : -1;
    if (found < 0 && v->line.len)
        found = find(u, v->line.text, 0, 1); // round the end
    if (found >= 0)
        pick(u, found);
}

void navigate_search_insert(struct ui *u, uint32_t ch)
{
    cmdline_insert(&u->v->line, ch);
    look(u);
}

unsigned navigate_search_edit(struct ui *u, int what)
{
    if (!cmdline_edit(&u->v->line, (enum edit)what))
        return navigate_search_done(u, 0);
    look(u);
    return 0;
}

unsigned navigate_search_next(struct ui *u, int older)
{
    const char *text = u->v->line.len ? u->v->line.text : u->v->list.search;
    int found = *text ? find(u, text, picked(u) + older, older) : -1;
    if (found >= 0)
        pick(u, found);
    return 0;
}

unsigned navigate_search_done(struct ui *u, int keep)
{
    struct view_state *v = u->v;
    v->context = CONTEXT_MAIN;
    if (!keep) {
        v->list.event = v->list.event_before;
        v->list.search[0] = 0;
    } else if (v->line.len) {
        snprintf(v->list.search, sizeof v->list.search, "%.63s", v->line.text);
        int found = find(u, v->list.search, picked(u), 1);
        if (found < 0)
            view_say(v, ROLE_WARN, "no event has '%s'", v->list.search);
    } else {
        navigate_search_next(u, 1); // nothing typed: the next of the last search
    }
    return 0;
}

// --- pointer ---

static int64_t step_under(const struct view_state *v, const struct zone *z)
{
    return z->from + (int64_t)(2 * (v->pointer.x - z->r.x)) * z->per;
}

unsigned navigate_click(struct ui *u, int unused)
{
    struct view_state *v = u->v;
    const struct zone *z = view_hit(v);
    if (!z)
        return 0;
    int line = v->pointer.y - z->r.y;
    int64_t centre = v->time.centre;
    switch (z->kind) {
    case ZONE_PANEL:
        return v->view == (int)z->from ? 0 : navigate_view(u, (int)z->from);
    case ZONE_TIME:
        put_cursor(u, step_under(v, z));
        v->time.centre = v->time.cursor >= 0 && v->time.zoom
                             ? (centre >= 0 ? centre : z->from + v->time.span / 2)
                             : -1;
        return 0;
    case ZONE_INDEX: { // again: no more
        int index = 1 + (int)((int64_t)(v->pointer.x - z->r.x) * z->from / z->r.w);
        v->index = v->index == index ? 0 : index;
        return 0;
    }
    case ZONE_METRICS:
        v->list.metric = clamp((int)z->from + line, panel_list_rows(u->h));
        return 0;
    case ZONE_EVENTS:
        if (!z->per)
            return navigate_view(u, VIEW_EVENTS);
        pick(u, u->h->n_event - 1 - (int)z->from + line);
        return 0;
    case ZONE_KEY: // not a place to move to
        return 0;
    }
    return 0;
}

unsigned navigate_wheel(struct ui *u, int by)
{
    struct view_state *v = u->v;
    const struct zone *z = view_hit(v);
    if (z && z->kind == ZONE_TIME) {
        int64_t at = step_under(v, z);
        navigate_zoom(u, -by);
        if (v->time.zoom)
            v->time.centre = at > u->h->last_step ? u->h->last_step : at;
    } else if (z && (z->kind == ZONE_EVENTS || z->kind == ZONE_METRICS)) {
        for (int i = 0; i < 3; i++)
            navigate_scroll(u, by);
    }
    return 0;
}

// --- looks ---

unsigned navigate_theme(struct ui *u, int by)
{
    const struct theme *t = u->v->look.theme;
    u->v->look.theme = t && t[1].name ? t + 1 : theme_table;
    view_say(u->v, ROLE_DIM, "colours: %s, %s", u->v->look.theme->name, u->v->look.theme->doc);
    return UI_REPAINT;
}
