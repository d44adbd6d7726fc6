// Writing the log of a run. Lines wait in memory and go to the file as whole zstd frames, each
// compressed and checksummed by itself. A frame that could not be written whole is cut off again
// before anything else happens.
#include "metrics/runlog.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define FRAME_LINES (1 << 20) // bytes of lines after which a backlog goes into another frame
#define LEVEL       3

struct runlog_writer {
    int fd;
    int torn;     // bytes beyond `end` may be in the file
    int unsynced; // frames were written since the last fdatasync
    int64_t end;  // offset behind the last whole frame
    int64_t lines, stored, dropped;
    char *buf; // waiting lines, each with its newline: buf[head .. n)
    size_t head, n, cap;
    ZSTD_CCtx *zstd;
    void *frame;
    size_t frame_cap;
};

// NULL with a sentence when it can't be; `fd` is then still the caller's.
static struct runlog_writer *writer_new(int fd, struct error *e)
{
    struct runlog_writer *w = calloc(1, sizeof *w);
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    if (!w || !zstd) {
        free(w);
        ZSTD_freeCCtx(zstd);
        error_set(e, "out of memory for the log");
        return NULL;
    }
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, 1);
    if (ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1))) {
        free(w);
        ZSTD_freeCCtx(zstd);
        error_set(e, "this zstd library can't write checksums");
        return NULL;
    }
    w->fd = fd;
    w->zstd = zstd;
    return w;
}

// Make the name of a new file as durable as its content will be. Not every file system can; no
// harm.
static void sync_folder(const char *path)
{
    char *copy = strdup(path);
    if (!copy)
        return;
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

int runlog_create(const char *path, struct runlog_writer **out, struct error *e)
{
    *out = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set(e, "can't create the log %s: %s", path, strerror(errno));
    *out = writer_new(fd, e);
    if (!*out) {
        close(fd);
        unlink(path);
        return -1;
    }
    sync_folder(path);
    return 0;
}

static int cut(int fd, int64_t end)
{
    int rc;
    do
        rc = ftruncate(fd, end);
    while (rc && errno == EINTR);
    return rc;
}

// Count the whole lines of the file and find where they end.
static int survey(const char *path, int64_t *lines, int64_t *end, struct error *e)
{
    struct runlog_reader *r;
    if (runlog_open(path, &r, e))
        return -1;
    const char *line;
    size_t len;
    int rc;
    for (*lines = 0; (rc = runlog_next(r, &line, &len, e)) == 1;)
        ++*lines;
    *end = runlog_whole(r);
    runlog_reader_free(r);
    return rc;
}

// Whether a file without a whole frame may be taken for a log whose first frame was not finished.
static int begins_like_a_frame(int fd)
{
    static const unsigned char magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
    unsigned char head[4];
    ssize_t n = pread(fd, head, sizeof head, 0);
    return n >= 0 && !memcmp(head, magic, (size_t)n);
}

int runlog_append(const char *path, struct runlog_writer **out, int64_t *lines, struct error *e)
{
    *out = NULL;
    int64_t kept = 0, end = 0;
    if (survey(path, &kept, &end, e))
        return -1;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return error_set(e, "can't open the log %s for writing: %s", path, strerror(errno));
    if (!end && !begins_like_a_frame(fd)) {
        close(fd);
        return error_set(e, "%s is not the log of a run: nothing in it can be read", path);
    }
    struct runlog_writer *w = writer_new(fd, e);
    if (!w) {
        close(fd);
        return -1;
    }
    if (cut(fd, end)) {
        error_set(e, "can't cut the log %s after its last whole frame: %s", path, strerror(errno));
        runlog_close(w, NULL);
        return -1;
    }
    w->end = end;
    w->lines = w->stored = kept;
    *out = w;
    if (lines)
        *lines = kept;
    return 0;
}

// Give up the oldest lines: a quarter of what may wait, so that this happens seldom.
static void drop_oldest(struct runlog_writer *w)
{
    size_t least = w->head + RUNLOG_PENDING_MAX / 4;
    while (w->head < w->n && w->head < least) {
        const char *newline = memchr(w->buf + w->head, '\n', w->n - w->head);
        w->head = newline ? (size_t)(newline - w->buf) + 1 : w->n;
        w->dropped++;
    }
}

int runlog_write(struct runlog_writer *w, const char *line, size_t len, struct error *e)
{
    if (!len || len >= RUNLOG_LINE_MAX || memchr(line, '\n', len))
        return error_set(
            e, "a line of %zu bytes can't go into the log: it is empty, too long or several", len);
    if (w->n - w->head + len + 1 > RUNLOG_PENDING_MAX)
        drop_oldest(w);
    if (w->head && w->cap - w->n < len + 1) {
        memmove(w->buf, w->buf + w->head, w->n - w->head);
        w->n -= w->head;
        w->head = 0;
    }
    if (w->cap - w->n < len + 1) {
        size_t cap = w->cap ? w->cap : 1 << 16;
        while (cap - w->n < len + 1)
            cap *= 2;
        char *buf = realloc(w->buf, cap);
        if (!buf)
            return error_set(e, "out of memory for a line of the log");
        w->buf = buf;
        w->cap = cap;
    }
    memcpy(w->buf + w->n, line, len);
    w->n += len;
    w->buf[w->n++] = '\n';
    w->lines++;
    return 0;
}

static int write_all(int fd, const char *p, size_t n, int64_t at)
{
    while (n) {
        ssize_t wrote = pwrite(fd, p, n, at);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0) {
            if (!wrote)
                errno = ENOSPC;
            return -1;
        }
        p += wrote;
        n -= (size_t)wrote;
        at += wrote;
    }
    return 0;
}

