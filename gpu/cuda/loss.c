// The loss, queued as the method says it (gpu/loss.h): its value goes to the host with the forward
// pass, its gradients begin the backward pass. Beside it the spread of the projections' directions.
// Of a batch that ranks share each works its own images; what adds over images is added over the
// ranks: the sums that value and spread are made of at once, all others where they are.
#include "gpu/cuda/reduce.h"
#include "gpu/loss.h"
#include "gpu/ranks/ranks.h"

struct cuda_loss {
    struct stage stage; // of none of the nodes
    struct loss is;
    float *data[LOSS_MATRICES];
    double *cosine, *mean, *part, *inverse; // work
    double *sums, *directions;              // of each term, and behind them
    double *scores;                         // loss, zstd
    struct cuda_terms terms;                // what the sums come to
};

static size_t elements(const struct cuda_loss *l, int m)
{
    return (size_t)l->is.matrix[m].rows * (size_t)l->is.matrix[m].cols;
}

// --- operations ---
struct work {
    struct plan *p;
    struct cuda_loss *l;
    const struct loss_step *s;
    float *out;
    const float *a, *b;
    double *sum; // where a term's goes
};

static int of_ranks(const struct plan *p)
{
    return p->ranks ? p->ranks->size : 1;
}

// What a step gives is added over the ranks.
static int is_shared(const struct plan *p, const struct loss_step *s)
{
    return s->across && p->whole > p->batch;
}

static int cosine(const struct work *w, struct error *e)
{
    const struct loss_matrix *a = &w->l->is.matrix[w->s->a];
    return cuda_ok(
        cuda_cosine(w->a, w->b, a->rows, a->cols, w->l->cosine, w->sum, card(w->p)->main), "loss",
        e);
}

static int cosine_gradient(const struct work *w, struct error *e)
{
    const struct loss_matrix *a = &w->l->is.matrix[w->s->a];
    double scale = w->s->alpha * ((double)a->rows / w->p->whole);
    return cuda_ok(
        cuda_cosine_gradient(w->out, w->a, w->b, a->rows, a->cols, scale, card(w->p)->main),
        "gradient of the loss", e);
}

