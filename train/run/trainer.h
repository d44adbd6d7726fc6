// The trainer process: data -> views -> features -> spectrum -> metrics -> records, and commands
// between two steps.
#ifndef SSLTOP_TRAIN_RUN_TRAINER_H
#define SSLTOP_TRAIN_RUN_TRAINER_H

#include <stddef.h>

#include "metrics/base/error.h"
#include "train/options/options.h"

// Everything that can be refused is refused before anything is written: then returns 1 or 2 with
// the sentence in `e` and leaves nothing behind. Otherwise trains until T, stop or a signal, and
// returns the process's exit code (0, 1, 130, 143). `given` (option_count bytes from options_parse)
// says which options this call names: a resumed or repeated run takes the others from its record.
// NULL: those that differ from their defaults. ready_fd >= 0: once the run folder, log and socket
// exist, the run folder's path and a newline are written there and it is closed (on a refusal it
// stays open for the caller); progress before that may be read there as lines that begin with '#'.
// Headless (ready_fd < 0): a line a second on stdout. Opens the device: never call it in a process
// that forks later.
int trainer_main(const struct options *o, const unsigned char *given, int ready_fd,
                 struct error *e);

// --- run folders, for the command line ---
struct run_info {
    char path[4096], name[256];
    char created[40], dataset[256], arch[64];
    int width;
    long long step, steps; // last step logged, T
    int alive;             // a trainer holds its lock
    char state[24]; // running, paused?, finished, stopped, failed, died (no end record and not
                    // alive)
};
// Resolve a name under `runs` or a path, or "" (the newest; alive ones first when want_alive) to a
// run folder.
int run_find(const char *runs, const char *run, int want_alive, char *path, size_t size,
             struct error *e);
// All run folders under `runs`, newest first; malloc'd into *out.
int run_list(const char *runs, struct run_info **out, int *n, struct error *e);

#endif
