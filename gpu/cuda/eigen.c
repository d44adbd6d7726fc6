// Eigenvalues beside the steps: a thread with a stream of its own takes the newest covariance, and
// a step never waits for it. cusolverDnXsyevd blocks its caller and cannot be recorded: hence the
// thread. A result belongs to the moments that were asked for; what others asked is forgotten. Who
// asks again with the same content gets that result and no other: so an exact spectrum can be
// waited for, while the live one is never waited for and may be some steps old.
#include <cusolverDn.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/cuda/cuda.h"

struct problem { // moments as they were
    const struct moments *of;
    int d;
    double content[3];   // tells other content of the same moments
    double scale, n_eff; // sigma = sqrt(eigenvalue scale)
    double weight;
    double *scatter; // d x d, then the mean
    size_t room;
};

struct eigen {
    int card;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int stop, waiting; // waiting: `next` is to be worked
    int busy;          // `now` is being worked
    struct problem next, now;
    int done, failed; // a result waits to be fetched
    const struct moments *of;
    int d;
    double n_eff;
    double *value; // ascending: centred, then not
    struct error error;
    // The thread's own:
    cudaStream_t stream;
    cusolverDnHandle_t solver;
    cusolverDnParams_t params;
    int space_d; // what the memory below is for
    double *a, *w, *pinned, *centred;
    int *info, *info_pinned;
    void *work_card, *work_host;
    size_t work_card_size, work_host_size;
};

static int solver_ok(cusolverStatus_t s, const char *what, struct error *e)
{
    if (s == CUSOLVER_STATUS_SUCCESS)
        return 0;
    (void)cudaGetLastError();
    return error_set(e, "cuSOLVER: %s: status %d", what, (int)s);
}

static void forget_space(struct eigen *g)
{
    cudaFree(g->a);
    cudaFree(g->w);
    cudaFree(g->info);
    cudaFree(g->work_card);
    cudaFreeHost(g->pinned);
    cudaFreeHost(g->info_pinned);
    free(g->work_host);
    free(g->centred);
    g->centred = NULL;
    g->a = g->w = g->pinned = NULL;
    g->info = g->info_pinned = NULL;
    g->work_card = g->work_host = NULL;
    g->space_d = 0;
}

static int make_space(struct eigen *g, int d, struct error *e)
{
    size_t wide = (size_t)d;
    if (g->space_d == d)
        return 0;
    forget_space(g);
    if (cuda_ok(cudaMalloc((void **)&g->a, wide * wide * sizeof *g->a), "spectrum", e) < 0 ||
        cuda_ok(cudaMalloc((void **)&g->w, wide * sizeof *g->w), "spectrum", e) < 0 ||
        cuda_ok(cudaMalloc((void **)&g->info, sizeof *g->info), "spectrum", e) < 0 ||
        cuda_ok(cudaMallocHost((void **)&g->pinned, wide * wide * sizeof *g->pinned), "spectrum",
                e) < 0 ||
        cuda_ok(cudaMallocHost((void **)&g->info_pinned, sizeof *g->info_pinned), "spectrum", e) <
            0 ||
        solver_ok(cusolverDnXsyevd_bufferSize(g->solver, g->params, CUSOLVER_EIG_MODE_NOVECTOR,
                                              CUBLAS_FILL_MODE_UPPER, d, CUDA_R_64F, g->a, d,
                                              CUDA_R_64F, g->w, CUDA_R_64F, &g->work_card_size,
                                              &g->work_host_size),
                  "workspace", e) < 0 ||
        cuda_ok(cudaMalloc(&g->work_card, g->work_card_size ? g->work_card_size : 1), "spectrum",
                e) < 0)
        return -1;
    g->work_host = malloc(g->work_host_size ? g->work_host_size : 1);
    g->centred = malloc(wide * sizeof *g->centred);
    if (!g->work_host || !g->centred)
        return error_memory(e, "the spectrum of %d dimensions", d);
    g->space_d = d;
    return 0;
}

