// The device contract: what train/ may ask of the thing that computes. All kinds of devices
// (gpu/registry.c) pass the same tests. Layouts, streams and asynchrony stay below this line. All
// tensors that cross it are row major: images N x C x H x W, features N x d. Calls are made from
// one thread.
//
//   open -> images, compile -> put parameters -> { load, forward, backward, update, ... } -> free,
//   close
//
// After compile a step allocates nothing. Functions return 0, or -1 with a sentence in `e`.
#ifndef SSLTOP_GPU_DEVICE_H
#define SSLTOP_GPU_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "data/augment.h"
#include "data/sets/dataset.h"
#include "gpu/net.h"
#include "metrics/base/error.h"
#include "metrics/science/spectrum.h"

enum precision {
    PRECISION_F32,
    PRECISION_BF16
}; // bf16: storage and matrix work; statistics, weight gradients,
   // master weights and the loss stay f32 or double

// A kind of device: a row of gpu/registry.c.
struct device_kind {
    const char *name;  // what --device says before the colon
    const char *specs; // all that it may say of this kind
    int width, batch;  // values that suit it
};

// Whether bf16 can be had, and whether it is known to be the faster one: on a card its matrix units
// are made for it, on a processor only a measurement tells.
enum bf16_worth { BF16_NONE, BF16_ALWAYS, BF16_TO_BE_TIMED };

struct device_info {
    const struct device_kind *kind;
    char name[128];   // of the processor or card
    char detail[256]; // instruction set, library and driver versions
    int threads;      // host threads it computes with
    int bf16;         // enum bf16_worth
    size_t memory;    // bytes, 0 if unknown
    char bus[20];     // PCI address of a card, "" for none
};

struct device;
struct images;
struct plan;
struct ranks;

// --- process ---
// Call first in main, with its argv. A thread that waits at the end of an OpenMP loop spins;
// libgomp's default makes that disastrous when cores are shared, and reads its setting before main.
// Where the user has set nothing, this sets a short spin. OpenBLAS starts a thread for each core
// before main, whose buffers are more than a limited address space may have; it is told to have
// one, and which kernels suit a processor that it does not know. NCCL is told algorithms with a
// fixed order: here, for nothing may be set once a thread reads settings. Then it starts the
// program again; if that cannot be done it returns and all works, slower under load.
void device_prepare(char **argv);

// --- device ---
// The kinds that there are, one after the other; NULL behind the last.
const struct device_kind *device_kind(int i);
// `spec`: a kind, "KIND:N", or "auto" (a usable GPU, else the CPU). `threads` 0: as many as this
// process may use (affinity, cgroup quota). Never fork after this (libgomp does not survive
// it). The error says why it cannot be.
int device_open(const char *spec, int threads, struct device **out, struct error *e);
void device_close(struct device *d);
// How many devices of this kind there are: KIND:0 and so on. -1 where it cannot be used, and why.
int device_count(const struct device_kind *kind, struct error *e);
const struct device_info *device_info(const struct device *d);
// Bytes of a card's memory that are held outside plans: images, workspaces.
size_t device_held(const struct device *d);

// What a card's sensors say (gpu/nvml.h); NaN or -1: not told.
struct device_sensors {
    double utilization;               // percent
    double memory_used, memory_total; // bytes, of all processes
    double power, power_limit;        // W
    double temperature;               // degrees Celsius
    double clock_sm, clock_memory;    // MHz
    int others;                       // other processes that compute on it
    double others_memory;             // bytes
    char others_text[128];            // who they are
};
// The newest of them, at most a second or so old, without waiting. 0: there are none.
int device_sense(struct device *d, struct device_sensors *out);

// sigma[d], raw[d] (not centred; NULL: not wanted) and n_eff from moments
// (metrics/science/spectrum.h). 0; 1: not ready, nothing written (a
// GPU computes it beside the steps); -1: error, among others when the moments are not finite.
int device_spectrum(struct device *d, const struct moments *m, double *sigma, double *raw,
                    double *n, struct error *e);

// --- images ---
// Tell the device about a set of images: n x c x h x w uint8, which must stay until images_free.
// mean and std are of pixels in [0, 1], c of each.
int images_new(struct device *d, const uint8_t *pixels, int64_t n, int c, int h, int w,
               const float *mean, const float *std, struct images **out, struct error *e);
// The same of images that are read when they are needed (data/photos/pictures.h; it must stay until
// images_free), in colour, seen through views of h x w: crop boxes are in pixels of each image.
int images_from(struct device *d, struct pictures *source, int h, int w, const float *mean,
                const float *std, struct images **out, struct error *e);
// A split of a data set, whichever of both it is.
int images_of(struct device *d, const struct dataset *data, enum split split, struct images **out,
              struct error *e);
void images_free(struct images *s);

// --- plan ---
struct plan_options {
    int batch; // images a step of this process, B; each gives two views
    enum precision precision;
    const char *algorithms; // what an earlier plan_algorithms said, to be obeyed; NULL: choose
    int input_gradient;     // also compute the gradient of the input (tests)
    // Several processes that compute a step together (gpu/ranks/ranks.h), each of them B images of
    // its batch; NULL: this one alone. All make the calls of a step, which wait for each other, and
    // free the plan together, before the ranks part. Gradients and scores are those of the whole
    // batch.
    struct ranks *ranks;
    // Statistics of batch norms, and what the loss knows of the batch, are those of the whole, in
    // both passes. 0: of each process by itself; scores and gradients are then means over them.
    int together;
};

