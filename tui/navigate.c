// Moving about.
#include "tui/navigate.h"

enum { ZOOM_MAX = 40 };

unsigned navigate_view(struct ui *u, int view)
{
    u->v->view = view;
    u->v->scroll = 0;
    return 0;
}

unsigned navigate_turn(struct ui *u, int by)
{
    return navigate_view(u, (u->v->view + by + view_count) % view_count);
}

unsigned navigate_scroll(struct ui *u, int by)
{
    int help = u->v->context == CONTEXT_HELP;
    int *scroll = help ? &u->v->help_scroll : &u->v->scroll;
    int half = (help ? u->v->help_page : u->v->page) / 2;
    *scroll += by == 1 || by == -1 ? by : by / 2 * (half > 1 ? half : 1);
    if (*scroll < 0)
        *scroll = 0;
    return 0;
}

// Put the cursor on a step; behind the newest it goes along with it.
static void put_cursor(struct ui *u, int64_t step)
{
    u->v->centre = -1;
    u->v->cursor = step >= u->h->last_step ? -1 : step < 0 ? 0 : step;
}

unsigned navigate_cursor(struct ui *u, int by)
{
    int64_t per = u->v->per > 0 ? u->v->per : 1;
    int64_t at = u->v->cursor >= 0 ? u->v->cursor : u->h->last_step;
    if (at >= 0)
        put_cursor(u, at + by * per);
    return 0;
}

unsigned navigate_end(struct ui *u, int end)
{
    if (u->h->last_step >= 0)
        put_cursor(u, end ? u->h->last_step : 0);
    return 0;
}

unsigned navigate_zoom(struct ui *u, int by)
{
    struct view_state *v = u->v;
    if (by == 0)
        v->zoom = 0;
    else if (by < 0 && v->zoom > 0)
        v->zoom--;
    else if (by > 0 && v->per > 1 && v->zoom < ZOOM_MAX)
        v->zoom++;
    if (v->zoom == 0)
        v->centre = -1;
    return 0;
}

unsigned navigate_pan(struct ui *u, int by)
{
    struct view_state *v = u->v;
    if (v->zoom == 0 || v->span < 2)
        return 0;
    int64_t last = u->h->last_step;
    int64_t at = v->centre >= 0 ? v->centre : v->cursor >= 0 ? v->cursor : last;
    at += by * (v->span / 2);
    v->centre = at < 0 ? 0 : at > last ? last : at;
    return 0;
}
