// Every call of the CUDA device made to fail once, and planted bugs that its tests must see.
#include <criterion/criterion.h>
#include <criterion/logging.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/kit/played.h"

// --- every call fails once ---
// All that a training does, up to the first error.
static int whole(struct played *r, const uint8_t *p, played_net *build, double *loss)
{
    struct plan_scores s = {NAN, NAN};
    struct moments m;
    double sigma[8], n;
    float h[BATCH * 8], z[BATCH * 130];
    int64_t index[BATCH] = {1, 2, 3, 4};
    int rc = played_start_net(r, "cuda", 1, p, PRECISION_BF16, build);
    for (int t = 0; t < 2 && rc == 0; t++)
        rc = played_step(r, t, 1, &s);
    if (rc < 0)
        return -1;
    *loss = s.loss;
    cr_assert(moments_init(&m, 8, &r->e) == 0);
    rc = plan_moments(r->plan, &m, &r->e);
    while (rc >= 0 && (rc = device_spectrum(r->device, &m, sigma, NULL, &n, &r->e)) == 1)
        ;
    moments_free(&m);
    if (rc == 0)
        rc = plan_evaluate(r->plan, r->images, index, 4, h, &r->e);
    if (rc == 0)
        rc = plan_features(r->plan, 1, h, &r->e);
    if (rc == 0)
        rc = plan_output(r->plan, r->net.projected, 1, BATCH, z, &r->e);
    return rc;
}

// What became of the failures of each call that can fail.
struct tally {
    char name[80];
    int told, silent;
};
struct tallies {
    struct tally row[96];
    int n;
};

static void count(struct tallies *t, const char *name, int told)
{
    int i = 0;
    cr_assert(name[0], "a call without a name failed");
    while (i < t->n && strcmp(t->row[i].name, name))
        i++;
    cr_assert(i < (int)(sizeof t->row / sizeof *t->row));
    if (i == t->n)
        snprintf(t->row[t->n++].name, sizeof t->row[i].name, "%s", name);
    t->row[i].told += told;
    t->row[i].silent += !told;
}

// Failures that need not be told, for they are made good: the numbers are right all the same.
static const struct made_good {
    const char *name;
    int always; // else it is told where it is not
    const char *why;
} made_good[] = {
    {"cudaDeviceGetPCIBusId", 1, "a card without an address has no sensors"},
    {"cudaEventElapsedTime", 1, "a clock that cannot be read"},
    {"cudaStreamBeginCapture", 1, "what cannot be recorded is queued piece by piece"},
    {"cudaStreamEndCapture", 1, "the same"},
    {"recording: cudaStreamEndCapture", 1, "the same"},
    {"cudaGraphInstantiate", 1, "the same"},
    {"cudnnBackendGetAttribute", 0, "a mode of the heuristics, or an engine, is passed over"},
    {"cudnnBackendCreateDescriptor", 0, "the same"},
    {"cudnnBackendSetAttribute", 0, "the same"},
    {"cudnnBackendFinalize", 0, "the same"},
    {"cudnnBackendExecute", 0, "an engine that cannot be clocked is not taken"},
    {"cudaMalloc", 0, "the same; images that find no room stay with the host"},
    {"cudaMemsetAsync", 0, "an engine that cannot be clocked is not taken"},
    {"cudaEventRecord", 0, "the same"},
    {"cudaEventSynchronize", 0, "the same"},
    {"cudaStreamSynchronize", 0, "nobody is left to be told: what it waited for is let go of"},
};

// Every call that is in no row above must have been told each time, and every other at least once.
static void judge(const struct tallies *t)
{
    const size_t rows = sizeof made_good / sizeof *made_good;
    int told = 0;
    for (int i = 0; i < t->n; i++) {
        const struct tally *row = &t->row[i];
        size_t k = 0;
        while (k < rows && strcmp(made_good[k].name, row->name))
            k++;
        told += row->told;
        if (k == rows && strncmp(row->name, EMU_WHILE_RECORDING, strlen(EMU_WHILE_RECORDING)) == 0)
            continue; // then it is queued piece by piece
        if (k == rows)
            cr_expect(row->silent == 0, "%s failed %d times and nothing was said", row->name,
                      row->silent);
        else if (!made_good[k].always)
            cr_expect(row->told > 0, "%s failed %d times and was never told", row->name,
                      row->silent);
    }
    cr_expect(told > 0);
}

