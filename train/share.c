// A copied tree and a package both work: the program looks beside itself before it looks where it
// was meant to be installed.
#include "train/share.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int share_folders(const char *variable, const char *kind, char folder[SHARE_FOLDERS][SHARE_PATH])
{
    const char *set = getenv(variable);
    if (set && *set) {
        snprintf(folder[0], SHARE_PATH, "%s", set);
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
        snprintf(folder[n++], SHARE_PATH, "%s/data/%.32s", self, kind);
        snprintf(folder[n++], SHARE_PATH, "%s/../share/ssltop/%.32s", self, kind);
    }
    snprintf(folder[n++], SHARE_PATH, "%s/share/ssltop/%.32s", SSLTOP_PREFIX, kind);
    return n;
}
