// What the top floor may ask about devices: tui/ never includes a header of gpu/.
#ifndef SSLTOP_TRAIN_RUN_DEVICES_H
#define SSLTOP_TRAIN_RUN_DEVICES_H

#include <stdio.h>

#include "metrics/base/error.h"

// First in main, with its argv (gpu/device.h, device_prepare).
void devices_prepare(char **argv);

// Every device there could be: a line each, or a JSON object each; what cannot be used says why
// not. -1: out of memory; whether it could be written is to be asked of `f`. Opens devices: never
// before a fork.
int devices_print(FILE *f, int json, struct error *e);

#endif
