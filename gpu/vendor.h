// Loading a device that needs its vendor's libraries, and one of these. Those come with a toolkit,
// a conda environment or Python packages, mostly where the system's loader does not look; nobody
// should have to set LD_LIBRARY_PATH for them.
#ifndef SSLTOP_GPU_VENDOR_H
#define SSLTOP_GPU_VENDOR_H

#include "metrics/base/error.h"

// Load the library `path`, to stay loaded; NULL and why. What it needs and the loader does not find
// is looked for by name, and with it by version, in the folders that CUDA and CUDNN name, in a
// conda environment, in the nvidia-* packages of PYTHONPATH and of the Pythons in PATH, and where
// installers put a toolkit.
void *vendor_open(const char *path, struct error *e);

// The same of a vendor's library by its name alone: where the loader does not find it, in those
// folders.
void *vendor_find(const char *name, struct error *e);

#endif
