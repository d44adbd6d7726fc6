// A tensor's bytes lie in the file as an array's do: they are mapped, not read.
#include "tui/cli/features_file.h"

#include <stdio.h>
#include <string.h>

#include "metrics/base/path.h"
#include "train/store/safetensors.h"

#define ENDING ".safetensors"

enum { NAMES = 240 };

// Integers, too, of which a checkpoint has none but counters.
static int type_of(const struct safetensors *f, const struct tensor *t, enum npy_type *type)
{
    static const struct {
        const char *dtype;
        enum npy_type type;
    } row[] = {{"F16", NPY_F16}, {"BF16", NPY_BF16}, {"F32", NPY_F32}, {"F64", NPY_F64},
               {"BOOL", NPY_U8}, {"I8", NPY_I8},     {"U8", NPY_U8},   {"I16", NPY_I16},
               {"U16", NPY_U16}, {"I32", NPY_I32},   {"U32", NPY_U32}, {"I64", NPY_I64},
               {"U64", NPY_U64}};
    const char *dtype = safetensors_dtype(f, t);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (strcmp(row[i].dtype, dtype) == 0) {
            *type = row[i].type;
            return 1;
        }
    return 0;
}

static void list(const struct safetensors *f, char names[NAMES])
{
    size_t used = 0;
    names[0] = '\0';
    for (size_t i = 0; i < safetensors_count(f); i++) {
        const char *name = safetensors_at(f, i)->name;
        if (used + strlen(name) + sizeof ", ..." >= NAMES) {
            snprintf(names + used, NAMES - used, ", ...");
            return;
        }
        used += (size_t)snprintf(names + used, NAMES - used, "%s%s", i ? ", " : "", name);
    }
}

// The tensor of this name, or the only one; NULL with the reason.
static const struct tensor *choose(const struct safetensors *f, const char *file, const char *name,
                                   struct error *e)
{
    char names[NAMES];
    const struct tensor *t = *name                       ? safetensors_find(f, name)
                             : safetensors_count(f) == 1 ? safetensors_at(f, 0)
                                                         : NULL;
    if (t)
        return t;
    list(f, names);
    if (*name)
        error_set(e, "%.200s holds no tensor of that name, but %s", file, names);
    else
        error_set(e,
                  "%.200s holds %zu tensors: %s; put a colon and the name of one behind the file's",
                  file, safetensors_count(f), names);
    return NULL;
}

// Where the tensors begin: behind the header and its length.
static int begin(const char *file, uint64_t *at, struct error *e)
{
    unsigned char length[8];
    FILE *f = fopen(file, "rbe");
    size_t n = f ? fread(length, 1, sizeof length, f) : 0;
    if (f)
        fclose(f);
    if (n != sizeof length)
        return error_set(e, "%.300s can't be read again", file);
    *at = 0;
    for (int i = 8; i-- > 0;)
        *at = *at << 8 | length[i];
    *at += sizeof length;
    return 0;
}

static int open_tensor(const char *file, const char *name, struct npy *out, struct error *e)
{
    struct safetensors *f;
    enum npy_type type = NPY_F32;
    uint64_t at = 0;
    if (safetensors_open(file, &f, e) < 0)
        return -1;
    const struct tensor *t = choose(f, file, name, e);
    int rc = t ? begin(file, &at, e) : -1;
    if (rc == 0 && !type_of(f, t, &type))
        rc = error_set(e,
                       "%.200s: the numbers of %.80s are of the type %.20s, which is not read: "
                       "save them as float32",
                       file, t->name, safetensors_dtype(f, t));
    if (rc == 0 && t->ndim != 2)
        rc = error_set(e, "%.200s: %.80s has %d dimension%s; 2 (samples x features) are possible",
                       file, t->name, t->ndim, t->ndim == 1 ? "" : "s");
    if (rc == 0)
        rc = npy_open_at(file, at + t->offset, type, t->dim[0], t->dim[1], out, e);
    safetensors_close(f);
    return rc;
}

int features_file_open(const char *path, struct npy *out, struct error *e)
{
    const char *end = strstr(path, ENDING ":");
    size_t n = strlen(path), ending = strlen(ENDING);
    memset(out, 0, sizeof *out);
    if (end)
        return open_tensor(path_of("%.*s" ENDING, (int)(end - path), path).s,
                           end + strlen(ENDING ":"), out, e);
    if (n > ending && strcmp(path + n - ending, ENDING) == 0)
        return open_tensor(path, "", out, e);
    return npy_open(path, out, e);
}
