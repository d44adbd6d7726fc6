// safetensors: what is written is read back to the bit, and a file from a stranger is refused
// before it is believed.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/rng.h"
#include "train/store/safetensors.h"

static int fetch_third(void *context, const struct tensor_source *s, void *out, size_t bytes,
                       struct error *e)
{
    if (!context)
        return error_set(e, "no %s today", s->name);
    memcpy(out, context, bytes);
    return 0;
}

static void temporary(char path[64])
{
    strcpy(path, "/tmp/ssltop-test-XXXXXX");
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    close(fd);
}

Test(safetensors, round_trip)
{
    const float f[6] = {1, -0.0f, 3e-45f, 3.4e38f, 5, 6}, third[2] = {7, 8};
    const double d[2] = {1.0 / 3, -1e300};
    const int64_t n = -3;
    const struct tensor_source source[] = {
        {"a.weight", DTYPE_F32, 2, {2, 3}, f, NULL}, {"b", DTYPE_F64, 1, {2}, d, NULL},
        {"count", DTYPE_I64, 0, {0}, &n, NULL},      {"c", DTYPE_F32, 1, {2}, NULL, NULL},
        {"none", DTYPE_F32, 2, {0, 4}, f, NULL},
    };
    const struct metadata meta[] = {{"plan", "0:continual@20"}, {"text", "\"quoted\" \xc3\xa9"}};
    char path[64];
    struct error e = {{0}};
    temporary(path);
    FILE *file = fopen(path, "w");
    cr_assert(safetensors_write(file, source, 5, meta, 2, fetch_third, (void *)third, &e) == 0,
              "%s", e.text);
    cr_assert(fclose(file) == 0);

    struct safetensors *s;
    cr_assert(safetensors_open(path, &s, &e) == 0, "%s", e.text);
    cr_assert(safetensors_count(s) == 5);
    cr_assert_str_eq(safetensors_meta(s, "plan"), meta[0].value);
    cr_assert_str_eq(safetensors_meta(s, "text"), meta[1].value);
    cr_assert(safetensors_meta(s, "other") == NULL);
    const struct tensor *a = safetensors_find(s, "a.weight"), *b = safetensors_find(s, "b");
    cr_assert(a && a->ndim == 2 && a->dim[0] == 2 && a->dim[1] == 3 && a->count == 6);
    float back[6];
    double wide[6];
    cr_assert(safetensors_floats(s, a, back, 6, &e) == 0 && memcmp(back, f, sizeof f) == 0);
    cr_assert(safetensors_doubles(s, b, wide, 2, &e) == 0 && memcmp(wide, d, sizeof d) == 0);
    cr_assert(safetensors_doubles(s, a, wide, 6, &e) == 0 && wide[3] == (double)f[3]);
    cr_assert(safetensors_floats(s, safetensors_find(s, "c"), back, 2, &e) == 0 && back[1] == 8);
    cr_assert(safetensors_floats(s, safetensors_find(s, "none"), back, 0, &e) == 0);
    cr_assert(safetensors_floats(s, a, back, 5, &e) == -1);
    cr_assert(safetensors_floats(s, safetensors_find(s, "count"), back, 1, &e) == -1);
    cr_assert(safetensors_find(s, "count")->ndim == 0 && safetensors_find(s, "count")->count == 1);
    cr_assert(safetensors_find(s, "nothing") == NULL);
    safetensors_close(s);
    // A source that fails, fails the file.
    file = fopen(path, "w");
    cr_assert(safetensors_write(file, source, 5, meta, 2, fetch_third, NULL, &e) == -1);
    cr_assert_str_eq(e.text, "no c today");
    fclose(file);
    unlink(path);
}

// A file of this header and this many bytes of data, each counting up.
static void write_raw(const char *path, uint64_t length, const char *header, size_t header_bytes,
                      size_t data)
{
    FILE *f = fopen(path, "w");
    cr_assert(f != NULL);
    for (int i = 0; i < 8; i++)
        fputc((int)(length >> (8 * i) & 255), f);
    fwrite(header, 1, header_bytes, f);
    for (size_t i = 0; i < data; i++)
        fputc((int)(i & 255), f);
    cr_assert(fclose(f) == 0);
}

