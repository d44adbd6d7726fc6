// Orders travel as the struct itself, since all ranks are the same program; see orders.h.
#include "train/ranks/orders.h"

#include <string.h>

#include "metrics/base/output.h"
#include "train/ranks/team.h"

int orders_tell(struct ranks *r, const struct order *order, struct error *e)
{
    struct order copy = *order;
    return r ? ranks_broadcast(r, &copy, sizeof copy, e) : 0;
}

int orders_hear(struct ranks *r, struct order *order, struct error *e)
{
    return ranks_broadcast(r, order, sizeof *order, e);
}

// --- beside the steps ---
void orders_describe(const struct ranks *r, const struct setup *s, FILE *f)
{
    int hosts = 0;
    for (int k = 0; k < r->size; k++) {
        int i = 0;
        while (strcmp(r->place[i].host, r->place[k].host) != 0)
            i++;
        hosts += i == k;
    }
    fprintf(f, " of each of %d processes on %d host%s (%s), %d image%s each", r->size, hosts,
            hosts == 1 ? "" : "s", r->detail, setup_share(s), setup_share(s) == 1 ? "" : "s");
}

int orders_setup(struct ranks *r, const struct setup *s, int threads, char *algorithms,
                 const struct progress *p, struct error *e)
{
    const struct order order = {.kind = ORDER_SETUP};
    struct options o = s->o;
    if (!r)
        return 0;
    o.threads = threads;
    p->say(p->context, "preparing the other processes");
    if (orders_tell(r, &order, e) < 0 || team_options(r, &o, &algorithms, e) < 0)
        return 1;
    return team_agree(r, 0, s, e);
}

int orders_state(struct ranks *r, struct setup *s, struct error *e)
{
    const struct order order = {.kind = ORDER_STATE};
    return orders_tell(r, &order, e) < 0 ? -1 : team_state(r, s, e);
}

void orders_leave(struct ranks *r, int code, struct error *e)
{
    if (r && r->over && e->text[0]) {
        if (!atomic_load(&r->gone)) // else it has been said
            output_log(-1, 1, "%s", e->text);
        e->text[0] = '\0';
    }
    ranks_close(r, code);
}

void orders_end(struct ranks *r)
{
    const struct order order = {.kind = ORDER_END};
    if (r && !r->over && orders_tell(r, &order, NULL) < 0)
        ranks_give_up(r);
}
