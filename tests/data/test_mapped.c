// A mapped file that others change.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/photos/mapped.h"

enum { PAGE = 4096, PAGES = 64, THREADS = 4 };

static char path[] = "/tmp/ssltop-mapped-XXXXXX";
static int fd = -1;
static struct mapped map = {.fd = -1};

// PAGES pages, each filled with its number.
static void make(void)
{
    struct error e = {""};
    char page[PAGE];
    signal(SIGBUS, SIG_DFL); // not a sanitizer's
    fd = mkstemp(path);
    cr_assert(fd >= 0);
    for (int i = 0; i < PAGES; i++) {
        memset(page, i, sizeof page);
        cr_assert_eq(write(fd, page, sizeof page), PAGE);
    }
    cr_assert_eq(mapped_open(&map, fd, (size_t)PAGE * PAGES, path, &e), 0, "%s", e.text);
}

static void drop(void)
{
    mapped_close(&map);
    mapped_close(&map); // once more is fine
    close(fd);
    unlink(path);
}

TestSuite(mapped, .init = make, .fini = drop);

Test(mapped, copies)
{
    struct error e = {""};
    char got[2];
    for (int i = 1; i < PAGES; i++) {
        cr_assert_eq(mapped_copy(&map, (uint64_t)(i * PAGE - 1), got, 2, &e), 0, "%s", e.text);
        cr_expect(got[0] == i - 1 && got[1] == i);
    }
    cr_assert_eq(mapped_copy(&map, (uint64_t)PAGE * PAGES, got, 0, &e), 0); // nothing, at the end
}

// Cut between two pages, within one, and whole again: what is there is still read.
Test(mapped, a_file_that_changes_its_size)
{
    static const off_t sizes[] = {(off_t)PAGE * PAGES, (off_t)PAGE * 5, (off_t)PAGE * 5 + 100, 1, 0,
                                  (off_t)PAGE * PAGES};
    char got[PAGE];
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        cr_assert_eq(ftruncate(fd, sizes[k]), 0);
        for (int i = 0; i < PAGES; i++) {
            struct error e = {""};
            int rc = mapped_copy(&map, (uint64_t)i * PAGE, got, PAGE, &e);
            cr_expect_eq(rc, (off_t)(i + 1) * PAGE <= sizes[k] ? 0 : -1, "page %d of %ld", i,
                         (long)sizes[k]);
            cr_expect(rc == 0 || (strstr(e.text, path) && strstr(e.text, "has become shorter")),
                      "says: %s", e.text);
        }
    }
}

static void *copy_all(void *failed)
{
    char got[PAGE];
    for (int i = 0; i < PAGES; i++)
        *(int *)failed += mapped_copy(&map, (uint64_t)i * PAGE, got, PAGE, NULL) < 0;
    return NULL;
}

Test(mapped, every_thread_has_its_own_error)
{
    pthread_t thread[THREADS];
    int failed[THREADS] = {0};
    sigset_t all, before;
    cr_assert_eq(ftruncate(fd, (off_t)PAGE * 16), 0);
    sigfillset(&all); // as the pool starts its threads
    cr_assert_eq(pthread_sigmask(SIG_SETMASK, &all, &before), 0);
    for (int t = 0; t < THREADS; t++)
        cr_assert_eq(pthread_create(&thread[t], NULL, copy_all, &failed[t]), 0);
    cr_assert_eq(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    for (int t = 0; t < THREADS; t++) {
        cr_assert_eq(pthread_join(thread[t], NULL), 0);
        cr_expect_eq(failed[t], PAGES - 16);
    }
}

// A SIGBUS that no copy has raised does what it did before, also after one that did.
Test(mapped, leaves_other_signals_alone)
{
    char got[1];
    cr_assert_eq(ftruncate(fd, 0), 0);
    cr_assert_eq(mapped_copy(&map, 0, got, 1, NULL), -1);
    pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0)
        _exit(*(const volatile uint8_t *)map.at);
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS, "status %d", status);
}
