// The sensors of an NVIDIA card, by NVIDIA's management library: utilisation, memory, power,
// temperature, clocks, and who else computes on it. The library is loaded when it is first wanted
// (libnvidia-ml.so.1, part of the driver; SSLTOP_NVML names another); where it is missing, or does
// not know a value, the value does not exist. Its calls may take milliseconds: after the first look
// a thread of its own asks once a second, and whoever wants numbers takes the newest.
#ifndef SSLTOP_GPU_NVML_H
#define SSLTOP_GPU_NVML_H

#include "gpu/device.h"

struct nvml;

// Watch the card at this PCI address ("0000:17:00.0"). NULL and why not. The driver's version
// ("580.65.06") goes into `driver` in any case, "" where it is not told.
struct nvml *nvml_open(const char *bus, char *driver, size_t size, struct error *e);
void nvml_close(struct nvml *n);

// The newest numbers: a second or so old at most.
void nvml_newest(struct nvml *n, struct device_sensors *out);

#endif
