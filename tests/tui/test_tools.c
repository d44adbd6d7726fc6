// The commands for people who train elsewhere or are done training, each in a child as a shell
// would start it: metrics, embed, probe, fit.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/sets/dataset_table.h"
#include "metrics/science/metric.h"
#include "metrics/npy.h"
#include "train/store/probe_file.h"
#include "tests/kit/imageset.h"
#include "tests/kit/pictures.h"
#include "tests/kit/runs.h"
#include "tests/kit/session.h"
#include "tui/cli/cmd.h"

#define NPY "tests/fixtures/npy/"

static struct lab lab;
static char *out, *err; // what the last command said

static int ask(int (*command)(int, char **), const char *const *word)
{
    char *argv[16], path[2][128];
    int argc = 0;
    while (argc < 15 && word[argc]) {
        argv[argc] = (char *)word[argc];
        argc++;
    }
    argv[argc] = NULL;
    snprintf(path[0], sizeof path[0], "%s/.stdout", lab.dir);
    snprintf(path[1], sizeof path[1], "%s/.stderr", lab.dir);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        for (int i = 0; i < 2; i++) {
            int fd = open(path[i], O_WRONLY | O_CREAT | O_TRUNC, 0600);
            if (fd < 0 || dup2(fd, i ? STDERR_FILENO : STDOUT_FILENO) < 0)
                _exit(99);
            close(fd);
        }
        int rc = command(argc, argv);
        fflush(stdout);
        _exit(rc);
    }
    int rc = lab_wait(pid);
    free(out);
    free(err);
    out = lab_text(path[0]);
    err = lab_text(path[1]);
    return rc;
}
#define ASK(command, ...) ask(command, (const char *const[]){__VA_ARGS__, NULL})

static void done(void)
{
    free(out);
    free(err);
    out = err = NULL;
    lab_close(&lab);
}

static int lines(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static json_t *answer(const char *text)
{
    json_error_t why;
    json_t *o = json_loads(text, JSON_DISABLE_EOF_CHECK, &why);
    cr_assert(json_is_object(o), "%s: %s", why.text, text);
    return o;
}

static double number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    cr_assert(json_is_number(v), "%s", key);
    return json_number_value(v);
}

// ---------------------------------------------------------------- metrics

Test(tools, metrics_help_says_what_each_needs)
{
    lab_open(&lab);
    int rc = ASK(cmd_metrics, "metrics", "--help");
    cr_expect(rc == 0 && strstr(out, "--threads") && strstr(out, "\n  rankme\n"), "%s", out);
    cr_expect(strstr(out, "needs a spectrum; lower is healthier (Li, Efros, Pathak") != NULL);
    cr_expect(strstr(out, "needs a spectrum and the mean of the features;") != NULL);
    cr_expect(!strstr(out, "uniformity"), "a file has no views");
    done();
}

Test(tools, metrics_json)
{
    lab_open(&lab);
    int rc = ASK(cmd_metrics, "metrics", "--json", "--spectrum", NPY "f16-fortran.npy",
                 NPY "f64-values.npy");
    cr_assert(rc == 0 && lines(out) == 2, "%d %s%s", rc, out, err);
    cr_assert(lines(err) == 1 && strstr(err, "f16-fortran.npy: * 97 rows of 24 features"), "%s",
              err);
    json_t *o = answer(out);
    cr_expect_str_eq(json_string_value(json_object_get(o, "file")), NPY "f16-fortran.npy");
    cr_expect(number(o, "n") == 97 && number(o, "d") == 24);
    cr_expect(json_is_true(json_object_get(o, "few_rows")) && number(o, "bytes_behind") == 0);
    for (int m = 0; m < METRIC_COUNT; m++)
        cr_expect((json_object_get(o, metric_table[m].key) != NULL) == (m < METRIC_ZSTD), "%s",
                  metric_table[m].key);
    cr_expect(number(o, "auc") > 0.5 && number(o, "auc") < 1);
    cr_expect_eq(json_array_size(json_object_get(o, "sigma")), 24);
    json_decref(o);
    o = answer(strchr(out, '\n') + 1);
    cr_expect(json_is_null(json_object_get(o, "n")), "singular values have no rows");
    cr_expect(json_is_false(json_object_get(o, "few_rows")));
    cr_expect(json_is_null(json_object_get(o, "spread")));
    cr_expect_float_eq(number(o, "auc"), (4 + 6 + 7 + 7.5) / 7.5 / 4, 1e-12);
    json_decref(o);
    done();
}

