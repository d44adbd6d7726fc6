// cuDNN's backend API (graphs of one operation). Heuristics propose engines; what finalizes is a
// candidate; the card's clock chooses, or the letter that an earlier run recorded. Descriptors of a
// plan live as long as it does.
#include "gpu/cuda/dnn.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if CUDNN_VERSION < 90800
#error                                                                                             \
    "ssltop's CUDA device needs cuDNN 9.8 or later (make CUDNN=/path names one, CUDA=no leaves it out)"
#endif

typedef cudnnBackendDescriptor_t descriptor;

enum {
    CANDIDATES = 6, // timed at most
    CONFIGS = 64,   // a letter each
    WORKSPACE_MB = 512,
    NOTES = 16
};
static const char letters[CONFIGS + 1] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-";

enum part { PART_X, PART_W, PART_Y, PART_CONV, PART_OP, PART_GRAPH, PART_CONFIG, PART_PLAN, PARTS };
struct dnn_plan {
    descriptor part[PARTS];
    size_t workspace;
};

// What cuDNN needs to know of a card that is not there. Figures of A100-SXM4-80GB and
// H100-SXM5-80GB.
#define CARD(ver, sms, clock, mem, l2, smem, name)                                                 \
    "{\"deviceVer\":" #ver                                                                         \
    ",\"driverVer\":13000,\"cudaDeviceId\":0,\"totalGlobalMem\":85899345920,"                      \
    "\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],"                    \
    "\"regsPerBlock\":65536,\"multiProcessorCount\":" #sms ",\"smClockRateKHz\":" #clock           \
    ",\"memClockRateKHz\":" #mem ",\"memoryBusWidth\":5120,\"l2CacheSize\":" #l2                   \
    ",\"warpSize\":32,"                                                                            \
    "\"maxSharedMemoryPerBlock\":49152,\"maxSharedMemoryPerBlockOptin\":" #smem                    \
    ",\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,\"pciDeviceId\":0,"        \
    "\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"isTccDriver\":0,"  \
    "\"deviceName\":\"" name "\",\"supportCoopLaunch\":1}"
static const struct {
    int sm;
    const char *json;
} cards[] = {
    {80, CARD(800, 108, 1410000, 1593000, 41943040, 166912, "NVIDIA A100-SXM4-80GB")},
    {90, CARD(900, 132, 1980000, 2619000, 52428800, 232448, "NVIDIA H100 80GB HBM3")},
};

static int check(cudnnStatus_t s, const char *what, struct error *e)
{
    if (s == CUDNN_STATUS_SUCCESS)
        return 0;
    char more[256] = "";
    cudnnGetLastErrorString(more, sizeof more);
    more[strcspn(more, "\n")] = '\0';
    return error_set(e, "cuDNN: %s: %s%s%s", what, cudnnGetErrorString(s), more[0] ? ": " : "",
                     more);
}

static int create(descriptor *d, cudnnBackendDescriptorType_t type, struct error *e)
{
    return check(cudnnBackendCreateDescriptor(type, d), "descriptor", e);
}

static int set(descriptor d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
               int64_t n, const void *v, struct error *e)
{
    return check(cudnnBackendSetAttribute(d, name, type, n, v), "attribute", e);
}

static int finalize(descriptor d, const char *what, struct error *e)
{
    return check(cudnnBackendFinalize(d), what, e);
}

static void destroy(descriptor *d)
{
    if (*d)
        cudnnBackendDestroyDescriptor(*d);
    *d = NULL;
}

int dnn_open(struct dnn *d, cudaStream_t stream, struct error *e)
{
    if (check(cudnnCreate(&d->handle), "start", e) < 0)
        return -1;
    return check(cudnnSetStream(d->handle, stream), "stream", e);
}

int dnn_open_planning(struct dnn *d, int sm, struct error *e)
{
    for (size_t i = 0; i < sizeof cards / sizeof *cards; i++) {
        if (cards[i].sm != sm)
            continue;
        if (create(&d->describe, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, e) < 0)
            return -1;
        if (set(d->describe, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                (int64_t)strlen(cards[i].json), cards[i].json, e) < 0)
            return -1;
        return finalize(d->describe, "description of the card", e);
    }
    return error_set(e, "no card of architecture sm_%d is described (there are: sm_80, sm_90)", sm);
}

void dnn_close(struct dnn *d)
{
    destroy(&d->describe);
    if (d->handle)
        cudnnDestroy(d->handle);
    d->handle = NULL;
}

// --- the graph of one convolution ---
static int tensor(descriptor *out, int64_t id, int bf16, const int64_t dim[4], struct error *e)
{
    cudnnDataType_t type = bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    int64_t stride[4] = {dim[1] * dim[2] * dim[3], 1, dim[1] * dim[3], dim[1]}, align = 16;
    if (create(out, CUDNN_BACKEND_TENSOR_DESCRIPTOR, e) < 0 ||
        set(*out, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type, e) < 0 ||
        set(*out, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dim, e) < 0 ||
        set(*out, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, stride, e) < 0 ||
        set(*out, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id, e) < 0 ||
        set(*out, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align, e) < 0)
        return -1;
    return finalize(*out, "tensor", e);
}

