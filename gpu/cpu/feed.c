// Images on their way into a plan; see feed.h.
#include "gpu/cpu/feed.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/cpu/ops.h"

enum { POLITE = 5 }; // nice level of pixel workers: the step goes first, they fill its gaps

int feed_init(struct cpu_plan *p, struct error *e)
{
    struct feed *f = &p->feed;
    const struct tensor *t = p->tensor[0];
    dnnl_dims_t dims = {p->batch, t->c, t->h, t->w};
    int rows = t->layout == LAYOUT_ROWS;
    if (cpu_check(dnnl_memory_desc_init_by_tag(&f->md, rows ? 2 : 4, dims, type_dnnl(t->type),
                                               rows ? dnnl_nc : dnnl_nchw),
                  "input", e) < 0)
        return -1;
    for (int s = 0; s < SLOTS; s++)
        for (int v = 0; v < (s == SLOT_EVALUATE ? 1 : VIEWS); v++) {
            f->staged[s][v] = cpu_take(p, dnnl_memory_desc_get_size(&f->md), e);
            if (!f->staged[s][v] || cpu_memory(p, &f->md, f->staged[s][v], &f->memory[s][v], e) < 0)
                return -1;
        }
    dnnl_primitive_desc_t pd;
    dnnl_engine_t engine = p->device->engine;
    if (cpu_check(
            dnnl_reorder_primitive_desc_create(&pd, &f->md, engine, &t->outer_md, engine, NULL),
            "input", e) < 0 ||
        cpu_keep_desc(p, pd, e) < 0)
        return -1;
    return cpu_primitive(p, pd, &f->ingest, e);
}

static void forget_shape(struct cpu_plan *p)
{
    struct feed *f = &p->feed;
    pixel_pool_free(f->pool);
    f->pool = NULL;
    for (int t = 0; f->scratch && t < p->threads; t++)
        pixel_scratch_free(f->scratch[t]);
    free(f->scratch);
    f->scratch = NULL;
}

void feed_free(struct cpu_plan *p)
{
    forget_shape(p);
}

// Pool and scratch memory for images of this shape: made once, since a run has one data set.
static int adopt_shape(struct cpu_plan *p, const struct cpu_images *s, int load, struct error *e)
{
    struct feed *f = &p->feed;
    const struct node *in = &p->net.node[0];
    struct pixel_shape shape = {s->c, s->h, s->w, in->h, in->w};
    if (s->c != in->c)
        return error_set(e, "images of %d channels do not fit a network for %d", s->c, in->c);
    // An evaluation needs the shape only; what is queued belongs to one source.
    if (f->pool && !memcmp(&shape, &f->shape, sizeof shape) && (!load || s->source == f->source))
        return 0;
    if (f->loaded != f->taken)
        return error_set(e, "images of another shape are still queued");
    forget_shape(p);
    f->shape = shape;
    if (!(f->scratch = calloc((size_t)p->threads, sizeof *f->scratch)))
        return error_set(e, "out of memory preparing images");
    for (int t = 0; t < p->threads; t++)
        if (pixel_scratch_new(&shape, &f->scratch[t], e) < 0)
            return -1;
    if (pixel_pool_new(&shape, p->threads, POLITE, p->batch, &f->pool, e) < 0)
        return -1;
    f->source = s->source;
    return s->source ? pixel_pool_source(f->pool, s->source, e) : 0;
}

int feed_load(struct plan *plan, struct images *images, const int64_t *index,
              const struct augment_view *const view[2], struct error *e)
{
    struct cpu_plan *p = (struct cpu_plan *)plan;
    struct feed *f = &p->feed;
    const struct cpu_images *s = (const struct cpu_images *)images;
    if (adopt_shape(p, s, 1, e) < 0)
        return -1;
    int slot = (int)(f->loaded % PIXEL_POOL_DEPTH);
    struct pixel_job job = {.pixels = s->pixels,
                            .n = s->n,
                            .mean = s->mean,
                            .std = s->std,
                            .batch = p->batch,
                            .index = index,
                            .view = {view[0], view[1]},
                            .out = {f->staged[slot][0], f->staged[slot][1]},
                            .bf16 = p->type == TYPE_BF16};
    if (pixel_pool_submit(f->pool, &job, e) < 0)
        return -1;
    f->loaded++;
    return 0;
}