Test(tools, metrics_table)
{
    lab_open(&lab);
    int rc = ASK(cmd_metrics, "metrics", "--l2", NPY "f32-c.npy", NPY "f64-cond8.npy");
    cr_assert(rc == 0 && lines(out) == 3, "%s%s", out, err);
    cr_expect(strstr(out, "AUC") && strstr(out, "RankMe") && strstr(out, ">1e7"), "%s", out);
    rc = ASK(cmd_metrics, "metrics", "--plot", "--ascii", NPY "f32-c.npy");
    cr_assert(rc == 0 && lines(out) > 15, "%s", out);
    for (const char *c = out; *c; c++)
        cr_assert((unsigned char)*c < 128, "--ascii is ASCII: %s", out);
    done();
}

// One sentence each, exit code 1; the good files among them are measured all the same.
// On a terminal that would break the lines of a table, a paragraph a file.
Test(tools, metrics_on_a_narrow_terminal)
{
    char *argv[] = {getenv("SSLTOP"), "metrics", NPY "f32-c.npy", NPY "f64-values.npy", NULL};
    struct session s = {0};
    cr_assert_not_null(argv[0]);
    session_start(&s, argv);
    session_wait(&s, NPY "f64-values.npy: 4 singular values");
    session_wait(&s, "spread      -");
    const char *text = session_text(&s);
    cr_expect(strstr(text, NPY "f32-c.npy: 97* x 24"), "%s", text);
    cr_expect(strstr(text, "\n  AUC         0.81138*     RankMe      13.5*        alpha-ReQ   "),
              "%s", text);
    session_end(&s);
}

// Rows that are views of images have LiDAR, as NumPy says (tests/fixtures/lidar.py).
Test(tools, metrics_of_views)
{
    static const char *const file = "tests/fixtures/lidar/features.npy";
    double want[2];
    FILE *f = fopen("tests/fixtures/lidar/expected.txt", "r");
    cr_assert(f && fscanf(f, "%lf %lf", &want[0], &want[1]) == 2);
    fclose(f);
    lab_open(&lab);
    cr_assert_eq(ASK(cmd_metrics, "metrics", "--json", "--views", "10", file), 0, "%s", err);
    json_t *o = answer(out);
    cr_expect_float_eq(number(o, "lidar"), want[0], 1e-6);
    json_decref(o);
    cr_assert_eq(ASK(cmd_metrics, "metrics", "--json", file), 0);
    cr_expect(!strstr(out, "\"lidar\""));
    cr_expect_eq(ASK(cmd_metrics, "metrics", "--views", "7", file), 1);
    cr_expect(strstr(err, "600 rows are not images of 7 views each") != NULL, "%s", err);
    cr_expect_eq(ASK(cmd_metrics, "metrics", "--views", "2", NPY "f64-values.npy"), 1);
    done();
}

// Rows that are few, one that is alone, and an array behind the one that is read.
Test(tools, metrics_say_what_misleads)
{
    enum { D = 4, MOST = 40 };
    static const struct {
        int rows, behind, code;
        const char *says, *prints;
    } cases[] = {{1, 0, 1, "has one row", ""},
                 {39, 0, 0, "* 39 rows of 4 features", " 39* "},
                 {3, 0, 0, "rows are samples: are these the columns?", " 3* "},
                 {40, 0, 0, NULL, " 40 "},
                 {40, 5, 0, "5 bytes behind the array are not read", " 40 "},
                 {40, 6, 0, "another array begins behind the first", " 40 "}};
    char file[128];
    float x[MOST * D];
    struct npy_writer *w;
    struct error e = {""};
    lab_open(&lab);
    snprintf(file, sizeof file, "%s/x.npy", lab.dir);
    for (int i = 0; i < MOST * D; i++)
        x[i] = (float)((i * 7919) % 101) / 101;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert(npy_create(file, cases[i].rows, D, &w, &e) == 0, "%s", e.text);
        cr_assert(npy_write(w, x, (size_t)cases[i].rows * D, &e) == 0, "%s", e.text);
        cr_assert(npy_finish(w, &e) == 0, "%s", e.text);
        FILE *f = fopen(file, "ab");
        size_t behind = (size_t)cases[i].behind;
        cr_assert(f && fwrite(NPY_MAGIC, 1, behind, f) == behind && fclose(f) == 0);
        int rc = ASK(cmd_metrics, "metrics", file);
        cr_expect(rc == cases[i].code, "%d: %s", cases[i].rows, err);
        cr_expect(cases[i].says ? lines(err) == 1 && strstr(err, cases[i].says) : !*err, "%s", err);
        cr_expect(strstr(out, cases[i].prints) != NULL, "%s", out);
    }
    done();
}

