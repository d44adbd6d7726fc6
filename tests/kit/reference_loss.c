// What a method says of its loss, in double loops: see gpu/loss.h.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/reference.h"

static double *data(const struct reference *r, int m)
{
    return r->matrix[m];
}

// Row i, column k of a matrix, or of its transpose.
static double *place(const struct reference *r, int m, int turned, int i, int k)
{
    int cols = r->loss_is.matrix[m].cols;
    return data(r, m) + (turned ? k * cols + i : i * cols + k);
}

static double cosine(const double *a, const double *b, int n, double *length_a, double *length_b)
{
    double aa = 0, bb = 0, ab = 0;
    for (int i = 0; i < n; i++) {
        aa += a[i] * a[i];
        bb += b[i] * b[i];
        ab += a[i] * b[i];
    }
    *length_a = sqrt(aa);
    *length_b = sqrt(bb);
    return ab / *length_a / *length_b;
}

static void cosine_value(struct reference *r, const struct loss_step *s)
{
    int rows = r->batch, n = r->loss_is.matrix[s->a].cols;
    double sum = 0, la, lb;
    for (int view = 0; view < 2; view++) {
        const double *z = r->fixed[!view] ? r->fixed[!view] : data(r, s->b + !view);
        for (int i = 0; i < rows; i++)
            sum += cosine(data(r, s->a + view) + i * n, z + i * n, n, &la, &lb);
    }
    r->loss += s->beta + s->alpha * -0.5 * sum / rows;
}

static void cosine_gradient(struct reference *r, const struct loss_step *s)
{
    int rows = r->batch, n = r->loss_is.matrix[s->a].cols;
    for (int i = 0; i < rows; i++) {
        const double *a = data(r, s->a) + i * n, *b = data(r, s->b) + i * n;
        double la, lb, cos = cosine(a, b, n, &la, &lb);
        for (int k = 0; k < n; k++)
            data(r, s->out)[i * n + k] =
                -0.5 * s->alpha / rows * (b[k] / lb - cos * a[k] / la) / la;
    }
}

static void product(struct reference *r, const struct loss_step *s)
{
    const struct loss_matrix *out = &r->loss_is.matrix[s->out], *a = &r->loss_is.matrix[s->a];
    int inner = s->turn_a ? a->rows : a->cols;
    for (int i = 0; i < out->rows; i++)
        for (int k = 0; k < out->cols; k++) {
            double sum = 0, *to = place(r, s->out, 0, i, k);
            for (int j = 0; j < inner; j++)
                sum += *place(r, s->a, s->turn_a, i, j) * *place(r, s->b, s->turn_b, j, k);
            *to = s->alpha * sum + (s->beta != 0 ? s->beta * *to : 0);
        }
}

static void centre(struct reference *r, const struct loss_step *s)
{
    const struct loss_matrix *m = &r->loss_is.matrix[s->a];
    for (int k = 0; k < m->cols; k++) {
        double mean = 0;
        for (int i = 0; i < m->rows; i++)
            mean += *place(r, s->a, 0, i, k) / m->rows;
        for (int i = 0; i < m->rows; i++)
            *place(r, s->out, 0, i, k) = *place(r, s->a, 0, i, k) - mean;
    }
}

static double function(enum loss_function f, double x)
{
    switch (f) {
    case LOSS_SAME:
        return x;
    case LOSS_ROOT:
        return sqrt(x);
    case LOSS_INVERSE:
        return 1 / x;
    case LOSS_POSITIVE:
        return x < 0 ? 0 : x;
    case LOSS_STEP:
        return x > 0;
    }
    abort();
}

// Element by element; of a diagonal the one place that counts.
static void element(struct reference *r, const struct loss_step *s, size_t i)
{
    const double *a = data(r, s->a), *b = s->b < 0 ? NULL : data(r, s->b);
    double *out = s->out < 0 ? NULL : data(r, s->out);
    if (s->op == LOSS_SUM)
        r->loss += s->alpha * a[i] * b[i];
    else if (s->op == LOSS_COMBINE)
        out[i] = s->alpha * a[i] + s->beta * b[i];
    else if (s->op == LOSS_MULTIPLY)
        out[i] = s->alpha * a[i] * b[i];
    else if (s->op == LOSS_APPLY)
        out[i] = function(s->f, s->alpha * a[i] + s->beta);
    else if (s->op == LOSS_DIAGONAL)
        out[i] = *place(r, s->a, 0, (int)i, (int)i);
    else
        abort();
}

static void put_diagonal(struct reference *r, const struct loss_step *s)
{
    for (int i = 0; i < r->loss_is.matrix[s->a].cols; i++)
        *place(r, s->out, 0, i, i) = data(r, s->a)[i];
}

static void work(struct reference *r, const struct loss_step *s)
{
    static void (*const whole[LOSS_OPS])(struct reference *, const struct loss_step *) = {
        [LOSS_COSINE] = cosine_value,
        [LOSS_PRODUCT] = product,
        [LOSS_COSINE_GRADIENT] = cosine_gradient,
        [LOSS_CENTRE] = centre,
        [LOSS_PUT_DIAGONAL] = put_diagonal};
    const struct loss_matrix *m = &r->loss_is.matrix[s->op == LOSS_DIAGONAL ? s->out : s->a];
    if (whole[s->op]) {
        whole[s->op](r, s);
        return;
    }
    for (size_t i = 0; i < (size_t)m->rows * (size_t)m->cols; i++)
        element(r, s, i);
}

void reference_value(struct reference *r)
{
    const struct loss *l = &r->loss_is;
    for (int m = 0; m < l->n_matrix; m++)
        if (l->matrix[m].source == LOSS_OUTPUT)
            memcpy(r->matrix[m], r->y[l->matrix[m].view][l->matrix[m].node],
                   reference_size(r, l->matrix[m].node) * sizeof(double));
    r->loss = 0;
    for (int i = 0; i < l->n_value; i++)
        work(r, &l->value[i]);
}

void reference_gradient(struct reference *r, int view)
{
    const struct loss *l = &r->loss_is;
    for (int i = 0; i < l->n_gradient[view]; i++)
        work(r, &l->gradient[view][i]);
    for (int m = 0; m < l->n_matrix; m++)
        for (size_t i = 0; l->matrix[m].source == LOSS_GRADIENT && l->matrix[m].view == view &&
                           i < reference_size(r, l->matrix[m].node);
             i++)
            r->dy[view][l->matrix[m].node][i] += r->matrix[m][i];
}
