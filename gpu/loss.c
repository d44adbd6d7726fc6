// Losses described; see loss.h. Shapes are checked as they are said.
#include "gpu/loss.h"

#include <string.h>

static int matrix(struct loss *l, enum loss_source source, int node, int view, int rows, int cols)
{
    if (l->error.text[0])
        return -1;
    if (l->n_matrix == LOSS_MATRICES || rows < 1 || cols < 1)
        return error_set(&l->error, "a loss of more matrices than %d, or of an empty one",
                         LOSS_MATRICES);
    l->matrix[l->n_matrix] =
        (struct loss_matrix){source, node, view, rows, cols, .images = source != LOSS_WORK};
    return l->n_matrix++;
}

// Both views of a node that the devices keep; the number of the first.
static int pair(struct loss *l, enum loss_source source, int node)
{
    const struct net *net = l->net;
    if (node < 0 || (node != net->projected && node != net->predicted)) {
        error_set(&l->error, "a loss takes what the heads end in");
        return -1;
    }
    int first = matrix(l, source, node, 0, l->batch, net->node[node].c);
    return matrix(l, source, node, 1, l->batch, net->node[node].c) < 0 ? -1 : first;
}

int loss_output(struct loss *l, int node)
{
    return pair(l, LOSS_OUTPUT, node);
}

int loss_gradient(struct loss *l, int node)
{
    return pair(l, LOSS_GRADIENT, node);
}

int loss_work(struct loss *l, int rows, int cols)
{
    return matrix(l, LOSS_WORK, -1, -1, rows, cols);
}

int loss_columns(const struct loss *l, int m)
{
    return m < 0 ? 0 : l->matrix[m].cols;
}

static int is_matrix(const struct loss *l, int m)
{
    return m >= 0 && m < l->n_matrix;
}

// Whether m is rows x cols.
static int has(const struct loss *l, int m, int rows, int cols)
{
    return is_matrix(l, m) && l->matrix[m].rows == rows && l->matrix[m].cols == cols;
}

static int alike(const struct loss *l, int a, int b)
{
    return is_matrix(l, a) && has(l, b, l->matrix[a].rows, l->matrix[a].cols);
}

static int of_images(const struct loss *l, int m)
{
    return m >= 0 && l->matrix[m].images;
}

// Whether a step adds over images, and whether it gives a row of each; -1 where part of the images
// would not do: it takes some of one image into the row of another.
static int travels(const struct loss *l, const struct loss_step *s, int *images)
{
    int a = of_images(l, s->a), b = of_images(l, s->b);
    *images = a;
    switch (s->op) {
    case LOSS_PRODUCT:
        *images = a && !s->turn_a;
        if (a && s->turn_a)
            return b && !s->turn_b && s->beta == 0 ? 1 : -1;
        return b ? -1 : 0;
    case LOSS_CENTRE:
    case LOSS_SUM:
    case LOSS_COSINE:
        return a;
    case LOSS_COMBINE:
    case LOSS_MULTIPLY:
    case LOSS_COSINE_GRADIENT:
        return a == b ? 0 : -1;
    case LOSS_DIAGONAL:
    case LOSS_PUT_DIAGONAL:
        return a || of_images(l, s->out) ? -1 : 0;
    default:
        return 0;
    }
}

// Where a step belongs: to the view whose gradient it writes, or to the value.
static int add(struct loss *l, int fits, struct loss_step s)
{
    if (l->error.text[0])
        return -1;
    const struct loss_matrix *out = s.out >= 0 ? &l->matrix[s.out] : NULL;
    int view = out && out->source == LOSS_GRADIENT ? out->view : -1;
    int *n = view < 0 ? &l->n_value : &l->n_gradient[view];
    int images = 0;
    if (!fits || (out && out->source == LOSS_OUTPUT) || *n == LOSS_STEPS)
        return error_set(&l->error, "step %d of a loss does not fit its matrices", *n);
    s.across = travels(l, &s, &images);
    if (out && out->source == LOSS_WORK)
        l->matrix[s.out].images = images;
    else if (out && !images)
        s.across = -1;
    (view < 0 ? l->value : l->gradient[view])[(*n)++] = s;
    return s.out;
}

int loss_product(struct loss *l, int out, double alpha, int a, int turn_a, int b, int turn_b,
                 double beta)
{
    int fits = is_matrix(l, a) && is_matrix(l, b) && out != a && out != b;
    if (fits) {
        const struct loss_matrix *x = &l->matrix[a], *y = &l->matrix[b];
        fits = (turn_a ? x->rows : x->cols) == (turn_b ? y->cols : y->rows) &&
               has(l, out, turn_a ? x->cols : x->rows, turn_b ? y->rows : y->cols);
    }
    return add(l, fits,
               (struct loss_step){.op = LOSS_PRODUCT,
                                  .out = out,
                                  .a = a,
                                  .b = b,
                                  .turn_a = turn_a,
                                  .turn_b = turn_b,
                                  .alpha = alpha,
                                  .beta = beta});
}

