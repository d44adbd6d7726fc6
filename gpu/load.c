// Finds and loads ssltop-cuda.so: where SSLTOP_CUDA says, beside the program, or where `make
// install` puts it. It stays loaded until the process ends: its libraries do not survive being
// unloaded.
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpu/backend.h"

#define LIBRARY "ssltop-cuda.so"

static const struct backend *load(const char *path, struct error *e)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        error_set(e, "%s cannot be loaded: %.300s", LIBRARY, why ? why : "no reason is given");
        return NULL;
    }
    backend_entry *entry;
    void *symbol = dlsym(library, BACKEND_SYMBOL);
    memcpy(&entry, &symbol, sizeof entry); // ISO C has no cast from object to function
    const struct backend *b = symbol ? entry(BACKEND_ABI) : NULL;
    if (!b)
        error_set(e, "%.300s belongs to another version of ssltop", path);
    return b;
}

// "DIRECTORY/ssltop-cuda.so" when that can be read. 1: yes.
static int there(char *path, size_t size, const char *directory)
{
    int n = snprintf(path, size, "%s/" LIBRARY, directory);
    return n > 0 && (size_t)n < size && access(path, R_OK) == 0;
}

const struct backend *backend_cuda(struct error *e)
{
    char self[PATH_MAX], path[PATH_MAX];
    const char *set = getenv("SSLTOP_CUDA");
    if (set && set[0])
        return load(set, e);
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    if ((slash && there(path, sizeof path, self)) ||
        there(path, sizeof path, SSLTOP_PREFIX "/lib/ssltop"))
        return load(path, e);
    error_set(e, LIBRARY " is neither beside the program nor in " SSLTOP_PREFIX
                         "/lib/ssltop: this ssltop was built without the CUDA device");
    return NULL;
}
