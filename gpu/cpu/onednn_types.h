// What of oneDNN the structs of this device hold, whatever its version; onednn.h has what it does.
#ifndef SSLTOP_GPU_CPU_ONEDNN_TYPES_H
#define SSLTOP_GPU_CPU_ONEDNN_TYPES_H

#include <dnnl.h>

// How a tensor lies: shape, type, order in memory. Never changed.
#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t onednn_layout;
#else
typedef const dnnl_memory_desc_t *onednn_layout;
#endif

struct onednn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
};

#endif
