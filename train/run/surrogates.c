// A sample of small images, and the coordinates of all that were ever in a batch: eighty bytes an
// image, so that only the first pass over the data looks at it.
#include "train/run/surrogates.h"

#include <stdlib.h>
#include <string.h>

#include "data/sets/miniature.h"
#include "train/store/surrogate_file.h"

enum { UNKNOWN = -1 };

static int sample(const struct dataset *d, int threads, int pixels, float **small, int64_t *count,
                  struct error *e)
{
    const struct dataset_split *train = &d->split[SPLIT_TRAIN];
    int64_t most = train->source ? SURROGATES_PHOTOS : SURROGATES_SAMPLE;
    int64_t all = d->trained, n = all < most ? all : most;
    int64_t *order = dataset_order(all, 0, SPLIT_TRAIN);
    *small = malloc((size_t)n * (size_t)pixels * sizeof **small);
    *count = n;
    int rc = order && *small ? miniature_take(d, SPLIT_TRAIN, order, n, threads, *small, e)
                             : error_memory(e, "a sample of %lld images", (long long)n);
    free(order);
    return rc;
}

static int make(struct surrogates *o, int pixels, struct error *e)
{
    float *small = NULL;
    int64_t n = 0;
    int rc = sample(o->data, o->threads, pixels, &small, &n, e);
    if (rc == 0 && n > 1)
        rc = surrogate_fit(&o->s, small, n, pixels, e);
    free(small);
    return rc;
}

int surrogates_open(struct surrogates *o, const struct dataset *d, uint32_t crc, const char *path,
                    int threads, struct error *e)
{
    struct error unusable; // then it is made again: by the same rule
    int pixels = miniature_size(d, NULL, NULL);
    memset(o, 0, sizeof *o);
    o->data = d;
    o->threads = threads;
    if ((!*path || surrogate_file_read(path, pixels, crc, &o->s, &unusable) != 0) &&
        make(o, pixels, e) < 0)
        return -1;
    size_t n = (size_t)d->split[SPLIT_TRAIN].n;
    o->told = memory_take(&o->memory, n * (size_t)o->s.targets, sizeof *o->told);
    o->cluster = memory_take(&o->memory, n, 1);
    o->small = memory_take(&o->memory, SURROGATES_AT_ONCE * (size_t)pixels, sizeof *o->small);
    if (o->memory.failed)
        return error_memory(e, "what %zu images look like", n);
    memset(o->cluster, UNKNOWN, n);
    return 0;
}

void surrogates_free(struct surrogates *o)
{
    surrogate_free(&o->s);
    memory_free(&o->memory);
    memset(o, 0, sizeof *o);
}

// ---------------------------------------------------------------- single images

// At most SURROGATES_AT_ONCE that are not known yet.
static int look(struct surrogates *o, const int64_t *index, int n, struct error *e)
{
    int targets = o->s.targets, components = o->s.components;
    double told[SURROGATES_AT_ONCE * SURROGATE_COMPONENTS];
    int32_t cluster[SURROGATES_AT_ONCE] = {0};
    if (miniature_take(o->data, SPLIT_TRAIN, index, n, o->threads, o->small, e) < 0 ||
        surrogate_project(&o->s, o->small, n, components, told, e) < 0)
        return -1;
    if (o->s.clusters[0])
        surrogate_assign(&o->s, 0, told, n, cluster);
    for (int i = 0; i < n; i++) {
        float *to = o->told + (size_t)index[i] * (size_t)targets;
        for (int k = 0; k < targets; k++)
            to[k] = (float)told[i * components + k];
        o->cluster[index[i]] = (signed char)cluster[i];
    }
    return 0;
}

int surrogates_tell(struct surrogates *o, const int64_t *index, int64_t n, float *out,
                    int32_t *cluster, struct error *e)
{
    int64_t unknown[SURROGATES_AT_ONCE];
    size_t targets = (size_t)o->s.targets;
    int some = 0;
    for (int64_t i = 0; i < n; i++) {
        if (o->cluster[index[i]] == UNKNOWN)
            unknown[some++] = index[i];
        if (some && (some == SURROGATES_AT_ONCE || i == n - 1)) {
            if (look(o, unknown, some, e) < 0)
                return -1;
            some = 0;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        memcpy(out + (size_t)i * targets, o->told + (size_t)index[i] * targets,
               targets * sizeof *out);
        cluster[i] = o->cluster[index[i]];
    }
    return 0;
}

int surrogates_questions(const struct surrogates *o, enum split split, const int64_t *index,
                         int64_t n, struct questions *out, struct error *e)
{
    memset(out, 0, sizeof *out);
    if (!o->s.targets)
        return 0;
    float *small = malloc((size_t)n * (size_t)o->s.pixels * sizeof *small + 1);
    int rc = small ? miniature_take(o->data, split, index, n, o->threads, small, e)
                   : error_memory(e, "%lld small images", (long long)n);
    if (rc == 0)
        rc = questions_init(out, &o->s, small, n, e);
    free(small);
    return rc;
}