// What comes through a pipe, and the arrays of archives and of safetensors.
Test(tools, metrics_of_other_containers)
{
    static const char *const same[] = {"-", NPY "one.npz", NPY "one.npz:h"};
    lab_open(&lab);
    cr_assert(ASK(cmd_metrics, "metrics", "--json", NPY "f32-c.npy") == 0);
    json_t *o = answer(out);
    double want = number(o, "auc");
    json_decref(o);
    int fd = open(NPY "f32-c.npy", O_RDONLY);
    cr_assert(fd >= 0 && dup2(fd, STDIN_FILENO) == STDIN_FILENO && close(fd) == 0);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        int rc = ASK(cmd_metrics, "metrics", "--json", same[i]);
        cr_assert(rc == 0, "%s", err);
        o = answer(out);
        cr_expect(number(o, "auc") == want, "%s", same[i]);
        cr_expect_str_eq(json_string_value(json_object_get(o, "file")), same[i]);
        json_decref(o);
    }
    cr_expect(ASK(cmd_metrics, "metrics", "-") == 0 && strstr(out, "  standard input\n"), "%s",
              out);
    int rc = ASK(cmd_metrics, "metrics", "tests/fixtures/torch-w4.safetensors");
    cr_expect(rc == 1 && strstr(err, "holds 145 tensors: encoder.conv1.weight, "), "%s", err);
    rc = ASK(cmd_metrics, "metrics", "--json",
             "tests/fixtures/torch-w4.safetensors:encoder.fc.0.weight");
    cr_assert(rc == 0, "%s", err);
    o = answer(out);
    cr_expect(number(o, "n") == 32 && number(o, "d") == 32 && number(o, "bytes_behind") == 0);
    json_decref(o);
    rc = ASK(cmd_metrics, "metrics", "tests/fixtures/torch-w4.safetensors:encoder.bn1.weight");
    cr_expect(rc == 1 && strstr(err, "1 dimension; 2"), "%s", err);
    rc = ASK(cmd_metrics, "metrics", "tests/fixtures/torch-w4.safetensors:fc");
    cr_expect(rc == 1 && strstr(err, "no tensor of that name"), "%s", err);
    // An array of what comes through a pipe, as the sentence says that it is named.
    fd = open(NPY "one.npz", O_RDONLY);
    cr_assert(fd >= 0 && dup2(fd, STDIN_FILENO) == STDIN_FILENO && close(fd) == 0);
    rc = ASK(cmd_metrics, "metrics", "-:h");
    cr_expect(rc == 0 && strstr(out, "  -:h\n"), "%s%s", out, err);
    rc = ASK(cmd_metrics, "metrics", "-:nothing");
    cr_expect(rc == 1 && strstr(err, "no array of that name, but h"), "%s", err);
    done();
}

// Integers of every type in a safetensors file, and one feature alone.
Test(tools, metrics_of_integers_in_safetensors)
{
    static const char *const type[] = {"I8",  "U8",  "BOOL", "I16", "U16",
                                       "I32", "U32", "I64",  "U64"};
    static const size_t bytes[] = {1, 1, 1, 2, 2, 4, 4, 8, 8};
    char file[128], header[128], column[128];
    lab_open(&lab);
    snprintf(file, sizeof file, "%s/x.safetensors", lab.dir);
    for (size_t i = 0; i < sizeof type / sizeof *type; i++)
        for (int d = 1; d < 3; d++) {
            unsigned char data[40 * 8] = {0}, length[8] = {0};
            int n =
                snprintf(header, sizeof header,
                         "{\"x\":{\"dtype\":\"%s\",\"shape\":[%d,%d],\"data_offsets\":[0,%zu]}}",
                         type[i], 40 / d, d, 40 * bytes[i]);
            length[0] = (unsigned char)n;
            for (size_t k = 0; k < 40; k++)
                data[k * bytes[i]] = (unsigned char)(k * k * 7 % 11 % 2);
            FILE *f = fopen(file, "wb");
            cr_assert(f && fwrite(length, 1, 8, f) == 8 && fputs(header, f) >= 0);
            cr_assert(fwrite(data, bytes[i], 40, f) == 40 && fclose(f) == 0);
            int rc = ASK(cmd_metrics, "metrics", file);
            snprintf(column, sizeof column, " %d ", 40 / d);
            cr_expect(rc == 0 && strstr(out, column), "%s: %s", type[i], err);
            cr_expect(d == 1 ? strstr(err, "one feature is one direction") != NULL : !*err, "%s",
                      err);
        }
    done();
}

