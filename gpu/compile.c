// The one compiler. A stage adds its operations on one view, or on both where the device works them
// together; forward in the order of the nodes, backward in the reverse.
#include "gpu/compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/fuse.h"
#include "gpu/ranks/ranks.h"

enum { CHOICES = 4, PREFIX = 64 }; // CHOICES: of a node, at most

// --- how gradients flow through the kinds of nodes ---
typedef int flow(struct plan *p, struct stage *s, int view, struct op_list *list, struct error *e);

static int backward_op(struct plan *p, struct stage *s, int view, const struct op *grads,
                       struct op_list *list, struct error *e)
{
    struct op *op = plan_op(list, s, view, s->kind->backward, e);
    if (!op)
        return -1;
    op->a = grads->a;
    op->b = grads->b;
    op->out = grads->out;
    if (s->kind->cost)
        s->kind->cost(p, op);
    return 0;
}

// Shapes in and out are the same: it is worked in place.
static int flow_in_place(struct plan *p, struct stage *s, int view, struct op_list *list,
                         struct error *e)
{
    struct grad *g = plan_grad_of(p, s, view, list, e);
    if (!g || backward_op(p, s, view, &(struct op){.a = g->data, .out = g->data}, list, e) < 0)
        return -1;
    return plan_grad_give(s->in, g, e);
}

// Each input gets one of its own, since what stands before may write into it.
static int flow_to_both(struct plan *p, struct stage *s, int view, struct op_list *list,
                        struct error *e)
{
    struct grad *g = plan_grad_of(p, s, view, list, e);
    struct grad *twin = g ? plan_grad_take(p, plan_bytes(s->out), e) : NULL;
    if (!twin ||
        backward_op(p, s, view, &(struct op){.a = g->data, .out = twin->data}, list, e) < 0 ||
        plan_grad_give(s->in, g, e) < 0)
        return -1;
    return plan_grad_give(s->in2, twin, e);
}

// Into another buffer; what has parameters works for them even where nobody wants dx.
static int flow_across(struct plan *p, struct stage *s, int view, struct op_list *list,
                       struct error *e)
{
    struct grad *g = plan_grad_of(p, s, view, list, e), *dx = NULL;
    if (!g || (s->in->wants_grad && !(dx = plan_grad_take(p, plan_bytes(s->in), e))))
        return -1;
    int rc = 0;
    if (s->kind->add_backward)
        rc = s->kind->add_backward(p, s, view, g, dx, list, e);
    else if (dx)
        rc = backward_op(p, s, view, &(struct op){.a = g->data, .out = dx->data}, list, e);
    plan_grad_release(g);
    return rc < 0 ? -1 : dx ? plan_grad_give(s->in, dx, e) : 0;
}

// A batch norm sums a second gradient itself. With a residual the first buffer comes back masked
// and becomes the residual's gradient; without, the gradient of x replaces it.
static int flow_norm(struct plan *p, struct stage *s, int view, struct op_list *list,
                     struct error *e)
{
    struct grad *dy2 = s->out->n_grad == 2 ? s->out->grad[--s->out->n_grad] : NULL;
    struct grad *dy = plan_grad_of(p, s, view, list, e);
    struct grad *dx = dy && s->in2 ? plan_grad_take(p, dy->size, e) : dy;
    if (!dx ||
        backward_op(p, s, view,
                    &(struct op){.a = dy->data, .b = dy2 ? dy2->data : NULL, .out = dx->data}, list,
                    e) < 0)
        return -1;
    if (dy2)
        plan_grad_release(dy2);
    if (s->in2 && plan_grad_give(s->in2, dy, e) < 0)
        return -1;
    return plan_grad_give(s->in, dx, e);
}

// Where each view of a gradient's buffer begins.
static void views_of(const struct plan *p, const struct grad *g, const struct tensor *t, int view,
                     void *out[VIEWS])
{
    if (!p->backend->together) {
        out[view] = g->data;
        return;
    }
    out[0] = g->data;
    out[1] = (char *)g->data + plan_bytes(t) / VIEWS;
}

// The input's is kept where a test wants it: its buffer is never let go of.
static int flow_keep(struct plan *p, struct stage *s, int view, struct op_list *list,
                     struct error *e)
{
    if (!s->out->wants_grad)
        return 0;
    struct grad *g = plan_grad_of(p, s, view, list, e);
    if (!g)
        return -1;
    views_of(p, g, s->out, view, p->input_gradient);
    return 0;
}

