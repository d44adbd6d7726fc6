// The view state before anything was chosen, its message, and what lies under the pointer.
#include "tui/model/view.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "metrics/base/text.h"

void view_init(struct view_state *v)
{
    *v = (struct view_state){
        .link = {.asked_pause = -1, .heard = NAN, .rss = NAN},
        .time = {.cursor = -1, .mark = -1, .centre = -1},
        .list = {.event = -1},
    };
}

// --- what is said ---

void view_say(struct view_state *v, enum role role, const char *fmt, ...)
{
    char text[sizeof v->message.text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    text_clean(v->message.text, sizeof v->message.text, text);
    v->message.role = role;
    v->message.at = v->now;
}

// A complaint stays longer.
int view_says(const struct view_state *v)
{
    double shown = v->message.role == ROLE_BAD ? 30 : 10;
    return v->message.text[0] && v->now - v->message.at < shown;
}

// What there is no room for can't be hit.
void view_zone(struct view_state *v, struct rect r, enum zone_kind kind, int64_t from, int64_t per)
{
    if (v->pointer.n < ZONES)
        v->pointer.zone[v->pointer.n++] = (struct zone){r, kind, from, per};
}

// --- the pointer ---

static int is_in(const struct rect *r, int y, int x)
{
    return y >= r->y && y < r->y + r->h && x >= r->x && x < r->x + r->w;
}

const struct zone *view_hit(const struct view_state *v)
{
    for (int i = v->pointer.n - 1; i >= 0; i--)
        if (is_in(&v->pointer.zone[i].r, v->pointer.y, v->pointer.x))
            return &v->pointer.zone[i];
    return NULL;
}
