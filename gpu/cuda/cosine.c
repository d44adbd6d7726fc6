// The loss: its value goes to the host with the forward pass, the gradients of the predictions, and
// without stop-gradient those of the projections, begin the backward pass.
#include "gpu/cuda/cuda.h"

struct cosine {
    struct stage base; // in: predictions, in2: projections
    struct cuda_loss args;
};

static const struct cuda_loss *args(const struct op *op)
{
    return &((const struct cosine *)op->stage)->args;
}

static int run_forward(struct cuda_plan *p, const struct op *op, struct error *e)
{
    if (cuda_ok(cuda_loss_forward(args(op), p->device->main), "loss", e) < 0)
        return -1;
    return cuda_ok(cudaMemcpyAsync(p->scores, args(op)->scores, 2 * sizeof(double),
                                   cudaMemcpyDeviceToHost, p->device->main),
                   "loss", e);
}

static int run_backward(struct cuda_plan *p, const struct op *op, struct error *e)
{
    return cuda_ok(cuda_loss_backward(args(op), op->out, p->device->main), "gradient of the loss",
                   e);
}

static int run_backward_z(struct cuda_plan *p, const struct op *op, struct error *e)
{
    return cuda_ok(cuda_loss_backward_z(args(op), op->out, p->device->main), "gradient of the loss",
                   e);
}

static int loss_forward(struct cuda_plan *p, struct stage *s, int views, struct op_list *list,
                        struct error *e)
{
    (void)p;
    return cuda_op(list, s, views, run_forward, e) ? 0 : -1;
}

static int append(struct cuda_plan *p, struct stage *s, struct tensor *to,
                  int (*run)(struct cuda_plan *, const struct op *, struct error *),
                  struct op_list *list, struct error *e)
{
    struct grad *g = cuda_grad_take(p, tensor_size(to), e);
    struct op *op = g ? cuda_op(list, s, VIEWS, run, e) : NULL;
    if (!op)
        return -1;
    op->out = g->data;
    return cuda_grad_give(to, g, e);
}

static int loss_backward(struct cuda_plan *p, struct stage *s, struct op_list *list,
                         struct error *e)
{
    if (append(p, s, s->in, run_backward, list, e) < 0)
        return -1;
    if (s->node->stop_gradient || !s->in2->wants_grad)
        return 0;
    return append(p, s, s->in2, run_backward_z, list, e);
}

static const struct stage_kind cosine_kind = {"cosine loss", loss_forward, loss_backward, 0};

struct stage *cuda_loss_stage(struct cuda_plan *p, const struct node *d, struct tensor *in_p,
                              struct tensor *in_z, struct error *e)
{
    size_t n = (size_t)p->batch, c = (size_t)in_p->c;
    struct cosine *s = cuda_heap(p, sizeof *s, e);
    if (!s)
        return NULL;
    if (in_p->type != CUDA_F32 || in_z->type != CUDA_F32) {
        error_set(e, "the loss takes rows of f32 on the GPU");
        return NULL;
    }
    s->base = (struct stage){&cosine_kind, d, in_p, in_z, NULL};
    s->args = (struct cuda_loss){.n = p->batch,
                                 .c = in_p->c,
                                 .scale = d->scale,
                                 .offset = d->offset,
                                 .p = in_p->data,
                                 .z = in_z->data};
    s->args.dots = cuda_take(p, VIEWS * n * 4 * sizeof(double), e);
    s->args.spread = cuda_take(p, VIEWS * c * sizeof(double), e);
    s->args.scores = cuda_take(p, 2 * sizeof(double), e);
    return s->args.dots && s->args.spread && s->args.scores ? &s->base : NULL;
}
