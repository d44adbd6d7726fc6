// NCCL, NVIDIA's library that adds numbers over cards: as far as ranks need it. It is loaded when
// several processes share a batch (libnccl.so.2, of a toolkit or a Python package; SSLTOP_NCCL
// names another); a card that works alone does without. 0, or -1 with a sentence.
#ifndef SSLTOP_GPU_RANKS_NCCL_NCCL_H
#define SSLTOP_GPU_RANKS_NCCL_NCCL_H

#include <cuda_runtime_api.h>
#include <stddef.h>

#include "gpu/ranks/ranks.h"
#include "metrics/base/error.h"

struct nccl; // this rank's end of what connects them

// Of the library: 22809 is 2.28.9.
int nccl_version(int *out, struct error *e);

// What one rank makes and all need in order to meet.
struct nccl_id {
    char bytes[128];
};
int nccl_id(struct nccl_id *id, struct error *e);

// Connect this card with those of the other ranks; waits for all. -1 too where one
// is gone meanwhile: then a thread may be left that still waits for it, and the process has to end.
int nccl_join(struct ranks *ranks, int card, const struct nccl_id *id, struct nccl **out,
              struct error *e);
// All together, when nothing is under way.
void nccl_leave(struct nccl *c);
// This one alone; what is under way on the card comes to an end. In both cases recorded graphs that
// hold a sum have to be gone before.
void nccl_abort(struct nccl *c);

// Queue on s: n numbers become the sum of everybody's, the same on all. All ranks queue the same in
// the same order, on one stream.
enum nccl_number { NCCL_F32, NCCL_F64 };
int nccl_add(struct nccl *c, void *card, size_t n, enum nccl_number number, cudaStream_t s,
             struct error *e);
// The same on rank 0 alone; on the others they stay as they are.
int nccl_add_first(struct nccl *c, void *card, size_t n, enum nccl_number number, cudaStream_t s,
                   struct error *e);
// -1 where it has noticed an error meanwhile.
int nccl_alive(struct nccl *c, struct error *e);

#endif
