// A step on the card. Each list is queued piece by piece once, then recorded as a graph and
// launched as one; rates and batches live in memory of the card, so that nothing is recorded again.
// Nothing here waits for the card but what must hand numbers to the host.
#include <math.h>
#include <string.h>

#include "gpu/cuda/cuda.h"
#include "gpu/cuda/join.h"

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

int cuda_usable(struct cuda_plan *p, struct error *e)
{
    if (p->device->planning)
        return error_set(e, "%s: there is nothing to run on", p->device->base.info.name);
    return 0;
}

static int mark(struct cuda_plan *p, int which, struct error *e)
{
    return cuda_ok(cudaEventRecord(p->mark[p->step & 1][which], p->device->main), "clock", e);
}

// --- lists and graphs ---
static int run_list(struct cuda_plan *p, const struct op_list *list, struct error *e)
{
    for (int i = 0; i < list->n; i++)
        if (list->op[i].run(p, &list->op[i], e) < 0)
            return -1;
    return 0;
}

static int run_forward(struct cuda_plan *p, struct error *e)
{
    return run_list(p, &p->forward, e);
}

static int run_backward(struct cuda_plan *p, struct error *e)
{
    return run_list(p, &p->backward, e);
}

int cuda_run_sgd(struct cuda_plan *p, struct error *e)
{
    return cuda_ok(cuda_sgd(p->chunk, p->n_chunk, p->rates, p->device->main), "update", e);
}

int cuda_run_lars(struct cuda_plan *p, struct error *e)
{
    return cuda_ok(cuda_lars(p->chunk, p->n_chunk, p->rates, p->norms, p->device->main), "update",
                   e);
}

int cuda_run_ema(struct cuda_plan *p, struct error *e)
{
    return cuda_ok(cuda_average(p->follow, p->n_follow, p->rates, p->device->main),
                   "moving average", e);
}

// Record what `run` queues. -1: it cannot be recorded, and nothing was queued.
static int record(struct cuda_plan *p, struct recorded *r,
                  int (*run)(struct cuda_plan *, struct error *))
{
    cudaStream_t s = p->device->main;
    cudaGraph_t graph = NULL;
    if (cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal) != cudaSuccess) {
        (void)cudaGetLastError();
        return -1;
    }
    int rc = run(p, NULL);
    if (cudaStreamEndCapture(s, &graph) != cudaSuccess || rc < 0 ||
        cudaGraphInstantiate(&r->exec, graph, 0) != cudaSuccess)
        rc = -1;
    if (graph)
        cudaGraphDestroy(graph);
    if (rc < 0) {
        r->exec = NULL;
        (void)cudaGetLastError();
    }
    return rc;
}

// The first run is queued piece by piece (libraries load and allocate), the second is recorded.
// What cannot be recorded goes on piece by piece: slower by its launches, and the same numbers.
static int launch(struct cuda_plan *p, struct recorded *r,
                  int (*run)(struct cuda_plan *, struct error *), struct error *e)
{
    if (!r->exec && !r->refused && r->runs > 0)
        r->refused = record(p, r, run) < 0;
    r->runs++;
    if (r->exec)
        return cuda_ok(cudaGraphLaunch(r->exec, p->device->main), "step", e);
    return run(p, e);
}

// --- the step ---
int cuda_forward(struct plan *plan, struct error *e)
{
    struct cuda_plan *p = (struct cuda_plan *)plan;
    cudaStream_t s = p->device->main;
    if (cuda_usable(p, e) < 0)
        return -1;
    p->step++;
    p->marked[p->step & 1] = 0;
    if (mark(p, MARK_WANT, e) < 0 || cuda_feed_take(p, e) < 0 || mark(p, MARK_FORWARD, e) < 0 ||
        launch(p, &p->forward_graph, run_forward, e) < 0 || mark(p, MARK_FORWARD_END, e) < 0 ||
        cuda_ok(cudaEventRecord(p->scored, s), "loss", e) < 0 ||
        cuda_ok(cudaEventRecord(p->forwarded, s), "features", e) < 0)
        return -1;
    p->unsettled = 1;
    return 0;
}

// Milliseconds of the step before, all of whose marks lie before the loss that was just waited for.
static void read_times(struct cuda_plan *p)
{
    cudaEvent_t *m = p->mark[(p->step - 1) & 1];
    static const int pair[4][2] = {{MARK_WANT, MARK_FORWARD},
                                   {MARK_FORWARD, MARK_FORWARD_END},
                                   {MARK_BACKWARD, MARK_BACKWARD_END},
                                   {MARK_UPDATE, MARK_UPDATE_END}};
    double *to[4] = {&p->base.times.data, &p->base.times.forward, &p->base.times.backward,
                     &p->base.times.update};
    for (int i = 0; i < 4 && p->marked[(p->step - 1) & 1]; i++) {
        float ms;
        if (cudaEventElapsedTime(&ms, m[pair[i][0]], m[pair[i][1]]) == cudaSuccess)
            *to[i] = (double)ms;
        else
            (void)cudaGetLastError();
    }
}

