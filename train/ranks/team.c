// A step and an evaluation of all ranks; see team.h.
#include "train/ranks/team.h"

#include <stdlib.h>
#include <string.h>

// --- room ---
int team_open(struct team *t, struct ranks *r, const struct setup *s, int d, int rows, int dim,
              struct error *e)
{
    *t = (struct team){.ranks = r, .rows = rows, .dim = dim};
    if (!r)
        return 0;
    size_t size = (size_t)r->size;
    int batch = s->o.batch / r->size;
    t->each = rows < batch ? rows : batch;
    t->z = malloc((size + 1) * (size_t)t->each * (size_t)dim * sizeof *t->z);
    t->times = calloc(size, sizeof *t->times);
    t->h = malloc((size + 1) * (size_t)batch * (size_t)d * sizeof *t->h);
    return t->h && t->z && t->times ? 0 : error_memory(e, "what %d ranks say of a step", r->size);
}

void team_close(struct team *t)
{
    free(t->z);
    free(t->h);
    free(t->times);
    memset(t, 0, sizeof *t);
}

// --- features ---
int team_features(struct team *t, struct setup *s, int view, float *h, struct error *e)
{
    struct ranks *r = t->ranks;
    if (!r)
        return plan_features(s->plan, view, h, e);
    size_t part = (size_t)(s->o.batch / r->size) * (size_t)s->d;
    float *mine = t->h + (size_t)r->size * part;
    if (plan_features(s->plan, view, mine, e) < 0 ||
        ranks_gather(r, mine, t->h, part * sizeof *mine, e) < 0)
        return -1;
    if (h)
        memcpy(h, t->h, (size_t)r->size * part * sizeof *h);
    return 0;
}

// --- projections ---
int team_projections(struct team *t, struct setup *s, float *const z[2], struct error *e)
{
    size_t part = (size_t)t->each * (size_t)t->dim * sizeof *t->z;
    for (int v = 0; v < 2; v++) {
        if (!t->ranks || t->each == t->rows) { // rank 0 has them all
            if (z && plan_output(s->plan, s->net.projected, v, t->rows, z[v], e) < 0)
                return -1;
            continue;
        }
        float *mine = t->z + (size_t)t->ranks->size * (size_t)t->each * (size_t)t->dim;
        if (plan_output(s->plan, s->net.projected, v, t->each, mine, e) < 0 ||
            ranks_gather(t->ranks, mine, t->z, part, e) < 0)
            return -1;
        if (z)
            memcpy(z[v], t->z, (size_t)t->rows * (size_t)t->dim * sizeof *t->z);
    }
    return 0;
}

int team_tell_times(struct team *t, const struct team_times *mine, struct error *e)
{
    return t->ranks ? ranks_gather(t->ranks, mine, t->times, sizeof *mine, e) : 0;
}

// --- an evaluation ---
static int is_wanted(const struct team_end *end)
{
    return end && end->is_wanted && end->is_wanted(end->context);
}

static int broken_off(struct error *e)
{
    error_set(e, "broken off");
    return TEAM_BROKEN_OFF;
}

// A walk by steps of about the golden ratio of n comes by all of them, and each few in a row are
// from everywhere: images and views that lie together do not make a batch.
static int64_t common_divisor(int64_t a, int64_t b)
{
    return b ? common_divisor(b, a % b) : a;
}

static int64_t stride_of(int64_t n)
{
    int64_t stride = (int64_t)(0.618 * (double)n) + 1;
    while (common_divisor(n, stride) != 1)
        stride++;
    return stride;
}

// All are asked whether it is to be broken off, so that all make the call or none.
static int update_bn(struct setup *s, struct images *images, const int64_t *index, int64_t n,
                     int64_t *batch, const struct team_end *end, struct error *e)
{
    struct ranks *r = s->ranks;
    int64_t all = s->o.batch, each = all / (r ? r->size : 1), stride = stride_of(n);
    int64_t from = r ? r->rank * each : 0;
    for (int k = 0; k < TEAM_BATCHES; k++) {
        double ends = (!r || r->rank == 0) && is_wanted(end);
        if (r && ranks_add(r, &ends, 1, e) < 0)
            return -1;
        if (ends > 0)
            return broken_off(e);
        for (int64_t i = 0; i < each; i++)
            batch[i] = index[(k * all + from + i) % n * stride % n];
        if (plan_update_bn(s->plan, images, batch, k + 1, e) < 0)
            return -1;
    }
    return 0;
}

