// The loader says which library is missing; that one is found, loaded, and the loader asked again:
// a library that is loaded already is taken by its name wherever it came from. So nothing here
// knows what the device needs, nor of which version.
#include "gpu/vendor.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/path.h"

#define MACHINE  "/targets/*-linux/lib"
#define PACKAGES "/nvidia/*/lib"

// A variable of one or more folders, separated by colons, and what to look for below each; without
// a variable a folder itself.
static const struct place {
    const char *variable, *below;
} places[] = {
    {"CUDA", "/lib64"},
    {"CUDA", "/lib"},
    {"CUDA", MACHINE},
    {"CUDA", "/*/lib"}, // a folder of Python packages
    {"CUDNN", "/lib64"},
    {"CUDNN", "/lib"},
    {"CUDA_HOME", "/lib64"},
    {"CUDA_PATH", "/lib64"},
    {"CONDA_PREFIX", "/lib"},
    {"CONDA_PREFIX", MACHINE},
    {"PYTHONPATH", PACKAGES},
    {"VIRTUAL_ENV", "/lib/python3*/site-packages" PACKAGES},
    {"PATH", "/../lib/python3*/site-packages" PACKAGES}, // bin beside lib
    {"PATH", "/../lib/python3*/dist-packages" PACKAGES},
    {"HOME", "/.local/lib/python3*/site-packages" PACKAGES},
    {NULL, "/usr/local/cuda/lib64"},
    {NULL, "/usr/local/cuda" MACHINE},
    {NULL, "/usr/local/cuda-*/lib64"},
    {NULL, "/opt/cuda/lib64"},
    {NULL, "/usr/lib/cuda/lib64"},
};

// How deep libraries that need libraries are followed, and how many one of them may lack.
enum { DEPTH = 6, LACKING = 16 };

static void *open_at(const char *path, int depth, char *why, size_t size);

// The first library of this name below `folder` that can be loaded.
static void *try_folder(const char *folder, size_t length, const char *below, const char *name,
                        int depth)
{
    char why[256];
    glob_t found;
    void *library = NULL;
    struct path pattern = path_of("%.*s%s/%s", (int)length, folder, below, name);
    if (glob(pattern.s, GLOB_NOSORT, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc && !library; i++)
            library = open_at(found.gl_pathv[i], depth + 1, why, sizeof why);
    globfree(&found);
    return library;
}

static void *try_place(const struct place *p, const char *name, int depth)
{
    const char *at = p->variable ? getenv(p->variable) : "";
    void *library = NULL;
    while (at && !library) {
        size_t length = strcspn(at, ":");
        if (!p->variable || *at == '/') // nothing of the folder that somebody stands in
            library = try_folder(at, length, p->below, name, depth);
        at = at[length] ? at + length + 1 : NULL;
    }
    return library;
}

static void *look_for(const char *name, int depth)
{
    void *found = NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places && !found; i++)
        found = try_place(&places[i], name, depth);
    return found;
}

// "NAME: cannot open shared object file: ...": the name, where it is not that of `path` itself.
static int is_lacking(const char *why, const char *path, char *name, size_t size)
{
    static const char says[] = ": cannot open shared object file";
    const char *end = strstr(why, says);
    size_t length = end ? (size_t)(end - why) : 0;
    if (!length || length >= size || memchr(why, '/', length))
        return 0;
    memcpy(name, why, length);
    name[length] = '\0';
    return strcmp(name, path) != 0 && !strpbrk(name, "*?[\\");
}

static void *open_at(const char *path, int depth, char *why, size_t size)
{
    char name[128], last[128] = "";
    for (int i = 0;; i++) {
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (library)
            return library;
        const char *said = dlerror();
        strncpy(why, said ? said : "no reason is given", size - 1);
        why[size - 1] = '\0';
        if (i == LACKING || depth == DEPTH || !is_lacking(why, path, name, sizeof name) ||
            strcmp(name, last) == 0)
            return NULL;
        strcpy(last, name);
        if (!look_for(name, depth))
            return NULL;
    }
}

void *vendor_open(const char *path, struct error *e)
{
    char why[256], name[128];
    void *library = open_at(path, 0, why, sizeof why);
    if (library)
        return library;
    int lacks = is_lacking(why, path, name, sizeof name);
    error_set(e, "%.250s%s", why, lacks ? " (CUDA=/path names a toolkit that has it)" : "");
    return NULL;
}

void *vendor_find(const char *name, struct error *e)
{
    char why[256];
    void *library = open_at(name, 0, why, sizeof why);
    if (!library && !strchr(name, '/'))
        library = look_for(name, 0);
    if (!library)
        error_set(e, "%.250s", why);
    return library;
}
