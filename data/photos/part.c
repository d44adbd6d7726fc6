// Opening and locking are two steps, and between them another process may finish: hence a second
// look at the name when the lock is held.
#include "data/photos/part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 100 };

// Renaming would fail, or replace what is no file, when all is done.
static int check_target(const char *path, struct error *e)
{
    struct stat st;
    if (stat(path, &st) != 0 || S_ISREG(st.st_mode))
        return 0;
    return error_set(e, "%.300s %s: a packed file needs another name", path,
                     S_ISDIR(st.st_mode) ? "is a folder" : "is not a file");
}

int part_claim(int fd, const char *name, struct error *e)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat ours, there;
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0)
        return errno == EAGAIN || errno == EACCES
                   ? error_set(e, "%.300s is being written by another process", name)
                   : error_set(e, "cannot lock %.300s: %s", name, strerror(errno));
    if (fstat(fd, &ours) != 0)
        return error_set(e, "cannot look at %.300s: %s", name, strerror(errno));
    if (stat(name, &there) != 0 || ours.st_dev != there.st_dev || ours.st_ino != there.st_ino)
        return 0;
    return S_ISREG(ours.st_mode) ? 1 : error_set(e, "%.300s is not a file", name);
}

int part_open(const char *path, char **name, struct error *e)
{
    *name = NULL;
    if (check_target(path, e) < 0)
        return -1;
    char *part = NULL;
    if (asprintf(&part, "%s.part", path) < 0)
        return error_set(e, "out of memory for a name");
    int fd = -1, rc = 0;
    for (int i = 0; i < TRIES && rc == 0; i++) {
        if (fd >= 0)
            close(fd);
        fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        rc = fd >= 0 ? part_claim(fd, part, e)
                     : error_set(e, "cannot write %.300s: %s", part, strerror(errno));
    }
    if (rc > 0) {
        *name = part;
        return fd;
    }
    if (rc == 0)
        error_set(e, "%.300s is always another file", part);
    if (fd >= 0)
        close(fd);
    free(part);
    return -1;
}

int part_finish(int fd, const char *name, const char *path, struct error *e)
{
    if (fsync(fd) != 0)
        return error_set(e, "cannot write %.300s: %s", name, strerror(errno));
    if (rename(name, path) != 0)
        return error_set(e, "cannot rename %.200s to %.200s: %s", name, path, strerror(errno));
    return 0;
}
