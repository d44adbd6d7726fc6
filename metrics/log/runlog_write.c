// Writing the log of a run. Lines wait in memory, sorted by kind, and go to the file as whole zstd
// frames, each compressed and checksummed by itself, with a mark before them. What could not be
// written whole is cut off again before anything else happens.
#include "metrics/log/runlog.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "metrics/base/file.h"
#include "metrics/base/memory.h"
#include "metrics/base/text.h"
#include "metrics/log/record_head.h"
#include "metrics/log/runlog_ending.h"
#include "metrics/log/runlog_frames.h"

#define FRAME_LINES (1 << 20) // bytes of lines after which a backlog goes into another frame

// The digits of a spectrum repeat those of the step before, in short pieces: only the higher levels
// look for those. What comes in a second costs them nothing; a backlog must be gone soon.
enum { LEVEL = 14, LEVEL_IN_HASTE = 3, HASTE = 256 << 10 };

struct queue {
    char *buf; // waiting lines, each with its newline: buf[head .. n)
    size_t head, n, cap;
};

struct runlog_writer {
    int fd;
    int torn;     // bytes beyond `end` may be in the file
    int unsynced; // frames were written since the last fdatasync
    int64_t end;  // offset behind the last whole frame
    int64_t lines, stored, dropped;
    struct queue queue[RUNLOG_KINDS];
    struct runlog_ending ending; // what index and seek table will say
    ZSTD_CCtx *zstd;
    unsigned char *out; // a mark and frames on their way to the file
    size_t out_cap;
};

// NULL with a sentence when it can't be; `fd` is then still the caller's.
static struct runlog_writer *writer_new(int fd, struct error *e)
{
    struct runlog_writer *w = calloc(1, sizeof *w);
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    if (!w || !zstd) {
        free(w);
        ZSTD_freeCCtx(zstd);
        error_memory(e, "the log");
        return NULL;
    }
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
        return error_system(e, "can't create the log %s", path);
    *out = writer_new(fd, e);
    if (!*out) {
        close(fd);
        unlink(path);
        return -1;
    }
    sync_folder(path);
    return 0;
}

int runlog_create_in(int fd, struct runlog_writer **out, struct error *e)
{
    int ours = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    *out = ours < 0 ? NULL : writer_new(ours, e);
    if (!*out && ours >= 0)
        close(ours);
    return ours < 0 ? error_system(e, "can't write the log") : *out ? 0 : -1;
}

static int cut(int fd, int64_t end)
{
    int rc;
    do
        rc = ftruncate(fd, end);
    while (rc && errno == EINTR);
    return rc;
}

// Count the whole lines of the file, find where they end, and what its frames hold.
static int survey(struct runlog_scan *s, struct runlog_ending *ending, int64_t *lines,
                  struct error *e)
{
    int rc;
    *lines = 0;
    while ((rc = runlog_scan_next(s, e)) == 1) {
        struct runlog_frame *f = &s->found;
        f->lines = runlog_count(s->out, s->out_n);
        *lines += f->lines;
        runlog_ending_add(ending, f);
    }
    return rc;
}

// Whether a file without a whole frame may be taken for a log whose first frame was not finished.
static int begins_like_a_log(int fd)
{
    static const unsigned char mark[4] = {0x53, 0x2a, 0x4d, 0x18},
                               frame[4] = {0x28, 0xb5, 0x2f, 0xfd};
    unsigned char head[4];
    ssize_t n = pread(fd, head, sizeof head, 0);
    return n >= 0 && (!memcmp(head, mark, (size_t)n) || !memcmp(head, frame, (size_t)n));
}

int runlog_append(const char *path, struct runlog_writer **out, int64_t *lines, struct error *e)
{
    *out = NULL;
    int64_t kept = 0, end = 0;
    struct runlog_ending ending = {0};
    struct runlog_scan s;
    if (runlog_scan_open(&s, path, e))
        return -1;
    int rc = s.plain ? error_set(e,
                                 "%s has plain lines and can't be gone on with: ssltop log repair "
                                 "makes a log of them",
                                 path)
                     : survey(&s, &ending, &kept, e),
        fd = -1;
    end = s.whole;
    runlog_scan_close(&s);
    if (rc == 0 && (fd = open(path, O_RDWR | O_CLOEXEC)) < 0)
        rc = error_system(e, "can't open the log %s for writing", path);
    else if (rc == 0 && !end && !begins_like_a_log(fd))
        rc = error_set(e, "%s is not the log of a run: nothing in it can be read", path);
    else if (rc == 0 && !(*out = writer_new(fd, e)))
        rc = -1;
    else if (rc == 0 && cut(fd, end))
        rc = error_system(e, "can't cut the log %s after its last whole frame", path);
    if (rc) {
        if (*out)
            ZSTD_freeCCtx((*out)->zstd);
        free(*out);
        *out = NULL;
        if (fd >= 0)
            close(fd);
        runlog_ending_free(&ending);
        return -1;
    }
    (*out)->end = end;
    (*out)->lines = (*out)->stored = kept;
    (*out)->ending = ending;
    if (lines)
        *lines = kept;
    return 0;
}

