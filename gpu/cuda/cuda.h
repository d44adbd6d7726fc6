// What the rooms of the CUDA device share. Every operation works both views at once, NHWC
// (gpu/plan.h; in an evaluation, one). A device that only plans ("cuda:sm_90") has no card: it lays
// everything out, asks cuDNN for every plan and counts memory, and never runs.
#ifndef SSLTOP_GPU_CUDA_CUDA_H
#define SSLTOP_GPU_CUDA_CUDA_H

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include "gpu/cuda/cache.h"
#include "gpu/cuda/dnn.h"
#include "gpu/cuda/kernels/kernels.h"
#include "gpu/plan.h"

_Static_assert((int)CUDA_F32 == (int)PRECISION_F32 && (int)CUDA_BF16 == (int)PRECISION_BF16,
               "kernels take a tensor's type");

enum { DEPTH = 2 }; // batches that may be queued

struct cuda_device {
    struct device base;
    int index, processors;         // card number; multiprocessors
    int sm;                        // 80, 90, ...
    cudaStream_t main, feed, side; // steps; images on their way in; what is made of features
    cublasHandle_t blas, side_blas;
    void *blas_work;
    struct dnn dnn;
    struct cache *cache; // of what was chosen for convolutions
    struct eigen *eigen; // the spectrum's thread
    struct plan *joined; // that is connected with other ranks (reduce.h), or NULL
};

// What a convolution runs, on x, w, y.
struct call {
    struct dnn_plan *dnn;
    void *x, *w, *y;
    dnnPack pack;
};

// A list once run, then recorded as a graph: one for every other step where it has marks of its
// own, which are read while the next one is under way (reduce.h); else the first is all there is.
struct recorded {
    cudaGraphExec_t exec[2];
    int runs, refused; // refused: cannot be recorded, goes on being queued piece by piece
};

struct trained { // a frozen parameter has the master copy only
    const struct param *param;
    float *w, *v;
    void *g, *w16; // g: f32 or bf16 (what cuDNN gives); w16: of filters in bf16
    int g16;
    float *sum; // with ranks: the gradient of all of them (reduce.h); NULL without
};

struct slot { // of a queued batch
    int64_t *index, *index_card;
    struct augment_view *view, *view_card; // [VIEWS][batch]
    uint8_t *pixels, *pixels_card;         // of images that are not resident
    size_t pixels_size;                    // bytes of either
    void *out;
    cudaEvent_t uploaded, ready, consumed;
    int was_uploaded, was_consumed;
};

enum { TIMES = 7 }; // marks of a step: see run.c

// The device's own part of a plan.
struct own {
    struct recorded forward_graph, backward_graph, update_graph[UPDATE_LARS + 1], ema_graph;
    void *workspace;
    size_t workspace_size;

    struct trained *trained; // by index in net.param; .param NULL for running statistics
    float **running;
    struct cuda_chunk *chunk; // on the card, as all that the update reads
    struct cuda_follow *follow;
    int n_chunk, n_follow;
    double *norms; // work of LARS
    struct cuda_rates *rates, rates_now;

    struct reduce *reduce;                     // with ranks: what they add (reduce.h); NULL without
    struct cuda_loss *loss_is;                 // loss.c's
    double *scores;                            // pinned: loss, zstd
    double *mean, *centred, *scatter, *packed; // of features, on the card (moments.c)
    double *moments;                           // pinned: mean and packed
    void *bounce;                              // pinned: tensors on their way in and out
    size_t bounce_size;

    struct slot slot[DEPTH], evaluation;
    float *augment_work;
    int augment_blocks;
    int64_t loaded, taken;

    cudaEvent_t scored, forwarded, handed; // handed: main to feed and back in an evaluation
    cudaEvent_t mark[2][TIMES];            // by parity of the step
    int marked[2];
    int64_t step;
    int recording; // what is queued becomes part of a graph
    int unsettled; // scores are on their way
};

static inline struct cuda_device *card(const struct plan *p)
{
    return (struct cuda_device *)p->device;
}
// Elements of one image.
static inline size_t image_of(const struct tensor *t)
{
    return (size_t)t->c * (size_t)t->h * (size_t)t->w;
}

// --- errors: 0, or -1 with a sentence, and the runtime's own memory of the error cleared ---
int cuda_ok(cudaError_t s, const char *what, struct error *e);
int cuda_blas_ok(cublasStatus_t s, const char *what, struct error *e);

