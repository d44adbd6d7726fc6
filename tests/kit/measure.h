// What benchmarks and tests measure memory with.
#ifndef SSLTOP_TESTS_KIT_MEASURE_H
#define SSLTOP_TESTS_KIT_MEASURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A sanitizer wants address space and memory of its own: bounds on them say nothing there.
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { MEMORY_IS_OURS = 0 };
#else
enum { MEMORY_IS_OURS = 1 };
#endif

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
