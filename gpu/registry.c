// A loaded kind is looked for where its variable says, else where libraries of ours are.
#include "gpu/registry.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/cpu/cpu.h"
#include "gpu/vendor.h"
#include "metrics/base/path.h"

static const struct row {
    struct device_kind kind;
    const struct backend *built; // into the program, or NULL:
    const char *library, *variable, *driver, *title;
} rows[] = {
    {{"cpu", "cpu", 16, 128}, .built = &cpu_backend},
    {{"cuda", "cuda, cuda:N, cuda:sm_90", 64, 512},
     .library = "ssltop-cuda.so",
     .variable = "SSLTOP_CUDA",
     .driver = "libcuda.so.1",
     .title = "CUDA"},
};
enum { ROWS = sizeof rows / sizeof *rows };

const struct device_kind *registry_kind(int i)
{
    return i >= 0 && i < ROWS ? &rows[i].kind : NULL;
}

static const struct row *row_of(const struct device_kind *k)
{
    return (const struct row *)k; // it begins with it
}

// The path that the user has set, or NULL.
static const char *told(const struct row *r)
{
    const char *path = r->variable ? getenv(r->variable) : NULL;
    return path && path[0] ? path : NULL;
}

int registry_expected(const struct device_kind *k)
{
    const struct row *r = row_of(k);
    return r->built || getenv(r->variable) || dlopen(r->driver, RTLD_LAZY | RTLD_LOCAL);
}

static const struct backend *load(const struct row *r, const char *path, struct error *e)
{
    struct error why;
    void *library = vendor_open(path, &why);
    if (!library) {
        error_set(e, "%s cannot be loaded: %.320s", r->library, why.text);
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

const struct backend *registry_backend(const struct device_kind *k, struct error *e)
{
    const struct row *r = row_of(k);
    if (r->built)
        return r->built;
    if (told(r))
        return load(r, told(r), e);
    struct path file = path_library(r->library);
    if (file.s[0])
        return load(r, file.s, e);
    error_set(e,
              "%s is neither beside the program nor in the lib/ssltop of its installation: this "
              "ssltop was built without the %s device",
              r->library, r->title);
    return NULL;
}
