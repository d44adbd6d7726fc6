// Parameters on the card: f32 master copies, momentum and gradients, filters as out x k x k x in;
// bf16 copies of the filters where convolutions work in it. They come in and go out row major.
#include <stdlib.h>
#include <string.h>

#include "gpu/cuda/cuda.h"

_Static_assert((int)GROUP_COUNT <= (int)UPDATE_RATES, "a learning rate for each group");

struct trained *cuda_trained(struct plan *p, const struct node *d, enum param_kind kind,
                             int bf16_gradient, struct error *e)
{
    int at = plan_param(p, d, kind);
    const struct param *param = &p->net.param[at];
    struct trained *t = &p->own->trained[at];
    int bf16 = p->type == CUDA_BF16;
    t->g16 = bf16 && bf16_gradient;
    if (!(t->w = cuda_take_zero(p, param->count * sizeof(float), e)) ||
        (bf16 && param->ndim == 4 && !(t->w16 = cuda_take_zero(p, param->count * 2, e))))
        return NULL;
    t->param = param;
    if (param->frozen)
        return t;
    t->v = cuda_take_zero(p, param->count * sizeof(float), e);
    t->g = t->v ? cuda_take_zero(p, param->count * (t->g16 ? 2 : sizeof(float)), e) : NULL;
    return t->g ? t : NULL;
}

float *cuda_running(struct plan *p, const struct node *d, enum param_kind kind, struct error *e)
{
    int at = plan_param(p, d, kind);
    return p->own->running[at] = cuda_take_zero(p, p->net.param[at].count * sizeof(float), e);
}

// --- the tables that update and moving average run over: each tensor in pieces ---
static size_t pieces(const struct param *q)
{
    return (q->count + UPDATE_CHUNK - 1) / UPDATE_CHUNK;
}

static int piece_size(const struct param *q, size_t at)
{
    size_t left = q->count - at;
    return (int)(left < UPDATE_CHUNK ? left : UPDATE_CHUNK);
}

static void fill_chunks(const struct trained *t, struct cuda_chunk *c, size_t first)
{
    const struct param *q = t->param;
    for (size_t at = 0; at < q->count; at += UPDATE_CHUNK)
        *c++ = (struct cuda_chunk){
            .w = t->w + at,
            .v = t->v + at,
            .g = t->sum ? (const void *)(t->sum + at)
                        : (const char *)t->g + at * (t->g16 ? 2 : sizeof(float)),
            .w16 = t->w16 ? (char *)t->w16 + at * 2 : NULL,
            .n = piece_size(q, at),
            .rate = (int)q->group,
            .g16 = t->g16 && !t->sum,
            .matrix = q->ndim > 1,
            .first = (int)first,
            .count = (int)pieces(q),
        };
}

static void fill_follow(const struct trained *t, const struct trained *of, struct cuda_follow *c)
{
    for (size_t at = 0; at < t->param->count; at += UPDATE_CHUNK)
        *c++ = (struct cuda_follow){
            .w = t->w + at,
            .of = of->w + at,
            .w16 = t->w16 ? (char *)t->w16 + at * 2 : NULL,
            .n = piece_size(t->param, at),
        };
}

// A table on the card; it stays when it is empty, so that nobody has to ask.
static void *send_table(struct plan *p, const void *table, size_t size, struct error *e)
{
    void *card = cuda_take(p, size ? size : 1, e);
    if (card && size && !p->device->planned && cuda_upload(p, card, table, size, e) < 0)
        return NULL;
    return card;
}

static int is_updated(const struct trained *t)
{
    return t->param && !t->param->frozen;
}

static int count_pieces(struct plan *p, struct error *e)
{
    size_t update = 0, follow = 0;
    for (int i = 0; i < p->net.n_param; i++) {
        const struct param *q = &p->net.param[i];
        update += is_updated(&p->own->trained[i]) ? pieces(q) : 0;
        follow += q->followed >= 0 ? pieces(q) : 0;
    }
    if (update > INT32_MAX || follow > INT32_MAX)
        return error_set(e, "the network has too many parameters");
    p->own->n_chunk = (int)update;
    p->own->n_follow = (int)follow;
    return 0;
}

int cuda_params_place(struct plan *p, struct error *e)
{
    size_t update = 0, follow = 0;
    if (count_pieces(p, e) < 0)
        return -1;
    struct cuda_chunk *chunk = calloc((size_t)p->own->n_chunk + 1, sizeof *chunk);
    struct cuda_follow *pair = calloc((size_t)p->own->n_follow + 1, sizeof *pair);
    int rc = chunk && pair ? 0 : error_set(e, "out of memory compiling the network");
    for (int i = 0; i < p->net.n_param && rc == 0; i++) {
        const struct trained *t = &p->own->trained[i];
        int of = p->net.param[i].followed;
        if (is_updated(t)) {
            fill_chunks(t, chunk + update, update);
            update += pieces(t->param);
        }
        if (of >= 0) {
            fill_follow(t, &p->own->trained[of], pair + follow);
            follow += pieces(t->param);
        }
    }
    if (rc == 0) {
        p->own->chunk = send_table(p, chunk, update * sizeof *chunk, e);
        p->own->follow = p->own->chunk ? send_table(p, pair, follow * sizeof *pair, e) : NULL;
        p->own->norms =
            p->own->follow ? cuda_take(p, (2 * update + 1) * sizeof *p->own->norms, e) : NULL;
        p->own->rates = p->own->norms ? cuda_take(p, sizeof *p->own->rates, e) : NULL;
        rc = p->own->rates ? 0 : -1;
    }
    free(chunk);
    free(pair);
    return rc;
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

static int put_trained(struct plan *p, struct trained *t, enum array which, const float *v,
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
    return cuda_ok(cuda_cast(t->w16, t->w, n, card(p)->main), "bf16 copy", e);
}

int cuda_put(struct plan *p, int i, enum array which, const float *v, struct error *e)
{
    if (p->own->running[i])
        return cuda_upload(p, p->own->running[i], v, p->net.param[i].count * sizeof *v, e);
    return put_trained(p, &p->own->trained[i], which, v, e);
}

int cuda_get(struct plan *p, int i, enum array which, float *v, struct error *e)
{
    size_t n = p->net.param[i].count;
    if (p->own->running[i])
        return cuda_download(p, v, p->own->running[i], n * sizeof *v, e);
    const struct trained *t = &p->own->trained[i];
    float *ordered = malloc((n ? n : 1) * sizeof *ordered);
    if (!ordered)
        return error_set(e, "out of memory reading %s", t->param->name);
    int narrow = which == ARRAY_GRADIENT && t->g16 && !t->sum;
    const void *gradient = t->sum ? t->sum : t->g;
    const void *from = which == ARRAY_GRADIENT ? gradient : which == ARRAY_MOMENTUM ? t->v : t->w;
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
