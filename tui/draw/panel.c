// What panels share.
#include "tui/draw/panel.h"

int panel_fits(struct rect r, const char *title, const char *right)
{
    return text_columns(title) + 2 + text_columns(right) + 2 <= r.w - 3;
}

struct rect panel_box(struct canvas *c, struct rect r, const char *title, const char *right)
{
    struct rect in = canvas_frame(c, r, ROLE_FRAME);
    int n_right = text_columns(right);
    canvas_printf(c, r.y, r.x + 1, r.w - 2, ROLE_TITLE, " %s ", title);
    if (n_right && panel_fits(r, title, right))
        canvas_printf(c, r.y, r.x + r.w - n_right - 3, n_right + 2, ROLE_DIM, " %s ", right);
    return in;
}

struct rect take_top(struct rect *r, int h)
{
    struct rect top = {r->y, r->x, h < r->h ? h : r->h, r->w};
    r->y += top.h;
    r->h -= top.h;
    return top;
}

struct rect take_left(struct rect *r, int w)
{
    struct rect left = {r->y, r->x, r->h, w};
    r->x += w;
    r->w -= w;
    return left;
}

void panel_zone(const struct scene *s, struct rect r, enum zone_kind kind, int64_t from,
                int64_t per)
{
    if (s->v->n_zone < ZONES)
        s->v->zone[s->v->n_zone++] = (struct zone){r, kind, from, per};
}
