// Nearest neighbours by cosine: blocks of products with the training rows, and for each test row
// the k best so far in a heap with the worst of them on top. Rows are divided by their lengths, in
// double, before they are multiplied: squares of floats leave the range of floats.
#include <cblas.h>
#include <math.h>
#include <stdlib.h>

#include "metrics/base/memory.h"
#include "metrics/science/blas.h"
#include "metrics/science/probe.h"

enum { TEST_BLOCK = 128, TRAIN_BLOCK = 512 };

const struct probe_rule probe_knn_weighted = {200, 0.1};
const struct probe_rule probe_knn_plain = {20, 0};

struct near {
    float s;
    int64_t i; // training row
};

// Whether a is farther than b; of equals the later row.
static int farther(const struct near *a, const struct near *b)
{
    return a->s < b->s || (a->s == b->s && a->i > b->i);
}

static void sink(struct near *heap, int n, int at)
{
    struct near moved = heap[at];
    for (int child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && farther(&heap[child + 1], &heap[child]))
            child++;
        if (!farther(&heap[child], &moved))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

// Offer one more; *n of at most k are there.
static void offer(struct near *heap, int *n, int k, float s, int64_t i)
{
    struct near new = {s, i};
    if (*n == k) {
        if (!farther(&heap[0], &new))
            return;
        heap[0] = new;
        sink(heap, k, 0);
        return;
    }
    int at = (*n)++;
    for (; at > 0 && farther(&new, &heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = new;
}

static int nearest_first(const void *a, const void *b)
{
    return farther(a, b) ? 1 : -1;
}

// 1 / length of each row, 0 for a row of zeros.
static void inverse_norms(const struct probe_set *s, int d, double *out)
{
    for (int64_t i = 0; i < s->n; i++) {
        const float *row = s->x + (size_t)i * (size_t)d;
        double square = 0;
        for (int j = 0; j < d; j++)
            square += (double)row[j] * row[j];
        out[i] = square > 0 ? 1 / sqrt(square) : 0;
    }
}

// Rows at .. at + n - 1 of a set over their lengths.
static void unit_rows(const struct probe_set *s, const double *scale, int64_t at, int n, int d,
                      float *out)
{
    const float *row = s->x + (size_t)at * (size_t)d;
    for (int i = 0; i < n; i++, row += d, out += d) {
        double by = scale[at + i];
#pragma omp simd
        for (int j = 0; j < d; j++)
            out[j] = (float)(row[j] * by);
    }
}

// One thread's work.
struct search {
    const struct probe_data *p;
    const struct probe_rule *rule;
    int rules, k;
    const double *train_scale, *test_scale;
    float *test, *train; // TEST_BLOCK x d, TRAIN_BLOCK x d: a block of each, of length one
    float *product;      // TEST_BLOCK x TRAIN_BLOCK
    struct near *heap;   // TEST_BLOCK x k
    double *vote, *sum;  // classes: votes, similarity behind them
    struct probe_score *score;
    struct memory memory;
};

static void judge(struct search *s, struct near *near, int n, int label)
{
    int classes = s->p->classes;
    qsort(near, (size_t)n, sizeof *near, nearest_first);
    for (int r = 0; r < s->rules; r++) {
        double temperature = s->rule[r].temperature;
        double most = 0;
        for (int c = 0; c < classes; c++)
            s->vote[c] = s->sum[c] = 0;
        for (int i = 0; i < n && i < s->rule[r].k; i++) {
            int c = s->p->train.label[near[i].i];
            s->vote[c] += temperature > 0 ? exp(near[i].s / temperature) : 1;
            s->sum[c] += 1 + near[i].s; // at most 2 a neighbour, never negative
        }
        // The similarity decides between equal numbers of votes: it counts for less than one.
        for (int c = 0; c < classes; c++)
            most = fmax(most, s->sum[c]);
        if (temperature <= 0 && most > 0)
            for (int c = 0; c < classes; c++)
                s->vote[c] += 0.5 * s->sum[c] / most;
        probe_count(&s->score[r], s->vote, classes, label);
    }
}

static void search_block(struct search *s, int64_t at, int n)
{
    const struct probe_set *train = &s->p->train, *test = &s->p->test;
    int d = s->p->d, have[TEST_BLOCK] = {0};
    unit_rows(test, s->test_scale, at, n, d, s->test);
    for (int64_t from = 0; from < train->n; from += TRAIN_BLOCK) {
        int m = (int)(train->n - from < TRAIN_BLOCK ? train->n - from : TRAIN_BLOCK);
        unit_rows(train, s->train_scale, from, m, d, s->train);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, m, d, 1, s->test, d, s->train, d, 0,
                    s->product, TRAIN_BLOCK);
        for (int i = 0; i < n; i++) {
            const float *row = s->product + (size_t)i * TRAIN_BLOCK;
            for (int j = 0; j < m; j++)
                offer(s->heap + (size_t)i * (size_t)s->k, &have[i], s->k, row[j], from + j);
        }
    }
    for (int i = 0; i < n; i++)
        judge(s, s->heap + (size_t)i * (size_t)s->k, have[i], test->label[at + i]);
}

static int search_init(struct search *s)
{
    size_t d = (size_t)s->p->d, classes = (size_t)s->p->classes;
    s->test = memory_take(&s->memory, TEST_BLOCK * d, sizeof *s->test);
    s->train = memory_take(&s->memory, TRAIN_BLOCK * d, sizeof *s->train);
    s->product = memory_take(&s->memory, TEST_BLOCK * TRAIN_BLOCK, sizeof *s->product);
    s->heap = memory_take(&s->memory, TEST_BLOCK * (size_t)s->k, sizeof *s->heap);
    s->vote = memory_take(&s->memory, classes, sizeof *s->vote);
    s->sum = memory_take(&s->memory, classes, sizeof *s->sum);
    s->score = memory_take(&s->memory, (size_t)s->rules, sizeof *s->score);
    for (int r = 0; s->score && r < s->rules; r++)
        probe_score_init(&s->score[r], s->p->classes);
    return s->memory.failed ? -1 : 0;
}

static int search_all(const struct search *common, int threads, struct probe_score *out)
{
    int64_t n = common->p->test.n, blocks = (n + TEST_BLOCK - 1) / TEST_BLOCK;
    int failed = 0;
#pragma omp parallel num_threads(threads)
    {
        struct search mine = *common;
        int ready = search_init(&mine) == 0;
#pragma omp for schedule(dynamic)
        for (int64_t b = 0; b < blocks; b++) {
            int64_t at = b * TEST_BLOCK;
            if (ready)
                search_block(&mine, at, (int)(n - at < TEST_BLOCK ? n - at : TEST_BLOCK));
        }
#pragma omp critical
        {
            failed |= !ready;
            for (int r = 0; ready && r < mine.rules; r++)
                probe_score_add(&out[r], &mine.score[r]);
        }
        memory_free(&mine.memory);
    }
    return failed ? -1 : 0;
}

int probe_knn(const struct probe_data *p, const struct probe_rule *rule, int rules, int threads,
              struct probe_score *out, struct error *e)
{
    struct search s = {.p = p, .rule = rule, .rules = rules, .k = 1};
    if (probe_check(p, e) < 0)
        return -1;
    for (int r = 0; r < rules; r++) {
        if (rule[r].k < 1)
            return error_set(e, "%d nearest neighbours cannot be", rule[r].k);
        if (rule[r].k > s.k)
            s.k = rule[r].k;
        probe_score_init(&out[r], p->classes);
    }
    if (s.k > p->train.n)
        s.k = (int)p->train.n;
    if (blas_begin(threads, e) < 0)
        return -1;
    double *scale = malloc((size_t)(p->train.n + p->test.n) * sizeof *scale);
    if (!scale)
        return error_memory(e, "nearest neighbours");
    inverse_norms(&p->train, p->d, scale);
    inverse_norms(&p->test, p->d, scale + p->train.n);
    s.train_scale = scale;
    s.test_scale = scale + p->train.n;
    int rc = search_all(&s, threads, out);
    free(scale);
    return rc < 0 ? error_memory(e, "nearest neighbours") : 0;
}
