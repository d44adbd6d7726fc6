// Small trainings on a stand-in for the card (tests/cuda/): the CUDA device's own sources compiled
// for the host. Everything here fails the test when it cannot.
#ifndef SSLTOP_TESTS_KIT_PLAYED_H
#define SSLTOP_TESTS_KIT_PLAYED_H

#include "gpu/device.h"
#include "tests/cuda/control.h"

enum { BATCH = 4, STEPS = 5, IMAGES = 12, SIDE = 12 };

struct played {
    struct device *device;
    struct images *images;
    struct plan *plan;
    struct net net;
    struct error e;
};

void *played_need(size_t n, size_t size); // zeroed

// The stand-in that the build made in this mode; the test is skipped where none was made.
const struct emu_control *played_open(const char *mode);
// NVIDIA's management library is that of tests/fake/nvml.c.
void played_sensors(void);

uint8_t *played_pixels(int c); // IMAGES of SIDE x SIDE
extern const float played_mean[3], played_deviation[3];

// Nets small enough to be run a thousand times: one block of each kind; and the same as BYOL has
// it, with a frozen copy that follows.
typedef void played_net(struct net *net, int c);
played_net played_small_net, played_target_net;

// Open, describe, compile, put parameters. -1 with the reason in r->e; played_finish in any case.
int played_start_net(struct played *r, const char *device, int c, const uint8_t *p,
                     enum precision how, played_net *build);
int played_start(struct played *r, const char *device, int c, const uint8_t *p,
                 enum precision how); // the small net
void played_finish(struct played *r);

int played_load(struct played *r, int step, int c);
// Backward pass and update: SGD, or where there is a target LARS and the moving average.
int played_update(struct played *r, int step);
// One step as the trainer makes it: the next batch is queued before this one is worked.
int played_step(struct played *r, int t, int c, struct plan_scores *scores);

double played_apart(const float *a, const float *b, size_t n); // the largest difference

#endif