static flow *const flows[NODE_KINDS] = {
    [NODE_INPUT] = flow_keep,    [NODE_CONV] = flow_across,  [NODE_BN] = flow_norm,
    [NODE_RELU] = flow_in_place, [NODE_ADD] = flow_to_both,  [NODE_MAXPOOL] = flow_across,
    [NODE_GAP] = flow_across,    [NODE_LINEAR] = flow_across};

// --- tensors and stages ---
static int build_tensor(struct plan *p, const struct plan_options *o, int i, int lend,
                        struct error *e)
{
    const struct node *d = &p->net.node[i];
    struct tensor *t = plan_heap(p, sizeof *t, e);
    if (!t)
        return -1;
    int rows = fuse_gives_rows(&p->net, d);
    // The heads work in f32 in any precision: they cost little, and the gradient of a loss that is
    // nearly minimal drowns in bf16's rounding.
    *t = (struct tensor){.c = d->c,
                         .h = d->h,
                         .w = d->w,
                         .rows = rows,
                         .type = rows ? PRECISION_F32 : p->type,
                         .wants_grad = i == 0 ? o->input_gradient : !d->frozen};
    p->tensor[i] = t;
    return p->backend->tensor(p, t, d, lend, e);
}

static int build_stage(struct plan *p, int i, const struct fused *f, struct error *e)
{
    static const struct stage_kind input = {.name = "input"};
    const struct node *d = f->node;
    const struct stage_kind *kind = d->op == NODE_INPUT ? &input : p->backend->node[d->op];
    if (!kind)
        return error_set(e, "a node of kind %d is not known to the %s device", (int)d->op,
                         p->device->info.kind->name);
    struct stage *s = plan_heap(p, kind->size ? kind->size : sizeof *s, e);
    if (!s)
        return -1;
    *s = (struct stage){.kind = kind,
                        .node = d,
                        .in = f->in >= 0 ? p->tensor[f->in] : NULL,
                        .in2 = f->in2 >= 0 ? p->tensor[f->in2] : NULL,
                        .out = p->tensor[i],
                        .relu = f->relu};
    p->stage[p->n_stage++] = s;
    return kind->init ? kind->init(p, s, e) : 0;
}

// What a frozen node gives is wanted until the next stages of the same view have run and not in the
// backward pass: it is lent from the pool of gradients, until its last use.
static int build_node(struct plan *p, const struct plan_options *o, const struct fusion *f, int i,
                      struct error *e)
{
    struct fused s = fuse_stage(f, &p->net, i);
    if (build_tensor(p, o, i, fuse_passes(f, &p->net, i), e) < 0 || build_stage(p, i, &s, e) < 0)
        return -1;
    for (int k = 0; k < i; k++)
        if (f->into[k] == k && f->until[k] == i && fuse_passes(f, &p->net, k))
            plan_grad_release(p->tensor[k]->lent);
    return 0;
}

static int build_stages(struct plan *p, const struct plan_options *o, struct error *e)
{
    struct fusion f;
    size_t n = (size_t)p->net.n;
    p->tensor = plan_heap(p, n * sizeof *p->tensor, e);
    p->stage = p->tensor ? plan_heap(p, n * sizeof *p->stage, e) : NULL;
    if (!p->stage)
        return -1;
    int rc = fuse_new(&f, &p->net, e);
    for (int i = 0; i < p->net.n && rc == 0; i++)
        if (f.into[i] == i)
            rc = build_node(p, o, &f, i, e);
    fuse_free(&f);
    return rc;
}

// --- lists ---
static int add_forward(struct plan *p, struct stage *s, int view, op_run *run, struct op_list *list,
                       struct error *e)
{
    if (s->kind->add_forward)
        return s->kind->add_forward(p, s, view, list, e);
    struct op *op = run ? plan_op(list, s, view, run, e) : NULL;
    if (op && s->kind->cost)
        s->kind->cost(p, op);
    return run && !op ? -1 : 0;
}

static int build_forward(struct plan *p, struct error *e)
{
    int last = p->backend->together ? 0 : VIEWS - 1;
    for (int i = 0; i < p->n_stage; i++)
        for (int v = 0; v <= last; v++) {
            struct stage *s = p->stage[i];
            int view = p->backend->together ? BOTH : v;
            if (add_forward(p, s, view, s->kind->forward, &p->forward[v], e) < 0)
                return -1;
        }
    return p->net.loss ? p->backend->loss_value(p, BOTH, &p->forward[last], e) : 0;
}

