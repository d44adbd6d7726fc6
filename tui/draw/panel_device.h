// What a step costs, the machine, and what computes.
#ifndef SSLTOP_TUI_DRAW_PANEL_DEVICE_H
#define SSLTOP_TUI_DRAW_PANEL_DEVICE_H

#include "tui/draw/canvas.h"
#include "tui/model/view.h"

void panel_times(struct canvas *c, struct rect r, const struct scene *s);
void panel_machine(struct canvas *c, struct rect r, const struct scene *s);
void panel_facts(struct canvas *c, struct rect r, const struct scene *s);

#endif
