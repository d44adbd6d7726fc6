// safetensors, both directions (https://github.com/huggingface/safetensors#format). The format
// demands that tensors cover the data part without gap or overlap, which is what makes a file
// checkable before a byte of it is believed.
#include "train/store/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/other_file.h"
#include "metrics/log/record.h"

enum { HEADER_MAX = 4 << 20, NAME_MAX_BYTES = 256, CHUNK = 1 << 16 };

struct safetensors {
    int fd;
    char *path;
    uint64_t start; // of the data part
    struct tensor *tensor;
    size_t n;
    json_t *header;
};

static const struct dtype_row {
    const char *name;
    size_t bytes;
} dtype_table[] = {
    [DTYPE_F32] = {"F32", 4},   [DTYPE_F64] = {"F64", 8}, [DTYPE_F16] = {"F16", 2},
    [DTYPE_BF16] = {"BF16", 2}, [DTYPE_I64] = {"I64", 8},
};
// Types that are known and skipped: only their size matters.
static const struct dtype_row other_types[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"U16", 2},
    {"I16", 2},  {"U32", 4}, {"I32", 4}, {"U64", 8},     {"C64", 8},
};

static enum dtype find_dtype(const char *name, size_t *bytes)
{
    for (int i = 0; i < DTYPE_OTHER; i++) {
        if (strcmp(dtype_table[i].name, name) == 0) {
            *bytes = dtype_table[i].bytes;
            return (enum dtype)i;
        }
    }
    *bytes = 0;
    for (size_t i = 0; i < sizeof other_types / sizeof *other_types; i++)
        if (strcmp(other_types[i].name, name) == 0)
            *bytes = other_types[i].bytes;
    return DTYPE_OTHER;
}

