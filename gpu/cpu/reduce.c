// Gradients of all ranks in buckets; see reduce.h.
#include "gpu/cpu/reduce.h"

#include "gpu/ranks/ranks.h"

enum {
    BUCKETS = RANKS_CHANNELS - RANKS_GRADIENT,
    LEAST = 1 << 18 // numbers of a bucket but for the last: small ones cost more than they hide
};

struct bucket {
    struct ranks_sum sum;
    int first, n; // of reduce.param
    int after;    // so many operations of the last backward list, and all is there
    size_t length;
};

struct reduce {
    int *param, n; // trained ones in the order in which they are ready
    struct bucket bucket[BUCKETS];
    int n_bucket;
};

// How many operations of the last backward list there are before its gradient is ready; -1: never.
static int ready_after(const struct plan *p, int param)
{
    const struct node *d = &p->net.node[p->net.param[param].node];
    for (int i = 0; i < p->n_stage; i++)
        if (p->stage[i]->node == d)
            return p->stage[i]->worked;
    return -1;
}

static int is_trained(const struct plan *p, int i)
{
    const struct trained *t = &p->own->trained[i];
    return t->param && !t->param->frozen;
}

// Stable: parameters of one node keep their order.
static int collect(struct plan *p, struct reduce *r, size_t *all, size_t *most, struct error *e)
{
    for (int i = 0; i < p->net.n_param; i++) {
        if (!is_trained(p, i))
            continue;
        int k = r->n++, at = ready_after(p, i);
        if (at < 0)
            return error_set(e, "no gradient of %s is worked", p->net.param[i].name);
        for (; k > 0 && ready_after(p, r->param[k - 1]) > at; k--)
            r->param[k] = r->param[k - 1];
        r->param[k] = i;
        size_t n = p->own->trained[i].elements;
        *all += n;
        *most = n > *most ? n : *most;
    }
    return 0;
}

static int place(struct plan *p, struct reduce *r, struct bucket *b, struct error *e)
{
    size_t length = ranks_sum_length(p->ranks, b->length);
    float *data = cpu_take(p, length * sizeof *data, e);
    b->sum = (struct ranks_sum){.number = RANKS_FLOAT,
                                .channel = RANKS_GRADIENT + (int)(b - r->bucket),
                                .data = data,
                                .work = data ? cpu_take(p, length * sizeof *data, e) : NULL,
                                .part = length / (size_t)p->ranks->size,
                                .factor = p->whole > p->batch ? 1 : 1.0 / p->ranks->size};
    if (!b->sum.work)
        return -1;
    for (int k = b->first; k < b->first + b->n; k++) {
        struct trained *t = &p->own->trained[r->param[k]];
        t->sum = data;
        data += t->elements;
    }
    return 0;
}

int reduce_init(struct plan *p, struct error *e)
{
    size_t all = 0, most = 0;
    if (!p->ranks)
        return 0;
    struct reduce *r = p->own->reduce = plan_heap(p, sizeof *r, e);
    if (!r || !(r->param = plan_heap(p, (size_t)p->net.n_param * sizeof *r->param, e)) ||
        collect(p, r, &all, &most, e) < 0)
        return -1;
    size_t each = all / BUCKETS > LEAST ? all / BUCKETS : LEAST;
    for (int k = 0; k < r->n; k++) {
        struct bucket *b = &r->bucket[r->n_bucket ? r->n_bucket - 1 : 0];
        if (!r->n_bucket || (b->length >= each && r->n_bucket < BUCKETS))
            *(b = &r->bucket[r->n_bucket++]) = (struct bucket){.first = k};
        b->n++;
        b->length += p->own->trained[r->param[k]].elements;
        b->after = ready_after(p, r->param[k]);
    }
    for (int i = 0; i < r->n_bucket; i++)
        if (place(p, r, &r->bucket[i], e) < 0)
            return -1;
    p->own->zeros = cpu_take(p, most * sizeof(float), e);
    return p->own->zeros ? 0 : -1;
}

static int send(struct plan *p, struct bucket *b, struct error *e)
{
    for (int k = b->first; k < b->first + b->n; k++) {
        const struct trained *t = &p->own->trained[p->own->reduce->param[k]];
        p->own->k->add[TYPE_F32](t->sum, t->g[0], t->g[1], t->elements, p->own->threads);
    }
    return ranks_sum_start(p->ranks, &b->sum, e);
}

int reduce_backward(struct plan *p, struct error *e)
{
    const struct op_list *list = &p->backward[VIEWS - 1];
    struct reduce *r = p->own->reduce;
    int sent = 0;
    for (int i = 0; i < list->n; i++) {
        if (list->op[i].run(p, &list->op[i], e) < 0)
            return -1;
        for (; sent < r->n_bucket && r->bucket[sent].after <= i + 1; sent++)
            if (send(p, &r->bucket[sent], e) < 0)
                return -1;
        for (int k = 0; k < sent; k++)
            if (ranks_sum_poll(p->ranks, &r->bucket[k].sum, e) < 0)
                return -1;
    }
    for (int k = 0; k < sent; k++)
        if (ranks_sum_finish(p->ranks, &r->bucket[k].sum, e) < 0)
            return -1;
    return 0;
}
