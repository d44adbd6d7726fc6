// A ring of two batches, one mutex, two conditions. A batch is cut into runs of views; whoever is
// free claims the next run of the oldest batch that still has one. Which thread works a view
// changes nothing, as a view is a pure function.
#include "gpu/views/pixel_pool.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define THREADS_MAX 256
#define RUN_PIXELS                                                                                 \
    16384 // pixels a claim: some tens of microseconds, so that the mutex is rarely met
#define BATCH_MAX (1 << 24)

struct slot {
    struct pixel_job job; // its index, view, mean and std point into this slot
    int64_t *index;
    struct augment_view *view[2];
    float mean[3], std[3];
    int plain; // bit a view: the image itself
    int items; // views to make: batch or twice that; of a source: images
    int next;  // first view that nobody has claimed
    int done;
    int failed; // why is set
    struct error why;
};

// What a thread works with.
struct bench {
    struct pixel_scratch *scratch;
    struct pictures_reader *reader; // of a source
};

struct worker {
    struct pixel_pool *pool;
    struct bench bench;
    pthread_t thread;
};

struct pixel_pool {
    struct pixel_shape shape;
    int nice, max_batch, run; // run: views a claim
    struct pictures *source;  // or NULL: images lie in memory
    struct bench bench;       // of the caller, who helps in wait
    struct worker *worker;
    int workers; // started
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    // Under the lock; head and queued change only in calls of the owner, who may read them without
    // it.
    struct slot slot[PIXEL_POOL_DEPTH];
    int head, queued, stop;
};

// Images first .. first + count of a batch from a source, both views of each.
static int make_images(const struct pixel_pool *p, const struct slot *s, const struct bench *bench,
                       int first, int count, struct error *e)
{
    const struct pixel_job *j = &s->job;
    const struct pixel_shape *sh = &p->shape;
    size_t out = (size_t)sh->c * (size_t)sh->out_h * (size_t)sh->out_w * (j->bf16 ? 2 : 4);
    int views = j->out[1] ? 2 : 1;
    for (int k = first; k < first + count; k++) {
        struct box crop[2], box[2];
        struct picture picture;
        for (int v = 0; v < views; v++) {
            const struct augment_view *a = &s->view[v][k];
            crop[v] = (struct box){a->top, a->left, a->height, a->width};
            if (s->plain >> v & 1)
                pictures_centre(p->source, s->index[k], sh->out_h, sh->out_w, &crop[v]);
        }
        if (pictures_read(bench->reader, s->index[k], crop, views, sh->out_h, sh->out_w, &picture,
                          box, e) < 0)
            return -1;
        int rc = 0;
        for (int v = 0; v < views && rc == 0; v++)
            rc = j->crops
                     ? pixel_crop_of(bench->scratch, &picture, &box[v], j->plane,
                                     (uint8_t *)j->out[v] + (size_t)k * (size_t)sh->c * j->plane, e)
                     : pixel_view_of(bench->scratch, &picture, &box[v], &s->view[v][k], s->mean,
                                     s->std, j->bf16, (char *)j->out[v] + (size_t)k * out, e);
        if (rc < 0)
            return -1;
    }
    return 0;
}

// Views first .. first + count of a batch, outside the lock.
static void make_views(const struct pixel_pool *p, const struct slot *s,
                       struct pixel_scratch *scratch, int first, int count)
{
    const struct pixel_job *j = &s->job;
    const struct pixel_shape *sh = &p->shape;
    size_t in = (size_t)sh->c * (size_t)sh->h * (size_t)sh->w;
    size_t out = (size_t)sh->c * (size_t)sh->out_h * (size_t)sh->out_w;
    for (int i = first; i < first + count; i++) {
        int v = i / j->batch, k = i % j->batch;
        const uint8_t *image = j->pixels + (size_t)s->index[k] * in;
        if (j->bf16)
            pixel_view_bf16(scratch, image, &s->view[v][k], s->mean, s->std,
                            (uint16_t *)j->out[v] + (size_t)k * out);
        else
            pixel_view(scratch, image, &s->view[v][k], s->mean, s->std,
                       (float *)j->out[v] + (size_t)k * out);
    }
}

// Claim a run of `s`, make it, count it. Called and returns with the lock held.
static void work_on(struct pixel_pool *p, struct slot *s, const struct bench *bench)
{
    struct error why = {""};
    int first = s->next, left = s->items - first, rc = 0;
    int count = left < p->run ? left : p->run;
    s->next += count;
    pthread_mutex_unlock(&p->lock);
    if (p->source)
        rc = make_images(p, s, bench, first, count, &why);
    else
        make_views(p, s, bench->scratch, first, count);
    pthread_mutex_lock(&p->lock);
    if (rc < 0 && !s->failed) {
        s->failed = 1;
        s->why = why;
    }
    s->done += count;
    if (s->done == s->items)
        pthread_cond_signal(&p->done);
}

