// Run folders on disk. The lock is flock's: it goes with the process, however it dies.
#include "train/store/surrogate_file.h"
#include "train/store/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/path.h"
#include "metrics/base/text.h"
#include "metrics/base/clock.h"
#include "metrics/base/file.h"
#include "metrics/base/memory.h"
#include "train/store/checkpoint.h"
#include "train/store/probe_file.h"

enum { LOCK_TRIES = 20, LOCK_WAIT_MS = 10, TRAINER_LOG_ROOM = 8192 };

static int join(char *out, size_t size, const char *dir, const char *name, struct error *e)
{
    if (snprintf(out, size, "%s/%s", dir, name) >= (int)size)
        return error_set(e, "%s: the path is too long", dir);
    return 0;
}

// ---------------------------------------------------------------- the lock

// Get the lock; "ssltop runs" may look at it for an instant, so a few tries.
static int acquire_lock(int fd)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return -1;
        poll(NULL, 0, LOCK_WAIT_MS);
    }
    errno = EWOULDBLOCK;
    return -1;
}

int rundir_alive(const char *path)
{
    int fd = open(path_of("%s/lock", path).s, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -1;
    int rc = flock(fd, LOCK_SH | LOCK_NB), why = errno;
    close(fd);
    errno = why;
    return rc == 0 ? 0 : why == EWOULDBLOCK ? 1 : -1;
}

// Whether the lock that is held is the one that has this name: who held it before may have removed
// it with its folder, or given the folder its name.
static int is_there(int fd, const char *lock)
{
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && lstat(lock, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

static int open_folder(struct rundir *d, struct error *e)
{
    d->folder_fd = open(d->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return d->folder_fd < 0 ? error_system(e, "can't use %s", d->path) : 0;
}

static int lock_folder(struct rundir *d, struct error *e)
{
    char pasted[300];
    d->lock_fd =
        open(path_of("%s/lock", d->path).s, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock_fd < 0)
        return error_system(e, "can't write in %s", d->path);
    if (acquire_lock(d->lock_fd) == 0)
        return 0;
    int why = errno;
    text_quote(pasted, sizeof pasted, d->name);
    if (why == EWOULDBLOCK)
        return error_set(
            e, "%s is locked: another trainer is running it; watch it with ssltop attach %s",
            d->path, pasted);
    return error_number(e, why, "can't lock %s", d->path);
}

// ---------------------------------------------------------------- making it

static void open_trainer_log(struct rundir *d)
{
    d->trainer_log_fd = open(path_of("%s/trainer.log", d->path).s,
                             O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    // Room for what there will be to say when the disk is full. Not every file system can; then
    // there is none.
    if (d->trainer_log_fd >= 0) {
        off_t end = lseek(d->trainer_log_fd, 0, SEEK_END);
        if (end >= 0 &&
            fallocate(d->trainer_log_fd, FALLOC_FL_KEEP_SIZE, end, TRAINER_LOG_ROOM) < 0)
            errno = 0;
    }
}

static int write_config(const struct rundir *d, const struct options *o, struct error *e)
{
    struct file out;
    if (file_create(&out, path_of("%s/config.ini", d->path).s,
                    FILE_PRIVATE | FILE_NEW | FILE_DURABLE, e) < 0)
        return -1;
    options_write_file(o, out.stream);
    return file_finish(&out, 0, e);
}

int rundir_check(const char *runs, const char *name, struct error *e)
{
    struct path path = path_of("%s/%s", runs, name);
    char pasted[300];
    struct stat st;
    if (stat(runs, &st) == 0) {
        if (!S_ISDIR(st.st_mode))
            return error_set(e, "%s is not a folder: no run can be kept there", runs);
        if (access(runs, W_OK | X_OK) < 0)
            return error_system(e, "can't write in %s", runs);
    } else if (errno != ENOENT) {
        return error_system(e, "can't use %s for runs", runs);
    }
    if (!*name)
        return 0;
    if (lstat(path.s, &st) != 0)
        return 0;
    if (!path_is_file(path_of("%s/run.jsonl.zst", path.s).s))
        return error_set(e, "%s exists already and is no run: choose another --name", path.s);
    text_quote(pasted, sizeof pasted, name);
    return error_set(e, "%s exists already: choose another --name, or go on with it: --resume %s",
                     path.s, pasted);
}

// Date, time and data set.
static void find_name(const char *data, int attempt, char *name, size_t size)
{
    enum { SET = 64 };
    char stamp[CLOCK_TEXT];
    size_t n = strcspn(data, ":");
    while (n && data[n - 1] == '/')
        n--;
    const char *set = data + n; // others name their data by its path
    while (set > data && set[-1] != '/')
        set--;
    n -= (size_t)(set - data);
    if (!n)
        set = "run", n = strlen(set);
    clock_stamp(stamp);
    int whole = snprintf(name, size, "%s-%.*s", stamp, (int)(n < SET ? n : SET), set);
    if (attempt && whole > 0 && (size_t)whole < size)
        snprintf(name + whole, size - (size_t)whole, "-%d", attempt + 1);
}

static const char *const own_names[] = {"config.ini", "trainer.log",   "run.jsonl.zst",
                                        "control",    CHECKPOINT_BEST, SURROGATE_FILE,
                                        "lock",       PROBE_FILE};
enum { OWN_NAMES = sizeof own_names / sizeof *own_names, MADE_BY_START = OWN_NAMES - 2 };

int rundir_owns(const char *path)
{
    const char *name = strrchr(path, '/');
    struct path folder = path_folder(path);
    name = name ? name + 1 : path;
    int own = checkpoint_step(name) >= 0;
    for (size_t i = 0; i < OWN_NAMES; i++)
        own |= strcmp(name, own_names[i]) == 0;
    return own && access(path_of("%slock", folder.s).s, F_OK) == 0 &&
           access(path_of("%srun.jsonl.zst", folder.s).s, F_OK) == 0;
}

// What a start has written so far. Only for who holds the lock in this folder.
static void clear_folder(const char *dir)
{
    rundir_sweep(dir);
    rundir_drop_after(dir, -1);
    for (size_t i = 0; i < MADE_BY_START; i++)
        unlink(path_of("%s/%s", dir, own_names[i]).s);
}

static void remove_folder(const char *dir)
{
    clear_folder(dir);
    unlink(path_of("%s/lock", dir).s);
    rmdir(dir);
}

// The hidden folder of this name belongs to who holds the lock in it, whoever made it: a trainer
// that was killed while it started leaves one. 1: it is another's; 2: it went away meanwhile.
static int make_hidden(struct rundir *d, struct error *e)
{
    char hidden[300];
    snprintf(hidden, sizeof hidden, ".%s.new", d->name);
    if (join(d->path, sizeof d->path, d->runs, hidden, e) < 0)
        return -1;
    struct path lock = path_of("%s/lock", d->path);
    if (mkdir(d->path, 0700) == 0 || errno == EEXIST)
        d->lock_fd = open(lock.s, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (d->lock_fd < 0)
        return errno == ENOENT
                   ? 2
                   : error_system(e, "can't make the run folder %s/%s", d->runs, d->name);
    int rc = 0;
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) < 0)
        rc = errno == EWOULDBLOCK ? 1 : error_system(e, "can't lock %s", lock.s);
    else if (!is_there(d->lock_fd, lock.s))
        rc = 2;
    else if (rundir_check(d->runs, d->name, NULL) < 0) { // it was given its name just before
        remove_folder(d->path);
        rc = 2;
    }
    if (rc == 0) {
        clear_folder(d->path);
        d->made = 1;
        return open_folder(d, e);
    }
    close(d->lock_fd);
    d->lock_fd = -1;
    return rc;
}

// However many trainers start at once, each gets a folder of its own.
static int make_folder(struct rundir *d, const char *name, const char *data, struct error *e)
{
    enum { ATTEMPTS = 1000 };
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (mkdir(d->runs, 0777) == 0)
            d->made_runs = 1;
        else if (errno != EEXIST)
            return error_system(e, "can't make the folder %s", d->runs);
        if (*name)
            snprintf(d->name, sizeof d->name, "%s", name);
        else
            find_name(data, attempt, d->name, sizeof d->name);
        if (rundir_check(d->runs, "", e) < 0)
            return -1;
        if (rundir_check(d->runs, d->name, *name ? e : NULL) < 0) {
            if (*name)
                return -1;
            continue;
        }
        int rc = make_hidden(d, e);
        if (rc <= 0)
            return rc;
        if (rc == 1 && *name)
            return error_set(e, "another trainer is just starting %s in %s", d->name, d->runs);
    }
    return error_set(e, "no name is left for a run in %s", d->runs);
}

int rundir_publish(struct rundir *d, struct error *e)
{
    char path[sizeof d->path];
    if (join(path, sizeof path, d->runs, d->name, e) < 0)
        return -1;
    int rc = renameat2(AT_FDCWD, d->path, AT_FDCWD, path, RENAME_NOREPLACE);
    if (rc < 0 && (errno == EINVAL || errno == ENOSYS)) // not every file system can
        rc = rundir_check(d->runs, d->name, e) < 0 ? -1 : rename(d->path, path);
    if (rc < 0 && errno == EEXIST)
        return rundir_check(d->runs, d->name, e);
    if (rc < 0)
        return error_system(e, "can't make the run folder %s", path);
    memcpy(d->path, path, sizeof d->path);
    int fd = open(d->runs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    return 0;
}

static void rundir_zero(struct rundir *d)
{
    memset(d, 0, sizeof *d);
    d->folder_fd = d->lock_fd = d->trainer_log_fd = -1;
}

int rundir_create(struct rundir *d, const char *runs, const char *name, const char *data,
                  const struct options *o, struct error *e)
{
    rundir_zero(d);
    snprintf(d->runs, sizeof d->runs, "%s", runs);
    if (make_folder(d, name, data, e) < 0 || (o && write_config(d, o, e) < 0)) {
        rundir_discard(d);
        return -1;
    }
    open_trainer_log(d);
    return 0;
}

int rundir_open(struct rundir *d, const char *path, struct error *e)
{
    rundir_zero(d);
    if (snprintf(d->path, sizeof d->path, "%s", path) >= (int)sizeof d->path)
        return error_set(e, "the path of the run is too long");
    size_t n = strlen(d->path);
    while (n > 1 && d->path[n - 1] == '/')
        d->path[--n] = '\0';
    const char *slash = strrchr(d->path, '/');
    snprintf(d->name, sizeof d->name, "%.255s", slash ? slash + 1 : d->path);
    if (lock_folder(d, e) < 0 || open_folder(d, e) < 0) {
        rundir_close(d);
        return -1;
    }
    open_trainer_log(d);
    return 0;
}

// Another lock than the one that is held keeps nobody out.
static int hold_again(struct rundir *d, struct error *e)
{
    struct path lock = path_of("%s/lock", d->path);
    if (is_there(d->lock_fd, lock.s))
        return 0;
    int fd = open(lock.s, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return 0; // nor can another trainer make it
    if (acquire_lock(fd) == 0) {
        close(d->lock_fd);
        d->lock_fd = fd;
        return 0;
    }
    int taken = errno == EWOULDBLOCK;
    close(fd);
    return taken ? error_set(e, "its lock was removed and another trainer runs it now") : 0;
}

int rundir_follow(struct rundir *d, struct error *e)
{
    struct path at = path_of("%s", d->path);
    int rc = path_follow(d->folder_fd, &at);
    if (rc == PATH_REMOVED) {
        error_set(e, "its folder is removed: nothing more of it can be kept");
        return RUNDIR_LOST;
    }
    if (rc < 0 && errno != ENOENT)
        return error_system(e, "its folder %s can't be reached", d->path);
    if (rc < 0 || strlen(at.s) >= sizeof d->path)
        return error_set(e, "its folder is no longer %s", d->path);
    snprintf(d->path, sizeof d->path, "%s", at.s);
    return hold_again(d, e) < 0 ? RUNDIR_LOST : rc;
}

void rundir_close(struct rundir *d)
{
    if (d->folder_fd >= 0)
        close(d->folder_fd);
    if (d->trainer_log_fd >= 0)
        close(d->trainer_log_fd);
    if (d->lock_fd >= 0)
        close(d->lock_fd);
    d->trainer_log_fd = d->lock_fd = d->folder_fd = -1;
}

void rundir_discard(struct rundir *d)
{
    if (d->made)
        remove_folder(d->path);
    if (d->made_runs)
        rmdir(d->runs); // refuses when somebody else put something there meanwhile
    rundir_close(d);
    d->made = d->made_runs = 0;
}

// ---------------------------------------------------------------- checkpoints

static int by_step(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int rundir_checkpoints(const char *path, int64_t **step, size_t *n, struct error *e)
{
    size_t cap = 0;
    DIR *d = opendir(path);
    *step = NULL;
    *n = 0;
    if (!d)
        return error_system(e, "can't read %s", path);
    for (struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        int64_t s = checkpoint_step(entry->d_name);
        if (s < 0)
            continue;
        if (memory_grow(*step, cap, *n + 1) < 0) {
            free(*step);
            closedir(d);
            *step = NULL;
            *n = 0;
            return error_memory(e, "a list of checkpoints");
        }
        (*step)[(*n)++] = s;
    }
    closedir(d);
    if (*n)
        qsort(*step, *n, sizeof **step, by_step);
    return 0;
}

static void remove_checkpoint(const char *dir, int64_t step)
{
    char name[64];
    checkpoint_name(step, name, sizeof name);
    unlink(path_of("%s/%s", dir, name).s);
}

static int is_switch(const struct schedule *s, int64_t step)
{
    for (int i = 1; i < s->n; i++)
        if (s->entry[i].from == step)
            return 1;
    return 0;
}

void rundir_prune(const char *path, int keep, const struct schedule *s, int64_t start)
{
    int64_t *step;
    size_t n;
    if (rundir_checkpoints(path, &step, &n, NULL) < 0)
        return;
    for (size_t i = n; i-- > 0;) {
        if (step[i] == start || is_switch(s, step[i]))
            continue;
        if (keep > 0)
            keep--;
        else
            remove_checkpoint(path, step[i]);
    }
    free(step);
}

void rundir_drop_after(const char *path, int64_t step)
{
    int64_t *all;
    size_t n;
    if (rundir_checkpoints(path, &all, &n, NULL) < 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (all[i] > step)
            remove_checkpoint(path, all[i]);
    free(all);
    if (rundir_best(path) > step)
        unlink(path_of("%s/" CHECKPOINT_BEST, path).s);
}

int64_t rundir_best(const char *path)
{
    struct checkpoint c;
    if (checkpoint_read(path_of("%s/" CHECKPOINT_BEST, path).s, &c, NULL) < 0)
        return -1;
    int64_t step = c.step;
    checkpoint_free(&c);
    return step;
}

int rundir_link_best(const char *path, int64_t step)
{
    char name[64];
    checkpoint_name(step, name, sizeof name);
    struct path best = path_of("%s/" CHECKPOINT_BEST, path), part = path_of("%s.part", best.s);
    unlink(part.s);
    if (link(path_of("%s/%s", path, name).s, part.s) < 0)
        return -1;
    if (rename(part.s, best.s) < 0) {
        unlink(part.s);
        return -1;
    }
    unlink(part.s); // where both were one file already, rename leaves both names
    return 0;
}

void rundir_sweep(const char *path)
{
    DIR *d = opendir(path);
    if (!d)
        return;
    for (struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        // ".tmp" is what versions before this one left.
        const char *dot = strrchr(entry->d_name, '.');
        int temporary =
            dot && (strncmp(dot, ".part", 5) == 0 || strcmp(dot, ".tmp") == 0) &&
            (strncmp(entry->d_name, "ckpt-", 5) == 0 || strncmp(entry->d_name, "best.", 5) == 0 ||
             strncmp(entry->d_name, "surrogates.", 11) == 0 ||
             strncmp(entry->d_name, "control.", 8) == 0);
        if (temporary)
            unlink(path_of("%s/%s", path, entry->d_name).s);
    }
    closedir(d);
}