// One frame of the oldest waiting lines: all, or as many as make FRAME_LINES bytes.
static int write_frame(struct runlog_writer *w, struct error *e)
{
    const char *from = w->buf + w->head;
    size_t n = w->n - w->head;
    if (n > FRAME_LINES) {
        const char *newline = memchr(from + FRAME_LINES - 1, '\n', n - FRAME_LINES + 1);
        if (newline)
            n = (size_t)(newline - from) + 1;
    }
    size_t bound = ZSTD_compressBound(n);
    if (bound > w->frame_cap) {
        void *frame = realloc(w->frame, bound);
        if (!frame)
            return error_set(e, "out of memory for a frame of the log");
        w->frame = frame;
        w->frame_cap = bound;
    }
    size_t size = ZSTD_compress2(w->zstd, w->frame, w->frame_cap, from, n);
    if (ZSTD_isError(size))
        return error_set(e, "can't compress the log: %s", ZSTD_getErrorName(size));
    if (w->torn && cut(w->fd, w->end))
        return error_set(e, "can't cut back the log: %s", strerror(errno));
    w->torn = 1;
    if (write_all(w->fd, w->frame, size, w->end)) {
        error_set(e, "can't write the log: %s", strerror(errno));
        w->torn = cut(w->fd, w->end) != 0;
        return -1;
    }
    w->torn = 0;
    w->unsynced = 1;
    w->end += (int64_t)size;
    for (const char *p = from; p < from + n; p++)
        w->stored += *p == '\n';
    w->head += n;
    return 0;
}

int runlog_flush(struct runlog_writer *w, int sync, struct error *e)
{
    while (w->head < w->n)
        if (write_frame(w, e))
            return -1;
    w->head = w->n = 0;
    if (w->cap > 4 * FRAME_LINES) { // a backlog is over
        free(w->buf);
        w->buf = NULL;
        w->cap = 0;
    }
    if (sync && w->unsynced) {
        int rc;
        do
            rc = fdatasync(w->fd);
        while (rc && errno == EINTR);
        // Pipes and some network file systems have nothing to sync.
        if (rc && errno != EINVAL && errno != ENOSYS)
            return error_set(e, "can't sync the log: %s", strerror(errno));
        w->unsynced = 0;
    }
    return 0;
}

int64_t runlog_dropped(const struct runlog_writer *w)
{
    return w->dropped;
}

int64_t runlog_lines(const struct runlog_writer *w)
{
    return w->lines;
}

int64_t runlog_stored(const struct runlog_writer *w)
{
    return w->stored;
}

size_t runlog_pending(const struct runlog_writer *w)
{
    return w->n - w->head;
}

int runlog_close(struct runlog_writer *w, struct error *e)
{
    if (!w)
        return 0;
    int rc = runlog_flush(w, 1, e);
    if (close(w->fd) && !rc)
        rc = error_set(e, "can't close the log: %s", strerror(errno));
    ZSTD_freeCCtx(w->zstd);
    free(w->buf);
    free(w->frame);
    free(w);
    return rc;
}
