// What was measured on this machine and need not be measured again: a number by a key, in files of
// the user's cache folder ($XDG_CACHE_HOME/ssltop, else ~/.cache/ssltop). A file that is damaged or
// not there is one that knows nothing.
#ifndef SSLTOP_TRAIN_STORE_REMEMBERED_H
#define SSLTOP_TRAIN_STORE_REMEMBERED_H

#include "metrics/base/error.h"

enum { REMEMBERED_KEY = 640 }; // bytes of a key, its NUL included

// The number under `key` (one line) in the file `name`: 1, or 0 and *value is as it was.
int remembered_find(const char *name, const char *key, double *value);

// Put it there, the oldest of many giving way. What is there under that key already stays, and
// becomes *value. -1: it cannot be kept, and why.
int remembered_add(const char *name, const char *key, double *value, struct error *e);

#endif
