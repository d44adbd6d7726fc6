// Sums of ranks over cards; see reduce.h.
#include "gpu/cuda/reduce.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/buckets.h"
#include "gpu/ranks/ranks.h"
#include "metrics/base/memory.h"

// Where `main` waits in a pass: marks about each sum, made in its first run. A graph records its
// own at every launch, so that those of one step are read while the next one is under way.
struct waits {
    struct wait_marks {
        cudaEvent_t from[2], to[2]; // by parity of the step
    } * mark;
    int n, cap, at;
};

struct reduce {
    struct nccl *nccl;        // from the first step on
    int version;              // of the library
    int broken;               // it has failed here
    cudaStream_t stream;      // all sums, one after the other
    cudaEvent_t ready, added; // main to it, and back
    struct buckets buckets;
    float *sum[BUCKETS];
    struct cuda_piece *piece; // on the card
    int first[BUCKETS + 1];   // of the pieces of each bucket
    struct waits waits[WAITS], *now;
};

// --- compiling ---
static size_t numbers(const struct plan *p, int param)
{
    return p->net.param[param].count;
}

static int pieces(size_t n)
{
    return (int)((n + UPDATE_CHUNK - 1) / UPDATE_CHUNK);
}

static void release_stream(void *stream)
{
    cudaStreamDestroy(stream);
}

static void release_waits(void *reduce)
{
    struct reduce *r = reduce;
    for (int i = 0; i < WAITS; i++)
        free(r->waits[i].mark);
}

static int streams(struct plan *p, struct reduce *r, struct error *e)
{
    if (p->device->planned)
        return 0;
    if (cuda_ok(cudaStreamCreateWithFlags(&r->stream, cudaStreamNonBlocking), "stream", e) < 0 ||
        plan_own(p, release_stream, r->stream, e) < 0)
        return -1;
    return cuda_event(p, cudaEventDisableTiming, &r->ready, e) < 0 ||
                   cuda_event(p, cudaEventDisableTiming, &r->added, e) < 0
               ? -1
               : 0;
}

// The pieces of a bucket's gradients, and where each of them goes.
static struct cuda_piece *fill(struct plan *p, struct reduce *r, int i, struct cuda_piece *to)
{
    const struct bucket *b = &r->buckets.bucket[i];
    float *sum = r->sum[i];
    for (int k = b->first; k < b->first + b->n; k++) {
        struct trained *t = &p->own->trained[r->buckets.param[k]];
        size_t n = t->param->count;
        t->sum = sum;
        for (size_t at = 0; at < n; at += UPDATE_CHUNK)
            *to++ = (struct cuda_piece){.g = (const char *)t->g + at * (t->g16 ? 2 : sizeof(float)),
                                        .to = sum + at,
                                        .n = (int)(n - at < UPDATE_CHUNK ? n - at : UPDATE_CHUNK),
                                        .g16 = t->g16};
        sum += n;
    }
    return to;
}

static int place(struct plan *p, struct reduce *r, struct error *e)
{
    size_t all = 0;
    for (int k = 0; k < r->buckets.n; k++)
        all += (size_t)pieces(numbers(p, r->buckets.param[k]));
    struct cuda_piece *piece = calloc(all + 1, sizeof *piece), *at = piece;
    if (!piece)
        return error_set(e, "out of memory compiling the network");
    int rc = 0;
    for (int i = 0; i < r->buckets.n_bucket && rc == 0; i++) {
        size_t size = r->buckets.bucket[i].length * sizeof(float);
        rc = (r->sum[i] = cuda_take_zero(p, size, e)) ? 0 : -1;
        at = rc == 0 ? fill(p, r, i, at) : at;
        r->first[i + 1] = (int)(at - piece);
    }
    if (rc == 0 && !(r->piece = cuda_take(p, (all + 1) * sizeof *piece, e)))
        rc = -1;
    if (rc == 0 && !p->device->planned)
        rc = cuda_upload(p, r->piece, piece, all * sizeof *piece, e);
    free(piece);
    return rc;
}

int reduce_prefix(struct plan *p, char *prefix, size_t size, struct error *e)
{
    struct reduce *r = p->own->reduce = plan_heap(p, sizeof *r, e);
    if (!r || (!p->device->planned && nccl_version(&r->version, e) < 0))
        return -1;
    snprintf(prefix, size, "-nccl%d", r->version);
    return 0;
}

int reduce_init(struct plan *p, struct error *e)
{
    struct reduce *r = p->own->reduce;
    if (!r)
        return 0;
    return plan_own(p, release_waits, r, e) < 0 || streams(p, r, e) < 0 ||
                   buckets_init(p, &r->buckets, numbers, e) < 0 || place(p, r, e) < 0
               ? -1
               : 0;
}

// --- together ---
struct facts {
    char why[200]; // it cannot
    int version;
    struct nccl_id id; // rank 0's holds
};

