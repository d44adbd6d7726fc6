// Which precision trains this network faster on this machine: measured, not asked of the processor,
// for bf16 without matrix units of its own is often slower than f32.
#ifndef SSLTOP_TRAIN_RUN_PRECISION_H
#define SSLTOP_TRAIN_RUN_PRECISION_H

#include "gpu/device.h"

// bf16 has to be so many times as fast as f32 to be taken where nobody says.
#define PRECISION_GAIN 1.1

struct precision_choice {
    enum precision precision;
    double gain;    // how many times as fast bf16 is; NaN: not measured, the device has none or is
                    // a card, whose bf16 is what its matrix units are for
    int remembered; // from an earlier call
    char why[160];  // why it is not remembered, or ""
};

// Steps of a small batch in both precisions, a second or so; what is found is remembered for this
// device, network and batch beside other things of this user that can be made again
// ($XDG_CACHE_HOME), so that the same call chooses the same again. -1: the network cannot be
// compiled.
int precision_choose(struct device *d, const struct net *net, int batch,
                     struct precision_choice *out, struct error *e);

// What such a measurement is remembered by: device, its library, threads, network and batch, in
// words without a line's end.
void precision_key(const struct device_info *info, const struct net *net, int batch, char *text,
                   size_t size);

#endif
