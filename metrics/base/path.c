// The kernel takes PATH_MAX bytes with the NUL: what had to be cut here has one more.
#include "metrics/base/path.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct path path_of(const char *fmt, ...)
{
    struct path p = {""};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p.s, sizeof p.s, fmt, ap);
    va_end(ap);
    return p;
}

int path_is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

struct path path_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? path_of("%.*s", (int)(slash - path) + 1, path) : path_of("./");
}

static int is_folder(const char *path, const struct stat *folder)
{
    struct stat there;
    return stat(path, &there) == 0 && there.st_dev == folder->st_dev &&
           there.st_ino == folder->st_ino;
}

int path_follow(int fd, struct path *path)
{
    struct stat folder;
    struct path now = {""};
    if (fstat(fd, &folder) != 0)
        return -1;
    if (is_folder(path->s, &folder))
        return 0;
    if (folder.st_nlink == 0)
        return PATH_REMOVED;
    if (readlink(path_of("/proc/self/fd/%d", fd).s, now.s, sizeof now.s - 1) < 0 ||
        !is_folder(now.s, &folder)) {
        struct stat st;
        errno = stat(path->s, &st) == 0 ? ENOENT : errno; // another
        return -1;
    }
    *path = now;
    return 1;
}

struct path path_home(const char *path)
{
    char name[64];
    size_t n = strcspn(path, "/");
    if (*path != '~' || n > sizeof name)
        return path_of("%s", path);
    snprintf(name, sizeof name, "%.*s", (int)n - 1, path + 1);
    const char *home = *name ? NULL : getenv("HOME");
    const struct passwd *user = *name ? getpwnam(name) : home ? NULL : getpwuid(getuid());
    home = user ? user->pw_dir : home;
    return home ? path_of("%s%s", home, path + n) : path_of("%s", path);
}

struct path path_program(void)
{
    struct path p = {""};
    ssize_t n = readlink("/proc/self/exe", p.s, sizeof p.s - 1);
    p.s[n > 0 ? n : 0] = '\0';
    return p;
}

struct path path_library(const char *name)
{
    static const char *const places[] = {"", "../lib/ssltop/"};
    struct path here = path_folder(path_program().s);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct path file = path_of("%s%s%s", here.s, places[i], name);
        if (file.s[0] == '/' && access(file.s, R_OK) == 0)
            return file;
    }
    return path_of("%s", "");
}

// A copied tree, a package and an archive unpacked anywhere all work: the program looks from where
// it lies itself.
int path_installed(const char *variable, const char *kind, struct path folder[PATH_INSTALLED])
{
    const char *set = getenv(variable);
    if (set && *set) {
        folder[0] = path_of("%s", set);
        return 1;
    }
    struct path here = path_folder(path_program().s);
    folder[0] = path_of("%sdata/%s", here.s, kind);
    folder[1] = path_of("%s../share/ssltop/%s", here.s, kind);
    return PATH_INSTALLED;
}

static struct path of_user(const char *variable, const char *otherwise, const char *name)
{
    const char *set = getenv(variable), *home = getenv("HOME");
    if (set && set[0] == '/')
        return path_of("%s/ssltop/%s", set, name);
    if (home && home[0] == '/')
        return path_of("%s/%s/ssltop/%s", home, otherwise, name);
    return path_of("%s", "");
}

struct path path_cache(const char *name)
{
    return of_user("XDG_CACHE_HOME", ".cache", name);
}

struct path path_config(const char *name)
{
    return of_user("XDG_CONFIG_HOME", ".config", name);
}

int path_make_folder(const char *path, struct error *e)
{
    struct path folder = path_folder(path);
    folder.s[strlen(folder.s) - 1] = '\0'; // its slash
    struct path around = path_folder(folder.s);
    if ((mkdir(around.s, 0700) < 0 && errno != EEXIST) ||
        (mkdir(folder.s, 0700) < 0 && errno != EEXIST))
        return error_system(e, "%s", folder.s);
    return 0;
}
