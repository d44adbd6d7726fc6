// Compiling a network for the card: fusion, memory, and the lists of operations that a step runs
// through. The shape of it all is the CPU device's (gpu/cpu/plan.c), with both views in one tensor.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/cuda/cuda.h"

enum { BOUNCE = 16 << 20 };

// --- lists ---
struct op *cuda_op(struct op_list *list, struct stage *s, int views,
                   int (*run)(struct cuda_plan *, const struct op *, struct error *),
                   struct error *e)
{
    if (cuda_room((void **)&list->op, &list->cap, list->n, sizeof *list->op, e) < 0)
        return NULL;
    struct op *op = &list->op[list->n++];
    memset(op, 0, sizeof *op);
    op->run = run;
    op->stage = s;
    op->views = views;
    return op;
}

int cuda_choice(struct cuda_plan *p, char letter, struct error *e)
{
    if (cuda_room((void **)&p->choice, &p->cap_choice, p->n_choice + 1, 1, e) < 0)
        return -1;
    p->choice[p->n_choice++] = letter;
    p->choice[p->n_choice] = '\0';
    return 0;
}

// --- gradients: lists run in the order in which they are built, so a buffer released while
// building is free for what is built later ---
struct grad *cuda_grad_take(struct cuda_plan *p, size_t size, struct error *e)
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
        best = cuda_heap(p, sizeof *best, e);
        if (!best || !(best->data = cuda_take(p, size, e)))
            return NULL;
        best->size = size;
        p->grad[p->n_grad++] = best;
    }
    best->used = 1;
    return best;
}

void cuda_grad_release(struct grad *g)
{
    g->used = 0;
}

int cuda_grad_give(struct tensor *t, struct grad *g, struct error *e)
{
    if (!t->wants_grad) {
        cuda_grad_release(g);
        return 0;
    }
    if (t->n_grad == 2)
        return error_set(e, "a tensor of the network is used more than twice");
    t->grad[t->n_grad++] = g;
    return 0;
}

static int run_sum(struct cuda_plan *p, const struct op *op, struct error *e)
{
    return cuda_ok(
        cuda_add(p->type, op->out, op->a, op->b, op->stage->out->elements, p->device->main),
        "sum of gradients", e);
}

struct grad *cuda_grad_of(struct cuda_plan *p, struct stage *s, struct op_list *list,
                          struct error *e)
{
    (void)p;
    struct tensor *t = s->out;
    if (!t->n_grad) {
        error_set(e, "no gradient reaches the output of %s",
                  s->node->name[0] ? s->node->name : s->kind->name);
        return NULL;
    }
    struct grad *g = t->grad[0];
    if (t->n_grad == 2) {
        struct op *op = cuda_op(list, s, VIEWS, run_sum, e);
        if (!op)
            return NULL;
        op->a = op->out = g->data;
        op->b = t->grad[1]->data;
        cuda_grad_release(t->grad[1]);
    }
    t->n_grad = 0;
    return g;
}

// --- fusion: BN+ReLU, BN+add, BN+add+ReLU become one stage at the place of the last of them ---
struct fusion {
    int *uses; // how often a node's output is wanted
    int *into; // the node whose stage does this node's work, itself when not fused
};

static int lone_bn(const struct net *net, const struct fusion *f, int i)
{
    return net->node[i].op == NODE_BN && f->uses[i] == 1;
}

// Which operand of an add went into it: 0, 1, or -1 for none.
static int fused_operand(const struct net *net, const struct fusion *f, const struct node *add)
{
    for (int k = 0; k < 2; k++)
        if (f->into[add->in[k]] != add->in[k] && net->node[add->in[k]].op == NODE_BN)
            return k;
    return -1;
}

