// The place of the control sockets. Run folders are often on network disks and their paths too long
// for a socket, so sockets lie in the user's runtime folder, or in a private folder under /tmp that
// is checked before it is trusted.
#include "train/wire/socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "metrics/base/file.h"
#include "metrics/base/path.h"

enum { NAME_ROOM = 32 }; // "/4194304-89abcdef.sock" and its NUL

int socket_peer_is_mine(int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
        return 0;
    return peer.uid == geteuid() || peer.uid == 0;
}

// Make the folder if need be; it must be a real folder, ours, and closed to others.
static int private_folder(const char *path, struct error *e)
{
    struct stat st;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_system(e,
                            "can't make %s for the control socket, which XDG_RUNTIME_DIR can "
                            "put elsewhere",
                            path);
    if (lstat(path, &st) < 0)
        return error_system(e, "can't use %s for the control socket", path);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
        return error_set(e,
                         "%s is not a folder of mode 0700 that belongs to this user: where it is "
                         "another's, XDG_RUNTIME_DIR can name one that is",
                         path);
    return 0;
}

static int choose_folder(char *dir, size_t size, struct error *e)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (runtime && runtime[0] == '/') {
        int n = snprintf(dir, size, "%s/ssltop", runtime);
        if (n > 0 && (size_t)n < size && private_folder(dir, NULL) == 0 && access(dir, W_OK) == 0)
            return 0;
    }
    snprintf(dir, size, "/tmp/ssltop-%u", (unsigned)geteuid());
    return private_folder(dir, e);
}

// Remove sockets left by killed trainers. A living one is listening before its name ends in .sock,
// so a refused connection means that nobody is there.
static void sweep(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return;
    for (struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        size_t len = strlen(entry->d_name);
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        if (len < 5 || strcmp(entry->d_name + len - 5, ".sock") != 0 ||
            snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", dir, entry->d_name) >=
                (int)sizeof a.sun_path)
            continue;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            break;
        if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0 && errno == ECONNREFUSED)
            unlink(a.sun_path);
        close(fd);
    }
    closedir(d);
}

// Bind and listen under a first name, then take the final one.
static int bind_listen(int fd, const char *path, struct error *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (snprintf(a.sun_path, sizeof a.sun_path, "%.*s.new", (int)(strlen(path) - 5), path) >=
        (int)sizeof a.sun_path)
        return error_set(e, "%s is too long for a socket", path);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
        return error_system(e, "can't make the control socket %s", path);
    if (chmod(a.sun_path, 0600) < 0 || listen(fd, 16) < 0 || rename(a.sun_path, path) < 0) {
        error_system(e, "can't make the control socket %s", path);
        unlink(a.sun_path);
        return -1;
    }
    return 0;
}

int socket_listen(char *path, size_t size, struct error *e)
{
    char dir[sizeof((struct sockaddr_un *)0)->sun_path - NAME_ROOM];
    uint32_t tag = 0;

    if (choose_folder(dir, sizeof dir, e) < 0)
        return -1;
    sweep(dir);
    if (getrandom(&tag, sizeof tag, 0) != sizeof tag)
        return error_system(e, "no random number for the control socket");
    if (snprintf(path, size, "%s/%d-%08x.sock", dir, (int)getpid(), (unsigned)tag) >= (int)size)
        return error_set(e, "the path of the control socket is too long");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_system(e, "no control socket");
    if (bind_listen(fd, path, e) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int socket_tell(const char *run_dir, const char *path, struct error *e)
{
    struct path control = path_of("%s/control", run_dir);
    struct file out;
    struct stat st;
    if (lstat(control.s, &st) == 0 && !S_ISREG(st.st_mode))
        unlink(control.s); // it would be followed, or waited for
    if (file_create(&out, control.s, FILE_PRIVATE, e) < 0)
        return -1;
    fprintf(out.stream, "%s\n", path);
    return file_finish(&out, 0, e);
}

int socket_is_told(const char *run_dir, const char *path)
{
    char told[sizeof((struct sockaddr_un *)0)->sun_path + 32] = "";
    int fd = open(path_of("%s/control", run_dir).s, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, told, sizeof told - 1);
    if (fd >= 0)
        close(fd);
    size_t length = strlen(path);
    return n == (ssize_t)length + 1 && strncmp(told, path, length) == 0 && told[length] == '\n';
}

// The folder may have become another's meanwhile.
void socket_remove(const char *run_dir, const char *path)
{
    if (socket_is_told(run_dir, path))
        unlink(path_of("%s/control", run_dir).s);
    unlink(path);
}