int team_update_bn(struct setup *s, struct images *images, const int64_t *index, int64_t n,
                   const struct team_end *end, struct error *e)
{
    int64_t *batch = malloc((size_t)s->o.batch * sizeof *batch);
    int rc = batch ? update_bn(s, images, index, n, batch, end, e)
                   : error_memory(e, "statistics of batch norms");
    free(batch);
    if (rc == -1 && s->ranks) // the others are in the midst of it
        ranks_give_up(s->ranks);
    return rc;
}

enum { COULD, COULD_NOT, ENDS }; // what stands behind the features of a rank

// One round: a batch for each rank, and behind its features whether it could. What one says of its
// failure it says itself; the round goes on, or the others would wait.
static int round_of(struct setup *s, struct images *images, const int64_t *index, int64_t n,
                    float *room, size_t block, const struct team_end *end, int *bad,
                    struct error *e)
{
    struct ranks *r = s->ranks;
    int batch = s->o.batch / r->size;
    int64_t from = (int64_t)r->rank * batch, some = n - from;
    float *mine = room + (size_t)r->size * block;
    struct error why;
    some = some < 0 ? 0 : some < batch ? some : batch;
    if (some && plan_evaluate(s->plan, images, index + from, (int)some, mine, &why) < 0) {
        error_set(e, "rank %d on %s: %.300s", r->rank, r->place[r->rank].host, why.text);
        *bad = 1;
    }
    mine[block - 1] = (float)(r->rank == 0 && is_wanted(end) ? ENDS : *bad ? COULD_NOT : COULD);
    return ranks_gather(r, mine, room, block * sizeof *room, r->rank && *bad ? &why : e);
}

static int evaluate_alone(struct setup *s, struct images *images, const int64_t *index, int64_t n,
                          float *h, const struct team_end *end, struct error *e)
{
    for (int64_t at = 0; at < n; at += s->o.batch) {
        int64_t some = n - at < s->o.batch ? n - at : s->o.batch;
        if (is_wanted(end))
            return broken_off(e);
        if (plan_evaluate_all(s->plan, images, index + at, some, s->d, h + at * s->d, e) < 0)
            return -1;
    }
    return 0;
}

int team_evaluate(struct setup *s, struct images *images, const int64_t *index, int64_t n, float *h,
                  const struct team_end *end, struct error *e)
{
    struct ranks *r = s->ranks;
    if (!r)
        return evaluate_alone(s, images, index, n, h, end, e);
    size_t d = (size_t)s->d, batch = (size_t)(s->o.batch / r->size), block = batch * d + 1;
    int bad = 0, rc = 0;
    float *room = calloc(((size_t)r->size + 1) * block, sizeof *room);
    if (!room) {
        ranks_give_up(r);
        return error_memory(e, "an evaluation of %d ranks", r->size);
    }
    for (int64_t at = 0; at < n && rc == 0; at += s->o.batch) {
        rc = round_of(s, images, index + at, n - at, room, block, end, &bad, e);
        if (rc == 0 && room[block - 1] == ENDS) {
            free(room);
            return broken_off(e);
        }
        for (size_t k = 0; k < (size_t)r->size && rc == 0; k++) {
            int64_t first = at + (int64_t)(k * batch), some = n - first;
            if (room[k * block + block - 1] != 0 && !bad)
                bad = error_set(e, "rank %d on %s could not evaluate", (int)k, r->place[k].host);
            if (h && some > 0)
                memcpy(h + (size_t)first * d, room + k * block,
                       (size_t)(some < (int64_t)batch ? some : (int64_t)batch) * d * sizeof *h);
        }
    }
    free(room);
    return rc < 0 || bad ? -1 : 0;
}