// Eigenvalues of what lies in g->pinned, in its place.
static int solve_pinned(struct eigen *g, struct error *e)
{
    int d = g->now.d;
    size_t wide = (size_t)d;
    // Row-major lower is column-major upper.
    if (cuda_ok(cudaMemcpyAsync(g->a, g->pinned, wide * wide * sizeof *g->a, cudaMemcpyHostToDevice,
                                g->stream),
                "spectrum", e) < 0 ||
        solver_ok(cusolverDnXsyevd(g->solver, g->params, CUSOLVER_EIG_MODE_NOVECTOR,
                                   CUBLAS_FILL_MODE_UPPER, d, CUDA_R_64F, g->a, d, CUDA_R_64F, g->w,
                                   CUDA_R_64F, g->work_card, g->work_card_size, g->work_host,
                                   g->work_host_size, g->info),
                  "eigenvalues", e) < 0 ||
        cuda_ok(cudaMemcpyAsync(g->pinned, g->w, wide * sizeof *g->w, cudaMemcpyDeviceToHost,
                                g->stream),
                "spectrum", e) < 0 ||
        cuda_ok(cudaMemcpyAsync(g->info_pinned, g->info, sizeof *g->info, cudaMemcpyDeviceToHost,
                                g->stream),
                "spectrum", e) < 0 ||
        cuda_ok(cudaStreamSynchronize(g->stream), "spectrum", e) < 0)
        return -1;
    if (*g->info_pinned)
        return error_set(e, "the eigenvalues of the covariance did not converge (info %d)",
                         *g->info_pinned);
    return 0;
}

// Those of `now`: centred into g->centred, as the features are into g->pinned.
static int solve(struct eigen *g, struct error *e)
{
    const struct problem *p = &g->now;
    size_t d = (size_t)p->d;
    const double *mean = p->scatter + d * d;
    if (make_space(g, p->d, e) < 0)
        return -1;
    memcpy(g->pinned, p->scatter, d * d * sizeof *g->pinned);
    if (solve_pinned(g, e) < 0)
        return -1;
    memcpy(g->centred, g->pinned, d * sizeof *g->centred);
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j < d; j++)
            g->pinned[i * d + j] =
                p->scatter[i * d + j] + (j <= i ? p->weight * mean[i] * mean[j] : 0);
    return solve_pinned(g, e);
}

static int thread_open(struct eigen *g, struct error *e)
{
    if (cuda_ok(cudaSetDevice(g->card), "card", e) < 0 ||
        cuda_ok(cudaStreamCreateWithFlags(&g->stream, cudaStreamNonBlocking), "stream", e) < 0 ||
        solver_ok(cusolverDnCreate(&g->solver), "start", e) < 0 ||
        solver_ok(cusolverDnSetStream(g->solver, g->stream), "stream", e) < 0)
        return -1;
    return solver_ok(cusolverDnCreateParams(&g->params), "start", e);
}

static void thread_close(struct eigen *g)
{
    forget_space(g);
    if (g->params)
        cusolverDnDestroyParams(g->params);
    if (g->solver)
        cusolverDnDestroy(g->solver);
    if (g->stream)
        cudaStreamDestroy(g->stream);
    (void)cudaGetLastError();
}

static void publisher_put(struct eigen *g, int rc, const struct error *e)
{
    g->done = 1;
    g->failed = rc < 0;
    g->error = *e;
    g->of = g->now.of;
    g->d = g->now.d;
    g->n_eff = g->now.n_eff;
    for (int i = 0; i < g->now.d && !rc; i++) {
        g->value[i] = g->centred[i] * g->now.scale;
        g->value[g->now.d + i] = g->pinned[i] * g->now.scale;
    }
}

static void *work(void *argument)
{
    struct eigen *g = argument;
    struct error e = {""};
    int broken = thread_open(g, &e);
    pthread_mutex_lock(&g->lock);
    while (!g->stop) {
        if (!g->waiting) {
            pthread_cond_wait(&g->wake, &g->lock);
            continue;
        }
        struct problem mine = g->next; // trade buffers: the steps may write the other one meanwhile
        g->next = g->now;
        g->now = mine;
        g->waiting = 0;
        g->busy = 1;
        pthread_mutex_unlock(&g->lock);
        int rc = broken ? broken : solve(g, &e);
        pthread_mutex_lock(&g->lock);
        double *value = rc ? NULL : realloc(g->value, 2 * (size_t)g->now.d * sizeof *value);
        if (value)
            g->value = value;
        else if (!rc)
            rc = error_memory(&e, "the spectrum");
        publisher_put(g, rc, &e);
        g->busy = 0;
    }
    pthread_mutex_unlock(&g->lock);
    thread_close(g);
    return NULL;
}

