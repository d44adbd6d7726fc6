// The symmetric negative cosine similarity (Chen & He, CVPR 2021, eq. 2), formed in double: view
// v's prediction against the other view's projection. The value is made after both forward passes,
// the gradients of the predictions, and without stop-gradient those of the projections, at the
// start of each backward pass.
#include <math.h>

#include "gpu/cpu/cpu.h"
#include "gpu/cpu/ops.h"

static const double NORM_FLOOR = 1e-8; // PyTorch's cosine_similarity

static int run_loss(struct cpu_plan *p, const struct op *op)
{
    const struct stage *s = op->stage;
    int n = p->batch, c = s->in->c;
    double loss = 0, spread = 0;
    for (int v = 0; v < VIEWS; v++) {
        p->k->cosine_dots[s->in->type](p->dots[v], s->in->data[v], s->in2->data[1 - v], n, c,
                                       p->threads);
        double sum = 0;
        for (int i = 0; i < n; i++) {
            const double *d = p->dots[v] + 3 * (size_t)i;
            double np = sqrt(d[0]), nz = sqrt(d[1]);
            sum +=
                d[2] / ((np < NORM_FLOOR ? NORM_FLOOR : np) * (nz < NORM_FLOOR ? NORM_FLOOR : nz));
        }
        loss -= 0.5 * sum / n;
        spread += p->k->direction_std[s->in->type](p->dots[v], s->in2->data[1 - v], n, c, p->work);
    }
    // Rounding may leave the range by an ulp; NaN fails both comparisons and stays.
    loss = loss > 1 ? 1 : loss < -1 ? -1 : loss;
    p->base.scores.loss = s->node->offset + s->node->scale * loss;
    p->base.scores.zstd = spread / VIEWS / c * sqrt((double)c);
    return 0;
}

static int run_backward(struct cpu_plan *p, const struct op *op)
{
    const struct stage *s = op->stage;
    int v = op->view;
    p->k->cosine_backward[s->in->type](op->out, p->dots[v], s->in->data[v], s->in2->data[1 - v],
                                       p->batch, s->in->c, s->node->scale, p->threads);
    return 0;
}

// The same with the roles of p and z exchanged.
static int run_backward_z(struct cpu_plan *p, const struct op *op)
{
    const struct stage *s = op->stage;
    int v = op->view;
    p->k->cosine_dots[s->in->type](p->dots_z[v], s->in2->data[v], s->in->data[1 - v], p->batch,
                                   s->in->c, p->threads);
    p->k->cosine_backward[s->in->type](op->out, p->dots_z[v], s->in2->data[v], s->in->data[1 - v],
                                       p->batch, s->in->c, s->node->scale, p->threads);
    return 0;
}

static int loss_forward(struct cpu_plan *p, struct stage *s, int view, struct op_list *list,
                        struct error *e)
{
    (void)list;
    if (view != VIEWS - 1)
        return 0;
    struct op *op = cpu_op(&p->loss, e);
    if (!op)
        return -1;
    op->run = run_loss;
    op->stage = s;
    return 0;
}

static int append(struct cpu_plan *p, struct stage *s, struct tensor *to, int view,
                  int (*run)(struct cpu_plan *, const struct op *), struct op_list *list,
                  struct error *e)
{
    struct grad *g = cpu_grad_take(p, to->elements * type_size(to->type), e);
    struct op *op = g ? cpu_op(list, e) : NULL;
    if (!op)
        return -1;
    op->run = run;
    op->stage = s;
    op->view = view;
    op->out = g->data;
    return cpu_grad_give(to, g, e);
}

static int loss_backward(struct cpu_plan *p, struct stage *s, int view, struct op_list *list,
                         struct error *e)
{
    if (append(p, s, s->in, view, run_backward, list, e) < 0)
        return -1;
    if (s->node->stop_gradient || !s->in2->wants_grad)
        return 0;
    return append(p, s, s->in2, view, run_backward_z, list, e);
}

static const struct stage_kind loss_kind = {"cosine loss", loss_forward, NULL, loss_backward};

struct stage *loss_stage(struct cpu_plan *p, const struct node *d, struct tensor *in_p,
                         struct tensor *in_z, struct error *e)
{
    struct stage *s = cpu_heap(p, sizeof *s, e);
    if (!s)
        return NULL;
    *s = (struct stage){&loss_kind, d, in_p, in_z, NULL};
    p->work = cpu_take(p, 2 * (size_t)in_p->c * sizeof(double), e);
    for (int v = 0; v < VIEWS; v++) {
        size_t size = 3 * (size_t)p->batch * sizeof(double);
        if (!(p->dots[v] = cpu_take(p, size, e)) ||
            (!d->stop_gradient && !(p->dots_z[v] = cpu_take(p, size, e))))
            return NULL;
    }
    return p->work ? s : NULL;
}
