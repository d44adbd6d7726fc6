// oneDNN's objects as parts of a plan; see onednn.h. Written to oneDNN 3.
#include "gpu/cpu/onednn.h"

#include <stdio.h>
#include <string.h>

#include "metrics/base/memory.h"

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t layout_object;
#else
#include "gpu/cpu/onednn2.h"
#endif

static void destroy_layout(void *object)
{
    dnnl_memory_desc_destroy(object);
}

static void destroy_memory(void *object)
{
    dnnl_memory_destroy(object);
}

static void destroy_primitive(void *object)
{
    dnnl_primitive_destroy(object);
}

static void destroy_desc(void *object)
{
    dnnl_primitive_desc_destroy(object);
}

static int check(dnnl_status_t s, const char *what, struct error *e)
{
    static const char *const says[] = {"success",          "out of memory", "invalid arguments",
                                       "not implemented",  "iterator ends", "runtime error",
                                       "not required here"};
    if (s == dnnl_success)
        return 0;
    const char *text = (size_t)s < sizeof says / sizeof *says ? says[s] : "unknown status";
    return error_set(e, "oneDNN: %s: %s", what, text);
}

// --- the library ---
int onednn_open(struct onednn *o, struct error *e)
{
    if (check(dnnl_engine_create(&o->engine, dnnl_cpu, 0), "engine", e) < 0)
        return -1;
    return check(dnnl_stream_create(&o->stream, o->engine, dnnl_stream_default_flags), "stream", e);
}

void onednn_close(struct onednn *o)
{
    if (o->stream)
        dnnl_stream_destroy(o->stream);
    if (o->engine)
        dnnl_engine_destroy(o->engine);
}

void onednn_version(char *text, size_t size)
{
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, size, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
}

unsigned onednn_takes(void)
{
    return (unsigned)dnnl_get_effective_cpu_isa();
}

void onednn_prefix(char *text, size_t size)
{
    const dnnl_version_t *v = dnnl_version();
    int n = snprintf(text, size, "%x", onednn_takes());
    if (v->major != 2 || v->minor != 6)
        snprintf(text + n, size - (size_t)n, "-onednn%d.%d.%d", v->major, v->minor, v->patch);
}

int onednn_offers(const struct onednn *o, dnnl_data_type_t type)
{
    static const dnnl_dims_t image = {2, 16, 8, 8}, filter = {16, 16, 3, 3}, one = {1, 1},
                             none = {0, 0};
    layout_object x = NULL, w = NULL, dw = NULL;
    dnnl_primitive_desc_t there = NULL, back = NULL;
    const dnnl_format_tag_t any = dnnl_format_tag_any;
    int offers = dnnl_memory_desc_create_with_tag(&x, 4, image, type, any) == dnnl_success &&
                 dnnl_memory_desc_create_with_tag(&w, 4, filter, type, any) == dnnl_success &&
                 dnnl_memory_desc_create_with_tag(&dw, 4, filter, dnnl_f32, any) == dnnl_success &&
                 dnnl_convolution_forward_primitive_desc_create(
                     &there, o->engine, dnnl_forward_training, dnnl_convolution_direct, x, w, NULL,
                     x, one, none, one, one, NULL) == dnnl_success &&
                 dnnl_convolution_backward_weights_primitive_desc_create(
                     &back, o->engine, dnnl_convolution_direct, x, dw, NULL, x, one, none, one, one,
                     there, NULL) == dnnl_success;
    const dnnl_primitive_desc_t made[] = {back, there};
    for (int i = 0; i < 2; i++)
        if (made[i])
            dnnl_primitive_desc_destroy(made[i]);
    const layout_object layout[] = {x, w, dw};
    for (int i = 0; i < 3; i++)
        if (layout[i])
            dnnl_memory_desc_destroy(layout[i]);
    return offers;
}

int onednn_multiply(const struct onednn_product *s, const float *a, const float *b, float *c,
                    struct error *e)
{
    return check(dnnl_sgemm(s->turn_a ? 'T' : 'N', s->turn_b ? 'T' : 'N', s->m, s->n, s->k,
                            s->alpha, a, s->lda, b, s->ldb, s->beta, c, s->ldc),
                 "product", e);
}

