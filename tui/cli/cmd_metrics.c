// ssltop metrics: the spectrum of features that anybody saved, and all metrics of it.
#include <langinfo.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/memory.h"
#include "metrics/features.h"
#include "metrics/science/lidar.h"
#include "metrics/base/text.h"
#include "tui/cli/cmd.h"
#include "tui/cli/features_file.h"
#include "tui/cli/features_images.h"
#include "tui/model/format.h"
#include "tui/draw/plot.h"

enum { PLOT_HEIGHT = 18, PLOT_WIDTH = 76, GUTTER = 7, ROWS = 10, DIMS = 6, COLUMN = 11 };

struct wanted {
    int json, spectrum, l2, plot, ascii, threads;
    int views;          // rows one after the other that are views of one image; 0: nobody says so
    const char *images; // the data set that they are features of; NULL: not told
    struct features_images asked;
    int narrow; // columns of a terminal that a table does not fit into, or 0
    int headed; // the heads of the table are printed
};

// Metrics that a file of features can give, and its images: the others need a network.
static int is_given(const struct wanted *w, int m)
{
    unsigned have = METRIC_NEEDS_SPECTRUM | METRIC_NEEDS_FEATURES;
    if (w->images)
        have |= METRIC_NEEDS_IMAGES | METRIC_NEEDS_EVALUATION;
    if (w->views)
        have |= METRIC_NEEDS_VIEWS;
    return metric_is_given(m, have);
}

static void list_metrics(void)
{
    static const struct wanted all = {.images = "SET", .views = 2}, *const w = &all;
    printf("\nColumns, and keys with --json:\n");
    for (int m = 0; m < METRIC_COUNT; m++) {
        const struct metric *row = &metric_table[m];
        char needs[100];
        if (is_given(w, m))
            printf("  %s\n        %s\n        needs %s%s (%s)\n", row->key, row->doc,
                   metric_needs(m, needs, sizeof needs),
                   row->better > 0   ? "; higher is healthier"
                   : row->better < 0 ? "; lower is healthier"
                                     : "",
                   row->source);
    }
}

// ---------------------------------------------------------------- the plot

static int width_of_plot(void)
{
    int columns = cmd_columns(PLOT_WIDTH);
    return columns < PLOT_WIDTH ? columns : PLOT_WIDTH;
}

// Range of sigma / sigma_1 in each column of dots; zeros are gaps.
static void spans(const struct features_report *r, struct span *col, int columns)
{
    for (int x = 0; x < columns; x++) {
        int64_t from = (int64_t)x * r->d / columns, to = (int64_t)(x + 1) * r->d / columns;
        col[x] = (struct span){NAN, NAN, NAN};
        for (int64_t i = from; i < (to > from ? to : from + 1); i++) {
            float v = (float)(r->sigma[i] / r->sigma[0]);
            if (!(v > 0))
                continue;
            col[x].lo = fminf(col[x].lo, v);
            col[x].hi = fmaxf(col[x].hi, v);
            col[x].last = v;
        }
    }
}

static int draw(const struct features_report *r, int ascii, struct error *e)
{
    struct canvas c = {0};
    int w = width_of_plot();
    struct rect frame = {0, GUTTER, PLOT_HEIGHT, w - GUTTER}, in;
    int columns = 2 * (frame.w - 2);
    struct span *col = calloc((size_t)columns, sizeof *col);
    if (!col || canvas_resize(&c, PLOT_HEIGHT, w, e) < 0) {
        free(col);
        return error_memory(e, "a plot");
    }
    in = canvas_frame(&c, frame, ROLE_FRAME);
    double least = 1;
    for (int i = 0; i < r->d; i++)
        if (r->sigma[i] > 1e-9 * r->sigma[0])
            least = fmin(least, r->sigma[i] / r->sigma[0]);
    struct axis a = axis_decades(least, 1, PLOT_HEIGHT / 2);
    spans(r, col, columns);
    canvas_text(&c, 0, frame.x + 2, frame.w - 4, ROLE_TITLE, " \u03c3/\u03c3\u2081 ");
    canvas_printf(&c, PLOT_HEIGHT - 1, frame.x + 1, frame.w - 2, ROLE_DIM, "1");
    struct text last = format_count(r->d);
    int n = text_columns(last.s);
    canvas_text(&c, PLOT_HEIGHT - 1, frame.x + frame.w - 1 - n, n, ROLE_DIM, last.s);
    plot_labels(&c, in, &a, frame.x - 1, GUTTER - 1, 1, ROLE_DIM);
    plot_curve(&c, in, &a, col, LINE_SOLID, ROLE_LIVE);
    if (ascii)
        canvas_ascii(&c);
    char *text = canvas_to_text(&c);
    if (text)
        fputs(text, stdout);
    free(col);
    canvas_free(&c);
    free(text);
    return text ? 0 : error_memory(e, "a plot");
}

