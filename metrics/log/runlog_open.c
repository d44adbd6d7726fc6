// Opening a log for a scan: what it is, by its first bytes.
#include "metrics/log/runlog_frames.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/other_file.h"
#include "metrics/log/frame.h"

// Lines as they are, behind what may stand before a text.
static int is_plain(const char *head, ssize_t n)
{
    ssize_t at = n > 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (at < n && isspace((unsigned char)head[at]))
        at++;
    return at < n && head[at] == '{';
}

static int is_packed(const char *head, ssize_t n)
{
    uint32_t magic = n >= 4 ? (uint32_t)frame_get((const unsigned char *)head, 4) : 0;
    return magic == FRAME_MAGIC || (magic & ~0xfu) == FRAME_SKIPPABLE_MAGIC;
}

int runlog_scan_open(struct runlog_scan *s, const char *path, struct error *e)
{
    struct stat st;
    *s = (struct runlog_scan){.fd = -1};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_system(e, "can't open the log %s", path);
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        close(fd);
        return error_set(e, "can't read the log %s: it is not a file", path);
    }
    char head[512];
    ssize_t n = pread(fd, head, sizeof head, 0);
    n = n < 0 ? 0 : n;
    const char *other =
        is_plain(head, n) || is_packed(head, n) ? NULL : other_file(head, (size_t)n);
    if (other && other != other_file_text) {
        close(fd);
        return error_set(e, "the log %s %s", path,
                         other == other_file_json ? "is JSON, but has no record a line" : other);
    }
    s->zstd = ZSTD_createDCtx();
    if (!s->zstd) {
        close(fd);
        return error_memory(e, "the log %s", path);
    }
    s->plain = is_plain(head, n);
    s->fd = fd;
    s->size = -1;
    return 0;
}

void runlog_scan_close(struct runlog_scan *s)
{
    if (s->zstd)
        close(s->fd);
    ZSTD_freeDCtx(s->zstd);
    free(s->in);
    free(s->out);
    *s = (struct runlog_scan){.fd = -1};
}
