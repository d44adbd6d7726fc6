// Linear layers by cuBLAS on rows of f32: cuBLAS sees each row-major matrix as the transposed one.
// The heads keep f32 in any precision, for the gradient of a loss that is nearly minimal drowns in
// bf16's rounding; in bf16 the tensor cores multiply them as TF32.
#include "gpu/cuda/cuda.h"

struct linear {
    struct stage base;
    struct trained *weight, *bias;
};

struct matrix {
    const float *data;
    int wide; // elements from row to row
};

// C (m x n, row major) = op(A) op(B), summed over k.
static int multiply(struct plan *p, int m, int n, int k, struct matrix a, int turn_a,
                    struct matrix b, int turn_b, float *c, struct error *e)
{
    const float one = 1, zero = 0;
    cublasComputeType_t how =
        p->type == CUDA_BF16 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    return cuda_blas_ok(cublasGemmEx(card(p)->blas, turn_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                                     turn_a ? CUBLAS_OP_T : CUBLAS_OP_N, n, m, k, &one, b.data,
                                     CUDA_R_32F, b.wide, a.data, CUDA_R_32F, a.wide, &zero, c,
                                     CUDA_R_32F, n, how, CUBLAS_GEMM_DEFAULT),
                        "linear layer", e);
}

static struct matrix weights(const struct linear *l)
{
    return (struct matrix){l->weight->w, l->base.in->c};
}

static int run_forward(struct plan *p, const struct op *op, struct error *e)
{
    const struct linear *l = (const struct linear *)op->stage;
    int rows = plan_views(op) * p->batch, in = l->base.in->c, out = l->base.out->c;
    struct matrix x = {l->base.in->data[0], in};
    float *y = l->base.out->data[0];
    if (multiply(p, rows, out, in, x, 0, weights(l), 1, y, e) < 0)
        return -1;
    return l->bias ? cuda_ok(cuda_bias(y, l->bias->w, rows, out, card(p)->main), "bias", e) : 0;
}

static int run_backward(struct plan *p, const struct op *op, struct error *e)
{
    const struct linear *l = (const struct linear *)op->stage;
    int rows = plan_views(op) * p->batch, in = l->base.in->c, out = l->base.out->c;
    struct matrix x = {l->base.in->data[0], in}, dy = {op->a, out};
    if (multiply(p, out, in, rows, dy, 1, x, 0, l->weight->g, e) < 0)
        return -1;
    if (l->bias && cuda_ok(cuda_bias_gradient(l->bias->g, op->a, rows, out, card(p)->main),
                           "gradient of a bias", e) < 0)
        return -1;
    return op->out ? multiply(p, rows, in, out, dy, 0, weights(l), 0, op->out, e) : 0;
}

static void cost(const struct plan *p, struct op *op)
{
    const struct stage *s = op->stage;
    double macs = (double)plan_views(op) * p->batch * s->in->c * s->out->c;
    op->flops = op->a ? (op->out ? 4 : 2) * macs : 2 * macs; // backward: of weights and of input
}

static int linear_backward(struct plan *p, struct stage *s, int view, struct grad *g,
                           struct grad *dx, struct op_list *list, struct error *e)
{
    struct op *op = plan_op(list, s, view, run_backward, e);
    if (!op)
        return -1;
    op->a = g->data;
    op->out = dx ? dx->data : NULL;
    cost(p, op);
    return 0;
}

static int linear_init(struct plan *p, struct stage *s, struct error *e)
{
    struct linear *l = (struct linear *)s;
    const struct node *d = s->node;
    if (!s->in->rows)
        return error_set(e, "%s does not take rows of numbers: that is not possible on the GPU",
                         d->name);
    if (!(l->weight = cuda_trained(p, d, PARAM_WEIGHT, 0, e)) ||
        (d->bias && !(l->bias = cuda_trained(p, d, PARAM_BIAS, 0, e))))
        return -1;
    return 0;
}

const struct stage_kind cuda_linear_kind = {.name = "linear",
                                            .size = sizeof(struct linear),
                                            .init = linear_init,
                                            .forward = run_forward,
                                            .add_backward = linear_backward,
                                            .cost = cost};