static void fuse(const struct net *net, struct fusion *f)
{
    const int wanted[] = {net->n - 1, net->features, net->projected};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (wanted[i] >= 0)
            f->uses[wanted[i]]++;
    for (int i = 0; i < net->n; i++) {
        f->into[i] = i;
        for (int k = 0; k < 2; k++)
            if (net->node[i].in[k] >= 0)
                f->uses[net->node[i].in[k]]++;
    }
    for (int i = 0; i < net->n; i++) {
        const struct node *d = &net->node[i];
        if (d->op == NODE_ADD && d->in[0] != d->in[1]) {
            for (int k = 0; k < 2 && fused_operand(net, f, d) < 0; k++)
                if (lone_bn(net, f, d->in[k]))
                    f->into[d->in[k]] = i;
        } else if (d->op == NODE_RELU && f->uses[d->in[0]] == 1) {
            const struct node *a = &net->node[d->in[0]];
            if (a->op == NODE_BN || (a->op == NODE_ADD && fused_operand(net, f, a) >= 0))
                f->into[d->in[0]] = i;
        }
    }
}

// The stage at node i from what was fused into it.
static struct stage *stage_at(struct cuda_plan *p, const struct fusion *f, int i, struct error *e)
{
    const struct node *d = &p->net.node[i];
    struct tensor **t = p->tensor, *out = t[i];
    int relu = d->op == NODE_RELU && f->into[d->in[0]] == i;
    if (relu)
        d = &p->net.node[d->in[0]];
    int k = d->op == NODE_ADD ? fused_operand(&p->net, f, d) : -1;
    if (k >= 0) {
        const struct node *bn = &p->net.node[d->in[k]];
        return cuda_norm_stage(p, bn, t[bn->in[0]], t[d->in[1 - k]], relu, out, e);
    }
    struct tensor *a = d->in[0] >= 0 ? t[d->in[0]] : NULL, *b = d->in[1] >= 0 ? t[d->in[1]] : NULL;
    if (d->op == NODE_BN)
        return cuda_norm_stage(p, d, a, NULL, relu, out, e);
    if (d->op == NODE_CONV)
        return cuda_conv_stage(p, d, a, out, e);
    if (d->op == NODE_LINEAR)
        return cuda_linear_stage(p, d, a, out, e);
    if (d->op == NODE_INPUT)
        return cuda_input_stage(p, d, out, e);
    return cuda_simple_stage(p, d, a, b, out, e);
}

static struct tensor *tensor_new(struct cuda_plan *p, const struct node *d, struct error *e)
{
    struct tensor *t = cuda_heap(p, sizeof *t, e);
    if (!t)
        return NULL;
    t->c = d->c;
    t->h = d->h;
    t->w = d->w;
    t->wants_grad = 1;
    t->image = (size_t)d->c * (size_t)d->h * (size_t)d->w;
    t->elements = VIEWS * (size_t)p->batch * t->image;
    if ((size_t)p->batch * (size_t)d->h * (size_t)d->w > INT32_MAX / 4) {
        error_set(e, "%d images of %d x %d are too many at once", p->batch, d->h, d->w);
        return NULL;
    }
    // An evaluation of fewer images than a batch runs over whatever else the input holds.
    size_t size = t->elements * type_size(p->type);
    t->data = d->op == NODE_INPUT ? cuda_take_zero(p, size, e) : cuda_take(p, size, e);
    return t->data ? t : NULL;
}

static int build_stages(struct cuda_plan *p, const struct plan_options *o, struct error *e)
{
    size_t n = (size_t)p->net.n;
    struct fusion f = {cuda_heap(p, n * sizeof(int), e), cuda_heap(p, n * sizeof(int), e)};
    p->tensor = cuda_heap(p, n * sizeof *p->tensor, e);
    p->stage = cuda_heap(p, n * sizeof *p->stage, e);
    if (!f.uses || !f.into || !p->tensor || !p->stage)
        return -1;
    fuse(&p->net, &f);
    for (int i = 0; i < p->net.n; i++) {
        const struct node *d = &p->net.node[i];
        if (f.into[i] != i)
            continue;
        if (d->op != NODE_COSINE && !(p->tensor[i] = tensor_new(p, d, e)))
            return -1;
        if (i == 0)
            p->tensor[0]->wants_grad = o->input_gradient;
        struct stage *s = stage_at(p, &f, i, e);
        if (!s)
            return -1;
        p->stage[p->n_stage++] = s;
    }
    return 0;
}

