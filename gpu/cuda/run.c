// A step on the card. Each list is queued piece by piece once, then recorded as a graph and
// launched as one; rates and batches live in memory of the card, so that nothing is recorded again.
// Nothing here waits for the card but what must hand numbers to the host.
#include <math.h>

#include "gpu/cuda/host.h"
#include "gpu/cuda/reduce.h"

// Marks of a step, for the times of plan_times.
enum {
    MARK_WANT,
    MARK_FORWARD,
    MARK_FORWARD_END,
    MARK_BACKWARD,
    MARK_BACKWARD_END,
    MARK_UPDATE,
    MARK_UPDATE_END
};

double cuda_between(cudaEvent_t from, cudaEvent_t to)
{
    float ms;
    if (cudaEventElapsedTime(&ms, from, to) == cudaSuccess)
        return fmax((double)ms, 0); // of two streams the second may have been the earlier one
    (void)cudaGetLastError();
    return NAN;
}

static int mark(struct plan *p, int which, struct error *e)
{
    return cuda_ok(cudaEventRecord(p->own->mark[p->own->step & 1][which], card(p)->main), "clock",
                   e);
}

// --- lists and graphs ---
static int run_forward(struct plan *p, struct error *e)
{
    return p->ranks ? reduce_forward(p, e) : plan_run(p, &p->forward[0], e);
}

static int run_backward(struct plan *p, struct error *e)
{
    return p->ranks ? reduce_backward(p, e) : plan_run(p, &p->backward[0], e);
}

int cuda_run_sgd(struct plan *p, struct error *e)
{
    return cuda_ok(cuda_sgd(p->own->chunk, p->own->n_chunk, p->own->rates, card(p)->main), "update",
                   e);
}

int cuda_run_lars(struct plan *p, struct error *e)
{
    return cuda_ok(
        cuda_lars(p->own->chunk, p->own->n_chunk, p->own->rates, p->own->norms, card(p)->main),
        "update", e);
}

int cuda_run_ema(struct plan *p, struct error *e)
{
    return cuda_ok(cuda_average(p->own->follow, p->own->n_follow, p->own->rates, card(p)->main),
                   "moving average", e);
}

// Record what `run` queues. -1: it cannot be recorded, and nothing was queued.
static int record(struct plan *p, cudaGraphExec_t *exec, int (*run)(struct plan *, struct error *))
{
    cudaStream_t s = card(p)->main;
    cudaGraph_t graph = NULL;
    if (cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal) != cudaSuccess) {
        (void)cudaGetLastError();
        return -1;
    }
    p->own->recording = 1;
    int rc = run(p, NULL);
    p->own->recording = 0;
    if (cudaStreamEndCapture(s, &graph) != cudaSuccess || rc < 0 ||
        cudaGraphInstantiate(exec, graph, 0) != cudaSuccess)
        rc = -1;
    if (graph)
        cudaGraphDestroy(graph);
    if (rc < 0) {
        *exec = NULL;
        (void)cudaGetLastError();
    }
    return rc;
}

// What ranks do together all of them launch as a graph, or none.
static int agree(struct plan *p, struct recorded *r, cudaGraphExec_t *exec, struct error *e)
{
    int refused = reduce_refused(p, r->refused, e);
    if (refused < 0)
        return -1;
    r->refused = refused;
    if (refused && *exec) {
        cudaGraphExecDestroy(*exec);
        *exec = NULL;
    }
    return 0;
}

// The first run is queued piece by piece (libraries load and allocate), the second is recorded.
// What cannot be recorded goes on piece by piece: slower by its launches, and the same numbers.
static int launch(struct plan *p, struct recorded *r, int (*run)(struct plan *, struct error *),
                  int together, struct error *e)
{
    int shared = together && p->ranks;
    cudaGraphExec_t *exec = &r->exec[shared ? p->own->step & 1 : 0];
    if (!*exec && !r->refused && r->runs > 0) {
        r->refused = record(p, exec, run) < 0;
        if (shared && agree(p, r, exec, e) < 0)
            return -1;
    }
    r->runs++;
    if (*exec)
        return cuda_ok(cudaGraphLaunch(*exec, card(p)->main), "step", e);
    return run(p, e);
}

