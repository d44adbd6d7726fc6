// The forecast on runs that follow a known law, on runs that follow none, and its file.
#include "metrics/forecast/forecast.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

static struct forecast_input input(double auc, double loss, double zstd, double width)
{
    struct forecast_input in = forecast_nothing();
    in.v[FORECAST_AUC] = auc;
    in.v[FORECAST_LOSS] = loss;
    in.v[FORECAST_WIDTH] = log(width);
    in.v[FORECAST_ZSTD] = zstd;
    return in;
}

static struct forecast_point point(int run, struct forecast_input in, double logit)
{
    struct forecast_point p = {.run = run,
                               .in = in,
                               .n = TESTED,
                               .correct = llround(TESTED / (1 + exp(-logit))),
                               .end = NAN,
                               .linear = NAN};
    for (int i = 0; i < FORECAST_INPUTS; i++)
        p.live[i] = p.offset[i] = NAN;
    return p;
}

static int has(const struct forecast_law *law, int a, int b)
{
    for (int t = 0; t < law->terms; t++)
        if ((int)law->term[t].a == a && (int)law->term[t].b == b)
            return 1;
    return 0;
}

static int uses(const struct forecast_law *law, int a)
{
    for (int t = 0; t < law->terms; t++)
        if ((int)law->term[t].a == a || (int)law->term[t].b == a)
            return 1;
    return 0;
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
            *p = point(r, input(auc, loss, 0.8 + 0.2 * uniform(&state), width), y);
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
    cr_assert(has(&f.now, FORECAST_AUC, FORECAST_AUC) && uses(&f.now, FORECAST_LOSS) &&
              uses(&f.now, FORECAST_WIDTH));
    cr_assert(f.now.r2 > 0.9999 && f.now.r2_left_out > 0.9999 && f.now.error_points < 0.01);
    cr_assert_eq(f.end.knots, 0, "no end was measured");
    uint64_t state = 3;
    for (int i = 0; i < 100; i++) {
        double auc = 0.7 + 0.2 * uniform(&state), loss = -0.9 + 0.2 * uniform(&state);
        int width = 8 + (int)(20 * uniform(&state));
        struct forecast_input in = input(auc, loss, 1, width);
        struct forecast_value v = forecast_at(&f, &f.now, &in);
        double want = 1 / (1 + exp(-law(auc, loss, width)));
        cr_assert(v.state == FORECAST_OK && fabs(v.value - want) < 1e-4, "%g %g", v.value, want);
        cr_assert(v.lo <= v.value && v.value <= v.hi && v.hi - v.lo < 1e-3);
    }
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
    cr_assert(!uses(&f.now, FORECAST_LOSS) && has(&f.now, FORECAST_AUC, FORECAST_AUC));
    // The interval covers what runs differ by: +-0.1 in the logit, and not much more.
    cr_assert(f.now.knots == 1 && f.now.knot[0].size > 0.05 && f.now.knot[0].size < 0.25, "%g",
              f.now.knot[0].size);
    forecast_free(&f);
    // One width only: it cannot say anything.
    runs_fill(p, name, 1, 0);
    for (int i = 0; i < N; i++)
        p[i].in.v[FORECAST_WIDTH] = log(16);
    cr_assert(forecast_fit(p, N, name, RUNS, &f, &unsupported, &e) == 0, "%s", e.text);
    cr_assert(!uses(&f.now, FORECAST_WIDTH));
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
            p[n] = point(r, input(auc, -0.9, 1, 8), y);
        }
    }
    cr_assert(forecast_fit(p, n, name, RUNS, &f, &unsupported, &e) == 0 || unsupported, "%s",
              e.text);
    // The mean of the runs in the middle, not of the points.
    struct forecast_input in = input(0.7, -0.9, 1, 8);
    double at = forecast_at(&f, &f.now, &in).value, y = log(at / (1 - at));
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
    cr_assert(strstr(e.text, "do not support") && f.runs == RUNS &&
                  f.now.r2_left_out < FORECAST_R2_LEAST,
              "%s", e.text);
    forecast_free(&f);
    cr_assert(forecast_fit(p, 7 * EACH, name, 7, &f, &unsupported, &e) == -1 && !unsupported);
    cr_assert(strstr(e.text, "7 runs") && strstr(e.text, "8"), "%s", e.text);
    forecast_free(&f);
    p[3].in.v[FORECAST_AUC] = NAN;
    cr_assert(forecast_fit(p, N, name, RUNS, &f, &unsupported, &e) == -1 && !unsupported);
    forecast_free(&f);
}

