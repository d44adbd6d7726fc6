// The kernel takes PATH_MAX bytes with the NUL: what had to be cut here has one more.
#include "metrics/base/path.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
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

struct path path_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? path_of("%.*s", (int)(slash - path) + 1, path) : path_of("./");
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