int cuda_settle(struct plan *plan, struct error *e)
{
    struct cuda_plan *p = (struct cuda_plan *)plan;
    if (!p->unsettled)
        return 0;
    p->unsettled = 0;
    if (cuda_ok(cudaEventSynchronize(p->scored), "loss", e) < 0) {
        plan->scores = (struct plan_scores){NAN, NAN};
        return -1;
    }
    if (p->net.loss)
        plan->scores = (struct plan_scores){p->scores[0], p->scores[1]};
    read_times(p);
    return 0;
}

static int seed(struct cuda_plan *p, const float *const dy[2], struct error *e);

int cuda_backward(struct plan *plan, const float *const dy[2], struct error *e)
{
    struct cuda_plan *p = (struct cuda_plan *)plan;
    if (cuda_usable(p, e) < 0)
        return -1;
    if (!dy != !!p->net.loss)
        return error_set(e, dy ? "the network has a loss" : "the network has no loss");
    if (dy && seed(p, dy, e) < 0)
        return -1;
    if (mark(p, MARK_BACKWARD, e) < 0 || launch(p, &p->backward_graph, run_backward, e) < 0)
        return -1;
    return mark(p, MARK_BACKWARD_END, e);
}

int cuda_update(struct plan *plan, const struct update *u, struct error *e)
{
    struct cuda_plan *p = (struct cuda_plan *)plan;
    struct cuda_rates *r = &p->rates_now;
    if (cuda_usable(p, e) < 0)
        return -1;
    if (p->n_chunk == 0)
        return 0;
    for (int i = 0; i < GROUP_COUNT; i++)
        r->lr[i] = (float)u->lr[i];
    r->momentum = (float)u->momentum;
    r->weight_decay = (float)u->weight_decay;
    r->trust = u->trust;
    if (mark(p, MARK_UPDATE, e) < 0 ||
        cuda_ok(cuda_set_rates(p->rates, *r, p->device->main), "rates", e) < 0 ||
        launch(p, &p->update_graph[u->kind], u->kind == UPDATE_LARS ? cuda_run_lars : cuda_run_sgd,
               e) < 0 ||
        mark(p, MARK_UPDATE_END, e) < 0)
        return -1;
    p->marked[p->step & 1] = 1;
    return 0;
}

int cuda_ema(struct plan *plan, double tau, struct error *e)
{
    struct cuda_plan *p = (struct cuda_plan *)plan;
    if (cuda_usable(p, e) < 0)
        return -1;
    if (p->n_follow == 0)
        return 0;
    p->rates_now.keep = (float)tau;
    p->rates_now.take = (float)(1 - tau);
    if (cuda_ok(cuda_set_rates(p->rates, p->rates_now, p->device->main), "rates", e) < 0 ||
        launch(p, &p->ema_graph, cuda_run_ema, e) < 0)
        return -1;
    return mark(p, MARK_UPDATE_END, e); // part of the update
}

// --- features ---
static int has_features(struct cuda_plan *p, struct error *e)
{
    if (p->net.features < 0)
        return error_set(e, "the network has no features");
    return cuda_usable(p, e);
}

int cuda_features(struct plan *plan, int view, float *h, struct error *e)
{
    struct cuda_plan *p = (struct cuda_plan *)plan;
    if (has_features(p, e) < 0)
        return -1;
    size_t n = (size_t)p->batch * (size_t)p->feature_d;
    return cuda_download(p, h, p->features + (size_t)view * n, n * sizeof *h, e);
}

// Mean and scatter of both views' features are made on the card, in double, beside the backward
// pass; the host joins them to what it has.
int cuda_moments(struct plan *plan, struct moments *m, struct error *e)
{
    struct cuda_plan *p = (struct cuda_plan *)plan;
    struct cuda_device *d = p->device;
    if (has_features(p, e) < 0)
        return -1;
    if (m->d != p->feature_d)
        return error_set(e, "moments of %d dimensions for features of %d", m->d, p->feature_d);
    int n = VIEWS * p->batch, c = p->feature_d;
    size_t wide = (size_t)c;
    const double one = 1, zero = 0;
    double *mean = p->moments, *scatter = p->moments + wide;
    if (cuda_ok(cudaStreamWaitEvent(d->side, p->forwarded, 0), "features", e) < 0)
        return -1;
    if (cuda_ok(cuda_centre(p->mean, p->centred, p->features, n, c, d->side), "features", e) < 0 ||
        // Rows are columns to cuBLAS: its upper triangle is our lower one.
        cuda_blas_ok(cublasDsyrk(d->side_blas, CUBLAS_FILL_MODE_UPPER, CUBLAS_OP_N, c, n, &one,
                                 p->centred, c, &zero, p->scatter, c),
                     "covariance", e) < 0 ||
        cuda_ok(
            cudaMemcpyAsync(mean, p->mean, wide * sizeof *mean, cudaMemcpyDeviceToHost, d->side),
            "covariance", e) < 0 ||
        cuda_ok(cudaMemcpyAsync(scatter, p->scatter, wide * wide * sizeof *scatter,
                                cudaMemcpyDeviceToHost, d->side),
                "covariance", e) < 0 ||
        cuda_ok(cudaStreamSynchronize(d->side), "covariance", e) < 0)
        return -1;
    moments_join(m, n, mean, scatter);
    return 0;
}

