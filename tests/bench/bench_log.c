// Figures of the log for `make bench`: a run of 100,000 steps and 512 features is made up (spectra
// that drift from step to step as recorded ones do, scalars with all their digits) and written as a
// trainer writes it, then opened and read as a viewer and a replay read it. Prints bytes a step,
// times and memory beside their targets; exit 1 when one is missed.
//
//   bench_log [STEPS [FILE]]        FILE is kept, else a temporary file is removed
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/log/record.h"
#include "metrics/log/runlog.h"
#include "metrics/log/cursor.h"
#include "tests/kit/measure.h"
#include "tui/draw/screen.h"
#include "tui/feed/history.h"
#include "tui/feed/playback.h"

enum { D = 512, EVAL_EVERY = 400, SEEKS = 1000 };

static void die(const struct error *e)
{
    fprintf(stderr, "bench_log: %s\n", e->text);
    exit(2);
}

// --- a run that was not ---

static uint64_t state = 1;

static double uniform(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static double normal(void)
{
    return sqrt(-2 * log(1 - uniform())) * cos(6.283185307179586 * uniform());
}

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

// A power law whose every value wanders by half a percent a step.
static void drift(double *wander, double *sigma, int64_t step)
{
    double exponent = 0.9 + 0.3 * sin((double)step * 1e-4);
    for (int i = 0; i < D; i++) {
        wander[i] = 0.995 * wander[i] + 0.005 * normal();
        sigma[i] = 180 * pow(i + 1, -exponent) * exp(wander[i] - 0.002 * i);
    }
    qsort(sigma, D, sizeof *sigma, descending);
}

static void write_record(struct runlog_writer *w, struct record *r, struct error *e)
{
    char *line;
    size_t n;
    if (record_format(r, &line, &n, e) || runlog_write(w, line, n, e))
        die(e);
    free(line);
    record_free(r);
}

static void write_spectrum(struct runlog_writer *w, int64_t step, enum spectrum_source source,
                           const double *sigma, struct error *e)
{
    struct record r;
    record_init(&r, RECORD_SPECTRUM, step);
    r.u.spectrum.source = source;
    r.u.spectrum.n = 11818.3 + uniform();
    r.u.spectrum.d = D;
    r.u.spectrum.sigma = malloc(D * sizeof *sigma);
    if (!r.u.spectrum.sigma)
        exit(2);
    memcpy(r.u.spectrum.sigma, sigma, D * sizeof *sigma);
    write_record(w, &r, e);
}

static void write_step(struct runlog_writer *w, int64_t step, struct error *e)
{
    struct record r;
    record_init(&r, RECORD_STEP, step);
    r.u.step.t = (double)step * 0.0312 + uniform() * 1e-3;
    r.u.step.mode = MODE_MULTI_EPOCH;
    r.u.step.lr = 0.05 * (1 + cos((double)step * 3.14e-5));
    r.u.step.lr_pred = 0.1;
    for (int m = 0; m < METRIC_COUNT; m++)
        if (m != METRIC_ALIGNMENT && m != METRIC_UNIFORMITY)
            r.u.step.metric[m] = 0.7 + 0.01 * normal();
    r.u.step.forecast = 0.71 + 0.001 * normal();
    r.u.step.forecast_lo = r.u.step.forecast - 0.029;
    r.u.step.forecast_hi = r.u.step.forecast + 0.029;
    r.u.step.images_s = 1312 + normal();
    for (int p = 0; p < PHASE_COUNT; p++)
        r.u.step.ms[p] = 10 + normal();
    write_record(w, &r, e);
}

// Write so many steps, a flush every `flush` of them; bytes of the file.
static int64_t make(const char *path, int64_t steps, int flush, struct error *e)
{
    static double wander[D], sigma[D];
    struct runlog_writer *w;
    struct record r;
    struct stat st;
    unlink(path);
    if (runlog_create(path, &w, e))
        die(e);
    record_init(&r, RECORD_RUN, -1);
    r.u.run.version = 1;
    r.u.run.steps = steps;
    r.u.run.model.d = D;
    snprintf(r.u.run.name, sizeof r.u.run.name, "made up");
    write_record(w, &r, e);
    for (int64_t i = 0; i < steps; i++) {
        drift(wander, sigma, i);
        if (i % EVAL_EVERY == 0) {
            record_init(&r, RECORD_EVAL, i);
            for (int m = 0; m < METRIC_COUNT; m++)
                r.u.eval.metric[m] = uniform();
            r.u.eval.probe = 0.7 + 0.01 * normal();
            write_record(w, &r, e);
            write_spectrum(w, i, SPECTRUM_EXACT, sigma, e);
        }
        write_step(w, i, e);
        write_spectrum(w, i, SPECTRUM_LIVE, sigma, e);
        if (i % flush == flush - 1 && runlog_flush(w, 0, e))
            die(e);
    }
    if (runlog_close(w, e) || stat(path, &st))
        die(e);
    return st.st_size;
}

// --- reading it ---

static int missed;

static void tell(const char *what, double v, const char *unit, double target)
{
    int good = !(v > target);
    missed |= !good;
    printf("%-44s %9.4g %-3s", what, v, unit);
    if (isfinite(target))
        printf("   <= %.4g   %s", target, good ? "ok" : "MISSED");
    printf("\n");
}

// All but the live spectra into a history, as the screen does it; seconds.
static double curves(const char *path, struct error *e)
{
    double from = clock_seconds();
    struct cursor *log;
    struct history h;
    const char *line;
    size_t n;
    if (cursor_open(path, &log, e) || history_init(&h, e))
        die(e);
    cursor_want(log, &(struct cursor_wanted){.kinds = CURSOR_CURVES});
    while (cursor_next(log, &line, &n, e) == 1) {
        struct record r;
        if (record_parse(line, n, &r, e) || history_add(&h, &r, e))
            die(e);
        record_free(&r);
    }
    cursor_free(log);
    double took = clock_seconds() - from;
    tell("  in memory then, MB", (double)peak_kb() * 1024 / 1e6, "", 300);
    history_free(&h);
    return took;
}

static void seek(struct cursor *m, int64_t steps, struct error *e)
{
    double sum = 0, most = 0;
    for (int i = 0; i < SEEKS; i++) {
        struct record r;
        int64_t step = (int64_t)(uniform() * (double)steps);
        double from = clock_seconds();
        if (cursor_find(m, RUNLOG_LIVE, step, &r, e) != 1 || r.step != step)
            die(e);
        double took = clock_seconds() - from;
        record_free(&r);
        sum += took;
        most = fmax(most, took);
    }
    tell("a spectrum by its step, mean ms", 1e3 * sum / SEEKS, "", 50);
    tell("  the slowest of 1000", 1e3 * most, "ms", 50);
}

static double open_map(const char *path, struct cursor **m, struct error *e)
{
    double from = clock_seconds();
    if (cursor_open(path, m, e) || cursor_look(*m, e) < 0)
        die(e);
    return clock_seconds() - from;
}

// A replay as the viewer does it: the first picture, full curves, any place; each drawn at 200
// x 60.
static void replay(const char *path, int64_t steps, struct error *e)
{
    const char *name = "made up";
    struct playback *p;
    struct view_state v;
    struct scene s = {0};
    struct canvas c = {0};
    double from = clock_seconds(), first = NAN, most = 0;
    view_init(&v);
    v.link.state = LINK_REPLAY;
    v.link.rss = NAN;
    if (playback_open(&path, &name, 1, from, &p, e) || canvas_resize(&c, 60, 200, e))
        die(e);
    do {
        if (playback_pump(p, clock_seconds(), e) < 0)
            die(e);
        playback_tick(p, &v, clock_seconds());
        if (isnan(first) || !v.replay.reading) {
            playback_scene(p, &v, &s);
            screen_draw(&c, &s);
            first = isnan(first) ? clock_seconds() - from : first;
        }
    } while (v.replay.reading);
    tell("replay: first picture", first, "s", 0.3);
    tell("  full curves, drawn", clock_seconds() - from, "s", 1.5);
    for (int timeout = 0; timeout == 0; timeout = 1000, playback_poll(p, &timeout))
        if (playback_pump(p, clock_seconds(), e) < 0)
            die(e);
    tell("  spectra over time too", clock_seconds() - from, "s", INFINITY);
    for (int i = 0; i < 200; i++) {
        v.time.cursor = (int64_t)(uniform() * (double)steps);
        from = clock_seconds();
        playback_tick(p, &v, from);
        playback_scene(p, &v, &s);
        screen_draw(&c, &s);
        most = fmax(most, clock_seconds() - from);
    }
    tell("  the slowest of 200 seeks, drawn", 1e3 * most, "ms", 50);
    tell("  memory at the most, MB", (double)peak_kb() * 1024 / 1e6, "", 300);
    canvas_free(&c);
    playback_free(p);
}

int main(int argc, char **argv)
{
    struct error e = {""};
    int64_t steps = argc > 1 ? strtoll(argv[1], NULL, 10) : 100000;
    char path[4096] = "/tmp/ssltop-bench-log-XXXXXX";
    int fd = argc > 2 ? 0 : mkstemp(path);
    if (argc > 2)
        snprintf(path, sizeof path, "%s", argv[2]);
    else if (fd < 0)
        return 2;
    else
        close(fd);
    if (steps < 1)
        return 2;
    printf("the log of %lld steps, %d features, a live spectrum each\n", (long long)steps, D);
    for (int flush = 1; flush <= 4; flush *= 4) {
        char what[64];
        int64_t some = steps < 4000 ? steps : 4000;
        snprintf(what, sizeof what, "bytes a step, %d step%s a flush", flush, flush > 1 ? "s" : "");
        tell(what, (double)make(path, some, flush, &e) / (double)some, "", INFINITY);
    }
    double from = clock_seconds();
    int64_t bytes = make(path, steps, 20, &e);
    double took = clock_seconds() - from;
    tell("bytes a step, 20 steps a flush", (double)bytes / (double)steps, "", 1800);
    tell("  written, microseconds a step", 1e6 * took / (double)steps, "", INFINITY);
    struct cursor *m;
    tell("open by the index", open_map(path, &m, &e), "s", 0.3);
    cursor_free(m);
    tell("scalars read into curves", curves(path, &e), "s", 1.5);
    replay(path, steps, &e);
    open_map(path, &m, &e);
    seek(m, steps, &e);
    size_t frames;
    const struct runlog_frame *last = cursor_frames(m, &frames);
    last += frames - 1;
    int64_t end = last->offset + last->size;
    cursor_free(m);
    if (truncate(path, end))
        return 2;
    tell("open a log that was killed (no index)", open_map(path, &m, &e), "s", 0.3);
    cursor_free(m);
    if (argc <= 2)
        unlink(path);
    return missed;
}
