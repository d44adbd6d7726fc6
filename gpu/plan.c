// The small change of a plan: who owns what, lists of operations, the pool of gradients, the word
// of what was chosen.
#include "gpu/plan.h"

#include <stdlib.h>
#include <string.h>

#include "metrics/base/memory.h"

struct owned {
    void (*release)(void *);
    void *object;
};

// --- what a plan owns ---
int plan_own(struct plan *p, void (*release)(void *), void *object, struct error *e)
{
    if (memory_grow(p->owned, p->cap_owned, p->n_owned + 1) < 0) {
        release(object);
        return error_set(e, "out of memory compiling the network");
    }
    p->owned[p->n_owned++] = (struct owned){release, object};
    return 0;
}

void *plan_heap(struct plan *p, size_t size, struct error *e)
{
    void *m = calloc(1, size ? size : 1);
    if (!m) {
        error_set(e, "out of memory compiling the network");
        return NULL;
    }
    return plan_own(p, free, m, e) < 0 ? NULL : m;
}

void plan_release(struct plan *p)
{
    if (p->own)
        p->backend->free(p);
    while (p->n_owned) {
        struct owned o = p->owned[--p->n_owned];
        o.release(o.object);
    }
    free(p->owned);
    for (int v = 0; v < VIEWS; v++) {
        free(p->forward[v].op);
        free(p->backward[v].op);
    }
    free(p->evaluate.op);
    free(p);
}

// --- operations ---
struct op *plan_op(struct op_list *list, struct stage *s, int view, op_run *run, struct error *e)
{
    if (memory_grow(list->op, list->cap, list->n + 1) < 0) {
        error_set(e, "out of memory compiling the network");
        return NULL;
    }
    struct op *op = &list->op[list->n++];
    *op = (struct op){.run = run, .stage = s, .view = view};
    return op;
}

int plan_run(struct plan *p, const struct op_list *list, struct error *e)
{
    for (int i = 0; i < list->n; i++)
        if (list->op[i].run(p, &list->op[i], e) < 0)
            return -1;
    return 0;
}

int plan_views(const struct op *op)
{
    return op->view == BOTH ? VIEWS : 1;
}

// --- tensors and gradients ---
size_t plan_element(int type)
{
    return type == PRECISION_BF16 ? 2 : 4;
}

size_t plan_bytes(const struct tensor *t)
{
    return t->elements * plan_element(t->type);
}

int plan_place(struct plan *p, struct tensor *t, int lend, struct error *e)
{
    size_t size = plan_bytes(t);
    if (lend && !(t->lent = plan_grad_take(p, size, e)))
        return -1;
    for (int v = 0; v < VIEWS; v++) {
        if (v && p->backend->together)
            t->data[v] = (char *)t->data[0] + size / VIEWS;
        else if (!(t->data[v] = lend ? t->lent->data : p->backend->take(p, size, e)))
            return -1;
    }
    return 0;
}

struct grad *plan_grad_take(struct plan *p, size_t size, struct error *e)
{
    struct grad *best = NULL;
    for (int i = 0; i < p->n_grad; i++) {
        struct grad *g = p->grad[i];
        if (!g->used && g->size >= size && (!best || g->size < best->size))
            best = g;
    }
    if (!best) {
        if (p->n_grad == (int)(sizeof p->grad / sizeof *p->grad)) {
            error_set(e, "the network needs more than %d gradients at once", p->n_grad);
            return NULL;
        }
        best = plan_heap(p, sizeof *best, e);
        if (!best || !(best->data = p->backend->take(p, size, e)))
            return NULL;
        best->size = size;
        p->grad[p->n_grad++] = best;
    }
    best->used = 1;
    return best;
}

void plan_grad_release(struct grad *g)
{
    g->used = 0;
}

int plan_grad_give(struct tensor *t, struct grad *g, struct error *e)
{
    if (!t->wants_grad) {
        plan_grad_release(g);
        return 0;
    }
    if (t->n_grad == 2)
        return error_set(e, "a tensor of the network is used more than twice");
    t->grad[t->n_grad++] = g;
    return 0;
}

struct grad *plan_grad_of(struct plan *p, struct stage *s, int view, struct op_list *list,
                          struct error *e)
{
    struct tensor *t = s->out;
    if (!t->n_grad) {
        error_set(e, "no gradient reaches the output of %s",
                  s->node->name[0] ? s->node->name : s->kind->name);
        return NULL;
    }
    struct grad *g = t->grad[0];
    if (t->n_grad == 2) {
        struct op *op = plan_op(list, s, view, p->backend->sum, e);
        if (!op)
            return NULL;
        op->a = op->out = g->data;
        op->b = t->grad[1]->data;
        plan_grad_release(t->grad[1]);
    }
    t->n_grad = 0;
    return g;
}

// --- names ---
int plan_recorded(const struct plan *p, struct error *e)
{
    if (!p->recorded)
        return 0;
    char letter = p->recorded[strlen(p->algorithms)]; // as long as what was obeyed, or longer
    return letter ? letter : error_set(e, "the recorded algorithms are for another network");
}

int plan_choose(struct plan *p, char letter, struct error *e)
{
    size_t n = strlen(p->algorithms);
    if (n + 1 >= p->room)
        return error_set(e, "the network asks for more choices than there is room for");
    p->algorithms[n] = letter;
    p->algorithms[n + 1] = '\0';
    return 0;
}

int plan_param(const struct plan *p, const struct node *d, enum param_kind kind)
{
    int i = 0;
    while (&p->net.node[p->net.param[i].node] != d || p->net.param[i].kind != kind)
        i++;
    return i;
}
