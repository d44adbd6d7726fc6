/* A training in C, a run of ssltop: cc client.c $(pkg-config --cflags --libs ssltop-client) -lm */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <ssltop-client.h>

enum { BATCH = 128, D = 32, STEPS = 500 };

int main(void)
{
    static float h[BATCH * D];
    static ssltop_settings s;
    char why[300];
    s.config = "{\"data\":\"noise\"}", s.steps = STEPS, s.batch = BATCH;
    s.whole = 1; /* it waits for each spectrum: steps as short as these outrun any recorder */
    ssltop_client *c = ssltop_open(&s, why, sizeof why);
    ssltop_order o;
    if (!c)
        fprintf(stderr, "not recorded: %s\n", why); /* and all that follows does nothing */
    for (int64_t step = 0; step < STEPS && !ssltop_stopped(c); step++) {
        for (int i = 0; i < BATCH * D; i++) /* more and more in a few directions */
            h[i] = (float)(rand() / (double)RAND_MAX * exp(-(double)(i % D) * (double)step / 1e4));
        ssltop_features(c, "h", 0, h, BATCH, D, D, SSLTOP_F32);
        ssltop_end_step(c, step, 1.0 / (double)(step + 1), 0.1);
        while (ssltop_next(c, &o) > 0)
            ssltop_answer(c, &o, 0, step + 1, "this example cannot do that");
    }
    printf("%s\n", ssltop_run(c));
    ssltop_close(c, ssltop_stopped(c) ? SSLTOP_STOPPED : SSLTOP_FINISHED, "");
    return 0;
}
