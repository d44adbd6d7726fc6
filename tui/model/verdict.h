// What the numbers say, as a sentence of facts.
#ifndef SSLTOP_TUI_MODEL_VERDICT_H
#define SSLTOP_TUI_MODEL_VERDICT_H

#include <stddef.h>

#include "tui/draw/theme.h"
#include "tui/feed/history.h"

enum role verdict(const struct history *h, char *text, size_t size);

#endif
