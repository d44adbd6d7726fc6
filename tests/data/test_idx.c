// IDX files: plain and .gz read whole, and every kind of damage one sentence that names the file,
// the byte and what was expected. The damaged files are made here, in a folder of their own.
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "data/sets/dataset_table.h"
#include "metrics/base/rng.h"
#include "tests/kit/pictures.h"

#define TRAIN 30
#define TEST  10
#define SIDE  6

enum { TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS, FILES };
static const char *const file_name[FILES] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                             "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};

// A folder with the four files as bytes, to be damaged one at a time.
struct folder {
    char path[64];
    uint8_t *data[FILES];
    size_t size[FILES];
};

static void put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static void folder_make(struct folder *f)
{
    memset(f, 0, sizeof *f);
    strcpy(f->path, "/tmp/ssltop-idx-XXXXXX");
    cr_assert_not_null(mkdtemp(f->path));
    struct rng r;
    rng_init(&r, 1, RNG_TEST, 0, 0);
    for (int i = 0; i < FILES; i++) {
        int images = i == TRAIN_IMAGES || i == TEST_IMAGES;
        uint32_t n = i < TEST_IMAGES ? TRAIN : TEST;
        size_t head = images ? 16 : 8;
        f->size[i] = head + n * (images ? SIDE * SIDE : 1);
        f->data[i] = malloc(f->size[i]);
        cr_assert_not_null(f->data[i]);
        put32(f->data[i], images ? 0x803 : 0x801);
        put32(f->data[i] + 4, n);
        if (images) {
            put32(f->data[i] + 8, SIDE);
            put32(f->data[i] + 12, SIDE);
        }
        for (size_t k = head; k < f->size[i]; k++)
            f->data[i][k] = (uint8_t)(images ? rng_u32(&r) : (k - head) % 7);
    }
}

static void path_of(const struct folder *f, int i, int gz, char path[256])
{
    snprintf(path, 256, "%s/%s%s", f->path, file_name[i], gz ? ".gz" : "");
}

static void write_bytes(const char *path, const uint8_t *data, size_t n)
{
    FILE *out = fopen(path, "wb");
    cr_assert_not_null(out);
    cr_assert_eq(fwrite(data, 1, n, out), n);
    cr_assert_eq(fclose(out), 0);
}

static void write_gz(const char *path, const uint8_t *data, size_t n)
{
    gzFile out = gzopen(path, "wb");
    cr_assert_not_null(out);
    cr_assert_eq(gzwrite(out, data, (unsigned)n), (int)n);
    cr_assert_eq(gzclose(out), Z_OK);
}

static void folder_write(const struct folder *f, int gz)
{
    char path[256];
    for (int i = 0; i < FILES; i++) {
        path_of(f, i, !gz, path);
        unlink(path);
        path_of(f, i, gz, path);
        unlink(path);
        if (gz)
            write_gz(path, f->data[i], f->size[i]);
        else
            write_bytes(path, f->data[i], f->size[i]);
    }
}

static void folder_free(struct folder *f)
{
    char path[256];
    for (int i = 0; i < FILES; i++) {
        for (int gz = 0; gz < 2; gz++) {
            path_of(f, i, gz, path);
            unlink(path);
        }
        free(f->data[i]);
    }
    cr_expect_eq(rmdir(f->path), 0);
}

static int open_folder(const struct folder *f, struct dataset *d, struct error *e)
{
    char spec[128];
    snprintf(spec, sizeof spec, "idx:%s", f->path);
    e->text[0] = '\0';
    return dataset_open(spec, 1, d, e);
}

// Opening must fail with a sentence that holds each of the words; `words` is "a|b|c".
static void expect_refused(const struct folder *f, const char *what, const char *words)
{
    struct dataset d;
    struct error e;
    char copy[256], *save = NULL;
    cr_expect_eq(open_folder(f, &d, &e), -1, "%s was accepted", what);
    cr_expect_null(d.split[0].images, "%s", what);
    cr_expect_null(strchr(e.text, '\n'));
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok_r(copy, "|", &save); word; word = strtok_r(NULL, "|", &save))
        cr_expect_not_null(strstr(e.text, word), "%s: no '%s' in: %s", what, word, e.text);
}

