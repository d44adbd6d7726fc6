// Finds and loads ssltop-cuda.so: where SSLTOP_CUDA says, beside the program, or where `make
// install` puts it. It stays loaded until the process ends: its libraries do not survive being
// unloaded.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/path.h"

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

const struct backend *backend_cuda(struct error *e)
{
    const char *set = getenv("SSLTOP_CUDA");
    if (set && set[0])
        return load(set, e);
    struct path beside = path_of("%s" LIBRARY, path_folder(path_program().s).s);
    if (beside.s[0] == '/' && access(beside.s, R_OK) == 0)
        return load(beside.s, e);
    if (access(SSLTOP_PREFIX "/lib/ssltop/" LIBRARY, R_OK) == 0)
        return load(SSLTOP_PREFIX "/lib/ssltop/" LIBRARY, e);
    error_set(e, LIBRARY " is neither beside the program nor in " SSLTOP_PREFIX
                         "/lib/ssltop: this ssltop was built without the CUDA device");
    return NULL;
}