int cuda_eigen_new(int card, struct eigen **out, struct error *e)
{
    struct eigen *g = calloc(1, sizeof *g);
    *out = NULL;
    if (!g)
        return error_memory(e, "the spectrum");
    g->card = card;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->wake, NULL);
    if (pthread_create(&g->thread, NULL, work, g)) {
        pthread_cond_destroy(&g->wake);
        pthread_mutex_destroy(&g->lock);
        free(g);
        return error_set(e, "no thread can be started for the spectrum");
    }
    *out = g;
    return 0;
}

void cuda_eigen_free(struct eigen *g)
{
    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    g->stop = 1;
    pthread_cond_signal(&g->wake);
    pthread_mutex_unlock(&g->lock);
    pthread_join(g->thread, NULL);
    pthread_cond_destroy(&g->wake);
    pthread_mutex_destroy(&g->lock);
    free(g->next.scatter);
    free(g->now.scatter);
    free(g->value);
    free(g);
}

static void content_of(const struct moments *m, double content[3])
{
    content[0] = m->weight;
    content[1] = content[2] = 0;
    for (size_t i = 0, d = (size_t)m->d; i < d; i++) {
        content[1] += m->scatter[i * d + i];
        content[2] += m->mean[i];
    }
}

static int same_content(const struct problem *q, const struct moments *m)
{
    double content[3];
    content_of(m, content);
    return q->of == m && q->d == m->d && memcmp(content, q->content, sizeof content) == 0;
}

// Whether m as it is now is on its way.
static int asked(const struct eigen *g, const struct moments *m)
{
    return (g->waiting && same_content(&g->next, m)) || (g->busy && same_content(&g->now, m));
}

// Copy m into `next`. -1 when it has no spectrum.
static int ask(struct eigen *g, const struct moments *m, struct error *e)
{
    size_t d = (size_t)m->d, size = (d + 1) * d * sizeof(double);
    double odd = 0;
    if (!isfinite(m->weight) || !isfinite(m->weight2))
        return error_set(e, "the weight of the features is not finite");
    if (m->weight <= 0 || m->weight2 <= 0)
        return error_set(e, "no features have been seen yet");
    if (g->next.room < size) {
        double *room = realloc(g->next.scatter, size);
        if (!room)
            return error_memory(e, "the spectrum of %d dimensions", m->d);
        g->next.scatter = room;
        g->next.room = size;
    }
    for (size_t i = 0; i < d; i++) {
        const double *from = m->scatter + i * d;
        double *to = g->next.scatter + i * d;
        odd += 0 * m->mean[i];
        for (size_t j = 0; j <= i; j++) {
            odd += 0 * from[j]; // 0 * x is NaN for every x that is not finite
            to[j] = from[j];
        }
        for (size_t j = i + 1; j < d; j++)
            to[j] = 0;
    }
    if (odd != 0) {
        g->waiting = 0;
        return error_set(e, "the features are not finite");
    }
    memcpy(g->next.scatter + d * d, m->mean, d * sizeof(double));
    g->next.weight = m->weight;
    g->next.of = m;
    g->next.d = m->d;
    content_of(m, g->next.content);
    g->next.scale = m->weight / m->weight2;
    g->next.n_eff = m->weight * g->next.scale;
    g->waiting = 1;
    pthread_cond_signal(&g->wake);
    return 0;
}

// Fetch what is done for m.
static int fetch(struct eigen *g, const struct moments *m, double *sigma, double *raw, double *n,
                 struct error *e)
{
    if (!g->done || g->of != m || g->d != m->d)
        return 1;
    g->done = 0;
    if (g->failed)
        return error_pass(e, &g->error);
    for (int i = 0; i < g->d; i++)
        sigma[i] = sqrt(fmax(0, g->value[g->d - 1 - i]));
    for (int i = 0; i < g->d && raw; i++)
        raw[i] = sqrt(fmax(0, g->value[2 * g->d - 1 - i]));
    *n = g->n_eff;
    return 0;
}

int cuda_eigen(struct eigen *g, const struct moments *m, double *sigma, double *raw, double *n,
               struct error *e)
{
    pthread_mutex_lock(&g->lock);
    int rc = fetch(g, m, sigma, raw, n, e), again = 0;
    if (rc == 1) {
        again = asked(g, m);
        if (!again && ask(g, m, e) < 0)
            rc = -1;
    } else if (rc == 0 && !same_content(&g->now, m) && ask(g, m, e) < 0) {
        rc = -1;
    }
    pthread_mutex_unlock(&g->lock);
    if (again)
        sched_yield();
    return rc;
}
