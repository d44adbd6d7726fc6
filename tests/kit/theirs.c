// Features from a counter, so that every test sees the same.
#include "tests/kit/theirs.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "metrics/base/rng.h"

int64_t theirs_length = STEPS;
int theirs_whole;

ssltop_client *theirs_open(const struct lab *lab, const char *name, unsigned can)
{
    char why[300];
    ssltop_settings s = {.name = name,
                         .runs = lab->dir,
                         .config = "{\"data\":\"noise\",\"batch\":\"24\"}",
                         .steps = theirs_length,
                         .whole = theirs_whole,
                         .can = can};
    ssltop_client *c = ssltop_open(&s, why, sizeof why);
    cr_assert(c != NULL, "%s", why);
    return c;
}

void theirs_draw(float *x, int n, int d, int64_t step, int view)
{
    struct rng r;
    rng_init(&r, 7, RNG_INIT, (uint64_t)step, (uint64_t)view);
    for (int i = 0; i < n * d; i++)
        x[i] = (float)(rng_normal(&r) / (1 + i % d) + 0.5);
}

void theirs_hand_over(ssltop_client *c, int64_t t, float h[2][ROWS * D], float z[2][ROWS * DIM])
{
    for (int v = 0; v < 2; v++) {
        theirs_draw(h[v], ROWS, D, t, v);
        theirs_draw(z[v], ROWS, DIM, t, 2 + v);
        cr_assert(ssltop_features(c, "h", v, h[v], ROWS, D, D, SSLTOP_F32) == 0);
        cr_assert(ssltop_features(c, "z", v, z[v], ROWS, DIM, DIM, SSLTOP_F32) == 0);
    }
    ssltop_end_step(c, t, -0.25, 0.1);
}

void theirs_settle(const ssltop_client *c)
{
    while (ssltop_alive(c) && ssltop_pending(c) > 0)
        usleep(500);
}

void theirs_step(ssltop_client *c, int64_t t, float h[2][ROWS * D], float z[2][ROWS * DIM])
{
    theirs_hand_over(c, t, h, z);
    theirs_settle(c);
}

pid_t theirs_in_child(const struct lab *lab, const char *name, unsigned can)
{
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL); // a test that fails leaves nobody
    static float h[2][ROWS * D], z[2][ROWS * DIM];
    ssltop_client *c = theirs_open(lab, name, can);
    ssltop_order o;
    int rc;
    for (int64_t t = 0; !ssltop_stopped(c); t++) {
        theirs_step(c, t, h, z);
        while ((rc = ssltop_next(c, &o)) != 0)
            if (rc > 0)
                ssltop_answer(c, &o, o.what != SSLTOP_CHECKPOINT, o.step >= 0 ? o.step : t + 1,
                              o.what == SSLTOP_MODE ? "" : "as told");
    }
    ssltop_close(c, SSLTOP_STOPPED, "by the test");
    _exit(0);
}

pid_t theirs_recorder(pid_t of)
{
    char command[64];
    int pid = 0;
    snprintf(command, sizeof command, "pgrep -P %d -x ssltop", (int)of);
    FILE *f = popen(command, "r");
    cr_assert(f && fscanf(f, "%d", &pid) == 1 && pid > 1);
    pclose(f);
    return pid;
}

double theirs_field(json_t *log, const char *key, int64_t step, const char *name)
{
    char at[64];
    snprintf(at, sizeof at, "%s/%" PRId64, key, step);
    json_t *o = json_object_get(log, at);
    cr_assert(o != NULL, "no %s", at);
    const char *dot = strchr(name, '.');
    if (dot) {
        snprintf(at, sizeof at, "%.*s", (int)(dot - name), name);
        o = json_object_get(o, at);
    }
    json_t *v = json_object_get(o, dot ? dot + 1 : name);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

int theirs_log_has(const struct lab *lab, const char *name, const char *text)
{
    char command[600];
    snprintf(command, sizeof command, "zstdcat %s/%s/run.jsonl.zst | grep -qF '%s'", lab->dir, name,
             text);
    return system(command) == 0;
}