Test(tools, metrics_of_bad_files)
{
    lab_open(&lab);
    static const struct {
        const char *file, *because;
    } bad[] = {
        {NPY "expected.txt", "is not a .npy file"}, {NPY "objects.npy", "Python objects"},
        {NPY "cube.npy", "x.reshape(len(x), -1)"},  {NPY "empty.npy", "is empty"},
        {NPY "f32-nan.npy", "row 3, column 5"},     {NPY "complex.npy", "'<c8'"},
        {NPY "none.npy", "cannot be opened"},       {"tests", "neither a regular file"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int rc = ASK(cmd_metrics, "metrics", bad[i].file);
        cr_expect(rc == 1 && !*out && lines(err) == 1, "%d '%s' '%s'", rc, out, err);
        cr_expect(strstr(err, bad[i].because) && strstr(err, bad[i].file), "%s", err);
    }
    int rc = ASK(cmd_metrics, "metrics", "--json", NPY "cube.npy", NPY "f32-c.npy");
    cr_expect(rc == 1 && lines(out) == 1 && lines(err) == 2, "%d '%s' '%s'", rc, out, err);
    cr_expect(ASK(cmd_metrics, "metrics") == 2 && lines(err) == 1);
    cr_expect(ASK(cmd_metrics, "metrics", "--threads", "0", NPY "f32-c.npy") == 2);
    cr_expect(ASK(cmd_metrics, "metrics", "--nothing", NPY "f32-c.npy") == 2);
    done();
}

// ---------------------------------------------------------------- embed

static void same_labels(const char *path, const struct dataset_split *s)
{
    unsigned char head[128];
    FILE *f = fopen(path, "rb");
    cr_assert(f != NULL, "%s", path);
    cr_assert(fread(head, 1, sizeof head, f) == sizeof head);
    cr_assert(strstr((char *)head + 10, "'<i4'") != NULL);
    for (int64_t i = 0; i < s->n; i++) {
        int32_t label;
        cr_assert(fread(&label, sizeof label, 1, f) == 1);
        cr_assert_eq(label, s->labels[i], "label %ld", (long)i);
    }
    cr_assert(fgetc(f) == EOF);
    fclose(f);
}

Test(tools, embed_writes_features_in_order)
{
    struct dataset d;
    struct npy a, b;
    struct error e = {""};
    char file[2][128], labels[128], checkpoint[128];
    static double x[128 * 32], y[128 * 32];
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "6", "--name", "a") == 0, "%s", lab_text(lab.out));
    snprintf(file[0], sizeof file[0], "%s/x.npy", lab.dir);
    snprintf(file[1], sizeof file[1], "%s/y.npy", lab.dir);
    snprintf(labels, sizeof labels, "%s/x.labels.npy", lab.dir);
    snprintf(checkpoint, sizeof checkpoint, "%s/a/ckpt-6.safetensors", lab.dir);
    int rc = ASK(cmd_embed, "embed", "a", "--runs", lab.dir, "--split", "train", "-o", file[0]);
    cr_assert(rc == 0 && !*err, "%s", err);
    rc = ASK(cmd_embed, "embed", checkpoint, "--split=train", "-o", file[1], "--data",
             "synthetic:128");
    cr_assert(rc == 0 && !*err, "%s", err);
    cr_assert(npy_open(file[0], &a, &e) == 0 && npy_open(file[1], &b, &e) == 0, "%s", e.text);
    cr_assert(a.n == 128 && a.d == 32 && a.type == NPY_F32 && b.n == 128 && b.d == 32);
    npy_rows(&a, 0, 128, x);
    npy_rows(&b, 0, 128, y);
    for (int i = 0; i < 128 * 32; i++)
        cr_assert(x[i] == y[i] && x[i] >= 0, "number %d", i); // behind a ReLU and a mean
    npy_close(&a);
    npy_close(&b);
    cr_assert(dataset_open("synthetic:128", 1, &d, &e) == 0, "%s", e.text);
    same_labels(labels, &d.split[SPLIT_TRAIN]);
    cr_expect(ASK(cmd_metrics, "metrics", labels) == 0 && strstr(err, "are they labels?"), "%s",
              err);
    rc = ASK(cmd_embed, "embed", "a", "--runs", lab.dir, "-o", file[0]);
    cr_assert(rc == 0 && !*err, "%s", err);
    same_labels(labels, &d.split[SPLIT_TEST]);
    dataset_close(&d);
    done();
}

