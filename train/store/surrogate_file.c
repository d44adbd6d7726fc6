// Every size is checked before memory is taken by its word, and every number before it is used.
#include "train/store/surrogate_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/file.h"
#include "train/store/safetensors.h"

enum { TENSORS = 3 + SURROGATE_KINDS };

static void add(struct tensor_source *t, size_t *n, const char *name, const double *data,
                int64_t rows, int64_t columns)
{
    struct tensor_source *s = &t[(*n)++];
    snprintf(s->name, sizeof s->name, "%s", name);
    s->dtype = DTYPE_F64;
    s->data = data;
    s->ndim = columns ? 2 : 1;
    s->dim[0] = rows;
    s->dim[1] = columns;
}

static void centre_name(int kind, char *name, size_t size)
{
    snprintf(name, size, "centre.%d", surrogate_clusters[kind]);
}

int surrogate_file_write(const char *path, const struct surrogate *s, uint32_t crc, struct error *e)
{
    struct tensor_source t[TENSORS] = {0};
    struct file out;
    size_t n = 0;
    char text[16], name[24];
    snprintf(text, sizeof text, "%08" PRIx32, crc);
    const struct metadata meta[] = {{"ssltop", "surrogate"}, {"data_crc", text}};
    add(t, &n, "mean", s->mean, s->pixels, 0);
    if (s->components) {
        add(t, &n, "component", s->component, s->components, s->pixels);
        add(t, &n, "variance", s->variance, s->components, 0);
    }
    for (int k = 0; k < SURROGATE_KINDS; k++)
        if (s->components && s->clusters[k]) {
            centre_name(k, name, sizeof name);
            add(t, &n, name, s->centre[k], s->clusters[k], s->components);
        }
    if (file_create(&out, path, FILE_PRIVATE | FILE_DURABLE, e) < 0)
        return -1;
    int rc = safetensors_write(out.stream, t, n, meta, sizeof meta / sizeof *meta, NULL, NULL, e);
    return file_finish(&out, rc, e);
}

// ---------------------------------------------------------------- reading

static int take(struct safetensors *f, const char *name, double *out, int64_t rows, int64_t columns,
                struct error *e)
{
    const struct tensor *t = safetensors_find(f, name);
    size_t n = (size_t)rows * (size_t)(columns ? columns : 1);
    if (!t || t->dtype != DTYPE_F64 || t->ndim != (columns ? 2 : 1) || t->dim[0] != rows ||
        (columns && t->dim[1] != columns))
        return error_set(e, "%s is missing or of another shape", name);
    if (safetensors_doubles(f, t, out, n, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(out[i]))
            return error_set(e, "%s holds a number that is not finite", name);
    return 0;
}

static int take_all(struct safetensors *f, struct surrogate *s, struct error *e)
{
    char name[24];
    if (take(f, "mean", s->mean, s->pixels, 0, e) < 0)
        return -1;
    if (s->components && (take(f, "component", s->component, s->components, s->pixels, e) < 0 ||
                          take(f, "variance", s->variance, s->components, 0, e) < 0))
        return -1;
    for (int k = 0; k < SURROGATE_KINDS; k++) {
        centre_name(k, name, sizeof name);
        if (s->clusters[k] && take(f, name, s->centre[k], s->clusters[k], s->components, e) < 0)
            return -1;
    }
    return 0;
}

static int read_open(struct safetensors *f, int pixels, uint32_t crc, struct surrogate *out,
                     struct error *e)
{
    char text[16], name[24];
    const char *told = safetensors_meta(f, "data_crc");
    const struct tensor *t = safetensors_find(f, "component");
    int clusters[SURROGATE_KINDS];
    int64_t components = t && t->ndim == 2 ? t->dim[0] : 0;
    snprintf(text, sizeof text, "%08" PRIx32, crc);
    if (!told || strcmp(told, text) != 0)
        return error_set(e, "it is not for these data");
    if (components < 0 || components > SURROGATE_COMPONENTS)
        return error_set(e, "component is of another shape");
    for (int k = 0; k < SURROGATE_KINDS; k++) {
        centre_name(k, name, sizeof name);
        clusters[k] = components && safetensors_find(f, name) ? surrogate_clusters[k] : 0;
    }
    if (surrogate_init(out, pixels, (int)components, clusters, e) < 0)
        return -1;
    int rc = take_all(f, out, e);
    if (rc < 0)
        surrogate_free(out);
    return rc;
}

int surrogate_file_read(const char *path, int pixels, uint32_t crc, struct surrogate *out,
                        struct error *e)
{
    struct safetensors *f;
    memset(out, 0, sizeof *out);
    if (access(path, F_OK) < 0)
        return 1;
    if (safetensors_open(path, &f, e) < 0)
        return -1;
    int rc = read_open(f, pixels, crc, out, e);
    safetensors_close(f);
    return rc < 0 ? error_prefix(e, "%s", path) : 0;
}
