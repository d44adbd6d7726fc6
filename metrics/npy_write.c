// Writing .npy, version 1.0.
#include <stdlib.h>
#include <string.h>

#include "metrics/base/file.h"
#include "metrics/npy.h"

enum { ALIGN = 64, ITEM = 4 };

struct npy_writer {
    struct file file;
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
    if (fwrite(magic, 1, 8, w->file.stream) == 8 && fwrite(count, 1, 2, w->file.stream) == 2 &&
        fwrite(text, 1, (size_t)length, w->file.stream) == (size_t)length)
        return 0;
    return file_failed(&w->file, e);
}

int npy_create(const char *path, int64_t n, int64_t d, struct npy_writer **out, struct error *e)
{
    *out = NULL;
    struct npy_writer *w = calloc(1, sizeof *w);
    if (!w)
        return error_memory(e, "an array's file");
    int rc = 0;
    if (n < 0 || d < 0 || __builtin_mul_overflow((size_t)n, d ? (size_t)d : 1, &w->wanted))
        rc = error_set(e, "an array of %lld x %lld cannot be", (long long)n, (long long)d);
    if (rc == 0)
        rc = file_create(&w->file, path, FILE_DURABLE, e);
    if (rc < 0) {
        free(w);
        return -1;
    }
    if (header(w, n, d, e) < 0) {
        npy_abandon(w);
        return -1;
    }
    *out = w;
    return 0;
}

int npy_write(struct npy_writer *w, const void *items, size_t count, struct error *e)
{
    if (fwrite(items, ITEM, count, w->file.stream) != count)
        return file_failed(&w->file, e);
    w->written += count;
    return 0;
}

int npy_sync(struct npy_writer *w, struct error *e)
{
    return file_sync(&w->file, e);
}

int npy_finish(struct npy_writer *w, struct error *e)
{
    int rc = w->written == w->wanted ? 0
                                     : error_set(e, "%zu numbers were announced and %zu written",
                                                 w->wanted, w->written);
    rc = file_finish(&w->file, rc, e);
    free(w);
    return rc;
}

void npy_abandon(struct npy_writer *w)
{
    if (w)
        file_finish(&w->file, -1, NULL);
    free(w);
}
