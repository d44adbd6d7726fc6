// The small change of a plan: oneDNN objects and who owns them, lists of operations, the pool of
// gradient buffers.
#include <stdlib.h>
#include <string.h>

#include "gpu/cpu/cpu.h"
#include "gpu/cpu/ops.h"
#include "metrics/base/grow.h"

enum owned_kind { OWNED_MEMORY, OWNED_PRIMITIVE, OWNED_DESC, OWNED_HEAP };
struct owned {
    enum owned_kind kind;
    void *object;
};

#define ROOM(list, n, cap, e)                                                                      \
    (grow_array(list, cap, (n) + 1) < 0 ? error_set(e, "out of memory compiling the network") : 0)

static void destroy(struct owned o)
{
    switch (o.kind) {
    case OWNED_MEMORY:
        dnnl_memory_destroy(o.object);
        break;
    case OWNED_PRIMITIVE:
        dnnl_primitive_destroy(o.object);
        break;
    case OWNED_DESC:
        dnnl_primitive_desc_destroy(o.object);
        break;
    case OWNED_HEAP:
        free(o.object);
        break;
    }
}

// The object belongs to the plan from here on; when that fails it is destroyed at once.
static int own(struct cpu_plan *p, enum owned_kind kind, void *object, struct error *e)
{
    struct owned o = {kind, object};
    if (ROOM(p->owned, p->n_owned, p->cap_owned, e) < 0) {
        destroy(o);
        return -1;
    }
    p->owned[p->n_owned++] = o;
    return 0;
}

