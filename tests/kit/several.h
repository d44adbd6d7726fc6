// Trainings in several processes, started by mpirun as a person would; see tests/kit/runs.h. It is
// Open MPI's; SSLTOP_MPIRUN="mpirun.mpich -bind-to none -disable-auto-cleanup" (or MPICH kills the
// others before one can say who is gone) or "srun --mpi=pmi2 --overcommit" names another,
// SSLTOP_MPI the ssltop-mpi.so that goes with it.
#ifndef SSLTOP_TESTS_KIT_SEVERAL_H
#define SSLTOP_TESTS_KIT_SEVERAL_H

#include "tests/kit/runs.h"

// Skips the test, with a word, where mpirun (the words of SSLTOP_MPIRUN in its place) or
// ssltop-mpi.so beside the program (SSLTOP) is not there.
void several_need(void);

// `mpirun -n RANKS ssltop train --runs LAB WORDS...`, a thread each; lab_wait gives mpirun's exit
// code, which is that of rank 0 where only it has one.
pid_t several_start(struct lab *lab, int ranks, const char *const *word);
#define SEVERAL(lab, ranks, ...) several_start(lab, ranks, (const char *const[]){__VA_ARGS__, NULL})

// The processes that it has started, in the order of their ranks, as soon as all are there.
void several_find(const struct lab *lab, pid_t mpirun, int ranks, pid_t *pid);

// Whether what was said names the rank that is gone, and its machine; or it is of MPICH's mpirun,
// which may kill the others before one of them can say anything.
int several_named(const char *said, int rank);

#endif