Test(idx, plain_and_gz_are_read_whole)
{
    struct folder f;
    folder_make(&f);
    for (int gz = 0; gz < 2; gz++) {
        struct dataset d;
        struct error e;
        folder_write(&f, gz);
        cr_assert_eq(open_folder(&f, &d, &e), 0, "%s", e.text);
        cr_expect(d.channels == 1 && d.height == SIDE && d.width == SIDE && d.classes == 7);
        cr_expect(d.split[SPLIT_TRAIN].n == TRAIN && d.split[SPLIT_TEST].n == TEST);
        cr_expect_eq(strncmp(d.name, "idx:/tmp/", 9), 0);
        for (int s = 0; s < SPLIT_COUNT; s++) {
            const struct dataset_split *p = &d.split[s];
            cr_expect_eq(memcmp(p->images, f.data[2 * s] + 16, f.size[2 * s] - 16), 0);
            for (int64_t i = 0; i < p->n; i++)
                cr_expect_eq(p->labels[i], f.data[2 * s + 1][8 + i]);
            cr_expect_eq(dataset_image(&d, (enum split)s, 3),
                         p->images + (ptrdiff_t)3 * SIDE * SIDE);
        }
        double mean = 0, var = 0, n = TRAIN * SIDE * SIDE;
        for (size_t k = 16; k < f.size[0]; k++)
            mean += f.data[0][k] / 255.0 / n;
        for (size_t k = 16; k < f.size[0]; k++)
            var += (f.data[0][k] / 255.0 - mean) * (f.data[0][k] / 255.0 - mean) / n;
        cr_expect_float_eq((double)d.mean[0], mean, 1e-6);
        cr_expect_float_eq((double)d.std[0], sqrt(var), 1e-6);
        dataset_close(&d);
        cr_expect_null(d.split[0].labels);
    }
    folder_free(&f);
}

static int swap_names(const struct folder *f, const char *const name[4], int back)
{
    int rc = 0;
    for (int i = 0; i < 4; i++) {
        char path[2][160];
        for (int dot = 0; dot < 2; dot++)
            snprintf(path[dot], sizeof path[dot], "%s/%s%cidx%d-ubyte", f->path, name[i],
                     dot ? '.' : '-', i % 2 ? 1 : 3);
        rc |= rename(path[back], path[!back]);
    }
    return rc;
}

// As some tools unpack them, and behind a ~ that no shell has seen.
Test(idx, names_with_dots_below_home)
{
    struct folder f;
    struct dataset d;
    struct error e;
    folder_make(&f);
    folder_write(&f, 0);
    static const char *const name[] = {"train-images", "train-labels", "t10k-images",
                                       "t10k-labels"};
    cr_assert_eq(swap_names(&f, name, 0), 0);
    cr_assert_eq(setenv("HOME", "/tmp", 1), 0);
    char spec[160];
    snprintf(spec, sizeof spec, "idx:~/%s", strrchr(f.path, '/') + 1);
    cr_assert_eq(dataset_open(spec, 1, &d, &e), 0, "%s", e.text);
    cr_expect(d.split[SPLIT_TRAIN].n == TRAIN && d.split[SPLIT_TEST].n == TEST);
    dataset_close(&d);
    cr_assert_eq(swap_names(&f, name, 1), 0);
    folder_free(&f);
}

static void move(const char *from, const char *to)
{
    char path[512];
    snprintf(path, sizeof path, "%s", to);
    for (char *slash = path + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        cr_assert(mkdir(path, 0700) == 0 || errno == EEXIST, "%s", path);
    }
    cr_assert_eq(rename(from, to), 0, "%s", to);
}

