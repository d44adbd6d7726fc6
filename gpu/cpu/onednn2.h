// oneDNN 2 under the names of oneDNN 3, as far as onednn.c uses them: there a descriptor of a
// primitive is made in one call, and a layout is an object with an owner.
#ifndef SSLTOP_GPU_CPU_ONEDNN2_H
#define SSLTOP_GPU_CPU_ONEDNN2_H

#include <dnnl.h>
#include <stdlib.h>

typedef dnnl_memory_desc_t *layout_object;

static inline dnnl_status_t dnnl_memory_desc_create_with_tag(layout_object *out, int ndims,
                                                             const dnnl_dims_t dims,
                                                             dnnl_data_type_t type,
                                                             dnnl_format_tag_t tag)
{
    if (!(*out = malloc(sizeof **out)))
        return dnnl_out_of_memory;
    dnnl_status_t s = dnnl_memory_desc_init_by_tag(*out, ndims, dims, type, tag);
    if (s != dnnl_success) {
        free(*out);
        *out = NULL;
    }
    return s;
}

static inline dnnl_status_t dnnl_memory_desc_create_submemory(layout_object *out,
                                                              const dnnl_memory_desc_t *parent,
                                                              const dnnl_dims_t dims,
                                                              const dnnl_dims_t offsets)
{
    if (!(*out = malloc(sizeof **out)))
        return dnnl_out_of_memory;
    dnnl_status_t s = dnnl_memory_desc_init_submemory(*out, parent, dims, offsets);
    if (s != dnnl_success) {
        free(*out);
        *out = NULL;
    }
    return s;
}

static inline void dnnl_memory_desc_destroy(layout_object l)
{
    free(l);
}

// `NAME_primitive_desc_create` of oneDNN 3 from `init` and the type of descriptor of oneDNN 2.
#define ONEDNN2_CREATE(desc_type, hint, init)                                                      \
    {                                                                                              \
        desc_type desc;                                                                            \
        dnnl_status_t s = init;                                                                    \
        return s != dnnl_success ? s : dnnl_primitive_desc_create(pd, &desc, attr, engine, hint);  \
    }

static inline dnnl_status_t dnnl_convolution_forward_primitive_desc_create(
    dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_prop_kind_t prop, dnnl_alg_kind_t alg,
    const dnnl_memory_desc_t *src, const dnnl_memory_desc_t *weights,
    const dnnl_memory_desc_t *bias, const dnnl_memory_desc_t *dst, const dnnl_dims_t stride,
    const dnnl_dims_t dilate, const dnnl_dims_t pad_l, const dnnl_dims_t pad_r,
    const_dnnl_primitive_attr_t attr)
    ONEDNN2_CREATE(dnnl_convolution_desc_t, NULL,
                   dnnl_dilated_convolution_forward_desc_init(&desc, prop, alg, src, weights, bias,
                                                              dst, stride, dilate, pad_l, pad_r))

        static inline dnnl_status_t
    dnnl_convolution_backward_data_primitive_desc_create(
        dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_alg_kind_t alg,
        const dnnl_memory_desc_t *diff_src, const dnnl_memory_desc_t *weights,
        const dnnl_memory_desc_t *diff_dst, const dnnl_dims_t stride, const dnnl_dims_t dilate,
        const dnnl_dims_t pad_l, const dnnl_dims_t pad_r, const_dnnl_primitive_desc_t hint,
        const_dnnl_primitive_attr_t attr)
        ONEDNN2_CREATE(dnnl_convolution_desc_t, hint,
                       dnnl_dilated_convolution_backward_data_desc_init(&desc, alg, diff_src,
                                                                        weights, diff_dst, stride,
                                                                        dilate, pad_l, pad_r))

            static inline dnnl_status_t
    dnnl_convolution_backward_weights_primitive_desc_create(
        dnnl_primitive_desc_t *pd, dnnl_engine_t engine, dnnl_alg_kind_t alg,
        const dnnl_memory_desc_t *src, const dnnl_memory_desc_t *diff_weights,
        const dnnl_memory_desc_t *diff_bias, const dnnl_memory_desc_t *diff_dst,
        const dnnl_dims_t stride, const dnnl_dims_t dilate, const dnnl_dims_t pad_l,
        const dnnl_dims_t pad_r, const_dnnl_primitive_desc_t hint, const_dnnl_primitive_attr_t attr)
        ONEDNN2_CREATE(dnnl_convolution_desc_t, hint,
                       dnnl_dilated_convolution_backward_weights_desc_init(&desc, alg, src,
                                                                           diff_weights, diff_bias,
                                                                           diff_dst, stride, dilate,
                                                                           pad_l, pad_r))

            static inline dnnl_status_t
    dnnl_inner_product_forward_primitive_desc_create(dnnl_primitive_desc_t *pd,
                                                     dnnl_engine_t engine, dnnl_prop_kind_t prop,
                                                     const dnnl_memory_desc_t *src,
                                                     const dnnl_memory_desc_t *weights,
                                                     const dnnl_memory_desc_t *bias,
                                                     const dnnl_memory_desc_t *dst,
                                                     const_dnnl_primitive_attr_t attr)
        ONEDNN2_CREATE(dnnl_inner_product_desc_t, NULL,
                       dnnl_inner_product_forward_desc_init(&desc, prop, src, weights, bias, dst))

            static inline dnnl_status_t dnnl_inner_product_backward_data_primitive_desc_create(
                dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const dnnl_memory_desc_t *diff_src,
                const dnnl_memory_desc_t *weights, const dnnl_memory_desc_t *diff_dst,
                const_dnnl_primitive_desc_t hint, const_dnnl_primitive_attr_t attr)
                ONEDNN2_CREATE(dnnl_inner_product_desc_t, hint,
                               dnnl_inner_product_backward_data_desc_init(&desc, diff_src, weights,
                                                                          diff_dst))

                    static inline dnnl_status_t
    dnnl_inner_product_backward_weights_primitive_desc_create(
        dnnl_primitive_desc_t *pd, dnnl_engine_t engine, const dnnl_memory_desc_t *src,
        const dnnl_memory_desc_t *diff_weights, const dnnl_memory_desc_t *diff_bias,
        const dnnl_memory_desc_t *diff_dst, const_dnnl_primitive_desc_t hint,
        const_dnnl_primitive_attr_t attr)
        ONEDNN2_CREATE(dnnl_inner_product_desc_t, hint,
                       dnnl_inner_product_backward_weights_desc_init(&desc, src, diff_weights,
                                                                     diff_bias, diff_dst))

#endif