void cuda_forget_graphs(struct plan *p)
{
    struct own *o = p->own;
    struct recorded *graphs[] = {&o->forward_graph, &o->backward_graph,
                                 &o->update_graph[UPDATE_SGD], &o->update_graph[UPDATE_LARS],
                                 &o->ema_graph};
    for (size_t i = 0; i < 2 * sizeof graphs / sizeof *graphs; i++) {
        cudaGraphExec_t *exec = &graphs[i / 2]->exec[i % 2];
        if (*exec)
            cudaGraphExecDestroy(*exec);
        *exec = NULL;
    }
}

// --- the step ---
int cuda_forward(struct plan *p, int direct, struct error *e)
{
    cudaStream_t s = card(p)->main;
    p->own->step++;
    p->own->marked[p->own->step & 1] = 0;
    if (reduce_join(p, e) < 0 || mark(p, MARK_WANT, e) < 0 ||
        (!direct && cuda_feed_take(p, e) < 0) || mark(p, MARK_FORWARD, e) < 0 ||
        launch(p, &p->own->forward_graph, run_forward, 1, e) < 0 ||
        mark(p, MARK_FORWARD_END, e) < 0 ||
        cuda_ok(cudaEventRecord(p->own->scored, s), "loss", e) < 0 ||
        cuda_ok(cudaEventRecord(p->own->forwarded, s), "features", e) < 0 ||
        (p->ranks && cuda_moments_add(p, e) < 0))
        return -1;
    p->own->unsettled = 1;
    return 0;
}

// Milliseconds of the step before, all of whose marks lie before the loss that was just waited for.
// Waiting for other ranks is in none but that of its own.
static void read_times(struct plan *p)
{
    int parity = (p->own->step - 1) & 1;
    cudaEvent_t *m = p->own->mark[parity];
    static const int pair[4][2] = {{MARK_WANT, MARK_FORWARD},
                                   {MARK_FORWARD, MARK_FORWARD_END},
                                   {MARK_BACKWARD, MARK_BACKWARD_END},
                                   {MARK_UPDATE, MARK_UPDATE_END}};
    double *to[4] = {&p->times.data, &p->times.forward, &p->times.backward, &p->times.update};
    double waited[4] = {0}, ms[WAITS];
    if (!p->own->marked[parity])
        return;
    reduce_waited(p, parity, ms);
    waited[1] = ms[WAITS_FORWARD];
    waited[2] = ms[WAITS_BACKWARD];
    p->times.reduce = waited[1] + waited[2] + ms[WAITS_BETWEEN];
    for (int i = 0; i < 4; i++) {
        double passed = cuda_between(m[pair[i][0]], m[pair[i][1]]);
        if (passed >= 0)
            *to[i] = fmax(passed - waited[i], 0);
    }
}

int cuda_settle(struct plan *p, struct error *e)
{
    if (!p->own->unsettled)
        return 0;
    p->own->unsettled = 0;
    if (reduce_wait_event(p, p->own->scored, "loss", e) < 0) {
        p->scores = (struct plan_scores){NAN, NAN};
        return -1;
    }
    if (p->net.loss)
        p->scores = (struct plan_scores){p->own->scores[0], p->own->scores[1]};
    read_times(p);
    return 0;
}

int cuda_backward(struct plan *p, struct error *e)
{
    if (mark(p, MARK_BACKWARD, e) < 0 || launch(p, &p->own->backward_graph, run_backward, 1, e) < 0)
        return -1;
    return mark(p, MARK_BACKWARD_END, e);
}

