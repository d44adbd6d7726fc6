// cuDNN's backend API as far as the CUDA device calls it: descriptors as bags of attributes, four
// engines (one cannot, one sums in any order, one rounds f32 as the tensor cores do, one is exact),
// convolutions by im2col. Checks what the real one checks: shapes, types, what must be finalized,
// unique names, workspace.
#include <cblas.h>
#include <cuda_bf16.h>
#include <cudnn.h>

#include "tests/cuda/emu.h"

#include <map>
#include <vector>

enum { ENGINE_CANNOT, ENGINE_ANY_ORDER, ENGINE_TENSOR_CORE, ENGINE_EXACT };
struct cudnnContext {
    cudaStream_t stream;
};
struct bag {
    cudnnBackendDescriptorType_t type;
    bool final;
    std::map<int, std::vector<char>> value;
};

static bag *bag_of(void *d)
{
    return (bag *)d;
}

#define DNN_ENTRY                                                                                  \
    emu_entry entry;                                                                               \
    if (entry.fails(__func__))                                                                     \
    return CUDNN_STATUS_EXECUTION_FAILED

static size_t size_of(cudnnBackendAttributeType_t t)
{
    switch ((int)t) {
    case CUDNN_TYPE_CHAR:
        return 1;
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_HANDLE:
        return 8;
    default:
        return 4;
    }
}

template <class T> static T at(const bag *b, int name, size_t i = 0)
{
    auto v = b->value.find(name);
    T t = T();
    if (v != b->value.end() && v->second.size() >= (i + 1) * sizeof t)
        memcpy(&t, v->second.data() + i * sizeof t, sizeof t);
    return t;
}

static bag *child(const bag *b, int name)
{
    return bag_of(at<void *>(b, name));
}

struct image {
    int64_t n, c, h, w;
    bool bf16;
};

static image tensor_of(const bag *t)
{
    const int d = CUDNN_ATTR_TENSOR_DIMENSIONS;
    return {at<int64_t>(t, d, 0), at<int64_t>(t, d, 1), at<int64_t>(t, d, 2), at<int64_t>(t, d, 3),
            at<cudnnDataType_t>(t, CUDNN_ATTR_TENSOR_DATA_TYPE) == CUDNN_DATA_BFLOAT16};
}

static bool nhwc(const bag *t)
{
    image x = tensor_of(t);
    const int s = CUDNN_ATTR_TENSOR_STRIDES;
    return at<int64_t>(t, s, 0) == x.c * x.h * x.w && at<int64_t>(t, s, 1) == 1 &&
           at<int64_t>(t, s, 2) == x.w * x.c && at<int64_t>(t, s, 3) == x.c &&
           at<int64_t>(t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT) == 16;
}

// A convolution: which pass, its tensors and numbers.
struct task {
    int pass;
    image x, w, y;
    int64_t pad, stride, id[3];
};

static bool task_of(const bag *op, task *t)
{
    static const int names[3][4] = {
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC}};
    t->pass = op->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR         ? 0
              : op->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ? 1
                                                                                         : 2;
    bag *part[4];
    for (int i = 0; i < 4; i++)
        if (!(part[i] = child(op, names[t->pass][i])) || !part[i]->final)
            return false;
    for (int i = 0; i < 3; i++) {
        if (!nhwc(part[i]))
            return false;
        t->id[i] = at<int64_t>(part[i], CUDNN_ATTR_TENSOR_UNIQUE_ID);
    }
    t->x = tensor_of(part[0]);
    t->w = tensor_of(part[1]);
    t->y = tensor_of(part[2]);
    t->pad = at<int64_t>(part[3], CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS);
    t->stride = at<int64_t>(part[3], CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES);
    if (t->x.bf16 != t->w.bf16 || t->x.bf16 != t->y.bf16 || t->x.n != t->y.n || t->w.c != t->x.c ||
        t->w.n != t->y.c || t->stride < 1)
        return false;
    return (t->x.h + 2 * t->pad - t->w.h) / t->stride + 1 == t->y.h &&
           (t->x.w + 2 * t->pad - t->w.w) / t->stride + 1 == t->y.w;
}

static size_t elements(const image &i)
{
    return (size_t)(i.n * i.c * i.h * i.w);
}

// --- working one ---
static float round_input(float v, int engine, bool bf16)
{
    uint32_t u;
    if (bf16 || engine == ENGINE_EXACT)
        return v;
    memcpy(&u, &v, sizeof u);
    u &= 0xffffe000u; // TF32
    memcpy(&v, &u, sizeof v);
    return v;
}

static std::vector<float> values(const void *p, const image &i, int engine, const char *what)
{
    std::vector<float> v(elements(i));
    emu_touch(p, v.size() * (i.bf16 ? 2 : 4), false, what);
    for (size_t k = 0; k < v.size(); k++) {
        uint32_t wide = i.bf16 ? (uint32_t)((const uint16_t *)p)[k] << 16 : 0;
        float f;
        memcpy(&f, &wide, sizeof f);
        v[k] = round_input(i.bf16 ? f : ((const float *)p)[k], engine, i.bf16);
    }
    return v;
}