int cuda_evaluate(struct plan *plan, struct images *s, const int64_t *index, int n, float *h,
                  struct error *e)
{
    struct cuda_plan *p = (struct cuda_plan *)plan;
    if (has_features(p, e) < 0)
        return -1;
    if (n < 1 || n > p->batch)
        return error_set(e, "%d images do not fit a batch of %d", n, p->batch);
    if (cuda_feed_evaluate(p, s, index, n, e) < 0 || run_list(p, &p->evaluate, e) < 0)
        return -1;
    return cuda_download(p, h, p->features, (size_t)n * (size_t)p->feature_d * sizeof *h, e);
}

// --- whole tensors, for tests: n x c x h x w floats against n x h x w x c of the plan's type ---
static int view_of(const struct cuda_plan *p, int view, struct error *e)
{
    (void)p;
    return view < 0 || view >= VIEWS ? error_set(e, "there is no view %d", view) : 0;
}

// The first n images of a view, as many at once as the pinned memory holds, where they are turned
// around.
static int take_out(struct cuda_plan *p, const struct tensor *t, const void *data, int view, int n,
                    cudaStream_t stream, float *y, struct error *e)
{
    size_t image = t->image * type_size(t->type), most = p->bounce_size / image;
    const char *from = (const char *)data + (size_t)view * (size_t)p->batch * image;
    if (!most)
        return error_set(e, "an image of %zu MB is too large to be looked at", image >> 20);
    for (size_t at = 0, some; at < (size_t)n; at += some) {
        some = (size_t)n - at < most ? (size_t)n - at : most;
        if (cuda_ok(cudaMemcpyAsync(p->bounce, from + at * image, some * image,
                                    cudaMemcpyDeviceToHost, stream),
                    "copy", e) < 0 ||
            cuda_ok(cudaStreamSynchronize(stream), "copy", e) < 0)
            return -1;
        turn_to_planes(p->bounce, t->type == CUDA_BF16, (int)some, t->c, t->h * t->w,
                       y + at * t->image);
    }
    return 0;
}

static int bring_in(struct cuda_plan *p, const struct tensor *t, void *data, int view,
                    const float *x, struct error *e)
{
    size_t size = (size_t)p->batch * t->image * type_size(t->type);
    if (size > p->bounce_size)
        return error_set(e, "a tensor of %zu MB is too large to be set", size >> 20);
    turn_to_rows(x, t->type == CUDA_BF16, p->batch, t->c, t->h * t->w, p->bounce);
    if (cuda_ok(cudaMemcpyAsync((char *)data + (size_t)view * size, p->bounce, size,
                                cudaMemcpyHostToDevice, p->device->main),
                "copy", e) < 0)
        return -1;
    return cuda_ok(cudaStreamSynchronize(p->device->main), "copy", e);
}

int cuda_output(struct plan *plan, int node, int view, int n, float *y, struct error *e)
{
    struct cuda_plan *p = (struct cuda_plan *)plan;
    if (cuda_usable(p, e) < 0)
        return -1;
    if (node < 0 || node >= p->net.n)
        return error_set(e, "there is no node %d", node);
    if (!p->tensor[node])
        return error_set(e, "the output of node %d is not kept: it is fused with what follows",
                         node);
    if (p->tensor[node]->lent)
        return error_set(e, "the output of node %d is not kept: it is frozen", node);
    // Beside the backward pass, which leaves outputs alone.
    if (cuda_ok(cudaStreamWaitEvent(p->device->side, p->forwarded, 0), "output", e) < 0)
        return -1;
    return take_out(p, p->tensor[node], p->tensor[node]->data, view, n, p->device->side, y, e);
}

int cuda_input_gradient(struct plan *plan, int view, float *dx, struct error *e)
{
    struct cuda_plan *p = (struct cuda_plan *)plan;
    if (cuda_usable(p, e) < 0 || view_of(p, view, e) < 0)
        return -1;
    if (!p->input_gradient)
        return error_set(e, "the plan was compiled without the input's gradient");
    return take_out(p, p->tensor[0], p->input_gradient, view, p->batch, p->device->main, dx, e);
}

int cuda_input(struct plan *plan, int view, const float *x, struct error *e)
{
    struct cuda_plan *p = (struct cuda_plan *)plan;
    if (cuda_usable(p, e) < 0 || view_of(p, view, e) < 0 ||
        bring_in(p, p->tensor[0], p->tensor[0]->data, view, x, e) < 0)
        return -1;
    p->direct |= 1 << view;
    return 0;
}

static int seed(struct cuda_plan *p, const float *const dy[2], struct error *e)
{
    for (int v = 0; v < VIEWS; v++)
        if (bring_in(p, p->tensor[p->net.n - 1], p->seed->data, v, dy[v], e) < 0)
            return -1;
    return 0;
}
