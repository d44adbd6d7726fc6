// ssltop fit: a forecast of probe accuracy from runs whose probe was measured.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/file.h"
#include "metrics/base/path.h"
#include "metrics/base/text.h"
#include "train/run/fit.h"
#include "train/run/runs.h"
#include "tui/cli/cmd.h"

static void print_range(FILE *to, const char *name, const struct forecast_range *r)
{
    fprintf(to, "  %-12s %.4g to %.4g\n", name, r->lo, r->hi);
}

static void print_error(FILE *to, const char *of, double points)
{
    if (isfinite(points))
        fprintf(to, "  %-44s %5.2f points\n", of, points);
}

enum { SHOWN = 20 }; // terms that a person can look through

static void print_law(FILE *to, const char *what, const struct forecast_law *law)
{
    char text[64];
    fprintf(to, "\n%s: ", what);
    if (law->terms <= SHOWN) {
        fprintf(to, "logit of the accuracy =\n  %+12.5g\n", law->constant);
        for (int t = 0; t < law->terms; t++)
            fprintf(to, "  %+12.5g  %s\n", law->term[t].coefficient,
                    forecast_term_text(&law->term[t], text, sizeof text));
        fprintf(to, "each input less\n");
        for (int i = 0; i < FORECAST_INPUTS; i++)
            if (law->range[i].lo <= law->range[i].hi)
                fprintf(to, "  %12.5g  of %s\n", law->centre[i], forecast_inputs[i].key);
    } else {
        fprintf(to, "a ridge regression on these inputs, their squares and products, %d terms\n",
                law->terms);
    }
    fprintf(to, "R2 in sample %.3f, of runs left out %.3f; these are off (root mean square) by\n",
            law->r2, law->r2_left_out);
    print_error(to, "all", law->error_points);
    print_error(to, "probes above 70 %", law->error_points_good);
    print_error(to, "a quarter into the run", law->error_points_quarter);
    fprintf(to, "95 %% interval:");
    for (int k = 0; k < law->knots; k++) {
        double at = law->knot[k].at, size = law->knot[k].size;
        fprintf(to, "%s %.1f %% (%.1f to %.1f)", k ? "," : "", 100 * forecast_accuracy(at),
                100 * forecast_accuracy(at - size), 100 * forecast_accuracy(at + size));
    }
    if (isfinite(law->covered))
        fprintf(to, "; it held %.1f %% of the runs left out", 100 * law->covered);
    fprintf(to, "\nfitted over\n");
    for (int i = 0; i < FORECAST_INPUTS; i++)
        if (law->range[i].lo <= law->range[i].hi)
            print_range(to, forecast_inputs[i].key, &law->range[i]);
    print_range(to, "accuracy", &law->accuracy);
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
    fputc('\n', to);
    print_law(to, "at an evaluation", &f->now);
    if (f->live.knots)
        print_law(to, "between evaluations", &f->live);
    else if (!fit->unsupported)
        fprintf(to, "\nnothing can be foretold between evaluations but by what stands in\n");
    if (f->end.knots)
        print_law(to, "where the run ends", &f->end);
    if (f->linear.knots)
        print_law(to, "where the run ends, by its linear probe", &f->linear);
    if (!f->end.knots && !f->linear.knots && !fit->unsupported)
        fprintf(to, "\nnothing can be foretold of where a run ends\n");
}

static int find_runs(const char *runs, char **word, int n, char **dir, struct error *e)
{
    char path[4096];
    for (int i = 0; i < n; i++) {
        if (path_is_file(word[i]))
            snprintf(path, sizeof path, "%s", word[i]);
        else if (runs_find(runs, word[i], 0, path, sizeof path, e) < 0)
            return -1;
        dir[i] = strdup(path);
        if (!dir[i])
            return error_memory(e, "a path");
    }
    return 0;
}

// What every evaluation has, and cannot be done without.
static int is_needed(int input)
{
    return input == FORECAST_AUC || input == FORECAST_LOSS || input == FORECAST_WIDTH ||
           input >= FORECAST_LIVE_AUC; // these go with what they are live values of
}

// Inputs by name, divided by commas; NULL: none.
static int find_inputs(const char *names, unsigned char without[FORECAST_INPUTS], struct error *e)
{
    char name[64];
    memset(without, 0, FORECAST_INPUTS);
    for (const char *at = names; at && *at; at += strcspn(at, ",")) {
        at += *at == ',';
        text_copy(name, sizeof name, at, strcspn(at, ","));
        int surrogates = strcmp(name, "surrogates") == 0, input = forecast_input_find(name);
        for (int i = FORECAST_PIXEL_R2; surrogates && i <= FORECAST_FEWSHOT10; i++)
            without[i] = 1;
        if (!surrogates && (input < 0 || is_needed(input)))
            return error_set(e,
                             "--without: \"%s\" is no input that a forecast can do without; there "
                             "are surrogates (all six), %s, %s, %s ...",
                             name, forecast_inputs[FORECAST_RANKME].key,
                             forecast_inputs[FORECAST_TWONN].key,
                             forecast_inputs[FORECAST_PIXEL_R2].key);
        if (!surrogates)
            without[input] = 1;
    }
    return 0;
}

// What is written lies in no run and replaces nothing that is read.
static int spares(const char *out, const char *dir, struct error *e)
{
    return cmd_spares_runs(out, e) < 0 || file_distinct(out, dir, e) < 0 ? -1 : 0;
}

static int fit(const char *runs, char **word, int n, const unsigned char *without,
               const char *points, const char *out, struct error *e)
{
    struct fit result = {0};
    char **dir = calloc((size_t)n, sizeof *dir);
    int rc = dir ? find_runs(runs, word, n, dir, e) : error_memory(e, "%d paths", n);
    for (int i = 0; rc == 0 && i < n; i++)
        rc = spares(out, dir[i], e) < 0 || (points && spares(points, dir[i], e) < 0) ? -1 : 0;
    if (rc == 0 && points)
        rc = file_apart(points, out, e);
    if (rc == 0) {
        rc = fit_runs(dir, n, without, points, &result, e);
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
    const char *runs, *out, *without, *points;
};

const struct option_row cmd_fit_options[] = {
    {CMD_WORD("o", out, "FILE.json"),
     .doc = "Where the calibration goes. Nothing is written when the runs do not support one."},
    {CMD_WORD("points", points, "FILE.jsonl"),
     .doc =
         "Keep there what was taken from the runs: another fit takes such a file among its runs, "
         "when their logs are gone."},
    {CMD_WORD("without", without, "NAME,..."),
     .doc = "Do without these inputs, named as in a calibration, or without the surrogates: to see "
            "what they bring."},
    {CMD_RUNS},
    {0},
};

int cmd_fit(int argc, char **argv)
{
    struct error e = {""};
    struct wanted w = {0};
    unsigned char without[FORECAST_INPUTS];
    int rc = cmd_parse(&argc, argv, &w);
    if (rc != CMD_GO_ON)
        return rc;
    if (!w.out)
        return cmd_refuse("fit needs -o FILE.json");
    if (find_inputs(w.without, without, &e) < 0)
        return cmd_complain(CMD_USAGE, &e);
    rc = fit(w.runs, argv + 1, argc - 1, without, w.points, w.out, &e);
    fflush(stdout);
    return cmd_complain(rc < 0 ? CMD_FAILED : CMD_OK, &e);
}
