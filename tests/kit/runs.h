// Real trainings for tests: a trainer in a forked child, its folder, its log, its socket.
#ifndef SSLTOP_TESTS_KIT_RUNS_H
#define SSLTOP_TESTS_KIT_RUNS_H

#include <jansson.h>
#include <stddef.h>
#include <sys/types.h>

#include "train/wire/control.h"

// The options of a run that takes a moment: width 4, batch 8, one thread, images from the seed.
// Evaluations may take their time: held to a share of it, a slow machine would have fewer of them.
#define TINY                                                                                       \
    "--data", "synthetic:128", "--width", "4", "--batch", "8", "--threads", "1", "--precision",    \
        "f32", "--eval-images", "64", "--probe-images", "20", "--eval-share", "1"

struct lab {
    char dir[64];  // a fresh folder for runs
    char out[128]; // what the last trainer said on stdout and stderr
};
void lab_open(struct lab *lab);
void lab_close(struct lab *lab); // removes everything

// Start `ssltop train --headless --runs LAB WORDS...` (ends with NULL). `limit_file`: RLIMIT_FSIZE
// of it in bytes, 0 none.
pid_t lab_start(struct lab *lab, size_t limit_file, const char *const *word);
#define START(lab, ...) lab_start(lab, 0, (const char *const[]){__VA_ARGS__, NULL})
// Its exit code, or 1000 + the signal that killed it.
int lab_wait(pid_t pid);
#define RUN(lab, ...) lab_wait(START(lab, __VA_ARGS__))

// Wait until commands can reach this run of a trainer that was started.
// 0: it has ended already (lab_wait is still to come).
int lab_started(const struct lab *lab, const char *name, pid_t pid);
// The same, and it must not have ended.
void lab_ready(const struct lab *lab, const char *name, pid_t pid);
// Say a command as a person would; fails the test when the trainer does not answer.
struct answer lab_say(const struct lab *lab, const char *name, const char *text);
// Wait until the trainer says that it is paused, or that it has come to this step.
void lab_until_paused(const struct lab *lab, const char *name);
void lab_until_step(const struct lab *lab, const char *name, int64_t step);

int lab_handles(pid_t pid, int number); // whether a process has a handler of this signal
int lab_exists(const struct lab *lab, const char *name); // file or folder below the lab
char *lab_text(const char *path); // a whole file, malloc'd; "" if it can't be read
// Fails the test when this is not in what the last trainer said.
void lab_says(const struct lab *lab, const char *part);

// The log as an object: "step/17", "spectrum/17/live", "eval/0" -> record of that kind in the run's
// newest life, without what a clock said.
json_t *lab_log(const struct lab *lab, const char *name);
// All events in order.
json_t *lab_events(const struct lab *lab, const char *name);
// Whether an event of this kind is there; its `step`, or -1.
int64_t lab_event(const struct lab *lab, const char *name, const char *what, const char *by);
// Fails the test with the first difference.
void lab_same(const struct lab *lab, const char *a, const char *b);

#endif