// Runs of which nothing says what their probe will be: of 8 one set in sixteen still seems to say
// something, of 20 one in two hundred, though the terms are chosen from twelve sets.
Test(forecast, noise_is_refused)
{
    enum { TRIES = 200 };
    static const int runs[] = {8, 12, 20}, most[] = {TRIES / 12, TRIES / 20, TRIES / 50};
    for (size_t k = 0; k < sizeof runs / sizeof *runs; k++) {
        int accepted = 0;
        for (int seed = 0; seed < TRIES; seed++) {
            struct forecast_point p[20 * 4];
            char *name[20];
            struct forecast f;
            struct error e = {""};
            int unsupported;
            uint64_t state = 1000 * (uint64_t)seed + 7;
            for (int r = 0; r < runs[k]; r++) {
                name[r] = (char *)"noise";
                double probe = 0.3 + 0.5 * uniform(&state), auc = 0.7 + 0.2 * uniform(&state),
                       loss = -0.9 + 0.4 * uniform(&state);
                int width = 4 << (int)(3 * uniform(&state));
                for (int i = 0; i < 4; i++)
                    p[4 * r + i] = point(r,
                                         input(auc + 0.02 * uniform(&state),
                                               loss + 0.02 * uniform(&state), 1, width),
                                         log(probe / (1 - probe)) + 0.1 * uniform(&state));
            }
            int rc = forecast_fit(p, 4 * runs[k], name, runs[k], &f, &unsupported, &e);
            cr_assert(rc == 0 || unsupported, "%s", e.text);
            accepted += rc == 0;
            if (unsupported)
                cr_assert_eq(strstr(e.text, "worse than by the mean") != NULL,
                             f.now.r2_left_out < 0, "R2 %g: %s", f.now.r2_left_out, e.text);
            forecast_free(&f);
        }
        cr_log_info("%d runs of noise: %d of %d accepted", runs[k], accepted, TRIES);
        cr_expect(accepted <= most[k], "%d runs: %d of %d", runs[k], accepted, TRIES);
    }
}

// Runs of a law, seen through a live AUC that is off by a little and by chance: the interval holds
// what other runs of that law have, and is no wider than it must be.
Test(forecast, interval_holds_what_live_values_foretell)
{
    enum { SEEN = 40, ALL = 400 };
    static struct forecast_point p[ALL * EACH];
    char *name[ALL];
    struct forecast f;
    struct error e = {""};
    int unsupported, held = 0;
    uint64_t state = 3;
    for (int r = 0; r < ALL; r++) {
        double shift = 0.3 * (uniform(&state) + uniform(&state) - 1), offset = NAN;
        name[r] = (char *)"run";
        for (int k = 0; k < EACH; k++) {
            double auc = 0.82 + 0.15 * uniform(&state),
                   live = auc - 0.02 - 0.04 * (uniform(&state) - 0.5);
            p[EACH * r + k] = point(r, input(auc, -0.8, 1, 16), law(auc, -0.8, 16) + shift);
            p[EACH * r + k].live[FORECAST_AUC] = live;
            p[EACH * r + k].offset[FORECAST_AUC] = offset;
            offset = auc - live;
        }
    }
    p[0].live[FORECAST_AUC] = NAN; // too early for one; as what was before the next it counts
    cr_assert(forecast_fit(p, SEEN * EACH, name, SEEN, &f, &unsupported, &e) == 0, "%s", e.text);
    cr_expect_float_eq(f.offset[FORECAST_AUC], 0.02, 0.004);
    cr_expect(f.live.error_points > f.now.error_points, "%g %g", f.live.error_points,
              f.now.error_points);
    cr_expect(f.live.covered > 0.9 && f.live.knots > 1, "%g", f.live.covered);
    cr_expect(f.live.n_left_out == SEEN * (EACH - 1)); // before the first there is none
    cr_expect(uses(&f.live, FORECAST_LIVE_AUC) && !uses(&f.now, FORECAST_LIVE_AUC));
    for (int i = SEEN * EACH; i < ALL * EACH; i++) {
        struct forecast_input in = p[i - (i % EACH != 0)].in; // of the evaluation before
        in.v[FORECAST_LIVE_AUC] = p[i].live[FORECAST_AUC];
        struct forecast_value v = forecast_at(&f, &f.live, &in);
        double probe = (double)p[i].correct / TESTED;
        held += i % EACH && v.lo <= probe && probe <= v.hi;
    }
    double share = (double)held / ((ALL - SEEN) * (EACH - 1));
    cr_expect(share > 0.92 && share < 0.995, "%g", share);
    forecast_free(&f);
}