// ---------------------------------------------------------------- numbers

static int print_json(const char *path, const struct features_report *r, const struct wanted *w)
{
    char name[PATH_MAX];
    text_clean(name, sizeof name, path);
    json_t *o = json_pack("{s:s, s:o, s:i, s:b, s:I}", "file", name, "n",
                          r->n ? json_integer(r->n) : json_null(), "d", r->d, "few_rows",
                          features_few(r), "bytes_behind", (json_int_t)r->behind);
    for (int m = 0; m < METRIC_COUNT; m++)
        if (is_given(w, m))
            json_object_set_new(o, metric_table[m].key, cmd_number(r->metric[m]));
    json_object_set_new(o, "mean_norm", cmd_number(r->mean_norm));
    if (w->spectrum) {
        json_t *sigma = json_array();
        for (int i = 0; i < r->d; i++)
            json_array_append_new(sigma, cmd_number(r->sigma[i]));
        json_object_set_new(o, "sigma", sigma);
    }
    return cmd_print_json(o);
}

// The number as a person reads it, marked where few rows bias it; "-" where there is none.
static const char *number(int m, const struct features_report *r, char text[2 * COLUMN])
{
    double value = r->metric[m];
    const char *mark = r->n && metric_is_biased(m, (double)r->n, r->d) ? "*" : "";
    if (m == METRIC_COND && value >= METRIC_COND_MAX)
        snprintf(text, 2 * COLUMN, ">1e7%s", mark);
    else if (isfinite(value))
        snprintf(text, 2 * COLUMN, "%.5g%s", value, mark);
    else
        snprintf(text, 2 * COLUMN, "-");
    return text;
}

// With a mark where they are too few for what follows from them.
static const char *rows_of(const struct features_report *r, char text[24])
{
    snprintf(text, 24, r->n ? "%lld%s" : "-", (long long)r->n, features_few(r) ? "*" : "");
    return text;
}

// A line a file.
static void print_row(const char *name, const struct features_report *r, const struct wanted *w,
                      int heads)
{
    char text[24];
    if (heads) {
        printf("%*s %*s", ROWS, "n", DIMS, "d");
        for (int m = 0; m < METRIC_COUNT; m++)
            if (is_given(w, m))
                printf(" %*s", COLUMN, metric_table[m].title);
        printf("  file\n");
    }
    printf("%*s %*d", ROWS, rows_of(r, text), DIMS, r->d);
    for (int m = 0; m < METRIC_COUNT; m++)
        if (is_given(w, m))
            printf(" %*s", COLUMN, number(m, r, text));
    printf("  %s\n", name);
}

// A paragraph a file, where the terminal would break the lines of a table.
static void print_block(const char *name, const struct features_report *r, const struct wanted *w)
{
    enum { CELL = 2 * (COLUMN + 1) + 2 };
    int across = w->narrow / CELL > 1 ? w->narrow / CELL : 1, k = 0;
    char text[24];
    if (r->n)
        printf("%s: %s x %d\n", name, rows_of(r, text), r->d);
    else
        printf("%s: %d singular values\n", name, r->d);
    for (int m = 0; m < METRIC_COUNT; m++)
        if (is_given(w, m)) {
            int last = ++k % across == 0;
            printf("  %-*s %-*s%s", COLUMN, metric_table[m].title, last ? 0 : COLUMN,
                   number(m, r, text), last ? "\n" : "");
        }
    printf("%s", k % across ? "\n" : "");
}

// Columns of the terminal where a table of these files is too wide for it; else 0.
static int narrow_terminal(const struct wanted *w, int files, char **file)
{
    int columns = cmd_columns(0), table = ROWS + 1 + DIMS, longest = 0;
    for (int m = 0; m < METRIC_COUNT; m++)
        table += is_given(w, m) ? 1 + COLUMN : 0;
    for (int i = 0; i < files; i++) {
        int n = (int)strnlen(file[i], PATH_MAX);
        longest = n > longest ? n : longest;
    }
    return columns < table + 2 + longest ? columns : 0;
}

// What a person should know before believing the numbers.
static void warn(const char *path, const struct features_report *r)
{
    char name[PATH_MAX];
    text_clean(name, sizeof name, npy_name(path));
    if (features_few(r))
        fprintf(stderr,
                "ssltop: %s: * %lld rows of %d features: below %d times as many rows as features "
                "what is marked reads as more collapsed than it is%s\n",
                name, (long long)r->n, r->d, METRIC_ROWS,
                r->n < r->d ? "; rows are samples: are these the columns?" : "");
    if (r->n && r->d == 1)
        fprintf(stderr,
                "ssltop: %s: one feature is one direction, collapsed or not: are these labels?\n",
                name);
    if (r->whole)
        fprintf(stderr,
                "ssltop: %s: one dimension of whole numbers is taken for singular values: are they "
                "labels?\n",
                name);
    if (r->untyped)
        fprintf(stderr, "ssltop: %s: numbers of two bytes without a type are read as bfloat16\n",
                name);
    if (r->again)
        fprintf(stderr,
                "ssltop: %s: another array begins behind the first, which alone is read: save them "
                "with np.savez\n",
                name);
    else if (r->behind)
        fprintf(stderr, "ssltop: %s: %zu bytes behind the array are not read\n", name, r->behind);
}

