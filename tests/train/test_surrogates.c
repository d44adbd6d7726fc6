// Surrogates in a run: what lies beside it, what its steps and evaluations say, and that both mean
// the same.
#include "train/run/surrogates.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/sets/dataset_table.h"
#include "metrics/base/path.h"
#include "metrics/science/lidar.h"
#include "tests/kit/pictures.h"
#include "train/run/evaluate.h"
#include "train/run/live_images.h"
#include "train/run/loader.h"
#include "train/store/surrogate_file.h"

static void open_data(struct dataset *d, const char *spec)
{
    struct error e = {""};
    cr_assert(dataset_open(spec, 1, d, &e) == 0, "%s", e.text);
}

Test(surrogates, file_keeps_every_bit)
{
    char dir[64];
    struct dataset d;
    struct surrogates o;
    struct surrogate s;
    struct error e = {""};
    scratch_make(dir);
    struct path path = path_of("%s/" SURROGATE_FILE, dir);
    open_data(&d, "synthetic:512");
    cr_assert_eq(surrogate_file_read(path.s, 256, 7, &s, &e), 1);
    cr_assert(surrogates_open(&o, &d, 7, "", 1, &e) == 0, "%s", e.text);
    cr_assert(o.s.targets == SURROGATE_TARGETS && o.s.clusters[0] == 10 && o.s.clusters[1] == 30 &&
              o.s.clusters[2] == 0);
    cr_assert(surrogate_file_write(path.s, &o.s, 7, &e) == 0, "%s", e.text);
    cr_assert(surrogate_file_read(path.s, 256, 7, &s, &e) == 0, "%s", e.text);
    size_t m = (size_t)o.s.components;
    cr_assert(s.pixels == 256 && s.components == o.s.components && s.targets == o.s.targets);
    cr_assert_eq(memcmp(s.clusters, o.s.clusters, sizeof s.clusters), 0);
    cr_assert_eq(memcmp(s.mean, o.s.mean, 256 * sizeof(double)), 0);
    cr_assert_eq(memcmp(s.component, o.s.component, 256 * m * sizeof(double)), 0);
    cr_assert_eq(memcmp(s.variance, o.s.variance, m * sizeof(double)), 0);
    cr_assert_eq(memcmp(s.centre[1], o.s.centre[1], 30 * m * sizeof(double)), 0);
    surrogate_free(&s);
    // Other data, other pixels.
    cr_assert_eq(surrogate_file_read(path.s, 256, 8, &s, &e), -1);
    cr_assert_not_null(strstr(e.text, "not for these data"));
    cr_assert_eq(surrogate_file_read(path.s, 255, 7, &s, &e), -1);
    // Cut short at every place.
    FILE *f = fopen(path.s, "r");
    static char whole[1 << 20];
    size_t n = fread(whole, 1, sizeof whole, f);
    fclose(f);
    for (size_t cut = 0; cut < n; cut += n / 23) {
        f = fopen(path.s, "w");
        cr_assert(fwrite(whole, 1, cut, f) == cut && fclose(f) == 0);
        cr_assert_eq(surrogate_file_read(path.s, 256, 7, &s, &e), -1, "%zu of %zu bytes", cut, n);
    }
    surrogates_free(&o);
    dataset_close(&d);
    scratch_remove(dir);
}

// Two openings of a data set, one of them with a file that is of no use, agree to the last bit; so
// do coordinates that are asked for one by one and all at once.
Test(surrogates, the_same_data_ask_the_same)
{
    char dir[64];
    struct dataset d;
    struct surrogates a, b;
    struct error e = {""};
    enum { SOME = 300 };
    int64_t index[SOME];
    static float told[2][SOME * SURROGATE_TARGETS];
    static int32_t cluster[2][SOME];
    scratch_make(dir);
    struct path path = path_of("%s/" SURROGATE_FILE, dir);
    open_data(&d, "synthetic:600");
    FILE *f = fopen(path.s, "w");
    cr_assert(fputs("not a file of tensors", f) >= 0 && fclose(f) == 0);
    cr_assert(surrogates_open(&a, &d, 7, "", 1, &e) == 0, "%s", e.text);
    cr_assert(surrogates_open(&b, &d, 7, path.s, 2, &e) == 0, "%s", e.text);
    cr_assert_eq(
        memcmp(a.s.component, b.s.component, 256 * (size_t)a.s.components * sizeof(double)), 0);
    for (int i = 0; i < SOME; i++)
        index[i] = (7 * i) % 600;
    cr_assert(surrogates_tell(&a, index, SOME, told[0], cluster[0], &e) == 0, "%s", e.text);
    for (int i = SOME - 1; i >= 0; i--)
        cr_assert(surrogates_tell(&b, &index[i], 1, told[1] + i * SURROGATE_TARGETS, &cluster[1][i],
                                  &e) == 0);
    for (int i = 0; i < SOME * SURROGATE_TARGETS; i++)
        cr_assert(fabsf(told[0][i] - told[1][i]) < 1e-5f);
    cr_assert_eq(memcmp(cluster[0], cluster[1], sizeof cluster[0]), 0);
    surrogates_free(&a);
    surrogates_free(&b);
    dataset_close(&d);
    scratch_remove(dir);
}

