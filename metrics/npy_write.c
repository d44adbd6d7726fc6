// Writing .npy, version 1.0: under a temporary name until all is there, so that nobody finds half a
// file under the name that was asked for.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/npy.h"

enum { ALIGN = 64, ITEM = 4 };

struct npy_writer {
    FILE *f;
    char *path, *temporary;
    size_t wanted, written; // items
};

static int header(const struct npy_writer *w, int64_t n, int64_t d, struct error *e)
{
    char text[4 * ALIGN];
    static const char magic[] = "\x93NUMPY\x01\x00";
    int used =
        d ? snprintf(text, sizeof text,
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }",
                     (long long)n, (long long)d)
          : snprintf(text, sizeof text,
                     "{'descr': '<i4', 'fortran_order': False, 'shape': (%lld,), }", (long long)n);
    // Magic, length, text and newline together are a multiple of ALIGN.
    int length = (10 + used + 1 + ALIGN - 1) / ALIGN * ALIGN - 10;
    memset(text + used, ' ', (size_t)(length - used));
    text[length - 1] = '\n';
    unsigned char count[2] = {(unsigned char)(length & 255), (unsigned char)(length >> 8)};
    if (fwrite(magic, 1, 8, w->f) == 8 && fwrite(count, 1, 2, w->f) == 2 &&
        fwrite(text, 1, (size_t)length, w->f) == (size_t)length)
        return 0;
    return error_set(e, "%.300s: %s", w->path, strerror(errno));
}

// The names and the file. `temporary` is set only once the file exists and is ours to remove.
static int open_file(struct npy_writer *w, const char *path, struct error *e)
{
    char *name = NULL;
    w->path = strdup(path);
    if (!w->path || asprintf(&name, "%s.part", path) < 0)
        return error_set(e, "out of memory for a file name");
    w->f = fopen(name, "wbe");
    if (w->f) {
        w->temporary = name;
        return 0;
    }
    error_set(e, "%.300s cannot be written: %s", name, strerror(errno));
    free(name);
    return -1;
}

int npy_create(const char *path, int64_t n, int64_t d, struct npy_writer **out, struct error *e)
{
    *out = NULL;
    struct npy_writer *w = calloc(1, sizeof *w);
    if (!w)
        return error_set(e, "out of memory for an array's file");
    int rc = 0;
    if (n < 0 || d < 0 || __builtin_mul_overflow((size_t)n, d ? (size_t)d : 1, &w->wanted))
        rc = error_set(e, "an array of %lld x %lld cannot be", (long long)n, (long long)d);
    if (rc == 0 && (open_file(w, path, e) < 0 || header(w, n, d, e) < 0))
        rc = -1;
    if (rc == 0)
        *out = w;
    else
        npy_abandon(w);
    return rc;
}

int npy_write(struct npy_writer *w, const void *items, size_t count, struct error *e)
{
    if (fwrite(items, ITEM, count, w->f) != count)
        return error_set(e, "%.300s: %s", w->temporary, strerror(errno));
    w->written += count;
    return 0;
}

int npy_finish(struct npy_writer *w, struct error *e)
{
    int rc = 0;
    if (w->written != w->wanted)
        rc = error_set(e, "%.300s: %zu numbers were announced and %zu written", w->path, w->wanted,
                       w->written);
    else if (fflush(w->f) != 0 || fsync(fileno(w->f)) < 0)
        rc = error_set(e, "%.300s: %s", w->temporary, strerror(errno));
    if (fclose(w->f) != 0 && rc == 0)
        rc = error_set(e, "%.300s: %s", w->temporary, strerror(errno));
    w->f = NULL;
    if (rc == 0 && rename(w->temporary, w->path) < 0)
        rc = error_set(e, "%.300s: %s", w->path, strerror(errno));
    if (rc == 0) {
        free(w->temporary);
        w->temporary = NULL;
    }
    npy_abandon(w);
    return rc;
}

void npy_abandon(struct npy_writer *w)
{
    if (!w)
        return;
    if (w->f)
        fclose(w->f);
    if (w->temporary)
        unlink(w->temporary);
    free(w->temporary);
    free(w->path);
    free(w);
}
