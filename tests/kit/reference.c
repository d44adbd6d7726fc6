// The network in double loops: one pair of functions, forward and backward, for each kind of node.
#include "tests/kit/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *zeros(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p)
        abort();
    return p;
}

size_t reference_size(const struct reference *r, int node)
{
    const struct node *d = &r->net->node[node];
    return (size_t)r->batch * (size_t)d->c * (size_t)d->h * (size_t)d->w;
}

void reference_new(struct reference *r, const struct net *net, int batch)
{
    memset(r, 0, sizeof *r);
    r->net = net;
    r->batch = batch;
    r->param = zeros((size_t)net->n_param, sizeof *r->param);
    r->grad = zeros((size_t)net->n_param, sizeof *r->grad);
    for (int i = 0; i < net->n_param; i++) {
        r->param[i] = zeros(net->param[i].count, sizeof(double));
        r->grad[i] = zeros(net->param[i].count, sizeof(double));
    }
    for (int v = 0; v < 2; v++) {
        double ***all[] = {&r->y[v], &r->dy[v], &r->mean[v], &r->inv[v]};
        for (int k = 0; k < 4; k++) {
            *all[k] = zeros((size_t)net->n, sizeof(double *));
            for (int i = 0; i < net->n; i++)
                (*all[k])[i] =
                    zeros(k < 2 ? reference_size(r, i) : (size_t)net->node[i].c, sizeof(double));
        }
    }
    if (net->loss && loss_describe(net, batch, &r->loss_is, NULL) < 0)
        abort();
    for (int m = 0; m < r->loss_is.n_matrix; m++) {
        const struct loss_matrix *x = &r->loss_is.matrix[m];
        r->matrix[m] = zeros((size_t)x->rows * (size_t)x->cols, sizeof(double));
    }
}

void reference_free(struct reference *r)
{
    for (int i = 0; i < r->net->n_param; i++) {
        free(r->param[i]);
        free(r->grad[i]);
    }
    free(r->param);
    free(r->grad);
    for (int m = 0; m < r->loss_is.n_matrix; m++)
        free(r->matrix[m]);
    for (int v = 0; v < 2; v++) {
        double **all[] = {r->y[v], r->dy[v], r->mean[v], r->inv[v]};
        for (int k = 0; k < 4; k++) {
            for (int i = 0; i < r->net->n; i++)
                free(all[k][i]);
            free(all[k]);
        }
    }
    memset(r, 0, sizeof *r);
}

void reference_put(struct reference *r, int param, const float *v)
{
    for (size_t i = 0; i < r->net->param[param].count; i++)
        r->param[param][i] = v[i];
}

// The parameter of this kind that belongs to a node, or -1.
static int param_of(const struct reference *r, int node, enum param_kind kind)
{
    for (int i = 0; i < r->net->n_param; i++)
        if (r->net->param[i].node == node && r->net->param[i].kind == kind)
            return i;
    return -1;
}

// What a node's function works on: its shape and that of its first input, in image b of a view.
struct at {
    struct reference *r;
    int view, node;
    const struct node *d, *s; // itself, its first input
    double *x, *x2, *y, *dx, *dx2, *dy;
    double *w, *dw, *bias, *dbias; // NULL where it has none
};

static struct at at(struct reference *r, int view, int node)
{
    const struct node *d = &r->net->node[node];
    int a = d->in[0], b = d->in[1];
    int w = param_of(r, node, PARAM_WEIGHT), bias = param_of(r, node, PARAM_BIAS);
    struct at t = {.r = r, .view = view, .node = node, .d = d};
    t.y = r->y[view][node];
    t.dy = r->dy[view][node];
    if (a >= 0) {
        t.s = &r->net->node[a];
        t.x = r->y[view][a];
        t.dx = r->dy[view][a];
    }
    if (b >= 0) {
        t.x2 = r->y[view][b];
        t.dx2 = r->dy[view][b];
    }
    if (w >= 0) {
        t.w = r->param[w];
        t.dw = r->grad[w];
    }
    if (bias >= 0) {
        t.bias = r->param[bias];
        t.dbias = r->grad[bias];
    }
    return t;
}

