// Records of one size: the file's size is the only thing there is to check, so it is checked before
// anything else.
#include "data/sets/fixed_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/file.h"

static void keep_path(struct fixed_file *b, const char *path)
{
    size_t n = strlen(path), keep = sizeof b->path - 4;
    snprintf(b->path, sizeof b->path, "%s%s", n > keep ? "..." : "",
             n > keep ? path + n - keep : path);
}

static int check(struct fixed_file *b, struct error *e)
{
    struct stat st;
    if (fstat(b->fd, &st) != 0)
        return error_system(e, "cannot look at %s", b->path);
    if (!S_ISREG(st.st_mode))
        return error_set(e, "%s is not a regular file", b->path);
    uint64_t size = (uint64_t)st.st_size, whole = size / b->record * b->record;
    if (whole == 0 || whole != size)
        return error_set(e,
                         "%s has %" PRIu64 " bytes, expected one or more whole images of %zu: it "
                         "breaks off at byte %" PRIu64,
                         b->path, size, b->record, whole);
    b->n = (int64_t)(size / b->record);
    return b->n <= INT32_MAX
               ? 0
               : error_set(e, "%s holds %" PRId64 " images, too many to count", b->path, b->n);
}

int fixed_file_open(struct fixed_file *b, const char *dir, const char *name, size_t record,
                    struct error *e)
{
    char *path;
    *b = (struct fixed_file){.fd = -1, .record = record};
    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return error_memory(e, "a path");
    keep_path(b, path);
    b->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int why = errno;
    free(path);
    if (b->fd < 0)
        return error_number(e, why, "cannot open %s", b->path);
    if (check(b, e) == 0)
        return 0;
    fixed_file_close(b);
    return -1;
}

int fixed_file_read(struct fixed_file *b, void *to, int64_t n, struct error *e)
{
    if (n < 0 || n > b->n - b->at)
        return error_set(e, "%s has no %" PRId64 " records from number %" PRId64 " on", b->path, n,
                         b->at);
    size_t want = (size_t)n * b->record;
    uint64_t at = (uint64_t)b->at * b->record, end = at + file_read_at(b->fd, to, want, at);
    if (end < at + want && errno)
        return error_system(e, "cannot read %s at byte %" PRIu64, b->path, end);
    if (end < at + want)
        return error_set(e, "%s has become shorter while it was read: it ends at byte %" PRIu64,
                         b->path, end);
    b->at += n;
    return 0;
}

void fixed_file_close(struct fixed_file *b)
{
    if (b->fd >= 0)
        close(b->fd);
    b->fd = -1;
}
