// The same numbers: what a run of `ssltop train` computes from its features, the Python client's
// recorder computes from the same features handed over step by step.
#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpu/device.h"
#include "metrics/science/metric.h"
#include "metrics/science/views.h"
#include "tests/kit/script.h"
#include "tests/kit/theirs.h"
#include "train/run/loader.h"
#include "train/run/setup.h"
#include "train/schedule/rates.h"

enum { MADE = 64 };
#define RUN_OF_OURS TINY, "--steps", "64", "--schedule", "hybrid", "--name", "ours"

static struct lab lab;

static void open_lab(void)
{
    script_lab(&lab);
}

static void close_lab(void)
{
    script_left_nothing(&lab);
    lab_close(&lab);
}

TestSuite(same, .init = open_lab, .fini = close_lab, .timeout = 240);

static void say_nothing(void *context, const char *what)
{
}

static int put(FILE *f, const void *data, size_t bytes)
{
    return fwrite(data, 1, bytes, f) == bytes ? 0 : -1;
}

// The forward pass that was just made: h and z of both views.
static int put_features(FILE *f, struct setup *s, float *room, struct error *e)
{
    size_t n = (size_t)s->o.batch, dim = (size_t)s->net.node[s->net.projected].c;
    for (int v = 0; v < 2; v++)
        if (plan_features(s->plan, v, room, e) < 0 ||
            put(f, room, n * (size_t)s->d * sizeof *room) < 0)
            return -1;
    for (int v = 0; v < 2; v++)
        if (plan_output(s->plan, s->net.projected, v, s->o.batch, room, e) < 0 ||
            put(f, room, n * dim * sizeof *room) < 0)
            return -1;
    return 0;
}

static int steps_into(FILE *f, struct setup *s, struct loader *l, struct error *e)
{
    int64_t dim = s->net.node[s->net.projected].c, d = s->d;
    int64_t head[4] = {s->steps, s->o.batch, d, dim};
    float *room = calloc((size_t)(s->o.batch * (d > dim ? d : dim)), sizeof *room);
    int rc = room ? put(f, head, sizeof head) : -1;
    for (int64_t t = 0; rc == 0 && t < s->steps; t++) {
        struct plan_scores scores;
        struct update u;
        if (loader_queue(l, s, t, e) < 0 || plan_forward(s->plan, e) < 0 ||
            plan_backward(s->plan, e) < 0 || plan_scores(s->plan, &scores, e) < 0)
            rc = -1;
        rates_update(&s->o, s->epoch, s->steps, t, 1, &u);
        double number[3] = {scores.loss, u.lr[GROUP_MAIN], u.lr[GROUP_PREDICTOR]};
        if (rc < 0 || put(f, number, sizeof number) < 0 || put_features(f, s, room, e) < 0 ||
            plan_update(s->plan, &u, e) < 0)
            rc = -1;
    }
    free(room);
    return rc;
}

// The steps of the run once more, in a process of their own, which may open a device: their
// features in a file.
static int features_into(const char *path)
{
    char *argv[] = {"train", "--runs", lab.dir, RUN_OF_OURS};
    unsigned char given[256] = {0};
    struct options o;
    struct setup s = {0};
    struct loader l = {0};
    struct error e = {{0}};
    struct progress p = {say_nothing, NULL};
    FILE *f = fopen(path, "wb");
    int rc = f ? options_parse(&o, NULL, sizeof argv / sizeof *argv, argv, given, &e) : -1;
    if (rc == 0)
        rc = setup_open(&s, &o, NULL, NULL, &p, &e);
    if (rc == 0)
        rc = loader_init(&l, &s, &e);
    if (rc == 0)
        rc = steps_into(f, &s, &l, &e);
    if (rc != 0)
        fprintf(stderr, "%s\n", e.text);
    loader_free(&l);
    setup_close(&s);
    if (f && fclose(f) != 0)
        rc = -1;
    return rc != 0;
}

Test(same, numbers)
{
    char path[128];
    snprintf(path, sizeof path, "%s/features", lab.dir);
    cr_assert_eq(RUN(&lab, RUN_OF_OURS), 0);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0)
        _exit(features_into(path));
    cr_assert_eq(lab_wait(pid), 0);
    script_finish(&lab, SCRIPT(&lab, "tests/train/python_client.py", "replays", "theirs", path), 0);
    json_t *ours = lab_log(&lab, "ours"), *theirs = lab_log(&lab, "theirs");
    int of_z = 0, of_h = 0;
    for (int64_t t = 0; t < MADE; t++) {
        // They are that run's features: to the bit, since its loss is.
        cr_assert(theirs_field(ours, "step", t, "loss") == theirs_field(theirs, "step", t, "loss"),
                  "step %" PRId64, t);
        cr_expect(theirs_field(ours, "step", t, "lr") == theirs_field(theirs, "step", t, "lr"));
        // Ours are mostly of centred features alone, theirs always of both: other roundings.
        for (int i = 0; i < METRIC_COUNT; i++) {
            const char *key = metric_table[i].key;
            if (!metric_is_given(i, THEIRS_KNOW))
                continue;
            double a = theirs_field(ours, "step", t, key), b = theirs_field(theirs, "step", t, key);
            int is_due = views_say(VIEWS_NOW, i) < 0 || i >= METRIC_LIDAR || t % VIEWS_EVERY == 0;
            cr_expect_eq(isfinite(a), is_due, "%s of step %" PRId64, key, t);
            cr_expect(isfinite(b) && (!is_due || fabs(a - b) <= 1e-7 * fmax(1, fabs(a))),
                      "%s of step %" PRId64 ": %.17g, not %.17g", key, t, b, a);
        }
        for (int i = METRIC_LIDAR; i < METRIC_COUNT; i++) {
            const char *key = metric_table[i].key;
            double a = theirs_field(ours, "step", t, key), b = theirs_field(theirs, "step", t, key);
            // Theirs has no images that could be asked.
            if (metric_table[i].needs & METRIC_NEEDS_BATCH) {
                cr_expect(isnan(b));
                continue;
            }
            cr_expect_eq(isfinite(a), isfinite(b));
            cr_expect(isnan(a) || fabs(a - b) <= 1e-9 * fmax(1, fabs(a)), "%s of step %" PRId64,
                      key, t);
            of_z += i > METRIC_LIDAR && isfinite(a);
            of_h += i == METRIC_LIDAR && isfinite(a);
        }
    }
    cr_expect(of_z > 0 && of_z < MADE && of_h > 0, "%d, %d", of_z, of_h);
    json_decref(ours);
    json_decref(theirs);
}
