// Parameters on the card: f32 master copies, momentum and gradients, filters as out x k x k x in;
// bf16 copies of what convolutions and linear layers read. They come in and go out row major.
#include <stdlib.h>
#include <string.h>

#include "gpu/cuda/cuda.h"

_Static_assert((int)GROUP_COUNT <= (int)UPDATE_RATES, "a learning rate for each group");

static const struct param *find(const struct cuda_plan *p, const struct node *node,
                                enum param_kind kind)
{
    for (int i = 0; i < p->net.n_param; i++)
        if (&p->net.node[p->net.param[i].node] == node && p->net.param[i].kind == kind)
            return &p->net.param[i];
    return NULL;
}

struct trained *cuda_trained(struct cuda_plan *p, const struct node *d, enum param_kind kind,
                             int bf16_gradient, struct error *e)
{
    const struct param *param = find(p, d, kind);
    struct trained *t = &p->trained[param - p->net.param];
    int bf16 = p->type == CUDA_BF16;
    t->g16 = bf16 && bf16_gradient;
    t->w = cuda_take_zero(p, param->count * sizeof(float), e);
    t->v = t->w ? cuda_take_zero(p, param->count * sizeof(float), e) : NULL;
    t->g = t->v ? cuda_take_zero(p, param->count * (t->g16 ? 2 : sizeof(float)), e) : NULL;
    if (!t->g)
        return NULL;
    if (bf16 && kind == PARAM_WEIGHT && param->ndim > 1 &&
        !(t->w16 = cuda_take_zero(p, param->count * 2, e)))
        return NULL;
    t->param = param;
    return t;
}

float *cuda_running(struct cuda_plan *p, const struct node *d, enum param_kind kind,
                    struct error *e)
{
    const struct param *param = find(p, d, kind);
    float *v = cuda_take_zero(p, param->count * sizeof *v, e);
    p->running[param - p->net.param] = v;
    return v;
}

// The table that the update runs over: each tensor in pieces.
int cuda_params_place(struct cuda_plan *p, struct error *e)
{
    size_t n = 0;
    for (int i = 0; i < p->net.n_param; i++)
        if (p->trained[i].param)
            n += (p->trained[i].param->count + UPDATE_CHUNK - 1) / UPDATE_CHUNK;
    if (n > INT32_MAX)
        return error_set(e, "the network has too many parameters");
    struct cuda_chunk *table = calloc(n ? n : 1, sizeof *table), *c = table;
    if (!table)
        return error_set(e, "out of memory compiling the network");
    for (int i = 0; i < p->net.n_param; i++) {
        const struct trained *t = &p->trained[i];
        for (size_t at = 0; t->param && at < t->param->count; at += UPDATE_CHUNK) {
            size_t left = t->param->count - at;
            *c++ = (struct cuda_chunk){
                .w = t->w + at,
                .v = t->v + at,
                .g = (const char *)t->g + at * (t->g16 ? 2 : sizeof(float)),
                .w16 = t->w16 ? (char *)t->w16 + at * 2 : NULL,
                .n = (int)(left < UPDATE_CHUNK ? left : UPDATE_CHUNK),
                .rate = (int)t->param->group,
                .g16 = t->g16,
            };
        }
    }
    p->n_chunk = (int)n;
    p->chunk = cuda_take(p, (n ? n : 1) * sizeof *table, e);
    p->rates = cuda_take(p, sizeof *p->rates, e);
    int rc = p->chunk && p->rates ? 0 : -1;
    if (!rc && !p->device->planning)
        rc = cuda_upload(p, p->chunk, table, n * sizeof *table, e);
    free(table);
    return rc;
}

// Which array a name asks for, and of which parameter.
enum array { ARRAY_VALUE, ARRAY_MOMENTUM, ARRAY_GRADIENT };

