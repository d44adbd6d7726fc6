// Files in memory under /proc/self/fd, and a folder that is emptied before every use.
#include "tests/fuzz/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/log/runlog.h"
#include "tests/fuzz/targets.h"

static struct {
    int fd[FOREIGN_FILES]; // 0: none yet
    char path[FOREIGN_FILES][32];
    char folder[PATH_MAX];
    pid_t pid; // whose folder it is
} foreign;

int foreign_fd(int place)
{
    if (!foreign.fd[place]) {
        foreign.fd[place] = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        fuzz_require(foreign.fd[place] > 0);
        snprintf(foreign.path[place], sizeof foreign.path[place], "/proc/self/fd/%d",
                 foreign.fd[place]);
    }
    fuzz_require(ftruncate(foreign.fd[place], 0) == 0 &&
                 lseek(foreign.fd[place], 0, SEEK_SET) == 0);
    return foreign.fd[place];
}

static void put(int fd, const void *data, size_t n)
{
    for (const char *p = data; n > 0;) {
        ssize_t done = write(fd, p, n);
        fuzz_require(done > 0 || (done < 0 && errno == EINTR));
        p += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
}

const char *foreign_path(int place)
{
    return foreign.path[place];
}

const char *foreign_file(int place, const void *data, size_t n)
{
    put(foreign_fd(place), data, n);
    return foreign.path[place];
}

const char *foreign_folder(void)
{
    if (foreign.pid != getpid()) {
        const char *in = getenv("FUZZ_TMP");
        foreign.pid = getpid();
        snprintf(foreign.folder, sizeof foreign.folder, "%s/ssltop-fuzz-XXXXXX", in ? in : "/tmp");
        fuzz_require(mkdtemp(foreign.folder));
    }
    return foreign.folder;
}

void foreign_put(const char *name, const void *data, size_t n)
{
    char path[PATH_MAX + 256];
    snprintf(path, sizeof path, "%s/%s", foreign_folder(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    fuzz_require(fd >= 0);
    put(fd, data, n);
    close(fd);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    return at->level ? remove(path) : 0;
}

void foreign_clear(void)
{
    if (foreign.pid == getpid())
        nftw(foreign.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void foreign_close(void)
{
    foreign_clear();
    if (foreign.pid == getpid())
        rmdir(foreign.folder);
    foreign.pid = 0;
}

const char *foreign_log(int place, struct input text, int every, int closed)
{
    struct runlog_writer *w;
    char line[4096];
    int fd = foreign_fd(place);
    fuzz_require(runlog_create_in(fd, &w, NULL) == 0);
    for (int n = 1; input_line(&text, line, sizeof line); n++) {
        if (*line)
            fuzz_require(runlog_write(w, line, strlen(line), NULL) == 0);
        if (n % every == 0)
            fuzz_require(runlog_flush(w, 0, NULL) == 0);
    }
    fuzz_require(runlog_flush(w, 0, NULL) == 0);
    off_t end = lseek(fd, 0, SEEK_END);
    fuzz_require(runlog_close(w, NULL) == 0);
    if (!closed)
        fuzz_require(ftruncate(fd, end) == 0);
    return foreign_path(place);
}