// The network and its normalisation are the training's, whatever it looks at: 64 of the 128 images
// have another mean, and for images of 32 pixels a training would take another stem.
Test(tools, embed_of_other_data)
{
    struct npy a, b;
    struct error e = {""};
    char file[2][128];
    static double x[128 * 32], y[64 * 32];
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "6", "--name", "a") == 0, "%s", lab_text(lab.out));
    for (int i = 0; i < 2; i++) {
        snprintf(file[i], sizeof file[i], "%s/%d.npy", lab.dir, i);
        int rc = ASK(cmd_embed, "embed", "a", "--runs", lab.dir, "--split", "train", "-o", file[i],
                     "--data", i ? "synthetic:64" : "synthetic:128");
        cr_assert(rc == 0 && !*err, "%s", err);
    }
    cr_assert(npy_open(file[0], &a, &e) == 0 && npy_open(file[1], &b, &e) == 0, "%s", e.text);
    cr_assert(a.n == 128 && a.d == 32 && b.n == 64 && b.d == 32);
    npy_rows(&a, 0, 128, x);
    npy_rows(&b, 0, 64, y);
    for (int i = 0; i < 64 * 32; i++)
        cr_assert(fabs(x[i] - y[i]) <= 1e-5 * (1 + x[i]), "number %d: %g, %g", i, x[i], y[i]);
    npy_close(&a);
    npy_close(&b);
    cr_assert(RUN(&lab, TINY, "--data", "synthetic:32:64", "--steps", "1", "--eval-images", "8",
                  "--name", "b") == 0,
              "%s", lab_text(lab.out));
    int rc =
        ASK(cmd_embed, "embed", "b", "--runs", lab.dir, "-o", file[0], "--data", "synthetic:32:32");
    cr_expect(rc == 0 && !*err, "%s", err);
    rc = ASK(cmd_embed, "embed", "b", "--runs", lab.dir, "-o", file[0], "--data", "synthetic:32");
    cr_expect(rc == 1 && strstr(err, "synthetic:32 has images of 1 channel"), "%s", err);
    done();
}

Test(tools, embed_refuses)
{
    lab_open(&lab);
    cr_expect(ASK(cmd_embed, "embed", "a", "--runs", lab.dir) == 2 && strstr(err, "-o"), "%s", err);
    cr_expect(ASK(cmd_embed, "embed", "a", "--runs", lab.dir, "-o", "x.npy") == 1, "%s", err);
    cr_expect(ASK(cmd_embed, "embed", NPY "f32-c.npy", "-o", "x.npy") == 1 && lines(err) == 1, "%s",
              err);
    cr_expect(ASK(cmd_embed, "embed", "a", "--split", "both", "-o", "x.npy") == 2, "%s", err);
    cr_expect(access("x.npy", F_OK) < 0 && access("x.npy.part", F_OK) < 0);
    done();
}

// ---------------------------------------------------------------- probe

static void check_score(const json_t *root, const char *name)
{
    const json_t *o = json_object_get(root, name);
    double top1 = number(o, "top1"), lo = number(o, "lo"), hi = number(o, "hi"),
           top5 = number(o, "top5");
    cr_expect(0 <= lo && lo <= top1 && top1 <= hi && hi <= 1 && hi - lo > 0.05, "%s", name);
    cr_expect(top5 >= top1 && top5 <= 1, "%s", name);
}

