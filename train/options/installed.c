// A copied tree and a package both work: the program looks beside itself before it looks where it
// was meant to be installed.
#include "train/options/installed.h"

#include <stdlib.h>

int installed_folders(const char *variable, const char *kind, struct path folder[INSTALLED_FOLDERS])
{
    const char *set = getenv(variable);
    if (set && *set) {
        folder[0] = path_of("%s", set);
        return 1;
    }
    struct path self = path_program();
    int n = 0;
    if (self.s[0]) {
        struct path here = path_folder(self.s);
        folder[n++] = path_of("%sdata/%s", here.s, kind);
        folder[n++] = path_of("%s../share/ssltop/%s", here.s, kind);
    }
    folder[n++] = path_of("%s/share/ssltop/%s", SSLTOP_PREFIX, kind);
    return n;
}
