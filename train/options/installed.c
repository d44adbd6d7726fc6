// A copied tree and a package both work: the program looks beside itself before it looks where it
// was meant to be installed.
#include "train/options/installed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int installed_folders(const char *variable, const char *kind,
                      char folder[INSTALLED_FOLDERS][INSTALLED_PATH])
{
    const char *set = getenv(variable);
    if (set && *set) {
        snprintf(folder[0], INSTALLED_PATH, "%s", set);
        return 1;
    }
    char self[4096];
    int n = 0;
    ssize_t got = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = NULL;
    if (got > 0) {
        self[got] = '\0';
        slash = strrchr(self, '/');
    }
    if (slash) {
        *slash = '\0';
        snprintf(folder[n++], INSTALLED_PATH, "%s/data/%.32s", self, kind);
        snprintf(folder[n++], INSTALLED_PATH, "%s/../share/ssltop/%.32s", self, kind);
    }
    snprintf(folder[n++], INSTALLED_PATH, "%s/share/ssltop/%.32s", SSLTOP_PREFIX, kind);
    return n;
}