Test(tools, probe_of_a_run)
{
    char checkpoint[128];
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "8", "--name", "a") == 0, "%s", lab_text(lab.out));
    int rc = ASK(cmd_probe, "probe", "a", "--runs", lab.dir, "--json", "--data", "synthetic:640");
    cr_assert(rc == 0 && lines(out) == 1, "%s%s", out, err);
    json_t *o = answer(out);
    cr_expect(number(o, "n_train") == 640 && number(o, "n_test") == 80 && number(o, "d") == 32 &&
                  number(o, "step") == 8,
              "%s", out);
    check_score(o, "linear");
    check_score(o, "fast");
    check_score(o, "knn");
    check_score(o, "knn_plain");
    // Chance is 0.1; of 80 images that is 0.2 at most in all but one of a thousand.
    cr_expect(number(json_object_get(o, "linear"), "top1") > 0.2, "%s", out);
    json_decref(o);
    rc = ASK(cmd_probe, "probe", "a", "--runs", lab.dir, "--json", "--data", "synthetic:640",
             "--images", "200");
    cr_assert(rc == 0, "%s", err);
    o = answer(out);
    cr_expect(number(o, "n_train") == 200 && number(o, "n_test") == 80, "%s", out);
    check_score(o, "linear");
    json_decref(o);
    cr_expect(ASK(cmd_probe, "probe", "a", "--images", "0") == 2 &&
                  strstr(err, "--images '0': expected all or"),
              "%s", err);
    snprintf(checkpoint, sizeof checkpoint, "%s/a/ckpt-8.safetensors", lab.dir);
    // What is kept is the run's own, of its end.
    struct probe_kept kept;
    struct error e = {""};
    char dir[128];
    snprintf(dir, sizeof dir, "%s/a", lab.dir);
    cr_assert(
        ASK(cmd_probe, "probe", "a", "--runs", lab.dir, "--keep", "--data", "synthetic:640") == 2 &&
            ASK(cmd_probe, "probe", checkpoint, "--keep") == 2,
        "%s", err);
    cr_assert_eq(probe_file_read(dir, &kept, &e), 1);
    rc = ASK(cmd_probe, "probe", "a", "--runs", lab.dir, "--keep", "--json");
    cr_assert(rc == 0 && probe_file_read(dir, &kept, &e) == 0, "%s%s", err, e.text);
    o = answer(out);
    cr_expect(kept.step == 8 && kept.n_train == 128 && kept.n_test == 16);
    cr_expect_float_eq((double)kept.correct / 16, number(json_object_get(o, "linear"), "top1"),
                       1e-9);
    json_decref(o);
    rc = ASK(cmd_probe, "probe", checkpoint);
    cr_assert(rc == 0 && strstr(out, "linear probe") && strstr(out, "top-5") &&
                  strstr(out, "95 % interval"),
              "%s%s", out, err);
    cr_expect(ASK(cmd_probe, "probe", "b", "--runs", lab.dir) == 1 && lines(err) == 1, "%s", err);
    done();
}

static off_t size_of(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 ? st.st_size : -1;
}

