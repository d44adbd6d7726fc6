// CIFAR and STL-10 from files made here as their makers describe them, and every kind of damage a
// sentence with the file and the byte.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/sets/dataset_table.h"
#include "tests/kit/pictures.h"
#include "tests/kit/runs.h"

enum { CIFAR_IMAGE = 3 * 32 * 32, STL_SIDE = 96, STL_IMAGE = 3 * STL_SIDE * STL_SIDE };

// A pixel that says where it is.
static uint8_t value(int image, int c, int y, int x)
{
    return (uint8_t)(image * 31 + c * 83 + y * 7 + x * 3);
}

static void put(const char *dir, const char *name, const uint8_t *data, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    picture_write(path, data, n);
}

// n records: labels, then planes row by row. Image numbers begin at `first`.
static void put_cifar(const char *dir, const char *name, int first, int n, int labels)
{
    size_t record = (size_t)labels + CIFAR_IMAGE;
    uint8_t *data = malloc((size_t)n * record), *p = data;
    cr_assert_not_null(data);
    for (int i = first; i < first + n; i++) {
        if (labels == 2)
            *p++ = (uint8_t)(i % 20); // coarse
        *p++ = (uint8_t)(i % (labels == 2 ? 100 : 10));
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < 32; y++)
                for (int x = 0; x < 32; x++)
                    *p++ = value(i, c, y, x);
    }
    put(dir, name, data, (size_t)n * record);
    free(data);
}

static void make_cifar10(const char *dir)
{
    char name[32];
    for (int b = 1; b <= 5; b++) {
        snprintf(name, sizeof name, "data_batch_%d.bin", b);
        put_cifar(dir, name, (b - 1) * 4, 4, 1);
    }
    put_cifar(dir, "test_batch.bin", 100, 6, 1);
}

static int open_set(const char *kind, const char *dir, struct dataset *d, struct error *e)
{
    char spec[128];
    snprintf(spec, sizeof spec, "%s:%s", kind, dir);
    e->text[0] = '\0';
    return dataset_open(spec, 1, d, e);
}

static void expect_refused(const char *kind, const char *dir, const char *a, const char *b)
{
    struct dataset d;
    struct error e;
    cr_expect_eq(open_set(kind, dir, &d, &e), -1, "%s was accepted", a);
    cr_expect_null(d.split[SPLIT_TRAIN].images);
    cr_expect(strstr(e.text, a) && strstr(e.text, b), "no '%s' or '%s' in: %s", a, b, e.text);
}

static void expect_images(const struct dataset *d, enum split s, int64_t at, int first, int n,
                          int side)
{
    for (int i = 0; i < n; i++) {
        const uint8_t *p = dataset_image(d, s, at + i);
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < side; y++)
                for (int x = 0; x < side; x++, p++)
                    if (*p != value(first + i, c, y, x))
                        cr_assert_fail("image %d, channel %d, row %d, column %d", i, c, y, x);
    }
}

Test(cifar, ten_classes)
{
    char dir[64], inside[96];
    struct dataset d;
    struct error e;
    scratch_make(dir);
    make_cifar10(dir);
    cr_assert_eq(open_set("cifar10", dir, &d, &e), 0, "%s", e.text);
    cr_expect(d.channels == 3 && d.height == 32 && d.width == 32 && d.classes == 10);
    cr_assert(d.split[SPLIT_TRAIN].n == 20 && d.split[SPLIT_TEST].n == 6 && d.trained == 20);
    expect_images(&d, SPLIT_TRAIN, 0, 0, 20, 32);
    expect_images(&d, SPLIT_TEST, 0, 100, 6, 32);
    for (int i = 0; i < 20; i++)
        cr_expect_eq(d.split[SPLIT_TRAIN].labels[i], i % 10);
    cr_expect_eq(d.mean[0], 0.4914f);
    cr_expect_eq(d.std[2], 0.2616f);
    dataset_close(&d);
    // As the archive unpacks: one folder more.
    snprintf(inside, sizeof inside, "%s/cifar-10-batches-bin", dir);
    cr_assert_eq(mkdir(inside, 0700), 0);
    make_cifar10(inside);
    cr_expect_eq(open_set("cifar10", dir, &d, &e), 0, "%s", e.text);
    dataset_close(&d);
    scratch_remove(dir);
}

