// Every call of the CUDA device made to fail once, and planted bugs that its tests must see.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/played.h"

// --- every call fails once ---
// All that a training does, up to the first error.
static int whole(struct played *r, const uint8_t *p, played_net *build, double *loss)
{
    struct plan_scores s = {NAN, NAN};
    struct moments m;
    double sigma[8], n;
    float h[BATCH * 8];
    int64_t index[BATCH] = {1, 2, 3, 4};
    int rc = played_start_net(r, "cuda", 1, p, PRECISION_BF16, build);
    for (int t = 0; t < 2 && rc == 0; t++)
        rc = played_step(r, t, 1, &s);
    if (rc < 0)
        return -1;
    *loss = s.loss;
    cr_assert(moments_init(&m, 8, &r->e) == 0);
    rc = plan_moments(r->plan, &m, &r->e);
    while (rc >= 0 && (rc = device_spectrum(r->device, &m, sigma, &n, &r->e)) == 1)
        ;
    moments_free(&m);
    if (rc == 0)
        rc = plan_evaluate(r->plan, r->images, index, 4, h, &r->e);
    if (rc == 0)
        rc = plan_features(r->plan, 1, h, &r->e);
    return rc;
}

// Some failures are made good: an engine that cannot be built or clocked, a step that cannot be
// recorded, a clock that cannot be read. Then the numbers are right all the same; all others are
// told: at least so many, by the size of the net.
static void every_call_fails(const char *mode, int others, played_net *build, int least)
{
    const struct emu_control *c = played_open(mode);
    uint8_t *p = played_pixels(1);
    struct played first;
    double clean = NAN;
    int told = 0;
    cr_assert(whole(&first, p, build, &clean) == 0, "%s", first.e.text);
    played_finish(&first);
    for (int n = 1; n < 20000; n++) {
        struct played r;
        c->fail(n, others);
        double loss = NAN;
        int rc = whole(&r, p, build, &loss), hit = c->fail_hit();
        cr_assert(rc == 0 || hit, "without a failing call: %s", r.e.text);
        cr_assert(rc == 0 || r.e.text[0], "call %d failed without a word", n);
        cr_assert(rc < 0 || fabs(loss - clean) < 1e-2,
                  "call %d failed, nothing was said, and the loss is %g, not %g", n, loss, clean);
        told += rc < 0;
        c->fail(0, 0);
        played_finish(&r);
        cr_assert(c->live() == 0, "call %d failed (%s): %ld objects are left", n, r.e.text,
                  c->live());
        if (!hit)
            break;
    }
    cr_expect(told >= least, "only %d failures were told", told);
    free(p);
}

// The same for one step out of its graphs.
Test(cuda, every_call_of_a_recorded_step_fails_once)
{
    const struct emu_control *c = played_open("plain");
    uint8_t *p = played_pixels(1);
    double clean = NAN;
    int told = 0;
    for (int n = 0; n < 200; n++) {
        struct played r;
        struct plan_scores s = {NAN, NAN};
        cr_assert(played_start(&r, "cuda", 1, p, PRECISION_F32) == 0, "%s", r.e.text);
        for (int t = 0; t < 3; t++)
            cr_assert(played_step(&r, t, 1, &s) == 0, "%s", r.e.text);
        c->fail(n, 0);
        int rc = played_step(&r, 3, 1, &s);
        if (rc == 0)
            rc = plan_forward(r.plan, &r.e);
        plan_scores(r.plan, &s);
        int hit = c->fail_hit();
        c->fail(0, 0);
        clean = n ? clean : s.loss;
        told += rc < 0 || isnan(s.loss);
        cr_expect(rc < 0 || isnan(s.loss) || fabs(s.loss - clean) < 1e-6,
                  "call %d failed, nothing was said, and the loss is %g, not %g", n, s.loss, clean);
        played_finish(&r);
        cr_assert(c->live() == 0, "call %d failed (%s): %ld objects are left", n, r.e.text,
                  c->live());
        if (n && !hit)
            break;
    }
    cr_expect(told >= 20, "only %d failures were told", told);
    free(p);
}

Test(cuda, every_call_of_the_steps_fails_once)
{
    every_call_fails("plain", 0, played_small_net, 500);
}

Test(cuda, every_call_with_a_target_fails_once)
{
    every_call_fails("plain", 0, played_target_net, 400);
}

Test(cuda, every_call_of_the_spectrum_fails_once)
{
    every_call_fails("plain", 1, played_small_net, 10);
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
    int number;
    const char *what, *seen_by;
} bugs[] = {
    {0, "none", "cuda/steps_*"},
    {1, "a barrier is missing before memory is used again", "cuda/steps_in_any_order"},
    {2, "a barrier is missing in a sum", "cuda/steps_in_any_order"},
    {3, "a row too many is read", "cuda/steps_in_any_order"},
    {4, "an element too many is written", "cuda/steps_in_any_order"},
    {5, "a barrier is missing between two passes", "cuda/steps_in_any_order"},
    {6, "a number is read before it is there", "cuda/steps_as_late_as_can_be"},
    {7, "an event between two streams is missing", "cuda/steps_as_late_as_can_be"},
    {8, "an error is not looked at", "cuda/every_call_of_a_recorded_step_fails_once"},
    {9, "a piece of a tensor is left out of its norm", "cuda/steps_of_a_target_network"},
};

Test(cuda, planted_bugs_are_seen)
{
    played_open("check");
    if (getenv("SSLTOP_BUG"))
        return;
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++) {
        char library[32] = "check";
        if (bugs[i].number)
            snprintf(library, sizeof library, "bug%d", bugs[i].number);
        int code = child(library, bugs[i].seen_by);
        if (bugs[i].number)
            cr_expect(code == 1, "bug %d (%s) was not seen by %s: exit %d", bugs[i].number,
                      bugs[i].what, bugs[i].seen_by, code);
        else
            cr_expect(code == 0, "without a bug the tests exit with %d", code);
    }
}
