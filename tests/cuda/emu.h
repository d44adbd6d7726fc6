// Inside of the stand-in for the card: what its parts share.
#ifndef SSLTOP_TESTS_CUDA_EMU_H
#define SSLTOP_TESTS_CUDA_EMU_H

#include "tests/cuda/shim.h"

#include <memory>

#include "tests/cuda/control.h"

enum : size_t { EMU_ARENA = (size_t)1 << 31 };
extern char *emu_arena; // memory of the card; readable only while it works

void emu_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Every entry of the fake libraries: one at a time, counted, and perhaps made to fail.
struct emu_entry {
    emu_entry();
    ~emu_entry();
    bool fails(const char *name); // whether this call is the one
};
// The beginning of every entry of the runtime.
#define ENTRY                                                                                      \
    emu_entry entry;                                                                               \
    if (emu_inside)                                                                                \
        emu_fault("%s is called by a kernel", __func__);                                           \
    if (entry.fails(__func__))                                                                     \
    return emu_error(cudaErrorUnknown)
cudaError_t emu_error(cudaError_t e); // remembers it as the last one

// Queue work of a library on a stream.
void emu_queue(cudaStream_t s, const char *what, emu_work work);
// Work that is done when the same of other cards has come: asked whenever its turn has, with a
// number that is its own (0 at first) and its stream's clock (ms, moved on when it is over),
// whether it is. A graph that it is recorded in holds `holds`.
typedef std::function<bool(uint64_t *, double *)> emu_meeting;
void emu_queue_meeting(cudaStream_t s, const char *what, emu_meeting meeting,
                       std::shared_ptr<void> holds);
bool emu_recording(cudaStream_t s);
// A library may read (or write) n bytes of the card's memory here: faults when it may not.
void emu_touch(const void *p, size_t n, bool write, const char *what);
bool emu_on_card(const void *p);
void emu_count(long by); // objects alive
void emu_sync(cudaStream_t s);
void emu_sync_all(void); // of this thread's card
extern __thread int emu_device;
void emu_give_way(void);                // in an entry: let another thread in
bool emu_records(void);                 // this thread, on any stream
cudaError_t emu_forbid_recording(void); // this thread must not be recording; else that is spoilt

// What a test has set (control.h), and what it may ask.
extern int emu_lazy;
extern size_t emu_memory_limit;
extern long emu_graphs_launched, emu_kernels_run;
extern int emu_connection;
enum { EMU_CARDS = 8 };
extern double emu_work_takes[EMU_CARDS], emu_sum_takes; // ms

// The arena can be touched while something of the card runs (memory.cc).
void emu_open_arena(void);
void emu_close_arena(void);

// One grid, on the calling thread (fiber.cc). emu_inside: this thread of the host is working it.
extern __thread int emu_inside;
extern uint32_t emu_launch_number, emu_block_number, emu_barrier_number;
void emu_run_grid(const char *name, dim3 grid, dim3 block, const emu_work &work);
void emu_shuffle_schedule(unsigned seed);
unsigned emu_random(unsigned below);
size_t emu_stack_low(void); // of the running thread of the card
enum { EMU_STACK = 64 * 1024 };

// Exact checks of every access (shadow.cc), where compiled in.
void shadow_alloc(void *p, size_t n);
void shadow_free(void *p, size_t n);
// Shared memory at `base` of `all` bytes: n of them at p are the running block's; all are
// forgotten.
void shadow_shared(const char *base, size_t all, const void *p, size_t n);
void shadow_forget(const char *base, size_t n);
void shadow_touch(const void *p, size_t n, bool write, const char *what);

#endif
