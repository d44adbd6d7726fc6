// What the machine does, read by the viewer from /proc: load of each core, processor time and
// memory of the trainer, over the last minutes. Not of the log: a replay has none.
#ifndef SSLTOP_TUI_MACHINE_H
#define SSLTOP_TUI_MACHINE_H

#include <stdint.h>
#include <sys/types.h>

enum { MACHINE_CORES = 1024, MACHINE_SAMPLES = 512 };

struct machine {
    int cores;                 // 0: nothing known
    float load[MACHINE_CORES]; // 0..1 of each core since the sample before; NaN: not known
    float cpu;                 // of the trainer, in cores; NaN
    double rss, rss_most;      // bytes of the trainer: now, most; NaN
    // Over time, a ring, newest at (n - 1) % MACHINE_SAMPLES.
    struct {
        float load, cpu; // mean of all cores, the trainer's cores
    } sample[MACHINE_SAMPLES];
    int64_t n;
    // The counters behind it.
    uint64_t busy[MACHINE_CORES], all[MACHINE_CORES], ticks;
    double at;
};

// Read /proc at time `now` (seconds, > 0); pid 0: no trainer here. Does nothing sooner than `every`
// seconds after the last time.
void machine_read(struct machine *m, pid_t pid, double now, double every);

#endif
