// Loads from the text of /proc/stat.
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tui/model/machine.h"

static int is_odd(const void *of, int core)
{
    return core % 2 == *(const int *)of;
}

static void look(struct machine *m, const char *stat)
{
    static const int one = 1;
    FILE *f = fmemopen((void *)stat, strlen(stat), "r");
    cr_assert_not_null(f);
    machine_loads(m, f, is_odd, &one);
    fclose(f);
    m->at = 1;
}

// Only the cores that the trainer may use, by their own numbers; one that was not there has no load
// yet, and one whose counters went back has none.
Test(machine, loads_of_the_cores_that_may_be_used)
{
    struct machine *m = calloc(1, sizeof *m);
    cr_assert_not_null(m);
    look(m, "cpu  9 9 9 9 9 9 9 9 0 0\n"
            "cpu0 100 0 0 100 0 0 0 0 0 0\ncpu1 100 0 0 100 0 0 0 0 0 0\n"
            "cpu2 1 1 1 1\ncpu5 40 10 10 30 10 0 0 0 0 0\nintr 5\n");
    cr_assert_eq(m->cores, 2);
    cr_assert(m->core[0] == 1 && m->core[1] == 5);
    cr_assert(isnan(m->load[0]) && isnan(m->load[1]), "the first look has no loads");
    look(m, "cpu0 900 0 0 100 0 0 0 0 0 0\ncpu1 130 0 0 110 0 0 0 0 0 0\n"
            "cpu3 7 0 0 3 0 0 0 0 0 0\ncpu5 4 1 1 3 1 0 0 0 0 0\n");
    cr_assert_eq(m->cores, 3);
    cr_assert(m->core[1] == 3 && m->core[2] == 5);
    cr_assert_float_eq(m->load[0], 0.75, 1e-6);
    cr_assert(isnan(m->load[1]) && isnan(m->load[2]));
    look(m, "cpu1 130 0 0 120 0 0 0 0 0 0\ncpu99999 1 1 1 1\ncpu-1 1 1 1 1\n");
    cr_assert_eq(m->cores, 1);
    cr_assert_eq(m->load[0], 0);
    free(m);
}

// Of this process on this machine: no more cores than it may use.
Test(machine, of_this_process)
{
    struct machine *m = calloc(1, sizeof *m);
    cr_assert_not_null(m);
    machine_read(m, getpid(), 1, 0);
    cr_assert(m->cores > 0 && m->cores <= sysconf(_SC_NPROCESSORS_CONF));
    cr_assert_gt(m->rss, 1e6);
    free(m);
}