// --- lines that wait ---

size_t runlog_pending(const struct runlog_writer *w)
{
    size_t n = 0;
    for (int k = 0; k < RUNLOG_KINDS; k++)
        n += w->queue[k].n - w->queue[k].head;
    return n;
}

// Give up the oldest lines of each kind: a quarter of what waits, so that this happens seldom.
static void drop_oldest(struct runlog_writer *w)
{
    for (int k = 0; k < RUNLOG_KINDS; k++) {
        struct queue *q = &w->queue[k];
        size_t least = q->head + (q->n - q->head + 3) / 4;
        while (q->head < q->n && q->head < least) {
            const char *newline = memchr(q->buf + q->head, '\n', q->n - q->head);
            q->head = newline ? (size_t)(newline - q->buf) + 1 : q->n;
            w->dropped++;
        }
    }
}

static enum runlog_kind kind_of(const char *line, size_t len)
{
    struct record_head head;
    record_head(line, len, &head);
    return runlog_kind_of(&head);
}

int runlog_write(struct runlog_writer *w, const char *line, size_t len, struct error *e)
{
    if (!len || len >= RUNLOG_LINE_MAX || memchr(line, '\n', len))
        return error_set(
            e, "a line of %zu bytes can't go into the log: it is empty, too long or several", len);
    if (runlog_pending(w) + len + 1 > RUNLOG_PENDING_MAX)
        drop_oldest(w);
    struct queue *q = &w->queue[kind_of(line, len)];
    if (q->head && q->cap - q->n < len + 1) {
        memmove(q->buf, q->buf + q->head, q->n - q->head);
        q->n -= q->head;
        q->head = 0;
    }
    if (memory_grow(q->buf, q->cap, q->n + len + 1) < 0)
        return error_memory(e, "a line of the log");
    memcpy(q->buf + q->n, line, len);
    q->n += len;
    q->buf[q->n++] = '\n';
    w->lines++;
    return 0;
}

// --- frames ---

// The oldest waiting lines of a kind: all, or as many as make FRAME_LINES bytes.
static size_t portion(const struct queue *q)
{
    size_t n = q->n - q->head;
    if (n <= FRAME_LINES)
        return n;
    const char *from = q->buf + q->head;
    const char *newline = memchr(from + FRAME_LINES - 1, '\n', n - FRAME_LINES + 1);
    return newline ? (size_t)(newline - from) + 1 : n;
}

static int64_t first_step(const char *lines, size_t n)
{
    struct record_head head;
    const char *line;
    size_t at = 0, len;
    while (text_line(lines, n, &at, &line, &len))
        if (record_head(line, len, &head) && head.step >= 0)
            return head.step;
    return -1;
}

static int reserve(struct runlog_writer *w, size_t n, struct error *e)
{
    return memory_room(w->out, w->out_cap, n) < 0 ? error_memory(e, "a frame of the log") : 0;
}

// What one write to the file brings: a frame for each kind that has lines.
struct group {
    int n;
    size_t bytes; // in `out`, with the mark
    struct runlog_frame frame[RUNLOG_KINDS];
};

