// The forecast on runs that follow a known law, on runs that follow none, and its file.
#include "metrics/forecast.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RUNS = 12, EACH = 5, N = RUNS * EACH, TESTED = 1000000 };

static double uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) / 9007199254740992.0;
}

// logit = 1 + 2 (0.8 - auc)... with a bend at 0.8, and `noise` a run.
static double law(double auc, double loss, int width)
{
    return 0.5 - 20 * (auc - 0.8) * (auc - 0.8) - 1.5 * loss + 0.3 * log(width);
}

static void runs_fill(struct forecast_point *p, char **name, int uses_loss, double noise)
{
    uint64_t state = 11;
    for (int r = 0; r < RUNS; r++) {
        double shift = noise * (uniform(&state) - 0.5);
        int width = 8 << r % 3;
        name[r] = (char *)(r % 2 ? "odd" : "even");
        for (int k = 0; k < EACH; k++, p++) {
            double auc = 0.65 + 0.3 * uniform(&state), loss = -0.95 + 0.3 * uniform(&state);
            double y = law(auc, uses_loss ? loss : -0.8, width) + shift;
            *p = (struct forecast_point){
                .run = r, .auc = auc, .loss = loss, .width = width, .n = TESTED};
            p->correct = llround(TESTED / (1 + exp(-y)));
        }
    }
}

Test(forecast, finds_the_law)
{
    struct forecast_point p[N];
    char *name[RUNS];
    struct forecast f;
    struct error e = {""};
    int unsupported;
    runs_fill(p, name, 1, 0);
    cr_assert(forecast_fit(p, N, name, RUNS, &f, &unsupported, &e) == 0, "%s", e.text);
    for (int t = 0; t < FORECAST_TERMS; t++)
        cr_assert(f.used[t], "%s was dropped", forecast_term_key[t]);
    cr_assert(fabs(f.coefficient[FORECAST_AUC2] + 20) < 1e-2, "%g", f.coefficient[FORECAST_AUC2]);
    cr_assert(fabs(f.coefficient[FORECAST_AUC] - 32) < 1e-2, "%g", f.coefficient[FORECAST_AUC]);
    cr_assert(fabs(f.coefficient[FORECAST_LOSS] + 1.5) < 1e-3);
    cr_assert(fabs(f.coefficient[FORECAST_WIDTH] - 0.3) < 1e-3);
    cr_assert(f.r2 > 0.9999 && f.r2_left_out > 0.9999 && f.error_points < 0.01);
    struct forecast_value v = forecast_at(&f, 0.75, -0.8, 16);
    double want = 1 / (1 + exp(-law(0.75, -0.8, 16)));
    cr_assert(v.state == FORECAST_OK && fabs(v.value - want) < 1e-5, "%g %g", v.value, want);
    cr_assert(v.lo <= v.value && v.value <= v.hi && v.hi - v.lo < 1e-3);
    forecast_free(&f);
}

Test(forecast, drops_what_does_not_pay)
{
    struct forecast_point p[N];
    char *name[RUNS];
    struct forecast f;
    struct error e = {""};
    int unsupported;
    runs_fill(p, name, 0, 0.2);
    cr_assert(forecast_fit(p, N, name, RUNS, &f, &unsupported, &e) == 0, "%s", e.text);
    cr_assert(!f.used[FORECAST_LOSS] && f.coefficient[FORECAST_LOSS] == 0);
    cr_assert(f.used[FORECAST_AUC2]);
    // The interval covers what runs differ by: +-0.1 in the logit, and not much more.
    cr_assert(f.quantile > 0.05 && f.quantile < 0.2, "%g", f.quantile);
    forecast_free(&f);
    // One width only: it cannot say anything.
    runs_fill(p, name, 1, 0);
    for (int i = 0; i < N; i++)
        p[i].width = 16;
    cr_assert(forecast_fit(p, N, name, RUNS, &f, &unsupported, &e) == 0, "%s", e.text);
    cr_assert(!f.used[FORECAST_WIDTH]);
    forecast_free(&f);
}

// A run of many evaluations counts no more than one of few.
Test(forecast, runs_weigh_the_same)
{
    enum { MANY = 400 };
    static struct forecast_point p[RUNS * 2 + MANY];
    char *name[RUNS];
    struct forecast f;
    struct error e = {""};
    int unsupported, n = 0;
    for (int r = 0; r < RUNS; r++) {
        name[r] = (char *)"run";
        for (int k = 0; k < (r == 0 ? MANY : 2); k++, n++) {
            double auc = 0.6 + 0.02 * r;
            double y = r == 0 ? -1 : 4 - 4 * auc; // the first is off the line
            p[n] = (struct forecast_point){.run = r,
                                           .auc = auc,
                                           .loss = -0.9,
                                           .width = 8,
                                           .n = TESTED,
                                           .correct = llround(TESTED / (1 + exp(-y)))};
        }
    }
    cr_assert(forecast_fit(p, n, name, RUNS, &f, &unsupported, &e) == 0 || unsupported, "%s",
              e.text);
    // The mean of the runs in the middle, not of the points.
    double x = 0.7, y = f.coefficient[FORECAST_CONSTANT] + f.coefficient[FORECAST_AUC] * x +
                        f.coefficient[FORECAST_AUC2] * x * x;
    cr_assert(fabs(y - 1.2) < 0.5, "%g", y);
    forecast_free(&f);
}

