// Values over steps.
#ifndef SSLTOP_TUI_DRAW_PANEL_CURVES_H
#define SSLTOP_TUI_DRAW_PANEL_CURVES_H

#include "tui/draw/canvas.h"
#include "tui/model/view.h"

void panel_auc(struct canvas *c, struct rect r, const struct scene *s);
void panel_loss(struct canvas *c, struct rect r, const struct scene *s);
// Probe accuracy: forecast without labels beside measured with them.
void panel_forecast(struct canvas *c, struct rect r, const struct scene *s);
int panel_has_probe(const struct history *h); // there is something to draw in it
void panel_metric(struct canvas *c, struct rect r, const struct scene *s, int series);

#endif
