// Where the files lie that come with the program: recipes, calibrations.
#ifndef SSLTOP_TRAIN_OPTIONS_INSTALLED_H
#define SSLTOP_TRAIN_OPTIONS_INSTALLED_H

#include "metrics/base/path.h"

enum { INSTALLED_FOLDERS = 2 };

// The folders to look for files of a kind ("recipes") in, in this order: only the one that the
// environment variable names, if it is set; else data/KIND beside the program and
// ../share/ssltop/KIND of its installation. Their number.
int installed_folders(const char *variable, const char *kind,
                      struct path folder[INSTALLED_FOLDERS]);

#endif