Test(cifar, hundred_classes)
{
    char dir[64];
    struct dataset d;
    struct error e;
    scratch_make(dir);
    put_cifar(dir, "train.bin", 50, 30, 2);
    put_cifar(dir, "test.bin", 7, 3, 2);
    cr_assert_eq(open_set("cifar100", dir, &d, &e), 0, "%s", e.text);
    cr_expect_eq(d.classes, 100);
    cr_assert(d.split[SPLIT_TRAIN].n == 30 && d.split[SPLIT_TEST].n == 3);
    expect_images(&d, SPLIT_TRAIN, 0, 50, 30, 32);
    cr_expect_eq(d.split[SPLIT_TRAIN].labels[29], 79); // the fine label
    dataset_close(&d);
    scratch_remove(dir);
}

Test(cifar, damage)
{
    char dir[64], path[96];
    uint8_t record[1 + CIFAR_IMAGE] = {10};
    scratch_make(dir);
    expect_refused("cifar10", "/nowhere", "/nowhere/data_batch_1.bin", "No such file");
    expect_refused("cifar10", dir, "data_batch_1.bin", "No such file");
    put(dir, "data_batch_1", record, sizeof record);
    expect_refused("cifar10", dir, "version for Python", "cifar-10-binary.tar.gz");
    expect_refused("cifar100", dir, "version for Python", "cifar-100-binary.tar.gz");
    make_cifar10(dir);
    expect_refused("cifar100", dir, dir, "holds CIFAR-10: say cifar10:DIR");
    snprintf(path, sizeof path, "%s/data_batch_3.bin", dir);
    expect_refused("cifar10", path, path, "is a file: the folder is named");
    cr_assert_eq(truncate(path, 2 * 3073 + 5), 0);
    expect_refused("cifar10", dir, "data_batch_3.bin", "breaks off at byte 6146");
    cr_assert_eq(truncate(path, 0), 0);
    expect_refused("cifar10", dir, "data_batch_3.bin", "has 0 bytes");
    put(dir, "data_batch_3.bin", record, sizeof record);
    expect_refused("cifar10", dir, "data_batch_3.bin has label 10 at byte 0", "expected 0 to 9");
    unlink(path);
    cr_assert_eq(mkdir(path, 0700), 0);
    expect_refused("cifar10", dir, "data_batch_3.bin", "not a regular file");
    put_cifar(dir, "train.bin", 0, 2, 2);
    put_cifar(dir, "test.bin", 0, 2, 1); // another format
    expect_refused("cifar100", dir, "test.bin", "expected one or more whole images of 3074");
    snprintf(path, sizeof path, "%s/more", dir);
    cr_assert_eq(mkdir(path, 0700), 0);
    put(path, "cifar-10-binary.tar.gz", record, sizeof record);
    expect_refused("cifar10", path, "cifar-10-binary.tar.gz", "unpacked first");
    scratch_remove(dir);
}

// n images column by column, as the set has them.
static void put_stl(const char *dir, const char *name, int first, int n)
{
    uint8_t *data = malloc((size_t)n * STL_IMAGE), *p = data;
    cr_assert_not_null(data);
    for (int i = first; i < first + n; i++)
        for (int c = 0; c < 3; c++)
            for (int x = 0; x < STL_SIDE; x++)
                for (int y = 0; y < STL_SIDE; y++)
                    *p++ = value(i, c, y, x);
    put(dir, name, data, (size_t)n * STL_IMAGE);
    free(data);
}

static void put_labels(const char *dir, const char *name, int n)
{
    uint8_t label[64];
    for (int i = 0; i < n; i++)
        label[i] = (uint8_t)(1 + i % 10);
    put(dir, name, label, (size_t)n);
}

static void make_stl(const char *dir)
{
    put_stl(dir, "unlabeled_X.bin", 0, 9);
    put_stl(dir, "train_X.bin", 20, 5);
    put_labels(dir, "train_y.bin", 5);
    put_stl(dir, "test_X.bin", 40, 4);
    put_labels(dir, "test_y.bin", 4);
}