void cpu_ops_free(struct cpu_plan *p)
{
    struct op_list *lists[] = {&p->forward[0],  &p->forward[1], &p->loss,       &p->backward[0],
                               &p->backward[1], &p->evaluate,   &p->refresh[0], &p->refresh[1]};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        free(lists[i]->op);
    while (p->n_owned)
        destroy(p->owned[--p->n_owned]);
    free(p->owned);
    free(p->scratch);
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

int cpu_memory(struct cpu_plan *p, const dnnl_memory_desc_t *md, void *data, dnnl_memory_t *out,
               struct error *e)
{
    if (cpu_check(dnnl_memory_create(out, md, p->device->engine, data), "memory", e) < 0)
        return -1;
    return own(p, OWNED_MEMORY, *out, e);
}

int cpu_primitive(struct cpu_plan *p, dnnl_primitive_desc_t pd, dnnl_primitive_t *out,
                  struct error *e)
{
    if (cpu_check(dnnl_primitive_create(out, pd), "primitive", e) < 0)
        return -1;
    return own(p, OWNED_PRIMITIVE, *out, e);
}

int cpu_keep_desc(struct cpu_plan *p, dnnl_primitive_desc_t pd, struct error *e)
{
    return own(p, OWNED_DESC, pd, e);
}

void *cpu_heap(struct cpu_plan *p, size_t size, struct error *e)
{
    void *m = calloc(1, size);
    if (!m) {
        error_set(e, "out of memory compiling the network");
        return NULL;
    }
    return own(p, OWNED_HEAP, m, e) < 0 ? NULL : m;
}

void *cpu_take(struct cpu_plan *p, size_t size, struct error *e)
{
    void *m = arena_take(&p->arena, size);
    if (!m)
        error_set(e,
                  "out of memory: the network needs more than %zu MB (a smaller --batch or "
                  "--width helps)",
                  p->arena.total >> 20);
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

struct op *cpu_op(struct op_list *list, struct error *e)
{
    if (ROOM(list->op, list->n, list->cap, e) < 0)
        return NULL;
    struct op *op = &list->op[list->n++];
    memset(op, 0, sizeof *op);
    return op;
}

// The primitive's scratchpad becomes a view of the one that all share; its address is known only
// after the last one.
static int scratch(struct cpu_plan *p, dnnl_primitive_desc_t pd, struct op *op, struct error *e)
{
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    size_t size = md ? dnnl_memory_desc_get_size(md) : 0;
    if (!size)
        return 0;
    dnnl_memory_t m;
    if (cpu_memory(p, md, DNNL_MEMORY_NONE, &m, e) < 0 ||
        ROOM(p->scratch, p->n_scratch, p->cap_scratch, e) < 0)
        return -1;
    p->scratch[p->n_scratch++] = m;
    cpu_scratch_want(p, size);
    op->arg[op->n_arg++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, m};
    return 0;
}

void cpu_scratch_want(struct cpu_plan *p, size_t size)
{
    if (size > p->scratch_size)
        p->scratch_size = size;
}

int cpu_scratch_place(struct cpu_plan *p, struct error *e)
{
    if (!p->scratch_size)
        return 0;
    void *data = p->scratch_data = cpu_take(p, p->scratch_size, e);
    if (!data)
        return -1;
    for (int i = 0; i < p->n_scratch; i++)
        if (cpu_check(dnnl_memory_set_data_handle(p->scratch[i], data), "scratchpad", e) < 0)
            return -1;
    return 0;
}

int cpu_op_primitive(struct cpu_plan *p, struct op_list *list, dnnl_primitive_desc_t pd,
                     dnnl_primitive_t primitive, const dnnl_exec_arg_t *arg, int n_arg,
                     struct error *e)
{
    struct op *op = cpu_op(list, e);
    if (!op)
        return -1;
    op->primitive = primitive;
    memcpy(op->arg, arg, (size_t)n_arg * sizeof *arg);
    op->n_arg = n_arg;
    return scratch(p, pd, op, e);
}

int cpu_reorder(struct cpu_plan *p, struct op_list *list, dnnl_memory_t from,
                const dnnl_memory_desc_t *from_md, dnnl_memory_t to,
                const dnnl_memory_desc_t *to_md, struct error *e)
{
    dnnl_primitive_attr_t attr = cpu_attr(e);
    if (!attr)
        return -1;
    dnnl_primitive_desc_t pd;
    dnnl_engine_t engine = p->device->engine;
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

int cpu_convert(struct cpu_plan *p, const dnnl_memory_desc_t *from_md, const void *from,
                const dnnl_memory_desc_t *to_md, void *to, struct error *e)
{
    dnnl_engine_t engine = p->device->engine;
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
        rc = cpu_check(dnnl_primitive_execute(primitive, p->device->stream, 2, arg), "reorder", e);
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

int cpu_run(struct cpu_plan *p, const struct op_list *list, struct error *e)
{
    for (int i = 0; i < list->n; i++) {
        const struct op *op = &list->op[i];
        if (op->run) {
            if (op->run(p, op) < 0)
                return error_set(e, "the %s kernel failed", op->stage->kind->name);
        } else if (cpu_check(
                       dnnl_primitive_execute(op->primitive, p->device->stream, op->n_arg, op->arg),
                       "execute", e) < 0) {
            return -1;
        }
    }
    return 0;
}

// --- gradient buffers: lists run in the order in which they are built, so a buffer released while
// building is free for what is built later ---

struct grad *cpu_grad_take(struct cpu_plan *p, size_t size, struct error *e)
{
    struct grad *best = NULL;
    for (int i = 0; i < p->n_grad; i++) {
        struct grad *g = p->grad[i];
        if (!g->used && g->size >= size && (!best || g->size < best->size))
            best = g;
    }
    if (!best) {
        if (p->n_grad == (int)(sizeof p->grad / sizeof *p->grad)) {
            error_set(e, "the network needs more than %d gradients at once", p->n_grad);
            return NULL;
        }
        best = cpu_heap(p, sizeof *best, e);
        if (!best || !(best->data = cpu_take(p, size, e)))
            return NULL;
        best->size = size;
        p->grad[p->n_grad++] = best;
    }
    best->used = 1;
    return best;
}

void cpu_grad_release(struct grad *g)
{
    g->used = 0;
}

// A tensor used more than twice keeps what does not fit summed by the caller: the networks here use
// one twice at most, and cpu_grad_give says so loudly.
int cpu_grad_give(struct tensor *t, struct grad *g, struct error *e)
{
    if (!t->wants_grad) {
        cpu_grad_release(g);
        return 0;
    }
    if (t->n_grad == 2)
        return error_set(e, "a tensor of the network is used more than twice");
    t->grad[t->n_grad++] = g;
    return 0;
}

static int run_sum(struct cpu_plan *p, const struct op *op)
{
    p->k->add[op->stage->out->type](op->out, op->a, op->b, op->stage->out->elements, p->threads);
    return 0;
}

struct grad *cpu_grad_of(struct cpu_plan *p, struct stage *s, struct op_list *list, struct error *e)
{
    struct tensor *t = s->out;
    if (!t->n_grad) {
        error_set(e, "no gradient reaches the output of %s",
                  s->node->name[0] ? s->node->name : s->kind->name);
        return NULL;
    }
    struct grad *g = t->grad[0];
    if (t->n_grad == 2) {
        struct op *op = cpu_op(list, e);
        if (!op)
            return NULL;
        op->run = run_sum;
        op->stage = s;
        op->a = op->out = g->data;
        op->b = t->grad[1]->data;
        cpu_grad_release(t->grad[1]);
    }
    t->n_grad = 0;
    return g;
}
