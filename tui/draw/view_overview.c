// The overview: what matters at a glance.
#include "tui/draw/panel.h"
#include "tui/draw/timeplot.h"

void view_overview(struct canvas *c, struct rect r, const struct scene *s)
{
    int events = r.h / 5 > 4 ? r.h / 5 : 4, upper = (r.h - events + 1) / 2;
    struct rect row = take_top(&r, upper);
    panel_spectrum(c, take_left(&row, row.w / 2), s);
    panel_auc(c, row, s);
    row = take_top(&r, r.h - events);
    struct rect left = take_left(&row, row.w / 2);
    if (panel_has_probe(time_whole(s)))
        panel_forecast(c, left, s);
    else
        panel_numbers(c, left, s, 0);
    panel_loss(c, row, s);
    panel_events(c, r, s, 0);
}