// Each file in a folder of its name, as an archive of MNIST has them; and where torchvision puts
// them.
Test(idx, in_folders_of_others)
{
    struct folder f;
    struct dataset d;
    struct error e;
    char from[256], to[600], text[600];
    folder_make(&f);
    folder_write(&f, 0);
    for (int i = 0; i < FILES; i++) {
        path_of(&f, i, 0, from);
        snprintf(text, sizeof text, "%s.one", from);
        snprintf(to, sizeof to, "%s/%s", from, file_name[i]);
        cr_assert_eq(rename(from, text), 0);
        move(text, to);
    }
    cr_expect_eq(open_folder(&f, &d, &e), 0, "%s", e.text);
    dataset_close(&d);
    for (int i = 0; i < FILES; i++) {
        path_of(&f, i, 0, from);
        snprintf(text, sizeof text, "%s/%s", from, file_name[i]);
        snprintf(to, sizeof to, "%s/MNIST/raw/%s", f.path, file_name[i]);
        move(text, to);
        cr_assert_eq(rmdir(from), 0);
    }
    cr_expect_eq(open_folder(&f, &d, &e), 0, "%s", e.text);
    dataset_close(&d);
    snprintf(to, sizeof to, "%s/KMNIST/raw/%s", f.path, file_name[0]);
    snprintf(text, sizeof text, "%s/two", f.path);
    write_bytes(text, f.data[0], f.size[0]);
    move(text, to);
    expect_refused(&f, "two sets", "MNIST/raw and KMNIST/raw|name one");
    scratch_remove(f.path);
    cr_assert_eq(mkdir(f.path, 0700), 0);
    folder_free(&f);
}

Test(idx, images_of_one_value_still_normalise)
{
    struct folder f;
    struct dataset d;
    struct error e;
    folder_make(&f);
    memset(f.data[TRAIN_IMAGES] + 16, 77, f.size[TRAIN_IMAGES] - 16);
    folder_write(&f, 0);
    cr_assert_eq(open_folder(&f, &d, &e), 0, "%s", e.text);
    cr_expect_float_eq((double)d.mean[0], 77 / 255.0, 1e-6);
    cr_expect_eq(d.std[0], 1.0f);
    dataset_close(&d);
    folder_free(&f);
}

Test(idx, missing_files_and_folders)
{
    struct folder f;
    struct dataset d;
    struct error e;
    char path[256];
    folder_make(&f);
    for (int i = 0; i < FILES; i++) {
        folder_write(&f, i & 1);
        path_of(&f, i, i & 1, path);
        cr_assert_eq(unlink(path), 0);
        expect_refused(&f, file_name[i], "is missing");
        expect_refused(&f, file_name[i], file_name[i]);
    }
    folder_write(&f, 0);
    path_of(&f, TRAIN_IMAGES, 0, path);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(mkdir(path, 0700), 0);
    expect_refused(&f, "a folder for a file", "train-images-idx3-ubyte|not a regular file");
    cr_assert_eq(rmdir(path), 0);
    cr_assert_eq(mkfifo(path, 0600), 0); // must not wait for a writer either
    expect_refused(&f, "a pipe for a file", "train-images-idx3-ubyte|not a regular file");
    cr_assert_eq(unlink(path), 0);
    folder_free(&f);
    expect_refused(&f, "a folder that is gone", "cannot open the folder|ssltop-idx|No such file");
    cr_expect_eq(dataset_open("idx:/dev/null", 1, &d, &e), -1);
    cr_expect_not_null(strstr(e.text, "/dev/null is not a folder"));
}

Test(idx, truncated_plain_files)
{
    struct folder f;
    folder_make(&f);
    for (int i = 0; i < FILES; i++) {
        size_t whole = f.size[i];
        f.size[i] = whole - 1;
        folder_write(&f, 0);
        expect_refused(&f, "one byte short", "byte 4|exactly");
        expect_refused(&f, "one byte short", file_name[i]);
        f.size[i] = 5;
        folder_write(&f, 0);
        expect_refused(&f, "five bytes", "truncated|byte 5|expected");
        f.size[i] = 0;
        folder_write(&f, 0);
        expect_refused(&f, "empty", "truncated|byte 0|expected");
        f.size[i] = whole;
    }
    folder_free(&f);
}