static int build_evaluate(struct plan *p, struct error *e)
{
    for (int i = 0; i < p->n_stage && p->net.features >= 0; i++) {
        struct stage *s = p->stage[i];
        op_run *run = s->kind->evaluate ? s->kind->evaluate : s->kind->forward;
        if (add_forward(p, s, 0, run, &p->evaluate, e) < 0)
            return -1;
        if (s->out == p->tensor[p->net.features])
            break;
    }
    return 0;
}

static int build_backward(struct plan *p, struct error *e)
{
    int turns = p->backend->together ? 1 : VIEWS;
    struct tensor *end = !p->net.loss ? p->tensor[p->net.n - 1] : NULL;
    struct grad *seed[VIEWS];
    for (int v = 0; v < turns && end; v++) { // all are set before the first view is worked
        if (!(seed[v] = plan_grad_take(p, plan_bytes(end), e)))
            return -1;
        views_of(p, seed[v], end, v, p->seed);
    }
    for (int v = 0; v < turns; v++) {
        int view = p->backend->together ? BOTH : v;
        if ((end ? plan_grad_give(end, seed[v], e)
                 : p->backend->loss_gradient(p, view, &p->backward[v], e)) < 0)
            return -1;
        for (int i = p->n_stage - 1; i >= 0; i--) {
            struct stage *s = p->stage[i];
            if (!s->node->frozen && flows[s->node->op](p, s, view, &p->backward[v], e) < 0)
                return -1;
            s->worked = p->backward[v].n;
        }
    }
    return 0;
}

// --- the whole ---
// "v4-isa-bf16:ddwwdd...": the prefix names everything besides the letters that could change a bit.
static int begin(struct plan *p, const char *recorded, struct error *e)
{
    char prefix[PREFIX];
    if (p->backend->begin(p, prefix, sizeof prefix, e) < 0)
        return -1;
    p->room = sizeof prefix + 8 + CHOICES * (size_t)p->net.n;
    if (!(p->algorithms = plan_heap(p, p->room, e)))
        return -1;
    int n = snprintf(p->algorithms, p->room, "%s-%s:", prefix,
                     p->type == PRECISION_BF16 ? "bf16" : "f32");
    if (!recorded || !recorded[0])
        return 0;
    if (strncmp(recorded, p->algorithms, (size_t)n) != 0)
        return error_set(e,
                         "the recorded algorithms (%.40s...) are of another %s or precision than "
                         "this (%s...)",
                         recorded, p->backend->what, p->algorithms);
    p->recorded = recorded;
    return 0;
}

// The record must end with the last choice.
static int check_record(struct plan *p, struct error *e)
{
    if (p->recorded && p->recorded[strlen(p->algorithms)])
        return error_set(e, "the recorded algorithms are for another network");
    p->recorded = NULL;
    return 0;
}

static int find_features(struct plan *p, struct error *e)
{
    if (p->net.features < 0)
        return 0;
    const struct node *h = &p->net.node[p->net.features];
    if (h->op != NODE_GAP)
        return error_set(e, "the features must come from a global average pool");
    p->feature_d = h->c;
    return 0;
}

int compile_plan(struct device *d, const struct net *net, const struct plan_options *o,
                 struct plan **out, struct error *e)
{
    struct plan *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p)
        return error_set(e, "out of memory compiling the network");
    p->backend = d->backend;
    p->device = d;
    p->batch = o->batch;
    p->ranks = o->ranks;
    p->whole = o->ranks && o->together ? o->batch * o->ranks->size : o->batch;
    p->type = (int)o->precision;
    if (net_copy(&p->net, net, e) < 0 || find_features(p, e) < 0 ||
        begin(p, o->algorithms, e) < 0 || build_stages(p, o, e) < 0 || build_forward(p, e) < 0 ||
        build_evaluate(p, e) < 0 || build_backward(p, e) < 0 || check_record(p, e) < 0 ||
        d->backend->end(p, e) < 0) {
        compile_free(p);
        return -1;
    }
    *out = p;
    return 0;
}

void compile_free(struct plan *p)
{
    struct net net = p->net;
    plan_release(p);
    net_free(&net);
}
