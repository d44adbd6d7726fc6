// The loss, worked as the method says it (gpu/loss.h): its value after both forward passes, its
// gradients at the start of each view's backward pass; and the spread of the projections'
// directions, which every method is looked at by. Of a batch that ranks share each works its own
// images; what adds over images is added over the ranks.
#include <math.h>

#include "gpu/cpu/onednn.h"
#include "gpu/loss.h"
#include "gpu/ranks/ranks.h"

struct cpu_loss {
    struct stage stage; // of none of the nodes
    struct loss is;
    float *data[LOSS_MATRICES];
    double *dots, *work; // p.p, z.z, p.z of each row; 2 numbers a column and view
    float *beside;       // for the largest product that is added over ranks
    double value;
};

static size_t elements(const struct cpu_loss *l, int m)
{
    return (size_t)l->is.matrix[m].rows * (size_t)l->is.matrix[m].cols;
}

// --- operations ---
typedef int work(struct plan *p, struct cpu_loss *l, const struct loss_step *s, struct error *e);

// What a step gives is added over the ranks.
static int is_shared(const struct plan *p, const struct loss_step *s)
{
    return s->across && p->whole > p->batch;
}

// Numbers of a matrix, and what a sum over ranks needs behind them.
static size_t room(const struct plan *p, const struct cpu_loss *l, int m)
{
    return p->ranks ? ranks_sum_length(p->ranks, elements(l, m)) : elements(l, m);
}

static const double NORM_FLOOR = 1e-8; // PyTorch's cosine_similarity

static int cosine(struct plan *p, struct cpu_loss *l, const struct loss_step *s, struct error *e)
{
    int n = p->batch, c = l->is.matrix[s->a].cols;
    double sum[VIEWS], loss = 0;
    for (int v = 0; v < VIEWS; v++) {
        p->own->k->cosine_dots(l->dots, l->data[s->a + v], l->data[s->b + !v], n, c,
                               p->own->threads);
        sum[v] = 0;
        for (int i = 0; i < n; i++) {
            const double *d = l->dots + 3 * (size_t)i;
            double np = sqrt(d[0]), nz = sqrt(d[1]);
            sum[v] +=
                d[2] / ((np < NORM_FLOOR ? NORM_FLOOR : np) * (nz < NORM_FLOOR ? NORM_FLOOR : nz));
        }
    }
    if (is_shared(p, s) && ranks_add(p->ranks, sum, VIEWS, e) < 0)
        return -1;
    for (int v = 0; v < VIEWS; v++)
        loss -= 0.5 * sum[v] / p->whole;
    // Rounding may leave the range by an ulp; NaN fails both comparisons and stays.
    loss = loss > 1 ? 1 : loss < -1 ? -1 : loss;
    l->value += s->beta + s->alpha * loss;
    return 0;
}

static int cosine_gradient(struct plan *p, struct cpu_loss *l, const struct loss_step *s,
                           struct error *e)
{
    int n = p->batch, c = l->is.matrix[s->a].cols;
    const float *a = l->data[s->a], *b = l->data[s->b];
    p->own->k->cosine_dots(l->dots, a, b, n, c, p->own->threads);
    p->own->k->cosine_backward(l->data[s->out], l->dots, a, b, n, c, s->alpha * n / p->whole,
                               p->own->threads);
    return 0;
}

static int product(struct plan *p, struct cpu_loss *l, const struct loss_step *s, struct error *e)
{
    const struct loss_matrix *out = &l->is.matrix[s->out], *a = &l->is.matrix[s->a],
                             *b = &l->is.matrix[s->b];
    const struct onednn_product is = {
        .m = out->rows,
        .n = out->cols,
        .k = s->turn_a ? a->rows : a->cols,
        .turn_a = s->turn_a,
        .turn_b = s->turn_b,
        .lda = a->cols,
        .ldb = b->cols,
        .ldc = out->cols,
        .alpha = (float)s->alpha,
        .beta = (float)s->beta,
    };
    if (onednn_multiply(&is, l->data[s->a], l->data[s->b], l->data[s->out], e) < 0)
        return -1;
    if (!is_shared(p, s))
        return 0;
    struct ranks_sum all = {.number = RANKS_FLOAT,
                            .channel = RANKS_BESIDE,
                            .data = l->data[s->out],
                            .work = l->beside,
                            .part = room(p, l, s->out) / (size_t)p->ranks->size,
                            .factor = 1};
    return ranks_sum_start(p->ranks, &all, e) < 0 ? -1 : ranks_sum_finish(p->ranks, &all, e);
}

