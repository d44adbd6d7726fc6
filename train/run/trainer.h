// The trainer process: data -> views -> features -> spectrum -> metrics -> records, and commands
// between two steps.
#ifndef SSLTOP_TRAIN_RUN_TRAINER_H
#define SSLTOP_TRAIN_RUN_TRAINER_H

#include "metrics/base/error.h"
#include "train/options/options.h"

// Everything that can be refused is refused before anything is written: then returns 1 or 2 with
// the sentence in `e` and leaves nothing behind. Otherwise trains until T, stop or a signal, and
// returns the process's exit code (0, 1, 130, 143). `given` (options_count bytes from
// options_parse) says which options this call names: a resumed or repeated run takes the others
// from its record. NULL: those that differ from their defaults. ready_fd >= 0: once the run folder,
// log and socket exist, the run folder's path and a newline are written there and it is closed (on
// a refusal it stays open for the caller); progress before that may be read there as lines that
// begin with '#'. Headless (ready_fd < 0): a line a second on stdout. Opens the device: never call
// it in a process that forks later. Under a launcher that has started several (mpirun, srun) they
// train together: then headless, and the others return 0 when the first has ended all.
int trainer_main(const struct options *o, const unsigned char *given, int ready_fd,
                 struct error *e);
// Started by such a launcher: no screen here. Its number there, or -1.
int trainer_rank(void);
// Of what each of them would say the first one says it, and has a second for it: when another
// ends, a launcher ends all. Does nothing in the first one, and where there is one alone.
void trainer_hush(struct error *e);

#endif
