// Keys go through the table as the viewer sends them.
#include "tests/kit/desk.h"

#include <string.h>

static int take(void *to, const struct command_call *call, struct error *e)
{
    struct sent *s = to;
    if (s->refuse)
        return error_set(e, "the trainer went away");
    s->n++;
    s->last = *call;
    return 0;
}

void desk_open(struct desk *d, int steps)
{
    memset(d, 0, sizeof *d);
    scene_init(&d->t);
    scene_train(&d->t, steps);
    d->ui = (struct ui){.v = &d->t.v, .h = &d->t.h, .send = take, .to = &d->sent};
}

unsigned desk_type(struct desk *d, const char *text)
{
    unsigned flags = 0;
    while (*text)
        flags |= action_key(&d->ui, (uint32_t)(unsigned char)*text++);
    return flags;
}
