// What the rooms of the CUDA device share. A plan is a list of stages (nodes after fusion); each
// queues its work on both views at once, NHWC, in lists that a step runs through: forward,
// backward, evaluation. A device that only plans ("cuda:sm_90") has no card: it lays everything
// out, asks cuDNN for every plan and counts memory, and never runs.
#ifndef SSLTOP_GPU_CUDA_CUDA_H
#define SSLTOP_GPU_CUDA_CUDA_H

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include "gpu/backend.h"
#include "gpu/cuda/cache.h"
#include "gpu/cuda/dnn.h"
#include "gpu/cuda/kernels.h"

enum { VIEWS = 2, DEPTH = 2 }; // DEPTH: batches that may be queued

struct cuda_device {
    struct device base;
    int planning, index, processors; // card number; multiprocessors
    int sm;                          // 80, 90, ...
    cudaStream_t main, feed, side;   // steps; images on their way in; what is made of features
    cublasHandle_t blas, side_blas;
    void *blas_work;
    struct dnn dnn;
    struct cache *cache; // of what was chosen for convolutions
    struct eigen *eigen; // the spectrum's thread
};

struct cuda_images {
    struct images base;
    struct cuda_device *device;
    const uint8_t *pixels;
    int64_t n;
    int c, h, w;
    float gain[3], shift[3];
    uint8_t *resident; // all of them on the card, or NULL
    size_t held;       // bytes there
};

// --- tensors ---
struct grad { // a gradient buffer of the pool, with one owner while the backward list is built
    void *data;
    size_t size;
    int used;
};
struct tensor {
    int c, h, w;
    enum cuda_type type;
    size_t image;    // elements of one image
    size_t elements; // of both views
    void *data;      // [VIEWS][batch][h][w][c]
    int wants_grad;
    struct grad *lent; // of a frozen node: this memory is shared, its content does not last
    struct grad *grad[2];
    int n_grad;
};

// --- operations ---
struct cuda_plan;
struct stage;
struct op {
    int (*run)(struct cuda_plan *p, const struct op *op, struct error *e);
    struct stage *stage;
    int views;            // 2, or 1 in an evaluation
    void *a, *b, *out;    // gradients of a backward operation
    struct dnn_plan *dnn; // of a convolution: what runs, on x, w, y
    void *x, *w, *y;
    dnnPack pack;
    const char *name;    // what it does, where the stage's kind does not say it all
    double flops, bytes; // for a profile
};
struct op_list {
    struct op *op;
    int n, cap;
};

// A list once run, then recorded as a graph.
struct recorded {
    cudaGraphExec_t exec;
    int runs, refused; // refused: cannot be recorded, goes on being queued piece by piece
};

struct trained { // a frozen parameter has the master copy only
    const struct param *param;
    float *w, *v;
    void *g, *w16; // g: f32 or bf16 (what cuDNN gives); w16: of filters in bf16
    int g16;
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

struct stage_kind {
    const char *name;
    int (*forward)(struct cuda_plan *p, struct stage *s, int views, struct op_list *list,
                   struct error *e);
    int (*backward)(struct cuda_plan *p, struct stage *s, struct op_list *list, struct error *e);
    int in_evaluation; // forward takes part in an evaluation
};
struct stage {
    const struct stage_kind *kind;
    const struct node *node;
    struct tensor *in, *in2, *out;
};

enum owned_kind { OWNED_CARD, OWNED_PINNED, OWNED_HEAP, OWNED_EVENT, OWNED_KINDS };
struct owned {
    enum owned_kind kind;
    void *object;
};

enum { TIMES = 7 }; // marks of a step: see run.c

struct cuda_plan {
    struct plan base;
    struct cuda_device *device;
    struct net net; // own copy
    int batch;
    enum cuda_type type;
    struct owned *owned;
    int n_owned, cap_owned;

