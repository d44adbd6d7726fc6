// Compiling a network for the CPU: layouts, fusion, memory, and the lists of operations that a step
// runs through.
#include "gpu/cpu/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/cpu/feed.h"
#include "gpu/cpu/ops.h"
#include "gpu/cpu/params.h"
#include "gpu/fuse.h"
#include "metrics/base/grow.h"

int plan_choice(struct cpu_plan *p, char letter, struct error *e)
{
    if (grow_array(p->choice, p->cap_choice, p->n_choice + 2) < 0)
        return error_set(e, "out of memory compiling the network");
    p->choice[p->n_choice++] = letter;
    p->choice[p->n_choice] = '\0';
    return 0;
}

// --- layouts ---
static enum layout input_layout(const struct net *net)
{
    int all_conv = 1;
    for (int i = 1; i < net->n; i++)
        for (int k = 0; k < 2; k++)
            if (net->node[i].in[k] == 0)
                all_conv &= net->node[i].op == NODE_CONV;
    return all_conv && net->node[0].c < 4 ? LAYOUT_PLAIN : LAYOUT_BLOCKED;
}

static enum layout node_layout(const struct cpu_plan *p, const struct node *d)
{
    if (node_gives_rows(&p->net, d))
        return LAYOUT_ROWS;
    return d->op == NODE_INPUT ? input_layout(&p->net) : LAYOUT_BLOCKED;
}

// Memory of a tensor for both views. What a frozen node gives is wanted until the next stages of
// the same view have run and not in the backward pass: it is lent from the pool of gradients, one
// buffer for both views, until `forget` gives it back.
static int place(struct cpu_plan *p, struct tensor *t, int lend, struct error *e)
{
    size_t size = dnnl_memory_desc_get_size(&t->md);
    if (lend && !(t->lent = cpu_grad_take(p, size, e)))
        return -1;
    for (int v = 0; v < VIEWS; v++) {
        t->data[v] = lend ? t->lent->data : cpu_take(p, size, e);
        if (!t->data[v] || cpu_memory(p, &t->md, t->data[v], &t->memory[v], e) < 0)
            return -1;
    }
    return 0;
}

static struct tensor *tensor_new(struct cpu_plan *p, const struct node *d, int lend,
                                 struct error *e)
{
    struct tensor *t = cpu_heap(p, sizeof *t, e);
    if (!t)
        return NULL;
    t->c = d->c;
    t->h = d->h;
    t->w = d->w;
    t->layout = node_layout(p, d);
    // The heads work in f32 in any precision: they cost little, and the gradient of a loss that is
    // nearly minimal drowns in bf16's rounding.
    t->type = t->layout == LAYOUT_ROWS ? TYPE_F32 : p->type;
    t->wants_grad = !d->frozen;
    int rows = t->layout == LAYOUT_ROWS, plain = t->layout == LAYOUT_PLAIN;
    dnnl_dims_t outer = {p->batch, d->c, d->h, d->w},
                dims = {p->batch, rows || plain ? d->c : padded(p, d->c), d->h, d->w};
    dnnl_format_tag_t blocked = p->k->block == 16 ? dnnl_nChw16c : dnnl_nChw8c;
    dnnl_format_tag_t tag = rows ? dnnl_nc : plain ? dnnl_nchw : blocked;
    dnnl_data_type_t type = type_dnnl(t->type);
    if (cpu_check(dnnl_memory_desc_init_by_tag(&t->md, rows ? 2 : 4, dims, type, tag), "tensor",
                  e) < 0 ||
        cpu_check(dnnl_memory_desc_init_by_tag(&t->outer_md, rows ? 2 : 4, outer, type, tag),
                  "tensor", e) < 0)
        return NULL;
    t->elements = dnnl_memory_desc_get_size(&t->md) / type_size(t->type);
    return place(p, t, lend, e) < 0 ? NULL : t;
}

// --- stages ---
struct build { // what the stages are made of
    struct cpu_plan *plan;
    const struct plan_options *options;
};