static int centre(struct plan *p, struct cpu_loss *l, const struct loss_step *s, struct error *e)
{
    const struct loss_matrix *a = &l->is.matrix[s->a];
    size_t cols = (size_t)a->cols;
    const float *x = l->data[s->a];
    p->own->k->centre(l->data[s->out], x, a->rows, a->cols, l->work, p->own->threads);
    if (!is_shared(p, s))
        return 0;
    if (ranks_add(p->ranks, l->work, cols, e) < 0) // means, each of as many
        return -1;
    for (size_t i = 0; i < (size_t)a->rows; i++)
        for (size_t j = 0; j < cols; j++)
            l->data[s->out][i * cols + j] = (float)(x[i * cols + j] - l->work[j] / p->ranks->size);
    return 0;
}

static int combine(struct plan *p, struct cpu_loss *l, const struct loss_step *s, struct error *e)
{
    p->own->k->combine(l->data[s->out], (float)s->alpha, l->data[s->a], (float)s->beta,
                       l->data[s->b], elements(l, s->out), p->own->threads);
    return 0;
}

static int multiply(struct plan *p, struct cpu_loss *l, const struct loss_step *s, struct error *e)
{
    p->own->k->multiply(l->data[s->out], (float)s->alpha, l->data[s->a], l->data[s->b],
                        elements(l, s->out), p->own->threads);
    return 0;
}

static float function(enum loss_function f, float x)
{
    return f == LOSS_ROOT       ? sqrtf(x)
           : f == LOSS_INVERSE  ? 1 / x
           : f == LOSS_POSITIVE ? (x < 0 ? 0 : x)
           : f == LOSS_STEP     ? (float)(x > 0)
                                : x;
}

static int apply(struct plan *p, struct cpu_loss *l, const struct loss_step *s, struct error *e)
{
    (void)p;
    for (size_t i = 0; i < elements(l, s->out); i++)
        l->data[s->out][i] = function(s->f, (float)s->alpha * l->data[s->a][i] + (float)s->beta);
    return 0;
}

static int diagonal(struct plan *p, struct cpu_loss *l, const struct loss_step *s, struct error *e)
{
    size_t n = (size_t)l->is.matrix[s->a].cols;
    (void)p;
    for (size_t i = 0; i < n; i++)
        l->data[s->out][i] = l->data[s->a][i * (n + 1)];
    return 0;
}

static int put_diagonal(struct plan *p, struct cpu_loss *l, const struct loss_step *s,
                        struct error *e)
{
    size_t n = (size_t)l->is.matrix[s->a].cols;
    (void)p;
    for (size_t i = 0; i < n; i++)
        l->data[s->out][i * (n + 1)] = l->data[s->a][i];
    return 0;
}

static int sum(struct plan *p, struct cpu_loss *l, const struct loss_step *s, struct error *e)
{
    double sum = p->own->k->dot(l->data[s->a], l->data[s->b], elements(l, s->a), p->own->partial,
                                p->own->threads);
    if (is_shared(p, s) && ranks_add(p->ranks, &sum, 1, e) < 0)
        return -1;
    l->value += s->alpha * sum;
    return 0;
}

static work *const works[LOSS_OPS] = {
    [LOSS_COSINE] = cosine,   [LOSS_COSINE_GRADIENT] = cosine_gradient,
    [LOSS_PRODUCT] = product, [LOSS_CENTRE] = centre,
    [LOSS_COMBINE] = combine, [LOSS_MULTIPLY] = multiply,
    [LOSS_APPLY] = apply,     [LOSS_DIAGONAL] = diagonal,
    [LOSS_SUM] = sum,         [LOSS_PUT_DIAGONAL] = put_diagonal,
};

static int run(struct plan *p, struct cpu_loss *l, const struct loss_step *step, int n,
               struct error *e)
{
    for (int i = 0; i < n; i++)
        if (works[step[i].op](p, l, &step[i], e) < 0)
            return -1;
    return 0;
}