// Where each of many inputs says a little, a few of them say less than all do.
Test(forecast, takes_all_terms_where_they_foretell_more)
{
    enum { SEEN = 40, FRESH = 20, ALL = SEEN + FRESH };
    static const enum forecast_in of[] = {FORECAST_AUC, FORECAST_RANKME, FORECAST_PIXEL_R2,
                                          FORECAST_LOSS, FORECAST_SHARE};
    enum { OF = sizeof of / sizeof *of };
    static struct forecast_point p[ALL * EACH];
    char *name[ALL];
    struct forecast f, few;
    struct error e = {""};
    int unsupported;
    uint64_t state = 5;
    for (int i = 0; i < ALL * EACH; i++) {
        struct forecast_input in = input(0, 0, 0, 8);
        double y = 0.1 * (uniform(&state) - 0.5), sum = 0;
        for (int k = 0; k < OF; k++) {
            in.v[of[k]] = uniform(&state);
            sum += in.v[of[k]] - 0.5;
        }
        y += 0.6 * sum + sum * sum;
        name[i / EACH] = (char *)"run";
        p[i] = point(i / EACH, in, y);
    }
    cr_assert(forecast_fit(p, 39 * EACH, name, 39, &few, &unsupported, &e) == 0, "%s", e.text);
    cr_assert(forecast_fit(p, SEEN * EACH, name, SEEN, &f, &unsupported, &e) == 0, "%s", e.text);
    cr_expect(few.now.terms <= 12 && f.now.terms == OF * (OF + 3) / 2, "%d, then %d terms",
              few.now.terms, f.now.terms);
    double square = 0;
    for (int i = SEEN * EACH; i < ALL * EACH; i++) {
        struct forecast_value v = forecast_at(&f, &f.now, &p[i].in);
        cr_assert_eq(v.state, FORECAST_OK);
        square += pow(v.value - (double)p[i].correct / TESTED, 2) / (FRESH * EACH);
    }
    // What is told of runs left out is what runs that no fit has seen have.
    cr_expect(fabs(100 * sqrt(square) - f.now.error_points) < 0.2 * f.now.error_points,
              "%g, told %g", 100 * sqrt(square), f.now.error_points);
    forecast_free(&few);
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
    f.collapsed = 1; // complete collapses were left out of this one
    double top = f.now.range[FORECAST_AUC].hi, bottom = f.now.range[FORECAST_AUC].lo;
    int z = uses(&f.now, FORECAST_ZSTD); // which says nothing here; it has a range in any case
    const struct {
        double auc, loss, zstd, width;
        enum forecast_state state;
    } at[] = {
        {0.8, -0.8, 1, 16, FORECAST_OK},
        {0.8, -0.8, NAN, 16, z ? FORECAST_UNKNOWN : FORECAST_OK},
        {bottom - 0.01, -0.8, 1, 16, FORECAST_OK}, // a little below, but not a little above
        {top, -0.8, 1, 16, FORECAST_OK},
        {top + 0.001, -0.8, 1, 16, FORECAST_EXTRAPOLATING},
        {0.8, -0.8, 0, 16, FORECAST_EXTRAPOLATING}, // all images have one z
        {0.8, -0.8, 1, 64, FORECAST_EXTRAPOLATING},
        {0.8, -0.8, 1, 4, FORECAST_EXTRAPOLATING},
        {0.55, -0.8, 1, 16, FORECAST_EXTRAPOLATING},
        {1, -0.8, 1, 16, FORECAST_EXTRAPOLATING},
        {0.8, 0, 1, 16, FORECAST_EXTRAPOLATING},
        {NAN, -0.8, 1, 16, FORECAST_UNKNOWN},
        {0.8, NAN, 1, 16, FORECAST_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        struct forecast_input in = input(at[i].auc, at[i].loss, at[i].zstd, at[i].width);
        struct forecast_value v = forecast_at(&f, &f.now, &in);
        cr_assert(v.state == at[i].state, "%zu: %d", i, v.state);
        cr_assert(isfinite(v.value) == (v.state != FORECAST_UNKNOWN));
        cr_assert(v.state == FORECAST_UNKNOWN ||
                  (0 < v.lo && v.lo < v.value && v.value < v.hi && v.hi < 1));
    }
    struct forecast_input in = input(0.8, -0.8, 1, 16);
    cr_assert_eq(forecast_at(&f, &f.end, &in).state, FORECAST_UNKNOWN);
    forecast_free(&f);
}

static const char *path(void)
{
    static char name[64];
    snprintf(name, sizeof name, "/tmp/ssltop-forecast-%d.json", (int)getpid());
    return name;
}

// The less a run can still go wrong, the nearer its end is foretold; and where the residuals are
// small the interval is narrow.
Test(forecast, ends_and_an_interval_that_depends_on_where_it_is)
{
    enum { MANY = 60 };
    static struct forecast_point p[MANY * EACH];
    char *name[MANY];
    struct forecast f;
    struct error e = {""};
    int unsupported;
    uint64_t state = 21;
    for (int r = 0; r < MANY; r++) {
        double end = -1 + 3 * (r + 0.5) / MANY; // logit
        name[r] = (char *)"run";
        for (int k = 0; k < EACH; k++) {
            double share = (k + 1.0) / EACH, noise = end < 0 ? 0.6 : 0.05;
            double now = end * share + noise * (uniform(&state) - 0.5);
            struct forecast_input in = input(0.8 + 0.1 * uniform(&state), -0.8, 1, 16);
            in.v[FORECAST_PIXEL_R2] = (end * share + 1) / 4;
            in.v[FORECAST_SHARE] = share;
            p[EACH * r + k] = point(r, in, now);
            p[EACH * r + k].end = 1 / (1 + exp(-end));
            p[EACH * r + k].linear = 1 / (1 + exp(-end - 0.5)); // a better probe, half of the runs
            p[EACH * r + k].linear_n = r % 2 ? 10000 : 0;
        }
    }
    p[0].end = p[1].end = p[2].end = p[3].end = p[4].end = NAN; // the first was stopped
    cr_assert(forecast_fit(p, MANY * EACH, name, MANY, &f, &unsupported, &e) == 0, "%s", e.text);
    cr_expect(uses(&f.now, FORECAST_PIXEL_R2) && !uses(&f.now, FORECAST_AUC));
    cr_assert(f.now.knots == FORECAST_KNOTS, "%d", f.now.knots);
    cr_expect(f.now.knot[0].size > 3 * f.now.knot[FORECAST_KNOTS - 1].size, "%g %g",
              f.now.knot[0].size, f.now.knot[FORECAST_KNOTS - 1].size);
    cr_expect(f.now.covered > 0.92 && f.now.covered < 0.99, "%g", f.now.covered);
    cr_expect(uses(&f.end, FORECAST_SHARE) && uses(&f.end, FORECAST_PIXEL_R2));
    cr_expect(f.end.r2_left_out > 0.8, "%g", f.end.r2_left_out);
    cr_expect(f.end.error_points_quarter > 0 && f.end.error_points_good > 0);
    cr_expect(f.linear.r2_left_out > 0.8 && f.linear.n_left_out == MANY / 2 * EACH, "%g, %lld",
              f.linear.r2_left_out, (long long)f.linear.n_left_out);
    struct forecast_input good = input(0.85, -0.8, 1, 16);
    good.v[FORECAST_PIXEL_R2] = 0.5; // of a run that is over and came to a logit of 1
    good.v[FORECAST_SHARE] = 1;
    struct forecast_value fast = forecast_at(&f, &f.end, &good),
                          linear = forecast_at(&f, &f.linear, &good);
    cr_expect(fabs(fast.value - 1 / (1 + exp(-1))) < 0.03, "%g", fast.value);
    cr_expect(fabs(linear.value - 1 / (1 + exp(-1.5))) < 0.03, "%g", linear.value);
    FILE *out = fopen(path(), "w");
    cr_assert(out && forecast_write(&f, out, &e) == 0 && fclose(out) == 0, "%s", e.text);
    struct forecast again;
    cr_assert(forecast_read(path(), &again, &e) == 0, "%s", e.text);
    cr_expect(again.linear.constant == f.linear.constant && again.linear.knots == f.linear.knots);
    forecast_free(&again);
    unlink(path());
    forecast_free(&f);
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
    f.collapsed = 3;
    strcpy(f.data, "fashion-mnist");
    strcpy(f.arch, "resnet18");
    strcpy(f.method, "simsiam");
    FILE *out = fopen(path(), "w");
    cr_assert(out && forecast_write(&f, out, &e) == 0 && fclose(out) == 0, "%s", e.text);
    cr_assert(forecast_read(path(), &g, &e) == 0, "%s", e.text);
    cr_assert(!strcmp(g.data, f.data) && !strcmp(g.arch, f.arch) && !strcmp(g.method, f.method));
    cr_assert(g.now.terms == f.now.terms && g.now.constant == f.now.constant &&
              !memcmp(g.now.term, f.now.term, sizeof(struct forecast_term) * (size_t)f.now.terms));
    cr_assert(!memcmp(g.now.centre, f.now.centre, sizeof f.now.centre) &&
              !memcmp(g.now.range, f.now.range, sizeof f.now.range) &&
              !memcmp(g.now.knot, f.now.knot, sizeof f.now.knot) && g.now.knots == f.now.knots);
    cr_assert(!memcmp(g.offset, f.offset, sizeof f.offset) &&
              g.now.error_points == f.now.error_points && g.now.covered == f.now.covered &&
              isnan(g.now.error_points_quarter) && g.zstd.lo == f.zstd.lo && g.collapsed == 3 &&
              !g.end.knots);
    cr_assert(g.runs == RUNS && !strcmp(g.run[1], "odd") && g.points == N);
    cr_assert(f.now.n_left_out == N && g.now.n_left_out == N && !g.end.n_left_out);
    double square = 0;
    for (int i = 0; i < N; i++) {
        const struct forecast_left_out *v = &f.now.left_out[i], *w = &g.now.left_out[i];
        cr_expect(fabs(v->foretold - w->foretold) < 1e-4 && fabs(v->measured - w->measured) < 1e-4);
        square += pow(v->foretold - v->measured, 2) / N; // every run has as many of them
    }
    cr_expect_float_eq(100 * sqrt(square), f.now.error_points, 1e-9);
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
    // A pipe that nobody writes to.
    cr_assert(mkfifo(path(), 0600) == 0);
    cr_assert(forecast_read(path(), &g, &e) == -1 && strstr(e.text, "not a regular file"));
    unlink(path());
}
