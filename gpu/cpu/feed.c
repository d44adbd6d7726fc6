// Images on their way into a plan; see feed.h.
#include "gpu/cpu/feed.h"

#include <stdlib.h>
#include <string.h>

#include "gpu/cpu/onednn.h"
#include "gpu/views/pixel_pool.h"

enum { POLITE = 5 }; // nice level of pixel workers: the step goes first, they fill its gaps
enum { SLOT_EVALUATE = PIXEL_POOL_DEPTH, SLOTS };

// Threads for images of one shape and source; made for the first of them, and a run has one data
// set. An evaluation does not wait for what is queued for the steps.
struct intake {
    struct pixel_pool *pool;
    struct pixel_shape shape;
    struct pictures *source;
};

struct feed {
    struct intake steps, evaluation;
    void *staged[SLOTS][VIEWS]; // row major, the plan's type
    dnnl_memory_t memory[SLOTS][VIEWS];
    dnnl_primitive_t ingest; // from there to the input tensor
    int64_t loaded, taken;   // batches
};

int feed_init(struct plan *p, struct error *e)
{
    struct feed *f = p->own->feed = plan_heap(p, sizeof *f, e);
    const struct tensor *t = p->tensor[0];
    onednn_layout md = f ? cpu_plain(p, t, type_dnnl(t->type), e) : NULL;
    if (!md)
        return -1;
    for (int s = 0; s < SLOTS; s++)
        for (int v = 0; v < (s == SLOT_EVALUATE ? 1 : VIEWS); v++) {
            f->staged[s][v] = cpu_take(p, onednn_bytes(md), e);
            if (!f->staged[s][v] || onednn_memory(p, md, f->staged[s][v], &f->memory[s][v], e) < 0)
                return -1;
        }
    return onednn_copier(p, md, t->layout->outer_md, &f->ingest, e);
}

void feed_free(struct plan *p)
{
    if (!p->own->feed)
        return;
    pixel_pool_free(p->own->feed->steps.pool);
    pixel_pool_free(p->own->feed->evaluation.pool);
}

static int adopt(struct plan *p, struct intake *to, const struct images *s, struct error *e)
{
    const struct node *in = &p->net.node[0];
    struct pixel_shape shape = {s->c, s->h, s->w, in->h, in->w};
    if (to->pool && !memcmp(&shape, &to->shape, sizeof shape) && s->source == to->source)
        return 0;
    if (to->pool && pixel_pool_queued(to->pool))
        return error_set(e, "images of another shape are still queued");
    pixel_pool_free(to->pool);
    *to = (struct intake){.shape = shape, .source = s->source};
    if (pixel_pool_new(&shape, p->own->threads, POLITE, p->batch, &to->pool, e) < 0)
        return -1;
    if (!s->source || pixel_pool_source(to->pool, s->source, e) == 0)
        return 0;
    pixel_pool_free(to->pool);
    to->pool = NULL;
    return -1;
}

static int submit(struct plan *p, struct intake *to, const struct images *s, const int64_t *index,
                  int n, const struct augment_view *const view[VIEWS], void *const out[VIEWS],
                  struct error *e)
{
    struct pixel_job job = {.pixels = s->pixels,
                            .n = s->n,
                            .mean = s->mean,
                            .std = s->std,
                            .batch = n,
                            .index = index,
                            .view = {view[0], view[1]},
                            .out = {out[0], out[1]},
                            .bf16 = p->type == TYPE_BF16};
    return adopt(p, to, s, e) < 0 ? -1 : pixel_pool_submit(to->pool, &job, e);
}

int feed_load(struct plan *p, struct images *s, const int64_t *index,
              const struct augment_view *const view[2], struct error *e)
{
    struct feed *f = p->own->feed;
    if (submit(p, &f->steps, s, index, p->batch, view, f->staged[f->loaded % PIXEL_POOL_DEPTH], e) <
        0)
        return -1;
    f->loaded++;
    return 0;
}

static int ingest(struct plan *p, int slot, int view, struct error *e)
{
    dnnl_exec_arg_t arg[] = {{DNNL_ARG_FROM, p->own->feed->memory[slot][view]},
                             {DNNL_ARG_TO, p->tensor[0]->layout->memory[view]}};
    return onednn_execute(p, p->own->feed->ingest, arg, 2, e);
}

int feed_take(struct plan *p, struct error *e)
{
    struct feed *f = p->own->feed;
    if (f->loaded == f->taken)
        return error_set(e, "no batch is queued");
    if (pixel_pool_wait(f->steps.pool, e) < 0)
        return -1;
    int slot = (int)(f->taken++ % PIXEL_POOL_DEPTH);
    for (int v = 0; v < VIEWS; v++)
        if (ingest(p, slot, v, e) < 0)
            return -1;
    return 0;
}

int feed_evaluate(struct plan *p, struct images *s, const int64_t *index, int n, struct error *e)
{
    static const struct augment_view *const none[VIEWS];
    struct feed *f = p->own->feed;
    if (submit(p, &f->evaluation, s, index, n, none, f->staged[SLOT_EVALUATE], e) < 0 ||
        pixel_pool_wait(f->evaluation.pool, e) < 0)
        return -1;
    return ingest(p, SLOT_EVALUATE, 0, e);
}
