// The program with little address space, as queues of clusters give it (ulimit -v): the work is
// done, or there is a sentence and an end. Nothing hangs, nothing crashes.
#include <criterion/criterion.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/memory.h"
#include "metrics/science/blas.h"
#include "tests/kit/measure.h"
#include "tests/kit/runs.h"

enum {
    NOBODY = 54323,
    MB = 1 << 20,
    SECONDS = 120,
    LEAST = 100,
    MOST = 500,
    STEP = 25,
    LOADER = 127
};

static void need_memory(void)
{
    if (!MEMORY_IS_OURS)
        cr_skip_test("address space is the sanitizer's");
}
TestSuite(little_room, .init = need_memory);

static struct lab lab;

// Its exit code, or 1000 + the signal that ended it; what it said is in lab.out.
static int run(size_t mb, const char *const *word)
{
    const char *program = getenv("SSLTOP");
    cr_assert_not_null(program);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        struct rlimit room = {mb * MB, mb * MB}, time = {SECONDS, SECONDS};
        int fd = open(lab.out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
            _exit(99);
        // A loop would end by its use of the processor.
        setrlimit(RLIMIT_CPU, &time);
        setrlimit(RLIMIT_AS, &room);
        execv(program, (char *const *)word);
        _exit(98);
    }
    return lab_wait(pid);
}

// From where the loader can just load it to where all goes well.
static void sweep(const char *const *word)
{
    int done = 0;
    for (size_t mb = LEAST; mb <= MOST; mb += STEP) {
        int rc = run(mb, word);
        char *said = lab_text(lab.out);
        cr_expect(rc == 0 || ((rc == 1 || rc == LOADER) && strstr(said, "ssltop: ")),
                  "%s with %zu MB: %d: %s", word[1], mb, rc, said);
        cr_expect(rc == 0 || !done, "%s: what went with less does not go with %zu MB: %s", word[1],
                  mb, said);
        done |= rc == 0;
        free(said);
    }
    cr_expect(done, "%s needs more than %d MB", word[1], MOST);
}
#define SWEEP(...) sweep((const char *const[]){"ssltop", __VA_ARGS__, NULL})

Test(little_room, metrics)
{
    lab_open(&lab);
    SWEEP("metrics", "tests/fixtures/npy/f64-c.npy", "--threads", "1");
    lab_close(&lab);
}

Test(little_room, a_training)
{
    lab_open(&lab);
    SWEEP("train", "--headless", TINY, "--steps", "2", "--runs", lab.dir);
    lab_close(&lab);
}

Test(little_room, lists)
{
    lab_open(&lab);
    SWEEP("runs", "--runs", "tests/fixtures");
    lab_close(&lab);
}

// As on machines that many share, and in containers: no more processes than there are.
Test(little_room, no_other_thread)
{
    static const struct {
        const char *word[16], *says;
        int rc;
    } row[] = {
        {{"ssltop", "help"}, "ssltop train", 0},
        {{"ssltop", "metrics", "tests/fixtures/npy/f64-c.npy", "--threads", "1"}, "AUC", 0},
        {{"ssltop", "train", "--headless", "--data", "synthetic:64", "--batch", "8", "--width", "4",
          "--threads", "1"},
         "Resource temporarily unavailable",
         1},
    };
    lab_open(&lab);
    cr_assert(chmod(lab.dir, 0777) == 0 && setenv("SSLTOP_RUNS", lab.dir, 1) == 0);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        pid_t pid = fork();
        cr_assert(pid >= 0);
        if (pid == 0) {
            struct rlimit one = {1, 1};
            int fd = open(lab.out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
            if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0 ||
                (geteuid() == 0 && (setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
                                    setresuid(NOBODY, NOBODY, NOBODY) != 0)))
                _exit(99);
            if (access(getenv("SSLTOP"), X_OK) != 0)
                _exit(97);
            unsetenv("OPENBLAS_NUM_THREADS");
            unsetenv("XDG_RUNTIME_DIR");
            setrlimit(RLIMIT_NPROC, &one);
            execv(getenv("SSLTOP"), (char *const *)row[i].word);
            _exit(98);
        }
        int rc = lab_wait(pid);
        if (rc == 97) {
            lab_close(&lab);
            cr_skip_test("the program lies where nobody but root may reach it");
        }
        cr_expect(rc == row[i].rc, "%s: %d", row[i].word[1], rc);
        lab_says(&lab, row[i].says);
    }
    lab_close(&lab);
    rmdir("/tmp/ssltop-54323"); // its sockets'; nobody else's
}

// What the library would ask for, for ever, it is not asked for.
Test(little_room, is_asked_for_before_it_is_needed)
{
    struct error e = {""};
    struct rlimit room;
    cr_assert(getrlimit(RLIMIT_AS, &room) == 0);
    cr_assert(memory_check(1 << 20, "a test", &e) == 0, "%s", e.text);
    room.rlim_cur = (rlim_t)1 << 31;
    cr_assert(setrlimit(RLIMIT_AS, &room) == 0 && memory_is_limited());
    cr_assert(memory_check((size_t)1 << 31, "a test", &e) == -1);
    cr_expect(strstr(e.text, "a test needs 2148 MB more than a limit of 2147 MB leaves"), "%s",
              e.text);
    cr_assert(blas_begin(64, &e) == -1, "64 buffers of 128 MB");
    cr_expect(strstr(e.text, "linear algebra"), "%s", e.text);
    cr_assert(blas_begin(4, &e) == 0, "%s", e.text);
    cr_assert(blas_begin(4, &e) == 0 && blas_begin(1, &e) == 0, "they are there");
}