static struct slot *slot_at(struct pixel_pool *p, int k)
{
    return &p->slot[(p->head + k) % PIXEL_POOL_DEPTH];
}

// The oldest batch with views that nobody has claimed, or NULL.
static struct slot *claimable(struct pixel_pool *p)
{
    for (int k = 0; k < p->queued; k++)
        if (slot_at(p, k)->next < slot_at(p, k)->items)
            return slot_at(p, k);
    return NULL;
}

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    struct pixel_pool *p = w->pool;
    if (p->nice >
        0) // a thread's own on Linux; where the system refuses, the worker is merely less polite
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(),
                          getpriority(PRIO_PROCESS, (id_t)gettid()) + p->nice);
    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        struct slot *s = claimable(p);
        if (s)
            work_on(p, s, &w->bench);
        else
            pthread_cond_wait(&p->work, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static int start_workers(struct pixel_pool *p, int threads, struct error *e)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return error_set(e, "cannot block signals for the pixel workers");
    int rc = 0;
    while (rc == 0 && p->workers < threads) {
        struct worker *w = &p->worker[p->workers];
        w->pool = p;
        rc = pthread_create(&w->thread, NULL, worker_main, w);
        if (rc == 0) {
            (void)pthread_setname_np(w->thread, "ssltop-pixels");
            p->workers++;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0
               ? 0
               : error_number(e, rc, "cannot start pixel worker %d of %d", p->workers + 1, threads);
}

int pixel_pool_new(const struct pixel_shape *shape, int threads, int nice, int max_batch,
                   struct pixel_pool **out, struct error *e)
{
    *out = NULL;
    if (threads < 1 || threads > THREADS_MAX || nice < 0 || nice > 19)
        return error_set(e, "%d pixel workers of nice %d, expected 1 to %d of nice 0 to 19",
                         threads, nice, THREADS_MAX);
    if (max_batch < 1 || max_batch > BATCH_MAX)
        return error_set(e, "batches of %d images, expected 1 to %d", max_batch, BATCH_MAX);
    struct pixel_pool *p = calloc(1, sizeof *p);
    if (!p)
        return error_set(e, "out of memory");
    pthread_mutex_init(&p->lock, NULL); // with default attributes these cannot fail on Linux
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->done, NULL);
    p->shape = *shape;
    p->nice = nice;
    p->max_batch = max_batch;
    p->worker = calloc((size_t)threads, sizeof *p->worker);
    if (!p->worker) {
        pixel_pool_free(p);
        return error_set(e, "out of memory");
    }
    int rc = pixel_scratch_new(shape, &p->bench.scratch, e);
    for (int i = 0; rc == 0 && i < threads; i++)
        rc = pixel_scratch_new(shape, &p->worker[i].bench.scratch, e);
    for (int i = 0; rc == 0 && i < PIXEL_POOL_DEPTH; i++) {
        struct slot *s = &p->slot[i];
        s->index = malloc((size_t)max_batch * sizeof *s->index);
        s->view[0] = malloc((size_t)max_batch * sizeof *s->view[0]);
        s->view[1] = malloc((size_t)max_batch * sizeof *s->view[1]);
        if (!s->index || !s->view[0] || !s->view[1])
            rc = error_set(e, "out of memory");
    }
    if (rc == 0) {
        int pixels = shape->c * shape->out_h * shape->out_w;
        p->run = pixels < RUN_PIXELS ? RUN_PIXELS / pixels : 1;
        rc = start_workers(p, threads, e);
    }
    if (rc != 0) {
        for (int i = p->workers; i < threads; i++) // those that free does not know of
            pixel_scratch_free(p->worker[i].bench.scratch);
        pixel_pool_free(p);
        return -1;
    }
    *out = p;
    return 0;
}

int pixel_pool_source(struct pixel_pool *p, struct pictures *source, struct error *e)
{
    if (p->source || p->queued)
        return error_set(e, "this pool has its images already");
    if (p->shape.c != 3)
        return error_set(e, "colour images do not fit a network for %d channel", p->shape.c);
    // No worker looks at its reader before a batch is queued.
    int rc = pictures_reader_new(source, &p->bench.reader, e);
    for (int i = 0; i < p->workers && rc == 0; i++)
        rc = pictures_reader_new(source, &p->worker[i].bench.reader, e);
    if (rc == 0) {
        p->source = source;
        p->run = 1;
    }
    return rc;
}

static void bench_free(struct bench *b)
{
    pictures_reader_free(b->reader);
    pixel_scratch_free(b->scratch);
}

void pixel_pool_free(struct pixel_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = 1;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->workers; i++) {
        pthread_join(p->worker[i].thread, NULL);
        bench_free(&p->worker[i].bench);
    }
    for (int i = 0; i < PIXEL_POOL_DEPTH; i++) {
        free(p->slot[i].index);
        free(p->slot[i].view[0]);
        free(p->slot[i].view[1]);
    }
    bench_free(&p->bench);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p->worker);
    free(p);
}