// What is no plain new file is written as it is, followed, or refused; nothing that is read is
// written over.
Test(tools, embed_writes_over_nothing_else)
{
    static const char *const inputs[] = {"a/ckpt-2.safetensors", "a/run.jsonl.zst"};
    char file[128], target[128], head[6];
    struct stat st;
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "2", "--name", "a") == 0, "%s", lab_text(lab.out));
    snprintf(file, sizeof file, "%s/pipe", lab.dir);
    cr_assert(mkfifo(file, 0600) == 0);
    int fd = open(file, O_RDWR | O_NONBLOCK);
    int rc = ASK(cmd_embed, "embed", "a", "--runs", lab.dir, "-o", file);
    cr_assert(rc == 0 && strstr(err, "labels are left out"), "%s", err);
    cr_assert(read(fd, head, sizeof head) == 6 && memcmp(head, NPY_MAGIC, 6) == 0);
    cr_assert(lstat(file, &st) == 0 && S_ISFIFO(st.st_mode));
    cr_assert(!lab_exists(&lab, "pipe.labels.npy"));
    close(fd);
    rc = ASK(cmd_embed, "embed", "a", "--runs", lab.dir, "-o", "-");
    cr_assert(rc == 0 && memcmp(out, NPY_MAGIC, 6) == 0 && access("-", F_OK) < 0, "%s", err);
    snprintf(target, sizeof target, "%s/real", lab.dir);
    snprintf(file, sizeof file, "%s/link.npy", lab.dir);
    cr_assert(symlink("real", file) == 0);
    rc = ASK(cmd_embed, "embed", "a", "--runs", lab.dir, "-o", file);
    cr_assert(rc == 0 && lstat(file, &st) == 0 && S_ISLNK(st.st_mode), "%s", err);
    cr_assert(size_of(target) > 128 && lab_exists(&lab, "link.labels.npy"));
    for (int i = 0; i < 2; i++) {
        snprintf(file, sizeof file, "%s/%s", lab.dir, inputs[i]);
        off_t before = size_of(file);
        rc = ASK(cmd_embed, "embed", "a", "--runs", lab.dir, "-o", file);
        cr_assert(rc == 1 && strstr(err, "needs another name"), "%s", err);
        cr_assert_eq(size_of(file), before);
        rc = ASK(cmd_fit, "fit", "a", "--runs", lab.dir, "-o", file);
        cr_assert(rc == 1 && strstr(err, "needs another name"), "%s", err);
        cr_assert_eq(size_of(file), before);
    }
    struct rlimit few = {4096, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert(setrlimit(RLIMIT_FSIZE, &few) == 0);
    snprintf(file, sizeof file, "%s/x.npy", lab.dir);
    rc = ASK(cmd_embed, "embed", "a", "--runs", lab.dir, "--split", "train", "-o", file);
    cr_assert(rc == 1 && strstr(err, "File too large") && size_of(file) < 0, "%s", err);
    cr_assert(!lab_exists(&lab, "x.npy.part") && !lab_exists(&lab, "x.labels.npy"));
    done();
}

// Whatever ssltop keeps of a run is no place for an output of it, or of another.
Test(tools, outputs_are_no_files_of_runs)
{
    static const char *const kept[] = {"config.ini",   "lock",       "control",
                                       "trainer.log",  "probe.json", "ckpt-1.safetensors",
                                       "run.jsonl.zst"};
    char file[128], link[128], points[96];
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "1", "--name", "a") == 0, "%s", lab_text(lab.out));
    cr_assert(RUN(&lab, TINY, "--steps", "1", "--name", "b") == 0, "%s", lab_text(lab.out));
    snprintf(link, sizeof link, "%s/link", lab.dir);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        snprintf(file, sizeof file, "%s/b/%s", lab.dir, kept[i]);
        off_t before = size_of(file);
        unlink(link);
        cr_assert(symlink(file, link) == 0);
        const char *out_name = before >= 0 && i % 2 ? link : file;
        int rc = ASK(cmd_embed, "embed", "a", "--runs", lab.dir, "-o", out_name);
        cr_expect(rc == 1 && strstr(err, "belongs to a run"), "%s: %s", kept[i], err);
        rc = ASK(cmd_export, "export", "a", "--runs", lab.dir, "-o", out_name);
        cr_expect(rc == 1 && strstr(err, "belongs to a run"), "%s: %s", kept[i], err);
        rc = ASK(cmd_fit, "fit", "a", "--runs", lab.dir, "-o", out_name);
        cr_expect(rc == 1 && strstr(err, "belongs to a run"), "%s: %s", kept[i], err);
        rc = ASK(cmd_fit, "fit", "a", "--runs", lab.dir, "-o", "c", "--points", out_name);
        cr_expect(rc == 1 && strstr(err, "belongs to a run"), "%s: %s", kept[i], err);
        rc = ASK(cmd_pack, "pack", "images:none", "-o", out_name);
        cr_expect(rc == 1 && strstr(err, "belongs to a run"), "%s: %s", kept[i], err);
        cr_expect_eq(size_of(file), before, "%s", kept[i]);
    }
    snprintf(file, sizeof file, "%s/b/features.npy", lab.dir);
    cr_expect(ASK(cmd_embed, "embed", "a", "--runs", lab.dir, "-o", file) == 0, "%s", err);
    // Two outputs are no one file, though neither is there.
    snprintf(points, sizeof points, "%s/p", lab.dir);
    snprintf(file, sizeof file, "%s/./p", lab.dir);
    int rc = ASK(cmd_fit, "fit", "a", "--runs", lab.dir, "-o", file, "--points", points);
    cr_expect(rc == 1 && strstr(err, "are one file"), "%s", err);
    snprintf(file, sizeof file, "%s/f.npy", lab.dir);
    snprintf(link, sizeof link, "%s/f.labels.npy", lab.dir);
    cr_assert(symlink("f.npy", link) == 0);
    rc = ASK(cmd_embed, "embed", "a", "--runs", lab.dir, "-o", file);
    cr_expect(rc == 1 && strstr(err, "are one file") && size_of(file) < 0, "%s", err);
    done();
}

