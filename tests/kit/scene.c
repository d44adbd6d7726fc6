// Records made up by arithmetic on integers and ratios, so that every machine gets the same screen.
#include "tests/kit/scene.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/draw/screen.h"
#include "tui/draw/views.h"

enum { T = 4680, D = 128, EPOCH = 468 };

void scene_init(struct test_scene *t)
{
    *t = (struct test_scene){0};
    cr_assert_eq(history_init(&t->h, NULL), 0);
    view_init(&t->v);
    t->v.link.rss = 0.9e9;
    t->v.link.state = LINK_LIVE;
    t->v.link.can_steer = 1;
    t->v.now = t->v.link.heard = 1000;
    snprintf(t->v.name, sizeof t->v.name, "study-1");
    t->s = (struct scene){.h = &t->h, .schedule = &t->schedule, .v = &t->v};
}

void scene_free(struct test_scene *t)
{
    history_free(&t->h);
    schedule_view_free(&t->schedule);
}

static void write_line(struct runlog_writer *log, const struct record *r)
{
    char *line;
    size_t n;
    cr_assert_eq(record_format(r, &line, &n, NULL), 0);
    cr_assert_eq(runlog_write(log, line, n, NULL), 0);
    free(line);
    if (r->type != RECORD_STEP || r->step % 10 == 9)
        cr_assert_eq(r->type == RECORD_SPECTRUM ? 0 : runlog_flush(log, 0, NULL), 0);
}

void scene_add(struct test_scene *t, const struct record *r)
{
    if (t->log)
        write_line(t->log, r);
    cr_assert_eq(history_add(&t->h, r, NULL), 0);
    schedule_view_add(&t->schedule, &t->h, r);
}

void scene_event(struct test_scene *t, int64_t step, const char *what, const char *by,
                 const char *from, const char *to, const char *text)
{
    struct record r;
    record_init(&r, RECORD_EVENT, step);
    snprintf(r.u.event.what, sizeof r.u.event.what, "%s", what);
    snprintf(r.u.event.by, sizeof r.u.event.by, "%s", by);
    snprintf(r.u.event.from, sizeof r.u.event.from, "%s", from);
    snprintf(r.u.event.to, sizeof r.u.event.to, "%s", to);
    snprintf(r.u.event.text, sizeof r.u.event.text, "%s", text);
    scene_add(t, &r);
}

// -0.5 .. 0.5, the same everywhere.
static double noise(int64_t i)
{
    uint32_t x = (uint32_t)i * 2654435761u;
    x ^= x >> 15;
    x *= 2246822519u;
    return (double)(x >> 8 & 0xFFFF) / 65536 - 0.5;
}

static void add_run(struct test_scene *t)
{
    struct record r;
    record_init(&r, RECORD_RUN, -1);
    struct record_run *u = &r.u.run;
    u->version = 1;
    snprintf(u->name, sizeof u->name, "study-1");
    snprintf(u->created, sizeof u->created, "2025-01-02T03:04:05Z");
    u->config = strdup("{\"schedule\":\"hybrid\",\"batch\":\"128\",\"chunks\":\"20\",\"method\":"
                       "\"simsiam\",\"seed\":\"1\"}");
    cr_assert_not_null(u->config);
    snprintf(u->dataset.name, sizeof u->dataset.name, "fashion-mnist");
    u->dataset.n = 60000;
    u->dataset.n_test = 10000;
    u->dataset.classes = 10;
    u->dataset.channels = 1;
    u->dataset.height = u->dataset.width = 28;
    snprintf(u->model.arch, sizeof u->model.arch, "resnet18");
    u->model.width = 16;
    u->model.d = D;
    u->model.params = 912345;
    snprintf(u->device.name, sizeof u->device.name, "cpu");
    snprintf(u->device.detail, sizeof u->device.detail, "oneDNN 2.6.3, avx512_bf16");
    u->device.threads = 2;
    snprintf(u->device.precision, sizeof u->device.precision, "bf16");
    u->steps = T;
    scene_add(t, &r);
    record_free(&r);
}