// A sliding window's places that lie inside the image: offset in the input plane, in the output
// plane, in the window.
struct tap {
    int in, out, k;
};

static struct tap *taps(const struct at *t, int *n)
{
    const struct node *d = t->d, *s = t->s;
    struct tap *list = zeros((size_t)(d->h * d->w * d->k * d->k), sizeof *list);
    *n = 0;
    for (int out = 0; out < d->h * d->w; out++)
        for (int k = 0; k < d->k * d->k; k++) {
            int y = out / d->w * d->stride + k / d->k - d->pad;
            int x = out % d->w * d->stride + k % d->k - d->pad;
            if (y >= 0 && y < s->h && x >= 0 && x < s->w)
                list[(*n)++] = (struct tap){y * s->w + x, out, k};
        }
    return list;
}

// Batch x out x in planes; with `backward` the two gradients instead of the output.
static void conv(struct at *t, int backward)
{
    int n, plane = t->d->h * t->d->w, in_plane = t->s->h * t->s->w, kk = t->d->k * t->d->k;
    struct tap *list = taps(t, &n);
    for (int b = 0; b < t->r->batch; b++)
        for (int o = 0; o < t->d->c; o++)
            for (int i = 0; i < t->s->c; i++) {
                int in = (b * t->s->c + i) * in_plane, out = (b * t->d->c + o) * plane;
                int w = (o * t->s->c + i) * kk;
                for (const struct tap *p = list; p < list + n; p++) {
                    if (!backward) {
                        t->y[out + p->out] += t->w[w + p->k] * t->x[in + p->in];
                        continue;
                    }
                    t->dx[in + p->in] += t->w[w + p->k] * t->dy[out + p->out];
                    t->dw[w + p->k] += t->x[in + p->in] * t->dy[out + p->out];
                }
            }
    free(list);
}

static void conv_forward(struct at *t)
{
    memset(t->y, 0, reference_size(t->r, t->node) * sizeof *t->y);
    conv(t, 0);
}

static void conv_backward(struct at *t)
{
    conv(t, 1);
}

static void bn_train(struct at *t)
{
    int plane = t->d->h * t->d->w, n = t->r->batch * plane;
    double *rm = t->r->param[param_of(t->r, t->node, PARAM_RUNNING_MEAN)];
    double *rv = t->r->param[param_of(t->r, t->node, PARAM_RUNNING_VAR)];
    for (int c = 0; c < t->d->c; c++) {
        double sum = 0, square = 0;
        for (int k = 0; k < n; k++)
            sum += t->x[(k / plane * t->d->c + c) * plane + k % plane];
        double mean = sum / n;
        for (int k = 0; k < n; k++) {
            double v = t->x[(k / plane * t->d->c + c) * plane + k % plane] - mean;
            square += v * v;
        }
        double inv = 1 / sqrt(square / n + 1e-5);
        t->r->mean[t->view][t->node][c] = mean;
        t->r->inv[t->view][t->node][c] = inv;
        rm[c] += 0.1 * (mean - rm[c]);
        rv[c] += 0.1 * (square / (n - 1) - rv[c]);
        for (int k = 0; k < n; k++) {
            int i = (k / plane * t->d->c + c) * plane + k % plane;
            t->y[i] = (t->x[i] - mean) * inv * (t->w ? t->w[c] : 1) + (t->bias ? t->bias[c] : 0);
        }
    }
}

static void bn_evaluate(struct at *t)
{
    int plane = t->d->h * t->d->w;
    const double *rm = t->r->param[param_of(t->r, t->node, PARAM_RUNNING_MEAN)];
    const double *rv = t->r->param[param_of(t->r, t->node, PARAM_RUNNING_VAR)];
    for (int i = 0; i < t->r->batch * t->d->c * plane; i++) {
        int c = i / plane % t->d->c;
        t->y[i] = (t->x[i] - rm[c]) / sqrt(rv[c] + 1e-5) * (t->w ? t->w[c] : 1) +
                  (t->bias ? t->bias[c] : 0);
    }
}

