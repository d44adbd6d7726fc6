// Hot loops are compiled twice and the processor's better one is taken when the program starts.
// Both give the same bits: nothing here contracts a product and a sum. Not under the sanitizers,
// whose code would run before they are ready.
#ifndef SSLTOP_DATA_CLONES_H
#define SSLTOP_DATA_CLONES_H

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CLONES
#endif

#endif
