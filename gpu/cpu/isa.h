// Which processor this is, and what it has of what the kernels are compiled for (kernels.h says how
// they are chosen). What oneDNN is told to leave alone (ONEDNN_MAX_CPU_ISA) counts as not there:
// both work on the same blocks of channels.
#ifndef SSLTOP_GPU_CPU_ISA_H
#define SSLTOP_GPU_CPU_ISA_H

#include <stddef.h>

// The instructions that multiply bf16: "amx_bf16". NULL: it has none.
const char *isa_bf16(void);

// The processor's name.
void isa_processor(char *name, size_t size);

#endif
