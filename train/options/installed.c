// A copied tree and a package both work: the program looks beside itself before it looks where it
// was meant to be installed.
#include "train/options/installed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/path.h"

int installed_folders(const char *variable, const char *kind,
                      char folder[INSTALLED_FOLDERS][INSTALLED_PATH])
{
    const char *set = getenv(variable);
    if (set && *set) {
        snprintf(folder[0], INSTALLED_PATH, "%s", set);
        return 1;
    }
    struct path self = path_program();
    int n = 0;
    if (self.s[0]) {
        struct path here = path_folder(self.s);
        snprintf(folder[n++], INSTALLED_PATH, "%sdata/%.32s", here.s, kind);
        snprintf(folder[n++], INSTALLED_PATH, "%s../share/ssltop/%.32s", here.s, kind);
    }
    snprintf(folder[n++], INSTALLED_PATH, "%s/share/ssltop/%.32s", SSLTOP_PREFIX, kind);
    return n;
}
