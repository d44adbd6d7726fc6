// .npy files of every kind numpy writes, files that are not what they say, and what is written
// read back. Fixtures: tests/fixtures/npy.py.
#include "metrics/npy.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR "tests/fixtures/npy/"

static void open_ok(const char *name, struct npy *a)
{
    char path[256];
    struct error e = {""};
    snprintf(path, sizeof path, DIR "%s.npy", name);
    cr_assert(npy_open(path, a, &e) == 0, "%s", e.text);
}

static void refused(const char *path, const char *because)
{
    struct npy a;
    struct error e = {""};
    cr_assert(npy_open(path, &a, &e) == -1, "%s was read", path);
    cr_assert(strstr(e.text, because), "'%s' does not say '%s'", e.text, because);
    cr_assert(strstr(e.text, path), "%s", e.text);
}

Test(npy, all_layouts_hold_the_same_numbers)
{
    static const struct {
        const char *name;
        double tolerance;
    } file[] = {{"f64-c", 0},      {"f64-fortran", 0}, {"f32-c", 3e-7},      {"f32-fortran", 3e-7},
                {"f32-big", 3e-7}, {"f16-c", 2e-3},    {"f16-fortran", 2e-3}};
    static double want[97 * 24], got[97 * 24];
    struct npy a;
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        open_ok(file[i].name, &a);
        cr_assert(a.n == 97 && a.d == 24 && a.ndim == 2);
        npy_rows(&a, 0, 97, i ? got : want);
        for (int k = 0; i && k < 97 * 24; k++)
            cr_assert(fabs(got[k] - want[k]) <= file[i].tolerance * (1 + fabs(want[k])),
                      "%s: number %d is %.17g, expected %.17g", file[i].name, k, got[k], want[k]);
        memset(got, 0, sizeof got);
        npy_rows(&a, 70, 20, got);
        npy_forget(&a, 0, 97);
        for (int k = 0; k < 20 * 24; k++)
            cr_assert(fabs(got[k] - want[70 * 24 + k]) <= file[i].tolerance * (1 + fabs(want[k])),
                      "%s from row 70", file[i].name);
        npy_close(&a);
    }
}

Test(npy, halves)
{
    static const double want[] = {0, 0x1p-24, 1023 * 0x1p-24, 0x1p-14, 1, 65504, -0x1p-24, -2};
    struct npy a;
    double got[8];
    open_ok("f16-odd", &a);
    cr_assert(a.n == 1 && a.d == 8);
    npy_rows(&a, 0, 1, got);
    for (int i = 0; i < 8; i++)
        cr_assert(got[i] == want[i], "%d: %.17g", i, got[i]);
    npy_close(&a);
}

Test(npy, what_is_no_matrix_is_refused)
{
    refused(DIR "objects.npy", "Python objects");
    refused(DIR "complex.npy", "'<c8'");
    refused(DIR "cube.npy", "3 dimensions");
    refused(DIR "scalar.npy", "0 dimensions");
    refused(DIR "structure.npy", "structures");
    refused(DIR "empty.npy", "empty: 0 x 4");
    refused(DIR "none.npy", "No such file");
    refused("tests", "regular file");
    refused("tests/metrics/test_npy.c", "NUMPY");
}

// A file of these bytes.
static const char *put(const void *bytes, size_t n)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/ssltop-npy-%d.npy", (int)getpid());
    FILE *f = fopen(path, "wb");
    cr_assert(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
    return path;
}

static const char *put_header(int major, const char *header, size_t data)
{
    static unsigned char bytes[4096];
    size_t n = strlen(header), at = major == 1 ? 10 : 12;
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, "\x93NUMPY", 6);
    bytes[6] = (unsigned char)major;
    bytes[8] = (unsigned char)(n & 255);
    bytes[9] = (unsigned char)(n >> 8);
    memcpy(bytes + at, header, n);
    return put(bytes, at + n + data);
}

Test(npy, headers_of_all_spellings)
{
    static const char *const header[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n",
        "{\"shape\":(2L,3L),\"descr\":\"<f4\",\"fortran_order\":False}",
        "  { 'fortran_order' : False , 'shape' : ( 2 , 3 , ) , 'descr' : '=f4' }   ",
    };
    struct error e = {""};
    struct npy a;
    for (size_t i = 0; i < sizeof header / sizeof *header; i++)
        for (int major = 1; major <= 3; major++) {
            const char *path = put_header(major, header[i], 24);
            cr_assert(npy_open(path, &a, &e) == 0, "%s", e.text);
            cr_assert(a.n == 2 && a.d == 3 && a.type == NPY_F32 && !a.fortran);
            npy_close(&a);
            refused(put_header(major, header[i], 23), "cut off");
            unlink(path);
        }
}