static int read_at(int fd, void *out, size_t n, uint64_t at)
{
    char *to = out;
    while (n > 0) {
        ssize_t k = pread(fd, to, n, (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0) {
            if (k == 0)
                errno = EIO;
            return -1;
        }
        to += k;
        n -= (size_t)k;
        at += (uint64_t)k;
    }
    return 0;
}

static int bad(const struct safetensors *f, const char *name, const char *why, struct error *e)
{
    char shown[64];
    text_clean(shown, sizeof shown, name ? name : "");
    return error_set(e, "%s: tensor '%s' %s", f->path, shown, why);
}

static int parse_shape(const struct safetensors *f, struct tensor *t, json_t *shape,
                       struct error *e)
{
    size_t n = json_array_size(shape);
    if (!json_is_array(shape) || n > SAFETENSORS_DIMS)
        return bad(f, t->name, "has no shape of at most 8 dimensions", e);
    t->ndim = (int)n;
    t->count = 1;
    for (size_t i = 0; i < n; i++) {
        json_t *v = json_array_get(shape, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return bad(f, t->name, "has a dimension that is not a whole number", e);
        t->dim[i] = json_integer_value(v);
        if (__builtin_mul_overflow(t->count, (uint64_t)t->dim[i], &t->count))
            return bad(f, t->name, "is larger than memory can be", e);
    }
    return 0;
}

static int parse_tensor(const struct safetensors *f, const char *name, json_t *o, uint64_t data,
                        struct tensor *t, struct error *e)
{
    const char *dtype = json_string_value(json_object_get(o, "dtype"));
    json_t *range = json_object_get(o, "data_offsets");
    size_t width = 0;

    if (strlen(name) > NAME_MAX_BYTES)
        return bad(f, name, "has too long a name", e);
    t->name = strdup(name);
    if (!t->name)
        return error_set(e, "out of memory");
    if (!dtype)
        return bad(f, name, "has no dtype", e);
    t->dtype = find_dtype(dtype, &width);
    if (width == 0)
        return bad(f, name, "has an unknown dtype", e);
    if (parse_shape(f, t, json_object_get(o, "shape"), e) < 0)
        return -1;
    json_t *lo = json_array_get(range, 0), *hi = json_array_get(range, 1);
    if (json_array_size(range) != 2 || !json_is_integer(lo) || !json_is_integer(hi))
        return bad(f, name, "has no data_offsets [begin, end]", e);
    json_int_t begin = json_integer_value(lo), end = json_integer_value(hi);
    if (begin < 0 || end < begin || (uint64_t)end > data)
        return bad(f, name, "lies outside the file", e);
    t->offset = (uint64_t)begin;
    t->bytes = (uint64_t)(end - begin);
    uint64_t need;
    if (__builtin_mul_overflow(t->count, (uint64_t)width, &need) || need != t->bytes)
        return bad(f, name, "has a shape that does not fit its bytes", e);
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int parse_header(struct safetensors *f, uint64_t data, struct error *e)
{
    size_t members = json_object_size(f->header);
    const char *name;
    json_t *value;

    f->tensor = calloc(members ? members : 1, sizeof *f->tensor);
    if (!f->tensor)
        return error_set(e, "out of memory");
    json_object_foreach(f->header, name, value)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        // Counted first, so that closing frees its name whatever happens.
        if (parse_tensor(f, name, value, data, &f->tensor[f->n++], e) < 0)
            return -1;
    }
    qsort(f->tensor, f->n, sizeof *f->tensor, by_offset);
    uint64_t at = 0;
    for (size_t i = 0; i < f->n; i++) {
        if (f->tensor[i].offset != at)
            return bad(f, f->tensor[i].name, "overlaps another or leaves a gap", e);
        at += f->tensor[i].bytes;
    }
    if (at != data)
        return error_set(e, "%s: %llu bytes after the last tensor belong to nothing", f->path,
                         (unsigned long long)(data - at));
    return 0;
}

// A file that was handed in instead: what it is and what to do. Asked only where its first bytes
// are no length of a header.
static int refuse_other(const struct safetensors *f, const char *other, struct error *e)
{
    return error_set(e, "%s %s%s", f->path, other,
                     other == other_file_torch
                         ? ": in Python, d = torch.load(FILE, map_location='cpu'); "
                           "safetensors.torch.save_file(d.get('state_dict', d), NEW) makes it one "
                           "that can be read"
                         : "");
}

static int bad_json(const struct safetensors *f, const json_error_t *why, struct error *e)
{
    char shown[160];
    text_clean(shown, sizeof shown, f->header ? "it is another value" : why->text);
    return error_set(e, "%s: the header (at offset 8) is not a JSON object: %s", f->path, shown);
}

static int read_header(struct safetensors *f, struct error *e)
{
    struct stat st;
    unsigned char raw[512] = {0};
    if (fstat(f->fd, &st) < 0)
        return error_system(e, "can't read %s", f->path);
    if (!S_ISREG(st.st_mode))
        return error_set(e, "%s is not a file", f->path);
    uint64_t size = (uint64_t)st.st_size, len = 0;
    if (size < 10)
        return error_set(e, "%s: %llu bytes are too short for a safetensors file", f->path,
                         (unsigned long long)size);
    if (read_at(f->fd, raw, size < sizeof raw ? size : sizeof raw, 0) < 0)
        return error_system(e, "can't read %s", f->path);
    for (int i = 7; i >= 0; i--)
        len = len << 8 | raw[i];
    const char *other = other_file(raw, size < sizeof raw ? size : sizeof raw);
    int fits = len >= 2 && len <= size - 8 && len <= HEADER_MAX;
    if (!fits && other)
        return refuse_other(f, other, e);
    if (!fits)
        return error_set(
            e,
            "%s: a header of %llu bytes (at offset 0) does not fit: the file has %llu and "
            "a header at most %d",
            f->path, (unsigned long long)len, (unsigned long long)size, HEADER_MAX);
    char *text = malloc(len);
    if (!text)
        return error_set(e, "out of memory");
    int rc = read_at(f->fd, text, len, 8);
    if (rc < 0)
        error_system(e, "can't read %s", f->path);
    json_error_t why;
    if (rc == 0)
        f->header = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    free(text);
    if (rc < 0)
        return -1;
    if (!json_is_object(f->header))
        return other ? refuse_other(f, other, e) : bad_json(f, &why, e);
    f->start = 8 + len;
    return parse_header(f, size - f->start, e);
}

int safetensors_open(const char *path, struct safetensors **out, struct error *e)
{
    struct safetensors *f = calloc(1, sizeof *f);
    *out = NULL;
    if (!f)
        return error_set(e, "out of memory");
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    f->path = strdup(path);
    int rc = 0;
    if (!f->path)
        rc = error_set(e, "out of memory");
    else if (f->fd < 0)
        rc = error_system(e, "can't open %s", path);
    else
        rc = read_header(f, e);
    if (rc < 0) {
        safetensors_close(f);
        return -1;
    }
    *out = f;
    return 0;
}

void safetensors_close(struct safetensors *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++)
        free(f->tensor[i].name);
    free(f->tensor);
    free(f->path);
    json_decref(f->header);
    if (f->fd >= 0)
        close(f->fd);
    free(f);
}

size_t safetensors_count(const struct safetensors *f)
{
    return f->n;
}

const struct tensor *safetensors_at(const struct safetensors *f, size_t i)
{
    return &f->tensor[i];
}

const struct tensor *safetensors_find(const struct safetensors *f, const char *name)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->tensor[i].name, name) == 0)
            return &f->tensor[i];
    return NULL;
}