static void give(void *p, const image &i, const std::vector<float> &v, const char *what)
{
    emu_touch(p, v.size() * (i.bf16 ? 2 : 4), true, what);
    for (size_t k = 0; k < v.size(); k++)
        if (i.bf16)
            ((uint16_t *)p)[k] = __bfloat16_as_ushort(__float2bfloat16(v[k]));
        else
            ((float *)p)[k] = v[k];
}

// Between one image and its patches, a row an output place.
static void patches(const task &t, float *x, std::vector<float> &col, bool out)
{
    int64_t c = t.x.c, wide = t.w.h * t.w.w * c;
    for (int64_t p = 0; p < t.y.h * t.y.w; p++)
        for (int64_t k = 0; k < t.w.h * t.w.w; k++) {
            int64_t r = p / t.y.w * t.stride - t.pad + k / t.w.w,
                    q = p % t.y.w * t.stride - t.pad + k % t.w.w;
            float *patch = &col[(size_t)(p * wide + k * c)];
            bool in = r >= 0 && r < t.x.h && q >= 0 && q < t.x.w;
            float *pixel = in ? x + (r * t.x.w + q) * c : NULL;
            for (int64_t i = 0; i < c; i++)
                if (!out)
                    patch[i] = in ? pixel[i] : 0;
                else if (in)
                    pixel[i] += patch[i];
        }
}

static void convolve(const task &t, int engine, void *x, void *w, void *y)
{
    int places = (int)(t.y.h * t.y.w), out = (int)t.y.c, wide = (int)(t.w.h * t.w.w * t.w.c);
    size_t in_image = (size_t)(t.x.c * t.x.h * t.x.w), out_image = (size_t)places * (size_t)out;
    std::vector<float> fx(elements(t.x)), fw(elements(t.w)), fy(elements(t.y)),
        col((size_t)places * (size_t)wide);
    if (t.pass != 1)
        fx = values(x, t.x, engine, "x of a convolution");
    if (t.pass != 2)
        fw = values(w, t.w, engine, "filter of a convolution");
    if (t.pass != 0)
        fy = values(y, t.y, engine, "y of a convolution");
    for (size_t n = 0; n < (size_t)t.x.n; n++) {
        float *xn = fx.data() + n * in_image, *yn = fy.data() + n * out_image;
        if (t.pass != 1)
            patches(t, xn, col, false);
        if (t.pass == 0)
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, places, out, wide, 1, col.data(),
                        wide, fw.data(), wide, 0, yn, out);
        else if (t.pass == 1)
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, places, wide, out, 1, yn, out,
                        fw.data(), wide, 0, col.data(), wide);
        else
            cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, out, wide, places, 1, yn, out,
                        col.data(), wide, 1, fw.data(), wide);
        if (t.pass == 1)
            patches(t, xn, col, true);
    }
    if (t.pass == 0)
        give(y, t.y, fy, "y of a convolution");
    else if (t.pass == 1)
        give(x, t.x, fx, "gradient of x");
    else
        give(w, t.w, fw, "gradient of a filter");
}

static int64_t workspace(const task &t, int engine)
{
    return t.x.c % 8 || engine == ENGINE_TENSOR_CORE ? 1000 + t.x.c * t.y.c : 0;
}

static const bag *operation_of(const bag *config)
{
    const bag *graph = child(config, CUDNN_ATTR_ENGINE_OPERATION_GRAPH);
    return graph ? child(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS) : NULL;
}

static cudnnStatus_t finalize(bag *b)
{
    task t;
    switch ((int)b->type) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
        return task_of(b, &t) ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
        return at<void *>(b, CUDNN_ATTR_OPERATIONGRAPH_HANDLE) &&
                       child(b, CUDNN_ATTR_OPERATIONGRAPH_OPS)->final
                   ? CUDNN_STATUS_SUCCESS
                   : CUDNN_STATUS_BAD_PARAM;
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR: {
        const bag *config = child(b, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
        if (!config || !at<void *>(b, CUDNN_ATTR_EXECUTION_PLAN_HANDLE))
            return CUDNN_STATUS_BAD_PARAM;
        return at<int64_t>(config, CUDNN_ATTR_ENGINE_GLOBAL_INDEX) == ENGINE_CANNOT
                   ? CUDNN_STATUS_NOT_SUPPORTED
                   : CUDNN_STATUS_SUCCESS;
    }
    default:
        return CUDNN_STATUS_SUCCESS;
    }
}

static void put(bag *b, int name, const void *v, size_t n)
{
    b->value[name].assign((const char *)v, (const char *)v + n);
}

