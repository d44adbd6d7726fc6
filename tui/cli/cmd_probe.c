// ssltop probe: what the features of a checkpoint are worth to a classifier.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/path.h"
#include "metrics/base/text.h"
#include "train/options/options.h"
#include "train/run/embed.h"
#include "train/store/probe_file.h"
#include "tui/cli/cmd.h"
#include "tui/model/format.h"

static void say(const char *what)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "ssltop: %s ...\n", what);
}

static json_t *score_json(const struct probe_score *s)
{
    struct probe_share p = probe_interval(s->correct, s->n);
    json_t *o = json_pack("{s:f, s:f, s:f}", "top1", p.share, "lo", p.lo, "hi", p.hi);
    if (s->top5 >= 0)
        json_object_set_new(o, "top5", json_real((double)s->top5 / (double)s->n));
    return o;
}

static int print_json(const char *path, const struct embed *m, const struct embed_scores *s)
{
    char name[4300], data[256];
    text_clean(name, sizeof name, path);
    text_clean(data, sizeof data, embed_data(m)->name);
    json_t *linear = score_json(&s->linear), *ridge = score_json(&s->ridge);
    json_object_set_new(linear, "iterations", json_integer(s->fit.iterations));
    json_object_set_new(linear, "converged", json_boolean(s->fit.converged));
    json_object_set_new(ridge, "penalty", json_real(s->lambda));
    return cmd_print_json(
        json_pack("{s:s, s:I, s:s, s:i, s:I, s:I, s:o, s:o, s:o, s:o}", "checkpoint", name, "step",
                  (json_int_t)embed_step(m), "data", data, "d", embed_d(m), "n_train",
                  (json_int_t)s->n_train, "n_test", (json_int_t)s->n_test, "linear", linear, "fast",
                  ridge, "knn", score_json(&s->near), "knn_plain", score_json(&s->plain)));
}

static void print_score(const char *name, const struct probe_score *s, const char *note)
{
    struct probe_share p = probe_interval(s->correct, s->n);
    printf("%-26s %6.2f %%  (%5.2f to %5.2f)", name, 100 * p.share, 100 * p.lo, 100 * p.hi);
    if (s->top5 >= 0)
        printf("  %6.2f %%", 100 * (double)s->top5 / (double)s->n);
    printf("%s\n", note);
}

static void print_table(const char *path, const struct embed *m, const struct embed_scores *s)
{
    char name[4300], data[256];
    text_clean(name, sizeof name, path);
    text_clean(data, sizeof data, embed_data(m)->name);
    printf("%s\n%s: fitted on %s images, %s scored, %d features\n\n", name, data,
           format_count(s->n_train).s, format_count(s->n_test).s, embed_d(m));
    printf("%-26s %8s  %-16s%s\n", "", "top-1", "95 % interval",
           s->linear.top5 >= 0 ? "      top-5" : "");
    print_score("linear probe", &s->linear,
                s->fit.converged ? "" : "  (not converged: more may be possible)");
    print_score("fast probe (ridge)", &s->ridge, "");
    print_score("nearest 200, weighted", &s->near, "");
    print_score("nearest 20", &s->plain, "");
}

// Where the checkpoint lies, which is that run's last.
static int keep(const char *path, const struct embed *m, const struct embed_scores *s,
                struct error *e)
{
    char dir[4300];
    const char *end = strrchr(path, '/');
    struct probe_kept k = {embed_step(m), s->n_train, s->linear.n, s->linear.correct};
    snprintf(dir, sizeof dir, "%.*s", end ? (int)(end - path) : 1, end ? path : ".");
    return probe_file_write(dir, &k, e);
}

// Of a run's last checkpoint and its own data alone: anything else is no end of that run.
static int may_keep(const char *word, const char *checkpoint, const char *data, struct error *e)
{
    if (path_is_file(word))
        return error_set(e, "--keep is for a run, not for a checkpoint");
    if (strcmp(checkpoint, "last") != 0 || data)
        return error_set(e, "--keep is for a run's last checkpoint and the data that it was "
                            "trained on");
    return 0;
}

struct wanted {
    int json, threads, keep;
    int64_t images; // 0: all
    const char *runs, *data, *device, *checkpoint;
};

const struct option_row cmd_probe_options[] = {
    {CMD_FLAG("json", json), .doc = "One JSON object; accuracies are 0 to 1."},
    {CMD_FLAG("keep", keep),
     .doc =
         "Keep what the linear probe measures in the run's folder, as probe.json: fit takes it for "
         "where the run ended."},
    {CMD_DATA},
    {CMD_ROW("images", OPTION_INT64, images), .argument = "N", .fallback = "all", .word = "all",
     OPTION_RANGE(1, OPTION_MANY),
     .doc = "Training images that the probes are fitted on, as many of each class."},
    {CMD_CHECKPOINT},
    {CMD_DEVICE},
    {CMD_THREADS},
    {CMD_RUNS},
    {0},
};

int cmd_probe(int argc, char **argv)
{
    struct error e = {""};
    struct wanted w = {0};
    struct embed_scores s;
    struct embed *m = NULL;
    char path[4300];
    int rc = cmd_parse(&argc, argv, &w);
    if (rc != CMD_GO_ON)
        return rc;
    if (w.keep && may_keep(argv[1], w.checkpoint, w.data, &e) < 0)
        return cmd_complain(CMD_USAGE, &e);
    struct embed_options o = {.data = w.data, .device = w.device, .threads = w.threads};
    rc = CMD_OK;
    if (embed_find(w.runs, argv[1], w.checkpoint, path, sizeof path, &e) < 0 ||
        embed_open(path, &o, &m, &e) < 0 || embed_probe(m, w.images, say, &s, &e) < 0 ||
        (w.keep && keep(path, m, &s, &e) < 0))
        rc = CMD_FAILED;
    else if (w.json)
        rc = print_json(path, m, &s);
    else
        print_table(path, m, &s);
    if (m)
        dataset_tell(embed_data(m), stderr);
    embed_close(m);
    return cmd_complain(rc, &e);
}