// cuBLAS sees each row-major matrix as the transposed one. In f32 in any precision: what is nearly
// minimal is a small difference of large numbers.
static int product(const struct work *w, struct error *e)
{
    const struct loss_step *s = w->s;
    const struct loss_matrix *a = &w->l->is.matrix[s->a], *b = &w->l->is.matrix[s->b],
                             *out = &w->l->is.matrix[s->out];
    const float alpha = (float)s->alpha, beta = (float)s->beta;
    int rc =
        cuda_blas_ok(cublasGemmEx(card(w->p)->blas, s->turn_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                                  s->turn_a ? CUBLAS_OP_T : CUBLAS_OP_N, out->cols, out->rows,
                                  s->turn_a ? a->rows : a->cols, &alpha, w->b, CUDA_R_32F, b->cols,
                                  w->a, CUDA_R_32F, a->cols, &beta, w->out, CUDA_R_32F, out->cols,
                                  CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
                     "product of the loss", e);
    return rc < 0 || !is_shared(w->p, s)
               ? rc
               : reduce_add(w->p, w->out, elements(w->l, s->out), NCCL_F32, e);
}

static int centre(const struct work *w, struct error *e)
{
    const struct loss_matrix *a = &w->l->is.matrix[w->s->a];
    int together = is_shared(w->p, w->s), n = together ? w->p->whole : a->rows;
    cudaStream_t s = card(w->p)->main;
    return cuda_ok(cuda_means(w->l->mean, w->a, a->rows, a->cols, n, s), "loss", e) < 0 ||
                   (together && reduce_add(w->p, w->l->mean, (size_t)a->cols, NCCL_F64, e) < 0)
               ? -1
               : cuda_ok(cuda_centre_rows(w->out, w->l->mean, w->a, a->rows, a->cols, s), "loss",
                         e);
}

static int combine(const struct work *w, struct error *e)
{
    return cuda_ok(cuda_combine(w->out, w->s->alpha, w->a, w->s->beta, w->b,
                                elements(w->l, w->s->out), card(w->p)->main),
                   "loss", e);
}

static int multiply(const struct work *w, struct error *e)
{
    return cuda_ok(
        cuda_multiply(w->out, w->s->alpha, w->a, w->b, elements(w->l, w->s->out), card(w->p)->main),
        "loss", e);
}

static int apply(const struct work *w, struct error *e)
{
    return cuda_ok(cuda_apply(w->out, w->s->f, w->s->alpha, w->a, w->s->beta,
                              elements(w->l, w->s->out), card(w->p)->main),
                   "loss", e);
}

static int diagonal(const struct work *w, struct error *e)
{
    int n = w->l->is.matrix[w->s->a].cols;
    return cuda_ok(cuda_strided(w->out, 1, w->a, n + 1, n, card(w->p)->main), "loss", e);
}

static int put_diagonal(const struct work *w, struct error *e)
{
    int n = w->l->is.matrix[w->s->a].cols;
    return cuda_ok(cuda_strided(w->out, n + 1, w->a, 1, n, card(w->p)->main), "loss", e);
}

static int sum(const struct work *w, struct error *e)
{
    return cuda_ok(
        cuda_dot(w->a, w->b, elements(w->l, w->s->a), w->l->part, w->sum, card(w->p)->main), "loss",
        e);
}

static int (*const works[LOSS_OPS])(const struct work *w, struct error *e) = {
    [LOSS_COSINE] = cosine,   [LOSS_COSINE_GRADIENT] = cosine_gradient,
    [LOSS_PRODUCT] = product, [LOSS_CENTRE] = centre,
    [LOSS_COMBINE] = combine, [LOSS_MULTIPLY] = multiply,
    [LOSS_APPLY] = apply,     [LOSS_DIAGONAL] = diagonal,
    [LOSS_SUM] = sum,         [LOSS_PUT_DIAGONAL] = put_diagonal,
};

static int is_term(const struct loss_step *s)
{
    return s->op == LOSS_COSINE || s->op == LOSS_SUM;
}

static int run(struct plan *p, struct cuda_loss *l, const struct loss_step *step, int n,
               struct error *e)
{
    double *sum = l->sums;
    for (int i = 0; i < n; i++) {
        const struct loss_step *s = &step[i];
        struct work w = {p,
                         l,
                         s,
                         s->out < 0 ? NULL : l->data[s->out],
                         l->data[s->a],
                         s->b < 0 ? NULL : l->data[s->b],
                         sum};
        if (works[s->op](&w, e) < 0)
            return -1;
        sum += is_term(s);
    }
    return 0;
}

// Both views' sums and sums of squares of the projections' directions.
static size_t directions(const struct plan *p)
{
    return VIEWS * 2 * (size_t)p->net.node[p->net.projected].c;
}

static int run_value(struct plan *p, const struct op *op, struct error *e)
{
    struct cuda_loss *l = (struct cuda_loss *)op->stage;
    const struct tensor *z = p->tensor[p->net.projected];
    cudaStream_t s = card(p)->main;
    if (run(p, l, l->is.value, l->is.n_value, e) < 0 ||
        cuda_ok(cuda_directions(z->data[0], p->batch, z->c, l->inverse, l->directions, s), "z-std",
                e) < 0 ||
        (p->ranks && reduce_add(p, l->sums, (size_t)l->terms.n + directions(p), NCCL_F64, e) < 0) ||
        cuda_ok(cuda_score(&l->terms, l->sums, l->directions, p->batch * of_ranks(p), z->c,
                           l->scores, l->scores + 1, s),
                "loss", e) < 0)
        return -1;
    return cuda_ok(
        cudaMemcpyAsync(p->own->scores, l->scores, 2 * sizeof(double), cudaMemcpyDeviceToHost, s),
        "loss", e);
}

static int run_gradient(struct plan *p, const struct op *op, struct error *e)
{
    struct cuda_loss *l = (struct cuda_loss *)op->stage;
    for (int v = 0; v < VIEWS; v++)
        if (run(p, l, l->is.gradient[v], l->is.n_gradient[v], e) < 0)
            return -1;
    return 0;
}

// --- compiling ---
// Where a view begins in what holds both.
static float *view_of(void *both, const struct loss_matrix *m)
{
    return (float *)both + (m->view > 0 ? (size_t)m->rows * (size_t)m->cols : 0);
}

static int place(struct plan *p, struct cuda_loss *l, struct error *e)
{
    size_t n = VIEWS * (size_t)p->batch, most = (size_t)p->net.node[p->net.projected].c;
    for (int m = 0; m < l->is.n_matrix; m++) {
        const struct loss_matrix *x = &l->is.matrix[m];
        most = (size_t)x->cols > most ? (size_t)x->cols : most;
        if (x->source == LOSS_OUTPUT && !p->tensor[x->node]->rows)
            return error_set(e, "the loss takes rows of f32 on the GPU");
        if (x->source == LOSS_OUTPUT)
            l->data[m] = view_of(p->tensor[x->node]->data[0], x);
        else if (x->source == LOSS_WORK &&
                 !(l->data[m] = cuda_take(p, elements(l, m) * sizeof(float), e)))
            return -1;
    }
    l->cosine = cuda_take(p, n * sizeof(double), e);
    l->inverse = cuda_take(p, n * sizeof(double), e);
    l->mean = cuda_take(p, most * sizeof(double), e);
    l->sums = cuda_take(p, ((size_t)l->terms.n + directions(p)) * sizeof(double), e);
    l->directions = l->sums + l->terms.n;
    l->part = cuda_take(p, DOT_PARTS * sizeof(double), e);
    l->scores = cuda_take(p, 2 * sizeof(double), e);
    return l->cosine && l->inverse && l->mean && l->sums && l->part && l->scores ? 0 : -1;
}

// A sum over all ranks' images is of the whole batch; where each has a loss of its own, and where
// all have the same numbers, it is a mean over them.
static void set_terms(const struct plan *p, struct cuda_loss *l)
{
    for (int i = 0; i < l->is.n_value; i++) {
        const struct loss_step *s = &l->is.value[i];
        if (s->op == LOSS_COSINE)
            l->terms.term[l->terms.n++] =
                (struct cuda_term){s->alpha, s->beta, p->batch * of_ranks(p)};
        if (s->op == LOSS_SUM)
            l->terms.term[l->terms.n++] =
                (struct cuda_term){is_shared(p, s) ? s->alpha : s->alpha / of_ranks(p), 0, 0};
    }
}

int cuda_loss_value(struct plan *p, int view, struct op_list *list, struct error *e)
{
    static const struct stage_kind kind = {.name = "loss"};
    static const struct node none = {.name = ""};
    struct cuda_loss *l = p->own->loss_is = plan_heap(p, sizeof *l, e);
    if (!l || loss_describe(&p->net, p->whole, &l->is, e) < 0 ||
        loss_share(&l->is, p->batch, e) < 0)
        return -1;
    set_terms(p, l);
    if (place(p, l, e) < 0)
        return -1;
    l->stage = (struct stage){.kind = &kind, .node = &none};
    return plan_op(list, &l->stage, view, run_value, e) ? 0 : -1;
}

// Both views of a gradient lie in one buffer, as those of an output do.
int cuda_loss_gradient(struct plan *p, int view, struct op_list *list, struct error *e)
{
    struct cuda_loss *l = p->own->loss_is;
    struct grad *grad[LOSS_MATRICES] = {NULL};
    for (int m = 0; m < l->is.n_matrix; m++) {
        const struct loss_matrix *x = &l->is.matrix[m];
        if (x->source != LOSS_GRADIENT)
            continue;
        if (x->view == 0 && !(grad[m] = plan_grad_take(p, plan_bytes(p->tensor[x->node]), e)))
            return -1;
        l->data[m] = view_of(grad[m - x->view]->data, x);
    }
    if (!plan_op(list, &l->stage, view, run_gradient, e))
        return -1;
    for (int m = 0; m < l->is.n_matrix; m++)
        if (grad[m] && plan_grad_give(p->tensor[l->is.matrix[m].node], grad[m], e) < 0)
            return -1;
    return 0;
}
