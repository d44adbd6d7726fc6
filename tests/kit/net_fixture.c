// Fixtures from PyTorch, read and re-made: see tests/fixtures/pytorch.py, whose functions these
// mirror by name.
#include "tests/kit/net_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/methods/method.h"

enum { FILE_MAX = 1 << 26, CELLS = 4 };

static unsigned char *read_all(const char *path, size_t *size, struct error *e)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        error_set(e, "%s cannot be opened (tests run from the top of the tree)", path);
        return NULL;
    }
    unsigned char *p = malloc(FILE_MAX);
    *size = p ? fread(p, 1, FILE_MAX, f) : 0;
    int bad = !p || ferror(f) || *size == FILE_MAX;
    fclose(f);
    if (bad) {
        free(p);
        error_set(e, "%s cannot be read", path);
        return NULL;
    }
    return p;
}

static int integer(const struct fixture *f, const char *key)
{
    return (int)json_integer_value(json_object_get(f->header, key));
}

static const char *text(const struct fixture *f, const char *key, const char *otherwise)
{
    const char *s = json_string_value(json_object_get(f->header, key));
    return s ? s : otherwise;
}

int fixture_open(const char *path, struct fixture *out, struct error *e)
{
    memset(out, 0, sizeof *out);
    size_t size = 0;
    unsigned char *all = read_all(path, &size, e);
    if (!all)
        return -1;
    uint64_t n = 0;
    for (int i = 7; i >= 0 && size >= 8; i--)
        n = n << 8 | all[i];
    if (size < 8 || n > size - 8) {
        free(all);
        return error_set(e, "%s: the header is longer than the file", path);
    }
    json_error_t why;
    out->header = json_loadb((char *)all + 8, n, 0, &why);
    out->raw_size = size - 8 - n;
    out->raw = malloc(out->raw_size + 1);
    if (out->raw)
        memcpy(out->raw, all + 8 + n, out->raw_size);
    free(all);
    if (!out->header || !out->raw) {
        fixture_close(out);
        return error_set(e, "%s: %s", path, out->header ? "out of memory" : why.text);
    }
    out->batch = integer(out, "batch");
    out->channels = integer(out, "channels");
    out->size = integer(out, "size");
    out->width = integer(out, "width");
    out->dim = integer(out, "dim");
    out->pred = integer(out, "pred");
    out->stem = json_string_value(json_object_get(out->header, "stem"));
    out->arch = text(out, "arch", "resnet18");
    out->method = text(out, "method", "simsiam");
    if (!out->stem || out->batch < 1 || out->channels < 1 || out->size < CELLS) {
        fixture_close(out);
        return error_set(e, "%s: the header lacks the net's shape", path);
    }
    return 0;
}

void fixture_close(struct fixture *f)
{
    json_decref(f->header);
    free(f->raw);
    memset(f, 0, sizeof *f);
}

