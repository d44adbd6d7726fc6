// Gradients in buckets; see buckets.h.
#include "gpu/buckets.h"

// Numbers of a bucket but for the last: small ones cost more than they hide.
enum { LEAST = 1 << 18 };

// How many operations of the last backward list there are before its gradient is ready; -1: never.
static int ready_after(const struct plan *p, int param)
{
    const struct node *d = &p->net.node[p->net.param[param].node];
    for (int i = 0; i < p->n_stage; i++)
        if (p->stage[i]->node == d)
            return p->stage[i]->worked;
    return -1;
}

// Stable: parameters of one node keep their order.
static int collect(struct plan *p, struct buckets *b, struct error *e)
{
    for (int i = 0; i < p->net.n_param; i++) {
        if (!param_trained(&p->net.param[i]))
            continue;
        int k = b->n++, at = ready_after(p, i);
        if (at < 0)
            return error_set(e, "no gradient of %s is worked", p->net.param[i].name);
        for (; k > 0 && ready_after(p, b->param[k - 1]) > at; k--)
            b->param[k] = b->param[k - 1];
        b->param[k] = i;
    }
    return 0;
}

int buckets_init(struct plan *p, struct buckets *b, size_t (*size)(const struct plan *p, int param),
                 struct error *e)
{
    size_t all = 0;
    *b = (struct buckets){.param = plan_heap(p, (size_t)p->net.n_param * sizeof *b->param, e)};
    if (!b->param || collect(p, b, e) < 0)
        return -1;
    for (int k = 0; k < b->n; k++) {
        size_t n = size(p, b->param[k]);
        all += n;
        b->largest = n > b->largest ? n : b->largest;
    }
    size_t each = all / BUCKETS > LEAST ? all / BUCKETS : LEAST;
    for (int k = 0; k < b->n; k++) {
        struct bucket *last = &b->bucket[b->n_bucket ? b->n_bucket - 1 : 0];
        if (!b->n_bucket || (last->length >= each && b->n_bucket < BUCKETS))
            *(last = &b->bucket[b->n_bucket++]) = (struct bucket){.first = k};
        last->n++;
        last->length += size(p, b->param[k]);
        last->after = ready_after(p, b->param[k]);
    }
    return 0;
}

int buckets_run(struct plan *p, const struct op_list *list, const struct buckets *b,
                const struct buckets_way *way, struct error *e)
{
    int sent = 0;
    for (int i = 0; i < list->n; i++) {
        if (list->op[i].run(p, &list->op[i], e) < 0)
            return -1;
        for (; sent < b->n_bucket && b->bucket[sent].after <= i + 1; sent++)
            if (way->send(p, sent, e) < 0)
                return -1;
        if (way->poll && way->poll(p, sent, e) < 0)
            return -1;
    }
    return way->finish(p, e);
}