// ---------------------------------------------------------------- live and exact

static void quiet(void *context, const char *what)
{
}

// A network that stands still and looks at its images as they are: the live value is the exact one.
Test(surrogates, live_r2_is_the_exact_one_of_a_network_that_stands_still)
{
    static const char *const fixed[][2] = {
        {"data", "synthetic:8192"}, {"width", "4"},          {"batch", "64"},     {"lr", "0"},
        {"precision", "f32"},       {"threads", "1"},        {"augment", "none"}, {"device", "cpu"},
        {"steps", "200"},           {"probe-images", "8192"}};
    enum { STEPS = 180, LAST = 120 };
    struct progress p = {quiet, NULL};
    struct options o;
    struct setup s;
    struct loader l;
    struct evaluation v;
    struct moments live;
    struct live_images images;
    struct team alone = {0};
    struct record eval, spectrum;
    struct error e = {""};
    double sum = 0;
    options_default(&o);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        cr_assert(options_set(&o, fixed[i][0], fixed[i][1], &e) == 0, "%s", e.text);
    cr_assert(setup_open(&s, &o, NULL, NULL, &p, &e) == 0, "%s", e.text);
    volatile float least = FLT_MIN, half = least / 2;
    cr_expect(half == 0, "a collapsed network would train ten times as slowly");
    cr_assert(surrogates_open(&s.surrogates, &s.data, s.data_crc, "", 1, &e) == 0, "%s", e.text);
    cr_assert(loader_init(&l, &s, &e) == 0 && evaluation_init(&v, &s, &e) == 0, "%s", e.text);
    cr_assert(moments_init(&live, s.d, &e) == 0, "%s", e.text);
    cr_assert(live_images_init(&images, &s, &e) == 0, "%s", e.text);
    for (int64_t t = 0; t < STEPS; t++) {
        cr_assert(loader_queue(&l, &s, t, &e) == 0 && plan_forward(s.plan, &e) == 0, "%s", e.text);
        moments_age(&live, 2 * (int64_t)s.o.batch);
        cr_assert(plan_moments(s.plan, &live, &e) == 0, "%s", e.text);
        cr_assert(live_images_step(&images, &s, &alone, t, &e) == 0, "%s", e.text);
        if (t == STEPS - LAST - 1) { // running statistics have settled
            cr_assert(evaluation_run(&v, &s, t, &eval, &spectrum, &e) == 0, "%s", e.text);
            live_images_penalty(&images, v.lambda);
        }
        if (t >= STEPS - LAST)
            sum += live_images_r2(&images, &live, v.n_all) / LAST;
    }
    const double *exact = eval.u.eval.metric;
    cr_expect(isnan(exact[METRIC_LIDAR]) && v.views.n == 0, "views that are all the image");
    cr_expect(exact[METRIC_PIXEL_R2] > 0.1 && exact[METRIC_PIXEL_R2] < 0.98);
    cr_expect(fabs(sum - exact[METRIC_PIXEL_R2]) < 0.01, "live %g, exact %g", sum,
              exact[METRIC_PIXEL_R2]);
    cr_expect(exact[METRIC_PSEUDO10] > exact[METRIC_PSEUDO30] &&
              exact[METRIC_PSEUDO30] > exact[METRIC_PSEUDO100]);
    live_images_free(&images);
    moments_free(&live);
    evaluation_free(&v);
    loader_free(&l);
    setup_close(&s);
}

// An evaluation that asks no surrogates.
static void set_up(struct setup *s, struct evaluation *v)
{
    static const char *const fixed[][2] = {
        {"data", "synthetic:512"}, {"width", "4"},         {"batch", "64"},
        {"precision", "f32"},      {"threads", "1"},       {"device", "cpu"},
        {"steps", "10"},           {"probe-images", "64"}, {"surrogates", "off"}};
    struct progress p = {quiet, NULL};
    struct options o;
    struct error e = {""};
    options_default(&o);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        cr_assert(options_set(&o, fixed[i][0], fixed[i][1], &e) == 0, "%s", e.text);
    cr_assert(setup_open(s, &o, NULL, NULL, &p, &e) == 0, "%s", e.text);
    cr_assert(evaluation_init(v, s, &e) == 0, "%s", e.text);
}

