// All targets as one program for libFuzzer: the name that it is started by says which, so that a
// finding is repeated by `build/fuzz/NAME FILE`. `--list` prints the table.
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/foreign.h"
#include "tests/fuzz/targets.h"

static const struct fuzz_target *target;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void list(void)
{
    for (int i = 0; i < FUZZ_TARGET_COUNT; i++) {
        const struct fuzz_target *t = &fuzz_target_table[i];
        printf("%s %s %zu %d %s\n", t->name, *t->dictionary ? t->dictionary : "-", t->most,
               t->memory, t->doc);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *name = strrchr((*argv)[0], '/');
    if (*argc == 2 && strcmp((*argv)[1], "--list") == 0) {
        list();
        exit(0);
    }
    target = fuzz_find(name ? name + 1 : (*argv)[0]);
    if (!target) {
        fprintf(stderr, "%s: start it by the name of a target; --list lists them\n", (*argv)[0]);
        exit(2);
    }
    setlocale(LC_ALL, "C.UTF-8");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    atexit(foreign_close);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return target->run(data, size);
}