// --- layouts ---
onednn_layout onednn_layout_new(struct plan *p, int ndims, const dnnl_dims_t dims,
                                dnnl_data_type_t type, dnnl_format_tag_t tag, struct error *e)
{
    layout_object l;
    if (check(dnnl_memory_desc_create_with_tag(&l, ndims, dims, type, tag), "layout", e) < 0)
        return NULL;
    return plan_own(p, destroy_layout, l, e) < 0 ? NULL : l;
}

onednn_layout onednn_layout_within(struct plan *p, onednn_layout l, const dnnl_dims_t dims,
                                   struct error *e)
{
    static const dnnl_dims_t start;
    layout_object within;
    if (check(dnnl_memory_desc_create_submemory(&within, l, dims, start), "layout", e) < 0)
        return NULL;
    return plan_own(p, destroy_layout, within, e) < 0 ? NULL : within;
}

size_t onednn_bytes(onednn_layout l)
{
    return dnnl_memory_desc_get_size(l);
}

int onednn_same(onednn_layout a, onednn_layout b)
{
    return dnnl_memory_desc_equal(a, b);
}

const dnnl_dim_t *onednn_dims(onednn_layout l)
{
#if DNNL_VERSION_MAJOR >= 3
    const dnnl_dims_t *dims = NULL;
    return dnnl_memory_desc_query(l, dnnl_query_dims, (void *)&dims) == dnnl_success ? *dims : NULL;
#else
    return l->dims;
#endif
}

// --- primitives ---
int onednn_memory(struct plan *p, onednn_layout md, void *data, dnnl_memory_t *out, struct error *e)
{
    if (check(dnnl_memory_create(out, md, p->own->onednn.engine, data), "memory", e) < 0)
        return -1;
    return plan_own(p, destroy_memory, *out, e);
}

void *onednn_data(dnnl_memory_t m, struct error *e)
{
    void *data = NULL;
    return check(dnnl_memory_get_data_handle(m, &data), "memory", e) < 0 ? NULL : data;
}

// Where it gets no memory for the code that it compiles it writes to where there is none.
static int create(dnnl_primitive_desc_t pd, const char *what, dnnl_primitive_t *out,
                  struct error *e)
{
    enum { JIT_ROOM = 16 << 20 };
    if (memory_check(JIT_ROOM, "the program of a layer", e) < 0)
        return -1;
    return check(dnnl_primitive_create(out, pd), what, e);
}

int onednn_primitive(struct plan *p, dnnl_primitive_desc_t pd, dnnl_primitive_t *out,
                     struct error *e)
{
    if (create(pd, "primitive", out, e) < 0)
        return -1;
    return plan_own(p, destroy_primitive, *out, e);
}

static dnnl_primitive_attr_t attributes(struct error *e)
{
    dnnl_primitive_attr_t attr = NULL;
    if (check(dnnl_primitive_attr_create(&attr), "attributes", e) < 0)
        return NULL;
    if (check(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user),
              "attributes", e) < 0) {
        dnnl_primitive_attr_destroy(attr);
        return NULL;
    }
    return attr;
}

