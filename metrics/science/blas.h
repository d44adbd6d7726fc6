// The linear algebra library, OpenBLAS, as everything here wants it: one thread a call, as the
// threads are OpenMP's, and never a call for which it has no memory.
#ifndef SSLTOP_METRICS_SCIENCE_BLAS_H
#define SSLTOP_METRICS_SCIENCE_BLAS_H

#include "metrics/base/error.h"

// Before the first call, and before `threads` of them at once. -1: what the library needs for so
// many is not there. It would ask for it for ever.
int blas_begin(int threads, struct error *e);

// Before any library begins: called from the program's .preinit_array, when only system calls can
// be relied on. As it begins OpenBLAS makes a thread for each core, and where it may not it raises
// SIGINT; where address space is limited it (0.3.29) asks for a buffer for each, for ever where
// there is none. So the program is started again with one thread for it, and ended with a sentence
// where not even the buffer for that fits.
void blas_before(int argc, char **argv, char **envp);

// What OPENBLAS_CORETYPE should say when the program starts: the kernels for this processor, where
// the library knows nothing of it and took those of 2004 (one that is newer than the library: a
// Xeon of the fifth generation under 0.3.21). NULL: it chose by itself, or somebody for it.
const char *blas_kernels(void);

#endif
