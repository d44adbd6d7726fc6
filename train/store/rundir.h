// A run's folder: made, locked, described, cleaned up.
#ifndef SSLTOP_TRAIN_STORE_RUNDIR_H
#define SSLTOP_TRAIN_STORE_RUNDIR_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"
#include "train/options/options.h"
#include "train/schedule/schedule.h"

struct rundir {
    char path[4096], name[256];
    char runs[4096];     // the folder it lies in
    int folder_fd;       // the folder itself, wherever it is moved to
    int lock_fd;         // holds the lock for the process's life
    int trainer_log_fd;  // trainer.log, append; -1: none
    int made, made_runs; // by rundir_create, for rundir_discard
};

// Whether runs/NAME can be made, as far as that can be told without making it. `name` "": a name
// will be found.
int rundir_check(const char *runs, const char *name, struct error *e);

// Make the folder (0700; `runs` too if need be) under a hidden name, lock it, write config.ini (o
// NULL: there is none) and open trainer.log. `name` "": date, time and data set (`data` up to a
// colon; of a path its last part). A name that exists is refused. On failure nothing is left.
int rundir_create(struct rundir *d, const char *runs, const char *name, const char *data,
                  const struct options *o, struct error *e);
// Give it its name, once it holds what a run needs to be resumed: a kill before leaves nothing that
// looks like a run.
int rundir_publish(struct rundir *d, struct error *e);

// Lock an existing run folder and open its trainer.log. A run that another trainer holds is
// refused.
int rundir_open(struct rundir *d, const char *path, struct error *e);

// While it is held its folder may be moved, removed, or lose its lock to who takes that for an old
// one. 0: it is where it was; 1: `path` is where it is now; -1: it can't be found, so that nothing
// must be written under its path, which may lead to another's; RUNDIR_LOST: it is removed, or
// another trainer holds it.
enum { RUNDIR_LOST = -2 };
int rundir_follow(struct rundir *d, struct error *e);

// Unlock and close.
void rundir_close(struct rundir *d);
// After rundir_create: remove everything again. After rundir_open: the same as rundir_close.
void rundir_discard(struct rundir *d);

// Whether a file of this name in its folder is what ssltop keeps of a run: no place for anything
// else.
int rundir_owns(const char *path);

// 1: a trainer holds the lock of this run folder; 0: none does; -1: that can't be told (errno).
int rundir_alive(const char *path);

// --- its checkpoints ---
// Steps of ckpt-*.safetensors, ascending, malloc'd into *step.
int rundir_checkpoints(const char *path, int64_t **step, size_t *n, struct error *e);
// Remove all but the newest `keep` and those at switches of the schedule and at step `start` (-1:
// none).
void rundir_prune(const char *path, int keep, const struct schedule *s, int64_t start);
// Remove checkpoints after this step, the best too: they are of a future that will not happen.
void rundir_drop_after(const char *path, int64_t step);
// The step that best.safetensors holds; -1: there is none, or it can't be read.
int64_t rundir_best(const char *path);
// Let best.safetensors be the checkpoint of this step, which is there under its own name too. -1:
// there is none, or the file system knows no second names: then nothing is changed.
int rundir_link_best(const char *path, int64_t step);
// Remove what a killed writer left under temporary names.
void rundir_sweep(const char *path);

#endif
