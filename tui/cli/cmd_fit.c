// ssltop fit: a forecast of probe accuracy from runs whose probe was measured.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/file.h"
#include "metrics/base/text.h"
#include "train/run/fit.h"
#include "train/run/runs.h"
#include "tui/cli/cmd.h"

static void print_range(FILE *to, const char *name, const struct forecast_range *r)
{
    fprintf(to, "  %-10s %.4g to %.4g\n", name, r->lo, r->hi);
}

static void report(const struct fit *fit, FILE *to)
{
    const struct forecast *f = &fit->forecast;
    char data[sizeof f->data], arch[sizeof f->arch], method[sizeof f->method];
    text_clean(data, sizeof data, f->data);
    text_clean(arch, sizeof arch, f->arch);
    text_clean(method, sizeof method, f->method);
    fprintf(to, "%s on %s by %s: %lld evaluations of %d runs", arch, data, method,
            (long long)f->points, f->runs);
    if (fit->skipped)
        fprintf(to, "; %d more gave none", fit->skipped);
    if (f->collapsed)
        fprintf(
            to,
            "\n%lld evaluations of a complete collapse left out: all but one direction was gone",
            (long long)f->collapsed);
    fprintf(to, "\n\nlogit of the accuracy =\n");
    for (int t = 0; t < FORECAST_TERMS; t++) {
        if (f->used[t])
            fprintf(to, "  %+12.5g  %s\n", f->coefficient[t], forecast_term_key[t]);
        else
            fprintf(to, "  %12s  %s\n", "dropped", forecast_term_key[t]);
    }
    fprintf(to,
            "\nR2 in sample %.3f, of runs left out %.3f: off by %.2f points (root mean square)\n",
            f->r2, f->r2_left_out, f->error_points);
    fprintf(to, "from live AUCs, usually %+.4f to the exact one: off by %.2f points\n", f->offset,
            f->error_points_live);
    fprintf(to, "95 %% interval, from live AUCs: +-%.3f in the logit\nfitted over\n", f->quantile);
    print_range(to, "AUC", &f->auc);
    print_range(to, "loss", &f->loss);
    print_range(to, "z-std", &f->zstd);
    print_range(to, "width", &f->width);
    print_range(to, "accuracy", &f->accuracy);
}

static int find_runs(const char *runs, char **word, int n, char **dir, struct error *e)
{
    char path[4096];
    for (int i = 0; i < n; i++) {
        if (runs_find(runs, word[i], 0, path, sizeof path, e) < 0)
            return -1;
        dir[i] = strdup(path);
        if (!dir[i])
            return error_set(e, "out of memory for a path");
    }
    return 0;
}

static int fit(const char *runs, char **word, int n, const char *out, struct error *e)
{
    struct fit result = {0};
    char **dir = calloc((size_t)n, sizeof *dir);
    int rc = dir ? find_runs(runs, word, n, dir, e) : error_set(e, "out of memory for %d paths", n);
    for (int i = 0; rc == 0 && i < n; i++)
        rc = cmd_spares_run(out, dir[i], e);
    if (rc == 0) {
        rc = fit_runs(dir, n, &result, e);
        if (rc == 0 || result.unsupported)
            report(&result, file_is_standard(out) ? stderr : stdout);
        if (rc == 0)
            rc = fit_save(&result.forecast, out, e);
    }
    forecast_free(&result.forecast);
    for (int i = 0; dir && i < n; i++)
        free(dir[i]);
    free(dir);
    return rc;
}

struct wanted {
    const char *runs, *out;
};

const struct option_row cmd_fit_options[] = {
    {.name = "o",
     .type = OPTION_WORD,
     OPTION_FIELD(struct wanted, out),
     .argument = "FILE.json",
     .doc = "Where the calibration goes. Nothing is written when the runs do not support one."},
    {OPTION_RUNS(struct wanted, OPTION_WORD)},
    {0},
};

int cmd_fit(int argc, char **argv)
{
    struct error e = {""};
    struct wanted w = {0};
    int rc = cmd_parse(&argc, argv, &w);
    if (rc != CMD_GO_ON)
        return rc;
    if (!w.out) {
        error_set(&e, "fit needs -o FILE.json");
        return cmd_complain(CMD_USAGE, &e);
    }
    rc = fit(w.runs, argv + 1, argc - 1, w.out, &e);
    fflush(stdout);
    return cmd_complain(rc < 0 ? CMD_FAILED : CMD_OK, &e);
}
