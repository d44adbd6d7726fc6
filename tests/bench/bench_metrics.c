// Times `ssltop metrics` on a large file beside the least that any program would have to do: read
// it, convert it to double, and multiply it with itself once (dsyrk), block by block on the same
// cores. For tests/bench/bench_metrics.sh. Prints one line of key=value.
//
//   bench_metrics make FILE ROWS COLUMNS   a file of f32 numbers
//   bench_metrics ours|plain FILE THREADS
#include <cblas.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpu/device.h"
#include "metrics/base/clock.h"
#include "metrics/features.h"
#include "tests/kit/measure.h"

enum { BLOCK = 1024 }; // rows: 4 MB of doubles at 512 columns

static void noise(uint64_t *state, float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(*state >> 40) / (float)(1 << 24) - 0.25f;
    }
}

static int make(const char *path, int64_t rows, int columns, struct error *e)
{
    struct npy_writer *w;
    uint64_t state = 1;
    float *x = malloc(BLOCK * (size_t)columns * sizeof *x);
    if (!x)
        return error_set(e, "out of memory");
    int rc = npy_create(path, rows, columns, &w, e);
    for (int64_t at = 0; rc == 0 && at < rows; at += BLOCK) {
        int64_t n = (rows - at < BLOCK ? rows - at : BLOCK) * columns;
        noise(&state, x, n);
        rc = npy_write(w, x, (size_t)n, e);
    }
    if (rc == 0)
        rc = npy_finish(w, e);
    free(x);
    return rc;
}

static int read_all(int fd, char *to, size_t n, off_t at)
{
    for (ssize_t got; n > 0; to += got, at += got, n -= (size_t)got)
        if ((got = pread(fd, to, n, at)) <= 0)
            return -1;
    return 0;
}

// A thread's share of the rows. 0, or -1.
static int plain_share(int fd, const struct npy *a, int me, int threads, double *sum)
{
    size_t d = (size_t)a->d, header = (size_t)(a->data - a->file.data);
    float *x = malloc(BLOCK * d * sizeof *x);
    double *y = malloc(BLOCK * d * sizeof *y), *c = calloc(d * d, sizeof *c);
    int rc = x && y && c ? 0 : -1;
    for (int64_t at = (int64_t)me * BLOCK; rc == 0 && at < a->n; at += (int64_t)threads * BLOCK) {
        size_t n = (size_t)(a->n - at < BLOCK ? a->n - at : BLOCK);
        rc = read_all(fd, (char *)x, n * d * sizeof *x,
                      (off_t)(header + (size_t)at * d * sizeof *x));
        for (size_t i = 0; i < n * d; i++)
            y[i] = x[i];
        cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)d, (int)n, 1, y, (int)d, 1, c,
                    (int)d);
    }
    for (size_t i = 0; rc == 0 && i < d; i++)
        *sum += c[i * d + i];
    free(x);
    free(y);
    free(c);
    return rc;
}

static int plain(const char *path, int threads, struct error *e)
{
    struct npy a;
    double sum = 0, start = clock_seconds();
    int failed = 0, fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || npy_open(path, &a, e) < 0)
        return error_set(e, "%s cannot be opened", path);
    openblas_set_num_threads(1); // the threads are ours
#pragma omp parallel for num_threads(threads) schedule(static, 1) reduction(+ : sum, failed)
    for (int t = 0; t < threads; t++)
        failed += plain_share(fd, &a, t, threads, &sum) < 0;
    printf("who=plain seconds=%.4f sum=%g\n", clock_seconds() - start, sum);
    npy_close(&a);
    close(fd);
    return failed ? error_set(e, "%s cannot be read", path) : 0;
}

static int ours(const char *path, int threads, struct error *e)
{
    struct features_report r;
    double start = clock_seconds();
    if (features_measure(path, 0, threads, &r, e) < 0)
        return -1;
    // What is mapped and still resident counts too: an upper bound of what is beyond the mapping.
    printf("who=ours seconds=%.4f peak_kb=%ld auc=%.6f\n", clock_seconds() - start, peak_kb(),
           r.metric[METRIC_AUC]);
    features_report_free(&r);
    return 0;
}

int main(int argc, char **argv)
{
    struct error e = {""};
    int rc = 2;
    device_prepare(argv);
    if (argc == 5 && strcmp(argv[1], "make") == 0)
        rc = make(argv[2], strtoll(argv[3], NULL, 10), atoi(argv[4]), &e);
    else if (argc == 4 && strcmp(argv[1], "ours") == 0)
        rc = ours(argv[2], atoi(argv[3]), &e);
    else if (argc == 4 && strcmp(argv[1], "plain") == 0)
        rc = plain(argv[2], atoi(argv[3]), &e);
    if (rc)
        fprintf(stderr, "%s\n",
                rc < 0 ? e.text : "usage: see the top of tests/bench/bench_metrics.c");
    return rc < 0 ? 1 : rc;
}