// Ten views of each of 2 d images, the same at every evaluation: what LiDAR says changes with the
// network alone.
Test(surrogates, lidar_of_an_evaluation_is_that_of_its_views)
{
    struct setup s;
    struct loader l;
    struct evaluation v;
    struct record eval, spectrum;
    struct error e = {""};
    double lidar[3], of_h;
    const struct update update = {.lr = {0.5, 0.5}};
    set_up(&s, &v);
    cr_assert(loader_init(&l, &s, &e) == 0, "%s", e.text);
    for (int k = 0; k < 3; k++) {
        if (k > 0) // running statistics move, and nothing else
            cr_assert(loader_queue(&l, &s, 0, &e) == 0 && plan_forward(s.plan, &e) == 0);
        if (k == 2) // and the weights
            cr_assert(plan_backward(s.plan, &e) == 0 && plan_update(s.plan, &update, &e) == 0);
        cr_assert(evaluation_run(&v, &s, 0, &eval, &spectrum, &e) == 0, "%s", e.text);
        lidar[k] = eval.u.eval.metric[METRIC_LIDAR];
    }
    cr_assert(v.views.n == 2 * s.d && v.views.each == 10);
    cr_expect(lidar[0] > 1 && lidar[0] <= s.d, "%g", lidar[0]);
    cr_expect(lidar[1] == lidar[0] && lidar[2] != lidar[0]);
    // What is an image and what a view of it is part of the number.
    cr_assert(lidar_measure(v.view_x, v.views.n * 5, 2, s.d, &of_h, &e) == 0);
    cr_expect(of_h != lidar[2] && of_h > 1, "pairs of views are other classes");
    cr_assert(lidar_measure(v.view_x, v.views.n, 10, s.d, &of_h, &e) == 0);
    cr_expect(of_h == lidar[2]);
    evaluation_free(&v);
    loader_free(&l);
    setup_close(&s);
}

// What training left behind may be of another network: nothing of it is in what is measured.
Test(surrogates, an_evaluation_makes_its_statistics_itself)
{
    struct setup s;
    struct evaluation v;
    struct record eval[2], spectrum;
    struct error e = {""};
    set_up(&s, &v);
    cr_assert(evaluation_run(&v, &s, 0, &eval[0], &spectrum, &e) == 0, "%s", e.text);
    for (int i = 0; i < s.net.n_param; i++) {
        const struct param *p = &s.net.param[i];
        if (p->kind != PARAM_RUNNING_MEAN && p->kind != PARAM_RUNNING_VAR)
            continue;
        float *odd = malloc(p->count * sizeof *odd);
        cr_assert(odd);
        for (size_t k = 0; k < p->count; k++)
            odd[k] = p->kind == PARAM_RUNNING_MEAN ? 1e6f : NAN;
        cr_assert(plan_put(s.plan, p->name, odd, p->count, &e) == 0, "%s", e.text);
        free(odd);
    }
    cr_assert(evaluation_run(&v, &s, 0, &eval[1], &spectrum, &e) == 0, "%s", e.text);
    for (int i = 0; i < METRIC_COUNT; i++)
        cr_expect(memcmp(&eval[0].u.eval.metric[i], &eval[1].u.eval.metric[i], sizeof(double)) == 0,
                  "%s: %.17g and %.17g", metric_table[i].key, eval[0].u.eval.metric[i],
                  eval[1].u.eval.metric[i]);
    cr_expect(eval[0].u.eval.probe == eval[1].u.eval.probe);
    evaluation_free(&v);
    setup_close(&s);
}

static int is_over(void *asks)
{
    return (*(int *)asks)-- == 0;
}

// Between any two batches of any of its passes.
Test(surrogates, an_evaluation_that_is_broken_off_changes_nothing)
{
    struct setup s;
    struct evaluation v;
    struct record whole, eval, spectrum;
    struct error e = {""};
    int asks = -1, cuts = 0;
    set_up(&s, &v);
    v.end = (struct team_end){is_over, &asks};
    cr_assert(evaluation_run(&v, &s, 0, &whole, &spectrum, &e) == 0, "%s", e.text);
    for (int rc = -1; rc < 0; cuts += rc < 0) {
        asks = cuts;
        rc = evaluation_run(&v, &s, 0, &eval, &spectrum, &e);
        cr_assert(rc == 0 || rc == TEAM_BROKEN_OFF, "%d: %s", rc, e.text);
    }
    cr_expect_gt(cuts, 512 / 64 + 1, "%d", cuts);
    for (int i = 0; i < METRIC_COUNT; i++)
        cr_expect(isnan(whole.u.eval.metric[i]) ? isnan(eval.u.eval.metric[i])
                                                : whole.u.eval.metric[i] == eval.u.eval.metric[i],
                  "%d", i);
    evaluation_free(&v);
    setup_close(&s);
}
