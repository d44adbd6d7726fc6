// ssltop probe: what the features of a checkpoint are worth to a classifier.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    json_t *o = json_object();
    json_object_set_new(o, "top1", json_real(p.share));
    json_object_set_new(o, "lo", json_real(p.lo));
    json_object_set_new(o, "hi", json_real(p.hi));
    if (s->top5 >= 0)
        json_object_set_new(o, "top5", json_real((double)s->top5 / (double)s->n));
    return o;
}

static int print_json(const char *path, const struct embed *m, const struct embed_scores *s)
{
    char name[4300], data[256];
    text_clean(name, sizeof name, path);
    text_clean(data, sizeof data, embed_data(m)->name);
    json_t *o = json_object(), *linear = score_json(&s->linear), *ridge = score_json(&s->ridge);
    json_object_set_new(o, "checkpoint", json_string(name));
    json_object_set_new(o, "step", json_integer(embed_step(m)));
    json_object_set_new(o, "data", json_string(data));
    json_object_set_new(o, "d", json_integer(embed_d(m)));
    json_object_set_new(o, "n_train", json_integer(s->n_train));
    json_object_set_new(o, "n_test", json_integer(s->n_test));
    json_object_set_new(linear, "iterations", json_integer(s->fit.iterations));
    json_object_set_new(linear, "converged", json_boolean(s->fit.converged));
    json_object_set_new(ridge, "penalty", json_real(s->lambda));
    json_object_set_new(o, "linear", linear);
    json_object_set_new(o, "fast", ridge);
    json_object_set_new(o, "knn", score_json(&s->near));
    json_object_set_new(o, "knn_plain", score_json(&s->plain));
    return cmd_print_json(o);
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
    struct stat st;
    if (stat(word, &st) == 0 && S_ISREG(st.st_mode))
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

#define WORD(n, f) .name = (n), .type = OPTION_WORD, OPTION_FIELD(struct wanted, f)
const struct option_row cmd_probe_options[] = {
    {.name = "json",
     .type = OPTION_FLAG,
     OPTION_FIELD(struct wanted, json),
     .doc = "One JSON object; accuracies are 0 to 1."},
    {.name = "keep",
     .type = OPTION_FLAG,
     OPTION_FIELD(struct wanted, keep),
     .doc =
         "Keep what the linear probe measures in the run's folder, as probe.json: fit takes it for "
         "where the run ended."},
    {WORD("data", data), .argument = "SET", .values = options_dataset,
     .doc = "The data set. The default is the one that was trained on."},
    {.name = "images",
     .type = OPTION_INT64,
     OPTION_FIELD(struct wanted, images),
     .argument = "N",
     .fallback = "all",
     .word = "all",
     OPTION_RANGE(1, OPTION_MANY),
     .doc = "Training images that the probes are fitted on, as many of each class."},
    {WORD("checkpoint", checkpoint), .argument = "WHICH", .fallback = "last",
     .check = embed_check_which,
     .doc =
         "Of a run: the last one, the best (the evaluation with the best probe so far, or the best "
         "forecast where none is measured), or that of a step."},
    {WORD("device", device), .argument = "DEVICE",
     .doc = "What computes. The default is what trained."},
    {OPTION_THREADS(struct wanted, 4096),
     .doc = "Threads that compute. auto: all this process may use."},
    {OPTION_RUNS(struct wanted, OPTION_WORD)},
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