static void bn_backward(struct at *t)
{
    int plane = t->d->h * t->d->w, n = t->r->batch * plane;
    for (int c = 0; c < t->d->c; c++) {
        double mean = t->r->mean[t->view][t->node][c], inv = t->r->inv[t->view][t->node][c];
        double sum = 0, dot = 0;
        for (int k = 0; k < n; k++) {
            int i = (k / plane * t->d->c + c) * plane + k % plane;
            sum += t->dy[i];
            dot += t->dy[i] * (t->x[i] - mean) * inv;
        }
        if (t->dw)
            t->dw[c] += dot;
        if (t->dbias)
            t->dbias[c] += sum;
        for (int k = 0; k < n; k++) {
            int i = (k / plane * t->d->c + c) * plane + k % plane;
            t->dx[i] += inv * (t->w ? t->w[c] : 1) *
                        (t->dy[i] - sum / n - (t->x[i] - mean) * inv * dot / n);
        }
    }
}

static void relu_forward(struct at *t)
{
    for (size_t i = 0; i < reference_size(t->r, t->node); i++)
        t->y[i] = t->x[i] <= 0 ? 0 : t->x[i];
}

static void relu_backward(struct at *t)
{
    for (size_t i = 0; i < reference_size(t->r, t->node); i++)
        t->dx[i] += t->x[i] <= 0 ? 0 : t->dy[i];
}

static void add_forward(struct at *t)
{
    for (size_t i = 0; i < reference_size(t->r, t->node); i++)
        t->y[i] = t->x[i] + t->x2[i];
}

static void add_backward(struct at *t)
{
    for (size_t i = 0; i < reference_size(t->r, t->node); i++) {
        t->dx[i] += t->dy[i];
        t->dx2[i] += t->dy[i];
    }
}

static void maxpool_forward(struct at *t)
{
    int n, plane = t->d->h * t->d->w, in_plane = t->s->h * t->s->w;
    struct tap *list = taps(t, &n);
    for (size_t i = 0; i < reference_size(t->r, t->node); i++)
        t->y[i] = -INFINITY;
    for (int k = 0; k < t->r->batch * t->d->c; k++)
        for (const struct tap *p = list; p < list + n; p++) {
            double *most = &t->y[k * plane + p->out], v = t->x[k * in_plane + p->in];
            *most = *most != *most || v <= *most ? *most : v; // a NaN stays
        }
    free(list);
}

// The first of equal maxima, as PyTorch does.
static void maxpool_backward(struct at *t)
{
    int n, plane = t->d->h * t->d->w, in_plane = t->s->h * t->s->w;
    struct tap *list = taps(t, &n);
    for (int k = 0; k < t->r->batch * t->d->c; k++)
        for (int i = 0, done = -1; i < n; i++) {
            int in = k * in_plane + list[i].in, out = k * plane + list[i].out;
            if (list[i].out == done || t->x[in] != t->y[out])
                continue;
            t->dx[in] += t->dy[out];
            done = list[i].out;
        }
    free(list);
}

static void gap_forward(struct at *t)
{
    int plane = t->s->h * t->s->w;
    for (int k = 0; k < t->r->batch * t->d->c; k++) {
        double sum = 0;
        for (int i = 0; i < plane; i++)
            sum += t->x[k * plane + i];
        t->y[k] = sum / plane;
    }
}

static void gap_backward(struct at *t)
{
    int plane = t->s->h * t->s->w;
    for (int i = 0; i < t->r->batch * t->d->c * plane; i++)
        t->dx[i] += t->dy[i / plane] / plane;
}

static void linear_forward(struct at *t)
{
    for (int b = 0; b < t->r->batch; b++)
        for (int o = 0; o < t->d->c; o++) {
            double sum = t->bias ? t->bias[o] : 0;
            for (int i = 0; i < t->s->c; i++)
                sum += t->w[o * t->s->c + i] * t->x[b * t->s->c + i];
            t->y[b * t->d->c + o] = sum;
        }
}

