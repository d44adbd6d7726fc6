// Where the time of a step goes: the same pieces that a step queues, each between two marks of the
// card's clock. What a graph saves in launches is not in these numbers.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/cuda/cuda.h"

struct profile {
    struct plan_work *kind;
    int n, max;
};

// The row of this name, made when it is the first; the last one takes what finds no room.
static struct plan_work *row(struct profile *to, const char *name)
{
    for (int i = 0; i < to->n; i++)
        if (!strcmp(to->kind[i].name, name))
            return &to->kind[i];
    if (to->n == to->max)
        return &to->kind[to->max - 1];
    struct plan_work *new = &to->kind[to->n++];
    memset(new, 0, sizeof *new);
    snprintf(new->name, sizeof new->name, "%s", name);
    return new;
}

static void add(struct profile *to, const char *name, double ms, double flops, double bytes)
{
    struct plan_work *k = row(to, name);
    k->calls++;
    k->ms += ms;
    k->flops += flops;
    k->bytes += bytes;
}

static void name_of(const struct op *op, int backward, char *name, size_t size)
{
    if (op->name)
        snprintf(name, size, "%s", op->name);
    else
        snprintf(name, size, "%s%s", op->stage->kind->name, backward ? ", gradient" : "");
}

// n + 1 marks with list[i] between marks i and i + 1.
static int run_marked(struct plan *p, const struct op_list *list, cudaEvent_t *mark,
                      struct error *e)
{
    cudaStream_t s = card(p)->main;
    if (cuda_ok(cudaEventRecord(mark[0], s), "clock", e) < 0)
        return -1;
    for (int i = 0; i < list->n; i++)
        if (list->op[i].run(p, &list->op[i], e) < 0 ||
            cuda_ok(cudaEventRecord(mark[i + 1], s), "clock", e) < 0)
            return -1;
    return cuda_ok(cudaEventSynchronize(mark[list->n]), "clock", e);
}

static int clock_list(struct plan *p, const struct op_list *list, int backward, struct profile *to,
                      struct error *e)
{
    int made = 0, rc = 0;
    cudaEvent_t *mark = calloc((size_t)list->n + 1, sizeof *mark);
    if (!mark)
        return error_memory(e, "a profile");
    while (made <= list->n &&
           (rc = cuda_ok(cudaEventCreateWithFlags(&mark[made], cudaEventDefault), "clock", e)) == 0)
        made++;
    if (rc == 0)
        rc = run_marked(p, list, mark, e);
    for (int i = 0; i < list->n && rc == 0; i++) {
        const struct op *op = &list->op[i];
        char name[48];
        float ms = 0;
        name_of(op, backward, name, sizeof name);
        rc = cuda_ok(cudaEventElapsedTime(&ms, mark[i], mark[i + 1]), "clock", e);
        add(to, name, (double)ms, op->flops, op->bytes);
    }
    while (made)
        cudaEventDestroy(mark[--made]);
    free(mark);
    return rc;
}

// The update or the moving average: one piece of work that is in no list.
static int clock_one(struct plan *p, int (*run)(struct plan *, struct error *), const char *name,
                     double bytes, struct profile *to, struct error *e)
{
    cudaEvent_t *mark = p->own->mark[0];
    cudaStream_t s = card(p)->main;
    float ms = 0;
    if (cuda_ok(cudaEventRecord(mark[0], s), "clock", e) < 0 || run(p, e) < 0 ||
        cuda_ok(cudaEventRecord(mark[1], s), "clock", e) < 0 ||
        cuda_ok(cudaEventSynchronize(mark[1]), "clock", e) < 0 ||
        cuda_ok(cudaEventElapsedTime(&ms, mark[0], mark[1]), "clock", e) < 0)
        return -1;
    add(to, name, (double)ms, 0, bytes);
    return 0;
}

int cuda_profile(struct plan *p, struct plan_work *kind, int max, struct error *e)
{
    struct profile to = {kind, 0, max};
    int lars = p->own->update_graph[UPDATE_LARS].runs > 0;
    double parameters = 0;
    if (p->ranks)
        return error_set(e, "the work of several ranks is not clocked piece by piece");
    if (max < 1 || p->own->step == 0)
        return error_set(e, "there is nothing to profile before the first step");
    for (int i = 0; i < p->net.n_param; i++)
        parameters += param_trained(&p->net.param[i]) ? (double)p->net.param[i].count : 0;
    p->own->marked[0] = p->own->marked[1] = 0; // the marks are borrowed
    if (clock_list(p, &p->forward[0], 0, &to, e) < 0 ||
        (p->net.loss && clock_list(p, &p->backward[0], 1, &to, e) < 0))
        return -1;
    // Weights and momentum are read and written, gradients read (LARS: all but the writes twice).
    if (p->own->n_chunk && clock_one(p, lars ? cuda_run_lars : cuda_run_sgd, "update",
                                     parameters * (lars ? 28 : 20), &to, e) < 0)
        return -1;
    if (p->own->n_follow &&
        clock_one(p, cuda_run_ema, "moving average", parameters * 12, &to, e) < 0)
        return -1;
    return to.n;
}
