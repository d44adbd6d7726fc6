// A whole training of BYOL on the CPU: its target network, tau and LARS through a stop, a
// checkpoint and a resume, to the last bit.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/runs.h"
#include "train/methods/method.h"
#include "train/store/safetensors.h"

enum { STEPS = 12, STOP = 5 };

#define BYOL                                                                                       \
    TINY, "--method", "byol", "--tau", "0.9", "--steps", "12", "--lr", "0.2", "--warmup", "1",     \
        "--eval-images", "32", "--eval-every", "6", "--keep", "9"

static struct safetensors *checkpoint(const struct lab *lab, const char *name, int step)
{
    char path[256];
    struct safetensors *f;
    struct error e = {""};
    snprintf(path, sizeof path, "%s/%s/ckpt-%d.safetensors", lab->dir, name, step);
    cr_assert(safetensors_open(path, &f, &e) == 0, "%s", e.text);
    return f;
}

static double *numbers(struct safetensors *f, const char *name, size_t *n)
{
    const struct tensor *t = safetensors_find(f, name);
    struct error e = {""};
    cr_assert(t, "there is no %s", name);
    *n = (size_t)t->count;
    double *v = calloc(*n + 1, sizeof *v);
    cr_assert(v && safetensors_doubles(f, t, v, *n, &e) == 0, "%s: %s", name, e.text);
    return v;
}

// Whether a tensor of two files has the same bits.
static int same(struct safetensors *a, struct safetensors *b, const char *in_a, const char *in_b)
{
    size_t n, m;
    double *x = numbers(a, in_a, &n), *y = numbers(b, in_b, &m);
    int is = n == m && memcmp(x, y, n * sizeof *x) == 0;
    free(x);
    free(y);
    return is;
}

// Every tensor, the target network's and the optimiser's among them; 0 when one differs.
static int same_tensors(const struct lab *lab, const char *a, const char *b, int step)
{
    struct safetensors *x = checkpoint(lab, a, step), *y = checkpoint(lab, b, step);
    size_t n = safetensors_count(x), target = 0, optim = 0, equal = 0, counters = 0;
    cr_assert_eq(n, safetensors_count(y));
    for (size_t i = 0; i < n; i++) {
        const struct tensor *t = safetensors_at(x, i);
        target += !strncmp(t->name, "target.", 7);
        optim += !strncmp(t->name, "optim.", 6);
        if (t->dtype == DTYPE_I64)
            counters += safetensors_find(y, t->name) != NULL;
        else
            equal += same(x, y, t->name, t->name);
    }
    cr_assert(target > 60 && optim > 60, "%zu of the target, %zu of the optimiser", target, optim);
    safetensors_close(x);
    safetensors_close(y);
    return equal + counters == n;
}

Test(trainer, byol_goes_on_as_if_never_stopped)
{
    const struct method_row *m = method_find("byol");
    struct lab lab;
    char key[32];
    lab_open(&lab);
    // A run that stops evaluates there, which makes running statistics anew: so does the whole one.
    cr_assert(RUN(&lab, BYOL, "--tau-schedule", "cosine", "--checkpoint-every", "5", "--eval-every",
                  "5", "--name", "whole") == 0,
              "%s", lab_text(lab.out));
    cr_assert(RUN(&lab, BYOL, "--tau-schedule", "cosine", "--eval-every", "5", "--stop-at", "5",
                  "--name", "cut") == 0,
              "%s", lab_text(lab.out));
    cr_expect(same_tensors(&lab, "whole", "cut", STOP), "stopped at step %d", STOP);
    cr_assert(RUN(&lab, "--resume", "cut") == 0, "%s", lab_text(lab.out));
    cr_expect(same_tensors(&lab, "whole", "cut", STEPS), "resumed");
    json_t *whole = lab_log(&lab, "whole"), *cut = lab_log(&lab, "cut");
    for (int t = 0; t < STEPS; t++) {
        snprintf(key, sizeof key, "step/%d", t);
        json_t *a = json_object_get(whole, key), *b = json_object_get(cut, key);
        double loss = json_number_value(json_object_get(a, "loss"));
        cr_expect(a && json_equal(a, b), "%s differs", key);
        cr_expect(loss > m->loss_lo && loss < m->loss_hi, "%s: loss %g", key, loss);
        snprintf(key, sizeof key, "spectrum/%d/live", t);
        cr_expect(json_object_get(whole, key) &&
                      json_equal(json_object_get(whole, key), json_object_get(cut, key)),
                  "%s differs", key);
    }
    cr_expect(json_equal(json_object_get(whole, "eval/12"), json_object_get(cut, "eval/12")));
    json_decref(whole);
    json_decref(cut);

    // The target is an average: neither what it follows nor what it began as. Where tau has come to
    // 1 it is another one than where it stays.
    struct safetensors *f = checkpoint(&lab, "whole", STEPS),
                       *early = checkpoint(&lab, "whole", STOP);
    const char *target = "target.encoder.layer1.0.conv1.weight";
    cr_expect(!same(f, f, target, "encoder.layer1.0.conv1.weight"));
    cr_expect(!same(f, early, target, target));
    safetensors_close(f);
    safetensors_close(early);
    cr_assert(RUN(&lab, BYOL, "--name", "constant") == 0, "%s", lab_text(lab.out));
    cr_expect(!same_tensors(&lab, "whole", "constant", STEPS), "tau's schedule changes nothing");
    lab_close(&lab);
}
