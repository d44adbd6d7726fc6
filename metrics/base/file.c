// The kernel decides what may be written, by opening it: links in folders that others may write are
// followed, or not, by its rules. A file without a name is gone however the program ends; it is
// given one by a link, or beside the old file and then over it.
#include "metrics/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/output.h"

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

int file_is_plain(const char *path)
{
    struct stat st;
    return descriptor(path) < 0 && (stat(path, &st) != 0 || S_ISREG(st.st_mode));
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

// Where links lead, the last of which may lead to nothing yet. -1: in circles.
static int follow(const char *path, struct path *at)
{
    *at = path_of("%s", path);
    for (int i = 0; i < LINKS_MAX; i++) {
        char to[PATH_MAX];
        ssize_t n = descriptor(at->s) < 0 ? readlink(at->s, to, sizeof to) : -1;
        if (n < 0)
            return 0;
        *at = path_of("%s%.*s", *to == '/' ? "" : path_folder(at->s).s, (int)n, to);
    }
    errno = ELOOP;
    return -1;
}

int file_apart(const char *a, const char *b, struct error *e)
{
    struct path at[2];
    const char *const name[] = {a, b};
    struct stat st;
    int one = descriptor(a) >= 0 && descriptor(a) == descriptor(b);
    for (int i = 0; i < 2 && !one; i++) {
        if (descriptor(name[i]) >= 0 || follow(name[i], &at[i]) < 0)
            return 0;
        // By its folder: what will be written is not there yet.
        char *folder = realpath(path_folder(at[i].s).s, NULL), *file = strrchr(at[i].s, '/');
        at[i] = path_of("%s/%s", folder ? folder : "", file ? file + 1 : at[i].s);
        free(folder);
    }
    if (!one && (strcmp(at[0].s, at[1].s) != 0 ||
                 (stat(at[0].s, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))))
        return 0;
    return error_set(e, "%.200s and %.200s are one file: one of them needs another name", a, b);
}

const char *file_scratch_folder(void)
{
    const char *named = getenv("TMPDIR");
    return named && *named == '/' ? named : "/tmp";
}

// With a name for a moment where the file system has no files without.
int file_scratch(void)
{
    int fd = open(file_scratch_folder(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        struct path name = path_of("%s/ssltop-XXXXXX", file_scratch_folder());
        fd = mkostemp(name.s, O_CLOEXEC);
        if (fd >= 0)
            unlink(name.s);
    }
    return fd;
}

int file_failed(const struct file *f, struct error *e)
{
    const char *name = file_is_standard(f->path.s) ? "standard output" : f->path.s;
    if (f->target >= 0 && !f->made)
        return error_system(e, "can't write %.300s, which is made in %.300s first", name,
                            file_scratch_folder());
    return error_system(e, "can't write %.300s", name);
}

static int in_the_way(const struct file *f, const char *why, struct error *e)
{
    return error_set(e, "can't write %.300s: %.300s %s", f->path.s, f->part.s, why);
}

// Opening and locking are two steps, and between them another process may finish: hence a second
// look at the name when the lock is held.
static int open_part(struct file *f, mode_t mode, struct error *e)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat ours, there;
    f->part = path_of("%s.part", f->path.s);
    for (int i = 0; i < TRIES; i++) {
        int fd = open(f->part.s, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, mode);
        if (fd < 0 && errno == ELOOP)
            in_the_way(f, "is a link", e);
        else if (fd < 0)
            file_failed(f, e);
        else if (fstat(fd, &ours) != 0 || !S_ISREG(ours.st_mode))
            in_the_way(f, "is not a file", e);
        else if (fcntl(fd, F_OFD_SETLK, &lock) != 0)
            in_the_way(f,
                       errno == EAGAIN || errno == EACCES ? "is being written by another process"
                                                          : "can't be locked",
                       e);
        else if (lstat(f->part.s, &there) == 0 && ours.st_dev == there.st_dev &&
                 ours.st_ino == there.st_ino)
            return fd;
        else {
            close(fd);
            continue;
        }
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return in_the_way(f, "is always another file", e);
}

// What is there is somebody's own, or is being written.
static int open_beside(struct file *f, mode_t mode, struct error *e)
{
    for (int i = 0; i < TRIES; i++) {
        f->part = i ? path_of("%s.part%d", f->path.s, i) : path_of("%s.part", f->path.s);
        int fd = open(f->part.s, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (fd >= 0)
            return fd;
        if (errno != EEXIST)
            return file_failed(f, e);
    }
    return in_the_way(f, "and all before it are there", e);
}

static int open_nameless(const struct file *f, mode_t mode)
{
    // It gets its name through there.
    if (f->flags & FILE_RESUME || access("/proc/self/fd", X_OK) != 0)
        return -1;
    return open(path_folder(f->path.s).s, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
}

// Why nothing takes the place of a file that may be written: it is mounted alone, as containers do,
// or one of others in a folder like /tmp. Not a full disk: writing over it would damage it.
static int of_others(int why)
{
    return why == EBUSY || why == EACCES || why == EPERM || why == EROFS;
}

static int open_output(struct file *f, const char *path, struct error *e)
{
    struct stat old = {0};
    int number = descriptor(f->path.s);
    mode_t mode = f->flags & FILE_PRIVATE ? 0600 : 0666;
    if (number == STDOUT_FILENO)
        fflush(stdout);
    if (f->flags & FILE_RESUME && !(f->flags & FILE_ANYWHERE) && stat(path, &old) == 0 &&
        !S_ISREG(old.st_mode) && !S_ISDIR(old.st_mode))
        return error_set(e, "%.300s is not a file: the output needs another name", path);
    int fd = number >= 0 ? fcntl(number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
                         : open(f->path.s, O_WRONLY | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && errno == EISDIR)
        return error_set(e, "%.300s is a folder: the output needs another name", path);
    if (fd < 0 && errno == ENXIO && stat(f->path.s, &old) == 0 && S_ISSOCK(old.st_mode))
        return error_set(e, "%.300s is a socket: the output needs another name", path);
    if ((fd < 0 && (errno != ENOENT || number >= 0)) || (fd >= 0 && fstat(fd, &old) != 0)) {
        file_failed(f, e);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    f->as_it_is = number >= 0 || (fd >= 0 && !S_ISREG(old.st_mode));
    if (f->as_it_is)
        return fd;
    int there = fd;
    fd = open_nameless(f, mode);
    if (fd < 0)
        fd = f->flags & FILE_RESUME ? open_part(f, mode, e) : open_beside(f, mode, e);
    if (fd < 0 && there >= 0 && of_others(errno) && !(f->flags & FILE_RESUME)) {
        // Nothing can be made beside it: it is written over in the end.
        f->part.s[0] = '\0';
        f->as_it_is = 1;
        f->flags |= FILE_ANYWHERE;
        return there;
    }
    if (fd >= 0 && there >= 0) {
        if (fchown(fd, old.st_uid, old.st_gid) != 0)
            errno = 0; // it is ours then
        fchmod(fd, old.st_mode & 0777);
    }
    if (there >= 0)
        close(there);
    return fd;
}

static FILE *open_scratch(void)
{
    int fd = file_scratch();
    return fd >= 0 ? fdopen(fd, "w+") : NULL;
}

int file_create(struct file *f, const char *path, unsigned flags, struct error *e)
{
    struct stat st;
    *f = (struct file){.flags = flags, .target = -1};
    if (flags & FILE_NEW && descriptor(path) < 0 && lstat(path, &st) == 0)
        return error_set(e, "%.300s exists; give a name that does not", path);
    if (follow(path, &f->path) < 0)
        return error_system(e, "can't write %.300s", path);
    int fd = open_output(f, path, e);
    f->target = fd >= 0 && f->as_it_is && f->flags & FILE_ANYWHERE ? fd : -1;
    f->stream = f->target >= 0 ? open_scratch() : fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!f->stream && errno == EINVAL)
        errno = EBADF; // a descriptor that is open for reading only
    if (f->stream)
        return 0;
    if (fd >= 0) {
        file_failed(f, e);
        close(fd);
    }
    return -1;
}

// What was written so far into what is written as it is. A file is no longer than it then.
static int copy_out(const struct file *f, int to)
{
    char block[1 << 16];
    struct stat st;
    ssize_t n;
    off_t at = 0;
    int plain = descriptor(f->path.s) < 0 && fstat(to, &st) == 0 && S_ISREG(st.st_mode);
    // What is there stays as it is where the new has no room.
    if (plain && fstat(fileno(f->stream), &st) == 0 &&
        fallocate(to, FALLOC_FL_KEEP_SIZE, 0, st.st_size ? st.st_size : 1) != 0 &&
        (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
        return -1;
    for (; (n = pread(fileno(f->stream), block, sizeof block, at)) > 0; at += n)
        for (ssize_t put, done = 0; done < n; done += put)
            if ((put = write(to, block + done, (size_t)(n - done))) < 0)
                return -1;
    if (n < 0 || !plain)
        return n < 0 ? -1 : 0;
    return ftruncate(to, at) != 0 || (f->flags & FILE_DURABLE && fsync(to) != 0) ? -1 : 0;
}

// Where nothing can take the place of what is there, it is written over.
static int write_over(const struct file *f)
{
    int why = errno;
    struct stat st;
    int fd = f->flags & FILE_NEW || !of_others(why)
                 ? -1
                 : open(f->path.s, O_WRONLY | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0)
            close(fd);
        errno = why;
        return -1;
    }
    int rc = copy_out(f, fd);
    why = errno;
    if (close(fd) != 0 && rc == 0)
        return -1;
    if (rc == 0 && f->part.s[0])
        unlink(f->part.s);
    errno = why;
    return rc;
}

static int flush(struct file *f, int to_disk, struct error *e)
{
    if (output_flush(f->stream) == 0 && (!to_disk || f->as_it_is || fsync(fileno(f->stream)) == 0))
        return 0;
    errno = errno ? errno : EIO;
    return file_failed(f, e);
}

int file_sync(struct file *f, struct error *e)
{
    return flush(f, 1, e);
}

// Without a name: under it where nothing is there, else beside it and over it.
static int name_nameless(const struct file *f)
{
    struct path from = path_of("/proc/self/fd/%d", fileno(f->stream));
    int rc = linkat(AT_FDCWD, from.s, AT_FDCWD, f->path.s, AT_SYMLINK_FOLLOW);
    if (rc == 0 || errno != EEXIST || f->flags & FILE_NEW)
        return rc;
    // By its thread: another may be replacing another file of this folder.
    struct path beside = path_of("%s.ssltop-%ld", path_folder(f->path.s).s, (long)gettid());
    unlink(beside.s); // of a process that died between these lines
    rc = linkat(AT_FDCWD, from.s, AT_FDCWD, beside.s, AT_SYMLINK_FOLLOW);
    if (rc == 0 && (rc = rename(beside.s, f->path.s)) != 0) {
        int why = errno;
        unlink(beside.s);
        errno = why;
    }
    return rc;
}

static int give_name(const struct file *f)
{
    if (!f->part.s[0])
        return name_nameless(f);
    if (!(f->flags & FILE_NEW))
        return rename(f->part.s, f->path.s);
    int rc = renameat2(AT_FDCWD, f->part.s, AT_FDCWD, f->path.s, RENAME_NOREPLACE);
    if (rc != 0 && errno == EINVAL &&
        (rc = link(f->part.s, f->path.s)) == 0) // not every file system
        unlink(f->part.s);
    return rc;
}

int file_finish(struct file *f, int rc, struct error *e)
{
    // A file system that needs PATH.part may be a server's, which tells of a full disk only when it
    // is asked.
    int to_disk = f->flags & FILE_DURABLE || f->part.s[0];
    if (rc == 0)
        rc = flush(f, to_disk, e);
    f->made = 1;
    if (rc == 0 && (f->target >= 0 ? copy_out(f, f->target)
                    : f->as_it_is  ? 0
                                   : give_name(f) != 0 && write_over(f)) != 0)
        rc = file_failed(f, e);
    if (f->target >= 0 && close(f->target) != 0 && rc == 0)
        rc = file_failed(f, e);
    if (fclose(f->stream) != 0 && rc == 0)
        rc = file_failed(f, e);
    int folder = rc == 0 && to_disk && !f->as_it_is
                     ? open(path_folder(f->path.s).s, O_RDONLY | O_CLOEXEC)
                     : -1;
    if (folder >= 0) {
        fsync(folder); // not every file system can
        close(folder);
    }
    if (rc != 0 && f->part.s[0] && !(f->flags & FILE_RESUME))
        unlink(f->part.s);
    return rc;
}

size_t file_read_at(int fd, void *to, size_t n, uint64_t at)
{
    size_t have = 0;
    while (have < n) {
        ssize_t got = pread(fd, (char *)to + have, n - have, (off_t)(at + have));
        if (got < 0 && errno == EINTR)
            continue;
        errno = got ? errno : 0;
        if (got <= 0)
            break;
        have += (size_t)got;
    }
    return have;
}

size_t file_write_at(int fd, const void *from, size_t n, uint64_t at)
{
    size_t done = 0;
    while (done < n) {
        ssize_t put = pwrite(fd, (const char *)from + done, n - done, (off_t)(at + done));
        if (put < 0 && errno == EINTR)
            continue;
        errno = put ? errno : ENOSPC;
        if (put <= 0)
            break;
        done += (size_t)put;
    }
    return done;
}
