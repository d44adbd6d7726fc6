// What the machine does, read by the viewer from /proc: load of each core, processor time and
// memory of the trainer, over the last minutes. Not of the log: a replay has none.
#ifndef SSLTOP_TUI_MODEL_MACHINE_H
#define SSLTOP_TUI_MODEL_MACHINE_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum { MACHINE_CORES = 1024, MACHINE_SAMPLES = 512 };

struct machine {
    int cores;                 // that the trainer may use; 0: nothing known
    int core[MACHINE_CORES];   // their numbers
    float load[MACHINE_CORES]; // 0..1 of each since the sample before; NaN: not known
    float cpu;                 // of the trainer, in cores; NaN
    double rss, rss_most;      // bytes of the trainer: now, most; NaN
    // Over time, a ring, newest at (n - 1) % MACHINE_SAMPLES.
    struct {
        float load, cpu; // mean of these cores, the trainer's share of them in cores
    } sample[MACHINE_SAMPLES];
    int64_t n;
    // The counters behind it, by the number of the core.
    uint64_t busy[MACHINE_CORES], all[MACHINE_CORES], ticks;
    double at;
};

// Read /proc at time `now` (seconds, > 0); pid 0: no trainer here. Does nothing sooner than `every`
// seconds after the last time.
void machine_read(struct machine *m, pid_t pid, double now, double every);

// Its part that takes the loads from the text of /proc/stat: of the cores that `may_use` tells (1).
void machine_loads(struct machine *m, FILE *stat, int (*may_use)(const void *of, int core),
                   const void *of);

#endif
