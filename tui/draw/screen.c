// The whole screen from its parts.
#include "tui/draw/screen.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metrics/base/text.h"
#include "tui/draw/header.h"
#include "tui/draw/overlay.h"
#include "tui/draw/timeplot.h"
#include "tui/draw/views.h"
#include "tui/model/format.h"
#include "tui/model/verdict.h"

enum { LEAST_WIDTH = 80, LEAST_HEIGHT = 24, HEADER = 3 };

static int is_over(const struct view_state *v)
{
    return v->link.state == LINK_ENDED || v->link.state == LINK_LOST;
}

// Lines between panels and function bar.
static int status_lines(const struct view_state *v)
{
    return (is_over(v) || v->link.state == LINK_REPLAY) && v->link.hint[0] ? 2 : 1;
}

// What the cursor reads, as much of it as has room.
static void readout(const struct scene *s, int columns, char *text, size_t size)
{
    static const int shown[] = {METRIC_AUC, METRIC_RANKME, METRIC_SPREAD, METRIC_ZSTD, METRIC_LOSS};
    int64_t step = time_step(s);
    enum mode mode = schedule_view_mode(s->schedule, time_whole(s), step);
    snprintf(text, size, "step %s", format_count(step).s);
    if (mode != MODE_NONE)
        text_add(text, size, "  %s", mode_name(mode));
    if (isfinite(time_value(s, SERIES_TIME)))
        text_add(text, size, "  after %s", format_duration(time_value(s, SERIES_TIME)).s);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        size_t before = strlen(text);
        text_add(text, size, "  %s %s", metric_table[shown[i]].title,
                 format_value(time_value(s, shown[i]), 4).s);
        if (text_columns(text) > columns) {
            text[before] = '\0';
            break;
        }
    }
}

static enum role status(const struct scene *s, int columns, char *text, size_t size)
{
    const struct view_state *v = s->v;
    double silent = v->now - v->link.heard;
    if (view_says(v)) {
        snprintf(text, size, "%s", v->message.text);
        return v->message.role;
    }
    if (v->time.cursor >= 0 && s->h->last_step >= 0) {
        readout(s, columns, text, size);
        return ROLE_VALUE;
    }
    if (v->link.state == LINK_APART) {
        snprintf(text, size, "%s", v->link.text);
        return ROLE_WARN;
    }
    if (is_over(v)) {
        char best[128];
        verdict_best(s->h, best, sizeof best);
        snprintf(text, size, "%s%s%s%s%s", v->link.text, *best ? "; " : "", best,
                 v->link.lost[0] ? "; the log is damaged: " : "", v->link.lost);
        return v->link.state == LINK_LOST ? ROLE_BAD : ROLE_TEXT;
    }
    if (v->link.lost[0] && v->link.state != LINK_LIVE && v->link.state != LINK_REPLAY) {
        snprintf(text, size, "the log is damaged: %s", v->link.lost);
        return ROLE_WARN;
    }
    if (v->link.state == LINK_READING && s->h->last_step < 0) {
        snprintf(text, size, "waiting for data: reading the log");
        return ROLE_DIM;
    }
    if (v->link.state == LINK_LIVE && s->h->last_step < 0) {
        snprintf(text, size,
                 s->h->have_run ? "preparing: the first step has not ended yet"
                                : "waiting for data");
        return ROLE_DIM;
    }
    if (v->link.state == LINK_LIVE && !s->h->paused && silent > 5) {
        snprintf(text, size, "nothing heard for %s", format_duration(silent).s);
        return ROLE_WARN;
    }
    return verdict_with_best(s->h, columns, text, size);
}

static void draw_status(struct canvas *c, const struct scene *s)
{
    char text[1280];
    enum role role = status(s, c->w - 2, text, sizeof text);
    int lines = status_lines(s->v);
    canvas_text(c, c->h - 1 - lines, 1, c->w - 2, role, text);
    if (lines > 1)
        canvas_text(c, c->h - 2, 1, c->w - 2, ROLE_VALUE, s->v->link.hint);
}

// Too small for panels: the numbers that matter, a line each.
static void draw_small(struct canvas *c, const struct scene *s)
{
    const struct history *h = s->h;
    char text[256];
    int64_t of;
    int y = 0;
    canvas_printf(c, y++, 0, c->w, ROLE_WARN, "%dx%d: needs %dx%d", c->w, c->h, LEAST_WIDTH,
                  LEAST_HEIGHT);
    if (h->last_step >= 0) {
        canvas_printf(c, y++, 0, c->w, ROLE_TEXT, "step %s/%s%s", format_count(h->last_step + 1).s,
                      format_count(h->run.steps).s, h->paused ? " paused" : "");
        canvas_printf(c, y++, 0, c->w, ROLE_TEXT, "AUC %s loss %s",
                      format_fixed(time_recent(s, METRIC_AUC, &of), 3).s,
                      format_fixed(h->last.metric[METRIC_LOSS], 3).s);
    }
    enum role role = ROLE_BAD;
    snprintf(text, sizeof text, "%.250s", s->v->link.text);
    if (s->v->link.state <= LINK_LIVE || s->v->link.state == LINK_REPLAY)
        role = verdict(h, text, sizeof text);
    canvas_text(c, y++, 0, c->w, role, text);
    if (s->v->message.text[0])
        canvas_text(c, y, 0, c->w, s->v->message.role, s->v->message.text);
    // What is open takes the keys: it is shown where it has some room, and else how to leave it.
    enum { ROOM_HEIGHT = 8, ROOM_WIDTH = 30 };
    enum context open = s->v->context;
    if (open != CONTEXT_MAIN && open != CONTEXT_QUIT && c->h >= ROOM_HEIGHT && c->w >= ROOM_WIDTH)
        overlay_draw(c, s);
    canvas_text(c, c->h - 1, 0, c->w, ROLE_BAR_KEY,
                open == CONTEXT_QUIT   ? "s stop  l leave running  Esc stay"
                : open != CONTEXT_MAIN ? "Esc back"
                : s->v->replay.on      ? "Space play  q quit"
                                       : "d detach  q quit");
}

void screen_draw(struct canvas *c, const struct scene *s)
{
    canvas_clear(c);
    s->v->time.per = s->v->time.span = 0;
    s->v->pointer.n = 0;
    if (c->w < LEAST_WIDTH || c->h < LEAST_HEIGHT) {
        draw_small(c, s);
    } else {
        header_draw(c, s);
        struct rect r = {HEADER, 0, c->h - HEADER - 1 - status_lines(s->v), c->w};
        view_table[s->v->view].draw(c, r, s);
        draw_status(c, s);
        function_bar_draw(c, c->h - 1, s);
        overlay_draw(c, s);
    }
    if (s->v->ascii)
        canvas_ascii(c);
}
