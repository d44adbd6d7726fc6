// Arrays, archives of arrays, calibrations.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "metrics/features.h"
#include "metrics/npy.h"
#include "metrics/forecast/forecast.h"
#include "tests/fuzz/foreign.h"

static void measure(const char *path, int l2)
{
    struct features_report r = {0};
    struct error e = {""};
    int rc = features_measure(path, l2, 1, &r, &e);
    fuzz_require(rc == 0 || *e.text);
    if (rc == 0) {
        fuzz_require(r.d > 0 && r.sigma);
        for (int i = 0; i < r.d; i++)
            fuzz_require(r.sigma[i] >= 0 && (!i || r.sigma[i] <= r.sigma[i - 1]));
        fuzz_require(!(r.metric[METRIC_AUC] > 1));
    }
    features_report_free(&r);
}

int fuzz_npy(const uint8_t *data, size_t size)
{
    enum { ROWS = 8, NUMBERS = 1 << 14 };
    struct npy a = {0};
    struct error e = {""};
    const char *path = foreign_file(0, data, size);
    int rc = npy_open(path, &a, &e);
    fuzz_require(rc == 0 || *e.text);
    if (rc == 0) {
        fuzz_require(a.n > 0 && a.d > 0 && a.behind <= size);
        int64_t rows = a.n < ROWS ? a.n : ROWS;
        double *v = rows * a.d <= NUMBERS ? malloc((size_t)(rows * a.d) * sizeof *v) : NULL;
        if (v) {
            npy_rows(&a, 0, rows, v);
            npy_rows(&a, a.n - rows, rows, v);
        }
        npy_forget(&a, 0, rows);
        free(v);
        npy_close(&a);
    }
    measure(path, 0);
    measure(path, 1);
    return 0;
}

// --- .npz: 0 and a whole file; or members, each how (bits), two bytes of length, its bytes ---

enum { ARCHIVE = 1 << 15, PACKED = 8, BAD_CRC = 1, BAD_SIZE = 2, WIDE = 4, BAD_PLACE = 16 };

struct archive {
    unsigned char p[ARCHIVE];
    size_t n;
};

static void put(struct archive *a, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes && a->n < ARCHIVE; i++)
        a->p[a->n++] = (unsigned char)(v >> 8 * i);
}

static void put_bytes(struct archive *a, const void *p, size_t n)
{
    n = n < ARCHIVE - a->n ? n : ARCHIVE - a->n;
    if (n)
        memcpy(a->p + a->n, p, n);
    a->n += n;
}

