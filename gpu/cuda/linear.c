// Linear layers by cuBLAS on rows: cuBLAS sees each row-major matrix as the transposed one.
#include "gpu/cuda/cuda.h"

struct linear {
    struct stage base;
    struct trained *weight, *bias;
};

struct matrix {
    const void *data;
    int wide; // elements from row to row
    enum cuda_type type;
};

// C (m x n, row major) = op(A) op(B), summed over k; f32 sums.
static int multiply(struct cuda_plan *p, int m, int n, int k, struct matrix a, int turn_a,
                    struct matrix b, int turn_b, void *c, enum cuda_type type_c, struct error *e)
{
    static const cudaDataType types[] = {[CUDA_F32] = CUDA_R_32F, [CUDA_BF16] = CUDA_R_16BF};
    const float one = 1, zero = 0;
    return cuda_blas_ok(cublasGemmEx(p->device->blas, turn_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                                     turn_a ? CUBLAS_OP_T : CUBLAS_OP_N, n, m, k, &one, b.data,
                                     types[b.type], b.wide, a.data, types[a.type], a.wide, &zero, c,
                                     types[type_c], n, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
                        "linear layer", e);
}

static struct matrix weights(const struct cuda_plan *p, const struct linear *l)
{
    const struct trained *t = l->weight;
    return (struct matrix){p->type == CUDA_BF16 ? t->w16 : (const void *)t->w, l->base.in->c,
                           p->type};
}

static int run_forward(struct cuda_plan *p, const struct op *op, struct error *e)
{
    const struct linear *l = (const struct linear *)op->stage;
    int rows = op->views * p->batch, in = l->base.in->c, out = l->base.out->c;
    struct matrix x = {l->base.in->data, in, p->type};
    if (multiply(p, rows, out, in, x, 0, weights(p, l), 1, l->base.out->data, p->type, e) < 0)
        return -1;
    return l->bias ? cuda_ok(cuda_bias(p->type, l->base.out->data, l->bias->w, rows, out,
                                       p->device->main),
                             "bias", e)
                   : 0;
}

static int run_backward(struct cuda_plan *p, const struct op *op, struct error *e)
{
    const struct linear *l = (const struct linear *)op->stage;
    int rows = op->views * p->batch, in = l->base.in->c, out = l->base.out->c;
    struct matrix x = {l->base.in->data, in, p->type}, dy = {op->a, out, p->type};
    if (multiply(p, out, in, rows, dy, 1, x, 0, l->weight->g, CUDA_F32, e) < 0)
        return -1;
    if (l->bias &&
        cuda_ok(cuda_bias_gradient(p->type, l->bias->g, op->a, rows, out, p->device->main),
                "gradient of a bias", e) < 0)
        return -1;
    return op->out ? multiply(p, rows, in, out, dy, 0, weights(p, l), 0, op->out, p->type, e) : 0;
}

static int linear_forward(struct cuda_plan *p, struct stage *s, int views, struct op_list *list,
                          struct error *e)
{
    (void)p;
    return cuda_op(list, s, views, run_forward, e) ? 0 : -1;
}

static int linear_backward(struct cuda_plan *p, struct stage *s, struct op_list *list,
                           struct error *e)
{
    struct grad *g = cuda_grad_of(p, s, list, e), *dx = NULL;
    if (g && s->in->wants_grad)
        dx = cuda_grad_take(p, s->in->elements * type_size(p->type), e);
    struct op *op =
        g && (dx || !s->in->wants_grad) ? cuda_op(list, s, VIEWS, run_backward, e) : NULL;
    if (!op)
        return -1;
    op->a = g->data;
    op->out = dx ? dx->data : NULL;
    cuda_grad_release(g);
    return dx ? cuda_grad_give(s->in, dx, e) : 0;
}

static const struct stage_kind linear_kind = {"linear", linear_forward, linear_backward, 1};

struct stage *cuda_linear_stage(struct cuda_plan *p, const struct node *d, struct tensor *in,
                                struct tensor *out, struct error *e)
{
    struct linear *l = cuda_heap(p, sizeof *l, e);
    if (!l)
        return NULL;
    l->base = (struct stage){&linear_kind, d, in, NULL, out};
    if (!(l->weight = cuda_trained(p, d, PARAM_WEIGHT, 0, e)) ||
        (d->bias && !(l->bias = cuda_trained(p, d, PARAM_BIAS, 0, e))))
        return NULL;
    return &l->base;
}
