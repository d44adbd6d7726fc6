// Data sets by name: what a whole one gives, names that cannot be, and the synthetic set as
// something to learn from.
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/sets/dataset_table.h"
#include "metrics/base/rng.h"
#include "train/options/options.h"

Test(dataset, specs_that_cannot_be)
{
    static const struct {
        const char *spec, *word;
    } bad[] = {
        {"", "unknown data set ''"},
        {"mnist", "idx:DIR"},
        {"fashion", "unknown data set"},
        {"fashion-mnist:x", "takes no argument"},
        {"idx", "needs an argument"},
        {"idx:", "needs an argument"},
        {"synthetic:", "needs an argument"},
        {"synthetic:7", "expected a number of images from 8"},
        {"synthetic:-8", "expected a number"},
        {"synthetic: 9", "expected a number"},
        {"synthetic:100x", "expected a number"},
        {"synthetic:99999999999999999999", "expected a number"},
        {"synthetic:4194305", "expected a number"},
        {"synthetic:64:", "expected a side from 8"},
        {"synthetic:64:7", "expected a side from 8"},
        {"synthetic:64:32:3", "expected a side from 8"},
        {"synthetic:4194304:224", "from 8 to 21845 of that side"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct dataset d;
        struct error e = {""};
        cr_expect_eq(dataset_open(bad[i].spec, 1, &d, &e), -1, "%s", bad[i].spec);
        cr_expect_not_null(strstr(e.text, bad[i].word), "%s: %s", bad[i].spec, e.text);
    }
}

// Debian's package is one of those that `make deps` installs.
Test(dataset, fashion_mnist)
{
    struct dataset d;
    struct error e = {""};
    unsetenv("SSLTOP_FASHION_MNIST");
    cr_assert_eq(dataset_open("fashion-mnist", 1, &d, &e), 0, "%s", e.text);
    cr_expect(d.channels == 1 && d.height == 28 && d.width == 28 && d.classes == 10);
    cr_assert(d.split[SPLIT_TRAIN].n == 60000 && d.split[SPLIT_TEST].n == 10000);
    cr_expect_eq(d.mean[0], 0.2860f);
    cr_expect_eq(d.std[0], 0.3530f);
    double sum = 0, squares = 0;
    int per_class[10] = {0};
    for (size_t i = 0; i < (size_t)60000 * 784; i++) {
        double v = d.split[SPLIT_TRAIN].images[i] / 255.0;
        sum += v;
        squares += v * v;
    }
    for (int i = 0; i < 60000; i++)
        per_class[d.split[SPLIT_TRAIN].labels[i]]++;
    sum /= 60000.0 * 784;
    cr_expect_float_eq(sum, 0.2860, 5e-5);
    cr_expect_float_eq(sqrt(squares / 60000 / 784 - sum * sum), 0.3530, 5e-5);
    for (int i = 0; i < 10; i++)
        cr_expect_eq(per_class[i], 6000);
    static const int first[] = {9, 0, 0, 3, 0, 2, 7, 2, 5, 5}; // of the published training labels
    for (int i = 0; i < 10; i++)
        cr_expect_eq(d.split[SPLIT_TRAIN].labels[i], first[i]);
    dataset_close(&d);
}

Test(dataset, synthetic_is_a_function_of_its_seed)
{
    struct dataset a, b, c, few;
    struct error e = {""};
    cr_assert_eq(dataset_open("synthetic:512", 5, &a, &e), 0, "%s", e.text);
    cr_assert_eq(dataset_open("synthetic:512", 5, &b, &e), 0, "%s", e.text);
    cr_assert_eq(dataset_open("synthetic:512", 6, &c, &e), 0, "%s", e.text);
    cr_assert_eq(dataset_open("synthetic:40", 5, &few, &e), 0, "%s", e.text);
    cr_expect(a.channels == 1 && a.height == 28 && a.width == 28 && a.classes == 10);
    cr_assert(a.split[SPLIT_TRAIN].n == 512 && a.split[SPLIT_TEST].n == 64);
    cr_assert(few.split[SPLIT_TRAIN].n == 40 && few.split[SPLIT_TEST].n == 5);
    for (int s = 0; s < SPLIT_COUNT; s++) {
        size_t n = (size_t)a.split[s].n * 784;
        cr_expect_eq(memcmp(a.split[s].images, b.split[s].images, n), 0);
        cr_expect_neq(memcmp(a.split[s].images, c.split[s].images, n), 0);
        cr_expect_eq(memcmp(a.split[s].images, few.split[s].images, (size_t)few.split[s].n * 784),
                     0);
    }
    cr_expect_neq(memcmp(a.split[SPLIT_TRAIN].images, a.split[SPLIT_TEST].images, 64 * 784), 0);
    cr_expect(a.mean[0] > 0.05f && a.mean[0] < 0.5f && a.std[0] > 0.1f && a.std[0] < 0.5f);
    dataset_close(&a);
    dataset_close(&b);
    dataset_close(&c);
    dataset_close(&few);
    cr_assert_eq(dataset_open("synthetic", 1, &a, &e), 0, "%s", e.text);
    cr_expect(a.split[SPLIT_TRAIN].n == 8192 && a.split[SPLIT_TEST].n == 1024);
    dataset_close(&a);
}

// In colour and of any side: other numbers where two images have the same glyph, and the same
// again.
Test(dataset, synthetic_in_colour)
{
    struct dataset a, b;
    struct error e = {""};
    cr_assert_eq(dataset_open("synthetic:64:37", 5, &a, &e), 0, "%s", e.text);
    cr_assert_eq(dataset_open("synthetic:64:37", 5, &b, &e), 0, "%s", e.text);
    cr_expect(a.channels == 3 && a.height == 37 && a.width == 37 && a.classes == 10);
    cr_assert(a.split[SPLIT_TRAIN].n == 64 && a.split[SPLIT_TEST].n == 8);
    cr_expect_eq(memcmp(a.split[0].images, b.split[0].images, 64 * 3 * 37 * 37), 0);
    for (int c = 0; c < 3; c++)
        cr_expect(a.mean[c] > 0.1f && a.mean[c] < 0.6f && a.std[c] > 0.1f && a.std[c] < 0.5f);
    const uint8_t *first = dataset_image(&a, SPLIT_TRAIN, 0);
    cr_expect_neq(memcmp(first, first + 37 * 37, 37 * 37), 0);
    dataset_close(&a);
    dataset_close(&b);
}

// Ten classes of about equal size that the nearest training image tells apart far above chance, but
// not the class means alone: there is something to learn.
Test(dataset, synthetic_can_be_learned)
{
    struct dataset d;
    struct error e = {""};
    cr_assert_eq(dataset_open("synthetic:2048", 1, &d, &e), 0, "%s", e.text);
    const struct dataset_split *train = &d.split[SPLIT_TRAIN], *test = &d.split[SPLIT_TEST];
    int count[10] = {0}, by_image = 0, by_mean = 0;
    static double mean[10][784];
    for (int64_t i = 0; i < train->n; i++) {
        cr_assert(train->labels[i] >= 0 && train->labels[i] < 10);
        count[train->labels[i]]++;
        for (int k = 0; k < 784; k++)
            mean[train->labels[i]][k] += train->images[i * 784 + k];
    }
    for (int c = 0; c < 10; c++)
        cr_expect_float_eq(count[c], 204.8, 5 * sqrt(2048 * 0.09));
    for (int64_t i = 0; i < test->n; i++) {
        const uint8_t *x = test->images + i * 784;
        double best = INFINITY, best_mean = INFINITY;
        int label = -1, label_mean = -1;
        for (int64_t j = 0; j < train->n; j++) {
            long sum = 0;
            for (int k = 0; k < 784; k++) {
                int gap = x[k] - train->images[j * 784 + k];
                sum += gap * gap;
            }
            if ((double)sum < best) {
                best = (double)sum;
                label = train->labels[j];
            }
        }
        for (int c = 0; c < 10; c++) {
            double sum = 0;
            for (int k = 0; k < 784; k++)
                sum += (x[k] - mean[c][k] / count[c]) * (x[k] - mean[c][k] / count[c]);
            if (sum < best_mean) {
                best_mean = sum;
                label_mean = c;
            }
        }
        by_image += label == test->labels[i];
        by_mean += label_mean == test->labels[i];
    }
    cr_expect_gt(by_image, 0.5 * (double)test->n, "nearest image: %d of %d", by_image,
                 (int)test->n);
    cr_expect_lt(by_mean, by_image, "nearest mean %d, nearest image %d", by_mean, by_image);
    dataset_close(&d);
}

// Of every class its share or all there are, none without a label, in an order that holds each
// index once and is another one for another seed.
Test(dataset, balance)
{
    enum { N = 500, CLASSES = 7 };
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct rng r;
        int32_t label[N];
        int64_t room[CLASSES], have[CLASSES] = {0}, got[CLASSES] = {0};
        int seen[N] = {0};
        rng_init(&r, seed, RNG_TEST, 0, 0);
        for (int i = 0; i < N; i++) {
            label[i] = (int32_t)rng_below(&r, rng_below(&r, CLASSES) + 2) - 1; // class 6 is rare
            if (label[i] >= 0)
                have[label[i]]++;
        }
        int64_t wanted = 1 + (int64_t)rng_below(&r, N);
        struct dataset_balance b = {label, room};
        dataset_balance_share(&b, wanted, CLASSES);
        int64_t *order = dataset_order(N, seed, SPLIT_TRAIN);
        int64_t *other = dataset_order(N, seed + 1, SPLIT_TRAIN);
        cr_assert(order && other && memcmp(order, other, N * sizeof *order) != 0);
        for (int i = 0; i < N; i++) {
            cr_assert(order[i] >= 0 && order[i] < N && !seen[order[i]]++);
            if (dataset_balance_take(&b, order[i]))
                got[label[order[i]]]++;
        }
        for (int c = 0; c < CLASSES; c++) {
            int64_t share = wanted / CLASSES + (c < wanted % CLASSES);
            cr_expect_eq(got[c], share < have[c] ? share : have[c], "seed %d, class %d", (int)seed,
                         c);
        }
        free(order);
        free(other);
    }
}

// The help of --data names every kind there is.
Test(dataset, help_names_all)
{
    char doc[3 * OPTION_TEXT];
    option_doc(option_find(options_table, "data"), doc, sizeof doc);
    for (const struct dataset_kind *k = dataset_table; k->name; k++)
        cr_expect_not_null(strstr(doc, k->name), "%s is not in: %s", k->name, doc);
}