static size_t deflated(const struct input *in, unsigned char *out, size_t room)
{
    z_stream z = {0};
    fuzz_require(deflateInit2(&z, 1, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    z.next_in = (Bytef *)(uintptr_t)in->p;
    z.avail_in = (uInt)in->n;
    z.next_out = out;
    z.avail_out = (uInt)room;
    deflate(&z, Z_FINISH);
    deflateEnd(&z);
    return room - z.avail_out;
}

// A member's header, here and in the directory, up to its name.
static void put_head(struct archive *a, unsigned how, uint32_t crc, size_t packed, size_t size)
{
    put(a, 20, 2);
    put(a, how >> 7, 2); // encrypted
    put(a, how & PACKED ? 8 : 0, 2);
    put(a, 0, 4);
    put(a, crc ^ (how & BAD_CRC), 4);
    put(a, how & WIDE ? UINT32_MAX : packed, 4);
    put(a, how & WIDE ? UINT32_MAX : size + (how & BAD_SIZE), 4);
    put(a, 5, 2);
    put(a, how & WIDE ? 20 : 0, 2);
}

static size_t build_archive(struct input in, struct archive *a)
{
    static struct archive directory;
    static unsigned char out[ARCHIVE / 2];
    int members = 0;
    a->n = directory.n = 0;
    for (; in.n > 0 && members < 4; members++) {
        unsigned how = input_byte(&in);
        struct input file = input_take(&in, input_number(&in, 2));
        uint32_t crc = (uint32_t)crc32_z(0, file.p, file.n);
        size_t at = a->n, packed = how & PACKED ? deflated(&file, out, sizeof out) : file.n;
        char name[8] = "a.npy";
        name[0] = (char)('a' + (how >> 5 & 3) * members);
        put_bytes(a, "PK\3\4", 4);
        put_head(a, how & ~(unsigned)WIDE, crc, packed, file.n);
        put_bytes(a, name, 5);
        put_bytes(a, how & PACKED ? out : file.p, packed);
        put_bytes(&directory, "PK\1\2", 4);
        put(&directory, 20, 2);
        put_head(&directory, how, crc, packed, file.n);
        put(&directory, 0, 2); // no remark; disk and attributes
        put(&directory, 0, 8);
        put(&directory, how & BAD_PLACE ? at + how : at, 4);
        put_bytes(&directory, name, 5);
        if (how & WIDE) { // its sizes, in a field of their own
            put(&directory, 1, 2);
            put(&directory, 16, 2);
            put(&directory, file.n, 8);
            put(&directory, packed, 8);
        }
    }
    size_t at = a->n;
    put_bytes(a, directory.p, directory.n);
    put_bytes(a, "PK\5\6", 4);
    put(a, 0, 4);
    put(a, (uint64_t)members * 65537u, 4);
    put(a, directory.n, 4);
    put(a, at, 4);
    put(a, 0, 2);
    return a->n;
}

int fuzz_npz(const uint8_t *data, size_t size)
{
    static struct archive a;
    struct input in = {data, size};
    char path[512], named[600];
    if (input_byte(&in)) {
        build_archive(in, &a);
        foreign_put("a.npz", a.p, a.n);
    } else {
        foreign_put("a.npz", in.p, in.n);
    }
    snprintf(path, sizeof path, "%s/a.npz", foreign_folder());
    measure(path, 0);
    for (char name = 'a'; name < 'd'; name++) {
        snprintf(named, sizeof named, "%s:%c", path, name);
        measure(named, 1);
    }
    return 0;
}

// --- calibrations ---

// What it foretells of networks within and beyond its range.
static void foretell(const struct forecast *f)
{
    static const double odd[] = {0, 0.5, 0.83, 1, -1, 1e300, -1e300, NAN, INFINITY};
    enum { ODD = sizeof odd / sizeof *odd };
    for (int i = 0; i < ODD; i++)
        for (int k = 0; k < ODD; k++) {
            struct forecast_input in;
            for (int n = 0; n < FORECAST_INPUTS; n++)
                in.v[n] = odd[(i + n * k) % ODD];
            for (int law = 0; law < 2; law++) {
                struct forecast_value v = forecast_at(f, law ? &f->end : &f->now, &in);
                if (v.state == FORECAST_UNKNOWN)
                    fuzz_require(isnan(v.value) && isnan(v.lo) && isnan(v.hi));
                else
                    fuzz_require(v.lo >= 0 && v.lo <= v.value && v.value <= v.hi && v.hi <= 1);
            }
        }
    for (int n = 0; n < FORECAST_INPUTS; n++)
        forecast_stand_in((enum forecast_in)n, 0.8, f->offset[n], f->offset[n]);
}

int fuzz_calibration(const uint8_t *data, size_t size)
{
    struct forecast f, again;
    struct error e = {""};
    if (forecast_read(foreign_file(0, data, size), &f, &e) < 0) {
        fuzz_require(*e.text);
        return 0;
    }
    foretell(&f);
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    fuzz_require(out && forecast_write(&f, out, &e) == 0 && fclose(out) == 0);
    fuzz_require(forecast_read(foreign_file(0, text, n), &again, &e) == 0);
    fuzz_require(again.runs == f.runs && again.now.terms == f.now.terms &&
                 again.end.terms == f.end.terms &&
                 !memcmp(again.now.term, f.now.term, sizeof *f.now.term * (size_t)f.now.terms) &&
                 !strcmp(again.method, f.method));
    free(text);
    forecast_free(&f);
    forecast_free(&again);
    return 0;
}
