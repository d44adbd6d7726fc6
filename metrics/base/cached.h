// Small text files that a person may lose: in ssltop's folder of the user's caches.
#ifndef SSLTOP_METRICS_BASE_CACHED_H
#define SSLTOP_METRICS_BASE_CACHED_H

#include <stddef.h>

#include "metrics/base/error.h"
#include "metrics/base/path.h"

// Where a file of this name is kept, as the XDG base directories say, absolute paths only; "":
// there is no place ($XDG_CACHE_HOME and $HOME are not set).
struct path cached_path(const char *name);

// Make the folder of such a path, and the one around it, where they are missing.
int cached_folder(const char *path, struct error *e);

// The whole file, a NUL behind its n bytes, to be freed; NULL: it is not there, larger than `most`,
// no text (it has a NUL), or there is no memory.
char *cached_read(const char *path, size_t most, size_t *n);

#endif
