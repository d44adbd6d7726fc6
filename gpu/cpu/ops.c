// oneDNN's objects as parts of a plan; see ops.h.
#include "gpu/cpu/ops.h"

#include <string.h>

#include "metrics/base/grow.h"

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

int cpu_check(dnnl_status_t s, const char *what, struct error *e)
{
    static const char *const says[] = {"success",          "out of memory", "invalid arguments",
                                       "not implemented",  "iterator ends", "runtime error",
                                       "not required here"};
    if (s == dnnl_success)
        return 0;
    const char *text = (size_t)s < sizeof says / sizeof *says ? says[s] : "unknown status";
    return error_set(e, "oneDNN: %s: %s", what, text);
}

int cpu_memory(struct plan *p, const dnnl_memory_desc_t *md, void *data, dnnl_memory_t *out,
               struct error *e)
{
    if (cpu_check(dnnl_memory_create(out, md, p->own->engine, data), "memory", e) < 0)
        return -1;
    return plan_own(p, destroy_memory, *out, e);
}

int cpu_primitive(struct plan *p, dnnl_primitive_desc_t pd, dnnl_primitive_t *out, struct error *e)
{
    if (cpu_check(dnnl_primitive_create(out, pd), "primitive", e) < 0)
        return -1;
    return plan_own(p, destroy_primitive, *out, e);
}

int cpu_keep_desc(struct plan *p, dnnl_primitive_desc_t pd, struct error *e)
{
    return plan_own(p, destroy_desc, pd, e);
}

int cpu_create(struct plan *p, const void *desc, dnnl_primitive_desc_t hint,
               dnnl_primitive_desc_t *pd, dnnl_primitive_t *primitive, const char *what,
               struct error *e)
{
    dnnl_primitive_attr_t attr = cpu_attr(e);
    if (!attr)
        return -1;
    int rc = cpu_check(dnnl_primitive_desc_create(pd, desc, attr, p->own->engine, hint), what, e);
    dnnl_primitive_attr_destroy(attr);
    if (rc < 0 || cpu_keep_desc(p, *pd, e) < 0)
        return -1;
    return cpu_primitive(p, *pd, primitive, e);
}

int cpu_plain(const struct tensor *t, int n, dnnl_data_type_t type, dnnl_memory_desc_t *md,
              struct error *e)
{
    dnnl_dims_t dims = {n, t->c, t->h, t->w};
    return cpu_check(dnnl_memory_desc_init_by_tag(md, t->rows ? 2 : 4, dims, type,
                                                  t->rows ? dnnl_nc : dnnl_nchw),
                     "tensor", e);
}

void *cpu_take(struct plan *p, size_t size, struct error *e)
{
    void *m = arena_take(&p->own->arena, size);
    if (!m)
        error_set(e,
                  "out of memory: the network needs more than %zu MB (a smaller --batch or "
                  "--width helps)",
                  p->own->arena.total >> 20);
    return m;
}

dnnl_primitive_attr_t cpu_attr(struct error *e)
{
    dnnl_primitive_attr_t attr = NULL;
    if (cpu_check(dnnl_primitive_attr_create(&attr), "attributes", e) < 0)
        return NULL;
    if (cpu_check(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user),
                  "attributes", e) < 0) {
        dnnl_primitive_attr_destroy(attr);
        return NULL;
    }
    return attr;
}

static int run_primitive(struct plan *p, const struct op *op, struct error *e)
{
    const struct call *c = op->call;
    return cpu_check(dnnl_primitive_execute(c->primitive, p->own->stream, c->n_arg, c->arg),
                     "execute", e);
}

// The primitive's scratchpad becomes a view of the one that all share; its address is known only
// after the last one.
static int scratch(struct plan *p, dnnl_primitive_desc_t pd, struct call *c, struct error *e)
{
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    size_t size = md ? dnnl_memory_desc_get_size(md) : 0;
    if (!size)
        return 0;
    dnnl_memory_t m;
    if (cpu_memory(p, md, DNNL_MEMORY_NONE, &m, e) < 0)
        return -1;
    if (grow_array(p->own->scratch, p->own->cap_scratch, p->own->n_scratch + 1) < 0)
        return error_set(e, "out of memory compiling the network");
    p->own->scratch[p->own->n_scratch++] = m;
    cpu_scratch_want(p, size);
    c->arg[c->n_arg++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, m};
    return 0;
}

void cpu_scratch_want(struct plan *p, size_t size)
{
    if (size > p->own->scratch_size)
        p->own->scratch_size = size;
}

int cpu_scratch_place(struct plan *p, struct error *e)
{
    if (!p->own->scratch_size)
        return 0;
    void *data = p->own->scratch_data = cpu_take(p, p->own->scratch_size, e);
    if (!data)
        return -1;
    for (int i = 0; i < p->own->n_scratch; i++)
        if (cpu_check(dnnl_memory_set_data_handle(p->own->scratch[i], data), "scratchpad", e) < 0)
            return -1;
    return 0;
}

int cpu_op_primitive(struct plan *p, struct op_list *list, dnnl_primitive_desc_t pd,
                     dnnl_primitive_t primitive, const dnnl_exec_arg_t *arg, int n_arg,
                     struct error *e)
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

int cpu_reorder(struct plan *p, struct op_list *list, dnnl_memory_t from,
                const dnnl_memory_desc_t *from_md, dnnl_memory_t to,
                const dnnl_memory_desc_t *to_md, struct error *e)
{
    dnnl_primitive_attr_t attr = cpu_attr(e);
    if (!attr)
        return -1;
    dnnl_primitive_desc_t pd;
    dnnl_engine_t engine = p->own->engine;
    int rc =
        cpu_check(dnnl_reorder_primitive_desc_create(&pd, from_md, engine, to_md, engine, attr),
                  "reorder", e);
    dnnl_primitive_attr_destroy(attr);
    dnnl_primitive_t primitive;
    if (rc < 0 || cpu_keep_desc(p, pd, e) < 0 || cpu_primitive(p, pd, &primitive, e) < 0)
        return -1;
    dnnl_exec_arg_t arg[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    return cpu_op_primitive(p, list, pd, primitive, arg, 2, e);
}

int cpu_convert(struct plan *p, const dnnl_memory_desc_t *from_md, const void *from,
                const dnnl_memory_desc_t *to_md, void *to, struct error *e)
{
    dnnl_engine_t engine = p->own->engine;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t a = NULL, b = NULL;
    int rc =
        cpu_check(dnnl_reorder_primitive_desc_create(&pd, from_md, engine, to_md, engine, NULL),
                  "reorder", e);
    if (!rc)
        rc = cpu_check(dnnl_primitive_create(&primitive, pd), "reorder", e);
    if (!rc)
        rc = cpu_check(dnnl_memory_create(&a, from_md, engine, (void *)from), "reorder", e);
    if (!rc)
        rc = cpu_check(dnnl_memory_create(&b, to_md, engine, to), "reorder", e);
    dnnl_exec_arg_t arg[] = {{DNNL_ARG_FROM, a}, {DNNL_ARG_TO, b}};
    if (!rc)
        rc = cpu_check(dnnl_primitive_execute(primitive, p->own->stream, 2, arg), "reorder", e);
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