// Every possible length of a .gz, the cut anywhere in its header, its data or its checksum.
Test(idx, truncated_gz_files)
{
    struct folder f;
    folder_make(&f);
    for (int i = 0; i < FILES; i++) {
        char path[256];
        uint8_t bytes[4096];
        folder_write(&f, 1);
        path_of(&f, i, 1, path);
        FILE *in = fopen(path, "rb");
        cr_assert_not_null(in);
        size_t n = fread(bytes, 1, sizeof bytes, in);
        cr_assert(n > 20 && n < sizeof bytes);
        fclose(in);
        for (size_t cut = 0; cut<n; cut += cut + 40> n ? 1 : 13) {
            write_bytes(path, bytes, cut);
            expect_refused(&f, "cut .gz", cut < 2 ? "byte|expected" : "truncated|.gz");
            expect_refused(&f, "cut .gz", file_name[i]);
        }
        write_bytes(path, bytes, n);
        struct dataset d;
        struct error e;
        cr_assert_eq(open_folder(&f, &d, &e), 0, "%s", e.text);
        dataset_close(&d);
    }
    folder_free(&f);
}

Test(idx, damaged_gz_files)
{
    struct folder f;
    char path[256];
    uint8_t bytes[4096];
    folder_make(&f);
    folder_write(&f, 1);
    path_of(&f, TRAIN_IMAGES, 1, path);
    FILE *in = fopen(path, "rb");
    cr_assert_not_null(in);
    size_t n = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    bytes[n - 6] ^= 1; // of the checksum
    write_bytes(path, bytes, n);
    expect_refused(&f, "wrong checksum", "train-images-idx3-ubyte.gz|damaged|byte|check");
    bytes[n - 6] ^= 1;
    bytes[n / 2] ^= 0x55;
    write_bytes(path, bytes, n);
    expect_refused(&f, "flipped bits", "train-images-idx3-ubyte.gz|damaged|byte");
    folder_free(&f);
}

Test(idx, wrong_magic)
{
    static const uint32_t wrong[] = {0x801, 0x804, 0xd03, 0x3080000, 0x89504e47, 0x20202020};
    struct folder f;
    folder_make(&f);
    for (int gz = 0; gz < 2; gz++)
        for (int i = 0; i < FILES; i++) {
            uint8_t right[4];
            memcpy(right, f.data[i], 4);
            for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
                char words[128];
                put32(f.data[i], wrong[k] == 0x801 && i & 1 ? 0x803 : wrong[k]);
                folder_write(&f, gz);
                snprintf(words, sizeof words, "%s|magic|byte 0|expected 0x0000080%d", file_name[i],
                         i & 1 ? 1 : 3);
                expect_refused(&f, "wrong magic", words);
            }
            memcpy(f.data[i], right, 4);
        }
    folder_free(&f);
}

Test(idx, labels_do_not_match_images)
{
    struct folder f;
    folder_make(&f);
    for (int gz = 0; gz < 2; gz++)
        for (int i = TRAIN_LABELS; i < FILES; i += 2) {
            uint32_t n = i == TRAIN_LABELS ? TRAIN : TEST;
            char words[128];
            put32(f.data[i] + 4, n - 1);
            f.size[i]--;
            folder_write(&f, gz);
            snprintf(words, sizeof words, "%s|%u labels|byte 4|expected %u", file_name[i], n - 1,
                     n);
            expect_refused(&f, "a label too few", words);
            put32(f.data[i] + 4, n);
            f.size[i]++;
        }
    // The test images must be of the training images' size.
    put32(f.data[TEST_IMAGES] + 8, SIDE / 2);
    put32(f.data[TEST_IMAGES] + 12, SIDE * 2);
    folder_write(&f, 0);
    expect_refused(&f, "test images of another shape", "t10k-images|3x12|byte 8|expected 6x6");
    folder_free(&f);
}

