// A copied tree, a package and an archive unpacked anywhere all work: the program looks from where
// it lies itself.
#include "train/options/installed.h"

#include <stdlib.h>

int installed_folders(const char *variable, const char *kind, struct path folder[INSTALLED_FOLDERS])
{
    const char *set = getenv(variable);
    if (set && *set) {
        folder[0] = path_of("%s", set);
        return 1;
    }
    struct path here = path_folder(path_program().s);
    folder[0] = path_of("%sdata/%s", here.s, kind);
    folder[1] = path_of("%s../share/ssltop/%s", here.s, kind);
    return INSTALLED_FOLDERS;
}
