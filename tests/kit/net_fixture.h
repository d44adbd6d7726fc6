// Reads what tests/fixtures/pytorch.py wrote (the format is described at its top) and makes the
// same weights, views and images as it does from the same counter-based generator.
#ifndef SSLTOP_TESTS_KIT_NET_FIXTURE_H
#define SSLTOP_TESTS_KIT_NET_FIXTURE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "gpu/net.h"
#include "metrics/base/error.h"
#include "train/options/options.h"

struct fixture {
    json_t *header;
    unsigned char *raw; // the tensors
    size_t raw_size;
    int batch, channels, size, width, dim, pred;
    const char *stem;          // "cifar", "imagenet"; belongs to the header, as arch and method
    const char *arch, *method; // "resnet18" and "simsiam" where the header says nothing
};

// What a tensor holds, as floats, and how far PyTorch's own runs are from it (relative, Euclidean
// norm).
struct fixture_tensor {
    float *v;            // malloc'd
    size_t count, every; // elements 0, every, 2 every, .. of the tensor
    double f32, bf16;
};

int fixture_open(const char *path, struct fixture *out, struct error *e);
void fixture_close(struct fixture *f);

// A number of the header: `key`, or header[key][sub]. NaN when it is not there.
double fixture_number(const struct fixture *f, const char *key, const char *sub);
double fixture_loss(const struct fixture *f, size_t step);

// The tensor of this name; the caller frees out->v. -1 when there is none or it lies outside the
// file.
int fixture_tensor(const struct fixture *f, const char *name, struct fixture_tensor *out,
                   struct error *e);

// How many tensors have a name that begins with `prefix`.
size_t fixture_count(const struct fixture *f, const char *prefix);

// The options and the network that the fixture describes.
int fixture_net(const struct fixture *f, struct net *out, struct error *e);

// n numbers of [-1, 1), keyed by `name`.
void fixture_uniform(const char *name, size_t n, double *u);
// Initial value of a parameter or running statistic, p->count floats, `f` NULL for basic blocks; -1
// when out of memory.
int fixture_value(const struct fixture *f, const struct param *p, float *v);
// View 0 or 1: n x c x size x size floats; images as bytes, to be normalised with mean 0.5 and
// deviation 0.25.
int fixture_view(const struct fixture *f, int view, float *x);
int fixture_pixels(const struct fixture *f, uint8_t *x);

#endif