    struct tensor **tensor; // by node; NULL where fusion left none
    struct stage **stage;
    int n_stage;
    struct op_list forward, backward, evaluate;
    struct recorded forward_graph, backward_graph, update_graph[UPDATE_LARS + 1], ema_graph;
    struct grad *grad[64];
    int n_grad;
    char *choice; // a letter a convolution pass: what was chosen
    const char *wanted;
    int n_choice, cap_choice;
    struct dnn_plan **dnn; // all convolution plans
    int n_dnn, cap_dnn;
    void *workspace;
    size_t workspace_size;

    struct trained *trained; // by index in net.param; .param NULL for running statistics
    float **running;
    struct cuda_chunk *chunk; // on the card, as all that the update reads
    struct cuda_follow *follow;
    int n_chunk, n_follow;
    double *norms; // work of LARS
    struct cuda_rates *rates, rates_now;

    float *features; // [VIEWS][batch][feature_d]: the pooled rows themselves
    int feature_d;
    struct cuda_loss *loss_is;                  // loss.c's
    double *scores;                             // pinned: loss, zstd
    double *mean, *centred, *scatter, *moments; // of features: on the card; pinned d + d * d
    struct grad *seed; // where backward_from puts the gradient of the last node
    void *input_gradient;
    void *bounce; // pinned: tensors on their way in and out
    size_t bounce_size;

    struct slot slot[DEPTH], evaluation;
    float *augment_work;
    int augment_blocks;
    int64_t loaded, taken;
    int direct; // bit a view: plan_input has set it