static int convolution(descriptor *out, const struct dnn_shape *s, struct error *e)
{
    int64_t dims = 2, pad[2] = {s->pad, s->pad}, stride[2] = {s->stride, s->stride},
            one[2] = {1, 1};
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    if (create(out, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, e) < 0 ||
        set(*out, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dims, e) < 0 ||
        set(*out, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type, e) < 0 ||
        set(*out, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode, e) < 0 ||
        set(*out, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pad, e) < 0 ||
        set(*out, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pad, e) < 0 ||
        set(*out, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, one, e) < 0 ||
        set(*out, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride, e) < 0)
        return -1;
    return finalize(*out, "convolution", e);
}

static const struct {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t x, w, y, conv, alpha, beta;
} passes[] = {
    [DNN_FORWARD] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    [DNN_DATA] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    [DNN_FILTER] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

static int graph(struct dnn *d, const struct dnn_shape *s, enum dnn_pass pass, struct dnn_plan *p,
                 struct error *e)
{
    int64_t x[4] = {s->n, s->c, s->h, s->w}, w[4] = {s->out, s->c, s->k, s->k},
            y[4] = {s->n, s->out, s->oh, s->ow};
    float alpha = 1, beta = 0;
    descriptor *t = p->part;
    if (tensor(&t[PART_X], 'x', s->bf16, x, e) < 0 || tensor(&t[PART_W], 'w', s->bf16, w, e) < 0 ||
        tensor(&t[PART_Y], 'y', s->bf16, y, e) < 0 || convolution(&t[PART_CONV], s, e) < 0 ||
        create(&t[PART_OP], passes[pass].type, e) < 0 ||
        set(t[PART_OP], passes[pass].x, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &t[PART_X], e) < 0 ||
        set(t[PART_OP], passes[pass].w, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &t[PART_W], e) < 0 ||
        set(t[PART_OP], passes[pass].y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &t[PART_Y], e) < 0 ||
        set(t[PART_OP], passes[pass].conv, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &t[PART_CONV], e) <
            0 ||
        set(t[PART_OP], passes[pass].alpha, CUDNN_TYPE_FLOAT, 1, &alpha, e) < 0 ||
        set(t[PART_OP], passes[pass].beta, CUDNN_TYPE_FLOAT, 1, &beta, e) < 0 ||
        finalize(t[PART_OP], "operation", e) < 0 ||
        create(&t[PART_GRAPH], CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, e) < 0 ||
        set(t[PART_GRAPH], CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
            &t[PART_OP], e) < 0)
        return -1;
    if (d->handle && set(t[PART_GRAPH], CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1,
                         &d->handle, e) < 0)
        return -1;
    return finalize(t[PART_GRAPH], "graph", e);
}

// --- proposals ---
// Append what heuristics of this mode propose; a mode that has nothing to say is no error.
static void propose(struct dnn *d, descriptor graph, cudnnBackendHeurMode_t mode,
                    descriptor *config, int *n)
{
    descriptor heuristics = NULL;
    int64_t count = 0, room = CONFIGS - *n;
    if (create(&heuristics, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, NULL) < 0)
        return;
    int rc = set(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                 1, &graph, NULL) |
             set(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode, NULL);
    if (d->describe)
        rc |= set(heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                  &d->describe, NULL);
    if (rc < 0 || finalize(heuristics, "heuristics", NULL) < 0 || room < 1) {
        destroy(&heuristics);
        return;
    }
    int made = 0;
    while (made < room && create(&config[*n + made], CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, NULL) == 0)
        made++;
    if (cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                 CUDNN_TYPE_BACKEND_DESCRIPTOR, made, &count,
                                 config + *n) != CUDNN_STATUS_SUCCESS)
        count = 0;
    if (count > made)
        count = made;
    for (int i = (int)count; i < made; i++)
        destroy(&config[*n + i]);
    *n += (int)count;
    destroy(&heuristics);
}

