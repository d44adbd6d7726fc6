// Files without a name are gone however the program ends.
#include "metrics/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/file.h"

int mapping_put(int fd, const void *bytes, size_t n, struct error *e)
{
    for (const char *at = bytes; n > 0;) {
        ssize_t put = write(fd, at, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_system(e, "cannot be kept in %.200s", file_scratch_folder());
        at += put;
        n -= (size_t)put;
    }
    return 0;
}

static int map(struct mapping *m, int fd, struct error *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return error_system(e, "cannot be looked at");
    if (!S_ISREG(st.st_mode))
        return error_set(e, "is neither a regular file nor a pipe");
    if (st.st_size == 0)
        return error_set(e, "is empty");
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return error_system(e, "cannot be mapped");
    m->data = data;
    m->size = (size_t)st.st_size;
    return 0;
}

int mapping_make(struct mapping *m, int (*fill)(void *context, int fd, struct error *e),
                 void *context, struct error *e)
{
    int fd = file_scratch();
    if (fd < 0)
        return error_system(e, "cannot be kept in %.200s", file_scratch_folder());
    int rc = fill(context, fd, e);
    if (rc == 0)
        rc = map(m, fd, e);
    close(fd);
    return rc;
}

// Everything that comes through a pipe.
static int copy(void *context, int to, struct error *e)
{
    static const size_t block = 1 << 20;
    int from = *(int *)context, rc = 0;
    char *bytes = malloc(block);
    if (!bytes)
        return error_set(e, "cannot be read: out of memory");
    for (ssize_t n; rc == 0 && (n = read(from, bytes, block)) != 0;) {
        if (n > 0)
            rc = mapping_put(to, bytes, (size_t)n, e);
        else if (errno != EINTR)
            rc = error_system(e, "cannot be read");
    }
    free(bytes);
    return rc;
}

int mapping_open(struct mapping *m, const char *path, struct error *e)
{
    struct stat st;
    int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
                                    : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *m = (struct mapping){0};
    if (fd < 0)
        return error_system(e, "cannot be opened");
    int pipe = fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
    // It is waited for a writer that writes, not for one that may come.
    if (pipe)
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    int rc = pipe ? mapping_make(m, copy, &fd, e) : map(m, fd, e);
    close(fd);
    return rc;
}

void mapping_close(struct mapping *m)
{
    if (m->data)
        munmap(m->data, m->size);
    *m = (struct mapping){0};
}
