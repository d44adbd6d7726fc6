// What the numbers say, as a sentence of facts.
#ifndef SSLTOP_TUI_MODEL_VERDICT_H
#define SSLTOP_TUI_MODEL_VERDICT_H

#include <stddef.h>

#include "tui/draw/theme.h"
#include "tui/feed/history.h"

enum role verdict(const struct history *h, char *text, size_t size);
// The same, and since when nothing was gained, as far as both fit into so many columns.
enum role verdict_with_best(const struct history *h, int columns, char *text, size_t size);
// "best step 400 (probe 82.1 %)" of the evaluations so far; "" none.
void verdict_best(const struct history *h, char *text, size_t size);

#endif
