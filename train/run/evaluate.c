// The images of the exact spectrum are spread evenly over the arrival order, so that every chunk of
// a continual run has its share. Neither they nor those of the probe ever change, so that two
// evaluations can be compared; an image that serves both goes through the network once.
#include "train/run/evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "data/sets/dataset.h"
#include "metrics/science/lidar.h"
#include "metrics/science/manifold.h"
#include "metrics/science/probe.h"
#include "train/ranks/team.h"

// ---------------------------------------------------------------- which images

// Training images: of those behind the spectrum first, then others, which are appended to v->index.
static void choose_train(struct evaluation *v, struct dataset_balance *b, const int64_t *order,
                         int64_t all, unsigned char *seen)
{
    for (int64_t i = 0; i < v->n; i++) {
        seen[v->index[i]] = 1;
        if (dataset_balance_take(b, v->index[i]))
            v->row[v->n_train++] = i;
    }
    for (int64_t i = 0; i < all; i++) {
        if (seen[order[i]] || !dataset_balance_take(b, order[i]))
            continue;
        v->row[v->n_train++] = v->n_all;
        v->index[v->n_all++] = order[i];
    }
    for (int64_t i = 0; i < v->n_train; i++)
        // NOLINTNEXTLINE(clang-analyzer-core.uninitialized.ArraySubscript): n_train were written
        v->train_label[i] = b->label[v->index[v->row[i]]];
}

static void choose_test(struct evaluation *v, struct dataset_balance *b, const int64_t *order,
                        int64_t all)
{
    for (int64_t i = 0; i < all; i++) {
        if (!dataset_balance_take(b, order[i]))
            continue;
        v->test_label[v->n_test] = b->label[order[i]];
        v->test_index[v->n_test++] = order[i];
    }
}

static int choose(struct evaluation *v, const struct setup *s, int64_t train, int64_t test,
                  struct error *e)
{
    const struct dataset *data = &s->data;
    const struct dataset_split *a = &data->split[SPLIT_TRAIN], *b = &data->split[SPLIT_TEST];
    int64_t *order[SPLIT_COUNT] = {dataset_order(a->n, s->o.seed, SPLIT_TRAIN),
                                   dataset_order(b->n, s->o.seed, SPLIT_TEST)};
    unsigned char *seen = calloc((size_t)a->n, 1);
    struct dataset_balance balance = {a->labels, calloc((size_t)data->classes, sizeof(int64_t))};
    int ok = order[SPLIT_TRAIN] && order[SPLIT_TEST] && seen && balance.room;
    if (ok) {
        dataset_balance_share(&balance, train, data->classes);
        choose_train(v, &balance, order[SPLIT_TRAIN], a->n, seen);
        balance.label = b->labels;
        dataset_balance_share(&balance, test, data->classes);
        choose_test(v, &balance, order[SPLIT_TEST], b->n);
    }
    free(order[SPLIT_TRAIN]);
    free(order[SPLIT_TEST]);
    free(seen);
    free(balance.room);
    return ok ? 0 : error_memory(e, "the images of a probe");
}

// ---------------------------------------------------------------- the room for them

static int probe_init(struct evaluation *v, const struct setup *s, struct error *e)
{
    const struct dataset *data = &s->data;
    const struct dataset_split *a = &data->split[SPLIT_TRAIN], *b = &data->split[SPLIT_TEST];
    int64_t train = s->o.probe_images, test = train * 2 / 5;
    if (strcmp(s->o.probe, "off") == 0 || data->classes < 2 || !a->labels || !b->labels || b->n < 1)
        return 0;
    train = train < a->n ? train : a->n;
    test = test < 1 ? 1 : test < b->n ? test : b->n;
    size_t n = (size_t)train, m = (size_t)test, d = (size_t)s->d;
    v->row = memory_take(&v->memory, n, sizeof *v->row);
    v->test_index = memory_take(&v->memory, m, sizeof *v->test_index);
    v->train_x = memory_take(&v->memory, n * d, sizeof *v->train_x);
    v->test_x = memory_take(&v->memory, m * d, sizeof *v->test_x);
    v->train_label = memory_take(&v->memory, n, sizeof *v->train_label);
    v->test_label = memory_take(&v->memory, m, sizeof *v->test_label);
    if (v->memory.failed)
        return error_memory(e, "a probe");
    if (choose(v, s, train, test, e) < 0)
        return -1;
    return images_of(s->device, data, SPLIT_TEST, &v->test, e);
}

