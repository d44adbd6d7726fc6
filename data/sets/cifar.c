// A record is one label (CIFAR-100: the coarse and the fine one) and the red, green and blue plane,
// row by row: already the order that a data set has in memory.
#include "data/sets/cifar.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/sets/fixed_file.h"
#include "metrics/base/path.h"

enum { SIDE = 32, IMAGE = 3 * SIDE * SIDE, LABELS_MAX = 2, FILES_MAX = 5, AT_ONCE = 256 };

// A version of the set.
struct cifar {
    const char *folder; // its name as it is unpacked
    const char *file[SPLIT_COUNT][FILES_MAX + 1];
    int labels;            // bytes in front of an image
    int limit[LABELS_MAX]; // each is below this; the last one is the class
    float mean[3], std[3]; // of the training images
};

static const struct cifar cifar10 = {
    .folder = "cifar-10-batches-bin",
    .file = {{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
              "data_batch_5.bin"},
             {"test_batch.bin"}},
    .labels = 1,
    .limit = {10},
    .mean = {0.4914f, 0.4822f, 0.4465f},
    .std = {0.2470f, 0.2435f, 0.2616f},
};

static const struct cifar cifar100 = {
    .folder = "cifar-100-binary",
    .file = {{"train.bin"}, {"test.bin"}},
    .labels = 2,
    .limit = {20, 100},
    .mean = {0.5071f, 0.4865f, 0.4409f},
    .std = {0.2673f, 0.2564f, 0.2762f},
};

// Split s grows by the records of an open file.
static int take(const struct cifar *c, struct fixed_file *b, struct dataset_split *s,
                struct error *e)
{
    uint8_t *record = malloc(AT_ONCE * b->record);
    uint8_t *images = record ? realloc(s->images, (size_t)(s->n + b->n) * IMAGE) : NULL;
    s->images = images ? images : s->images;
    int32_t *labels = images ? realloc(s->labels, (size_t)(s->n + b->n) * sizeof *labels) : NULL;
    s->labels = labels ? labels : s->labels;
    int rc = labels ? 0 : error_memory(e, "the %" PRId64 " images of %s", b->n, b->path);
    while (rc == 0 && b->at < b->n) {
        int64_t first = b->at, n = b->n - first < AT_ONCE ? b->n - first : AT_ONCE;
        rc = fixed_file_read(b, record, n, e);
        for (int64_t i = 0; rc == 0 && i < n; i++) {
            const uint8_t *p = record + (size_t)i * b->record;
            for (int k = 0; k < c->labels && rc == 0; k++)
                if (p[k] >= c->limit[k])
                    rc = error_set(e, "%s has label %d at byte %" PRIu64 ", expected 0 to %d",
                                   b->path, p[k], (uint64_t)(first + i) * b->record + (uint64_t)k,
                                   c->limit[k] - 1);
            s->labels[s->n] = p[c->labels - 1];
            memcpy(s->images + (size_t)s->n * IMAGE, p + c->labels, IMAGE);
            s->n++;
        }
    }
    free(record);
    return rc;
}

static int is_there(const char *path, mode_t kind)
{
    struct stat st;
    return stat(path, &st) == 0 && (st.st_mode & S_IFMT) == kind;
}

// -1: what lies there is the version for Python.
static int not_python(const char *dir, struct error *e)
{
    static const char *const python[] = {
        "cifar-10-batches-py", "cifar-100-python", "data_batch_1", "batches.meta", "train", "meta"};
    int is = 0;
    for (size_t i = 0; i < sizeof python / sizeof *python; i++)
        is |= is_there(path_of("%s/%s", dir, python[i]).s, i < 2 ? S_IFDIR : S_IFREG);
    return is ? error_set(e,
                          "%.300s holds CIFAR's version for Python: the binary version is read "
                          "(cifar-10-binary.tar.gz, cifar-100-binary.tar.gz)",
                          dir)
              : 0;
}

// -1 where the first of the files is not there, and why.
static int look(const struct cifar *c, const char *dir, struct error *e)
{
    static const struct cifar *const both[] = {&cifar10, &cifar100};
    static const char *const archive[] = {"cifar-10-binary.tar.gz", "cifar-100-binary.tar.gz"};
    if (is_there(dir, S_IFREG))
        return error_set(e, "%.300s is a file: the folder is named that its archive unpacks", dir);
    if (!is_there(dir, S_IFDIR) || is_there(path_of("%s/%s", dir, c->file[0][0]).s, S_IFREG))
        return 0;
    for (int i = 0; i < 2; i++)
        if (both[i] != c && (is_there(path_of("%s/%s", dir, both[i]->file[0][0]).s, S_IFREG) ||
                             is_there(path_of("%s/%s", dir, both[i]->folder).s, S_IFDIR)))
            return error_set(e, "%.300s holds CIFAR-%s: say cifar%s:DIR", dir, i ? "100" : "10",
                             i ? "100" : "10");
    if (not_python(dir, e) < 0)
        return -1;
    const char *packed = archive[c == &cifar100];
    return is_there(path_of("%s/%s", dir, packed).s, S_IFREG)
               ? error_set(e, "%.300s/%s is to be unpacked first: tar xf does", dir, packed)
               : 0;
}

static int load(const struct cifar *c, const char *dir, struct dataset *out, struct error *e)
{
    struct path inside = path_of("%s/%s", dir, c->folder);
    const char *from = is_there(inside.s, S_IFDIR) ? inside.s : dir;
    int rc = look(c, from, e);
    for (int s = 0; s < SPLIT_COUNT; s++)
        for (const char *const *file = c->file[s]; *file && rc == 0; file++) {
            struct fixed_file b;
            rc = fixed_file_open(&b, from, *file, (size_t)c->labels + IMAGE, e);
            if (rc == 0)
                rc = take(c, &b, &out->split[s], e);
            fixed_file_close(&b);
        }
    if (rc < 0)
        return -1;
    out->channels = 3;
    out->height = out->width = SIDE;
    out->classes = c->limit[c->labels - 1];
    memcpy(out->mean, c->mean, sizeof out->mean);
    memcpy(out->std, c->std, sizeof out->std);
    return 0;
}

int cifar10_open(const char *dir, uint64_t seed, struct dataset *out, struct error *e)
{
    return load(&cifar10, dir, out, e);
}

int cifar100_open(const char *dir, uint64_t seed, struct dataset *out, struct error *e)
{
    return load(&cifar100, dir, out, e);
}
