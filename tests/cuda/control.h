// What a test may tell the stand-in for the card (tests/cuda/): how it schedules, which call fails,
// what it has seen. The stand-in is the CUDA device's own sources, compiled for the host and linked
// with emu.cc and fake libraries into a ssltop-cuda.so.
#ifndef SSLTOP_TESTS_CUDA_CONTROL_H
#define SSLTOP_TESTS_CUDA_CONTROL_H

#ifdef __cplusplus
extern "C" {
#endif

#define EMU_WHILE_RECORDING "recording: "
struct emu_control {
    // 0: blocks and threads in order; else shuffled, differently for each seed.
    void (*seed)(unsigned seed);
    // 1: queued work runs only when something waits for it, in the order that events ask for.
    void (*lazy)(int on);
    // The n-th call of this thread from now on (`others`: of any other thread) fails; 0: none.
    // fail_hit: whether it has. calls: how many of those that can fail there were since.
    // failed_call: its name, after EMU_WHILE_RECORDING where its thread recorded a graph.
    void (*fail)(int n, int others);
    int (*fail_hit)(void);
    int (*calls)(void);
    const char *(*failed_call)(void);
    // Objects alive: memory of card and host, streams, events, graphs, handles, descriptors.
    long (*live)(void);
    // What cudaGetDeviceCount returns, and the driver's version; 0, 13000: a usable card. And its
    // compute capability.
    void (*driver)(int code, int version, int major);
    void (*cards)(int n); // so many, all alike
    // The card has only this many bytes free; 0: plenty.
    void (*memory)(unsigned long bytes);
    // How often a recorded graph was launched, and kernels that ran.
    long (*graphs)(void);
    long (*kernels)(void);
    long (*cudnn)(void); // version
    // What NCCL says from now on when it is asked whether something has failed meanwhile; below 0:
    // it cannot say.
    void (*connection)(int error);
    // Milliseconds by the cards' clocks that each piece of a card's work takes, and a sum over
    // ranks from when the last of them has come to it. At first 1 and 1.
    void (*pace)(int card, double work, double sum);
};
const struct emu_control *emu_control(void);

#ifdef __cplusplus
}
#endif

#endif