dnnl_primitive_desc_t onednn_convolution(struct plan *p, const struct onednn_conv *s,
                                         enum pass pass, onednn_layout in, onednn_layout out,
                                         dnnl_primitive_desc_t hint)
{
    dnnl_engine_t engine = p->own->onednn.engine;
    dnnl_primitive_desc_t pd = NULL;
    onednn_layout w = onednn_layout_new(p, 4, s->weights, pass == PASS_WEIGHTS ? dnnl_f32 : s->type,
                                        dnnl_format_tag_any, NULL);
    if (!in)
        in = onednn_layout_new(p, 4, s->in, s->type, dnnl_format_tag_any, NULL);
    if (!out)
        out = onednn_layout_new(p, 4, s->out, s->type, dnnl_format_tag_any, NULL);
    dnnl_primitive_attr_t attr = w && in && out ? attributes(NULL) : NULL;
    if (!attr)
        return NULL;
    dnnl_status_t rc =
        pass == PASS_FORWARD ? dnnl_convolution_forward_primitive_desc_create(
                                   &pd, engine, dnnl_forward_training, s->algorithm, in, w, NULL,
                                   out, s->stride, s->dilate, s->pad, s->pad, attr)
        : pass == PASS_DATA
            ? dnnl_convolution_backward_data_primitive_desc_create(&pd, engine, s->algorithm, in, w,
                                                                   out, s->stride, s->dilate,
                                                                   s->pad, s->pad, hint, attr)
            : dnnl_convolution_backward_weights_primitive_desc_create(
                  &pd, engine, s->algorithm, in, w, NULL, out, s->stride, s->dilate, s->pad, s->pad,
                  hint, attr);
    dnnl_primitive_attr_destroy(attr);
    return rc == dnnl_success ? pd : NULL;
}

dnnl_primitive_desc_t onednn_linear(struct plan *p, enum pass pass, const dnnl_dims_t weights,
                                    dnnl_data_type_t type, onednn_layout in, onednn_layout out,
                                    onednn_layout bias, dnnl_primitive_desc_t hint, struct error *e)
{
    dnnl_engine_t engine = p->own->onednn.engine;
    dnnl_primitive_desc_t pd = NULL;
    onednn_layout w = onednn_layout_new(p, 2, weights, pass == PASS_WEIGHTS ? dnnl_f32 : type,
                                        dnnl_format_tag_any, e);
    dnnl_primitive_attr_t attr = w ? attributes(e) : NULL;
    if (!attr)
        return NULL;
    dnnl_status_t rc =
        pass == PASS_FORWARD ? dnnl_inner_product_forward_primitive_desc_create(
                                   &pd, engine, dnnl_forward_training, in, w, bias, out, attr)
        : pass == PASS_DATA
            ? dnnl_inner_product_backward_data_primitive_desc_create(&pd, engine, in, w, out, hint,
                                                                     attr)
            : dnnl_inner_product_backward_weights_primitive_desc_create(&pd, engine, in, w, bias,
                                                                        out, hint, attr);
    dnnl_primitive_attr_destroy(attr);
    if (check(rc, "linear layer", e) < 0 || onednn_keep(p, pd, e) < 0)
        return NULL;
    return pd;
}

int onednn_keep(struct plan *p, dnnl_primitive_desc_t pd, struct error *e)
{
    return plan_own(p, destroy_desc, pd, e);
}

void onednn_drop(dnnl_primitive_desc_t pd)
{
    if (pd)
        dnnl_primitive_desc_destroy(pd);
}

const char *onednn_name(dnnl_primitive_desc_t pd)
{
    const char *name = "";
    if (dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&name) != dnnl_success)
        return "";
    return name;
}

onednn_layout onednn_wants(dnnl_primitive_desc_t pd, dnnl_query_t which)
{
    return dnnl_primitive_desc_query_md(pd, which, 0);
}

int onednn_execute(struct plan *p, dnnl_primitive_t primitive, const dnnl_exec_arg_t *arg, int n,
                   struct error *e)
{
    return check(dnnl_primitive_execute(primitive, p->own->onednn.stream, n, arg), "execute", e);
}

static int run_primitive(struct plan *p, const struct op *op, struct error *e)
{
    const struct call *c = op->call;
    return onednn_execute(p, c->primitive, c->arg, c->n_arg, e);
}

// The primitive's scratchpad becomes a view of the one that all share; its address is known only
// after the last one.
static int scratch(struct plan *p, dnnl_primitive_desc_t pd, struct call *c, struct error *e)
{
    onednn_layout md = onednn_wants(pd, dnnl_query_scratchpad_md);
    size_t size = md ? onednn_bytes(md) : 0;
    if (!size)
        return 0;
    dnnl_memory_t m;
    if (onednn_memory(p, md, DNNL_MEMORY_NONE, &m, e) < 0)
        return -1;
    if (memory_grow(p->own->scratch, p->own->cap_scratch, p->own->n_scratch + 1) < 0)
        return error_set(e, "out of memory compiling the network");
    p->own->scratch[p->own->n_scratch++] = m;
    onednn_scratch_want(p, size);
    c->arg[c->n_arg++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, m};
    return 0;
}

