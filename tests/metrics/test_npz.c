// Arrays of every type, in archives and through pipes; archives that are not what they say.
// Fixtures: tests/fixtures/npy.py.
#include "metrics/npy.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIR "tests/fixtures/npy/"

enum { N = 97, D = 24, ROOM = 1 << 14, ENTRY_SIZE = 24, END = 22 };

static char path[64];

static void open_ok(const char *name, struct npy *a)
{
    struct error e = {""};
    cr_assert(npy_open(name, a, &e) == 0, "%s", e.text);
}

static void refused(const char *name, const char *because)
{
    struct npy a;
    struct error e = {""};
    cr_assert(npy_open(name, &a, &e) == -1, "%s was read", name);
    cr_assert(strstr(e.text, because), "'%s' does not say '%s'", e.text, because);
    cr_assert(strstr(e.text, name), "%s", e.text);
}

static size_t take(const char *name, unsigned char *bytes)
{
    FILE *f = fopen(name, "rb");
    size_t n = f ? fread(bytes, 1, ROOM, f) : 0;
    cr_assert(n > 0 && n < ROOM && fclose(f) == 0);
    return n;
}

static const char *put(const unsigned char *bytes, size_t n)
{
    snprintf(path, sizeof path, "/tmp/ssltop-npz-%d.npz", (int)getpid());
    FILE *f = fopen(path, "wb");
    cr_assert(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
    return path;
}

// ---------------------------------------------------------------- types

Test(npz, integers_of_every_type)
{
    static const struct {
        const char *name;
        double least, most;
    } kind[] = {{"i1", -128, 127},
                {"u1", 0, 255},
                {"li2", -32768, 32767},
                {"bu2", 0, 65535},
                {"li4", -0x1p31, 0x1p31 - 1},
                {"bi4", -0x1p31, 0x1p31 - 1},
                {"lu4", 0, 0x1p32 - 1},
                {"li8", -0x1p63, 0x1p63},
                {"bu8", 0, 0x1p64}};
    double got[40];
    struct npy a;
    char name[64];
    for (size_t k = 0; k < sizeof kind / sizeof *kind; k++) {
        snprintf(name, sizeof name, DIR "integers.npz:%s", kind[k].name);
        open_ok(name, &a);
        cr_assert(a.n == 8 && a.d == 5 && !a.behind && !a.untyped);
        npy_rows(&a, 0, 8, got);
        cr_assert(got[0] == kind[k].least && got[1] == kind[k].most, "%s: %.17g %.17g",
                  kind[k].name, got[0], got[1]);
        for (int i = 2; i < 40; i++)
            cr_assert(got[i] == i * 37 % 101, "%s: number %d is %.17g", kind[k].name, i, got[i]);
        npy_close(&a);
    }
    open_ok(DIR "integers.npz:b1", &a);
    npy_rows(&a, 0, 8, got);
    for (int i = 0; i < 40; i++)
        cr_assert(got[i] == (i * 37 % 101 % 2 == 0));
    npy_close(&a);
}

// Whatever byte order the word claims; and that there was none is remembered.
Test(npz, bfloat16)
{
    static double want[N * D], got[N * D];
    unsigned char bytes[ROOM];
    struct npy a;
    open_ok(DIR "f32-c.npy", &a);
    npy_rows(&a, 0, N, want);
    npy_close(&a);
    size_t n = take(DIR "bf16.npy", bytes);
    char *word = memmem(bytes, 128, "|V2", 3);
    cr_assert(word != NULL);
    for (const char *order = "|<>"; *order; order++) {
        *word = *order;
        for (size_t i = 128; *order == '>' && i < n; i += 2) {
            unsigned char low = bytes[i];
            bytes[i] = bytes[i + 1];
            bytes[i + 1] = low;
        }
        open_ok(put(bytes, n), &a);
        cr_assert(a.n == N && a.d == D && a.type == NPY_BF16 && a.untyped);
        npy_rows(&a, 0, N, got);
        for (int i = 0; i < N * D; i++)
            cr_assert(fabs(got[i] - want[i]) <= 0x1p-7 * fabs(want[i]), "%c %d: %.9g, %.9g", *order,
                      i, got[i], want[i]);
        npy_close(&a);
    }
    unlink(path);
    refused(DIR "bytes.npy", "'|V1'");
}

// ---------------------------------------------------------------- archives

static void is_base(struct npy *a)
{
    static double want[N * D], got[N * D];
    struct npy b;
    open_ok(DIR "f32-c.npy", &b);
    npy_rows(&b, 0, N, want);
    npy_close(&b);
    cr_assert(a->n == N && a->d == D);
    npy_rows(a, 0, N, got);
    npy_forget(a, 0, N);
    cr_assert(memcmp(want, got, sizeof want) == 0);
}

Test(npz, the_only_array_or_that_of_a_name)
{
    struct npy a;
    open_ok(DIR "one.npz", &a);
    is_base(&a);
    npy_close(&a);
    open_ok(DIR "one.npz:h", &a);
    is_base(&a);
    npy_close(&a);
    refused(DIR "one.npz:z", "no array of that name, but h");
    refused(DIR "integers.npz", "holds 10 arrays: i1, u1, li2, bu2, li4, bi4, lu4, li8, bu8, b1;");
    refused(DIR "f32-c.npy:h", "no .npz");
    refused(DIR "none.npz:h", "No such file");
    refused("none:", "No such file");
}

// A name with a colon is a name.
Test(npz, a_colon_in_the_name_of_a_file)
{
    unsigned char bytes[ROOM];
    struct npy a;
    char colon[80];
    size_t n = take(DIR "f32-c.npy", bytes);
    snprintf(colon, sizeof colon, "/tmp/ssltop-npz-%d:h", (int)getpid());
    FILE *f = fopen(colon, "wb");
    cr_assert(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
    open_ok(colon, &a);
    is_base(&a);
    npy_close(&a);
    unlink(colon);
}

static void u64(unsigned char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

// As of 4 GB on: a second end record, of wide numbers, and one that says where it is.
Test(npz, zip64)
{
    unsigned char bytes[ROOM];
    struct npy a;
    size_t n = take(DIR "one.npz", bytes);
    unsigned char end[END], *wide = bytes + n - END, *locator = wide + 56;
    memcpy(end, wide, END);
    memset(wide, 0, 56 + 20);
    memcpy(wide, "PK\6\6", 4);
    u64(wide + 40, (uint64_t)end[12] | (uint64_t)end[13] << 8);
    u64(wide + 48, (uint64_t)end[16] | (uint64_t)end[17] << 8);
    memcpy(locator, "PK\6\7", 4);
    u64(locator + 8, n - END);
    memset(end + 12, 0xff, 8);
    memcpy(locator + 20, end, END);
    open_ok(put(bytes, n + 56 + 20), &a);
    is_base(&a);
    npy_close(&a);
    u64(locator + 8, UINT64_MAX - 8);
    refused(put(bytes, n + 56 + 20), "directory");
    unlink(path);
}

// Whatever is cut off or changed: refused, or read as what it is.
static void damage(const char *name, const char *array, size_t stride)
{
    unsigned char bytes[ROOM];
    size_t n = take(name, bytes);
    struct npy a;
    char member[80];
    put(bytes, n);
    snprintf(member, sizeof member, "%s:%s", path, array);
    for (size_t cut = 1; cut < n; cut += stride) {
        put(bytes, cut);
        cr_assert(npy_open(member, &a, NULL) == -1, "cut at %zu", cut);
    }
    for (size_t i = 0; i < n; i += stride)
        for (int bit = 0; bit < 8; bit += 3) {
            bytes[i] ^= (unsigned char)(1 << bit);
            put(bytes, n);
            bytes[i] ^= (unsigned char)(1 << bit);
            if (npy_open(member, &a, NULL) < 0)
                continue;
            double *x = malloc((size_t)a.n * (size_t)a.d * sizeof *x);
            cr_assert_not_null(x);
            npy_rows(&a, 0, a.n, x);
            free(x);
            npy_close(&a);
        }
    unlink(path);
}

Test(npz, damage_of_what_is_stored)
{
    damage(DIR "integers.npz", "li8", 7);
}

Test(npz, damage_of_what_is_deflated)
{
    damage(DIR "one.npz", "h", 13);
}

Test(npz, numbers_are_those_that_were_saved)
{
    unsigned char bytes[ROOM];
    size_t n = take(DIR "integers.npz", bytes);
    char member[80];
    unsigned char *data = memmem(bytes, n, "\x93NUMPY", 6);
    cr_assert(data != NULL);
    data[128 + 20] ^= 1;
    snprintf(member, sizeof member, "%s:i1", put(bytes, n));
    refused(member, "checksum");
    unlink(path);
}

// It must not fill the disk with more than it says.
Test(npz, an_array_unpacks_to_the_size_that_it_says)
{
    unsigned char bytes[ROOM];
    size_t n = take(DIR "one.npz", bytes);
    unsigned char *entry = memmem(bytes, n, "PK\1\2", 4);
    cr_assert(entry != NULL);
    for (int by = -1; by <= 1; by += 2) {
        entry[ENTRY_SIZE] = (unsigned char)(entry[ENTRY_SIZE] + by);
        refused(put(bytes, n), "does not unpack");
        entry[ENTRY_SIZE] = (unsigned char)(entry[ENTRY_SIZE] - by);
    }
    entry[10] = 12; // bzip2
    refused(put(bytes, n), "packed by method 12");
    entry[8] |= 1;
    refused(put(bytes, n), "encrypted");
    unlink(path);
}

Test(npz, an_archive_of_other_things)
{
    static const unsigned char empty[END] = "PK\5\6";
    refused(put(empty, END), "without an array");
    unsigned char torch[118] = "PK\3\4";
    torch[26] = torch[68] = 10; // bytes of the name
    memcpy(torch + 30, "x/data.pkl", 10);
    memcpy(torch + 40, "PK\1\2", 4);
    memcpy(torch + 86, "x/data.pkl", 10);
    memcpy(torch + 96, "PK\5\6", 4);
    torch[104] = torch[106] = 1; // entries
    torch[108] = 56;             // bytes of them
    torch[112] = 40;             // where they begin
    refused(put(torch, sizeof torch), "torch.save: in Python");
    refused(put((const unsigned char *)"PK\3\4 and so on and so on", 24), "directory");
    unlink(path);
}

// ---------------------------------------------------------------- pipes

Test(npz, through_a_pipe)
{
    unsigned char bytes[ROOM];
    static const char *const file[] = {DIR "f32-c.npy", DIR "one.npz"};
    for (int i = 0; i < 2; i++) {
        int ends[2];
        char name[32];
        struct npy a;
        size_t n = take(file[i], bytes);
        cr_assert(pipe(ends) == 0 && write(ends[1], bytes, n) == (ssize_t)n);
        close(ends[1]);
        snprintf(name, sizeof name, "/dev/fd/%d", ends[0]);
        open_ok(name, &a);
        is_base(&a);
        npy_close(&a);
        close(ends[0]);
    }
    refused("/dev/zero", "neither a regular file nor a pipe");
}
