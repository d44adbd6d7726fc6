// All that this device asks of oneDNN, by one interface for its versions 2.6 to 3.x; nobody else
// calls it or sees which one it is. Layouts, memory, primitives as operations of a plan, which owns
// what is made for it. Functions return 0, or -1 (NULL) with the reason in `e`.
#ifndef SSLTOP_GPU_CPU_ONEDNN_H
#define SSLTOP_GPU_CPU_ONEDNN_H

#include "gpu/cpu/cpu.h"

// --- the library ---
int onednn_open(struct onednn *o, struct error *e); // onednn_close also after an error
void onednn_close(struct onednn *o);
void onednn_version(char *text, size_t size); // "oneDNN 2.6.3"
// Whether it has the convolutions of a training in `type` for this processor: on Arm it depends on
// its version.
int onednn_offers(const struct onednn *o, dnnl_data_type_t type);
// The instructions that it uses: bits of dnnl_cpu_isa_t, fewer than the processor has where the
// environment says so (ONEDNN_MAX_CPU_ISA). 0: it does not say.
unsigned onednn_takes(void);
// What of the library could change a bit of a result: "7", what it takes of the processor, and from
// its version 3 on "7-onednn3.7.3". A run that was recorded without a version was one of 2.6.
void onednn_prefix(char *text, size_t size);

// c = alpha * op(a) op(b) + beta * c, row major; op(a) is m x k, op(b) k x n; op transposes where
// `turn`. Rows are lda, ldb, ldc floats apart.
struct onednn_product {
    int m, n, k, turn_a, turn_b, lda, ldb, ldc;
    float alpha, beta;
};
int onednn_multiply(const struct onednn_product *s, const float *a, const float *b, float *c,
                    struct error *e);

// --- layouts ---
onednn_layout onednn_layout_new(struct plan *p, int ndims, const dnnl_dims_t dims,
                                dnnl_data_type_t type, dnnl_format_tag_t tag, struct error *e);
// The first channels of layout `l` of channels last.
onednn_layout onednn_layout_within(struct plan *p, onednn_layout l, const dnnl_dims_t dims,
                                   struct error *e);
size_t onednn_bytes(onednn_layout l);
int onednn_same(onednn_layout a, onednn_layout b);
const dnnl_dim_t *onednn_dims(onednn_layout l);

// --- primitives ---
// `pass` of a layer. A descriptor says what would be computed, by what code, on which layouts; it
// is the plan's once kept, until then the caller drops it.
enum pass { PASS_FORWARD, PASS_DATA, PASS_WEIGHTS, PASS_COUNT };

struct onednn_conv {
    dnnl_dims_t in, out, weights, stride, dilate, pad;
    dnnl_data_type_t type; // of in, out and weights; a gradient of weights is f32
    dnnl_alg_kind_t algorithm;
};
// Layouts NULL: what suits it best. `hint`: of the forward pass. NULL also when there is no such
// implementation, which is not an error.
dnnl_primitive_desc_t onednn_convolution(struct plan *p, const struct onednn_conv *s,
                                         enum pass pass, onednn_layout in, onednn_layout out,
                                         dnnl_primitive_desc_t hint);
// Rows times weights (`type` but for their gradient); bias NULL: none. A descriptor that is kept.
dnnl_primitive_desc_t onednn_linear(struct plan *p, enum pass pass, const dnnl_dims_t weights,
                                    dnnl_data_type_t type, onednn_layout in, onednn_layout out,
                                    onednn_layout bias, dnnl_primitive_desc_t hint,
                                    struct error *e);
int onednn_keep(struct plan *p, dnnl_primitive_desc_t pd, struct error *e);
void onednn_drop(dnnl_primitive_desc_t pd);
const char *onednn_name(dnnl_primitive_desc_t pd); // of the implementation: "jit:avx2"
onednn_layout onednn_wants(dnnl_primitive_desc_t pd, dnnl_query_t which);

// A memory over `data` (borrowed); a primitive.
int onednn_memory(struct plan *p, onednn_layout l, void *data, dnnl_memory_t *out, struct error *e);
void *onednn_data(dnnl_memory_t m, struct error *e); // what it is over
int onednn_primitive(struct plan *p, dnnl_primitive_desc_t pd, dnnl_primitive_t *out,
                     struct error *e);
// A primitive that copies from one layout to another, to be executed with two arguments.
int onednn_copier(struct plan *p, onednn_layout from, onednn_layout to, dnnl_primitive_t *out,
                  struct error *e);
int onednn_execute(struct plan *p, dnnl_primitive_t primitive, const dnnl_exec_arg_t *arg, int n,
                   struct error *e);

// Append a primitive with its arguments, a reorder.
int onednn_op(struct plan *p, struct op_list *list, dnnl_primitive_desc_t pd,
              dnnl_primitive_t primitive, const dnnl_exec_arg_t *arg, int n_arg, struct error *e);
int onednn_reorder(struct plan *p, struct op_list *list, dnnl_memory_t from, onednn_layout from_md,
                   dnnl_memory_t to, onednn_layout to_md, struct error *e);

// Copy a tensor from one layout and type to another, now. Not for a step: it builds what it needs.
int onednn_convert(struct plan *p, onednn_layout from_md, const void *from, onednn_layout to_md,
                   void *to, struct error *e);

// --- one scratchpad for all ---
// An operation of ours wants this much of it too: scratch_data while it runs.
void onednn_scratch_want(struct plan *p, size_t size);
// After the last primitive.
int onednn_scratch_place(struct plan *p, struct error *e);

#endif
