#include "train/store/remembered.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "metrics/base/file.h"
#include "metrics/base/text.h"

enum { FILE_MAX = 1 << 18, LINES = 256 };

// As the XDG base directories say, absolute paths only. 0: there is no place.
static int place(const char *name, struct path *folder, struct path *file)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && xdg[0] == '/')
        *folder = path_of("%s/ssltop", xdg);
    else if (home && home[0] == '/')
        *folder = path_of("%s/.cache/ssltop", home);
    else
        return 0;
    *file = path_of("%s/%s", folder->s, name);
    return 1;
}

// The whole file, to be freed; NULL: there is none, or it is no such file.
static char *read_all(const char *path, size_t *n)
{
    FILE *f = fopen(path, "re");
    char *text = f ? malloc(FILE_MAX) : NULL;
    if (text)
        *n = fread(text, 1, FILE_MAX, f);
    if (text && (ferror(f) || *n == FILE_MAX || memchr(text, '\0', *n))) {
        free(text);
        text = NULL;
    }
    if (f)
        fclose(f);
    return text;
}

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
    struct path folder, file;
    size_t n;
    char *text = place(name, &folder, &file) ? read_all(file.s, &n) : NULL;
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
    struct path folder, path;
    struct file out;
    size_t n = 0;
    char number[32];
    if (!place(name, &folder, &path))
        return error_set(e, "there is neither $XDG_CACHE_HOME nor $HOME");
    // The folder and the one around it may be missing.
    struct path around = path_folder(folder.s);
    if ((mkdir(around.s, 0700) < 0 && errno != EEXIST) ||
        (mkdir(folder.s, 0700) < 0 && errno != EEXIST))
        return error_set(e, "%s: %s", folder.s, strerror(errno));
    char *text = read_all(path.s, &n);
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