const char *safetensors_dtype(const struct safetensors *f, const struct tensor *t)
{
    return json_string_value(json_object_get(json_object_get(f->header, t->name), "dtype"));
}

const char *safetensors_meta(const struct safetensors *f, const char *key)
{
    return json_string_value(json_object_get(json_object_get(f->header, "__metadata__"), key));
}

// --- numbers ---

static double from_half(uint16_t h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double v;
    if (exponent == 31)
        v = fraction ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        v = ldexp(fraction, -24);
    else
        v = ldexp(1024 + fraction, exponent - 25);
    return h & 0x8000 ? -v : v;
}

static double element(enum dtype dtype, const unsigned char *p)
{
    uint64_t bits = 0;
    for (size_t i = dtype_table[dtype].bytes; i-- > 0;)
        bits = bits << 8 | p[i];
    if (dtype == DTYPE_F64) {
        double v;
        memcpy(&v, &bits, sizeof v);
        return v;
    }
    if (dtype == DTYPE_F16)
        return from_half((uint16_t)bits);
    uint32_t low = (uint32_t)(dtype == DTYPE_BF16 ? bits << 16 : bits);
    float v;
    memcpy(&v, &low, sizeof v);
    return (double)v;
}

// Hand every number of `t` to floats or doubles, whichever is not NULL.
static int convert(struct safetensors *f, const struct tensor *t, float *single, double *wide,
                   size_t n, struct error *e)
{
    unsigned char buf[CHUNK];
    if (t->count != n)
        return error_set(e, "tensor %s has another number of elements than asked for", t->name);
    if (t->dtype > DTYPE_BF16) {
        return error_set(e,
                         "tensor %s holds numbers of the type %s; F32, F64, F16 and BF16 can be "
                         "read: in Python, .float() makes them F32",
                         t->name, safetensors_dtype(f, t));
    }
    size_t bytes = dtype_table[t->dtype].bytes, each = CHUNK / bytes;
    for (size_t i = 0; i < n; i += each) {
        size_t m = n - i < each ? n - i : each;
        if (read_at(f->fd, buf, m * bytes, f->start + t->offset + i * bytes) < 0)
            return error_system(e, "can't be read");
        for (size_t j = 0; j < m; j++) {
            double v = element(t->dtype, buf + j * bytes);
            if (single)
                single[i + j] = (float)v;
            else
                wide[i + j] = v;
        }
    }
    return 0;
}

int safetensors_floats(struct safetensors *f, const struct tensor *t, float *out, size_t n,
                       struct error *e)
{
    return convert(f, t, out, NULL, n, e);
}

int safetensors_doubles(struct safetensors *f, const struct tensor *t, double *out, size_t n,
                        struct error *e)
{
    if (t->dtype != DTYPE_F32 && t->dtype != DTYPE_F64)
        return error_set(e, "tensor %s is neither F32 nor F64", t->name);
    return convert(f, t, NULL, out, n, e);
}

