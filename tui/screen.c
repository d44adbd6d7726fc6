// The whole screen from its parts, and the table of views: each shares the room between header and
// status line among panels.
#include <math.h>
#include <stdio.h>

#include "tui/format.h"
#include "tui/view.h"

enum { LEAST_WIDTH = 80, LEAST_HEIGHT = 24, HEADER = 3 };

// The upper `h` lines (or left `w` columns) of a rectangle, which keeps the rest.
static struct rect take_top(struct rect *r, int h)
{
    struct rect top = {r->y, r->x, h < r->h ? h : r->h, r->w};
    r->y += top.h;
    r->h -= top.h;
    return top;
}

static struct rect take_left(struct rect *r, int w)
{
    struct rect left = {r->y, r->x, r->h, w};
    r->x += w;
    r->w -= w;
    return left;
}

static void draw_overview(struct canvas *c, struct rect r, const struct scene *s)
{
    int events = r.h / 5 > 4 ? r.h / 5 : 4, upper = (r.h - events + 1) / 2;
    struct rect row = take_top(&r, upper);
    panel_spectrum(c, take_left(&row, row.w / 2), s);
    panel_auc(c, row, s);
    row = take_top(&r, r.h - events);
    struct rect left = take_left(&row, row.w / 2);
    if (panel_has_probe(s->all ? s->all : s->h))
        panel_forecast(c, left, s);
    else
        panel_numbers(c, left, s);
    panel_loss(c, row, s);
    panel_events(c, r, s);
}

static void draw_spectrum(struct canvas *c, struct rect r, const struct scene *s)
{
    panel_spectrum(c, take_top(&r, r.h * 2 / 3), s);
    panel_auc(c, r, s);
}

static void draw_forecast(struct canvas *c, struct rect r, const struct scene *s)
{
    panel_forecast(c, take_top(&r, r.h * 3 / 5), s);
    panel_numbers(c, take_left(&r, r.w / 2), s);
    panel_auc(c, r, s);
}

static void draw_curves(struct canvas *c, struct rect r, const struct scene *s)
{
    static const int left[] = {METRIC_RANKME, METRIC_PR, METRIC_NUM_RANK};
    static const int right[] = {METRIC_SPREAD, METRIC_ALPHA, SERIES_LR};
    int n = r.h >= 21 ? 3 : 2;
    struct rect row = take_top(&r, r.h / (n + 1));
    panel_auc(c, take_left(&row, row.w / 2), s);
    panel_loss(c, row, s);
    for (int i = 0; i < n; i++) {
        row = take_top(&r, r.h / (n - i));
        panel_metric(c, take_left(&row, row.w / 2), s, left[i]);
        panel_metric(c, row, s, right[i]);
    }
}

static void draw_events(struct canvas *c, struct rect r, const struct scene *s)
{
    panel_events(c, r, s);
}

static void draw_speed(struct canvas *c, struct rect r, const struct scene *s)
{
    const struct history *h = s->h;
    struct rect row = take_top(&r, r.h / 2);
    panel_metric(c, row, s, SERIES_IMAGES_S);
    panel_times(c, take_left(&r, r.w / 2), s);
    struct rect in = canvas_frame(c, r, ROLE_FRAME);
    canvas_text(c, r.y, r.x + 1, 10, ROLE_TITLE, " device ");
    if (!h->have_run)
        return;
    char line[6][400];
    snprintf(line[0], sizeof *line, "%s, %d threads, %s", h->run.device.name, h->run.device.threads,
             h->run.device.precision);
    snprintf(line[1], sizeof *line, "%s", h->run.device.detail);
    snprintf(line[2], sizeof *line, "memory of the trainer %s", format_bytes(s->v->rss).s);
    snprintf(line[3], sizeof *line, "%s images, batch %s", format_count(h->run.dataset.n).s,
             format_count(h->batch).s);
    snprintf(line[4], sizeof *line, "%s parameters, d = %s", format_count(h->run.model.params).s,
             format_count(h->run.model.d).s);
    snprintf(line[5], sizeof *line, "running for %s, started %s",
             format_duration(h->last_step < 0 ? NAN : h->last.t).s, h->run.created);
    for (int i = 0; i < 6 && i < in.h; i++)
        canvas_text(c, in.y + i, in.x + 1, in.w - 2, ROLE_TEXT, line[i]);
}

