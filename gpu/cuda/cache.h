// Which engine was the fastest for a convolution, remembered: within a device for layers of one
// shape, and from run to run in a file for each card and cuDNN version
// ($XDG_CACHE_HOME/ssltop/plans-..., else ~/.cache/ssltop/). A file that is damaged, or not ours,
// is passed over and replaced. What a run recorded in its log comes first; it never asks here.
#ifndef SSLTOP_GPU_CUDA_CACHE_H
#define SSLTOP_GPU_CUDA_CACHE_H

#include <stddef.h>

#include "gpu/cuda/dnn.h"

struct cache;

// Opens, and reads what the file of this card has. `card` NULL: nothing is kept beyond the device.
// NULL when out of memory.
struct cache *cache_open(const char *card, int sm, size_t cudnn);
void cache_free(struct cache *c);

// The letter of this pass (dnn.h) and its workspace in bytes (0 when it comes from the file, where
// that is not kept); 0 when nobody knows.
char cache_find(const struct cache *c, const struct dnn_shape *s, enum dnn_pass pass,
                size_t *workspace);
// `clocked`: the card's clock has chosen it; only that is worth a line in the file. -1: out of
// memory.
int cache_add(struct cache *c, const struct dnn_shape *s, enum dnn_pass pass, char letter,
              size_t workspace, int clocked, struct error *e);

// Write what is new, to a temporary name that takes the file's place. What cannot be written is no
// error: the next run clocks again.
void cache_save(struct cache *c);

// What went wrong with the file since it was asked last, "" for nothing.
void cache_notice(struct cache *c, char *text, size_t size);

#endif
