// Building blocks of a plan on the CPU: memory, oneDNN objects that it owns, primitives as
// operations. Functions return 0, or -1 (NULL) with the reason in `e`.
#ifndef SSLTOP_GPU_CPU_OPS_H
#define SSLTOP_GPU_CPU_OPS_H

#include "gpu/cpu/cpu.h"

int cpu_check(dnnl_status_t s, const char *what, struct error *e);

// A oneDNN memory over `data` (borrowed); a primitive; a descriptor to be destroyed with the plan;
// memory of the arena.
int cpu_memory(struct plan *p, const dnnl_memory_desc_t *md, void *data, dnnl_memory_t *out,
               struct error *e);
int cpu_primitive(struct plan *p, dnnl_primitive_desc_t pd, dnnl_primitive_t *out, struct error *e);
int cpu_keep_desc(struct plan *p, dnnl_primitive_desc_t pd, struct error *e);
void *cpu_take(struct plan *p, size_t size, struct error *e);

// Both for an operation descriptor; `hint`: of its forward pass, or NULL.
int cpu_create(struct plan *p, const void *desc, dnnl_primitive_desc_t hint,
               dnnl_primitive_desc_t *pd, dnnl_primitive_t *primitive, const char *what,
               struct error *e);

// Attributes with the scratchpad supplied by us; the caller destroys them.
dnnl_primitive_attr_t cpu_attr(struct error *e);

// n row-major images (or rows) of a tensor's shape.
int cpu_plain(const struct tensor *t, int n, dnnl_data_type_t type, dnnl_memory_desc_t *md,
              struct error *e);

// Append a primitive with its arguments, a reorder.
int cpu_op_primitive(struct plan *p, struct op_list *list, dnnl_primitive_desc_t pd,
                     dnnl_primitive_t primitive, const dnnl_exec_arg_t *arg, int n_arg,
                     struct error *e);
int cpu_reorder(struct plan *p, struct op_list *list, dnnl_memory_t from,
                const dnnl_memory_desc_t *from_md, dnnl_memory_t to,
                const dnnl_memory_desc_t *to_md, struct error *e);

// Copy a tensor from one layout and type to another, now. Not for a step: it builds what it needs.
int cpu_convert(struct plan *p, const dnnl_memory_desc_t *from_md, const void *from,
                const dnnl_memory_desc_t *to_md, void *to, struct error *e);

// An operation of ours wants this much of the scratchpad too: scratch_data while it runs.
void cpu_scratch_want(struct plan *p, size_t size);
// After the last primitive: one scratchpad for all.
int cpu_scratch_place(struct plan *p, struct error *e);

#endif