const struct view view_table[] = {
    {"overview", "spectrum, AUC, probe or numbers, loss and events", draw_overview},
    {"spectrum", "the spectrum, large", draw_spectrum},
    {"curves", "metrics over steps", draw_curves},
    {"events", "everything that happened", draw_events},
    {"speed", "images a second, time of a step, device", draw_speed},
    {"forecast", "probe accuracy: forecast and measured", draw_forecast},
};
const int view_count = sizeof view_table / sizeof *view_table;

static int is_over(const struct view_state *v)
{
    return v->link == LINK_ENDED || v->link == LINK_LOST;
}

// Lines between panels and function bar.
static int status_lines(const struct view_state *v)
{
    return is_over(v) && v->link_hint[0] ? 2 : 1;
}

static enum role status(const struct scene *s, char *text, size_t size)
{
    const struct view_state *v = s->v;
    double shown = v->message_role == ROLE_BAD ? 30 : 10, silent = v->now - v->heard;
    if (v->message[0] && v->now - v->message_at < shown) {
        snprintf(text, size, "%s", v->message);
        return v->message_role;
    }
    if (is_over(v)) {
        snprintf(text, size, "%s", v->link_text);
        return v->link == LINK_LOST ? ROLE_BAD : ROLE_TEXT;
    }
    if (v->link == LINK_LIVE && !s->h->paused && silent > 5) {
        snprintf(text, size, "nothing heard for %s", format_duration(silent).s);
        return ROLE_WARN;
    }
    return verdict(s->h, text, size);
}

static void draw_status(struct canvas *c, const struct scene *s)
{
    char text[700];
    enum role role = status(s, text, sizeof text);
    int lines = status_lines(s->v);
    canvas_text(c, c->h - 1 - lines, 1, c->w - 2, role, text);
    if (lines > 1)
        canvas_text(c, c->h - 2, 1, c->w - 2, ROLE_VALUE, s->v->link_hint);
}

// Too small for panels: the numbers that matter, a line each.
static void draw_small(struct canvas *c, const struct scene *s)
{
    const struct history *h = s->h;
    char text[256];
    int y = 0;
    canvas_printf(c, y++, 0, c->w, ROLE_WARN, "%dx%d: needs %dx%d", c->w, c->h, LEAST_WIDTH,
                  LEAST_HEIGHT);
    if (h->last_step >= 0) {
        canvas_printf(c, y++, 0, c->w, ROLE_TEXT, "step %s/%s%s", format_count(h->last_step + 1).s,
                      format_count(h->run.steps).s, h->paused ? " paused" : "");
        canvas_printf(c, y++, 0, c->w, ROLE_TEXT, "AUC %s loss %s",
                      format_fixed(h->last.metric[METRIC_AUC], 3).s,
                      format_fixed(h->last.metric[METRIC_LOSS], 3).s);
    }
    enum role role = ROLE_BAD;
    snprintf(text, sizeof text, "%.250s", s->v->link_text);
    if (s->v->link <= LINK_LIVE)
        role = verdict(h, text, sizeof text);
    canvas_text(c, y++, 0, c->w, role, text);
    if (s->v->message[0])
        canvas_text(c, y, 0, c->w, s->v->message_role, s->v->message);
    if (s->v->context == CONTEXT_QUIT)
        canvas_text(c, c->h - 1, 0, c->w, ROLE_BAR_KEY, "s stop  l leave running  Esc stay");
    else
        canvas_text(c, c->h - 1, 0, c->w, ROLE_BAR_KEY, "d detach  q quit");
}

void screen_draw(struct canvas *c, const struct scene *s)
{
    canvas_clear(c);
    s->v->per = s->v->span = 0;
    if (c->w < LEAST_WIDTH || c->h < LEAST_HEIGHT) {
        draw_small(c, s);
    } else {
        header_draw(c, s);
        view_table[s->v->view].draw(
            c, (struct rect){HEADER, 0, c->h - HEADER - 1 - status_lines(s->v), c->w}, s);
        draw_status(c, s);
        function_bar_draw(c, c->h - 1, s);
        overlay_draw(c, s);
    }
    if (s->v->ascii)
        canvas_ascii(c);
}
