// `make man`: bring the tables of manual pages up to date, in place.
#include <stdio.h>
#include <string.h>

#include "man/tables.h"

static int fill(const char *path, struct error *e)
{
    char next[4096];
    if ((size_t)snprintf(next, sizeof next, "%s.new", path) >= sizeof next)
        return error_set(e, "the path is too long");
    FILE *in = fopen(path, "re"), *out = in ? fopen(next, "we") : NULL;
    int rc = out ? man_fill(in, out, e) : error_set(e, "can't be opened or written beside");
    if (in)
        fclose(in);
    if (out && fclose(out) && !rc)
        rc = error_set(e, "can't be written");
    if (!rc && rename(next, path))
        rc = error_set(e, "can't be replaced");
    if (rc && out)
        remove(next);
    return rc;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct error e = {""};
        if (fill(argv[i], &e) < 0) {
            fprintf(stderr, "%s: %s\n", argv[i], e.text);
            return 1;
        }
    }
    return 0;
}
