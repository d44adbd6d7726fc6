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

enum { FILE_MOST = 1 << 26, NAMES_MOST = 1024, NO_LABEL = -1 };

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

// ---------------------------------------------------------------- words

static int is_between(char c) // names in tables may be quoted
{
    return c == ' ' || c == '\t' || c == ',' || c == ';' || c == '"' || c == '\r';
}

static size_t trim(const char *text, size_t n)
{
    while (n && is_between(text[n - 1]))
        n--;
    return n;
}

// The same without its last word.
static size_t shorten(const char *text, size_t n)
{
    while (n && !is_between(text[n - 1]))
        n--;
    return trim(text, n);
}

static size_t word_of(const char *text, size_t n)
{
    size_t len = 0;
    while (len < n && !is_between(text[len]))
        len++;
    return len;
}

// ---------------------------------------------------------------- names

struct stem {
    const char *text; // not ended
    size_t n;
    int64_t image;
};

// Without its folders.
static struct stem name_of(const char *path, size_t n)
{
    const char *slash = memrchr(path, '/', n), *first = slash ? slash + 1 : path;
    return (struct stem){first, n - (size_t)(first - path), 0};
}

static struct stem stem_of(const char *path, size_t n)
{
    struct stem s = name_of(path, n);
    const char *dot = memrchr(s.text, '.', s.n), *end = s.text + s.n;
    if (dot && dot > s.text && dot + word_of(dot, (size_t)(end - dot)) == end)
        s.n = (size_t)(dot - s.text);
    return s;
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
        error_memory(e, "the names of %lld images", (long long)f->n);
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
    int64_t line, stray; // stray: the first that names no image, but for the first of all
};

// The first of the images of this name, which may have several endings or folders: they stand side
// by side. A dot in a name is an ending only if it has to be.
static const struct stem *find_image(const struct reading *r, const char *text, size_t n)
{
    const char *slash = memrchr(text, '/', n);
    for (const char *c = text; slash && c < slash; c++)
        if (is_between(*c) && *c != ' ') // the folder of what stands behind the image
            return NULL;
    struct stem key[] = {name_of(text, n), stem_of(text, n)};
    const struct stem *found = NULL;
    for (int k = 0; k < 2 && !found && key[k].n <= NAME_MAX; k++)
        found = bsearch(&key[k], r->stem, (size_t)r->f->n, sizeof *key, by_text);
    while (found && found > r->stem && by_text(found - 1, found) == 0)
        found--;
    return found;
}

static int32_t find_class(const struct reading *r, const char *text, size_t n)
{
    int32_t label = NO_LABEL;
    for (n = trim(text, n); n && label < 0; n = shorten(text, n))
        label = class_of(r->known, text, n);
    return label;
}

static void give(const struct reading *r, const struct stem *first, int32_t label)
{
    for (const struct stem *s = first; s < r->stem + r->f->n && by_text(s, first) == 0; s++)
        r->f->file[s->image].label = label;
}

// Names may have blanks: the longest beginning that is an image with a class behind it counts.
static int take_line(struct reading *r, const char *line, size_t n, struct error *e)
{
    const char *wrong = NULL, *end = line + n;
    r->line++;
    for (; line < end && is_between(*line); line++)
        continue;
    n = trim(line, (size_t)(end - line));
    end = line + n;
    if (!n)
        return 0;
    for (size_t k = n < NAMES_MOST ? n : shorten(line, NAMES_MOST); k; k = shorten(line, k)) {
        const struct stem *found = find_image(r, line, k);
        if (!found)
            continue;
        for (wrong = line + k; wrong < end && is_between(*wrong); wrong++)
            continue;
        int32_t label = find_class(r, wrong, (size_t)(end - wrong));
        if (label >= 0)
            return give(r, found, label), 0;
        if (wrong < end)
            break;
    }
    if (!wrong) {
        r->stray = r->stray || r->line == 1 ? r->stray : r->line;
        return 0;
    }
    size_t len = word_of(wrong, (size_t)(end - wrong));
    return error_set(e,
                     "line %lld of %.100s: the training images have no class '%.*s' (numbers "
                     "count from 0 in the order of their folders)",
                     (long long)r->line, r->path, (int)(len < 40 ? len : 40), wrong);
}

// Perhaps its line has its name spelled otherwise.
static int no_label(const struct reading *r, int64_t image, struct error *e)
{
    char line[60] = "";
    if (r->stray)
        snprintf(line, sizeof line, "; line %lld names no image that is there",
                 (long long)r->stray);
    return error_set(e, "%.100s has no label for %.200s%s", r->path, folder_path(r->f, image),
                     line);
}

static char *read_text(int root, const char *path, size_t *n, struct error *e)
{
    struct stat st;
    int fd = openat(root, path, O_RDONLY | O_CLOEXEC);
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    char *text = NULL;
    if (!f || fstat(fd, &st) != 0)
        error_system(e, "cannot read the labels in %.200s", path);
    else if (st.st_size > FILE_MOST)
        error_set(e, "%.200s is too large for a list of labels", path);
    else if (!(text = malloc((size_t)st.st_size + 1)))
        error_memory(e, "the labels in %.200s", path);
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
    struct reading r = {known, f, stem, path, 0, 0};
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) // as Windows begins a text
        at = 3;
    while (rc == 0 && text_line(text, n, &at, &line, &len))
        rc = take_line(&r, line, len, e);
    for (int64_t i = 0; i < f->n && rc == 0; i++)
        if (f->file[i].label < 0)
            rc = no_label(&r, i, e);
    free(text);
    free(stem);
    return rc;
}