// --- memory and objects of a plan (memory.c): freed with it; NULL after an error ---
void *cuda_take(struct plan *p, size_t size, struct error *e);      // on the card
void *cuda_take_zero(struct plan *p, size_t size, struct error *e); // zeroed
int cuda_clear(struct plan *p, void *card, size_t size, struct error *e);
void *cuda_pinned(struct plan *p, size_t size, struct error *e);
int cuda_event(struct plan *p, unsigned flags, cudaEvent_t *out, struct error *e);
// Copies that are over when they return.
int cuda_upload(struct plan *p, void *card, const void *host, size_t size, struct error *e);
int cuda_download(struct plan *p, void *host, const void *card, size_t size, struct error *e);

// --- stages ---
extern const struct stage_kind cuda_conv_kind, cuda_linear_kind, cuda_norm_kind, cuda_relu_kind,
    cuda_add_kind, cuda_maxpool_kind, cuda_gap_kind;
// Of a net with a loss, as struct backend has it (loss.c).
int cuda_loss_value(struct plan *p, int view, struct op_list *list, struct error *e);
int cuda_loss_gradient(struct plan *p, int view, struct op_list *list, struct error *e);
// After the last convolution: the workspace that all share, and what ties plans to memory.
int cuda_conv_place(struct plan *p, struct error *e);

// --- compiling (plan.c) ---
int cuda_begin(struct plan *p, char *prefix, size_t size, struct error *e);
int cuda_tensor(struct plan *p, struct tensor *t, const struct node *d, int lend, struct error *e);
int cuda_sum(struct plan *p, const struct op *op, struct error *e);
int cuda_end(struct plan *p, struct error *e);
void cuda_free(struct plan *p);

// --- parameters (params.c) ---
struct trained *cuda_trained(struct plan *p, const struct node *d, enum param_kind kind,
                             int bf16_gradient, struct error *e);
float *cuda_running(struct plan *p, const struct node *d, enum param_kind kind, struct error *e);
int cuda_params_place(struct plan *p, struct error *e); // after the last of them
int cuda_put(struct plan *p, int i, enum array which, const float *v, struct error *e);
int cuda_get(struct plan *p, int i, enum array which, float *v, struct error *e);

// --- images (feed.c) ---
// A set as struct backend describes it; `kind` says what loads and evaluates it.
int cuda_images_new(struct device *d, const struct images *described, int changing,
                    const struct images_kind *kind, struct images **out, struct error *e);
void cuda_images_free(struct images *s);
int cuda_feed_init(struct plan *p, struct error *e);
int cuda_load(struct plan *p, struct images *s, const int64_t *index,
              const struct augment_view *const view[2], struct error *e);
int cuda_feed_take(struct plan *p, struct error *e);
int cuda_feed_evaluate(struct plan *p, struct images *s, const int64_t *index, int n,
                       struct error *e);

// --- a step (run.c), as struct backend has it ---
int cuda_forward(struct plan *p, int direct, struct error *e);
int cuda_backward(struct plan *p, struct error *e);
int cuda_update(struct plan *p, const struct update *u, struct error *e);
int cuda_ema(struct plan *p, double tau, struct error *e);
int cuda_features(struct plan *p, int view, float *h, struct error *e);
int cuda_evaluate(struct plan *p, struct images *s, const int64_t *index, int n, float *h,
                  struct error *e);
int cuda_bring(struct plan *p, const struct tensor *t, void *data, const float *x, struct error *e);
int cuda_fetch(struct plan *p, const struct tensor *t, const void *data, int n, int late, float *y,
               struct error *e);
int cuda_settle(struct plan *p, struct error *e);
// The features themselves, [batch][feature_d].
const float *cuda_rows(const struct plan *p, int view);
// Milliseconds between two marks that are over, 0 where the second was the earlier one; NaN: the
// clock could not be read.
double cuda_between(cudaEvent_t from, cudaEvent_t to);
// One that still runs is freed when it is over.
void cuda_forget_graphs(struct plan *p);
// Queue the update or the moving average with the rates that were set last.
int cuda_run_sgd(struct plan *p, struct error *e);
int cuda_run_lars(struct plan *p, struct error *e);
int cuda_run_ema(struct plan *p, struct error *e);

// --- moments of the features (moments.c) ---
int cuda_moments_init(struct plan *p, struct error *e);
// With ranks: queue them and their sums, behind the forward pass and before the backward pass.
int cuda_moments_add(struct plan *p, struct error *e);
int cuda_moments(struct plan *p, struct moments *m, struct error *e); // as struct backend has it

int cuda_profile(struct plan *p, struct plan_work *kind, int max, struct error *e); // profile.c

// --- the spectrum (eigen.c): a thread and a stream of its own ---
struct eigen;
int cuda_eigen_new(int card, struct eigen **out, struct error *e);
void cuda_eigen_free(struct eigen *g);
int cuda_eigen(struct eigen *g, const struct moments *m, double *sigma, double *raw, double *n,
               struct error *e);

#endif