    cudaEvent_t scored, forwarded, handed; // handed: main to feed and back in an evaluation
    cudaEvent_t mark[2][TIMES];            // by parity of the step
    int marked[2];
    int64_t step;
    int unsettled; // scores are on their way
};

static inline size_t type_size(enum cuda_type t)
{
    return t == CUDA_BF16 ? 2 : 4;
}
static inline size_t tensor_size(const struct tensor *t) // bytes, both views
{
    return t->elements * type_size(t->type);
}

// --- errors: 0, or -1 with a sentence, and the runtime's own memory of the error cleared ---
int cuda_ok(cudaError_t s, const char *what, struct error *e);
int cuda_blas_ok(cublasStatus_t s, const char *what, struct error *e);

// --- memory and objects of a plan (memory.c): freed with it; NULL after an error ---
void *cuda_take(struct cuda_plan *p, size_t size, struct error *e);      // on the card
void *cuda_take_zero(struct cuda_plan *p, size_t size, struct error *e); // zeroed
void *cuda_pinned(struct cuda_plan *p, size_t size, struct error *e);
void *cuda_heap(struct cuda_plan *p, size_t size, struct error *e); // zeroed, of the host
int cuda_event(struct cuda_plan *p, unsigned flags, cudaEvent_t *out, struct error *e);
void cuda_release(struct cuda_plan *p);
int cuda_room(void **array, int *cap, int n, size_t size, struct error *e);
// Copies that are over when they return.
int cuda_upload(struct cuda_plan *p, void *card, const void *host, size_t size, struct error *e);
int cuda_download(struct cuda_plan *p, void *host, const void *card, size_t size, struct error *e);

// --- operations and gradients (plan.c) ---
struct op *cuda_op(struct op_list *list, struct stage *s, int views,
                   int (*run)(struct cuda_plan *, const struct op *, struct error *),
                   struct error *e);
struct grad *cuda_grad_take(struct cuda_plan *p, size_t size, struct error *e);
int cuda_grad_give(struct tensor *t, struct grad *g, struct error *e);
void cuda_grad_release(struct grad *g);
struct grad *cuda_grad_of(struct cuda_plan *p, struct stage *s, struct op_list *list,
                          struct error *e);
int cuda_choice(struct cuda_plan *p, char letter, struct error *e);

// --- stages ---
struct stage *cuda_input_stage(struct cuda_plan *p, const struct node *d, struct tensor *out,
                               struct error *e);
struct stage *cuda_conv_stage(struct cuda_plan *p, const struct node *d, struct tensor *in,
                              struct tensor *out, struct error *e);
struct stage *cuda_linear_stage(struct cuda_plan *p, const struct node *d, struct tensor *in,
                                struct tensor *out, struct error *e);
struct stage *cuda_norm_stage(struct cuda_plan *p, const struct node *d, struct tensor *in,
                              struct tensor *add, int relu, struct tensor *out, struct error *e);
struct stage *cuda_simple_stage(struct cuda_plan *p, const struct node *d, struct tensor *in,
                                struct tensor *in2, struct tensor *out, struct error *e);
// Of a net with a loss: append its value (first), and its gradients to the outputs.
int cuda_loss_value(struct cuda_plan *p, struct op_list *list, struct error *e);
int cuda_loss_gradient(struct cuda_plan *p, struct op_list *list, struct error *e);
// After the last convolution: the workspace that all share, and what ties plans to memory.
int cuda_conv_place(struct cuda_plan *p, struct error *e);

// --- parameters (params.c) ---
struct trained *cuda_trained(struct cuda_plan *p, const struct node *d, enum param_kind kind,
                             int bf16_gradient, struct error *e);
float *cuda_running(struct cuda_plan *p, const struct node *d, enum param_kind kind,
                    struct error *e);
int cuda_params_place(struct cuda_plan *p, struct error *e); // after the last of them
int cuda_put(struct plan *p, const char *name, const float *v, size_t n, struct error *e);
int cuda_get(struct plan *p, const char *name, float *v, size_t n, struct error *e);

// --- images (feed.c) ---
int cuda_images_new(struct device *d, const uint8_t *pixels, int64_t n, int c, int h, int w,
                    const float *mean, const float *std, int changing, struct images **out,
                    struct error *e);
void cuda_images_free(struct images *s);
int cuda_feed_init(struct cuda_plan *p, struct error *e);
int cuda_load(struct plan *p, struct images *s, const int64_t *index,
              const struct augment_view *const view[2], struct error *e);
int cuda_input(struct plan *p, int view, const float *x, struct error *e);
int cuda_feed_take(struct cuda_plan *p, struct error *e);
int cuda_feed_evaluate(struct cuda_plan *p, struct images *s, const int64_t *index, int n,
                       struct error *e);

// --- the contract ---
int cuda_compile(struct device *device, const struct net *net, const struct plan_options *o,
                 struct plan **out, struct error *e);
void cuda_plan_free(struct plan *p);
int cuda_forward(struct plan *p, struct error *e);
int cuda_backward(struct plan *p, const float *const dy[2], struct error *e);
int cuda_update(struct plan *p, const struct update *u, struct error *e);
int cuda_ema(struct plan *p, double tau, struct error *e);
int cuda_features(struct plan *p, int view, float *h, struct error *e);
int cuda_moments(struct plan *p, struct moments *m, struct error *e);
int cuda_evaluate(struct plan *p, struct images *s, const int64_t *index, int n, float *h,
                  struct error *e);
int cuda_output(struct plan *p, int node, int view, int n, float *y, struct error *e);
int cuda_input_gradient(struct plan *p, int view, float *dx, struct error *e);
int cuda_settle(struct plan *p, struct error *e);
int cuda_profile(struct plan *p, struct plan_work *kind, int max, struct error *e);
// Queue the update or the moving average with the rates that were set last (run.c).
int cuda_run_sgd(struct cuda_plan *p, struct error *e);
int cuda_run_lars(struct cuda_plan *p, struct error *e);
int cuda_run_ema(struct cuda_plan *p, struct error *e);
// 0 when the plan can run: it has a card.
int cuda_usable(struct cuda_plan *p, struct error *e);

// --- the spectrum (eigen.c): a thread and a stream of its own ---
struct eigen;
int cuda_eigen_new(int card, struct eigen **out, struct error *e);
void cuda_eigen_free(struct eigen *g);
int cuda_eigen(struct eigen *g, const struct moments *m, double *sigma, double *n, struct error *e);

extern const struct backend cuda_backend;

#endif
