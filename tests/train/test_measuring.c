// The thread that measures steps has what time others leave: it may be stopped anywhere, and the
// recorder's loop takes steps out of the ring all the same.
#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "train/recorder/measuring.h"

TestSuite(measuring, .timeout = 60);

// Whether a thread of this process is in write() to this descriptor.
static int somebody_writes(int fd)
{
    char path[64];
    int found = 0, to;
    long call;
    DIR *all = opendir("/proc/self/task");
    cr_assert_not_null(all);
    for (struct dirent *d; (d = readdir(all)) != NULL;) {
        snprintf(path, sizeof path, "/proc/self/task/%.20s/syscall", d->d_name);
        FILE *f = fopen(path, "r");
        if (f && fscanf(f, "%ld %x", &call, (unsigned *)&to) == 2)
            found |= call == SYS_write && to == fd;
        if (f)
            fclose(f);
    }
    closedir(all);
    return found;
}

Test(measuring, waits_for_no_thread_that_is_stopped)
{
    enum { N = 8, D = 4 };
    static float x[N * D];
    static const char full[4096];
    struct measuring m;
    struct error e = {""};
    struct intake_rows rows[LINK_PLACES][LINK_VIEWS] = {0};
    uint64_t one = 1;
    int pair[2];
    for (int i = 0; i < N * D; i++)
        x[i] = (float)(i * i % 7);
    rows[INTAKE_H][0] = (struct intake_rows){(const char *)x, LINK_F32, N, D};
    cr_assert_eq(measuring_init(&m, 1, &e), 0, "%s", e.text);

    // In place of the eventfd one whose writer is stopped: nobody reads.
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    while (send(pair[0], full, sizeof full, MSG_DONTWAIT) > 0) {
    }
    cr_assert(write(pair[1], &one, sizeof one) == sizeof one);
    cr_assert(dup2(pair[0], m.fd) == m.fd);
    measuring_begin(&m, 0, 1, 0, (const struct intake_rows(*)[LINK_VIEWS])rows);
    while (!somebody_writes(m.fd))
        usleep(1000);

    cr_expect_eq(measuring_end(&m), 1);
    cr_expect_eq(m.rc, 0, "%s", m.why.text);
    cr_expect(m.result.metric[0] == m.result.metric[0]);
    signal(SIGPIPE, SIG_IGN);
    close(pair[1]); // the writer goes on
    close(pair[0]);
    measuring_free(&m);
}
