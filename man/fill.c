// `make man`: bring the tables of manual pages up to date, in place.
#include <stdio.h>

#include "man/tables.h"
#include "metrics/base/file.h"

static int fill(const char *path, struct error *e)
{
    struct file out;
    FILE *in = fopen(path, "re");
    if (!in)
        return error_set(e, "can't be opened");
    int rc = file_create(&out, path, 0, e);
    if (rc == 0)
        rc = file_finish(&out, man_fill(in, out.stream, e), e);
    fclose(in);
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