Test(forecast, says_when_there_is_none)
{
    struct forecast_point p[N];
    char *name[RUNS];
    struct forecast f;
    struct error e = {""};
    int unsupported;
    uint64_t state = 5;
    runs_fill(p, name, 1, 0);
    for (int i = 0; i < N; i++) // nothing but the run decides
        p[i].correct = (int64_t)(TESTED * (0.3 + 0.05 * ((p[i].run * 7) % RUNS))) +
                       (int64_t)(100 * uniform(&state));
    cr_assert(forecast_fit(p, N, name, RUNS, &f, &unsupported, &e) == -1 && unsupported);
    cr_assert(strstr(e.text, "do not support") && f.runs == RUNS && f.r2_left_out <= 0, "%s",
              e.text);
    forecast_free(&f);
    cr_assert(forecast_fit(p, 7 * EACH, name, 7, &f, &unsupported, &e) == -1 && !unsupported);
    cr_assert(strstr(e.text, "7 runs") && strstr(e.text, "8"), "%s", e.text);
    forecast_free(&f);
    p[3].auc = NAN;
    cr_assert(forecast_fit(p, N, name, RUNS, &f, &unsupported, &e) == -1 && !unsupported);
    forecast_free(&f);
}

Test(forecast, no_number_outside_its_range)
{
    struct forecast_point p[N];
    char *name[RUNS];
    struct forecast f;
    struct error e = {""};
    int unsupported;
    runs_fill(p, name, 1, 0);
    cr_assert(forecast_fit(p, N, name, RUNS, &f, &unsupported, &e) == 0, "%s", e.text);
    static const struct {
        double auc, loss;
        int width;
        enum forecast_state state;
    } at[] = {
        {0.8, -0.8, 16, FORECAST_OK},
        {0.8, -0.8, 64, FORECAST_EXTRAPOLATING},
        {0.8, -0.8, 4, FORECAST_EXTRAPOLATING},
        {0.55, -0.8, 16, FORECAST_EXTRAPOLATING},
        {0.99, -0.8, 16, FORECAST_EXTRAPOLATING},
        {0.8, 0, 16, FORECAST_EXTRAPOLATING},
        {NAN, -0.8, 16, FORECAST_UNKNOWN},
        {0.8, NAN, 16, FORECAST_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        struct forecast_value v = forecast_at(&f, at[i].auc, at[i].loss, at[i].width);
        cr_assert(v.state == at[i].state, "%zu: %d", i, v.state);
        cr_assert(isfinite(v.value) == (v.state != FORECAST_UNKNOWN));
        cr_assert(v.state == FORECAST_UNKNOWN ||
                  (0 < v.lo && v.lo < v.value && v.value < v.hi && v.hi < 1));
    }
    forecast_free(&f);
}

static const char *path(void)
{
    static char name[64];
    snprintf(name, sizeof name, "/tmp/ssltop-forecast-%d.json", (int)getpid());
    return name;
}

Test(forecast, file)
{
    struct forecast_point p[N];
    char *name[RUNS];
    struct forecast f, g;
    struct error e = {""};
    int unsupported;
    runs_fill(p, name, 0, 0.2);
    cr_assert(forecast_fit(p, N, name, RUNS, &f, &unsupported, &e) == 0, "%s", e.text);
    strcpy(f.data, "fashion-mnist");
    strcpy(f.arch, "resnet18");
    strcpy(f.method, "simsiam");
    FILE *out = fopen(path(), "w");
    cr_assert(out && forecast_write(&f, out, &e) == 0 && fclose(out) == 0, "%s", e.text);
    cr_assert(forecast_read(path(), &g, &e) == 0, "%s", e.text);
    cr_assert(!strcmp(g.data, f.data) && !strcmp(g.arch, f.arch) && !strcmp(g.method, f.method));
    cr_assert(!memcmp(g.coefficient, f.coefficient, sizeof f.coefficient) &&
              !memcmp(g.used, f.used, sizeof f.used));
    cr_assert(g.quantile == f.quantile && g.auc.lo == f.auc.lo && g.width.hi == f.width.hi);
    cr_assert(g.runs == RUNS && !strcmp(g.run[1], "odd") && g.points == N);
    forecast_free(&g);

    // Every cut, and every byte made another, is read or refused.
    char text[8192];
    FILE *in = fopen(path(), "r");
    size_t n = in ? fread(text, 1, sizeof text, in) : 0;
    cr_assert(n > 200 && n < sizeof text && fclose(in) == 0);
    for (size_t i = 0; i < n - 2; i++)
        for (int cut = 0; cut < 2; cut++) {
            char was = text[i];
            if (!cut)
                text[i] = i % 3 ? '9' : '}';
            out = fopen(path(), "w");
            cr_assert(out && fwrite(text, 1, cut ? i : n, out) == (cut ? i : n) &&
                      fclose(out) == 0);
            text[i] = was;
            int rc = forecast_read(path(), &g, &e);
            cr_assert(rc == 0 ? !cut : e.text[0] != '\0');
            forecast_free(&g);
        }
    forecast_free(&f);
    unlink(path());
    cr_assert(forecast_read(path(), &g, &e) == -1 && strstr(e.text, "No such file"));
}
