// The spectrum now and before, its cumulative sum, and all spectra over time.
#ifndef SSLTOP_TUI_DRAW_PANEL_SPECTRUM_H
#define SSLTOP_TUI_DRAW_PANEL_SPECTRUM_H

#include "tui/draw/canvas.h"
#include "tui/model/view.h"

void panel_spectrum(struct canvas *c, struct rect r, const struct scene *s);
void panel_cumulative(struct canvas *c, struct rect r, const struct scene *s);
void panel_waterfall(struct canvas *c, struct rect r, const struct scene *s);

#endif