// Whether all can be connected; the same sentence on all of them.
static int check(const struct ranks *r, const struct facts *f, struct error *e)
{
    for (int k = 0; k < r->size; k++) {
        const char *host = r->place[k].host;
        if (*f[k].why)
            return error_set(e, "rank %d on %s: %.200s", k, host, f[k].why);
        if (f[k].version != f[0].version)
            return error_set(e,
                             "rank %d on %s has NCCL %d, rank 0 on %s has %d: they must be alike",
                             k, host, f[k].version, r->place[0].host, f[0].version);
    }
    return 0;
}

int reduce_join(struct plan *p, struct error *e)
{
    struct reduce *r = p->own->reduce;
    struct ranks *ranks = p->ranks;
    if (!ranks || r->nccl)
        return 0;
    if (r->broken || card(p)->joined)
        return error_set(e, "the card is not connected with those of the other ranks");
    struct facts mine, *all = calloc((size_t)ranks->size, sizeof *all);
    struct error why = {""};
    if (!all)
        return error_memory(e, "%d ranks", ranks->size);
    memset(&mine, 0, sizeof mine);
    mine.version = r->version;
    if (ranks->rank == 0 && nccl_id(&mine.id, &why) < 0)
        snprintf(mine.why, sizeof mine.why, "%.190s", why.text);
    int rc = ranks_gather(ranks, &mine, all, sizeof mine, e);
    if (rc == 0)
        rc = check(ranks, all, e);
    if (rc == 0)
        rc = nccl_join(ranks, card(p)->index, &all[0].id, &r->nccl, e);
    if (rc == 0)
        card(p)->joined = p;
    free(all);
    return rc;
}

void reduce_part(struct plan *p)
{
    struct reduce *r = p->own->reduce;
    if (!r || !r->nccl)
        return;
    if (r->broken || p->ranks->over)
        nccl_abort(r->nccl);
    else
        nccl_leave(r->nccl);
    r->nccl = NULL;
    card(p)->joined = NULL;
}

void reduce_give_up(struct cuda_device *d)
{
    struct plan *p = d->joined;
    if (!p || !p->ranks->over)
        return;
    p->own->reduce->broken = 1;
    cuda_forget_graphs(p);
    reduce_part(p);
}

// --- how long `main` waits ---
static int mark(struct plan *p, cudaEvent_t event, cudaStream_t s, struct error *e)
{
    unsigned flags = p->own->recording ? cudaEventRecordExternal : cudaEventRecordDefault;
    return cuda_ok(cudaEventRecordWithFlags(event, s, flags), "clock", e);
}

static void begin_waits(struct plan *p, int pass)
{
    p->own->reduce->now = &p->own->reduce->waits[pass];
    p->own->reduce->now->at = 0;
}

static int make_marks(struct plan *p, struct waits *w, struct error *e)
{
    if (memory_grow(w->mark, w->cap, w->n + 1) < 0)
        return error_memory(e, "the clock of a sum");
    struct wait_marks *m = &w->mark[w->n];
    for (int i = 0; i < 2; i++)
        if (cuda_event(p, cudaEventDefault, &m->from[i], e) < 0 ||
            cuda_event(p, cudaEventDefault, &m->to[i], e) < 0)
            return -1;
    w->n++;
    return 0;
}

// `main` has nothing to do from here on until the other mark.
// Nobody asks how long an evaluation waits.
static int waits_from(struct plan *p, struct error *e)
{
    if (p->bn_batch)
        return 0;
    struct waits *w = p->own->reduce->now;
    if (w->at == w->n && make_marks(p, w, e) < 0)
        return -1;
    return mark(p, w->mark[w->at].from[p->own->step & 1], card(p)->main, e);
}

static int waits_to(struct plan *p, cudaStream_t s, struct error *e)
{
    if (p->bn_batch)
        return 0;
    struct waits *w = p->own->reduce->now;
    return mark(p, w->mark[w->at++].to[p->own->step & 1], s, e);
}

static double sum_of(const struct waits *w, int parity)
{
    double ms = 0;
    for (int i = 0; i < w->n; i++)
        ms += cuda_between(w->mark[i].from[parity], w->mark[i].to[parity]);
    return ms;
}

void reduce_waited(const struct plan *p, int parity, double ms[WAITS])
{
    const struct reduce *r = p->own->reduce;
    for (int i = 0; i < WAITS; i++)
        ms[i] = r ? sum_of(&r->waits[i], parity) : 0;
}

// --- sums ---
static int hand_over(cudaEvent_t event, cudaStream_t from, cudaStream_t to, struct error *e)
{
    return cuda_ok(cudaEventRecord(event, from), "sum over the cards", e) < 0
               ? -1
               : cuda_ok(cudaStreamWaitEvent(to, event, 0), "sum over the cards", e);
}

