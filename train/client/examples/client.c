/* A training in C, a run of ssltop: cc client.c $(pkg-config --cflags --libs ssltop-client) */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <ssltop-client.h>

enum { BATCH = 128, D = 32, STEPS = 500 };

int main(void)
{
    static float h[BATCH * D];
    char why[300];
    ssltop_settings settings = {.config = "{\"data\":\"noise\"}", .steps = STEPS, .batch = BATCH};
    ssltop_client *c = ssltop_open(&settings, why, sizeof why);
    ssltop_order o;
    if (!c)
        fprintf(stderr, "not recorded: %s\n", why); /* and all that follows does nothing */
    for (int64_t step = 0; step < STEPS && !ssltop_stopped(c); step++) {
        for (int i = 0; i < BATCH * D; i++) /* more and more in a few directions */
            h[i] = (float)(rand() / (double)RAND_MAX * exp(-(double)(i % D) * step / 1e4));
        ssltop_features(c, "h", 0, h, BATCH, D, D, SSLTOP_F32);
        ssltop_end_step(c, step, 1.0 / (double)(step + 1), 0.1);
        while (ssltop_next(c, &o) > 0)
            ssltop_answer(c, &o, 0, step + 1, "this example cannot do that");
    }
    printf("%s\n", ssltop_run(c));
    ssltop_close(c, SSLTOP_FINISHED, "");
    return 0;
}
