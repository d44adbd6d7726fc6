// The kinds of devices: a row each. What is not built into the program is loaded when it is first
// wanted, and stays loaded: its libraries do not survive being unloaded.
#ifndef SSLTOP_GPU_REGISTRY_H
#define SSLTOP_GPU_REGISTRY_H

#include "gpu/backend.h"

// The i-th kind, NULL behind the last. The first is always usable; where there is a choice the
// later is the better.
const struct device_kind *registry_kind(int i);

// Its table, or NULL and why it cannot be used.
const struct backend *registry_backend(const struct device_kind *k, struct error *e);

// Whether to look for one at all: without its driver there is nothing to say, and nobody waits for
// its libraries to load.
int registry_expected(const struct device_kind *k);

// The one symbol of a backend that is loaded: its table, or NULL when it was built for another
// BACKEND_ABI.
#define BACKEND_SYMBOL "ssltop_backend"
typedef const struct backend *backend_entry(unsigned abi);

#endif