Test(safetensors, small_types)
{
    // 1.0, -2.0, smallest subnormal, infinity in half; 1.5 and -3 in bfloat16, little endian
    static const unsigned char data[12] = {0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00,
                                           0x00, 0x7c, 0xc0, 0x3f, 0x40, 0xc0};
    static const char header[] =
        "{\"h\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,8]},"
        "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[8,12]}}";
    char path[64];
    struct error e = {{0}};
    struct safetensors *s;
    float v[4];
    temporary(path);
    write_raw(path, strlen(header), header, strlen(header), 0);
    FILE *f = fopen(path, "a");
    cr_assert(fwrite(data, 1, sizeof data, f) == sizeof data && fclose(f) == 0);
    cr_assert(safetensors_open(path, &s, &e) == 0, "%s", e.text);
    cr_assert(safetensors_floats(s, safetensors_find(s, "h"), v, 4, &e) == 0);
    cr_assert(v[0] == 1 && v[1] == -2 && v[2] == ldexpf(1, -24) && isinf(v[3]));
    cr_assert(safetensors_floats(s, safetensors_find(s, "b"), v, 2, &e) == 0);
    cr_assert(v[0] == 1.5f && v[1] == -3);
    safetensors_close(s);
    unlink(path);
}

Test(safetensors, hostile)
{
#define ONE(dtype, shape, offsets)                                                                 \
    "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "null",
        "{\"a\":3}",
        "{\"a\":{}}",
        ONE("\"F32\"", "[4]", "[0,15]"),
        ONE("\"F32\"", "[4]", "[0,20]"),
        ONE("\"F32\"", "[3]", "[0,16]"),
        ONE("\"F32\"", "[4]", "[16,0]"),
        ONE("\"F32\"", "[4]", "[-16,0]"),
        ONE("\"F32\"", "[4]", "[0]"),
        ONE("\"F32\"", "[4]", "[0.0,16.0]"),
        ONE("\"F32\"", "[4]", "{\"0\":0}"),
        ONE("\"F32\"", "[-4]", "[0,16]"),
        ONE("\"F32\"", "[-2,-2]", "[0,16]"),
        ONE("\"F32\"", "[4.0]", "[0,16]"),
        ONE("\"F32\"", "4", "[0,16]"),
        ONE("\"F32\"", "[4294967296,4294967296,16]", "[0,16]"),
        ONE("\"F32\"", "[4611686018427387905]", "[0,4]"),
        ONE("\"F32\"", "[1,1,1,1,1,1,1,1,4]", "[0,16]"),
        ONE("\"F31\"", "[4]", "[0,16]"),
        ONE("32", "[4]", "[0,16]"),
        ONE("\"F32\"", "[3]", "[0,12]"),
        ONE("\"F32\"", "[3]", "[4,16]"),
        ONE("\"F32\"", "[9223372036854775808]", "[0,16]"),
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[4,16]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},"
        "\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
    };
    char path[64];
    struct safetensors *s;
    temporary(path);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error e = {{0}};
        write_raw(path, strlen(bad[i]), bad[i], strlen(bad[i]), 16);
        cr_assert(safetensors_open(path, &s, &e) == -1 && !s, "%s was taken", bad[i]);
        cr_assert(strstr(e.text, path) != NULL, "%s: %s", bad[i], e.text);
    }
    static const uint64_t length[] = {
        0, 1, 17, 1 << 20, UINT32_MAX, UINT64_MAX, UINT64_MAX - 7, (uint64_t)INT64_MAX};
    for (size_t i = 0; i < sizeof length / sizeof *length; i++) {
        write_raw(path, length[i], "{}", 2, 14);
        cr_assert(safetensors_open(path, &s, NULL) == -1, "length %" PRIu64 " was taken",
                  length[i]);
    }
    cr_assert(truncate(path, 5) == 0 && safetensors_open(path, &s, NULL) == -1);
    cr_assert(safetensors_open("/tmp", &s, NULL) == -1);
    cr_assert(safetensors_open("/nowhere", &s, NULL) == -1);
    unlink(path);
}