Test(idx, absurd_dimensions)
{
    // What a .gz holds shows only as it ends, unless its size cannot hold the promise at any ratio.
    static const struct {
        int at;
        uint32_t value;
        const char *plain, *gz;
    } bad[] = {
        {4, 0, "0 items|byte 4|expected 1", NULL},
        {8, 0, "height 0|byte 8|expected 1 to 4096", NULL},
        {12, 0, "width 0|byte 12|expected 1 to 4096", NULL},
        {8, 4097, "height 4097|byte 8|expected 1 to 4096", NULL},
        {12, 0xffffffff, "width 4294967295|byte 12|expected 1 to 4096", NULL},
        {4, 0xffffffff, "promises 154618822636 bytes|byte 4|expected exactly 1096",
         "promises 154618822636 bytes|byte 4|expected at most"},
        {4, TRAIN + 1, "promises 1132 bytes|byte 4|expected exactly 1096",
         "truncated|byte 1096 of its content|expected 1132 bytes"},
        {8, 4096, "promises 737296 bytes|byte 4|expected exactly 1096",
         "truncated|byte 1096 of its content|expected 737296 bytes"},
    };
    struct folder f;
    folder_make(&f);
    for (int gz = 0; gz < 2; gz++)
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
            uint8_t right[4];
            memcpy(right, f.data[TRAIN_IMAGES] + bad[k].at, 4);
            put32(f.data[TRAIN_IMAGES] + bad[k].at, bad[k].value);
            folder_write(&f, gz);
            expect_refused(&f, "absurd size", gz && bad[k].gz ? bad[k].gz : bad[k].plain);
            expect_refused(&f, "absurd size", "train-images-idx3-ubyte");
            memcpy(f.data[TRAIN_IMAGES] + bad[k].at, right, 4);
        }
    // All sizes at their largest: their product does not fit 32 bits, the answer must not either.
    put32(f.data[TRAIN_IMAGES] + 4, 0xffffffff);
    put32(f.data[TRAIN_IMAGES] + 8, 4096);
    put32(f.data[TRAIN_IMAGES] + 12, 4096);
    folder_write(&f, 0);
    expect_refused(&f, "largest sizes", "promises 72057594021150736 bytes|byte 4|expected exactly");
    folder_free(&f);
}

// A line of /proc/self/status, in bytes.
static long long status_bytes(const char *key)
{
    char line[256];
    long long kb = -1;
    FILE *f = fopen("/proc/self/status", "r");
    cr_assert_not_null(f);
    while (kb < 0 && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            kb = strtoll(line + strlen(key), NULL, 10);
    fclose(f);
    cr_assert_geq(kb, 0, "no %s", key);
    return kb * 1024;
}

// A header that promises 400 MB, in a .gz large enough to hold that by deflate's best ratio, but
// holding little: memory must grow with what comes, so the address space (touched or not) stays
// small.
Test(idx, gz_memory_grows_with_its_bytes)
{
    struct folder f;
    char path[256];
    folder_make(&f);
    size_t n = 500000;
    uint8_t *bytes = malloc(n);
    cr_assert_not_null(bytes);
    struct rng r;
    rng_init(&r, 1, RNG_TEST, 0, 9);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)rng_u32(&r); // does not compress
    put32(bytes, 0x803);
    put32(bytes + 4, 400);
    put32(bytes + 8, 1000);
    put32(bytes + 12, 1000);
    folder_write(&f, 1);
    path_of(&f, TRAIN_IMAGES, 1, path);
    write_gz(path, bytes, n);
    long long before = status_bytes("VmPeak:");
    cr_assert_lt(before - status_bytes("VmSize:"), 200ll << 20);
    expect_refused(&f, "a promise of 400 MB",
                   "truncated|byte 500000 of its content|expected 400000016");
    cr_expect_lt(status_bytes("VmPeak:") - before, 100ll << 20);
    free(bytes);
    folder_free(&f);
}

