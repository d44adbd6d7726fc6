// Building blocks of a plan: oneDNN objects owned by it, operation lists, gradient buffers.
// Functions return 0, or -1 (NULL) with the reason in `e`. Nothing here runs in a step but cpu_run.
#ifndef SSLTOP_GPU_CPU_OPS_H
#define SSLTOP_GPU_CPU_OPS_H

#include "gpu/cpu/cpu.h"

int cpu_check(dnnl_status_t s, const char *what, struct error *e);

// A oneDNN memory over `data` (borrowed); a primitive; a descriptor to be destroyed with the plan;
// zeroed heap memory; memory of the arena.
int cpu_memory(struct cpu_plan *p, const dnnl_memory_desc_t *md, void *data, dnnl_memory_t *out,
               struct error *e);
int cpu_primitive(struct cpu_plan *p, dnnl_primitive_desc_t pd, dnnl_primitive_t *out,
                  struct error *e);
int cpu_keep_desc(struct cpu_plan *p, dnnl_primitive_desc_t pd, struct error *e);
void *cpu_heap(struct cpu_plan *p, size_t size, struct error *e);
void *cpu_take(struct cpu_plan *p, size_t size, struct error *e);

// Attributes with the scratchpad supplied by us; the caller destroys them.
dnnl_primitive_attr_t cpu_attr(struct error *e);

// Append an operation, a primitive with its arguments, a reorder. cpu_run: all of a list, in order.
struct op *cpu_op(struct op_list *list, struct error *e);
int cpu_op_primitive(struct cpu_plan *p, struct op_list *list, dnnl_primitive_desc_t pd,
                     dnnl_primitive_t primitive, const dnnl_exec_arg_t *arg, int n_arg,
                     struct error *e);
int cpu_reorder(struct cpu_plan *p, struct op_list *list, dnnl_memory_t from,
                const dnnl_memory_desc_t *from_md, dnnl_memory_t to,
                const dnnl_memory_desc_t *to_md, struct error *e);
int cpu_run(struct cpu_plan *p, const struct op_list *list, struct error *e);

// Copy a tensor from one layout and type to another, now. Not for a step: it builds what it needs.
int cpu_convert(struct cpu_plan *p, const dnnl_memory_desc_t *from_md, const void *from,
                const dnnl_memory_desc_t *to_md, void *to, struct error *e);

// An operation of ours wants this much of the scratchpad too: p->scratch_data while it runs.
void cpu_scratch_want(struct cpu_plan *p, size_t size);
// After the last primitive: one scratchpad for all.
int cpu_scratch_place(struct cpu_plan *p, struct error *e);
// Lists, oneDNN objects, heap memory.
void cpu_ops_free(struct cpu_plan *p);

// Gradients while backward lists are built: take a buffer; give it to a tensor (ownership passes);
// let go; and the sum of what the stage's output has gathered (ownership passes to the caller).
struct grad *cpu_grad_take(struct cpu_plan *p, size_t size, struct error *e);
int cpu_grad_give(struct tensor *t, struct grad *g, struct error *e);
void cpu_grad_release(struct grad *g);
struct grad *cpu_grad_of(struct cpu_plan *p, struct stage *s, struct op_list *list,
                         struct error *e);

#endif
