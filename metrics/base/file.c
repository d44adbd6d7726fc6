// The kernel decides what may be written, by opening it: links in folders that others may write are
// followed, or not, by its rules. A file without a name is gone however the program ends; it is
// given one by a link, or beside the old file and then over it.
#include "metrics/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 40, TRIES = 100 };

// The descriptor of which the path is a name; -1: of none.
static int descriptor(const char *path)
{
    int n = -1, end = 0;
    if (!strcmp(path, "-") || !strcmp(path, "/dev/stdout"))
        return STDOUT_FILENO;
    if (!strcmp(path, "/dev/stderr"))
        return STDERR_FILENO;
    if ((sscanf(path, "/dev/fd/%d%n", &n, &end) == 1 ||
         sscanf(path, "/proc/self/fd/%d%n", &n, &end) == 1) &&
        !path[end])
        return n;
    return -1;
}

int file_is_standard(const char *path)
{
    return descriptor(path) == STDOUT_FILENO;
}

static int look(const char *path, int standard, struct stat *st)
{
    int fd = !strcmp(path, "-") ? standard : descriptor(path);
    return fd >= 0 ? fstat(fd, st) : stat(path, st);
}

int file_distinct(const char *out, const char *in, struct error *e)
{
    struct stat a, b;
    if (look(out, STDOUT_FILENO, &a) == 0 && look(in, STDIN_FILENO, &b) == 0 &&
        S_ISREG(a.st_mode) && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return error_set(e, "%.300s is what is read: the output needs another name", out);
    return 0;
}

static int failed(const struct file *f, struct error *e)
{
    int standard = f->path && file_is_standard(f->path);
    return error_set(e, "can't write %.300s: %s", standard ? "standard output" : f->path,
                     strerror(errno));
}

// Where links lead, the last of which may lead to nothing yet.
static char *follow(const char *path)
{
    char *at = strdup(path), to[PATH_MAX];
    for (int i = 0; at && i < LINKS_MAX; i++) {
        ssize_t n = descriptor(at) < 0 ? readlink(at, to, sizeof to) : -1;
        if (n < 0)
            return at;
        const char *slash = *to == '/' ? NULL : strrchr(at, '/');
        char *next = NULL;
        if (asprintf(&next, "%.*s%.*s", slash ? (int)(slash - at) + 1 : 0, at, (int)n, to) < 0)
            next = NULL;
        free(at);
        at = next;
    }
    errno = at ? ELOOP : ENOMEM;
    free(at);
    return NULL;
}

// Opening and locking are two steps, and between them another process may finish: hence a second
// look at the name when the lock is held.
static int open_part(const struct file *f, mode_t mode, struct error *e)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat ours, there;
    for (int i = 0; i < TRIES; i++) {
        int fd = open(f->part, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, mode);
        if (fd < 0 || fstat(fd, &ours) != 0 || !S_ISREG(ours.st_mode)) {
            error_set(e, "can't write %.300s: %s", f->part,
                      fd < 0 ? strerror(errno) : "it is not a file");
        } else if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
            if (errno == EAGAIN || errno == EACCES)
                error_set(e, "%.300s is being written by another process", f->part);
            else
                error_set(e, "can't lock %.300s: %s", f->part, strerror(errno));
        } else if (lstat(f->part, &there) != 0 || ours.st_dev != there.st_dev ||
                   ours.st_ino != there.st_ino) {
            close(fd);
            continue;
        } else if (f->flags & FILE_RESUME || ftruncate(fd, 0) == 0) {
            return fd;
        } else {
            failed(f, e);
        }
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return error_set(e, "%.300s is always another file", f->part);
}

static int open_folder(const char *path, int flags, mode_t mode)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd = folder ? open(folder, flags | O_CLOEXEC, mode) : -1;
    free(folder);
    return fd;
}

static int open_nameless(const struct file *f, mode_t mode)
{
    // It gets its name through there.
    if (f->flags & FILE_RESUME || access("/proc/self/fd", X_OK) != 0)
        return -1;
    return open_folder(f->path, O_TMPFILE | O_RDWR, mode);
}