// Each call that can fail does so once: the n-th of a training that is the same up to there.
static void every_call_fails(const char *mode, int others, played_net *build)
{
    const struct emu_control *c = played_open(mode);
    uint8_t *p = played_pixels(1);
    struct tallies tallies = {.n = 0};
    struct played r;
    double clean = NAN;
    c->fail(0, others);
    cr_assert(whole(&r, p, build, &clean) == 0, "%s", r.e.text);
    played_finish(&r);
    int calls = c->calls();
    for (int n = 1; n <= calls; n++) {
        double loss = NAN;
        c->fail(n, others);
        int rc = whole(&r, p, build, &loss), hit = c->fail_hit();
        cr_assert(rc == 0 || hit, "without a failing call: %s", r.e.text);
        cr_assert(rc == 0 || r.e.text[0], "call %d failed without a word", n);
        cr_assert(rc < 0 || fabs(loss - clean) < 1e-2,
                  "call %d failed, nothing was said, and the loss is %g, not %g", n, loss, clean);
        played_finish(&r);
        cr_assert(c->fail_hit(), "call %d of %d was not made", n, calls);
        count(&tallies, c->failed_call(), rc < 0);
        cr_assert(c->live() == 0, "call %d, %s, failed (%s): %ld objects are left", n,
                  c->failed_call(), r.e.text, c->live());
    }
    c->fail(0, 0);
    judge(&tallies);
    cr_log_info("%d calls, of %d kinds", calls, tallies.n);
    free(p);
}

// One step and a half out of recorded graphs, up to the scores.
static int later_steps(struct played *r, struct plan_scores *s)
{
    int rc = played_step(r, 3, 1, s);
    if (rc == 0)
        rc = plan_forward(r->plan, &r->e);
    return rc == 0 ? plan_scores(r->plan, s, &r->e) : rc;
}

// The same for one step out of its graphs.
Test(cuda, every_call_of_a_recorded_step_fails_once)
{
    const struct emu_control *c = played_open("plain");
    uint8_t *p = played_pixels(1);
    struct tallies tallies = {.n = 0};
    double clean = NAN;
    int calls = 0;
    for (int n = 0; n <= calls; n++) { // 0: nothing fails
        struct played r;
        struct plan_scores s = {NAN, NAN};
        cr_assert(played_start(&r, "cuda", 1, p, PRECISION_F32) == 0, "%s", r.e.text);
        for (int t = 0; t < 3; t++)
            cr_assert(played_step(&r, t, 1, &s) == 0, "%s", r.e.text);
        c->fail(n, 0);
        int told = later_steps(&r, &s) < 0;
        if (n == 0) {
            cr_assert(!told, "%s", r.e.text);
            calls = c->calls();
            clean = s.loss;
        } else {
            cr_assert(c->fail_hit(), "call %d of %d was not made", n, calls);
            count(&tallies, c->failed_call(), told);
        }
        c->fail(0, 0);
        cr_expect(told || fabs(s.loss - clean) < 1e-6,
                  "call %d failed, nothing was said, and the loss is %g, not %g", n, s.loss, clean);
        played_finish(&r);
        cr_assert(c->live() == 0, "call %d failed (%s): %ld objects are left", n, r.e.text,
                  c->live());
    }
    judge(&tallies);
    free(p);
}

Test(cuda, every_call_of_the_steps_fails_once)
{
    every_call_fails("plain", 0, played_small_net);
}

Test(cuda, every_call_with_a_target_fails_once)
{
    every_call_fails("plain", 0, played_target_net);
}

Test(cuda, every_call_of_the_spectrum_fails_once)
{
    every_call_fails("plain", 1, played_small_net);
}

// --- the test of the tests: each planted bug must be seen ---
static int child(const char *library, const char *filter)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    cr_assert(n > 0);
    self[n] = '\0';
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        unsetenv("BXFI_MAP"); // by which Criterion tells its workers from its main process
        setenv("SSLTOP_BUG", library, 1);
        execl(self, self, "-j1", "--filter", filter, "--quiet", (char *)NULL);
        _exit(127);
    }
    int status;
    cr_assert(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static const struct bug {
    const char *name, *seen_by; // tests/cuda/bugs/NAME.patch; NULL: none
} bugs[] = {
    {NULL, "cuda/steps_*"},
    {"barrier-before-reuse", "cuda/steps_of_a_target_network"},
    {"barrier-in-a-sum", "cuda/steps_in_any_order"},
    {"row-too-many", "cuda/steps_in_any_order"},
    {"element-too-many", "cuda/steps_in_any_order"},
    {"barrier-between-passes", "cuda/steps_in_any_order"},
    {"number-before-it-is-there", "cuda/steps_as_late_as_can_be"},
    {"event-between-streams", "cuda/steps_as_late_as_can_be"},
    {"error-not-looked-at", "cuda/every_call_of_a_recorded_step_fails_once"},
    {"piece-left-out", "cuda/steps_of_a_target_network"},
    {"sum-before-its-numbers", "cuda/ranks_as_late_as_can_be"},
    {"bucket-not-waited-for", "cuda/ranks_as_late_as_can_be"},
    {"moments-before-their-sum", "cuda/ranks_as_late_as_can_be"},
    {"pass-before-a-sum", "cuda/ranks_as_late_as_can_be"},
};

Test(cuda, planted_bugs_are_seen)
{
    played_open("check");
    if (getenv("SSLTOP_BUG"))
        return;
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++) {
        int code = child(bugs[i].name ? bugs[i].name : "check", bugs[i].seen_by);
        if (bugs[i].name)
            cr_expect(code == 1, "%s was not seen by %s: exit %d", bugs[i].name, bugs[i].seen_by,
                      code);
        else
            cr_expect(code == 0, "without a bug the tests exit with %d", code);
    }
}
