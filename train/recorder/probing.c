// The memory can't change any more once it is here: sizes and labels are looked at once.
#include "train/recorder/probing.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/cores.h"
#include "metrics/science/manifold.h"
#include "metrics/science/probe.h"
#include "metrics/science/spectrum.h"
#include "train/recorder/intake.h"

enum { CLASSES = 32768, WEIGHTS = 1 << 26, THREADS = 1 };

int probing_init(struct probing *p, struct error *e)
{
    p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return p->fd < 0 ? error_system(e, "no descriptor for evaluations") : 0;
}

static void let_go(struct probing *p)
{
    if (p->memory)
        munmap(p->memory, p->at.bytes);
    p->memory = NULL;
}

void probing_free(struct probing *p)
{
    if (p->is_running)
        pthread_join(p->thread, NULL);
    let_go(p);
    free(p->sigma);
    if (p->fd >= 0)
        close(p->fd);
    memset(p, 0, sizeof *p);
    p->fd = -1;
}

// ---------------------------------------------------------------- the thread

static int exact(struct probing *p, const float *rows, struct error *e)
{
    struct moments m = {0};
    struct spectrum_solver *solver = NULL;
    int d = (int)p->head.d;
    double n = 0, *sigma = realloc(p->sigma, 2 * (size_t)d * sizeof *sigma);
    if (!sigma)
        return error_memory(e, "a spectrum of %d", d);
    p->sigma = sigma;
    int rc = moments_init(&m, d, e);
    if (rc == 0)
        rc = spectrum_solver_new(d, &solver, e);
    if (rc == 0)
        rc = moments_add(&m, rows, p->head.n[0], (size_t)d, e);
    if (rc == 0)
        rc = spectrum_both(solver, &m, sigma, sigma + d, &n, e);
    struct metric_input in = metric_unknown();
    if (rc == 0)
        rc = manifold_twonn(rows, p->head.n[0], d, THREADS, &in.twonn, e);
    if (rc == 0)
        rc = manifold_self_cluster(rows, p->head.n[0], d, 0, &in.self_cluster, e);
    if (rc == 0)
        rc = manifold_self_cluster(rows, p->head.n[0], d, 1, &in.self_cluster_c, e);
    if (rc == 0) {
        in.sigma = sigma;
        in.raw = sigma + d;
        in.d = d;
        in.n = n;
        in.mean_norm = moments_mean_norm(&m);
        metric_all(&in, p->eval.u.eval.metric);
        p->spectrum.u.spectrum.source = SPECTRUM_EXACT;
        p->spectrum.u.spectrum.n = n;
        p->spectrum.u.spectrum.d = d;
        p->spectrum.u.spectrum.sigma = sigma; // ours
    }
    spectrum_solver_free(solver);
    moments_free(&m);
    return rc;
}

static int score(struct probing *p, float *const rows[2], struct error *e)
{
    const char *memory = p->memory;
    struct probe_data data = {.d = (int)p->head.d, .classes = 0};
    struct probe_set *set[2] = {&data.train, &data.test};
    struct probe_score ridge, knn;
    for (int k = 0; k < 2; k++) {
        const int32_t *label = (const int32_t *)(const void *)(memory + p->at.labels[k]);
        *set[k] = (struct probe_set){p->head.n[k], rows[k], label};
        for (int64_t i = 0; i < p->head.n[k]; i++) {
            if (label[i] < 0 || label[i] >= CLASSES)
                return error_set(e, "a label of %d", label[i]);
            data.classes = label[i] >= data.classes ? label[i] + 1 : data.classes;
        }
    }
    if (data.classes < 2 || data.classes > WEIGHTS / data.d)
        return error_set(e, "%d classes of features of %d numbers", data.classes, data.d);
    if (probe_check(&data, e) < 0 || probe_ridge(&data, THREADS, &ridge, NULL, e) < 0 ||
        probe_knn(&data, &probe_knn_weighted, 1, THREADS, &knn, e) < 0)
        return -1;
    struct record_eval *out = &p->eval.u.eval;
    out->probe = (double)ridge.correct / (double)ridge.n;
    out->knn = (double)knn.correct / (double)knn.n;
    out->n_train = p->head.n[0];
    out->n_test = p->head.n[1];
    return 0;
}

static void *work(void *of)
{
    struct probing *p = of;
    float *rows[2] = {NULL, NULL};
    if (p->stands_back)
        cores_stand_back();
    int rc = 0;
    for (int k = 0; k < 2 && rc == 0; k++) {
        size_t n = (size_t)p->head.n[k] * (size_t)p->head.d;
        struct intake_rows x = {(const char *)p->memory + p->at.rows[k],
                                (enum link_type)p->head.type, p->head.n[k], (int)p->head.d};
        rows[k] = malloc(n * sizeof **rows);
        rc = rows[k] ? 0 : error_memory(&p->why, "the features of an evaluation");
        if (rc == 0)
            intake_convert(&x, 0, n, rows[k]);
    }
    if (rc == 0)
        rc = exact(p, rows[0], &p->why);
    if (rc == 0)
        score(p, rows, &p->why);
    free(rows[0]);
    free(rows[1]);
    uint64_t one = 1;
    if (write(p->fd, &one, sizeof one) < 0)
        error_set(&p->why, "an evaluation could not say that it is done");
    return NULL;
}

// ---------------------------------------------------------------- beginning and end

static int look_at(struct probing *p, int fd, struct error *e)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS), sealed = F_SEAL_SHRINK | F_SEAL_WRITE;
    if (seals < 0 || (seals & sealed) != sealed || fstat(fd, &st) < 0)
        return error_set(e, "features for an evaluation that are not sealed");
    if (pread(fd, &p->head, sizeof p->head, 0) != sizeof p->head || p->head.magic != LINK_MAGIC ||
        !link_probe_place(&p->head, &p->at) || p->head.d > INTAKE_D ||
        (uint64_t)st.st_size != p->at.bytes)
        return error_set(e, "features for an evaluation that make no sense");
    void *memory = mmap(NULL, p->at.bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (memory == MAP_FAILED)
        return error_system(e, "features for an evaluation can't be mapped");
    p->memory = memory;
    return 0;
}

int probing_begin(struct probing *p, int memory, int64_t step, double auc_live, struct error *e)
{
    if (p->is_running)
        return error_set(e, "the last evaluation is still at work");
    if (look_at(p, memory, e) < 0)
        return -1;
    record_init(&p->eval, RECORD_EVAL, step);
    record_init(&p->spectrum, RECORD_SPECTRUM, step);
    p->eval.u.eval.auc_live = auc_live;
    *p->why.text = '\0';
    int rc = pthread_create(&p->thread, NULL, work, p);
    if (rc == 0) {
        p->is_running = 1;
        return 0;
    }
    let_go(p);
    return error_number(e, rc, "no thread for an evaluation");
}

int probing_end(struct probing *p, int wait, struct error *e)
{
    uint64_t done;
    if (!p->is_running || (!wait && read(p->fd, &done, sizeof done) < 0))
        return 0;
    pthread_join(p->thread, NULL);
    p->is_running = 0;
    let_go(p);
    if (wait && read(p->fd, &done, sizeof done) < 0)
        return error_set(e, "an evaluation did not say that it is done");
    return *p->why.text ? error_pass(e, &p->why) : 1;
}