// As many images as a probe has, in the order of arrival, where no probe has them.
static int more_to_ask(struct evaluation *v, const struct setup *s, struct error *e)
{
    int64_t all = s->data.split[SPLIT_TRAIN].n, most = s->o.probe_images;
    most = most < s->n ? most : s->n;
    if (!setup_asks(s) || v->n_all >= most)
        return 0;
    unsigned char *seen = calloc((size_t)all, 1);
    if (!seen)
        return error_memory(e, "the images of an evaluation");
    for (int64_t i = 0; i < v->n_all; i++)
        seen[v->index[i]] = 1;
    for (int64_t i = 0; i < s->n && v->n_all < most; i++)
        if (!seen[s->order[i]])
            v->index[v->n_all++] = s->order[i];
    free(seen);
    return 0;
}

static void forget_views(struct evaluation *v)
{
    kept_views_free(&v->views);
    free(v->view_index);
    free(v->view_x);
    v->view_index = NULL;
    v->view_x = NULL;
}

// Views of images that are spread over those of the spectrum as these are over all. They are made
// at the first evaluation: until then nobody needs to look at an image for them.
static int views_init_of(struct evaluation *v, const struct setup *s, struct error *e)
{
    int64_t n = EVALUATION_PICTURES * (int64_t)s->d;
    n = n < EVALUATION_MOST ? n : EVALUATION_MOST;
    n = n < v->n ? n : v->n;
    int64_t *some = malloc((size_t)n * sizeof *some);
    for (int64_t i = 0; some && i < n; i++)
        some[i] = v->index[i * v->n / n];
    int rc = some ? kept_views_new(s->device, &s->data, s->recipe, s->o.seed, some, n,
                                   EVALUATION_VIEWS, s->o.threads, &v->views, e)
                  : error_memory(e, "views of %lld images", (long long)n);
    free(some);
    if (rc < 0 || !v->views.n)
        return rc;
    int64_t all = v->views.n * v->views.each;
    v->view_index = malloc((size_t)all * sizeof *v->view_index);
    v->view_x = malloc((size_t)all * (size_t)s->d * sizeof *v->view_x);
    if (!v->view_index || !v->view_x)
        return error_memory(e, "features of %lld views", (long long)all);
    for (int64_t i = 0; i < all; i++)
        v->view_index[i] = i;
    return 0;
}

// By all ranks, or by none.
static int need_views(struct evaluation *v, const struct setup *s, struct error *e)
{
    if (v->has_views)
        return 0;
    int rc = views_init_of(v, s, e);
    double bad = rc < 0;
    if (s->ranks && ranks_add(s->ranks, &bad, 1, e) < 0)
        return -1;
    if (rc == 0 && bad > 0)
        rc = error_set(e, "another rank could not make the views of an evaluation");
    v->has_views = rc == 0;
    if (rc < 0)
        forget_views(v);
    return rc;
}

static int init(struct evaluation *v, const struct setup *s, struct error *e)
{
    int64_t all = s->data.split[SPLIT_TRAIN].n, probed = s->o.probe_images;
    size_t d = (size_t)s->d, more = (size_t)(probed < all ? probed : all);
    v->n = v->n_all = s->o.eval_images;
    v->index = memory_take(&v->memory, (size_t)v->n + more, sizeof *v->index);
    v->sigma = memory_take(&v->memory, d, sizeof *v->sigma);
    v->raw = memory_take(&v->memory, d, sizeof *v->raw);
    if (v->memory.failed)
        return error_memory(e, "evaluations");
    for (int64_t i = 0; i < v->n; i++)
        v->index[i] = s->order[(int64_t)((__int128)i * s->n / v->n)];
    if (probe_init(v, s, e) < 0 || more_to_ask(v, s, e) < 0 ||
        moments_init(&v->moments, s->d, e) < 0)
        return -1;
    if (s->surrogates.s.targets &&
        surrogates_questions(&s->surrogates, SPLIT_TRAIN, v->index, v->n_all, &v->questions, e) < 0)
        return -1;
    v->features = memory_take(&v->memory, (size_t)v->n_all * d, sizeof *v->features);
    return v->features ? 0 : error_memory(e, "the features of an evaluation");
}

int evaluation_init(struct evaluation *v, const struct setup *s, struct error *e)
{
    memset(v, 0, sizeof *v);
    int rc = init(v, s, e);
    if (rc < 0)
        evaluation_free(v);
    return rc;
}

void evaluation_free(struct evaluation *v)
{
    images_free(v->test);
    memory_free(&v->memory);
    moments_free(&v->moments);
    questions_free(&v->questions);
    forget_views(v);
    memset(v, 0, sizeof *v);
}

// ---------------------------------------------------------------- measuring

