// Compile and free a plan of the CPU device.
#ifndef SSLTOP_GPU_CPU_PLAN_H
#define SSLTOP_GPU_CPU_PLAN_H

#include "gpu/cpu/cpu.h"

int cpu_compile(struct device *device, const struct net *net, const struct plan_options *o,
                struct plan **out, struct error *e);
void cpu_plan_free(struct plan *p);

#endif