static int build_lists(struct cuda_plan *p, struct error *e)
{
    for (int i = 0; i < p->n_stage; i++) {
        struct stage *s = p->stage[i];
        if (s->kind->forward && s->kind->forward(p, s, VIEWS, &p->forward, e) < 0)
            return -1;
    }
    for (int i = 0; i < p->n_stage && p->net.features >= 0; i++) {
        struct stage *s = p->stage[i];
        if (s->kind->in_evaluation && s->kind->forward(p, s, 1, &p->evaluate, e) < 0)
            return -1;
        if (s->out == p->tensor[p->net.features])
            break;
    }
    struct tensor *end = p->net.loss < 0 ? p->tensor[p->net.n - 1] : NULL;
    if (end) {
        p->seed = cuda_grad_take(p, end->elements * type_size(p->type), e);
        if (!p->seed || cuda_grad_give(end, p->seed, e) < 0)
            return -1;
    }
    for (int i = p->n_stage - 1; i >= 0; i--) {
        struct stage *s = p->stage[i];
        if (s->kind->backward && s->kind->backward(p, s, &p->backward, e) < 0)
            return -1;
    }
    return 0;
}

// --- what else a step needs ---
static int copy_net(struct cuda_plan *p, const struct net *from, struct error *e)
{
    size_t nodes = (size_t)from->n * sizeof *from->node,
           params = (size_t)from->n_param * sizeof *from->param;
    p->net = *from;
    p->net.node = cuda_heap(p, nodes, e);
    p->net.param = cuda_heap(p, params, e);
    if (!p->net.node || !p->net.param)
        return -1;
    memcpy(p->net.node, from->node, nodes);
    if (params)
        memcpy(p->net.param, from->param, params);
    return 0;
}

static int init_features(struct cuda_plan *p, struct error *e)
{
    if (p->net.features < 0)
        return 0;
    const struct node *h = &p->net.node[p->net.features];
    if (h->op != NODE_GAP)
        return error_set(e, "the features must come from a global average pool");
    size_t d = (size_t)h->c, n = VIEWS * (size_t)p->batch;
    p->feature_d = h->c;
    p->features = cuda_take(p, n * d * sizeof(float), e);
    p->mean = cuda_take(p, d * sizeof(double), e);
    p->centred = cuda_take(p, n * d * sizeof(double), e);
    p->scatter = cuda_take_zero(p, d * d * sizeof(double), e);
    p->moments = cuda_pinned(p, (d + d * d) * sizeof(double), e);
    return p->features && p->mean && p->centred && p->scatter && p->moments ? 0 : -1;
}

static int init_work(struct cuda_plan *p, struct error *e)
{
    size_t n = (size_t)p->net.n_param + 1;
    p->trained = cuda_heap(p, n * sizeof *p->trained, e);
    p->running = cuda_heap(p, n * sizeof *p->running, e);
    p->bounce_size = BOUNCE;
    p->bounce = cuda_pinned(p, p->bounce_size, e);
    p->scores = cuda_pinned(p, 2 * sizeof(double), e);
    if (!p->trained || !p->running || !p->bounce || !p->scores || init_features(p, e) < 0)
        return -1;
    cudaEvent_t *plain[] = {&p->scored, &p->forwarded, &p->handed};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (cuda_event(p, cudaEventDisableTiming, plain[i], e) < 0)
            return -1;
    for (int i = 0; i < 2 * TIMES; i++)
        if (cuda_event(p, cudaEventDefault, &p->mark[i / TIMES][i % TIMES], e) < 0)
            return -1;
    return 0;
}

// "sm90-cudnn91900-bf16:aabac...": the prefix names everything besides the letters that could
// change a bit.
static void prefix_of(const struct cuda_plan *p, char *out, size_t size)
{
    snprintf(out, size, "sm%d-cudnn%zu-%s:", p->device->sm, cudnnGetVersion(),
             p->type == CUDA_BF16 ? "bf16" : "f32");
}

