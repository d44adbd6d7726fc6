// Reading .npy: a magic, a version, the length of a header, a header that is the text of a Python
// dictionary, then the numbers. The format: NumPy Enhancement Proposal 1 and numpy.lib.format.
#include "metrics/npy.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "metrics/base/path.h"
#include "metrics/base/text.h"
#include "metrics/npz.h"
#include "metrics/base/other_file.h"

enum { MAGIC = 6, HEADER_MAX = 1 << 16, D_MOST = 1 << 30 };

static const unsigned char magic[MAGIC] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

// ---------------------------------------------------------------- the header

// The text of the dictionary, of which `at` .. `end` is still to be read.
struct header {
    const char *at, *end;
};

static void skip_space(struct header *h)
{
    while (h->at < h->end && strchr(" \t\n\r", *h->at) && *h->at)
        h->at++;
}

static int take(struct header *h, char c)
{
    skip_space(h);
    if (h->at == h->end || *h->at != c)
        return 0;
    h->at++;
    return 1;
}

// A quoted text without escapes into text[size].
static int take_text(struct header *h, char *text, size_t size)
{
    skip_space(h);
    if (h->at == h->end || (*h->at != '\'' && *h->at != '"'))
        return 0;
    const char *end = memchr(h->at + 1, *h->at, (size_t)(h->end - h->at - 1));
    if (!end || (size_t)(end - h->at - 1) >= size || memchr(h->at, '\\', (size_t)(end - h->at)))
        return 0;
    text_copy(text, size, h->at + 1, (size_t)(end - h->at - 1));
    h->at = end + 1;
    return 1;
}

static int take_word(struct header *h, const char *word)
{
    size_t n = strlen(word);
    skip_space(h);
    if ((size_t)(h->end - h->at) < n || memcmp(h->at, word, n) != 0)
        return 0;
    h->at += n;
    return 1;
}

static int take_number(struct header *h, int64_t *out)
{
    skip_space(h);
    const char *first = h->at;
    int64_t v = 0;
    for (; h->at < h->end && *h->at >= '0' && *h->at <= '9'; h->at++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *h->at - '0', &v))
            return 0;
    take_word(h, "L"); // as Python 2 wrote long integers
    *out = v;
    return h->at > first;
}

// "(3, 4)", "(3,)", "()": numbers beyond the second are counted only.
static int take_shape(struct header *h, int *ndim, int64_t dim[2])
{
    int64_t v;
    *ndim = 0;
    if (!take(h, '('))
        return 0;
    while (!take(h, ')')) {
        if (!take_number(h, &v) || *ndim == 64)
            return 0;
        if (*ndim < 2)
            dim[*ndim] = v;
        (*ndim)++;
        if (!take(h, ','))
            return take(h, ')');
    }
    return 1;
}

// "<f4" and its like.
static int take_type(struct npy *a, struct header *h, struct error *e)
{
    char text[64], clean[64];
    skip_space(h);
    if (h->at < h->end && *h->at == '[')
        return error_set(e, "holds structures, not numbers");
    if (!take_text(h, text, sizeof text))
        return error_set(e, "has a header that has no readable 'descr'");
    text_clean(clean, sizeof clean, text);
    if (strchr(text, 'O'))
        return error_set(e, "holds Python objects ('%.20s'), not numbers: save it as float32",
                         clean);
    if (npy_type_find(text, &a->type, &a->swapped)) {
        a->untyped = text[1] == 'V';
        return 0;
    }
    return error_set(
        e,
        "holds numbers of type '%.20s'; floats of 16 to 64 bits, bfloat16 and integers "
        "are possible",
        clean);
}