double fixture_number(const struct fixture *f, const char *key, const char *sub)
{
    json_t *v = json_object_get(f->header, key);
    if (sub)
        v = json_object_get(v, sub);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

double fixture_loss(const struct fixture *f, size_t step)
{
    json_t *v = json_array_get(json_object_get(f->header, "loss"), step);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static json_t *row(const struct fixture *f, const char *name)
{
    size_t i;
    json_t *t;
    json_array_foreach(json_object_get(f->header, "tensors"), i, t)
    {
        const char *s = json_string_value(json_object_get(t, "name"));
        if (s && !strcmp(s, name))
            return t;
    }
    return NULL;
}

size_t fixture_count(const struct fixture *f, const char *prefix)
{
    size_t i, n = 0;
    json_t *t;
    json_array_foreach(json_object_get(f->header, "tensors"), i, t)
    {
        const char *s = json_string_value(json_object_get(t, "name"));
        n += s && !strncmp(s, prefix, strlen(prefix));
    }
    return n;
}

int fixture_tensor(const struct fixture *f, const char *name, struct fixture_tensor *out,
                   struct error *e)
{
    json_t *t = row(f, name);
    if (!t)
        return error_set(e, "the fixture has no tensor %s", name);
    size_t i, k = (size_t)json_integer_value(json_object_get(t, "bytes"));
    size_t offset = (size_t)json_integer_value(json_object_get(t, "offset"));
    json_t *extent, *every = json_object_get(t, "every");
    out->every = every ? (size_t)json_integer_value(every) : 1;
    out->count = 1;
    json_array_foreach(json_object_get(t, "shape"), i, extent)
    {
        out->count *= (size_t)json_integer_value(extent);
        if (out->count > FILE_MAX)
            return error_set(e, "%s: larger than any fixture", name);
    }
    if (!out->every || k < 2 || k > 4 || offset > f->raw_size ||
        out->count * k > f->raw_size - offset)
        return error_set(e, "%s: outside the fixture's file", name);
    out->f32 = json_number_value(json_object_get(t, "f32"));
    out->bf16 = json_number_value(json_object_get(t, "bf16"));
    out->v = malloc((out->count + 1) * sizeof *out->v);
    if (!out->v)
        return error_set(e, "%s: out of memory", name);
    const unsigned char *p = f->raw + offset;
    for (i = 0; i < out->count; i++) {
        uint32_t bits = 0;
        for (size_t b = 0; b < k; b++)
            bits |= (uint32_t)*p++ << (24 - 8 * b);
        memcpy(&out->v[i], &bits, sizeof bits);
    }
    return 0;
}

int fixture_net(const struct fixture *f, struct net *out, struct error *e)
{
    struct options o;
    options_default(&o);
    snprintf(o.arch, sizeof o.arch, "%s", f->arch);
    snprintf(o.method, sizeof o.method, "%s", f->method);
    snprintf(o.stem, sizeof o.stem, "%s", f->stem);
    o.width = f->width;
    o.dim = f->dim;
    o.pred_dim = f->pred;
    const char *without = json_string_value(json_object_get(f->header, "without"));
    if (without && options_set(&o, without, "off", e) < 0)
        return -1;
    if (method_resolve(&o, e) < 0)
        return -1;
    return method_build(&o, f->channels, f->size, f->size, out, e);
}

// splitmix64's finaliser over counters, from the FNV-1a hash of the name.
void fixture_uniform(const char *name, size_t n, double *u)
{
    uint64_t key = 0xCBF29CE484222325u;
    for (const char *s = name; *s; s++)
        key = (key ^ (unsigned char)*s) * 0x100000001B3u;
    for (size_t i = 0; i < n; i++) {
        uint64_t z = key + (uint64_t)(i + 1) * 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        u[i] = (double)(z >> 40) / (1 << 23) - 1;
    }
}

static double *uniform(const char *name, size_t n)
{
    double *u = malloc((n + 1) * sizeof *u);
    if (u)
        fixture_uniform(name, n, u);
    return u;
}

static double value_of(const struct param *p, const char *last, double u)
{
    if (p->kind == PARAM_RUNNING_MEAN)
        return 0.25 * u;
    if (p->kind == PARAM_RUNNING_VAR)
        return 1 + 0.5 * u;
    if (!strcmp(p->name, "predictor.3.bias")) // SimSiam's alone has one
        return 0.1 * u;
    if (p->kind == PARAM_BIAS)
        return u + (u < 0 ? -1.0 : 1.0);
    if (p->ndim == 1)
        return (strstr(p->name, last) ? 0.3 : 1.0) * (1 + 0.5 * u);
    return sqrt(6.0 / (double)((int64_t)p->count / p->dim[0])) * u;
}

int fixture_value(const struct fixture *f, const struct param *p, float *v)
{
    const char *last = ".bn2."; // of a block
    for (const struct arch_row *a = arch_table; a->name; a++)
        if (f && a->inner && !strcmp(a->name, f->arch))
            last = ".bn3.";
    double *u = uniform(p->name, p->count);
    if (!u)
        return -1;
    for (size_t i = 0; i < p->count; i++)
        v[i] = (float)value_of(p, last, u[i]);
    free(u);
    return 0;
}

// Where pixel `i` of a plane of size x size falls among CELLS x CELLS patches.
static size_t patch(size_t i, int size)
{
    size_t s = (size_t)size, y = i / s, x = i % s;
    return y * CELLS / s * CELLS + x * CELLS / s;
}

int fixture_view(const struct fixture *f, int view, float *x)
{
    size_t n = (size_t)f->batch, c = (size_t)f->channels, plane = (size_t)f->size * (size_t)f->size;
    double *level = uniform("level", n * c), *contrast = uniform("contrast", n);
    double *p0 = uniform("patch.0", n * c * CELLS * CELLS);
    double *p1 = uniform("patch.1", n * c * CELLS * CELLS);
    double *noise = uniform(view ? "noise.1" : "noise.0", n * c * plane);
    int ok = level && contrast && p0 && p1 && noise;
    for (size_t k = 0; ok && k < n * c; k++)
        for (size_t i = 0; i < plane; i++) {
            size_t cell = k * CELLS * CELLS + patch(i, f->size);
            double v = view ? 0.75 * p0[cell] + 0.25 * p1[cell] : p0[cell];
            v += 0.5 * noise[k * plane + i];
            x[k * plane + i] = (float)(2 * level[k] + (1 + 0.875 * contrast[k / c]) * v);
        }
    free(level);
    free(contrast);
    free(p0);
    free(p1);
    free(noise);
    return ok ? 0 : -1;
}

int fixture_pixels(const struct fixture *f, uint8_t *x)
{
    size_t n = (size_t)f->batch * (size_t)f->channels, plane = (size_t)f->size * (size_t)f->size;
    double *coarse = uniform("pixel.patch", n * CELLS * CELLS);
    double *noise = uniform("pixel.noise", n * plane);
    int ok = coarse && noise;
    for (size_t k = 0; ok && k < n * plane; k++) {
        size_t cell = k / plane * CELLS * CELLS + patch(k % plane, f->size);
        x[k] = (uint8_t)floor((coarse[cell] + 0.5 * noise[k] + 1.5) * 85);
    }
    free(coarse);
    free(noise);
    return ok ? 0 : -1;
}