static struct stage *stage_new(struct cpu_plan *p, const struct fused *s, struct tensor *out,
                               struct error *e)
{
    const struct node *d = s->node;
    struct tensor *a = s->in >= 0 ? p->tensor[s->in] : NULL,
                  *b = s->in2 >= 0 ? p->tensor[s->in2] : NULL;
    switch (d->op) {
    case NODE_INPUT:
        return input_stage(p, out, e);
    case NODE_CONV:
        return conv_stage(p, d, a, out, e);
    case NODE_BN:
        return norm_stage(p, d, a, b, s->relu, out, e);
    case NODE_RELU:
        return relu_stage(p, d, a, out, e);
    case NODE_ADD:
        return add_stage(p, d, a, b, out, e);
    case NODE_MAXPOOL:
        return maxpool_stage(p, d, a, out, e);
    case NODE_GAP:
        return gap_stage(p, d, a, out, e);
    case NODE_LINEAR:
        return linear_stage(p, d, a, out, e);
    }
    error_set(e, "a node of kind %d is not known to the CPU device", (int)d->op);
    return NULL;
}

static int build_tensor(void *context, int i, int lend, struct error *e)
{
    struct build *b = context;
    struct cpu_plan *p = b->plan;
    if (!(p->tensor[i] = tensor_new(p, &p->net.node[i], lend, e)))
        return -1;
    if (i == 0)
        p->tensor[0]->wants_grad = b->options->input_gradient;
    return 0;
}

static int build_stage(void *context, int i, const struct fused *s, struct error *e)
{
    struct cpu_plan *p = ((struct build *)context)->plan;
    struct stage *made = stage_new(p, s, p->tensor[i], e);
    if (!made)
        return -1;
    p->stage[p->n_stage++] = made;
    return 0;
}

static void forget(void *context, int i)
{
    cpu_grad_release(((struct build *)context)->plan->tensor[i]->lent);
}

static int build_stages(struct cpu_plan *p, const struct plan_options *o, struct error *e)
{
    static const struct fused_builder builder = {build_tensor, build_stage, forget};
    struct build b = {p, o};
    size_t n = (size_t)p->net.n;
    p->tensor = cpu_heap(p, n * sizeof *p->tensor, e);
    p->stage = cpu_heap(p, n * sizeof *p->stage, e);
    if (!p->tensor || !p->stage || fused_build(&p->net, &builder, &b, e) < 0)
        return -1;
    return params_check(p, e);
}

// --- lists ---
static int build_forward(struct cpu_plan *p, struct error *e)
{
    for (int i = 0; i < p->n_stage; i++) {
        struct stage *s = p->stage[i];
        for (int v = 0; v < VIEWS; v++)
            if (s->kind->forward && s->kind->forward(p, s, v, &p->forward[v], e) < 0)
                return -1;
    }
    return p->net.loss ? cpu_loss_value(p, &p->loss, e) : 0;
}

static int build_evaluate(struct cpu_plan *p, struct error *e)
{
    for (int i = 0; i < p->n_stage && p->net.features >= 0; i++) {
        struct stage *s = p->stage[i];
        if (s->kind->evaluate ? s->kind->evaluate(p, s, &p->evaluate, e) < 0
                              : s->kind->forward && s->kind->forward(p, s, 0, &p->evaluate, e) < 0)
            return -1;
        if (s->out == p->tensor[p->net.features])
            break;
    }
    return 0;
}

static int build_backward(struct cpu_plan *p, struct error *e)
{
    struct tensor *end = !p->net.loss ? p->tensor[p->net.n - 1] : NULL;
    for (int v = 0; v < VIEWS; v++) {
        if (end) {
            p->seed[v] = cpu_grad_take(p, end->elements * type_size(end->type), e);
            if (!p->seed[v] || cpu_grad_give(end, p->seed[v], e) < 0)
                return -1;
        }
        if (!end && cpu_loss_gradient(p, v, &p->backward[v], e) < 0)
            return -1;
        for (int i = p->n_stage - 1; i >= 0; i--) {
            struct stage *s = p->stage[i];
            if (s->kind->backward && !s->node->frozen &&
                s->kind->backward(p, s, v, &p->backward[v], e) < 0)
                return -1;
        }
    }
    return 0;
}

