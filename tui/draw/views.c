// The table of views, and which panels each is made of.
#include "tui/draw/views.h"

#include "tui/draw/panel_curves.h"
#include "tui/draw/panel_device.h"
#include "tui/draw/panel_lists.h"
#include "tui/draw/panel_spectrum.h"
#include "tui/draw/timeplot.h"
#include "tui/draw/view_compare.h"

// The overview: what matters at a glance, of one run or of several.
static void draw_overview(struct canvas *c, struct rect r, const struct scene *s)
{
    if (s->n_peer > 1) {
        view_compare(c, r, s);
        return;
    }
    int events = r.h / 5 > 4 ? r.h / 5 : 4, upper = (r.h - events + 1) / 2;
    struct rect row = canvas_take_top(&r, upper);
    panel_spectrum(c, canvas_take_left(&row, row.w / 2), s);
    panel_auc(c, row, s);
    row = canvas_take_top(&r, r.h - events);
    struct rect left = canvas_take_left(&row, row.w / 2);
    if (panel_has_probe(time_whole(s)))
        panel_forecast(c, left, s);
    else
        panel_numbers(c, left, s, 0);
    panel_loss(c, row, s);
    panel_events(c, r, s, 0);
}

// The spectrum, large: against earlier ones, its cumulative sum, and all of them over time.
static void draw_spectrum(struct canvas *c, struct rect r, const struct scene *s)
{
    if (s->v->look.waterfall) {
        panel_waterfall(c, canvas_take_top(&r, r.h * 2 / 3), s);
        panel_spectrum(c, canvas_take_left(&r, r.w / 2), s);
        panel_cumulative(c, r, s);
        return;
    }
    panel_spectrum(c, canvas_take_top(&r, r.h * 3 / 5), s);
    panel_cumulative(c, canvas_take_left(&r, r.w / 2), s);
    panel_waterfall(c, r, s);
}

// Collapse and forecast: any metric over steps, chosen from the list, above the probe's accuracy.
static void draw_collapse(struct canvas *c, struct rect r, const struct scene *s)
{
    enum { LIST = 42 };
    int series = panel_list_series(s->h, s->v->list.metric), spare = r.h >= 34;
    int list_w = r.w >= 140 ? LIST + 8 : LIST - (r.w < 100 ? 2 : 0);
    struct rect left = canvas_take_left(&r, list_w);
    if (spare) { // room below the list
        panel_numbers(c, canvas_take_top(&left, panel_list_rows(s->h) + 7), s, 1);
        panel_events(c, left, s, 0);
    } else {
        panel_numbers(c, left, s, 1);
    }
    struct rect top = canvas_take_top(&r, spare ? r.h * 2 / 5 : (r.h + 1) / 2);
    if (series == METRIC_AUC)
        panel_auc(c, top, s);
    else
        panel_metric(c, top, s, series);
    panel_forecast(c, spare ? canvas_take_top(&r, r.h / 2) : r, s);
    if (spare && series == METRIC_AUC)
        panel_loss(c, r, s);
    else if (spare)
        panel_auc(c, r, s);
}

// Everything that happened, newest first.
static void draw_events(struct canvas *c, struct rect r, const struct scene *s)
{
    panel_events(c, r, s, 1);
}

// Speed and what it costs.
static void draw_device(struct canvas *c, struct rect r, const struct scene *s)
{
    int tight = s->h->device_step >= 0 && r.h < 24; // a card's sensors need their lines
    struct rect row = canvas_take_top(&r, tight ? 5 : r.h * 2 / 5);
    panel_metric(c, row, s, SERIES_IMAGES_S);
    row = canvas_take_top(&r, tight ? 7 : 8);
    panel_times(c, canvas_take_left(&row, row.w * 3 / 5), s);
    panel_facts(c, row, s);
    panel_machine(c, r, s);
}

const struct view view_table[VIEW_COUNT] = {
    [VIEW_OVERVIEW] = {"overview", "spectrum, AUC, probe or numbers, loss and events",
                       draw_overview},
    [VIEW_SPECTRUM] = {"spectrum",
                       "the spectrum now, at the start, at the last switch and at the mark; its "
                       "cumulative sum with AUC as its area; all of them over time as a waterfall",
                       draw_spectrum},
    [VIEW_COLLAPSE] = {"collapse",
                       "any metric over steps, and probe accuracy: forecast and measured",
                       draw_collapse},
    [VIEW_EVENTS] = {"events",
                     "everything that happened, to search and to jump to; what the line of the "
                     "selected event cuts off stands below the list",
                     draw_events},
    [VIEW_DEVICE] = {"device", "images a second, time of a step, load and memory of the machine",
                     draw_device},
};