static int lookup(const struct cuda_plan *p, const char *name, size_t n, enum array *which,
                  struct error *e)
{
    const char *base = name;
    *which = ARRAY_VALUE;
    if (!strncmp(name, "optim.", 6)) {
        *which = ARRAY_MOMENTUM;
        base += 6;
    } else if (!strncmp(name, "grad.", 5)) {
        *which = ARRAY_GRADIENT;
        base += 5;
    }
    const struct param *param = net_param(&p->net, base);
    if (!param)
        return error_set(e, "the network has no tensor '%.96s'", base);
    if (param->count != n)
        return error_set(e, "%s has %zu elements, not %zu", param->name, param->count, n);
    int i = (int)(param - p->net.param);
    if (p->running[i] && *which != ARRAY_VALUE)
        return error_set(e, "%s is not trained", param->name);
    return i;
}

// Filters between out x in x k x k (row major, of the contract) and out x k x k x in (of the card).
static void reorder(const struct param *q, const float *from, float *to, int in)
{
    if (q->ndim != 4) {
        memcpy(to, from, q->count * sizeof *to);
        return;
    }
    size_t out = (size_t)q->dim[0], c = (size_t)q->dim[1], kk = (size_t)(q->dim[2] * q->dim[3]);
    for (size_t o = 0; o < out; o++)
        for (size_t i = 0; i < c; i++)
            for (size_t k = 0; k < kk; k++) {
                size_t plain = (o * c + i) * kk + k, ours = (o * kk + k) * c + i;
                to[in ? ours : plain] = from[in ? plain : ours];
            }
}

static int put_trained(struct cuda_plan *p, struct trained *t, enum array which, const float *v,
                       struct error *e)
{
    size_t n = t->param->count;
    float *ordered = malloc((n ? n : 1) * sizeof *ordered);
    if (!ordered)
        return error_set(e, "out of memory writing %s", t->param->name);
    reorder(t->param, v, ordered, 1);
    int rc = cuda_upload(p, which == ARRAY_MOMENTUM ? t->v : t->w, ordered, n * sizeof *v, e);
    free(ordered);
    if (rc < 0 || which == ARRAY_MOMENTUM || !t->w16)
        return rc;
    return cuda_ok(cuda_cast(t->w16, t->w, n, p->device->main), "bf16 copy", e);
}

int cuda_put(struct plan *plan, const char *name, const float *v, size_t n, struct error *e)
{
    struct cuda_plan *p = (struct cuda_plan *)plan;
    enum array which;
    int i = lookup(p, name, n, &which, e);
    if (i < 0)
        return -1;
    if (which == ARRAY_GRADIENT)
        return error_set(e, "a gradient cannot be set");
    if (p->device->planning) // there is nowhere to put it, and nobody will ask
        return 0;
    if (cuda_usable(p, e) < 0)
        return -1;
    if (p->running[i])
        return cuda_upload(p, p->running[i], v, n * sizeof *v, e);
    return put_trained(p, &p->trained[i], which, v, e);
}

int cuda_get(struct plan *plan, const char *name, float *v, size_t n, struct error *e)
{
    struct cuda_plan *p = (struct cuda_plan *)plan;
    enum array which;
    int i = lookup(p, name, n, &which, e);
    if (i < 0 || cuda_usable(p, e) < 0)
        return -1;
    if (p->running[i])
        return cuda_download(p, v, p->running[i], n * sizeof *v, e);
    const struct trained *t = &p->trained[i];
    float *ordered = malloc((n ? n : 1) * sizeof *ordered);
    if (!ordered)
        return error_set(e, "out of memory reading %s", name);
    int narrow = which == ARRAY_GRADIENT && t->g16;
    const void *from = which == ARRAY_GRADIENT ? t->g : which == ARRAY_MOMENTUM ? t->v : t->w;
    int rc = cuda_download(p, ordered, from, n * (narrow ? 2 : sizeof *v), e);
    for (size_t k = n;
         narrow && k-- > 0;) { // from the end: each wide value lies on later narrow ones
        uint16_t half;
        memcpy(&half, (const char *)ordered + 2 * k, sizeof half);
        uint32_t bits = (uint32_t)half << 16;
        memcpy(&ordered[k], &bits, sizeof bits);
    }
    if (!rc)
        reorder(t->param, ordered, v, 0);
    free(ordered);
    return rc;
}
