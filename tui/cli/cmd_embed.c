// ssltop embed: the features of a data set as a .npy file, and its labels beside it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/file.h"
#include "metrics/base/text.h"
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
    return error_memory(e, "a file name");
}

// Features and labels into a writer, which is not finished yet; NULL after an error.
static int write_features(struct embed *m, enum split split, const char *path,
                          struct npy_writer **w, struct error *e)
{
    int64_t n = embed_data(m)->split[split].n;
    size_t d = (size_t)embed_d(m);
    float *x = malloc(BLOCK * d * sizeof *x);
    int rc = x ? npy_create(path, n, (int64_t)d, w, e) : error_memory(e, "features");
    for (int64_t at = 0; at < n && rc == 0; at += BLOCK) {
        int64_t some = n - at < BLOCK ? n - at : BLOCK;
        rc = embed_features(m, split, at, some, x, e);
        if (rc == 0)
            rc = npy_write(*w, x, (size_t)some * d, e);
    }
    free(x);
    return rc;
}

static int write_labels(const struct dataset_split *s, const char *path, struct npy_writer **w,
                        struct error *e)
{
    return npy_create(path, s->n, 0, w, e) < 0 ? -1 : npy_write(*w, s->labels, (size_t)s->n, e);
}

static int finish(struct npy_writer *w, int rc, struct error *e)
{
    if (w && rc == 0)
        return npy_finish(w, e);
    npy_abandon(w);
    return rc;
}

// Labels are of the features beside them: those of an earlier output go.
static void drop_labels(const char *name)
{
    struct stat st;
    char shown[300];
    if (lstat(name, &st) != 0 || !cmd_begins(name, NPY_MAGIC))
        return;
    text_clean(shown, sizeof shown, name);
    if (S_ISREG(st.st_mode) && unlink(name) == 0)
        fprintf(stderr, "%s of an earlier output is removed: these images have no labels\n", shown);
    else
        fprintf(stderr, "%s is of other images: these have no labels\n", shown);
}

// Both files are there before either has its name.
static int write_both(struct embed *m, enum split split, const char *out, const char *labels,
                      struct error *e)
{
    const struct dataset_split *s = &embed_data(m)->split[split];
    struct npy_writer *x = NULL, *y = NULL;
    int beside = file_is_plain(out);
    if (s->n < 1)
        return error_set(e, "this split has no images");
    int rc = write_features(m, split, out, &x, e);
    if (rc == 0 && s->labels && beside)
        rc = write_labels(s, labels, &y, e);
    if (rc == 0 && y)
        rc = npy_sync(y, e);
    rc = finish(y, finish(x, rc, e), e);
    if (rc == 0 && s->labels && !beside)
        fprintf(stderr, "the labels are left out: they need a file to lie beside\n");
    if (rc == 0 && !s->labels && beside)
        drop_labels(labels);
    return rc;
}

// Nothing that is read may be written over.
static int spared(const char *out, const char *checkpoint, const struct embed *m, struct error *e)
{
    if (file_distinct(out, checkpoint, e) < 0 || cmd_spares_runs(out, e) < 0)
        return -1;
    return cmd_spares_data(out, embed_data(m)->name, NPY_MAGIC, e);
}

struct wanted {
    const char *runs, *out, *split, *data, *device, *checkpoint;
    int threads;
};

static int embed(const struct wanted *w, const char *word, struct error *e)
{
    struct embed *m;
    char path[4300], *labels;
    struct embed_options o = {.data = w->data, .device = w->device, .threads = w->threads};
    enum split split = strcmp(w->split, "train") == 0 ? SPLIT_TRAIN : SPLIT_TEST;
    if (embed_find(w->runs, word, w->checkpoint, path, sizeof path, e) < 0 ||
        labels_path(w->out, &labels, e) < 0)
        return -1;
    int rc = embed_open(path, &o, &m, e);
    if (rc == 0) {
        rc = spared(w->out, path, m, e);
        if (rc == 0)
            rc = spared(labels, path, m, e);
        if (rc == 0)
            rc = file_apart(w->out, labels, e);
        if (rc == 0)
            rc = write_both(m, split, w->out, labels, e);
        dataset_tell(embed_data(m), stderr);
        embed_close(m);
    }
    free(labels);
    return rc;
}

const struct option_row cmd_embed_options[] = {
    {CMD_WORD("o", out, "FILE.npy"), .doc = "Where the features go; labels go to FILE.labels.npy."},
    {CMD_DATA},
    {CMD_WORD("split", split, "SPLIT"), .fallback = "test", .choices = "train|test",
     .doc = "Of which images: {}."},
    {CMD_CHECKPOINT},
    {CMD_DEVICE},
    {CMD_THREADS},
    {CMD_RUNS},
    {0},
};

int cmd_embed(int argc, char **argv)
{
    struct error e = {""};
    struct wanted w = {0};
    int rc = cmd_parse(&argc, argv, &w);
    if (rc != CMD_GO_ON)
        return rc;
    if (!w.out)
        return cmd_refuse("embed needs -o FILE.npy");
    rc = embed(&w, argv[1], &e);
    return cmd_complain(rc < 0 ? CMD_FAILED : CMD_OK, &e);
}
