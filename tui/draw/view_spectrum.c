// The spectrum, large: against earlier ones, its cumulative sum, and all of them over time.
#include "tui/draw/panel.h"

void view_spectrum(struct canvas *c, struct rect r, const struct scene *s)
{
    if (s->v->waterfall) {
        panel_waterfall(c, take_top(&r, r.h * 2 / 3), s);
        panel_spectrum(c, take_left(&r, r.w / 2), s);
        panel_cumulative(c, r, s);
        return;
    }
    panel_spectrum(c, take_top(&r, r.h * 3 / 5), s);
    panel_cumulative(c, take_left(&r, r.w / 2), s);
    panel_waterfall(c, r, s);
}
