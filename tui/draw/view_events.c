// Everything that happened, newest first.
#include "tui/draw/panel.h"

void view_events(struct canvas *c, struct rect r, const struct scene *s)
{
    panel_events(c, r, s, 1);
}