// 1 early, 0 late.
static double early(int64_t step)
{
    return 300.0 / (300.0 + (double)step);
}

static void add_spectrum(struct test_scene *t, int64_t step, enum spectrum_source source)
{
    struct record r;
    record_init(&r, RECORD_SPECTRUM, step);
    r.u.spectrum.source = source;
    int d = source == SPECTRUM_Z ? 4 * D : D;
    r.u.spectrum.n = source == SPECTRUM_LIVE ? 2954 : source == SPECTRUM_EXACT ? 2048 : 5909;
    r.u.spectrum.d = d;
    r.u.spectrum.sigma = malloc((size_t)d * sizeof(double));
    cr_assert_not_null(r.u.spectrum.sigma);
    double bend = 3 + 30 * (1 - early(step)) + (source == SPECTRUM_EXACT ? 4 : 0);
    for (int i = 0; i < d; i++) { // (bend / (bend + i))^3
        double q = bend / (bend + i);
        r.u.spectrum.sigma[i] = 40 * q * q * q;
    }
    scene_add(t, &r);
    record_free(&r);
}

static void set_metrics(double *m, int64_t step)
{
    double e = early(step);
    m[METRIC_AUC] = 0.72 + 0.24 * e + 0.01 * noise(step);
    m[METRIC_RANKME] = 12 + 50 * (1 - e) + noise(step + 1);
    m[METRIC_ALPHA] = 1.2 + e;
    m[METRIC_PR] = 3 + 14 * (1 - e);
    m[METRIC_STABLE_RANK] = 2 + 5 * (1 - e);
    m[METRIC_NUM_RANK] = 128;
    m[METRIC_COND] = 1200 * e;
    m[METRIC_SPREAD] = 0.25 + 0.3 * (1 - e);
}

static void add_eval(struct test_scene *t, int64_t step)
{
    struct record r;
    add_spectrum(t, step, SPECTRUM_EXACT);
    record_init(&r, RECORD_EVAL, step);
    set_metrics(r.u.eval.metric, step);
    r.u.eval.metric[METRIC_AUC] += 0.029;
    r.u.eval.n_train = 2048;
    if (t->probes) {
        r.u.eval.probe = 0.81 - 0.3 * early(step);
        r.u.eval.knn = r.u.eval.probe - 0.02;
        r.u.eval.n_test = 2000;
    }
    scene_add(t, &r);
}

static void add_step(struct test_scene *t, int64_t step)
{
    struct record r;
    record_init(&r, RECORD_STEP, step);
    struct record_step *u = &r.u.step;
    int continual = step < 860 || step >= 1100;
    u->mode = continual ? MODE_CONTINUAL : MODE_MULTI_EPOCH;
    u->chunk = continual ? (int)(step * 20 / T) : -1;
    u->t = 0.1 * (double)step;
    u->lr = 0.5 * (1 - (double)step / T);
    u->lr_pred = 0.5;
    set_metrics(u->metric, step);
    u->metric[METRIC_AUC] += t->auc;
    u->metric[METRIC_LOSS] = -0.9 + 0.85 * early(step) + 0.06 * noise(step + 7);
    u->metric[METRIC_ZSTD] = 0.91 + 0.08 * early(step) + 0.01 * noise(step + 3);
    u->images_s = 1312;
    static const double ms[PHASE_COUNT] = {0.4, 31, 58, 4.2, 3.1, NAN};
    memcpy(u->ms, ms, sizeof ms);
    if (step >= 600 && step < 650) // a device that had no spectrum for these
        u->metric[METRIC_AUC] = NAN;
    if (t->probes) {
        u->forecast = 0.82 - 0.3 * early(step) + 0.005 * noise(step + 11);
        u->forecast_lo = u->forecast - 0.03;
        u->forecast_hi = u->forecast + 0.025;
    }
    if (!t->probes || step < 40) // in the log, not on the screen
        snprintf(u->forecast_state, sizeof u->forecast_state, "%s",
                 t->probes ? "extrapolating" : "uncalibrated");
    int has_z = t->projects && step % 64 == 63;
    if (has_z) {
        u->metric[METRIC_LIDAR] = 40 - 10 * early(step);
        u->metric[METRIC_Z_AUC] = 0.9 + 0.05 * early(step);
        u->metric[METRIC_Z_RANKME] = 60 - 30 * early(step);
    }
    scene_add(t, &r);
    add_spectrum(t, step, SPECTRUM_LIVE);
    if (has_z)
        add_spectrum(t, step, SPECTRUM_Z);
}

