#include "train/store/remembered.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/file.h"
#include "metrics/base/path.h"
#include "metrics/base/text.h"

enum { FILE_MAX = (1 << 18) - 1, LINES = 256 };

// A line is "VALUE KEY".
static int parse(const char *line, size_t len, const char *key, double *value)
{
    size_t n = strlen(key);
    char number[32], *end;
    if (len <= n + 1 || len - n - 1 >= sizeof number || line[len - n - 1] != ' ' ||
        strncmp(line + len - n, key, n) != 0)
        return 0;
    memcpy(number, line, len - n - 1);
    number[len - n - 1] = '\0';
    double v = strtod(number, &end);
    if (*end || end == number || !isfinite(v))
        return 0;
    *value = v;
    return 1;
}

static int look_up(const char *text, size_t n, const char *key, double *value)
{
    const char *line;
    size_t at = 0, len;
    while (text_line(text, n, &at, &line, &len))
        if (parse(line, len, key, value))
            return 1;
    return 0;
}

int remembered_find(const char *name, const char *key, double *value)
{
    size_t n;
    char *text = text_read(path_cache(name).s, FILE_MAX, &n);
    int found = text && look_up(text, n, key, value);
    free(text);
    return found;
}

static void write_all(FILE *f, const char *text, size_t n, const char *key, double value)
{
    const char *line;
    size_t at = 0, len, lines = 0;
    while (text && text_line(text, n, &at, &line, &len))
        lines++;
    at = 0;
    while (text && text_line(text, n, &at, &line, &len))
        if (lines-- < LINES)
            fprintf(f, "%.*s\n", (int)len, line);
    fprintf(f, "%.6g %s\n", value, key);
}

int remembered_add(const char *name, const char *key, double *value, struct error *e)
{
    struct path path = path_cache(name);
    struct file out;
    size_t n;
    char number[32];
    if (!path.s[0])
        return error_set(e, "there is neither $XDG_CACHE_HOME nor $HOME");
    if (path_make_folder(path.s, e) < 0)
        return -1;
    char *text = text_read(path.s, FILE_MAX, &n);
    if (text && look_up(text, n, key, value)) {
        free(text);
        return 0;
    }
    int rc = file_create(&out, path.s, 0, e);
    if (rc == 0) {
        write_all(out.stream, text, n, key, *value);
        rc = file_finish(&out, 0, e);
    }
    free(text);
    snprintf(number, sizeof number, "%.6g", *value); // as it will be read
    *value = strtod(number, NULL);
    return rc;
}
