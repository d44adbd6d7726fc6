// Files of features for `ssltop metrics`, by what they are: NumPy's, and tensors in safetensors.
#ifndef SSLTOP_TUI_CLI_FEATURES_FILE_H
#define SSLTOP_TUI_CLI_FEATURES_FILE_H

#include "metrics/base/error.h"
#include "metrics/npy.h"

// As npy_open; and "FILE.safetensors", with ":NAME" behind it where it holds several tensors.
int features_file_open(const char *path, struct npy *out, struct error *e);

#endif