static int ingest(struct cpu_plan *p, int slot, int view, struct error *e)
{
    dnnl_exec_arg_t arg[] = {{DNNL_ARG_FROM, p->feed.memory[slot][view]},
                             {DNNL_ARG_TO, p->tensor[0]->memory[view]}};
    return cpu_check(dnnl_primitive_execute(p->feed.ingest, p->device->stream, 2, arg), "input", e);
}

int feed_take(struct cpu_plan *p, struct error *e)
{
    struct feed *f = &p->feed;
    if (f->direct) {
        int both = f->direct == (1 << VIEWS) - 1;
        f->direct = 0;
        return both ? 0 : error_set(e, "only one view's input was set");
    }
    if (f->loaded == f->taken)
        return error_set(e, "no batch is queued");
    if (pixel_pool_wait(f->pool, e) < 0)
        return -1;
    int slot = (int)(f->taken++ % PIXEL_POOL_DEPTH);
    for (int v = 0; v < VIEWS; v++)
        if (ingest(p, slot, v, e) < 0)
            return -1;
    return 0;
}

// One image as it is, on one thread.
static int plain_view(struct cpu_plan *p, const struct cpu_images *s, int64_t i, int thread,
                      void *out, struct error *e)
{
    struct feed *f = &p->feed;
    struct pixel_scratch *work = f->scratch[thread];
    struct augment_view whole;
    struct picture picture;
    struct box crop, box;
    int bf16 = p->type == TYPE_BF16;
    augment_identity(s->h, s->w, &whole);
    if (s->source) {
        pictures_centre(s->source, i, f->shape.out_h, f->shape.out_w, &crop);
        if (pictures_read(s->reader[thread], i, &crop, 1, f->shape.out_h, f->shape.out_w, &picture,
                          &box, e) < 0)
            return -1;
        return pixel_view_of(work, &picture, &box, &whole, s->mean, s->std, bf16, out, e);
    }
    const uint8_t *image = s->pixels + (size_t)i * (size_t)s->c * (size_t)s->h * (size_t)s->w;
    if (bf16)
        pixel_view_bf16(work, image, &whole, s->mean, s->std, out);
    else
        pixel_view(work, image, &whole, s->mean, s->std, out);
    return 0;
}

int feed_evaluate(struct cpu_plan *p, struct images *images, const int64_t *index, int n,
                  struct error *e)
{
    struct feed *f = &p->feed;
    const struct cpu_images *s = (const struct cpu_images *)images;
    if (adopt_shape(p, s, 0, e) < 0)
        return -1;
    for (int i = 0; i < n; i++)
        if (index[i] < 0 || index[i] >= s->n)
            return error_set(e, "image %lld is not among the %lld", (long long)index[i],
                             (long long)s->n);
    size_t size = (size_t)f->shape.c * f->shape.out_h * f->shape.out_w * type_size(p->type);
    char *out = f->staged[SLOT_EVALUATE][0];
    int rc = 0;
#pragma omp parallel for num_threads(p->threads) schedule(dynamic)
    for (int i = 0; i < n; i++) {
        struct error why = {""};
        if (plain_view(p, s, index[i], omp_get_thread_num(), out + (size_t)i * size, &why) == 0)
            continue;
#pragma omp critical(feed_failed)
        if (rc == 0)
            rc = error_set(e, "%s", why.text);
    }
    return rc < 0 ? -1 : ingest(p, SLOT_EVALUATE, 0, e);
}

int feed_input(struct plan *plan, int view, const float *x, struct error *e)
{
    struct cpu_plan *p = (struct cpu_plan *)plan;
    const struct tensor *t = p->tensor[0];
    dnnl_memory_desc_t plain = p->feed.md;
    if (view < 0 || view >= VIEWS)
        return error_set(e, "there is no view %d", view);
    plain.data_type = dnnl_f32;
    if (cpu_convert(p, &plain, x, &t->outer_md, t->data[view], e) < 0)
        return -1;
    p->feed.direct |= 1 << view;
    return 0;
}
