// The scheme table: a look is a row.
#include "tui/theme.h"

#include <stddef.h>
#include <string.h>

enum { BLACK, RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN, WHITE, NONE = -1 };

const struct theme theme_table[] = {
    {"default",
     "colours that work on dark and light terminals",
     {
         [ROLE_TEXT] = {NONE, NONE, 0},
         [ROLE_DIM] = {NONE, NONE, STYLE_DIM},
         [ROLE_FRAME] = {BLUE, NONE, 0},
         [ROLE_TITLE] = {NONE, NONE, STYLE_BOLD},
         [ROLE_VALUE] = {NONE, NONE, STYLE_BOLD},
         [ROLE_GOOD] = {GREEN, NONE, 0},
         [ROLE_WARN] = {YELLOW, NONE, STYLE_BOLD},
         [ROLE_BAD] = {RED, NONE, STYLE_BOLD},
         [ROLE_LIVE] = {CYAN, NONE, 0},
         [ROLE_EXACT] = {MAGENTA, NONE, STYLE_BOLD},
         [ROLE_START] = {NONE, NONE, STYLE_DIM},
         [ROLE_SECOND] = {GREEN, NONE, 0},
         [ROLE_MARK] = {YELLOW, NONE, 0},
        [ROLE_CURSOR] = {NONE, NONE, STYLE_BOLD},
         [ROLE_MULTI] = {GREEN, NONE, 0},
         [ROLE_CONTINUAL] = {CYAN, NONE, 0},
         [ROLE_CUMULATIVE] = {MAGENTA, NONE, 0},
         [ROLE_BAR] = {BLACK, CYAN, 0},
         [ROLE_BAR_KEY] = {NONE, NONE, STYLE_BOLD},
         [ROLE_OVERLAY] = {NONE, NONE, 0},
         [ROLE_SELECTED] = {NONE, NONE, STYLE_REVERSE},
     }},
    {"mono",
     "no colour, only bold, dim and reverse",
     {
         [ROLE_TEXT] = {NONE, NONE, 0},
         [ROLE_DIM] = {NONE, NONE, STYLE_DIM},
         [ROLE_FRAME] = {NONE, NONE, STYLE_DIM},
         [ROLE_TITLE] = {NONE, NONE, STYLE_BOLD},
         [ROLE_VALUE] = {NONE, NONE, STYLE_BOLD},
         [ROLE_GOOD] = {NONE, NONE, 0},
         [ROLE_WARN] = {NONE, NONE, STYLE_BOLD},
         [ROLE_BAD] = {NONE, NONE, STYLE_BOLD | STYLE_REVERSE},
         [ROLE_LIVE] = {NONE, NONE, STYLE_BOLD},
         [ROLE_EXACT] = {NONE, NONE, STYLE_BOLD},
         [ROLE_START] = {NONE, NONE, STYLE_DIM},
         [ROLE_SECOND] = {NONE, NONE, 0},
         [ROLE_MARK] = {NONE, NONE, 0},
        [ROLE_CURSOR] = {NONE, NONE, STYLE_BOLD},
         [ROLE_MULTI] = {NONE, NONE, 0},
         [ROLE_CONTINUAL] = {NONE, NONE, STYLE_BOLD},
         [ROLE_CUMULATIVE] = {NONE, NONE, STYLE_UNDERLINE},
         [ROLE_BAR] = {NONE, NONE, STYLE_REVERSE},
         [ROLE_BAR_KEY] = {NONE, NONE, STYLE_BOLD},
         [ROLE_OVERLAY] = {NONE, NONE, 0},
         [ROLE_SELECTED] = {NONE, NONE, STYLE_REVERSE},
     }},
    {"colour-blind",
     "blue and yellow, no pair of red and green",
     {
         [ROLE_TEXT] = {NONE, NONE, 0},
         [ROLE_DIM] = {NONE, NONE, STYLE_DIM},
         [ROLE_FRAME] = {NONE, NONE, STYLE_DIM},
         [ROLE_TITLE] = {NONE, NONE, STYLE_BOLD},
         [ROLE_VALUE] = {NONE, NONE, STYLE_BOLD},
         [ROLE_GOOD] = {BLUE, NONE, 0},
         [ROLE_WARN] = {YELLOW, NONE, STYLE_BOLD},
         [ROLE_BAD] = {YELLOW, NONE, STYLE_BOLD | STYLE_REVERSE},
         [ROLE_LIVE] = {BLUE, NONE, STYLE_BOLD},
         [ROLE_EXACT] = {YELLOW, NONE, STYLE_BOLD},
         [ROLE_START] = {NONE, NONE, STYLE_DIM},
         [ROLE_SECOND] = {YELLOW, NONE, 0},
         [ROLE_MARK] = {NONE, NONE, STYLE_BOLD},
        [ROLE_CURSOR] = {NONE, NONE, STYLE_BOLD},
         [ROLE_MULTI] = {YELLOW, NONE, 0},
         [ROLE_CONTINUAL] = {BLUE, NONE, STYLE_BOLD},
         [ROLE_CUMULATIVE] = {NONE, NONE, STYLE_UNDERLINE},
         [ROLE_BAR] = {WHITE, BLUE, 0},
         [ROLE_BAR_KEY] = {NONE, NONE, STYLE_BOLD},
         [ROLE_OVERLAY] = {NONE, NONE, 0},
         [ROLE_SELECTED] = {NONE, NONE, STYLE_REVERSE},
     }},
    {NULL, NULL, {{0, 0, 0}}},
};

const struct theme *theme_find(const char *name)
{
    for (const struct theme *t = theme_table; t->name; t++)
        if (strcmp(t->name, name) == 0)
            return t;
    return NULL;
}