// Neither has its name before both are written.
Test(tools, embed_leaves_no_features_without_labels)
{
    char file[128], labels[128];
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "1", "--name", "a") == 0, "%s", lab_text(lab.out));
    snprintf(file, sizeof file, "%s/x.npy", lab.dir);
    snprintf(labels, sizeof labels, "%s/x.labels.npy", lab.dir);
    cr_assert_eq(symlink("/dev/full", labels), 0);
    int rc = ASK(cmd_embed, "embed", "a", "--runs", lab.dir, "-o", file);
    cr_assert(rc == 1 && strstr(err, "/dev/full: No space left") && size_of(file) < 0, "%s", err);
    done();
}

// Labels lie beside the features that they are of, and beside no others.
Test(tools, embed_leaves_no_labels_of_other_images)
{
    char dir[64], data[96], file[128];
    lab_open(&lab);
    imageset_make(dir, 6);
    snprintf(data, sizeof data, "%s/val", dir);
    scratch_remove(data);
    cr_assert(mkdir(data, 0700) == 0);
    for (int i = 0; i < 18; i++) {
        snprintf(data, sizeof data, "%s/val/%d.jpg", dir, i);
        picture_jpeg(data, 40, 40, i);
    }
    snprintf(data, sizeof data, "images:%s", dir);
    cr_assert(RUN(&lab, "--data", data, "--image-size", "32", "--width", "4", "--batch", "8",
                  "--threads", "1", "--steps", "1", "--name", "a") == 0,
              "%s", lab_text(lab.out));
    snprintf(file, sizeof file, "%s/f.npy", lab.dir);
    int rc = ASK(cmd_embed, "embed", "a", "--runs", lab.dir, "--split", "train", "-o", file);
    cr_assert(rc == 0 && lab_exists(&lab, "f.labels.npy"), "%s", err);
    rc = ASK(cmd_embed, "embed", "a", "--runs", lab.dir, "-o", file);
    cr_assert(rc == 0 && strstr(err, "f.labels.npy of an earlier output is removed"), "%s", err);
    cr_assert(!lab_exists(&lab, "f.labels.npy"));
    // What is no array of ours is none of our business.
    snprintf(file, sizeof file, "%s/f.labels.npy", lab.dir);
    picture_write(file, (const uint8_t *)"notes", 5);
    snprintf(file, sizeof file, "%s/f.npy", lab.dir);
    rc = ASK(cmd_embed, "embed", "a", "--runs", lab.dir, "-o", file);
    cr_assert(rc == 0 && !strstr(err, "removed") && lab_exists(&lab, "f.labels.npy"), "%s", err);
    // Nor is an image an output.
    snprintf(file, sizeof file, "%s/val/3.jpg", dir);
    off_t before = size_of(file);
    rc = ASK(cmd_embed, "embed", "a", "--runs", lab.dir, "-o", file);
    cr_assert(rc == 1 && strstr(err, "lies in the folder of the data"), "%s", err);
    cr_assert_eq(size_of(file), before);
    scratch_remove(dir);
    done();
}

// ---------------------------------------------------------------- fit

Test(tools, fit_needs_runs)
{
    char file[128];
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "8", "--name", "a") == 0, "%s", lab_text(lab.out));
    snprintf(file, sizeof file, "%s/c.json", lab.dir);
    int rc = ASK(cmd_fit, "fit", "a", "--runs", lab.dir, "-o", file);
    cr_expect(rc == 1 && strstr(err, "at least 8") && access(file, F_OK) < 0, "%s", err);
    cr_expect(ASK(cmd_fit, "fit", "a", "--runs", lab.dir) == 2 && strstr(err, "-o"), "%s", err);
    done();
}