// Mean over dimensions of std(z / |z|), times sqrt(dim), mean of the two views: of all ranks'
// images in any case.
static int spread(struct plan *p, const struct cpu_loss *l, double *out, struct error *e)
{
    const struct tensor *z = p->tensor[p->net.projected];
    size_t c = (size_t)z->c;
    double sum = 0;
    for (int v = 0; v < VIEWS; v++) {
        p->own->k->cosine_dots(l->dots, z->data[v], z->data[v], p->batch, z->c, p->own->threads);
        p->own->k->direction_sums(l->dots, z->data[v], p->batch, z->c, l->work + (size_t)v * 2 * c);
    }
    if (p->ranks && ranks_add(p->ranks, l->work, VIEWS * 2 * c, e) < 0)
        return -1;
    int n = p->ranks ? p->batch * p->ranks->size : p->batch;
    for (int v = 0; v < VIEWS; v++)
        sum += p->own->k->direction_std(l->work + (size_t)v * 2 * c, n, z->c);
    *out = sum / VIEWS / z->c * sqrt((double)z->c);
    return 0;
}

static int run_value(struct plan *p, const struct op *op, struct error *e)
{
    struct cpu_loss *l = (struct cpu_loss *)op->stage;
    l->value = 0;
    if (run(p, l, l->is.value, l->is.n_value, e) < 0 || spread(p, l, &p->scores.zstd, e) < 0)
        return -1;
    if (p->ranks && p->whole == p->batch) { // a loss of each
        if (ranks_add(p->ranks, &l->value, 1, e) < 0)
            return -1;
        l->value /= p->ranks->size;
    }
    p->scores.loss = l->value;
    return 0;
}

static int run_gradient(struct plan *p, const struct op *op, struct error *e)
{
    struct cpu_loss *l = (struct cpu_loss *)op->stage;
    return run(p, l, l->is.gradient[op->view], l->is.n_gradient[op->view], e);
}

// --- compiling ---
int cpu_loss_value(struct plan *p, int view, struct op_list *list, struct error *e)
{
    static const struct stage_kind kind = {.name = "loss"};
    struct cpu_loss *l = p->own->loss_is = plan_heap(p, sizeof *l, e);
    if (!l || loss_describe(&p->net, p->whole, &l->is, e) < 0 ||
        loss_share(&l->is, p->batch, e) < 0)
        return -1;
    l->stage.kind = &kind;
    size_t beside = 0;
    int most = p->net.node[p->net.projected].c;
    for (int m = 0; m < l->is.n_matrix; m++) {
        const struct loss_matrix *x = &l->is.matrix[m];
        most = x->cols > most ? x->cols : most;
        if (x->source == LOSS_OUTPUT)
            l->data[m] = p->tensor[x->node]->data[x->view];
        else if (x->source == LOSS_WORK &&
                 !(l->data[m] = cpu_take(p, room(p, l, m) * sizeof(float), e)))
            return -1;
        if (x->source == LOSS_WORK && !x->images && room(p, l, m) > beside)
            beside = room(p, l, m);
        if (x->source == LOSS_OUTPUT && !p->tensor[x->node]->rows)
            return error_set(e, "the loss takes rows of numbers");
    }
    l->dots = cpu_take(p, 3 * (size_t)p->batch * sizeof *l->dots, e);
    l->work = cpu_take(p, VIEWS * 2 * (size_t)most * sizeof *l->work, e);
    if (p->whole > p->batch && beside && !(l->beside = cpu_take(p, beside * sizeof(float), e)))
        return -1;
    return l->dots && l->work && plan_op(list, &l->stage, view, run_value, e) ? 0 : -1;
}

int cpu_loss_gradient(struct plan *p, int view, struct op_list *list, struct error *e)
{
    struct cpu_loss *l = p->own->loss_is;
    struct grad *grad[LOSS_MATRICES] = {NULL};
    for (int m = 0; m < l->is.n_matrix; m++) {
        const struct loss_matrix *x = &l->is.matrix[m];
        if (x->source != LOSS_GRADIENT || x->view != view)
            continue;
        if (!(grad[m] = plan_grad_take(p, elements(l, m) * sizeof(float), e)))
            return -1;
        l->data[m] = grad[m]->data;
    }
    if (!plan_op(list, &l->stage, view, run_gradient, e))
        return -1;
    for (int m = 0; m < l->is.n_matrix; m++)
        if (grad[m] && plan_grad_give(p->tensor[l->is.matrix[m].node], grad[m], e) < 0)
            return -1;
    return 0;
}