void scene_train(struct test_scene *t, int steps)
{
    add_run(t);
    add_eval(t, 0);
    for (int64_t step = 0; step < steps; step++) {
        if (step == 860)
            scene_event(t, step, "mode", "key", "continual", "multi-epoch", "");
        if (step == 1100)
            scene_event(t, step, "mode", "ctl", "multi-epoch", "continual", "");
        add_step(t, step);
        if ((step + 1) % EPOCH)
            continue;
        add_eval(t, step + 1);
        struct record r;
        record_init(&r, RECORD_CHECKPOINT, step + 1);
        snprintf(r.u.checkpoint.file, sizeof r.u.checkpoint.file, "ckpt-%lld.safetensors",
                 (long long)step + 1);
        scene_add(t, &r);
    }
}

const int scene_size[3][2] = {{24, 80}, {36, 120}, {60, 200}};

void scene_usual(struct test_scene *t)
{
    scene_init(t);
    t->probes = 1;
    scene_train(t, 1284);
    scene_machine(t);
    t->v.time.mark = 300;
}

const char *scene_name(const char *prefix, const struct view_state *v, const int size[2])
{
    static char name[96];
    snprintf(name, sizeof name, "%s%s-%dx%d%s", prefix, view_table[v->view].name, size[1], size[0],
             v->ascii ? "-ascii" : "");
    return name;
}

void scene_machine(struct test_scene *t)
{
    struct machine *m = &t->v.link.machine;
    m->cores = 4;
    for (int i = 0; i < m->cores; i++) {
        m->core[i] = i;
        m->load[i] = (float)(4 - i) / 4;
    }
    m->cpu = 1.96F;
    m->rss = 0.9e9;
    m->rss_most = 1.1e9;
    m->at = 999;
    m->n = 700; // more than the ring holds
    for (int64_t i = 0; i < m->n; i++) {
        m->sample[i % MACHINE_SAMPLES].load = (float)(i % 100) / 100;
        m->sample[i % MACHINE_SAMPLES].cpu = 1.96F;
    }
}

char *scene_drawn(const struct scene *s, int h, int w)
{
    struct canvas c = {0};
    cr_assert_eq(canvas_resize(&c, h, w, NULL), 0);
    screen_draw(&c, s);
    char *text = canvas_to_text(&c);
    cr_assert_not_null(text);
    canvas_free(&c);
    return text;
}

char *scene_text(struct test_scene *t, int h, int w)
{
    return scene_drawn(&t->s, h, w);
}

static void path_of(const char *name, char path[256])
{
    snprintf(path, 256, "tests/screens/%s.txt", name);
}

char *scene_committed(const char *name)
{
    enum { MOST = 1 << 17 };
    char path[256], *text = calloc(1, MOST);
    path_of(name, path);
    FILE *f = fopen(path, "r");
    cr_assert(f && text, "%s is missing", path);
    text[fread(text, 1, MOST - 1, f)] = 0;
    fclose(f);
    return text;
}

void scene_expect(const struct scene *s, const char *name, int h, int w)
{
    char path[256], *is = scene_drawn(s, h, w);
    const char *mode = getenv("SSLTOP_SCREENS");
    path_of(name, path);
    if (mode && strcmp(mode, "write") == 0) {
        FILE *f = fopen(path, "w");
        cr_assert_not_null(f, "%s", path);
        fputs(is, f);
        cr_assert_eq(fclose(f), 0);
    }
    char *should = scene_committed(name);
    if (strcmp(is, should) != 0)
        cr_assert(0, "%s is not what is drawn:\n%s", path, is);
    free(is);
    free(should);
}
