// Names are looked up without folders and endings, among all sorted.
#include "data/sets/labels.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/text.h"

enum { FILE_MOST = 1 << 26, NO_LABEL = -1 };

// A file of a split that its folder, or somebody, calls NAME: beside the folder or in it.
static int find_of(int root, const char *folder, const char *name, char *path, size_t size)
{
    static const char *const form[] = {"%s.txt", "%s.csv", "%s_labels.txt", "%s_annotations.txt",
                                       "LOC_%s_solution.csv"};
    struct stat st;
    for (size_t i = 0; i < sizeof form / sizeof *form; i++)
        for (int inside = 0; inside < 2; inside++) {
            char file[NAME_MAX + 1];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            int n = snprintf(file, sizeof file, form[i], name);
#pragma GCC diagnostic pop
            if (n >= (int)sizeof file)
                continue;
            n = snprintf(path, size, "%s%s%s", inside ? folder : "", inside ? "/" : "", file);
            if (n < (int)size && fstatat(root, path, &st, 0) == 0 && S_ISREG(st.st_mode))
                return 1;
        }
    return 0;
}

int labels_find(int root, const char *name, char *path, size_t size)
{
    static const char *const other[] = {"val", "valid", "validation", "test", "testing"};
    if (find_of(root, name, name, path, size))
        return 1;
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (strncasecmp(name, other[i], 3) == 0 && find_of(root, name, other[i], path, size))
            return 1;
    return 0;
}

// ---------------------------------------------------------------- names

struct stem {
    const char *text; // not ended
    size_t n;
    int64_t image;
};

static struct stem stem_of(const char *path, size_t n)
{
    const char *slash = memrchr(path, '/', n), *first = slash ? slash + 1 : path;
    n -= (size_t)(first - path);
    const char *dot = memrchr(first, '.', n);
    return (struct stem){first, dot && dot > first ? (size_t)(dot - first) : n, 0};
}

static int by_text(const void *a, const void *b)
{
    const struct stem *x = a, *y = b;
    int rc = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);
    return rc ? rc : (x->n > y->n) - (x->n < y->n);
}

static struct stem *sort_stems(const struct folder *f, struct error *e)
{
    struct stem *all = calloc((size_t)f->n, sizeof *all);
    if (!all) {
        error_set(e, "out of memory for the names of %lld images", (long long)f->n);
        return NULL;
    }
    for (int64_t i = 0; i < f->n; i++) {
        const char *path = folder_path(f, i);
        all[i] = stem_of(path, strlen(path));
        all[i].image = i;
    }
    qsort(all, (size_t)f->n, sizeof *all, by_text);
    return all;
}

// ---------------------------------------------------------------- lines

static const char between[] = " \t,;\""; // names in tables may be quoted

// The word at *at, up to `end`.
static size_t take_word(const char **at, const char *end, const char **word)
{
    while (*at < end && memchr(between, **at, sizeof between - 1))
        ++*at;
    *word = *at;
    while (*at < end && !memchr(between, **at, sizeof between - 1))
        ++*at;
    return (size_t)(*at - *word);
}

// A class by its name, or by its number. -1: none.
static int32_t class_of(const struct folder *known, const char *word, size_t n)
{
    char name[NAME_MAX + 1], *end;
    if (!n || n >= sizeof name)
        return NO_LABEL;
    memcpy(name, word, n);
    name[n] = '\0';
    for (int lo = 0, hi = known->classes; lo < hi;) {
        int mid = (lo + hi) / 2, rc = strcmp(name, known->class_name[mid]);
        if (rc == 0)
            return mid;
        *(rc < 0 ? &hi : &lo) = rc < 0 ? mid : mid + 1;
    }
    if (strspn(name, "0123456789") != n)
        return NO_LABEL;
    errno = 0;
    long v = strtol(name, &end, 10);
    return errno == 0 && v < known->classes ? (int32_t)v : NO_LABEL;
}

struct reading {
    const struct folder *known;
    struct folder *f;
    const struct stem *stem;
    const char *path;
    int64_t line;
};

static int take_line(struct reading *r, const char *line, size_t n, struct error *e)
{
    const char *at = line, *end = line + n, *word;
    if (n > 0 && end[-1] == '\r')
        end--;
    size_t len = take_word(&at, end, &word);
    struct stem key = stem_of(word, len);
    r->line++;
    if (!len)
        return 0;
    const struct stem *found = bsearch(&key, r->stem, (size_t)r->f->n, sizeof key, by_text);
    if (!found)
        return 0;
    len = take_word(&at, end, &word);
    int32_t label = class_of(r->known, word, len);
    if (label < 0)
        return error_set(e,
                         "line %lld of %.100s: the training images have no class '%.*s' (numbers "
                         "count from 0 in the order of their folders)",
                         (long long)r->line, r->path, (int)(len < 40 ? len : 40), word);
    // One name with several endings, or in several folders: they stand side by side.
    while (found > r->stem && by_text(found - 1, &key) == 0)
        found--;
    for (; found < r->stem + r->f->n && by_text(found, &key) == 0; found++)
        r->f->file[found->image].label = label;
    return 0;
}

static char *read_text(int root, const char *path, size_t *n, struct error *e)
{
    struct stat st;
    int fd = openat(root, path, O_RDONLY | O_CLOEXEC);
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    char *text = NULL;
    if (!f || fstat(fd, &st) != 0)
        error_set(e, "cannot read the labels in %.200s: %s", path, strerror(errno));
    else if (st.st_size > FILE_MOST)
        error_set(e, "%.200s is too large for a list of labels", path);
    else if (!(text = malloc((size_t)st.st_size + 1)))
        error_set(e, "out of memory for the labels in %.200s", path);
    else
        *n = fread(text, 1, (size_t)st.st_size, f);
    if (f)
        fclose(f);
    else if (fd >= 0)
        close(fd);
    return text;
}

int labels_read(int root, const char *path, const struct folder *known, struct folder *f,
                struct error *e)
{
    size_t n = 0, at = 0, len;
    const char *line;
    struct stem *stem = sort_stems(f, e);
    char *text = stem ? read_text(root, path, &n, e) : NULL;
    int rc = text ? 0 : -1;
    struct reading r = {known, f, stem, path, 0};
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) // as Windows begins a text
        at = 3;
    while (rc == 0 && text_line(text, n, &at, &line, &len))
        rc = take_line(&r, line, len, e);
    for (int64_t i = 0; i < f->n && rc == 0; i++)
        if (f->file[i].label < 0)
            rc = error_set(e, "%.100s has no label for %.200s", path, folder_path(f, i));
    free(text);
    free(stem);
    return rc;
}