void onednn_scratch_want(struct plan *p, size_t size)
{
    if (size > p->own->scratch_size)
        p->own->scratch_size = size;
}

int onednn_scratch_place(struct plan *p, struct error *e)
{
    if (!p->own->scratch_size)
        return 0;
    void *data = p->own->scratch_data = cpu_take(p, p->own->scratch_size, e);
    if (!data)
        return -1;
    for (int i = 0; i < p->own->n_scratch; i++)
        if (check(dnnl_memory_set_data_handle(p->own->scratch[i], data), "scratchpad", e) < 0)
            return -1;
    return 0;
}

int onednn_op(struct plan *p, struct op_list *list, dnnl_primitive_desc_t pd,
              dnnl_primitive_t primitive, const dnnl_exec_arg_t *arg, int n_arg, struct error *e)
{
    struct op *op = plan_op(list, NULL, 0, run_primitive, e);
    struct call *c = op ? plan_heap(p, sizeof *c, e) : NULL;
    if (!c)
        return -1;
    op->call = c;
    c->primitive = primitive;
    memcpy(c->arg, arg, (size_t)n_arg * sizeof *arg);
    c->n_arg = n_arg;
    return scratch(p, pd, c, e);
}

static int copy_desc(struct plan *p, onednn_layout from, onednn_layout to,
                     dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *pd, struct error *e)
{
    dnnl_engine_t engine = p->own->onednn.engine;
    return check(dnnl_reorder_primitive_desc_create(pd, from, engine, to, engine, attr), "reorder",
                 e);
}

int onednn_copier(struct plan *p, onednn_layout from, onednn_layout to, dnnl_primitive_t *out,
                  struct error *e)
{
    dnnl_primitive_desc_t pd;
    if (copy_desc(p, from, to, NULL, &pd, e) < 0 || onednn_keep(p, pd, e) < 0)
        return -1;
    return onednn_primitive(p, pd, out, e);
}

int onednn_reorder(struct plan *p, struct op_list *list, dnnl_memory_t from, onednn_layout from_md,
                   dnnl_memory_t to, onednn_layout to_md, struct error *e)
{
    dnnl_primitive_attr_t attr = attributes(e);
    if (!attr)
        return -1;
    dnnl_primitive_desc_t pd;
    int rc = copy_desc(p, from_md, to_md, attr, &pd, e);
    dnnl_primitive_attr_destroy(attr);
    dnnl_primitive_t primitive;
    if (rc < 0 || onednn_keep(p, pd, e) < 0 || onednn_primitive(p, pd, &primitive, e) < 0)
        return -1;
    dnnl_exec_arg_t arg[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    return onednn_op(p, list, pd, primitive, arg, 2, e);
}

int onednn_convert(struct plan *p, onednn_layout from_md, const void *from, onednn_layout to_md,
                   void *to, struct error *e)
{
    dnnl_engine_t engine = p->own->onednn.engine;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t a = NULL, b = NULL;
    int rc = copy_desc(p, from_md, to_md, NULL, &pd, e);
    if (!rc)
        rc = create(pd, "reorder", &primitive, e);
    if (!rc)
        rc = check(dnnl_memory_create(&a, from_md, engine, (void *)from), "reorder", e);
    if (!rc)
        rc = check(dnnl_memory_create(&b, to_md, engine, to), "reorder", e);
    dnnl_exec_arg_t arg[] = {{DNNL_ARG_FROM, a}, {DNNL_ARG_TO, b}};
    if (!rc)
        rc = onednn_execute(p, primitive, arg, 2, e);
    if (a)
        dnnl_memory_destroy(a);
    if (b)
        dnnl_memory_destroy(b);
    if (primitive)
        dnnl_primitive_destroy(primitive);
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    return rc;
}
