// Weights between ssltop and PyTorch: a file that PyTorch wrote, read here.
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/device.h"
#include "tests/net_fixture.h"
#include "train/safetensors.h"

#define FROM_TORCH "tests/fixtures/torch-w4.safetensors"
#define FEATURES   "tests/fixtures/torch-w4.fix"

static void *need(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    cr_assert(p, "out of memory");
    return p;
}

// Every parameter of the net is in PyTorch's file under its name, in its shape, with the value that
// the script gave it; and nothing else is but batch counts and the projector's frozen bias, which
// are the two things that ours leave out.
Test(interchange, pytorchs_file_has_our_names_and_shapes)
{
    struct fixture f;
    struct net net;
    struct error e;
    struct safetensors *s = NULL;
    cr_assert(fixture_open(FEATURES, &f, &e) == 0, "%s", e.text);
    cr_assert(fixture_net(&f, &net, &e) == 0, "%s", e.text);
    cr_assert(safetensors_open(FROM_TORCH, &s, &e) == 0, "%s", e.text);
    for (int i = 0; i < net.n_param; i++) {
        const struct param *p = &net.param[i];
        const struct tensor *t = safetensors_find(s, p->name);
        cr_assert(t, "%s is not in PyTorch's file", p->name);
        cr_assert(t->ndim == p->ndim && t->count == p->count, "%s has another shape", p->name);
        for (int k = 0; k < p->ndim; k++)
            cr_assert(t->dim[k] == p->dim[k], "%s has another shape", p->name);
        float *got = need(p->count, sizeof *got), *want = need(p->count, sizeof *want);
        cr_assert(safetensors_floats(s, t, got, p->count, &e) == 0, "%s", e.text);
        cr_assert(fixture_value(p, want) == 0, "out of memory");
        for (size_t k = 0; k < p->count; k++)
            cr_assert(got[k] == want[k], "%s[%zu] is %.9g, not %.9g", p->name, k, got[k], want[k]);
        free(got);
        free(want);
    }
    size_t others = 0;
    for (size_t i = 0; i < safetensors_count(s); i++) {
        const char *name = safetensors_at(s, i)->name;
        if (net_param(&net, name))
            continue;
        const char *leaf = strrchr(name, '.');
        cr_assert(leaf);
        cr_expect(!strcmp(leaf, ".num_batches_tracked") || !strcmp(name, "encoder.fc.6.bias"),
                  "%s is in PyTorch's file and not in the net", name);
        others++;
    }
    cr_expect(others > 1);
    cr_expect(safetensors_count(s) == (size_t)net.n_param + others);
    safetensors_close(s);
    net_free(&net);
    fixture_close(&f);
}
