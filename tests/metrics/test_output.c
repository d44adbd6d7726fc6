// Lines to a pipe that is read late, or never.
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/output.h"

// Standard error in a pipe that is full; the end to read from.
static int fill(int *was)
{
    static const char block[4096];
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (write(ends[1], block, sizeof block) > 0)
        continue;
    fcntl(ends[1], F_SETFL, 0);
    *was = dup(STDERR_FILENO);
    cr_assert(dup2(ends[1], STDERR_FILENO) >= 0 && close(ends[1]) == 0);
    return ends[0];
}

static void drain(int fd, char *last, size_t size)
{
    char block[4096];
    ssize_t n;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    *last = '\0';
    while ((n = read(fd, block, sizeof block)) > 0)
        if ((size_t)n < size && block[0]) {
            memcpy(last, block, (size_t)n);
            last[n] = '\0';
        }
}

Test(output, waits_for_no_reader, .timeout = 60)
{
    int was, fd = fill(&was);
    char text[4096];
    int rc = output_write(STDERR_FILENO, "one\n", 4), why = errno;
    int again = output_write(STDERR_FILENO, "two\n", 4);
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    drain(fd, text, sizeof text);
    int later = output_write(STDERR_FILENO, "three\n", 6);
    drain(fd, text, sizeof text);
    dup2(was, STDERR_FILENO);
    cr_expect(rc == -1 && why == EAGAIN && again == -1);
    cr_expect_eq(flags & O_NONBLOCK, 0, "others share what is open");
    cr_expect_eq(later, 0);
    cr_expect_str_eq(text, "three\n");
}

// What can't be written at all says why.
Test(output, errors)
{
    int was = dup(STDERR_FILENO), full = open("/dev/full", O_WRONLY);
    dup2(full, STDERR_FILENO);
    int rc = output_write(STDERR_FILENO, "a\n", 2), why = errno;
    close(STDERR_FILENO);
    int closed = output_write(STDERR_FILENO, "a\n", 2), because = errno;
    dup2(was, STDERR_FILENO);
    cr_expect(rc == -1 && why == ENOSPC, "%s", strerror(why));
    cr_expect(closed == -1 && because == EBADF, "%s", strerror(because));
}

// Also where it was asked to write before, and has forgotten.
Test(output, a_stream_says_why)
{
    FILE *full = fopen("/dev/full", "w"), *fine = tmpfile();
    cr_assert(full && fine);
    for (int i = 0; i < 100000; i++)
        fputc('x', full);
    fflush(full);
    int rc = output_flush(full), why = errno;
    cr_expect(rc == -1 && why == ENOSPC, "%s", strerror(why));
    cr_expect(fputs("text", fine) >= 0 && output_flush(fine) == 0);
    cr_expect_eq(ftell(fine), 4);
    fclose(full);
    fclose(fine);
}