Test(idx, more_than_promised)
{
    struct folder f;
    folder_make(&f);
    for (int i = 0; i < FILES; i++) {
        char words[128];
        uint8_t *longer = calloc(1, f.size[i] + 3);
        cr_assert_not_null(longer);
        memcpy(longer, f.data[i], f.size[i]);
        free(f.data[i]);
        f.data[i] = longer;
        f.size[i] += 3;
        folder_write(&f, 0);
        snprintf(words, sizeof words, "%s|byte 4|expected exactly %zu", file_name[i], f.size[i]);
        expect_refused(&f, "three bytes more", words);
        folder_write(&f, 1);
        snprintf(words, sizeof words, "%s.gz|goes on after byte %zu|expected its end", file_name[i],
                 f.size[i] - 3);
        expect_refused(&f, "three bytes more", words);
        f.size[i] -= 3;
    }
    folder_free(&f);
}

Test(idx, long_folder_names_leave_the_sentence_whole)
{
    struct dataset d;
    struct error e;
    char spec[250] = "idx:/tmp/";
    memset(spec + 9, 'x', sizeof spec - 10);
    spec[sizeof spec - 1] = '\0';
    cr_expect_eq(dataset_open(spec, 1, &d, &e), -1);
    cr_expect_not_null(strstr(e.text, "the three files that go with it"), "%s", e.text);
    char longer[400] = "idx:/tmp/";
    memset(longer + 9, 'x', sizeof longer - 10);
    longer[sizeof longer - 1] = '\0';
    cr_expect_eq(dataset_open(longer, 1, &d, &e), -1);
    cr_expect_not_null(strstr(e.text, "longer than 255 bytes"), "%s", e.text);
}

Test(idx, fashion_mnist_elsewhere)
{
    struct folder f;
    struct dataset d;
    struct error e = {""};
    folder_make(&f);
    folder_write(&f, 0);
    setenv("SSLTOP_FASHION_MNIST", f.path, 1);
    cr_expect_eq(dataset_open("fashion-mnist", 1, &d, &e), -1);
    cr_expect_not_null(strstr(e.text, "expected 28x28"), "%s", e.text);
    setenv("SSLTOP_FASHION_MNIST", "/nowhere/at/all", 1);
    cr_expect_eq(dataset_open("fashion-mnist", 1, &d, &e), -1);
    cr_expect_not_null(strstr(e.text, "/nowhere/at/all"), "%s", e.text);
    cr_expect_not_null(strstr(e.text, "apt-get install dataset-fashion-mnist"), "%s", e.text);
    unsetenv("SSLTOP_FASHION_MNIST");
    folder_free(&f);
}

Test(idx, fashion_mnist_has_ten_classes)
{
    struct folder f;
    struct dataset d;
    struct error e = {""};
    folder_make(&f);
    // One image of 28x28 and one label a split.
    for (int i = 0; i < FILES; i++) {
        free(f.data[i]);
        f.size[i] = i & 1 ? 9 : 16 + 784;
        f.data[i] = calloc(1, f.size[i]);
        cr_assert_not_null(f.data[i]);
        put32(f.data[i], i & 1 ? 0x801 : 0x803);
        put32(f.data[i] + 4, 1);
        if (!(i & 1)) {
            put32(f.data[i] + 8, 28);
            put32(f.data[i] + 12, 28);
        }
    }
    setenv("SSLTOP_FASHION_MNIST", f.path, 1);
    f.data[TEST_LABELS][8] = 9;
    folder_write(&f, 1);
    cr_expect_eq(dataset_open("fashion-mnist", 1, &d, &e), 0, "%s", e.text);
    dataset_close(&d);
    f.data[TEST_LABELS][8] = 10;
    folder_write(&f, 1);
    cr_expect_eq(dataset_open("fashion-mnist", 1, &d, &e), -1);
    cr_expect_not_null(
        strstr(e.text, "t10k-labels-idx1-ubyte.gz has label 10 at byte 8, expected 0 to 9"), "%s",
        e.text);
    unsetenv("SSLTOP_FASHION_MNIST");
    cr_expect_eq(open_folder(&f, &d, &e), 0, "%s", e.text); // as idx:DIR it is a set of eleven
    cr_expect_eq(d.classes, 11);
    dataset_close(&d);
    folder_free(&f);
}