int device_compile(struct device *d, const struct net *net, const struct plan_options *o,
                   struct plan **out, struct error *e);
void plan_free(struct plan *p);
const char *
plan_algorithms(const struct plan *p);    // one word, stable: what compile chose, layer by layer
size_t plan_memory(const struct plan *p); // bytes held
const char *plan_notice(const struct plan *p); // something to tell a person about compiling, or ""

// A tensor by its PyTorch name, f32, row major, `n` elements (checked). Prefix "optim." is its
// momentum buffer, and (get only) "grad." its gradient, summed over both views, without weight
// decay; frozen parameters and running statistics have neither.
int plan_put(struct plan *p, const char *name, const float *v, size_t n, struct error *e);
int plan_get(struct plan *p, const char *name, float *v, size_t n, struct error *e);

// Queue the batch of a later step: image index[i], worked by view[0][i] and view[1][i], i < B. The
// arrays are copied; the pixels are made beside the steps that run meanwhile. At most two batches
// may be queued.
int plan_load(struct plan *p, struct images *s, const int64_t *index,
              const struct augment_view *const view[2], struct error *e);

// Training forward pass of both views of the oldest queued batch (view 1, then view 2: batch
// statistics per view, running statistics updated in that order), up to the loss.
int plan_forward(struct plan *p, struct error *e);

struct plan_scores {
    double loss; // double sums, clamped to its form's range (offset +- scale); NaN stays NaN
    double zstd; // mean over dimensions of std(z / |z|), times sqrt(dim), mean of the two views
};
// Waits for them. -1 where the device failed meanwhile.
int plan_scores(struct plan *p, struct plan_scores *out, struct error *e);

// Gradients of every trained parameter, then one update.
enum update_kind {
    UPDATE_SGD, // PyTorch's: buf = momentum buf + g + wd w; w -= lr buf
    UPDATE_LARS // tensors of two dimensions and more: buf = momentum buf + q (g + wd w) with q =
                // trust |w| / |g + wd w|, 1 where a norm is 0; vectors (batch norm, biases): SGD
                // without decay
};
struct update {
    enum update_kind kind;
    double lr[GROUP_COUNT];
    double momentum, weight_decay;
    double trust; // LARS; 0.001 is usual
};
int plan_backward(struct plan *p, struct error *e);
int plan_update(struct plan *p, const struct update *u, struct error *e);

// Parameters that follow others (net_follow): w = tau w + (1 - tau) followed.
int plan_ema(struct plan *p, double tau, struct error *e);

// Features of the last training forward, before or after its backward pass: view 0 or 1, B x d
// floats.
int plan_features(struct plan *p, int view, float *h, struct error *e);

// What a node gave for the first n <= B images of a view in the last training forward, before or
// after its backward pass: n x c x h x w floats. A node whose output fusion left out is refused.
int plan_output(struct plan *p, int node, int view, int n, float *y, struct error *e);

// Add both views' features of the last training forward to `m` (after moments_decay by the caller).
// With ranks all of them make the call, and those of the whole batch are added to rank 0's `m`; the
// others may have none (NULL).
int plan_moments(struct plan *p, struct moments *m, struct error *e);

// Evaluation mode (running statistics, no augmentation): features of n <= B images, n x d floats.
// Leaves queued batches, running statistics and the last forward's scores alone.
int plan_evaluate(struct plan *p, struct images *s, const int64_t *index, int n, float *h,
                  struct error *e);
// Make the running statistics that it takes anew, of the weights as they are: the k-th batch of B
// images, k = 1, 2, ..., goes through the network as one view, with statistics of its own, up to
// the features; means and variances on the way become the average over batches 1 to k (PyTorch:
// momentum=None). With ranks all of them make the call. Leaves alone what plan_evaluate does.
int plan_update_bn(struct plan *p, struct images *s, const int64_t *index, int k, struct error *e);
// Of any number of images, batch by batch.
int plan_evaluate_all(struct plan *p, struct images *s, const int64_t *index, int64_t n, int d,
                      float *h, struct error *e);

// Milliseconds of the last step: waiting for pixels, forward, backward, update, and waiting for
// other ranks, which is in none of these. A device that works by itself says by its own clock how
// long it had nothing to do but wait for sums of ranks, and all of it of the last step that is
// over.
struct plan_times {
    double data, forward, backward, update, reduce;
};
void plan_times(const struct plan *p, struct plan_times *out);

// --- for benchmarks: where a card's time goes ---
// One kind of work of a training step, by the card's clock. Bytes are those that it must move.
struct plan_work {
    char name[48];
    int calls;
    double ms, flops, bytes; // of all calls
};
// Make one more step (with the batch and the rates of the last one) piece by piece, each under the
// clock. How many kinds there are, at most `max`; -1 where the device has no such clock (the CPU).
int plan_profile(struct plan *p, struct plan_work *kind, int max, struct error *e);

// --- for tests: whole tensors in and out ---
// Use `x` (B x C x H x W floats, normalised already) as this view's input of the next forward
// instead of a queued batch. Both views must be set.
int plan_input(struct plan *p, int view, const float *x, struct error *e);
// The gradient of the loss to the input (compile with input_gradient).
int plan_input_gradient(struct plan *p, int view, float *dx, struct error *e);
// For a network without a loss: backward from dL/dy of its last node, B x c x h x w floats a view.
int plan_backward_from(struct plan *p, const float *const dy[2], struct error *e);

#endif
