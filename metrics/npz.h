// NumPy's .npz files: a ZIP archive of .npy files, as np.savez and np.savez_compressed write them
// (stored or deflated; ZIP64 beyond 4 GB). Read as a file from a stranger.
#ifndef SSLTOP_METRICS_NPZ_H
#define SSLTOP_METRICS_NPZ_H

#include "metrics/base/error.h"
#include "metrics/mapping.h"

int npz_is(const struct mapping *m); // it begins as one

// Where the .npy of the array of this name lies, or of the only one (name ""). Its checksum is
// looked at. Stored, it lies in m itself; deflated it is unpacked into *unpacked, else left alone.
// The sentence goes on behind the name of the file: "holds 3 arrays: ...".
int npz_find(const struct mapping *m, const char *name, struct mapping *unpacked,
             const unsigned char **data, size_t *size, struct error *e);

#endif
