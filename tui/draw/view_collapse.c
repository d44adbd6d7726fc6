// Collapse and forecast: any metric over steps, chosen from the list, above the probe's accuracy.
#include "tui/draw/panel.h"

void view_collapse(struct canvas *c, struct rect r, const struct scene *s)
{
    enum { LIST = 42 };
    int series = panel_list[s->v->metric], spare = r.h >= 34;
    int list_w = r.w >= 140 ? LIST + 8 : LIST - (r.w < 100 ? 2 : 0);
    struct rect left = take_left(&r, list_w);
    if (spare) { // room below the list
        panel_numbers(c, take_top(&left, panel_list_n + 7), s, 1);
        panel_events(c, left, s, 0);
    } else {
        panel_numbers(c, left, s, 1);
    }
    struct rect top = take_top(&r, spare ? r.h * 2 / 5 : (r.h + 1) / 2);
    if (series == METRIC_AUC)
        panel_auc(c, top, s);
    else
        panel_metric(c, top, s, series);
    panel_forecast(c, spare ? take_top(&r, r.h / 2) : r, s);
    if (spare && series == METRIC_AUC)
        panel_loss(c, r, s);
    else if (spare)
        panel_auc(c, r, s);
}
