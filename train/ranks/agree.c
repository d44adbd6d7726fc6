// What all ranks must have in common before the first step; see team.h.
#include "train/ranks/team.h"

#include <stdlib.h>
#include <string.h>

#include "train/schedule/schedule_text.h"

// --- options ---
// Text of any length, of rank 0 on all; the others' is malloc'd.
static int share_text(struct ranks *r, char **text, struct error *e)
{
    uint64_t size = r->rank == 0 && *text ? strlen(*text) + 1 : 0;
    if (ranks_broadcast(r, &size, sizeof size, e) < 0)
        return -1;
    if (r->rank && !(*text = calloc(1, size + 1)))
        return error_memory(e, "what rank 0 says");
    return size ? ranks_broadcast(r, *text, size, e) : 0;
}

int team_options(struct ranks *r, struct options *o, char **algorithms, struct error *e)
{
    if (!r)
        return 0;
    return ranks_broadcast(r, o, sizeof *o, e) < 0 ? -1 : share_text(r, algorithms, e);
}

// --- agreement ---
struct facts {
    int rc;
    char why[400];
    int64_t n, steps, params;
    uint32_t data_crc;
    char device[16], precision[8], bus[20]; // bus: of a card
};

static void gather_facts(struct facts *f, int rc, const struct setup *s, const struct error *e)
{
    memset(f, 0, sizeof *f);
    f->rc = rc;
    if (rc) {
        snprintf(f->why, sizeof f->why, "%.390s", e->text);
        return;
    }
    f->n = s->n;
    f->steps = s->steps;
    f->params = net_count(&s->net);
    f->data_crc = s->data_crc;
    snprintf(f->device, sizeof f->device, "%.15s", device_info(s->device)->kind->name);
    snprintf(f->bus, sizeof f->bus, "%s", device_info(s->device)->bus);
    snprintf(f->precision, sizeof f->precision, "%.7s", s->o.precision);
}

// The first difference of rank k from rank 0.
static int differs(const struct ranks *r, const struct facts *f, int k, struct error *e)
{
    const struct facts *a = &f[0], *b = &f[k];
    const char *host = r->place[k].host;
    if (strcmp(a->device, b->device) != 0 || strcmp(a->precision, b->precision) != 0)
        return error_set(e,
                         "rank %d on %s computes on %s in %s, rank 0 on %s in %s: --device and "
                         "--precision say which it shall be",
                         k, host, b->device, b->precision, a->device, a->precision);
    for (int i = 0; i < k; i++)
        if (*b->bus && strcmp(f[i].bus, b->bus) == 0 && strcmp(r->place[i].host, host) == 0)
            return error_set(e,
                             "ranks %d and %d on %s have the same GPU, %s: each needs one of its "
                             "own, which it takes where --device names none",
                             i, k, host, b->bus);
    if (a->n != b->n || a->data_crc != b->data_crc)
        return error_set(e, "rank %d on %s has other images than rank 0 on %s", k, host,
                         r->place[0].host);
    if (a->steps != b->steps || a->params != b->params)
        return error_set(e, "rank %d on %s trains something else than rank 0 on %s", k, host,
                         r->place[0].host);
    return 0;
}

int team_agree(struct ranks *r, int rc, const struct setup *s, struct error *e)
{
    struct facts mine, *all = r ? calloc((size_t)r->size, sizeof *all) : NULL;
    if (!r)
        return rc;
    if (!all) {
        ranks_give_up(r);
        return error_memory(e, "%d ranks", r->size), 1;
    }
    gather_facts(&mine, rc, s, e);
    int outcome = ranks_gather(r, &mine, all, sizeof mine, e) < 0 ? 1 : 0;
    for (int k = 0; k < r->size && !outcome; k++) {
        outcome = all[k].rc;
        if (outcome && k == 0)
            error_set(e, "%s", all[k].why);
        else if (outcome)
            error_set(e, "rank %d on %s: %s", k, r->place[k].host, all[k].why);
        else if (differs(r, all, k, e) < 0)
            outcome = 1;
    }
    free(all);
    return outcome;
}

// --- state ---
static int share_schedule(struct ranks *r, struct schedule *s, struct error *e)
{
    char *text = r->rank == 0 ? schedule_text_write(s) : NULL;
    if (r->rank == 0 && !text) {
        ranks_give_up(r);
        return error_memory(e, "a schedule");
    }
    int rc = share_text(r, &text, e);
    if (rc == 0 && r->rank)
        rc = schedule_text_read(s, text, e);
    free(text);
    return rc;
}

static int share_tensor(struct ranks *r, struct plan *p, const char *name, float *v, size_t n,
                        struct error *e)
{
    if ((r->rank == 0 && plan_get(p, name, v, n, e) < 0) ||
        ranks_broadcast(r, v, n * sizeof *v, e) < 0)
        return -1;
    return r->rank ? plan_put(p, name, v, n, e) : 0;
}

// Room for the largest parameter.
static float *room(const struct net *net)
{
    size_t most = 1;
    for (int i = 0; i < net->n_param; i++)
        most = net->param[i].count > most ? net->param[i].count : most;
    return malloc(most * sizeof(float));
}

int team_statistics(struct setup *s, struct error *e)
{
    if (!s->ranks || s->o.sync_bn)
        return 0;
    float *v = room(&s->net);
    int rc = v ? 0 : error_memory(e, "running statistics");
    for (int i = 0; i < s->net.n_param && rc == 0; i++) {
        const struct param *p = &s->net.param[i];
        if (p->kind == PARAM_RUNNING_MEAN || p->kind == PARAM_RUNNING_VAR)
            rc = share_tensor(s->ranks, s->plan, p->name, v, p->count, e);
    }
    free(v);
    if (rc < 0)
        ranks_give_up(s->ranks);
    return rc;
}

int team_state(struct ranks *r, struct setup *s, struct error *e)
{
    if (!r)
        return 0;
    float *v = room(&s->net);
    int rc = v ? share_schedule(r, &s->schedule, e) : error_memory(e, "the largest parameter");
    for (int i = 0; i < s->net.n_param && rc == 0; i++) {
        const struct param *p = &s->net.param[i];
        char name[sizeof p->name + 8];
        rc = share_tensor(r, s->plan, p->name, v, p->count, e);
        snprintf(name, sizeof name, "optim.%s", p->name);
        if (rc == 0 && param_trained(p))
            rc = share_tensor(r, s->plan, name, v, p->count, e);
    }
    free(v);
    if (rc < 0)
        ranks_give_up(r); // the others may be waiting within
    return rc;
}
