// Scripts in Python that are runs of ssltop, and what must not be left of any run of a client.
#ifndef SSLTOP_TESTS_KIT_SCRIPT_H
#define SSLTOP_TESTS_KIT_SCRIPT_H

#include <sys/types.h>

#include "tests/kit/runs.h"

enum { SCRIPT_SKIPPED = 77 };                  // exit code of a script that lacks something here
#define SCRIPT_LIBRARY "libssltop-client.so.1" // of a build without sanitizers: Python is, too

// A lab with a folder for sockets of its own.
void script_lab(struct lab *lab);
// Start /usr/bin/python3 with these words (the first is the script; ends with NULL), the leader of
// a process group of its own; what it says goes to lab->out. Skips the test where the library is
// not built.
pid_t script_start(const struct lab *lab, const char *const word[]);
#define SCRIPT(lab, ...) script_start(lab, (const char *const[]){__VA_ARGS__, NULL})
// Wait for it. Skips the test where there is no python3 or it lacks what the script needs; fails it
// when the exit code is not this one.
void script_finish(const struct lab *lab, pid_t pid, int want);
void script_said(const struct lab *lab, const char *text);
// The run's log ends with this.
void script_ended(const struct lab *lab, const char *name, const char *reason, const char *text);

// Once all have had time to leave: no process holds a file of this lab, and (of script_lab) no
// socket is there. Shared memory has no name: with the last process it is gone.
void script_left_nothing(const struct lab *lab);

#endif