int loss_centre(struct loss *l, int out, int a)
{
    return add(l, alike(l, out, a), (struct loss_step){LOSS_CENTRE, .out = out, .a = a, .b = -1});
}

int loss_combine(struct loss *l, int out, double alpha, int a, double beta, int b)
{
    return add(
        l, alike(l, out, a) && alike(l, out, b),
        (struct loss_step){LOSS_COMBINE, .out = out, .a = a, .b = b, .alpha = alpha, .beta = beta});
}

int loss_multiply(struct loss *l, int out, double alpha, int a, int b)
{
    return add(l, alike(l, out, a) && alike(l, out, b),
               (struct loss_step){LOSS_MULTIPLY, .out = out, .a = a, .b = b, .alpha = alpha});
}

int loss_apply(struct loss *l, int out, enum loss_function f, double alpha, int a, double beta)
{
    return add(l, alike(l, out, a),
               (struct loss_step){LOSS_APPLY, .out = out, .a = a, .b = -1, .f = f, .alpha = alpha,
                                  .beta = beta});
}

// Whether `diagonal` is as long as `square` is wide and high.
static int crosses(const struct loss *l, int diagonal, int square)
{
    int n = is_matrix(l, square) ? l->matrix[square].cols : 0;
    return has(l, square, n, n) && has(l, diagonal, 1, n);
}

int loss_diagonal(struct loss *l, int out, int a)
{
    return add(l, crosses(l, out, a),
               (struct loss_step){LOSS_DIAGONAL, .out = out, .a = a, .b = -1});
}

int loss_put_diagonal(struct loss *l, int out, int a)
{
    return add(l, crosses(l, a, out),
               (struct loss_step){LOSS_PUT_DIAGONAL, .out = out, .a = a, .b = -1});
}

void loss_sum(struct loss *l, double alpha, int a, int b)
{
    add(l, alike(l, a, b), (struct loss_step){LOSS_SUM, .out = -1, .a = a, .b = b, .alpha = alpha});
}

void loss_cosine(struct loss *l, double scale, double offset, int p, int z)
{
    int fits = alike(l, p, z) && alike(l, p + 1, z + 1) && l->matrix[p].source == LOSS_OUTPUT &&
               l->matrix[z].source == LOSS_OUTPUT && !l->matrix[p].view && !l->matrix[z].view;
    add(l, fits,
        (struct loss_step){LOSS_COSINE, .out = -1, .a = p, .b = z, .alpha = scale, .beta = offset});
}

int loss_cosine_gradient(struct loss *l, int out, double scale, int a, int b)
{
    return add(
        l, alike(l, out, a) && alike(l, out, b),
        (struct loss_step){LOSS_COSINE_GRADIENT, .out = out, .a = a, .b = b, .alpha = scale});
}

// Every gradient is written before the network takes it: first as a whole, without beta.
static int is_written(const struct loss *l, int m)
{
    int view = l->matrix[m].view;
    for (int i = 0; i < l->n_gradient[view]; i++) {
        const struct loss_step *s = &l->gradient[view][i];
        if (s->out == m)
            return s->op != LOSS_PUT_DIAGONAL && (s->op != LOSS_PRODUCT || s->beta == 0) &&
                   s->a != m && s->b != m;
    }
    return 0;
}

int loss_describe(const struct net *net, int batch, struct loss *out, struct error *e)
{
    memset(out, 0, sizeof *out);
    out->batch = batch;
    out->net = net;
    if (net->projected < 0)
        return error_set(e, "a network with a loss has an output z");
    net->loss(out, net);
    for (int m = 0; m < out->n_matrix; m++)
        if (out->matrix[m].source == LOSS_GRADIENT && !is_written(out, m))
            error_set(&out->error, "a gradient of the loss is not written");
    return out->error.text[0] ? error_pass(e, &out->error) : 0;
}

static int is_shareable(const struct loss_step *s, int n)
{
    for (int i = 0; i < n; i++)
        if (s[i].across < 0)
            return 0;
    return 1;
}

int loss_share(struct loss *l, int rows, struct error *e)
{
    if (rows == l->batch)
        return 0;
    if (!is_shareable(l->value, l->n_value) || !is_shareable(l->gradient[0], l->n_gradient[0]) ||
        !is_shareable(l->gradient[1], l->n_gradient[1]))
        return error_set(e, "the loss looks at pairs of images: no part of a batch has them all");
    for (int m = 0; m < l->n_matrix; m++)
        if (l->matrix[m].images)
            l->matrix[m].rows = rows;
    return 0;
}