int cuda_update(struct plan *p, const struct update *u, struct error *e)
{
    struct cuda_rates *r = &p->own->rates_now;
    if (p->own->n_chunk == 0)
        return 0;
    for (int i = 0; i < GROUP_COUNT; i++)
        r->lr[i] = (float)u->lr[i];
    r->momentum = (float)u->momentum;
    r->weight_decay = (float)u->weight_decay;
    r->trust = u->trust;
    if (mark(p, MARK_UPDATE, e) < 0 ||
        cuda_ok(cuda_set_rates(p->own->rates, *r, card(p)->main), "rates", e) < 0 ||
        launch(p, &p->own->update_graph[u->kind],
               u->kind == UPDATE_LARS ? cuda_run_lars : cuda_run_sgd, 0, e) < 0 ||
        mark(p, MARK_UPDATE_END, e) < 0)
        return -1;
    p->own->marked[p->own->step & 1] = 1;
    return 0;
}

int cuda_ema(struct plan *p, double tau, struct error *e)
{
    if (p->own->n_follow == 0)
        return 0;
    p->own->rates_now.keep = (float)tau;
    p->own->rates_now.take = (float)(1 - tau);
    if (cuda_ok(cuda_set_rates(p->own->rates, p->own->rates_now, card(p)->main), "rates", e) < 0 ||
        launch(p, &p->own->ema_graph, cuda_run_ema, 0, e) < 0)
        return -1;
    return mark(p, MARK_UPDATE_END, e); // part of the update
}

// --- features ---
const float *cuda_rows(const struct plan *p, int view)
{
    return p->tensor[p->net.features]->data[view];
}

int cuda_features(struct plan *p, int view, float *h, struct error *e)
{
    size_t n = (size_t)p->batch * (size_t)p->feature_d;
    return cuda_download(p, h, cuda_rows(p, view), n * sizeof *h, e);
}

int cuda_evaluate(struct plan *p, struct images *s, const int64_t *index, int n, float *h,
                  struct error *e)
{
    if ((p->bn_batch && reduce_join(p, e) < 0) || cuda_feed_evaluate(p, s, index, n, e) < 0 ||
        plan_run(p, &p->evaluate, e) < 0)
        return -1;
    return !h ? 0
              : cuda_download(p, h, cuda_rows(p, 0), (size_t)n * (size_t)p->feature_d * sizeof *h,
                              e);
}

// --- whole tensors: n x c x h x w floats against n x h x w x c of the plan's type ---
// As many images at once as the pinned memory holds, where they are turned around.
int cuda_fetch(struct plan *p, const struct tensor *t, const void *data, int n, int late, float *y,
               struct error *e)
{
    // What the forward pass gave is fetched beside the backward pass, which leaves it alone.
    cudaStream_t stream = late ? card(p)->main : card(p)->side;
    size_t image = image_of(t) * plan_element(t->type), most = p->own->bounce_size / image;
    if (!most)
        return error_set(e, "an image of %zu MB is too large to be looked at", image >> 20);
    if (!late && cuda_ok(cudaStreamWaitEvent(stream, p->own->forwarded, 0), "output", e) < 0)
        return -1;
    for (size_t at = 0, some; at < (size_t)n; at += some) {
        some = (size_t)n - at < most ? (size_t)n - at : most;
        if (cuda_ok(cudaMemcpyAsync(p->own->bounce, (const char *)data + at * image, some * image,
                                    cudaMemcpyDeviceToHost, stream),
                    "copy", e) < 0 ||
            reduce_wait_stream(p, stream, "copy", e) < 0)
            return -1;
        host_to_planes(p->own->bounce, t->type == CUDA_BF16, (int)some, t->c, t->h * t->w,
                       y + at * image_of(t));
    }
    return 0;
}

int cuda_bring(struct plan *p, const struct tensor *t, void *data, const float *x, struct error *e)
{
    size_t size = (size_t)p->batch * image_of(t) * plan_element(t->type);
    if (size > p->own->bounce_size)
        return error_set(e, "a tensor of %zu MB is too large to be set", size >> 20);
    host_to_rows(x, t->type == CUDA_BF16, p->batch, t->c, t->h * t->w, p->own->bounce);
    if (cuda_ok(cudaMemcpyAsync(data, p->own->bounce, size, cudaMemcpyHostToDevice, card(p)->main),
                "copy", e) < 0)
        return -1;
    return reduce_wait_stream(p, card(p)->main, "copy", e);
}