// What torch.save writes, now a zip and once pickles: said with the way out.
Test(safetensors, pytorchs_own_files)
{
    static const char *const begin[] = {"PK\3\4\0\0\x8\x8\0\0\0\0",
                                        "\x80\2\x8a\nl\xfc\x9c\x46\xf9 j\xa8"};
    char path[64];
    temporary(path);
    for (size_t i = 0; i < sizeof begin / sizeof *begin; i++) {
        struct error e = {{0}};
        struct safetensors *s;
        FILE *f = fopen(path, "w");
        cr_assert(fwrite(begin[i], 1, 12, f) == 12 && fclose(f) == 0);
        cr_assert(safetensors_open(path, &s, &e) == -1);
        cr_expect(strstr(e.text, path) && strstr(e.text, "torch.load(FILE") &&
                      strstr(e.text, "save_file(d"),
                  "%s", e.text);
    }
    unlink(path);
}

// Random damage of a good file: refused or read, never worse.
Test(safetensors, damaged)
{
    static const char header[] =
        "{\"__metadata__\":{\"step\":\"3\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_"
        "offsets\":"
        "[0,16]},\"b\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[16,24]}}";
    char path[64];
    struct rng r;
    int refused = 0, taken = 0;
    temporary(path);
    rng_init(&r, 5, RNG_TEST, 0, 0);
    for (int i = 0; i < 2000; i++) {
        struct safetensors *s;
        write_raw(path, strlen(header), header, strlen(header), 24);
        FILE *f = fopen(path, "r+");
        for (int hits = 1 + (int)rng_below(&r, 3); hits > 0; hits--) {
            fseek(f, (long)rng_below(&r, strlen(header) + 32), SEEK_SET);
            fputc((int)rng_below(&r, 256), f);
        }
        fclose(f);
        if (safetensors_open(path, &s, NULL) < 0) {
            refused++;
            continue;
        }
        taken++;
        for (size_t k = 0; k < safetensors_count(s); k++) {
            const struct tensor *t = safetensors_at(s, k);
            float v[24];
            cr_assert(t->count <= 24 && t->bytes <= 24);
            safetensors_floats(s, t, v, (size_t)t->count, NULL);
        }
        safetensors_close(s);
    }
    cr_assert(refused > 100 && taken > 100, "%d refused, %d taken", refused, taken);
    unlink(path);
}

// What people hand in instead of a safetensors file is told what it is.
Test(safetensors, other_files_are_known)
{
    static const struct {
        const char *begins, *says;
    } row[] = {
        {"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"},
        {"<!DOCTYPE html><html><body>Not found</body></html>", "web page"},
        {"<html><body>Not found</body></html>", "web page"},
        {"PK\3\4 and the rest of a zip", "torch.save"},
        {"\n<!doctype HTML>and more", "web page"},
        {"{\"metadata\":{},\"weight_map\":{}}", "model.safetensors.index.json"},
        {"\x93NUMPY\1 and an array", "NumPy"},
        {"Entry not found", "is a text"},
        {"\x80\2}q\1X\5 and the rest of a pickle", "torch.save"},
        {"\x89HDF\r\n\x1a\n and more", "HDF5"},
        {"\x1f\x8b\b\b and what is compressed", "gunzip"},
        {"\xfe\xfa and no file that anybody knows", "does not fit"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char path[64];
        struct safetensors *s;
        struct error e = {""};
        temporary(path);
        FILE *f = fopen(path, "w");
        cr_assert(f && fputs(row[i].begins, f) >= 0 && fclose(f) == 0);
        cr_assert(safetensors_open(path, &s, &e) == -1);
        cr_expect(strstr(e.text, row[i].says) && strstr(e.text, path), "%s", e.text);
        unlink(path);
    }
}

Test(safetensors, numbers_of_other_types_are_told_what_to_do)
{
    static const char header[] =
        "{\"h\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]}}";
    char path[64];
    struct error e = {""};
    struct safetensors *s;
    float v[4];
    temporary(path);
    write_raw(path, strlen(header), header, strlen(header), 4);
    cr_assert(safetensors_open(path, &s, &e) == 0, "%s", e.text);
    cr_assert(safetensors_floats(s, safetensors_at(s, 0), v, 4, &e) == -1);
    cr_expect(strstr(e.text, "tensor h holds numbers of the type F8_E4M3") &&
                  strstr(e.text, ".float()"),
              "%s", e.text);
    safetensors_close(s);
    static const char twice[] = "{\"h\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                                "\"h\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    write_raw(path, strlen(twice), twice, strlen(twice), 4);
    cr_assert(safetensors_open(path, &s, &e) == -1);
    cr_expect(strstr(e.text, "duplicate"), "%s", e.text);
    unlink(path);
}