static void linear_backward(struct at *t)
{
    for (int b = 0; b < t->r->batch; b++)
        for (int o = 0; o < t->d->c; o++) {
            double dy = t->dy[b * t->d->c + o];
            if (t->dbias)
                t->dbias[o] += dy;
            for (int i = 0; i < t->s->c; i++) {
                t->dw[o * t->s->c + i] += dy * t->x[b * t->s->c + i];
                t->dx[b * t->s->c + i] += dy * t->w[o * t->s->c + i];
            }
        }
}

static double dot(const double *a, const double *b, int n)
{
    double s = 0;
    for (int i = 0; i < n; i++)
        s += a[i] * b[i];
    return s;
}

// Mean over dimensions of the deviation (n - 1) of z / |z|, times sqrt(dim), mean of the views.
static void z_deviation(struct reference *r)
{
    int node = r->net->projected, n = r->net->node[node].c;
    r->zstd = 0;
    for (int view = 0; view < 2; view++)
        for (int i = 0; i < n; i++) {
            double sum = 0, square = 0;
            for (int b = 0; b < r->batch; b++) {
                const double *z = r->y[view][node] + b * n;
                sum += z[i] / sqrt(dot(z, z, n));
            }
            for (int b = 0; b < r->batch; b++) {
                const double *z = r->y[view][node] + b * n;
                double v = z[i] / sqrt(dot(z, z, n)) - sum / r->batch;
                square += v * v;
            }
            r->zstd += 0.5 * sqrt(square / (r->batch - 1)) / sqrt(n);
        }
}

static const struct {
    void (*forward)(struct at *), (*backward)(struct at *);
} table[] = {
    [NODE_CONV] = {conv_forward, conv_backward},          [NODE_BN] = {bn_train, bn_backward},
    [NODE_RELU] = {relu_forward, relu_backward},          [NODE_ADD] = {add_forward, add_backward},
    [NODE_MAXPOOL] = {maxpool_forward, maxpool_backward}, [NODE_GAP] = {gap_forward, gap_backward},
    [NODE_LINEAR] = {linear_forward, linear_backward},    [NODE_INPUT] = {NULL, NULL},
};

static void forward(struct reference *r, int view, const double *x, int evaluate)
{
    memcpy(r->y[view][0], x, reference_size(r, 0) * sizeof *x);
    for (int i = 0; i < r->net->n; i++) {
        struct at t = at(r, view, i);
        if (evaluate && t.d->op == NODE_BN)
            bn_evaluate(&t);
        else if (table[t.d->op].forward)
            table[t.d->op].forward(&t);
    }
}

void reference_forward(struct reference *r, const double *const x[2])
{
    for (int view = 0; view < 2; view++)
        forward(r, view, x[view], 0);
    if (r->net->loss) {
        reference_value(r);
        z_deviation(r);
    }
}

void reference_evaluate(struct reference *r, const double *x)
{
    forward(r, 0, x, 1);
}

void reference_backward(struct reference *r, const double *const dy[2])
{
    int last = r->net->n - 1;
    for (int i = 0; i < r->net->n_param; i++)
        memset(r->grad[i], 0, r->net->param[i].count * sizeof(double));
    for (int view = 0; view < 2; view++) {
        for (int i = 0; i < r->net->n; i++)
            memset(r->dy[view][i], 0, reference_size(r, i) * sizeof(double));
        if (dy)
            memcpy(r->dy[view][last], dy[view], reference_size(r, last) * sizeof(double));
    }
    for (int view = 0; view < 2 && !dy; view++)
        reference_gradient(r, view);
    for (int view = 0; view < 2; view++)
        for (int i = last; i >= 0; i--) {
            struct at t = at(r, view, i);
            if (table[t.d->op].backward && !t.d->frozen)
                table[t.d->op].backward(&t);
        }
}