static int parse_header(struct npy *a, const char *text, size_t n, struct error *e)
{
    struct header h = {text, text + n};
    int64_t dim[2] = {0, 0};
    int seen = 0, ndim = 0;
    char key[32];
    if (!take(&h, '{'))
        return error_set(e, "has a header that is not a dictionary");
    for (int more = !take(&h, '}'); more;) {
        if (!take_text(&h, key, sizeof key) || !take(&h, ':'))
            return error_set(e, "has a header that is not a dictionary");
        if (strcmp(key, "descr") == 0) {
            if (take_type(a, &h, e) < 0)
                return -1;
            seen |= 1;
        } else if (strcmp(key, "fortran_order") == 0) {
            a->fortran = take_word(&h, "True");
            if (!a->fortran && !take_word(&h, "False"))
                return error_set(
                    e, "has a header that says neither True nor False to 'fortran_order'");
            seen |= 2;
        } else if (strcmp(key, "shape") == 0) {
            if (!take_shape(&h, &ndim, dim))
                return error_set(e, "has a header that has no readable 'shape'");
            seen |= 4;
        } else {
            return error_set(e, "has a header that has an unknown key");
        }
        int comma = take(&h, ','), end = take(&h, '}');
        if (!comma && !end)
            return error_set(e, "has a header that is not a dictionary");
        more = !end;
    }
    skip_space(&h);
    if (seen != 7 || h.at != h.end)
        return error_set(e, "has a header that lacks a key or goes on behind its end");
    if (ndim < 1 || ndim > 2)
        return error_set(e,
                         "has %d dimensions; 2 (samples x features) or 1 (singular values) are "
                         "possible: in Python, x.reshape(len(x), -1)",
                         ndim);
    a->ndim = ndim;
    a->n = dim[0];
    a->d = ndim == 2 ? dim[1] : 1;
    return 0;
}

// Where the header's text begins and how long it is, from magic and version.
static int find_header(const unsigned char *p, size_t size, size_t *begin, size_t *n,
                       struct error *e)
{
    int is = size >= MAGIC && memcmp(p, magic, MAGIC) == 0;
    const char *other = is ? NULL : other_file(p, size);
    if (!is || size < MAGIC + 2)
        return error_set(
            e, "is not a .npy file: its first bytes are not \\x93NUMPY%s%s%s", other ? "; it " : "",
            other == other_file_text ? "is a text"
            : other                  ? other
                                     : "",
            other == other_file_text
                ? ": in Python, numpy.save(NEW, numpy.loadtxt(FILE)) makes numbers of it"
            : other == other_file_torch
                ? ": in Python, numpy.save(NEW, torch.load(FILE).numpy()) writes a tensor"
                : "");
    int major = p[MAGIC];
    if (major < 1 || major > 3)
        return error_set(e, "has format version %d.%d; 1.0 to 3.0 are known", major, p[MAGIC + 1]);
    *begin = MAGIC + 2 + (major == 1 ? 2 : 4);
    if (size < *begin)
        return error_set(e, "ends at byte %zu, inside its header", size);
    *n = p[8] | (size_t)p[9] << 8;
    if (major > 1)
        *n |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (*n > size - *begin)
        return error_set(e, "ends at byte %zu, inside its header of %zu bytes", size, *n);
    if (*n > HEADER_MAX)
        return error_set(e, "has a header of %zu bytes; %d are sense", *n, HEADER_MAX);
    return 0;
}

// The numbers of an array whose type and size are known, in the `room` bytes at p.
static int place(struct npy *a, const unsigned char *p, size_t room, struct error *e)
{
    size_t item = npy_type_size(a->type), count, bytes;
    if (a->n < 1 || a->d < 1)
        return error_set(e, "is empty: %lld x %lld", (long long)a->n, (long long)a->d);
    if (a->d > D_MOST || __builtin_mul_overflow((size_t)a->n, (size_t)a->d, &count) ||
        __builtin_mul_overflow(count, item, &bytes) || bytes > room)
        return error_set(e,
                         "is cut off: %lld x %lld numbers of %zu bytes do not fit into the %zu "
                         "bytes behind its header",
                         (long long)a->n, (long long)a->d, item, room);
    a->data = p;
    a->behind = room - bytes;
    a->again = a->behind >= MAGIC && memcmp(p + bytes, magic, MAGIC) == 0;
    return 0;
}

// The array whose .npy lies in the mapping, from p on.
static int parse(struct npy *a, const unsigned char *p, size_t size, struct error *e)
{
    size_t begin = 0, n = 0;
    if (find_header(p, size, &begin, &n, e) < 0 ||
        parse_header(a, (const char *)p + begin, n, e) < 0)
        return -1;
    return place(a, p + begin + n, size - begin - n, e);
}

