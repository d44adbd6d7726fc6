// What the benchmarks measure with: a clock, and how much memory was taken at most.
#ifndef SSLTOP_TESTS_KIT_MEASURE_H
#define SSLTOP_TESTS_KIT_MEASURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Peak resident set of this process in kB, 0 if unknown. (getrusage's would be that of the program
// that started this one, if it had more.)
static inline long peak_kb(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long kb = 0;
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "VmHWM:", 6))
            kb = strtol(line + 6, NULL, 10);
    if (f)
        fclose(f);
    return kb;
}

#endif