// --- writing ---

static uint64_t source_bytes(const struct tensor_source *s)
{
    uint64_t n = dtype_table[s->dtype].bytes;
    for (int i = 0; i < s->ndim; i++)
        n *= (uint64_t)s->dim[i];
    return n;
}

static int add_source(json_t *header, const struct tensor_source *s, uint64_t begin)
{
    json_t *o = json_object(), *shape = json_array();
    int bad_memory = !o || !shape;
    for (int i = 0; i < s->ndim; i++)
        bad_memory |= json_array_append_new(shape, json_integer(s->dim[i]));
    bad_memory |= json_object_set_new(o, "dtype", json_string(dtype_table[s->dtype].name));
    bad_memory |= json_object_set_new(o, "shape", shape);
    uint64_t end = begin + source_bytes(s);
    bad_memory |= json_object_set_new(o, "data_offsets",
                                      json_pack("[II]", (json_int_t)begin, (json_int_t)end));
    return bad_memory | json_object_set_new(header, s->name, o);
}

// Eight-byte types are laid down before the others.
static int in_pass(const struct tensor_source *s, int pass)
{
    return (dtype_table[s->dtype].bytes == 8) == (pass == 0);
}

static char *make_header(const struct tensor_source *source, size_t n, const struct metadata *meta,
                         size_t n_meta)
{
    json_t *header = json_object(), *m = json_object();
    int bad_memory = !header || !m;
    for (size_t i = 0; i < n_meta; i++)
        bad_memory |= json_object_set_new(m, meta[i].key, json_string(meta[i].value));
    bad_memory |= json_object_set_new(header, "__metadata__", m);
    uint64_t at = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < n; i++) {
            if (!in_pass(&source[i], pass))
                continue;
            bad_memory |= add_source(header, &source[i], at);
            at += source_bytes(&source[i]);
        }
    }
    char *text = bad_memory ? NULL : json_dumps(header, JSON_COMPACT);
    json_decref(header);
    return text;
}

static int put_header(FILE *f, const char *text, struct error *e)
{
    size_t len = strlen(text), padded = (len + 7) / 8 * 8;
    unsigned char raw[8];
    for (int i = 0; i < 8; i++)
        raw[i] = (unsigned char)((uint64_t)padded >> (8 * i));
    if (padded > HEADER_MAX)
        return error_set(e, "the header would have %zu bytes, more than %d", padded, HEADER_MAX);
    if (fwrite(raw, 1, 8, f) != 8 || fwrite(text, 1, len, f) != len ||
        fwrite("       ", 1, padded - len, f) != padded - len)
        return error_system(e, "write failed");
    return 0;
}

int safetensors_write(FILE *f, const struct tensor_source *source, size_t n,
                      const struct metadata *meta, size_t n_meta,
                      int (*fetch)(void *context, const struct tensor_source *s, void *out,
                                   size_t bytes, struct error *e),
                      void *context, struct error *e)
{
    size_t largest = 1;
    for (size_t i = 0; i < n; i++)
        if (!source[i].data && source_bytes(&source[i]) > largest)
            largest = (size_t)source_bytes(&source[i]);
    char *text = make_header(source, n, meta, n_meta);
    void *buf = malloc(largest);
    int rc = text && buf ? put_header(f, text, e) : error_memory(e, "the header");
    for (int pass = 0; rc == 0 && pass < 2; pass++) {
        for (size_t i = 0; rc == 0 && i < n; i++) {
            const struct tensor_source *s = &source[i];
            size_t bytes = (size_t)source_bytes(s);
            if (!in_pass(s, pass))
                continue;
            if (!s->data)
                rc = fetch(context, s, buf, bytes, e);
            if (rc == 0 && fwrite(s->data ? s->data : buf, 1, bytes, f) != bytes)
                rc = error_system(e, "write failed");
        }
    }
    free(buf);
    free(text);
    return rc;
}