// Features of all images; of ranks other than 0 nobody wants them.
static int pass(struct evaluation *v, struct setup *s, struct error *e)
{
    int wanted = !s->ranks || s->ranks->rank == 0;
    int rc = need_views(v, s, e);
    int64_t views = v->views.n * v->views.each;
    if (rc == 0)
        rc = views ? team_update_bn(s, v->views.images, v->view_index, views, &v->end, e)
                   : team_update_bn(s, s->images, v->index, v->n, &v->end, e);
    if (rc == 0)
        rc = team_statistics(s, e);
    if (rc == 0)
        rc = team_evaluate(s, s->images, v->index, v->n_all, wanted ? v->features : NULL, &v->end,
                           e);
    if (rc == 0 && views)
        rc = team_evaluate(s, v->views.images, v->view_index, views, wanted ? v->view_x : NULL,
                           &v->end, e);
    if (rc == 0 && v->n_train && v->n_test)
        rc = team_evaluate(s, v->test, v->test_index, v->n_test, wanted ? v->test_x : NULL, &v->end,
                           e);
    return rc;
}

static int exact_spectrum(struct evaluation *v, struct setup *s, struct record *eval,
                          struct record *spectrum, struct error *e)
{
    double n = 0;
    moments_reset(&v->moments);
    int rc = moments_add(&v->moments, v->features, v->n, (size_t)s->d, e);
    // A device that computes eigenvalues beside the steps says "not ready" until it is.
    while (rc == 0 && (rc = device_spectrum(s->device, &v->moments, v->sigma, v->raw, &n, e)) == 1)
        rc = 0;
    if (rc < 0)
        return -1;
    struct metric_input in = metric_unknown();
    struct answers told;
    int threads = device_info(s->device)->threads;
    if (questions_ask(&v->questions, v->features, s->d, threads, &told, e) < 0 ||
        manifold_twonn(v->features, v->n, s->d, threads, &in.twonn, e) < 0 ||
        manifold_self_cluster(v->features, v->n, s->d, 0, &in.self_cluster, e) < 0 ||
        manifold_self_cluster(v->features, v->n, s->d, 1, &in.self_cluster_c, e) < 0 ||
        (v->views.n && lidar_measure(v->view_x, v->views.n, v->views.each, s->d, &in.lidar, e) < 0))
        return -1;
    in.sigma = v->sigma;
    in.raw = v->raw;
    in.d = s->d;
    in.n = n;
    in.mean_norm = moments_mean_norm(&v->moments);
    in.pixel_r2 = told.pixel_r2;
    memcpy(in.pseudo, told.pseudo, sizeof in.pseudo);
    v->lambda = told.lambda;
    metric_all(&in, eval->u.eval.metric);
    spectrum->u.spectrum.source = SPECTRUM_EXACT;
    spectrum->u.spectrum.n = n;
    spectrum->u.spectrum.d = s->d;
    spectrum->u.spectrum.sigma = v->sigma;
    return 0;
}

static int probe(struct evaluation *v, struct setup *s, struct record_eval *out, struct error *e)
{
    size_t d = (size_t)s->d;
    int threads = device_info(s->device)->threads;
    struct probe_score ridge, knn;
    struct probe_data p = {
        .d = s->d,
        .classes = s->data.classes,
        .train = {v->n_train, v->train_x, v->train_label},
        .test = {v->n_test, v->test_x, v->test_label},
    };
    for (int64_t i = 0; i < v->n_train; i++)
        memcpy(v->train_x + (size_t)i * d, v->features + (size_t)v->row[i] * d,
               d * sizeof *v->train_x);
    if (probe_ridge(&p, threads, &ridge, NULL, e) < 0 ||
        probe_knn(&p, &probe_knn_weighted, 1, threads, &knn, e) < 0)
        return -1;
    out->probe = (double)ridge.correct / (double)ridge.n;
    out->knn = (double)knn.correct / (double)knn.n;
    out->n_train = v->n_train;
    out->n_test = v->n_test;
    return 0;
}

int evaluation_run(struct evaluation *v, struct setup *s, int64_t step, struct record *eval,
                   struct record *spectrum, struct error *e)
{
    record_init(eval, RECORD_EVAL, step);
    record_init(spectrum, RECORD_SPECTRUM, step);
    eval->u.eval.n_train = v->n;
    int rc = pass(v, s, e);
    if (rc == 0)
        rc = exact_spectrum(v, s, eval, spectrum, e);
    if (rc < 0)
        return rc;
    return v->n_train && v->n_test ? probe(v, s, &eval->u.eval, e) : 0;
}

int evaluation_help(struct evaluation *v, struct setup *s, struct error *e)
{
    return pass(v, s, e);
}