static int obey(struct cuda_plan *p, const char *recorded, struct error *e)
{
    char prefix[64];
    prefix_of(p, prefix, sizeof prefix);
    if (!recorded || !recorded[0])
        return 0;
    if (strncmp(recorded, prefix, strlen(prefix)))
        return error_set(e,
                         "the recorded algorithms (%.40s...) are of another card, cuDNN or "
                         "precision than this (%s...)",
                         recorded, prefix);
    p->wanted = recorded + strlen(prefix);
    return 0;
}

static int name_algorithms(struct cuda_plan *p, struct error *e)
{
    char prefix[64];
    prefix_of(p, prefix, sizeof prefix);
    size_t size = strlen(prefix) + (size_t)p->n_choice + 1;
    if (p->wanted && strlen(p->wanted) != (size_t)p->n_choice)
        return error_set(e, "the recorded algorithms are for another network");
    p->wanted = NULL;
    if (!(p->base.algorithms = malloc(size)))
        return error_set(e, "out of memory compiling the network");
    snprintf(p->base.algorithms, size, "%s%s", prefix, p->choice ? p->choice : "");
    return 0;
}

// What this device does not know is refused: never trained some other way.
static int knows(const struct net *net, struct error *e)
{
    for (int i = 0; i < net->n; i++) {
        const struct node *d = &net->node[i];
        if (d->frozen)
            return error_set(e, "the CUDA device knows no target network yet: BYOL needs --device "
                                "cpu");
        if (d->op == NODE_COSINE && (d->scale != 1 || d->offset != 0 || !d->stop_gradient))
            return error_set(e, "the CUDA device knows SimSiam's form of the loss only");
    }
    return 0;
}

int cuda_compile(struct device *device, const struct net *net, const struct plan_options *o,
                 struct plan **out, struct error *e)
{
    struct cuda_plan *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p)
        return error_set(e, "out of memory compiling the network");
    p->base.backend = &cuda_backend;
    p->device = (struct cuda_device *)device;
    p->batch = o->batch;
    p->type = o->precision == PRECISION_BF16 ? CUDA_BF16 : CUDA_F32;
    if (knows(net, e) < 0 || copy_net(p, net, e) < 0 || obey(p, o->algorithms, e) < 0 ||
        init_work(p, e) < 0 || build_stages(p, o, e) < 0 || build_lists(p, e) < 0 ||
        cuda_conv_place(p, e) < 0 || cuda_params_place(p, e) < 0 || cuda_feed_init(p, e) < 0 ||
        name_algorithms(p, e) < 0 ||
        (!p->device->planning &&
         cuda_ok(cudaStreamSynchronize(p->device->main), "compiling", e) < 0)) {
        cuda_plan_free(&p->base);
        return -1;
    }
    *out = &p->base;
    return 0;
}

void cuda_plan_free(struct plan *plan)
{
    struct cuda_plan *p = (struct cuda_plan *)plan;
    struct cuda_device *d = p->device;
    const cudaStream_t streams[] = {d->main, d->feed, d->side};
    for (size_t i = 0; !d->planning && i < sizeof streams / sizeof *streams; i++)
        cudaStreamSynchronize(streams[i]);
    struct recorded *graphs[] = {&p->forward_graph, &p->backward_graph, &p->update_graph};
    for (size_t i = 0; i < sizeof graphs / sizeof *graphs; i++)
        if (graphs[i]->exec)
            cudaGraphExecDestroy(graphs[i]->exec);
    struct op_list *lists[] = {&p->forward, &p->backward, &p->evaluate};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        for (int k = 0; k < lists[i]->n; k++)
            dnn_pack_free(lists[i]->op[k].pack);
        free(lists[i]->op);
    }
    for (int i = 0; i < p->n_dnn; i++)
        dnn_plan_free(p->dnn[i]);
    free(p->dnn);
    free(p->choice);
    cuda_release(p);
    if (!d->planning)
        (void)cudaGetLastError();
    free(p->base.algorithms);
    free(p);
}