// LiDAR of rows that are views of images; all of them in memory.
static int add_lidar(const struct npy *a, int views, struct features_report *r, struct error *e)
{
    if (views < 2 || a->ndim != 2 || a->n % views != 0)
        return error_set(e, "%lld rows are not images of %d views each (2 or more)",
                         (long long)a->n, views);
    size_t d = (size_t)a->d;
    FREED_BY(memory_free) struct memory m = {0};
    float *x = memory_take(&m, (size_t)a->n * d, sizeof *x);
    double *row = memory_take(&m, d, sizeof *row);
    if (m.failed)
        return error_memory(e, "the views");
    for (int64_t i = 0; i < a->n; i++) {
        npy_rows(a, i, 1, row);
        for (size_t j = 0; j < d; j++)
            x[(size_t)i * d + j] = (float)row[j];
    }
    return lidar_measure(x, a->n / views, views, (int)d, &r->metric[METRIC_LIDAR], e);
}

static int one_file(const char *path, struct wanted *w)
{
    struct features_report r;
    struct npy a;
    struct error e = {""};
    if (features_file_open(path, &a, &e) < 0)
        return cmd_complain(CMD_FAILED, &e);
    int rc = features_measure_array(&a, w->l2, w->threads, &r, &e);
    if (rc == 0 && ((w->views && add_lidar(&a, w->views, &r, &e) < 0) ||
                    (w->images && features_images_ask(&w->asked, &a, r.metric, &e) < 0))) {
        features_report_free(&r);
        rc = -1;
    }
    npy_close(&a);
    if (rc < 0) {
        error_prefix(&e, "%.300s", npy_name(path));
        return cmd_complain(CMD_FAILED, &e);
    }
    if (w->json) {
        rc = print_json(path, &r, w);
    } else {
        char name[PATH_MAX];
        text_clean(name, sizeof name, npy_name(path));
        if (w->narrow)
            print_block(name, &r, w);
        else
            print_row(name, &r, w, !w->headed++);
        if (w->plot && r.sigma[0] > 0 && isfinite(r.sigma[0]) && draw(&r, w->ascii, &e) < 0)
            rc = cmd_complain(CMD_FAILED, &e);
        for (int i = 0; w->spectrum && i < r.d; i++)
            printf("%.17g\n", r.sigma[i]);
    }
    fflush(stdout);
    warn(path, &r);
    features_report_free(&r);
    return rc;
}

const struct option_row cmd_metrics_options[] = {
    {CMD_FLAG("json", json),
     .doc = "One JSON object a file and line; a value that does not exist is null."},
    {CMD_FLAG("spectrum", spectrum),
     .doc = "Print the singular values too, from the largest down."},
    {CMD_FLAG("l2", l2), .doc = "Divide each row by its length first."},
    {CMD_FLAG("plot", plot), .doc = "Draw the spectrum."},
    {CMD_FLAG("ascii", ascii), .doc = "Draw with ASCII characters only."},
    {CMD_ROW("views", OPTION_INT, views), .argument = "Q", OPTION_RANGE(2, 1000),
     .doc = "So many rows, one after the other, are views of one image. Adds LiDAR."},
    {CMD_WORD("images", images, "SET"),
     .doc = "The data set that these are features of, as --data of train names it, a row an image "
            "and in its order: "
            "all training images or all test images. Adds what the features tell of them."},
    {CMD_THREADS},
    {0},
};

int cmd_metrics(int argc, char **argv)
{
    struct wanted w = {0};
    int failed = 0, rc = cmd_parse(&argc, argv, &w);
    if (rc == CMD_OK) // --help
        list_metrics();
    if (rc != CMD_GO_ON)
        return rc;
    w.narrow = narrow_terminal(&w, argc - 1, argv + 1);
    w.ascii |= strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
    struct error e = {""};
    rc = CMD_OK;
    if (w.images && features_images_open(&w.asked, w.images, w.threads, &e) < 0)
        rc = cmd_complain(CMD_FAILED, &e);
    for (int i = 1; i < argc && rc != CMD_FAILED; i++) {
        fflush(stdout);
        if (one_file(argv[i], &w) != CMD_OK)
            failed = 1;
    }
    features_images_close(&w.asked);
    return failed ? CMD_FAILED : rc;
}