static int add_for(struct plan *p, void *card, size_t n, enum nccl_number number,
                   enum reduce_for whom, struct error *e)
{
    struct reduce *r = p->own->reduce;
    if (!r->nccl)
        return error_set(e, "the card is not connected with those of the other ranks");
    int rc =
        (whom == FOR_FIRST ? nccl_add_first : nccl_add)(r->nccl, card, n, number, r->stream, e);
    r->broken |= rc < 0;
    return rc;
}

static int add(struct plan *p, void *card, size_t n, enum nccl_number number, struct error *e)
{
    return add_for(p, card, n, number, FOR_ALL, e);
}

// The marks are beside the way from main to the sum and back, which they do not lengthen.
int reduce_add(struct plan *p, void *at, size_t n, enum nccl_number number, struct error *e)
{
    struct reduce *r = p->own->reduce;
    cudaStream_t main = card(p)->main;
    return hand_over(r->ready, main, r->stream, e) < 0 || waits_from(p, e) < 0 ||
                   add(p, at, n, number, e) < 0 || hand_over(r->added, r->stream, main, e) < 0
               ? -1
               : waits_to(p, r->stream, e);
}

int reduce_forward(struct plan *p, struct error *e)
{
    struct reduce *r = p->own->reduce;
    begin_waits(p, WAITS_FORWARD);
    if (plan_run(p, &p->forward[0], e) < 0)
        return -1;
    // What is recorded ends on main.
    return r->now->at ? hand_over(r->added, r->stream, card(p)->main, e) : 0;
}

// In f32 whatever the gradients are, and less the factor of a mean.
static int send(struct plan *p, int i, struct error *e)
{
    struct reduce *r = p->own->reduce;
    double factor = p->whole > p->batch ? 1 : 1.0 / p->ranks->size;
    if (hand_over(r->ready, card(p)->main, r->stream, e) < 0 ||
        cuda_ok(
            cuda_gather(r->piece + r->first[i], r->first[i + 1] - r->first[i], factor, r->stream),
            "gradients", e) < 0)
        return -1;
    return add(p, r->sum[i], r->buckets.bucket[i].length, NCCL_F32, e);
}

// main waits for all sums.
static int rejoin(struct plan *p, struct error *e)
{
    struct reduce *r = p->own->reduce;
    cudaStream_t main = card(p)->main;
    return waits_from(p, e) < 0 || hand_over(r->added, r->stream, main, e) < 0
               ? -1
               : waits_to(p, main, e);
}

static int finish(struct plan *p, struct error *e)
{
    struct reduce *r = p->own->reduce;
    return r->buckets.n_bucket || r->now->at ? rejoin(p, e) : 0;
}

int reduce_beside(struct plan *p, double *at, size_t n, enum reduce_for whom, struct error *e)
{
    struct reduce *r = p->own->reduce;
    cudaStream_t side = card(p)->side;
    return hand_over(r->ready, side, r->stream, e) < 0 || add_for(p, at, n, NCCL_F64, whom, e) < 0
               ? -1
               : hand_over(r->added, r->stream, side, e);
}

int reduce_between(struct plan *p, struct error *e)
{
    begin_waits(p, WAITS_BETWEEN);
    return rejoin(p, e);
}

int reduce_backward(struct plan *p, struct error *e)
{
    static const struct buckets_way way = {send, NULL, finish};
    begin_waits(p, WAITS_BACKWARD);
    return buckets_run(p, &p->backward[0], &p->own->reduce->buckets, &way, e);
}

int reduce_refused(struct plan *p, int refused, struct error *e)
{
    char mine = refused != 0, all[RANKS_MOST];
    if (ranks_gather(p->ranks, &mine, all, 1, e) < 0)
        return -1;
    return memchr(all, 1, (size_t)p->ranks->size) != NULL;
}

// --- waiting ---
struct wait {
    struct plan *plan;
    cudaStream_t stream;
    cudaEvent_t event; // or NULL: all of the stream
    const char *what;
};

static int is_over(void *context, struct error *e)
{
    const struct wait *w = context;
    const struct reduce *r = w->plan->own->reduce;
    cudaError_t s = w->event ? cudaEventQuery(w->event) : cudaStreamQuery(w->stream);
    if (s != cudaErrorNotReady)
        return cuda_ok(s, w->what, e) < 0 ? -1 : 1;
    (void)cudaGetLastError();
    return r && r->nccl ? nccl_alive(r->nccl, e) : 0;
}

int reduce_wait_stream(struct plan *p, cudaStream_t s, const char *what, struct error *e)
{
    struct wait w = {p, s, NULL, what};
    return p->ranks ? ranks_until(p->ranks, is_over, &w, e)
                    : cuda_ok(cudaStreamSynchronize(s), what, e);
}

int reduce_wait_event(struct plan *p, cudaEvent_t event, const char *what, struct error *e)
{
    struct wait w = {p, NULL, event, what};
    return p->ranks ? ranks_until(p->ranks, is_over, &w, e)
                    : cuda_ok(cudaEventSynchronize(event), what, e);
}
