// Speed and what it costs.
#include "tui/draw/panel.h"

void view_device(struct canvas *c, struct rect r, const struct scene *s)
{
    int tight = s->h->device_step >= 0 && r.h < 24; // a card's sensors need their lines
    struct rect row = take_top(&r, tight ? 5 : r.h * 2 / 5);
    panel_metric(c, row, s, SERIES_IMAGES_S);
    row = take_top(&r, tight ? 7 : 8);
    panel_times(c, take_left(&row, row.w * 3 / 5), s);
    panel_facts(c, row, s);
    panel_machine(c, r, s);
}
