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
static int multiply(struct cuda_plan *p, int m, int n, int k, struct matrix a, int turn_a,
                    struct matrix b, int turn_b, float *c, struct error *e)
{
    const float one = 1, zero = 0;
    cublasComputeType_t how =
        p->type == CUDA_BF16 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    return cuda_blas_ok(cublasGemmEx(p->device->blas, turn_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                                     turn_a ? CUBLAS_OP_T : CUBLAS_OP_N, n, m, k, &one, b.data,
                                     CUDA_R_32F, b.wide, a.data, CUDA_R_32F, a.wide, &zero, c,
                                     CUDA_R_32F, n, how, CUBLAS_GEMM_DEFAULT),
                        "linear layer", e);
}

static struct matrix weights(const struct linear *l)
{
    return (struct matrix){l->weight->w, l->base.in->c};
}

static int run_forward(struct cuda_plan *p, const struct op *op, struct error *e)
{
    const struct linear *l = (const struct linear *)op->stage;
    int rows = op->views * p->batch, in = l->base.in->c, out = l->base.out->c;
    struct matrix x = {l->base.in->data, in};
    float *y = l->base.out->data;
    if (multiply(p, rows, out, in, x, 0, weights(l), 1, y, e) < 0)
        return -1;
    return l->bias ? cuda_ok(cuda_bias(y, l->bias->w, rows, out, p->device->main), "bias", e) : 0;
}

static int run_backward(struct cuda_plan *p, const struct op *op, struct error *e)
{
    const struct linear *l = (const struct linear *)op->stage;
    int rows = op->views * p->batch, in = l->base.in->c, out = l->base.out->c;
    struct matrix x = {l->base.in->data, in}, dy = {op->a, out};
    if (multiply(p, out, in, rows, dy, 1, x, 0, l->weight->g, e) < 0)
        return -1;
    if (l->bias && cuda_ok(cuda_bias_gradient(l->bias->g, op->a, rows, out, p->device->main),
                           "gradient of a bias", e) < 0)
        return -1;
    return op->out ? multiply(p, rows, in, out, dy, 0, weights(l), 0, op->out, e) : 0;
}

static int linear_forward(struct cuda_plan *p, struct stage *s, int views, struct op_list *list,
                          struct error *e)
{
    struct op *op = cuda_op(list, s, views, run_forward, e);
    if (!op)
        return -1;
    op->flops = 2.0 * views * p->batch * s->in->c * s->out->c;
    return 0;
}

static int linear_backward(struct cuda_plan *p, struct stage *s, struct op_list *list,
                           struct error *e)
{
    struct grad *g = cuda_grad_of(p, s, list, e), *dx = NULL;
    if (g && s->in->wants_grad)
        dx = cuda_grad_take(p, tensor_size(s->in), e);
    struct op *op =
        g && (dx || !s->in->wants_grad) ? cuda_op(list, s, VIEWS, run_backward, e) : NULL;
    if (!op)
        return -1;
    op->a = g->data;
    op->out = dx ? dx->data : NULL;
    op->flops = (dx ? 4.0 : 2.0) * VIEWS * p->batch * s->in->c * s->out->c;
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
    if (in->type != CUDA_F32) {
        error_set(e, "%s does not take rows of numbers: that is not possible on the GPU", d->name);
        return NULL;
    }
    l->base = (struct stage){&linear_kind, d, in, NULL, out};
    if (!(l->weight = cuda_trained(p, d, PARAM_WEIGHT, 0, e)) ||
        (d->bias && !(l->bias = cuda_trained(p, d, PARAM_BIAS, 0, e))))
        return NULL;
    return &l->base;
}