static int open_output(struct file *f, const char *path, struct error *e)
{
    struct stat old = {0};
    int number = descriptor(f->path);
    mode_t mode = f->flags & FILE_PRIVATE ? 0600 : 0666;
    if (number == STDOUT_FILENO)
        fflush(stdout);
    if (f->flags & FILE_RESUME && stat(path, &old) == 0 && !S_ISREG(old.st_mode) &&
        !S_ISDIR(old.st_mode))
        return error_set(e, "%.300s is not a file: the output needs another name", path);
    int fd = number >= 0 ? fcntl(number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
                         : open(f->path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && errno == EISDIR)
        return error_set(e, "%.300s is a folder: the output needs another name", path);
    if ((fd < 0 && (errno != ENOENT || number >= 0)) || (fd >= 0 && fstat(fd, &old) != 0)) {
        failed(f, e);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    f->as_it_is = number >= 0 || (fd >= 0 && !S_ISREG(old.st_mode));
    if (f->as_it_is)
        return fd;
    if (fd >= 0)
        close(fd);
    int replaces = fd >= 0;
    fd = open_nameless(f, mode);
    if (fd < 0) {
        if (asprintf(&f->part, "%s.part", f->path) < 0)
            f->part = NULL;
        fd = f->part ? open_part(f, mode, e) : error_set(e, "out of memory for a file name");
    }
    if (fd >= 0 && replaces) {
        if (fchown(fd, old.st_uid, old.st_gid) != 0)
            errno = 0; // it is ours then
        fchmod(fd, old.st_mode & 0777);
    }
    return fd;
}

int file_create(struct file *f, const char *path, unsigned flags, struct error *e)
{
    struct stat st;
    *f = (struct file){.flags = flags};
    if (flags & FILE_NEW && descriptor(path) < 0 && lstat(path, &st) == 0)
        return error_set(e, "%.300s exists; give a name that does not", path);
    f->path = follow(path);
    if (!f->path)
        return error_set(e, "can't write %.300s: %s", path, strerror(errno));
    int fd = open_output(f, path, e);
    f->stream = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (f->stream)
        return 0;
    if (fd >= 0) {
        failed(f, e);
        close(fd);
    }
    free(f->part);
    free(f->path);
    return -1;
}

static int flush(struct file *f, int to_disk, struct error *e)
{
    errno = 0;
    if (fflush(f->stream) == 0 && !ferror(f->stream) &&
        (!to_disk || f->as_it_is || fsync(fileno(f->stream)) == 0))
        return 0;
    errno = errno ? errno : EIO;
    return failed(f, e);
}

int file_sync(struct file *f, struct error *e)
{
    return flush(f, 1, e);
}

// Without a name: under it where nothing is there, else beside it and over it.
static int name_nameless(const struct file *f)
{
    char from[64], *beside = NULL;
    snprintf(from, sizeof from, "/proc/self/fd/%d", fileno(f->stream));
    int rc = linkat(AT_FDCWD, from, AT_FDCWD, f->path, AT_SYMLINK_FOLLOW);
    if (rc == 0 || errno != EEXIST || f->flags & FILE_NEW)
        return rc;
    const char *slash = strrchr(f->path, '/');
    if (asprintf(&beside, "%.*s.ssltop-%ld", slash ? (int)(slash - f->path) + 1 : 0, f->path,
                 (long)getpid()) < 0)
        return -1;
    unlink(beside); // of a process that died between these lines
    rc = linkat(AT_FDCWD, from, AT_FDCWD, beside, AT_SYMLINK_FOLLOW);
    if (rc == 0 && (rc = rename(beside, f->path)) != 0) {
        int why = errno;
        unlink(beside);
        errno = why;
    }
    free(beside);
    return rc;
}

static int give_name(const struct file *f)
{
    if (!f->part)
        return name_nameless(f);
    if (!(f->flags & FILE_NEW))
        return rename(f->part, f->path);
    int rc = renameat2(AT_FDCWD, f->part, AT_FDCWD, f->path, RENAME_NOREPLACE);
    if (rc != 0 && errno == EINVAL && (rc = link(f->part, f->path)) == 0) // not every file system
        unlink(f->part);
    return rc;
}

int file_finish(struct file *f, int rc, struct error *e)
{
    // A file system that needs PATH.part may be a server's, which tells of a full disk only when it
    // is asked.
    int to_disk = f->flags & FILE_DURABLE || f->part;
    if (rc == 0)
        rc = flush(f, to_disk, e);
    if (rc == 0 && !f->as_it_is && give_name(f) != 0)
        rc = failed(f, e);
    if (fclose(f->stream) != 0 && rc == 0)
        rc = failed(f, e);
    int folder = rc == 0 && to_disk && !f->as_it_is ? open_folder(f->path, O_RDONLY, 0) : -1;
    if (folder >= 0) {
        fsync(folder); // not every file system can
        close(folder);
    }
    if (rc != 0 && f->part && !(f->flags & FILE_RESUME))
        unlink(f->part);
    free(f->part);
    free(f->path);
    return rc;
}