static int job_check(const struct pixel_pool *p, const struct pixel_job *j, struct error *e)
{
    if (j->batch < 1 || j->batch > p->max_batch)
        return error_set(e, "a batch of %d images, expected 1 to %d", j->batch, p->max_batch);
    if (j->crops && !p->source)
        return error_set(e, "crops of images in memory");
    if (!j->out[0])
        return error_set(e, "a batch without a place for its first view");
    for (int c = 0; c < p->shape.c; c++)
        if (!isfinite(j->mean[c]) || !isfinite(j->std[c]) || !(j->std[c] > 0))
            return error_set(e, "normalisation by mean %g and deviation %g of channel %d",
                             (double)j->mean[c], (double)j->std[c], c);
    int64_t n = p->source ? p->source->n : j->n;
    for (int i = 0; i < j->batch; i++)
        if (j->index[i] < 0 || j->index[i] >= n)
            return error_set(e, "image %lld is not one of %lld", (long long)j->index[i],
                             (long long)n);
    struct pixel_shape shape = p->shape;
    for (int v = 0; v < 2; v++)
        for (int i = 0; j->out[v] && j->view[v] && i < j->batch; i++) {
            if (p->source) {
                shape.h = p->source->size[j->index[i]].height;
                shape.w = p->source->size[j->index[i]].width;
            }
            if (pixel_view_check(&shape, &j->view[v][i], e) != 0)
                return error_prefix(e, "view %d of image %lld", v + 1, (long long)j->index[i]);
        }
    return 0;
}

int pixel_pool_submit(struct pixel_pool *p, const struct pixel_job *job, struct error *e)
{
    if (p->queued == PIXEL_POOL_DEPTH)
        return error_set(e, "%d batches are queued already", PIXEL_POOL_DEPTH);
    if (job_check(p, job, e) != 0)
        return -1;
    struct slot *s =
        slot_at(p, p->queued); // a free one: no worker looks at it before queued counts it
    size_t batch = (size_t)job->batch, channels = (size_t)p->shape.c;
    s->job = *job;
    s->plain = 0;
    memcpy(s->index, job->index, batch * sizeof *s->index);
    memcpy(s->mean, job->mean, channels * sizeof *s->mean);
    memcpy(s->std, job->std, channels * sizeof *s->std);
    for (int v = 0; v < 2; v++) {
        if (job->view[v])
            memcpy(s->view[v], job->view[v], batch * sizeof *s->view[v]);
        for (size_t i = 0; !job->view[v] && i < batch; i++) // the crop is a source's own
            augment_identity(p->shape.h, p->shape.w, &s->view[v][i]);
        s->plain |= !job->view[v] << v;
        s->job.view[v] = s->view[v];
    }
    s->job.index = s->index;
    s->job.mean = s->mean;
    s->job.std = s->std;
    s->items = job->out[1] && !p->source ? 2 * job->batch : job->batch;
    s->next = s->done = s->failed = 0;
    pthread_mutex_lock(&p->lock);
    p->queued++;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    return 0;
}

int pixel_pool_wait(struct pixel_pool *p, struct error *e)
{
    if (p->queued == 0)
        return error_set(e, "no batch is queued");
    struct slot *s = slot_at(p, 0);
    pthread_mutex_lock(&p->lock);
    while (s->next < s->items)
        work_on(p, s, &p->bench);
    while (s->done < s->items)
        pthread_cond_wait(&p->done, &p->lock);
    p->head = (p->head + 1) % PIXEL_POOL_DEPTH;
    p->queued--;
    pthread_mutex_unlock(&p->lock);
    return s->failed ? error_pass(e, &s->why) : 0;
}

int pixel_pool_queued(const struct pixel_pool *p)
{
    return p->queued;
}
