// What the fuzzer begins with and what it ever found, through the same functions as it calls, in
// the ordinary build: tests/fuzz/seeds/TARGET and tests/findings/TARGET. The sanitizers' builds run
// this too.
#include <criterion/criterion.h>
#include <criterion/logging.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/foreign.h"
#include "tests/fuzz/targets.h"

TestSuite(findings, .timeout = 300, .fini = foreign_close);

// An input at the end of its memory, so that a sanitizer sees a byte too many.
static void replay_file(const struct fuzz_target *t, const char *path)
{
    FILE *f = fopen(path, "rb");
    cr_assert_not_null(f, "%s", path);
    cr_assert(fseek(f, 0, SEEK_END) == 0, "%s", path);
    long n = ftell(f);
    uint8_t *data = malloc(n > 0 ? (size_t)n : 1);
    rewind(f);
    cr_assert(n >= 0 && data && fread(data, 1, (size_t)n, f) == (size_t)n, "%s", path);
    fclose(f);
    cr_log_info("%s", path); // --verbose names the file that ended the test
    cr_expect_eq(t->run(data, (size_t)n), 0, "%s", path);
    free(data);
}

static int replay_folder(const struct fuzz_target *t, const char *folder)
{
    char path[512];
    int n = 0;
    snprintf(path, sizeof path, "%s/%s", folder, t->name);
    DIR *d = opendir(path);
    if (!d)
        return 0;
    for (struct dirent *entry; (entry = readdir(d));)
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s/%s", folder, t->name, entry->d_name);
            replay_file(t, path);
            n++;
        }
    closedir(d);
    return n;
}

static void replay(const char *name)
{
    const struct fuzz_target *t = fuzz_find(name);
    cr_assert_not_null(t, "%s", name);
    signal(SIGPIPE, SIG_IGN);
    t->run((const uint8_t *)"", 0);
    cr_expect_gt(replay_folder(t, "tests/fuzz/seeds"), 0, "%s has no seeds", name);
    replay_folder(t, "tests/findings");
}

#define REPLAY(name, ...)                                                                          \
    Test(findings, name)                                                                           \
    {                                                                                              \
        replay(#name);                                                                             \
    }
FUZZ_TARGETS(REPLAY)

// Nothing lies there that no target reads.
Test(findings, every_folder_is_a_targets)
{
    static const char *const folder[] = {"tests/fuzz/seeds", "tests/findings"};
    for (int i = 0; i < 2; i++) {
        DIR *d = opendir(folder[i]);
        if (!d)
            continue;
        for (struct dirent *entry; (entry = readdir(d));)
            cr_expect(entry->d_name[0] == '.' || fuzz_find(entry->d_name), "%s/%s", folder[i],
                      entry->d_name);
        closedir(d);
    }
}