// Trained on are the images without labels; those with one lie behind them, for the probe.
Test(cifar, stl)
{
    char dir[64];
    struct dataset d;
    struct error e;
    int64_t first;
    scratch_make(dir);
    make_stl(dir);
    cr_assert_eq(open_set("stl10", dir, &d, &e), 0, "%s", e.text);
    cr_expect(d.channels == 3 && d.height == 96 && d.width == 96 && d.classes == 10);
    cr_assert(d.split[SPLIT_TRAIN].n == 14 && d.split[SPLIT_TEST].n == 4);
    cr_expect_eq(d.trained, 9);
    expect_images(&d, SPLIT_TRAIN, 0, 0, 9, 96);
    expect_images(&d, SPLIT_TRAIN, 9, 20, 5, 96);
    expect_images(&d, SPLIT_TEST, 0, 40, 4, 96);
    cr_expect_eq(dataset_labelled(&d, SPLIT_TRAIN, &first), 5);
    cr_expect_eq(first, 9);
    cr_expect_eq(dataset_labelled(&d, SPLIT_TEST, &first), 4);
    cr_expect_eq(first, 0);
    for (int i = 0; i < 9; i++)
        cr_expect_eq(d.split[SPLIT_TRAIN].labels[i], -1);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(d.split[SPLIT_TRAIN].labels[9 + i], i);
    dataset_close(&d);
    scratch_remove(dir);
}

Test(cifar, stl_damage)
{
    char dir[64], path[96];
    uint8_t label[5] = {1, 2, 0, 4, 5};
    scratch_make(dir);
    make_stl(dir);
    put_labels(dir, "train_y.bin", 4);
    expect_refused("stl10", dir, "train_y.bin holds 4 labels", "expected 5");
    put(dir, "train_y.bin", label, 5);
    expect_refused("stl10", dir, "train_y.bin has label 0 at byte 2", "expected 1 to 10");
    make_stl(dir);
    snprintf(path, sizeof path, "%s/unlabeled_X.bin", dir);
    cr_assert_eq(truncate(path, 3 * STL_IMAGE - 1), 0);
    expect_refused("stl10", dir, "unlabeled_X.bin", "breaks off at byte 55296");
    unlink(path);
    expect_refused("stl10", dir, "unlabeled_X.bin", "No such file");
    scratch_remove(dir);
}

// The whole way: a training on each, with a probe of its labels.
Test(cifar, trainings)
{
    static const char *const kind[] = {"cifar10", "stl10"};
    struct lab lab;
    lab_open(&lab);
    for (int k = 0; k < 2; k++) {
        char dir[64], data[96];
        scratch_make(dir);
        if (k == 0) {
            char name[32];
            for (int b = 1; b <= 5; b++) {
                snprintf(name, sizeof name, "data_batch_%d.bin", b);
                put_cifar(dir, name, b * 20, 20, 1);
            }
            put_cifar(dir, "test_batch.bin", 0, 30, 1);
        } else {
            put_stl(dir, "unlabeled_X.bin", 0, 24);
            put_stl(dir, "train_X.bin", 50, 40);
            put_labels(dir, "train_y.bin", 40);
            put_stl(dir, "test_X.bin", 100, 20);
            put_labels(dir, "test_y.bin", 20);
        }
        snprintf(data, sizeof data, "%s:%s", kind[k], dir);
        cr_assert_eq(RUN(&lab, "--data", data, "--width", "4", "--batch", "8", "--threads", "1",
                         "--precision", "f32", "--steps", "4", "--name", kind[k]),
                     0, "%s", lab_text(lab.out));
        json_t *log = lab_log(&lab, kind[k]), *eval = json_object_get(log, "eval/4");
        cr_assert_not_null(eval);
        cr_expect(json_is_number(json_object_get(eval, "probe")), "no probe of %s", kind[k]);
        cr_expect_eq(json_integer_value(json_object_get(eval, "n_train")), k == 0 ? 100 : 40);
        json_decref(log);
        scratch_remove(dir);
    }
    lab_close(&lab);
}
