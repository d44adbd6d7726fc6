// The tensors of what is live in a checkpoint. Private to the two that write and read it.
#ifndef SSLTOP_TRAIN_STORE_CHECKPOINT_TENSORS_H
#define SSLTOP_TRAIN_STORE_CHECKPOINT_TENSORS_H

#define LIVE_MEAN     "optim.live.mean"
#define LIVE_SCATTER  "optim.live.scatter"
#define LIVE_WEIGHT   "optim.live.weight"
#define CROSS_MEAN    "optim.live.cross.mean"
#define CROSS_TARGET  "optim.live.cross.target"
#define CROSS_PRODUCT "optim.live.cross.product"
#define CROSS_STATE   "optim.live.cross.state"
#define FEWSHOT_ROWS  "optim.live.fewshot.rows"
#define FEWSHOT_ASKED "optim.live.fewshot.asked"
enum { CROSS_NUMBERS = 4 }; // of its state

// By CHECKPOINT_Z, CHECKPOINT_VIEWS.
static const char *const paced_matrix[] = {"optim.live.z.matrix", "optim.live.views.matrix"};
static const char *const paced_state[] = {"optim.live.z.state", "optim.live.views.state"};

#endif
