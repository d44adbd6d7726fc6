// Compiling a network for the card: fusion, memory, and the lists of operations that a step runs
// through. The shape of it all is the CPU device's (gpu/cpu/plan.c), with both views in one tensor.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/cuda/cuda.h"
#include "gpu/fuse.h"

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
    const struct tensor *t = op->stage->out;
    return cuda_ok(cuda_add(t->type, op->out, op->a, op->b, t->elements, p->device->main),
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

// --- stages ---
struct build { // what the stages are made of
    struct cuda_plan *plan;
    const struct plan_options *options;
};

static struct stage *stage_new(struct cuda_plan *p, const struct fused *s, struct tensor *out,
                               struct error *e)
{
    const struct node *d = s->node;
    struct tensor *a = s->in >= 0 ? p->tensor[s->in] : NULL,
                  *b = s->in2 >= 0 ? p->tensor[s->in2] : NULL;
    if (d->op == NODE_BN)
        return cuda_norm_stage(p, d, a, b, s->relu, out, e);
    if (d->op == NODE_CONV)
        return cuda_conv_stage(p, d, a, out, e);
    if (d->op == NODE_LINEAR)
        return cuda_linear_stage(p, d, a, out, e);
    if (d->op == NODE_INPUT)
        return cuda_input_stage(p, d, out, e);
    return cuda_simple_stage(p, d, a, b, out, e);
}

// What a frozen node gives is wanted until the next stages have run and not in the backward pass:
// it is lent from the pool of gradients until `forget` gives it back.
static struct tensor *tensor_new(struct cuda_plan *p, const struct node *d, int lend,
                                 struct error *e)
{
    struct tensor *t = cuda_heap(p, sizeof *t, e);
    if (!t)
        return NULL;
    t->c = d->c;
    t->h = d->h;
    t->w = d->w;
    t->type = node_gives_rows(&p->net, d) ? CUDA_F32 : p->type;
    t->wants_grad = !d->frozen;
    t->image = (size_t)d->c * (size_t)d->h * (size_t)d->w;
    t->elements = VIEWS * (size_t)p->batch * t->image;
    if ((size_t)p->batch * (size_t)d->h * (size_t)d->w > INT32_MAX / 4) {
        error_set(e, "%d images of %d x %d are too many at once", p->batch, d->h, d->w);
        return NULL;
    }
    if (lend) {
        t->lent = cuda_grad_take(p, tensor_size(t), e);
        t->data = t->lent ? t->lent->data : NULL;
    } else if (d->op == NODE_INPUT) {
        // An evaluation of fewer images than a batch runs over whatever else the input holds.
        t->data = cuda_take_zero(p, tensor_size(t), e);
    } else {
        t->data = cuda_take(p, tensor_size(t), e);
    }
    return t->data ? t : NULL;
}

static int build_tensor(void *context, int i, int lend, struct error *e)
{
    struct build *b = context;
    struct cuda_plan *p = b->plan;
    if (!(p->tensor[i] = tensor_new(p, &p->net.node[i], lend, e)))
        return -1;
    if (i == 0)
        p->tensor[0]->wants_grad = b->options->input_gradient;
    return 0;
}

static int build_stage(void *context, int i, const struct fused *s, struct error *e)
{
    struct cuda_plan *p = ((struct build *)context)->plan;
    struct stage *made = stage_new(p, s, p->tensor[i], e);
    if (!made)
        return -1;
    p->stage[p->n_stage++] = made;
    return 0;
}

static void forget(void *context, int i)
{
    cuda_grad_release(((struct build *)context)->plan->tensor[i]->lent);
}

static int build_stages(struct cuda_plan *p, const struct plan_options *o, struct error *e)
{
    static const struct fused_builder builder = {build_tensor, build_stage, forget};
    struct build b = {p, o};
    size_t n = (size_t)p->net.n;
    p->tensor = cuda_heap(p, n * sizeof *p->tensor, e);
    p->stage = p->tensor ? cuda_heap(p, n * sizeof *p->stage, e) : NULL;
    if (!p->stage || fused_build(&p->net, &builder, &b, e) < 0)
        return -1;
    if (p->net.features >= 0)
        p->features = p->tensor[p->net.features]->data;
    return 0;
}

static int build_lists(struct cuda_plan *p, struct error *e)
{
    for (int i = 0; i < p->n_stage; i++) {
        struct stage *s = p->stage[i];
        if (s->kind->forward && s->kind->forward(p, s, VIEWS, &p->forward, e) < 0)
            return -1;
    }
    if (p->net.loss && cuda_loss_value(p, &p->forward, e) < 0)
        return -1;
    for (int i = 0; i < p->n_stage && p->net.features >= 0; i++) {
        struct stage *s = p->stage[i];
        if (s->kind->in_evaluation && s->kind->forward &&
            s->kind->forward(p, s, 1, &p->evaluate, e) < 0)
            return -1;
        if (s->out == p->tensor[p->net.features])
            break;
    }
    struct tensor *end = !p->net.loss ? p->tensor[p->net.n - 1] : NULL;
    if (end) {
        p->seed = cuda_grad_take(p, tensor_size(end), e);
        if (!p->seed || cuda_grad_give(end, p->seed, e) < 0)
            return -1;
    } else if (cuda_loss_gradient(p, &p->backward, e) < 0) {
        return -1;
    }
    for (int i = p->n_stage - 1; i >= 0; i--) {
        struct stage *s = p->stage[i];
        if (s->kind->backward && !s->node->frozen && s->kind->backward(p, s, &p->backward, e) < 0)
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
    p->mean = cuda_take(p, d * sizeof(double), e);
    p->centred = cuda_take(p, n * d * sizeof(double), e);
    p->scatter = cuda_take_zero(p, d * d * sizeof(double), e);
    p->moments = cuda_pinned(p, (d + d * d) * sizeof(double), e);
    return p->mean && p->centred && p->scatter && p->moments ? 0 : -1;
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
    if (copy_net(p, net, e) < 0 || obey(p, o->algorithms, e) < 0 || init_work(p, e) < 0 ||
        build_stages(p, o, e) < 0 || build_lists(p, e) < 0 || cuda_conv_place(p, e) < 0 ||
        cuda_params_place(p, e) < 0 || cuda_feed_init(p, e) < 0 || name_algorithms(p, e) < 0 ||
        (!p->device->planning &&
         cuda_ok(cudaStreamSynchronize(p->device->main), "compiling", e) < 0)) {
        cuda_plan_free(&p->base);
        return -1;
    }
    cache_save(p->device->cache);
    cache_notice(p->device->cache, p->base.notice, sizeof p->base.notice);
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
    struct recorded *graphs[] = {&p->forward_graph, &p->backward_graph,
                                 &p->update_graph[UPDATE_SGD], &p->update_graph[UPDATE_LARS],
                                 &p->ema_graph};
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