Test(npy, headers_that_lie)
{
    static const struct {
        const char *header, *because;
    } bad[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
         "dimensions|cut off"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 4), }", "shape"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4), }", "shape"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 3), }", "shape"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)", "dictionary"},
        {"{'descr': '<f4', 'fortran_order': False, }", " has a header that lacks a key"},
        {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3), }", "fortran_order"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } x", "behind"},
        {"{'descr': '<f4', 'a': False, 'shape': (2, 3), }", "unknown"},
        {"{'descr': '<f8\x1b[2J', 'fortran_order': False, 'shape': (2, 3), }", "type"},
        {"{'descr': '', 'fortran_order': False, 'shape': (2, 3), }", "type ''"},
        {"{'descr': '<', 'fortran_order': False, 'shape': (2, 3), }", "type '<'"},
        {"{'descr': '<f', 'fortran_order': False, 'shape': (2, 3), }", "type '<f'"},
        {"{'descr': 'f4", "descr"},
        {"{", " has a header that is not a dictionary"},
        {"", "dictionary"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4), }", "empty"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char first[64];
        snprintf(first, sizeof first, "%s", bad[i].because);
        char *bar = strchr(first, '|');
        refused(put_header(1 + (int)(i % 3), bad[i].header, 24), bar ? bar + 1 : first);
    }
    refused(put_header(4, bad[0].header, 24), "version 4");
    refused(put("\x93NUMPY\x02\x00\xff\xff\xff\xff{", 13), "inside its header");
    refused(put("\x93NUMPY\x01\x00\x40", 9), "inside its header");
    refused(put("\x93NUMPY", 6), "NUMPY");
    refused(put("", 0), "empty");
    unlink(put("", 0));
}

// No cut of a good file, and no changed byte of its header, may do more than be refused or read.
Test(npy, damage)
{
    unsigned char bytes[1024];
    FILE *f = fopen(DIR "f32-column.npy", "rb");
    size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
    cr_assert(n == 128 + 97 * 4 && fclose(f) == 0);
    const char *path = "";
    struct npy a;
    int read = 0;
    for (size_t cut = 0; cut < n; cut++) {
        path = put(bytes, cut);
        cr_assert(npy_open(path, &a, NULL) == -1, "cut at %zu", cut);
    }
    for (size_t i = 0; i < 128; i++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (unsigned char)(1 << bit);
            path = put(bytes, n);
            bytes[i] ^= (unsigned char)(1 << bit);
            if (npy_open(path, &a, NULL) < 0)
                continue;
            double *x = malloc((size_t)a.n * (size_t)a.d * sizeof *x);
            cr_assert_not_null(x);
            npy_rows(&a, 0, a.n, x);
            free(x);
            npy_close(&a);
            read++;
        }
    cr_assert(read > 0 && read < 200, "%d", read);
    unlink(path);
}

Test(npy, written_is_read)
{
    struct npy_writer *w;
    struct error e = {""};
    struct npy a;
    struct stat st;
    char path[64], part[80];
    float x[6] = {1, -2, 3.5f, 0, 1e-30f, 7}, more = 0;
    double got[6];
    snprintf(path, sizeof path, "/tmp/ssltop-out-%d.npy", (int)getpid());
    snprintf(part, sizeof part, "%s.part", path);
    cr_assert(npy_create(path, 3, 2, &w, &e) == 0, "%s", e.text);
    cr_assert(npy_write(w, x, 2, &e) == 0 && npy_write(w, x + 2, 4, &e) == 0);
    cr_assert(stat(path, &st) < 0, "half a file has the name");
    cr_assert(npy_finish(w, &e) == 0, "%s", e.text);
    cr_assert(npy_open(path, &a, &e) == 0, "%s", e.text);
    cr_assert(a.n == 3 && a.d == 2 && (a.data - a.file.data) % 64 == 0);
    npy_rows(&a, 0, 3, got);
    for (int i = 0; i < 6; i++)
        cr_assert(got[i] == x[i]);
    npy_close(&a);
    // Too few or too many: the old file stays.
    for (int extra = -1; extra <= 1; extra += 2) {
        cr_assert(npy_create(path, 3, 2, &w, &e) == 0 && npy_write(w, x, 5, &e) == 0);
        if (extra > 0)
            cr_assert(npy_write(w, x, 1, &e) == 0 && npy_write(w, &more, 1, &e) == 0);
        cr_assert(npy_finish(w, &e) == -1 && strstr(e.text, "announced"), "%s", e.text);
        cr_assert(stat(part, &st) < 0 && stat(path, &st) == 0);
    }
    cr_assert(npy_create("/nowhere/x.npy", 1, 1, &w, &e) == -1 && !w);
    cr_assert(npy_create(path, -1, 1, &w, &e) == -1 && !w);
    unlink(path);
}
