// A walk in the order of names, byte by byte.
#include "data/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 32, LABEL_NONE = -1 };

// A folder on the way down, so that a link to one of them is not taken.
struct level {
    const struct level *up;
    dev_t dev;
    ino_t ino;
    int depth;
};

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static void free_list(struct dirent **list, int n)
{
    for (int i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

static int is_image(const char *name)
{
    static const char *const end[] = {".jpg", ".jpeg", ".png"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof end / sizeof *end; i++)
        if (n > strlen(end[i]) && strcasecmp(name + n - strlen(end[i]), end[i]) == 0)
            return 1;
    return 0;
}

static int add(struct folder *f, const char *path, int32_t label, struct error *e)
{
    size_t n = strlen(path) + 1;
    if (f->n == INT32_MAX)
        return error_set(e, "more than %d images", INT32_MAX);
    if (f->used + n > f->room) {
        size_t room = f->room * 2 + n + 4096;
        char *text = realloc(f->text, room);
        if (!text)
            return error_set(e, "out of memory for file names");
        f->text = text;
        f->room = room;
    }
    if (f->n == f->cap) {
        int64_t cap = f->cap * 2 + 64;
        struct folder_file *file = realloc(f->file, (size_t)cap * sizeof *file);
        if (!file)
            return error_set(e, "out of memory for %lld files", (long long)cap);
        f->file = file;
        f->cap = cap;
    }
    memcpy(f->text + f->used, path, n);
    f->file[f->n++] = (struct folder_file){f->used, label};
    f->used += n;
    return 0;
}

static int join(char *to, const char *folder, const char *name, struct error *e)
{
    int n = strcmp(folder, ".") == 0 ? snprintf(to, PATH_MAX, "%s", name)
                                     : snprintf(to, PATH_MAX, "%s/%s", folder, name);
    return n < PATH_MAX ? 0 : error_set(e, "%.200s...: a path of more than %d bytes", to, PATH_MAX);
}

// Whether this is a folder that the walk came through, or too deep.
static int goes_round(const struct level *up, const struct stat *st)
{
    if (up && up->depth >= DEPTH_MAX)
        return 1;
    for (; up; up = up->up)
        if (up->dev == st->st_dev && up->ino == st->st_ino)
            return 1;
    return 0;
}

static int walk(int root, const char *path, int32_t label, const struct level *up, struct folder *f,
                struct error *e)
{
    struct dirent **list = NULL;
    struct stat st;
    if (fstatat(root, path, &st, 0) != 0)
        return error_set(e, "cannot look at %.300s: %s", path, strerror(errno));
    if (goes_round(up, &st))
        return 0;
    struct level here = {up, st.st_dev, st.st_ino, up ? up->depth + 1 : 0};
    int n = scandirat(root, path, &list, visible, by_name), rc = 0;
    if (n < 0)
        return error_set(e, "cannot read the folder %.300s: %s", path, strerror(errno));
    char *child = malloc(PATH_MAX);
    if (!child)
        rc = error_set(e, "out of memory for a path");
    for (int i = 0; i < n && rc == 0; i++) {
        rc = join(child, path, list[i]->d_name, e);
        if (rc < 0)
            break;
        // A file that is not there (a broken link) or is none is found out when its head is read.
        int folder = fstatat(root, child, &st, 0) == 0 && S_ISDIR(st.st_mode);
        if (folder)
            rc = walk(root, child, label, &here, f, e);
        else if (is_image(list[i]->d_name))
            rc = add(f, child, label, e);
    }
    free(child);
    free_list(list, n);
    return rc;
}

// The folders in `name`, sorted, are the classes.
static int find_classes(int root, const char *name, struct folder *f, struct error *e)
{
    struct dirent **list = NULL;
    int n = scandirat(root, name, &list, visible, by_name), rc = 0;
    if (n < 0)
        return error_set(e, "cannot read the folder %.300s: %s", name, strerror(errno));
    f->class_name = calloc((size_t)n + 1, sizeof *f->class_name);
    char *child = malloc(PATH_MAX);
    if (!f->class_name || !child)
        rc = error_set(e, "out of memory for %d classes", n);
    for (int i = 0; i < n && rc == 0; i++) {
        struct stat st;
        rc = join(child, name, list[i]->d_name, e);
        if (rc < 0 || fstatat(root, child, &st, 0) != 0 || !S_ISDIR(st.st_mode))
            continue;
        f->class_name[f->classes] = strdup(list[i]->d_name);
        rc = f->class_name[f->classes++] ? 0 : error_set(e, "out of memory for %d classes", n);
    }
    free(child);
    free_list(list, n);
    return rc;
}

static int compare(const void *key, const void *entry)
{
    return strcmp(key, *(char *const *)entry);
}

// The label of a class, or -1.
static int32_t label_of(const struct folder *known, const char *name)
{
    // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): every class has a name
    char **at = bsearch(name, known->class_name, (size_t)known->classes, sizeof *known->class_name,
                        compare);
    return at ? (int32_t)(at - known->class_name) : -1;
}

static int read_classes(int root, const char *name, const struct folder *known, struct folder *f,
                        struct error *e)
{
    struct stat st = {0};
    char *child = malloc(PATH_MAX);
    int rc = child ? 0 : error_set(e, "out of memory for a path");
    if (rc == 0 && fstatat(root, name, &st, 0) != 0)
        rc = error_set(e, "cannot look at %.300s: %s", name, strerror(errno));
    struct level here = {NULL, st.st_dev, st.st_ino, 0};
    for (int i = 0; i < f->classes && rc == 0; i++) {
        int32_t label = label_of(known, f->class_name[i]);
        if (label < 0)
            rc = error_set(e, "%.100s has a class %.200s that the training images do not have",
                           name, f->class_name[i]);
        else
            rc = join(child, name, f->class_name[i], e);
        if (rc == 0)
            rc = walk(root, child, label, &here, f, e);
    }
    free(child);
    return rc;
}

int folder_read(int root, const char *name, const struct folder *known, struct folder *out,
                struct error *e)
{
    memset(out, 0, sizeof *out);
    int rc = find_classes(root, name, out, e);
    if (rc == 0)
        rc = out->classes ? read_classes(root, name, known ? known : out, out, e)
                          : walk(root, name, LABEL_NONE, NULL, out, e);
    if (rc == 0 && out->n == 0)
        rc = error_set(e, "there is no JPEG or PNG in %.300s", name);
    if (rc < 0)
        folder_free(out);
    return rc;
}

void folder_free(struct folder *f)
{
    for (int i = 0; i < f->classes; i++)
        free(f->class_name[i]);
    free(f->class_name);
    free(f->text);
    free(f->file);
    memset(f, 0, sizeof *f);
}
