// The state of a run between two steps, as a safetensors file: parameters and running statistics
// under PyTorch's names; what a network does not have (momentum, the live spectrum's moments)
// behind the prefix "optim."; the rest in the metadata.
#ifndef SSLTOP_TRAIN_STORE_CHECKPOINT_H
#define SSLTOP_TRAIN_STORE_CHECKPOINT_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/science/cross.h"
#include "metrics/science/fewshot.h"
#include "metrics/science/paced.h"
#include "metrics/science/spectrum.h"

struct net;
struct plan;

enum { CHECKPOINT_Z, CHECKPOINT_VIEWS, CHECKPOINT_PACED }; // projections, features of two views

// What lies beside the tensors. Texts are owned, UTF-8, "" where there is nothing.
struct checkpoint {
    int64_t step;   // steps done
    int64_t steps;  // T
    char *schedule; // schedule_text_write()
    char *rates;    // rates_text()
    char *guard;    // guard_export()
    char *best;     // best_export(); "" in files of versions before it
    char *views;    // views_export(); the same
    char *algorithms, *device, *precision;
    char *config; // options_to_json()
    int threads;
    uint32_t data_crc;             // of the training images
    const struct cross *cross;     // to be written, borrowed; NULL: none. Not read here
    const struct fewshot *fewshot; // the same
    const struct paced *paced[CHECKPOINT_PACED]; // the same
};
void checkpoint_free(struct checkpoint *c); // what it owns; takes a zeroed struct too

#define CHECKPOINT_BEST "best.safetensors" // of the best evaluation so far, replaced by a better

// ckpt-STEP.safetensors
void checkpoint_name(int64_t step, char *name, size_t size);
// The step of such a name, or -1.
int64_t checkpoint_step(const char *name);

// Write dir/ckpt-STEP.safetensors: a temporary name, fsync, `before` (if not NULL: what must be on
// disk before the file has its name; its failure is not the file's), rename, fsync of the folder.
// -1, or -2 when a value is not finite: then no file of either name is left that was not there
// before.
int checkpoint_write(const char *dir, const struct checkpoint *c, const struct net *net,
                     struct plan *plan, const struct moments *live, void (*before)(void *),
                     void *context, struct error *e);
// The same under another name.
int checkpoint_write_as(const char *dir, const char *name, const struct checkpoint *c,
                        const struct net *net, struct plan *plan, const struct moments *live,
                        void (*before)(void *), void *context, struct error *e);

// The metadata alone.
int checkpoint_read(const char *path, struct checkpoint *out, struct error *e);
// Everything into plan and moments: bit for bit what was written.
int checkpoint_load(const char *path, const struct net *net, struct plan *plan,
                    struct moments *live, struct error *e);
// The moments of features and images; a checkpoint without any, or with those of others, leaves
// them empty.
int checkpoint_load_cross(const char *path, struct cross *out, struct error *e);
// The same of images that wait for others.
int checkpoint_load_fewshot(const char *path, struct fewshot *out, struct error *e);
// The same of what is worked on over several steps.
int checkpoint_load_paced(const char *path, int which, struct paced *out, struct error *e);

#endif