// Fill configs with what the heuristics propose.
static void propose(const bag *h, int64_t room, int64_t *n, void **config)
{
    static const int64_t best[] = {ENGINE_ANY_ORDER, ENGINE_TENSOR_CORE, ENGINE_EXACT},
                         fallback[] = {ENGINE_EXACT, ENGINE_CANNOT};
    bool a = at<cudnnBackendHeurMode_t>(h, CUDNN_ATTR_ENGINEHEUR_MODE) == CUDNN_HEUR_MODE_A;
    void *graph = at<void *>(h, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    int64_t have = a ? 3 : 2;
    *n = room < have ? room : have;
    for (int64_t i = 0; i < *n; i++) {
        put(bag_of(config[i]), CUDNN_ATTR_ENGINE_GLOBAL_INDEX, a ? &best[i] : &fallback[i], 8);
        put(bag_of(config[i]), CUDNN_ATTR_ENGINE_OPERATION_GRAPH, &graph, 8);
        bag_of(config[i])->final = true;
    }
}

extern "C" {
size_t cudnnGetVersion(void)
{
    return CUDNN_VERSION;
}
const char *cudnnGetErrorString(cudnnStatus_t)
{
    return "played error";
}
void cudnnGetLastErrorString(char *text, size_t n)
{
    if (n)
        text[0] = '\0';
}
cudnnStatus_t cudnnCreate(cudnnHandle_t *h)
{
    DNN_ENTRY;
    *h = new cudnnContext();
    emu_count(1);
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t h)
{
    emu_entry entry;
    delete h;
    emu_count(-1);
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t h, cudaStream_t s)
{
    DNN_ENTRY;
    h->stream = s;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *d)
{
    DNN_ENTRY;
    *d = new bag{type, false, {}};
    emu_count(1);
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d)
{
    emu_entry entry;
    delete bag_of(d);
    emu_count(-1);
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t n, const void *v)
{
    DNN_ENTRY;
    if (bag_of(d)->final || n < 1)
        return CUDNN_STATUS_BAD_PARAM;
    put(bag_of(d), (int)name, v, (size_t)n * size_of(type));
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t d)
{
    DNN_ENTRY;
    cudnnStatus_t s = bag_of(d)->final ? CUDNN_STATUS_BAD_PARAM : finalize(bag_of(d));
    bag_of(d)->final = s == CUDNN_STATUS_SUCCESS;
    return s;
}
cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const d,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t, int64_t room, int64_t *n,
                                       void *out)
{
    DNN_ENTRY;
    const bag *b = bag_of(d);
    if (!b->final && b->type != CUDNN_BACKEND_ENGINE_DESCRIPTOR)
        return CUDNN_STATUS_BAD_PARAM;
    *n = 0;
    if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS) {
        propose(b, room, n, (void **)out);
    } else if (name == CUDNN_ATTR_ENGINECFG_ENGINE) {
        int64_t index = at<int64_t>(b, CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
        put(bag_of(*(void **)out), CUDNN_ATTR_ENGINE_GLOBAL_INDEX, &index, 8);
        *n = 1;
    } else if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE) {
        int64_t index = at<int64_t>(b, CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
        *n = index == ENGINE_TENSOR_CORE || index == ENGINE_ANY_ORDER;
        if (*n)
            *(cudnnBackendNumericalNote_t *)out = index == ENGINE_TENSOR_CORE
                                                      ? CUDNN_NUMERICAL_NOTE_TENSOR_CORE
                                                      : CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
    } else if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE) {
        const bag *config = child(b, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
        task t;
        task_of(operation_of(config), &t);
        *(int64_t *)out = workspace(t, (int)at<int64_t>(config, CUDNN_ATTR_ENGINE_GLOBAL_INDEX));
        *n = 1;
    } else {
        return CUDNN_STATUS_NOT_SUPPORTED;
    }
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendExecute(cudnnHandle_t h, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t pack)
{
    DNN_ENTRY;
    const bag *p = bag_of(plan), *v = bag_of(pack);
    if (!p->final || !v->final)
        return CUDNN_STATUS_BAD_PARAM;
    const bag *config = child(p, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    int engine = (int)at<int64_t>(config, CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
    task t;
    if (!task_of(operation_of(config), &t))
        return CUDNN_STATUS_BAD_PARAM;
    void *data[3] = {NULL, NULL, NULL};
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 3; k++)
            if (at<int64_t>(v, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, k) == t.id[i])
                data[i] = at<void *>(v, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, k);
    void *work = at<void *>(v, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
    size_t size = (size_t)workspace(t, engine);
    for (int i = 0; i < 3; i++)
        if (!data[i] || (size_t)data[i] % 16)
            return CUDNN_STATUS_BAD_PARAM;
    emu_queue(h->stream, "convolution", [=]() {
        if (size) {
            emu_touch(work, size, true, "workspace of a convolution");
            memset(work, 0xff, size);
        }
        convolve(t, engine, data[0], data[1], data[2]);
    });
    return CUDNN_STATUS_SUCCESS;
}
}
