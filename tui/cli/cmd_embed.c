// ssltop embed: the features of a data set as a .npy file, and its labels beside it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/npy.h"
#include "train/options/options.h"
#include "train/run/embed.h"
#include "tui/cli/cmd.h"

enum { BLOCK = 4096 };

// F.npy -> F.labels.npy
static int labels_path(const char *path, char **out, struct error *e)
{
    size_t n = strlen(path), suffix = strlen(".npy");
    if (n > suffix && strcmp(path + n - suffix, ".npy") == 0)
        n -= suffix;
    if (asprintf(out, "%.*s.labels.npy", (int)n, path) >= 0)
        return 0;
    *out = NULL;
    return error_set(e, "out of memory for a file name");
}

static int write_features(struct embed *m, enum split split, const char *path, struct error *e)
{
    struct npy_writer *w;
    int64_t n = embed_data(m)->split[split].n;
    size_t d = (size_t)embed_d(m);
    float *x = malloc(BLOCK * d * sizeof *x);
    if (!x)
        return error_set(e, "out of memory for features");
    if (npy_create(path, n, (int64_t)d, &w, e) < 0) {
        free(x);
        return -1;
    }
    int rc = 0;
    for (int64_t at = 0; at < n && rc == 0; at += BLOCK) {
        int64_t some = n - at < BLOCK ? n - at : BLOCK;
        rc = embed_features(m, split, at, some, x, e);
        if (rc == 0)
            rc = npy_write(w, x, (size_t)some * d, e);
    }
    free(x);
    if (rc == 0)
        return npy_finish(w, e);
    npy_abandon(w);
    return -1;
}

static int write_labels(struct embed *m, enum split split, const char *path, struct error *e)
{
    const struct dataset_split *s = &embed_data(m)->split[split];
    struct npy_writer *w;
    char *name;
    if (!s->labels)
        return 0;
    if (labels_path(path, &name, e) < 0)
        return -1;
    int rc = npy_create(name, s->n, 0, &w, e);
    if (rc == 0) {
        rc = npy_write(w, s->labels, (size_t)s->n, e);
        if (rc == 0)
            rc = npy_finish(w, e);
        else
            npy_abandon(w);
    }
    free(name);
    return rc;
}

static int embed(const char *runs, const char *word, const struct embed_options *o,
                 enum split split, const char *out, struct error *e)
{
    struct embed *m;
    char path[4300];
    if (embed_find(runs, word, path, sizeof path, e) < 0 || embed_open(path, o, &m, e) < 0)
        return -1;
    int rc = embed_data(m)->split[split].n > 0 ? 0 : error_set(e, "this split has no images");
    if (rc == 0)
        rc = write_features(m, split, out, e);
    if (rc == 0)
        rc = write_labels(m, split, out, e);
    cmd_name_broken(embed_data(m));
    embed_close(m);
    return rc;
}

struct wanted {
    const char *runs, *out, *split, *data, *device;
    int threads;
};

#define WORD(n, f) .name = (n), .type = OPTION_WORD, OPTION_FIELD(struct wanted, f)
const struct option_row cmd_embed_options[] = {
    {WORD("o", out), .argument = "FILE.npy",
     .doc = "Where the features go; labels go to FILE.labels.npy."},
    {WORD("data", data), .argument = "SET", .values = options_dataset,
     .doc = "The data set. The default is the one that was trained on."},
    {WORD("split", split), .argument = "SPLIT", .fallback = "test", .choices = "train|test",
     .doc = "Of which images: {}."},
    {WORD("device", device), .argument = "DEVICE",
     .doc = "What computes. The default is what trained."},
    {OPTION_THREADS(struct wanted, 4096),
     .doc = "Threads that compute. auto: all this process may use."},
    {OPTION_RUNS(struct wanted, OPTION_WORD)},
    {0},
};

int cmd_embed(int argc, char **argv)
{
    struct error e = {""};
    struct wanted w = {0};
    int rc = cmd_parse(&argc, argv, &w);
    if (rc != CMD_GO_ON)
        return rc;
    if (!w.out) {
        error_set(&e, "embed needs -o FILE.npy");
        return cmd_complain(CMD_USAGE, &e);
    }
    struct embed_options o = {.data = w.data, .device = w.device, .threads = w.threads};
    enum split split = strcmp(w.split, "train") == 0 ? SPLIT_TRAIN : SPLIT_TEST;
    rc = embed(w.runs, argv[1], &o, split, w.out, &e);
    return cmd_complain(rc < 0 ? CMD_FAILED : CMD_OK, &e);
}