static int compress(struct runlog_writer *w, struct group *g, struct error *e)
{
    struct runlog_holds holds[RUNLOG_KINDS];
    size_t bound = RUNLOG_MARK_BYTES;
    *g = (struct group){0};
    for (int k = 0; k < RUNLOG_KINDS; k++)
        bound += ZSTD_compressBound(portion(&w->queue[k]));
    if (reserve(w, bound, e))
        return -1;
    for (int k = 0; k < RUNLOG_KINDS; k++) {
        struct queue *q = &w->queue[k];
        size_t n = portion(q);
        if (!n)
            continue;
        const char *lines = q->buf + q->head;
        holds[g->n] = (struct runlog_holds){(enum runlog_kind)k, first_step(lines, n),
                                            runlog_count(lines, n)};
        g->frame[g->n] = (struct runlog_frame){.content = (uint32_t)n,
                                               .kind = (enum runlog_kind)k,
                                               .first_step = holds[g->n].first_step,
                                               .lines = holds[g->n].lines};
        g->n++;
    }
    g->bytes = runlog_put_mark(w->out, holds, (size_t)g->n);
    for (int i = 0; i < g->n; i++) {
        struct runlog_frame *f = &g->frame[i];
        const struct queue *q = &w->queue[f->kind];
        ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel,
                               f->content > HASTE ? LEVEL_IN_HASTE : LEVEL);
        size_t size = ZSTD_compress2(w->zstd, w->out + g->bytes, w->out_cap - g->bytes,
                                     q->buf + q->head, f->content);
        if (ZSTD_isError(size))
            return error_set(e, "can't compress the log: %s", ZSTD_getErrorName(size));
        f->offset = w->end + (int64_t)g->bytes;
        f->size = (uint32_t)size;
        g->bytes += size;
    }
    return 0;
}

// One mark and its frames. Of a write that failed the whole frames stay.
static int write_group(struct runlog_writer *w, struct error *e)
{
    struct group g;
    if (compress(w, &g, e))
        return -1;
    if (w->torn && cut(w->fd, w->end))
        return error_system(e, "can't cut back the log");
    int64_t from = w->end;
    w->torn = 1;
    size_t done = file_write_at(w->fd, w->out, g.bytes, (uint64_t)from);
    int failed = done < g.bytes ? error_system(e, "can't write the log") : 0;
    for (int i = 0; i < g.n; i++) {
        const struct runlog_frame *f = &g.frame[i];
        if (f->offset + f->size > from + (int64_t)done)
            break;
        w->queue[f->kind].head += f->content;
        w->stored += f->lines;
        w->end = f->offset + f->size;
        w->unsynced = 1;
        runlog_ending_add(&w->ending, f);
    }
    w->torn = failed && cut(w->fd, w->end) != 0;
    return failed;
}

static int sync_data(struct runlog_writer *w, struct error *e)
{
    int rc;
    do
        rc = fdatasync(w->fd);
    while (rc && errno == EINTR);
    // Pipes and some network file systems have nothing to sync.
    if (rc && errno != EINVAL && errno != ENOSYS)
        return error_system(e, "can't sync the log");
    w->unsynced = 0;
    return 0;
}

int runlog_flush(struct runlog_writer *w, int sync, struct error *e)
{
    while (runlog_pending(w))
        if (write_group(w, e))
            return -1;
    for (int k = 0; k < RUNLOG_KINDS; k++) {
        struct queue *q = &w->queue[k];
        q->head = q->n = 0;
        if (q->cap > 4 * FRAME_LINES) { // a backlog is over
            free(q->buf);
            *q = (struct queue){0};
        }
    }
    return sync && w->unsynced ? sync_data(w, e) : 0;
}

int runlog_is_at(const struct runlog_writer *w, const char *path)
{
    struct stat ours, there;
    if (fstat(w->fd, &ours) != 0)
        return 1;
    if (stat(path, &there) != 0)
        return errno != ENOENT;
    return ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
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

// Index and seek table. A log is whole without them: when they can't be written they are left out.
static void write_ending(struct runlog_writer *w)
{
    size_t n;
    unsigned char *bytes = runlog_ending_bytes(&w->ending, w->end, &n);
    if (bytes && !(w->torn && cut(w->fd, w->end))) {
        w->torn = file_write_at(w->fd, bytes, n, (uint64_t)w->end) < n;
        if (w->torn)
            w->torn = cut(w->fd, w->end) != 0;
        else
            sync_data(w, NULL);
    }
    free(bytes);
}

int runlog_close(struct runlog_writer *w, struct error *e)
{
    if (!w)
        return 0;
    int rc = runlog_flush(w, 1, e);
    if (!rc)
        write_ending(w);
    if (close(w->fd) && !rc)
        rc = error_system(e, "can't close the log");
    ZSTD_freeCCtx(w->zstd);
    for (int k = 0; k < RUNLOG_KINDS; k++)
        free(w->queue[k].buf);
    runlog_ending_free(&w->ending);
    free(w->out);
    free(w);
    return rc;
}