// "FILE" or "FILE:NAME": the file, and behind it the name of an array in it, "" for none.
static const char *split(const char *path, struct path *file)
{
    const char *colon = strrchr(path, ':');
    *file = path_of("%s", path);
    if (!colon || access(path, F_OK) == 0)
        return "";
    struct path before = path_of("%.*s", (int)(colon - path), path);
    if (strcmp(before.s, "-") != 0 && access(before.s, F_OK) != 0)
        return "";
    *file = before;
    return colon + 1;
}

static int open_array(struct npy *a, const char *path, struct error *e)
{
    struct path file;
    struct mapping unpacked = {0};
    const char *name = split(path, &file);
    if (mapping_open(&a->file, file.s, e) < 0)
        return -1;
    const unsigned char *p = a->file.data;
    size_t size = a->file.size;
    if (npz_is(&a->file)) {
        if (npz_find(&a->file, name, &unpacked, &p, &size, e) < 0)
            return -1;
        if (unpacked.data) {
            mapping_close(&a->file);
            a->file = unpacked;
        }
    } else if (*name) {
        return error_set(e, "names an array in a file that is no .npz");
    }
    return parse(a, p, size, e);
}

// What was opened, or the sentence behind the file's name.
static int finish(struct npy *a, int rc, const char *path, const struct error *why, struct error *e)
{
    if (rc == 0) {
        if (!a->fortran)
            madvise(a->file.data, a->file.size, MADV_SEQUENTIAL); // advice only
        return 0;
    }
    npy_close(a);
    return error_set(e, "%.300s %s", npy_name(path), why->text);
}

int npy_open(const char *path, struct npy *out, struct error *e)
{
    struct error why = {""};
    memset(out, 0, sizeof *out);
    return finish(out, open_array(out, path, &why), path, &why, e);
}

int npy_open_at(const char *path, uint64_t offset, enum npy_type type, int64_t n, int64_t d,
                struct npy *out, struct error *e)
{
    struct error why = {""};
    *out = (struct npy){.type = type, .ndim = 2, .n = n, .d = d};
    int rc = mapping_open(&out->file, path, &why);
    if (rc == 0 && offset > out->file.size)
        rc = error_set(&why, "is cut off: it has %zu bytes", out->file.size);
    if (rc == 0)
        rc = place(out, out->file.data + offset, out->file.size - (size_t)offset, &why);
    if (rc == 0)
        out->behind = 0; // what stands there is known
    return finish(out, rc, path, &why, e);
}

const char *npy_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

void npy_close(struct npy *a)
{
    mapping_close(&a->file);
    memset(a, 0, sizeof *a);
}

void npy_forget(const struct npy *a, int64_t at, int64_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), row = (size_t)a->d * npy_type_size(a->type);
    size_t offset = (size_t)(a->data - a->file.data);
    size_t begin = (offset + (size_t)at * row + page - 1) / page * page;
    size_t end = (offset + (size_t)(at + n) * row) / page * page;
    if (!a->fortran && begin < end)
        madvise(a->file.data + begin, end - begin, MADV_DONTNEED); // advice only
}

// ---------------------------------------------------------------- the numbers

// Columns of a block are read one after the other, which is how they lie, and turned into rows in
// tiles that stay in the cache.
static void rows_of_columns(const struct npy *a, int64_t at, int64_t n, double *out)
{
    enum { TILE = 64 };
    double column[TILE];
    size_t size = npy_type_size(a->type);
    for (int64_t i0 = 0; i0 < n; i0 += TILE) {
        int64_t rows = n - i0 < TILE ? n - i0 : TILE;
        for (int64_t j = 0; j < a->d; j++) {
            size_t first = (size_t)j * (size_t)a->n + (size_t)(at + i0);
            npy_type_read(a->type, a->data + first * size, a->swapped, rows, column);
            for (int64_t i = 0; i < rows; i++)
                out[(i0 + i) * a->d + j] = column[i];
        }
    }
}

void npy_rows(const struct npy *a, int64_t at, int64_t n, double *out)
{
    size_t first = (size_t)at * (size_t)a->d;
    if (a->fortran && a->ndim == 2)
        rows_of_columns(a, at, n, out);
    else
        npy_type_read(a->type, a->data + first * npy_type_size(a->type), a->swapped, n * a->d, out);
}