static int copy_net(struct net *to, const struct net *from, struct error *e)
{
    *to = *from;
    to->node = malloc((size_t)from->n * sizeof *to->node);
    to->param = malloc((size_t)(from->n_param ? from->n_param : 1) * sizeof *to->param);
    if (!to->node || !to->param)
        return error_set(e, "out of memory compiling the network");
    memcpy(to->node, from->node, (size_t)from->n * sizeof *to->node);
    if (from->n_param)
        memcpy(to->param, from->param, (size_t)from->n_param * sizeof *to->param);
    return 0;
}

static int init_work(struct cpu_plan *p, struct error *e)
{
    size_t most = 1, n = (size_t)p->net.n_param;
    for (int i = 0; i < p->net.n; i++)
        if ((size_t)p->net.node[i].c > most)
            most = (size_t)p->net.node[i].c;
    p->trained = cpu_heap(p, (n ? n : 1) * sizeof *p->trained, e);
    p->running = cpu_heap(p, (n ? n : 1) * sizeof *p->running, e);
    p->partial = cpu_take(p, (size_t)p->threads * 2 * (most + 64) * sizeof *p->partial, e);
    if (!p->trained || !p->running || !p->partial)
        return -1;
    if (p->net.features < 0)
        return 0;
    const struct node *h = &p->net.node[p->net.features];
    if (h->op != NODE_GAP)
        return error_set(e, "the features must come from a global average pool");
    p->feature_d = h->c;
    return 0;
}

// "v4-isa-bf16:ddwwdd...": the prefix names everything besides the letters that could change a bit.
static int name_algorithms(struct cpu_plan *p, const char *prefix, struct error *e)
{
    size_t size = strlen(prefix) + (size_t)p->n_choice + 1;
    p->base.algorithms = malloc(size);
    if (!p->base.algorithms)
        return error_set(e, "out of memory compiling the network");
    snprintf(p->base.algorithms, size, "%s%s", prefix, p->choice ? p->choice : "");
    return 0;
}

static int obey(struct cpu_plan *p, const char *recorded, const char *prefix, struct error *e)
{
    if (!recorded || !recorded[0])
        return 0;
    size_t n = strlen(prefix);
    if (strncmp(recorded, prefix, n))
        return error_set(e,
                         "the recorded algorithms (%.40s...) are of another processor or precision "
                         "than this (%s...)",
                         recorded, prefix);
    p->recorded = recorded + n;
    return 0;
}

int cpu_compile(struct device *device, const struct net *net, const struct plan_options *o,
                struct plan **out, struct error *e)
{
    struct cpu_device *d = (struct cpu_device *)device;
    struct cpu_plan *p = calloc(1, sizeof *p);
    char prefix[64];
    if (!p)
        return error_set(e, "out of memory compiling the network");
    p->base.backend = &cpu_backend;
    p->device = d;
    p->k = d->kernels;
    p->batch = o->batch;
    p->type = o->precision == PRECISION_BF16 ? TYPE_BF16 : TYPE_F32;
    p->threads = d->threads;
    p->stale = 1;
    snprintf(prefix, sizeof prefix, "%s-%x-%s:", d->kernels->name,
             (unsigned)dnnl_get_effective_cpu_isa(), p->type == TYPE_BF16 ? "bf16" : "f32");
    if (copy_net(&p->net, net, e) < 0 || obey(p, o->algorithms, prefix, e) < 0 ||
        init_work(p, e) < 0 || build_stages(p, o, e) < 0 || build_forward(p, e) < 0 ||
        build_evaluate(p, e) < 0 || build_backward(p, e) < 0 || feed_init(p, e) < 0 ||
        cpu_scratch_place(p, e) < 0)
        goto fail;
    if (p->recorded && strlen(p->recorded) != (size_t)p->n_choice) {
        error_set(e, "the recorded algorithms are for another network");
        goto fail;
    }
    p->recorded = NULL;
    if (name_algorithms(p, prefix, e) < 0)
        goto fail;
    p->base.memory = p->arena.total;
    *out = &p->base;
    return 0;
fail:
    cpu_plan_free(&p->base);
    return -1;
}

void cpu_plan_free(struct plan *plan)
{
    struct cpu_plan *p = (struct cpu_plan *)plan;
    feed_free(p);
    cpu_ops_free(p);
    arena_free(&p->arena);
    free(p->net.node);
    free(p->net.param);
    free(p->choice);
    free(p->base.algorithms);
    free(p);
}