// Whether an engine may be taken: it gives the same bits every time (a run can be repeated), and
// f32 means f32, so that it does not round its inputs for the tensor cores.
static int suits(descriptor config, int bf16)
{
    descriptor engine = NULL;
    cudnnBackendNumericalNote_t note[NOTES];
    int64_t got = 0, n = 0;
    if (create(&engine, CUDNN_BACKEND_ENGINE_DESCRIPTOR, NULL) < 0)
        return 0;
    int rc =
        cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                 1, &got, &engine) != CUDNN_STATUS_SUCCESS ||
        cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                 CUDNN_TYPE_NUMERICAL_NOTE, NOTES, &n,
                                 note) != CUDNN_STATUS_SUCCESS;
    for (int64_t i = 0; i < n && i < NOTES; i++)
        rc |= note[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC ||
              (!bf16 && (note[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE ||
                         note[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS));
    destroy(&engine);
    return !rc;
}

// Make `config` the plan's. -1: this engine cannot.
static int adopt(struct dnn *d, struct dnn_plan *p, descriptor config, struct error *e)
{
    int64_t size = 0, got = 0;
    destroy(&p->part[PART_PLAN]);
    descriptor *plan = &p->part[PART_PLAN];
    if (create(plan, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, e) < 0 ||
        set(*plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
            &config, e) < 0)
        return -1;
    if (d->handle &&
        set(*plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &d->handle, e) < 0)
        return -1;
    if (d->describe && set(*plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                           CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &d->describe, e) < 0)
        return -1;
    if (finalize(*plan, "plan", e) < 0 ||
        check(cudnnBackendGetAttribute(*plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                       CUDNN_TYPE_INT64, 1, &got, &size),
              "workspace", e) < 0)
        return -1;
    if (size < 0 || size >> 20 > WORKSPACE_MB)
        return error_set(e, "cuDNN: the plan wants %lld MB of workspace", (long long)(size >> 20));
    p->workspace = (size_t)size;
    return 0;
}

// The index of the config to take, left adopted; -1 when none can be.
static int choose(struct dnn *d, struct dnn_plan *p, descriptor *config, int n, int bf16,
                  dnn_timer *time, void *context, struct error *e)
{
    int best = -1, tried = 0, last = -1;
    double least = 0;
    for (int i = 0; i < n && tried < CANDIDATES; i++) {
        if (!suits(config[i], bf16) || adopt(d, p, config[i], NULL) < 0)
            continue;
        tried++;
        last = i;
        double ms = time ? time(context, p) : 0;
        if (ms >= 0 && (best < 0 || ms < least)) {
            best = i;
            least = ms;
        }
        if (!time)
            break;
    }
    if (best < 0)
        return error_set(e, "cuDNN has no plan for it (%d engines proposed, %d could be built)", n,
                         tried);
    if (best != last && adopt(d, p, config[best], e) < 0)
        return -1;
    return best;
}

int dnn_plan_new(struct dnn *d, const struct dnn_shape *s, enum dnn_pass pass, char letter,
                 dnn_timer *time, void *context, struct dnn_plan **out, char *chosen,
                 struct error *e)
{
    static const char *const names[] = {"forward", "backward-data", "backward-filter"};
    descriptor config[CONFIGS] = {NULL};
    int n = 0, best = -1;
    struct dnn_plan *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p)
        return error_set(e, "out of memory planning a convolution");
    if (graph(d, s, pass, p, e) == 0) {
        propose(d, p->part[PART_GRAPH], CUDNN_HEUR_MODE_A, config, &n);
        propose(d, p->part[PART_GRAPH], CUDNN_HEUR_MODE_FALLBACK, config, &n);
        const char *at = letter ? strchr(letters, letter) : NULL;
        if (!letter)
            best = choose(d, p, config, n, s->bf16, time, context, e);
        else if (!at || at - letters >= n)
            error_set(e, "the recorded algorithms name a plan that this cuDNN does not propose");
        else if (!suits(config[at - letters], s->bf16))
            error_set(e,
                      "the recorded algorithms name a plan that rounds f32, or whose sums differ "
                      "from run to run");
        else if (adopt(d, p, config[at - letters], e) == 0)
            best = (int)(at - letters);
    }
    for (int i = 0; i < n; i++)
        if (i == best)
            p->part[PART_CONFIG] = config[i];
        else
            destroy(&config[i]);
    if (best < 0) {
        dnn_plan_free(p);
        return error_prefix(e, "%s of a %dx%d convolution, %d to %d channels, %d images of %dx%d",
                            names[pass], s->k, s->k, s->c, s->out, s->n, s->h, s->w);
    }
    *chosen = letters[best];
    *out = p;
    return 0;
}

void dnn_plan_free(struct dnn_plan *p)
{
    if (!p)
        return;
    for (int i = PARTS - 1; i >= 0; i--)
        destroy(&p->part[i]);
    free(p);
}

int dnn_is_letter(char c)
{
    return c && strchr(letters, c) != NULL;
}

size_t dnn_plan_workspace(const struct dnn_plan *p)
{
    return p->workspace;
}

// --- running ---
int dnn_pack_new(const struct dnn_plan *p, void *x, void *w, void *y, void *workspace, dnnPack *out,
                 struct error *e)
{
    int64_t id[3] = {'x', 'w', 'y'};
    void *data[3] = {x, w, y};
    *out = NULL;
    if (p->workspace == 0)
        workspace = NULL;
    if (create(out, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, e) < 0)
        return -1;
    if (set(*out, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3, id, e) < 0 ||
        set(*out, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3, data, e) < 0 ||
        set(*out, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace, e) < 0 ||
        finalize(*out, "memory of a plan", e) < 0) {
        destroy(out);
        return -1;
    }
    return 0;
}

void dnn_pack_free(dnnPack pack)
{
    destroy(&pack);
}

int dnn_run(struct dnn *d, const struct dnn_plan *p, dnnPack pack, struct error *e)
{
    return check(cudnnBackendExecute(d->handle, p->part[PART_PLAN], pack), "convolution", e);
}
