// Images from a source for a device that takes images from memory only: the host decodes, crops and
// resizes to bytes, on a pool of threads, and hands over each batch as a small set of images. The
// device does the rest of a view.
#ifndef SSLTOP_GPU_VIEWS_STAGED_H
#define SSLTOP_GPU_VIEWS_STAGED_H

#include "gpu/backend.h"

// `described`: all but its kind, with a source.
int staged_new(const struct images *described, struct images **out, struct error *e);

#endif
