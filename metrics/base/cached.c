// Files of the user's cache; see cached.h.
#include "metrics/base/cached.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct path cached_path(const char *name)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && xdg[0] == '/')
        return path_of("%s/ssltop/%s", xdg, name);
    if (home && home[0] == '/')
        return path_of("%s/.cache/ssltop/%s", home, name);
    return path_of("%s", "");
}

int cached_folder(const char *path, struct error *e)
{
    struct path folder = path_folder(path);
    folder.s[strlen(folder.s) - 1] = '\0'; // its slash
    struct path around = path_folder(folder.s);
    if ((mkdir(around.s, 0700) < 0 && errno != EEXIST) ||
        (mkdir(folder.s, 0700) < 0 && errno != EEXIST))
        return error_set(e, "%s: %s", folder.s, strerror(errno));
    return 0;
}

char *cached_read(const char *path, size_t most, size_t *n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // not to wait at a pipe
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!f && fd >= 0)
        close(fd);
    char *text = f ? malloc(most + 1) : NULL;
    *n = text ? fread(text, 1, most + 1, f) : 0;
    if (text && (ferror(f) || *n > most || memchr(text, '\0', *n))) {
        free(text);
        text = NULL;
    }
    if (text)
        text[*n] = '\0';
    if (f)
        fclose(f);
    return text;
}
