// A walk in the order of names, byte by byte.
#include "data/sets/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/memory.h"

enum { LABEL_NONE = -1 };

// ---------------------------------------------------------------- folders that were entered

// A set of them; open addressing, at most half full.
struct seen {
    struct seen_slot {
        dev_t dev;
        ino_t ino;
        int used;
    } * slot;
    size_t n, cap; // cap: 0 or a power of two
};

static struct seen_slot *seen_find(const struct seen *s, dev_t dev, ino_t ino)
{
    uint64_t hash = ((uint64_t)ino + (uint64_t)dev * 0x9e3779b97f4a7c15u) * 0xd6e8feb86659fd93u;
    size_t at = (size_t)(hash >> 20) & (s->cap - 1);
    while (s->slot[at].used && (s->slot[at].dev != dev || s->slot[at].ino != ino))
        at = (at + 1) & (s->cap - 1);
    return &s->slot[at];
}

static int seen_has(const struct seen *s, const struct stat *st)
{
    return s->cap > 0 && seen_find(s, st->st_dev, st->st_ino)->used;
}

static int seen_grow(struct seen *s, struct error *e)
{
    struct seen more = {.n = s->n, .cap = s->cap ? 2 * s->cap : 64};
    more.slot = calloc(more.cap, sizeof *more.slot);
    if (!more.slot)
        return error_memory(e, "%zu folders", more.cap);
    for (size_t i = 0; i < s->cap; i++)
        if (s->slot[i].used)
            *seen_find(&more, s->slot[i].dev, s->slot[i].ino) = s->slot[i];
    free(s->slot);
    *s = more;
    return 0;
}

// 1: it is new. 0: it was there. -1: out of memory.
static int seen_add(struct seen *s, const struct stat *st, struct error *e)
{
    if (2 * (s->n + 1) > s->cap && seen_grow(s, e) < 0)
        return -1;
    struct seen_slot *at = seen_find(s, st->st_dev, st->st_ino);
    if (at->used)
        return 0;
    *at = (struct seen_slot){st->st_dev, st->st_ino, 1};
    s->n++;
    return 1;
}

static void seen_clear(struct seen *s)
{
    if (s->cap)
        memset(s->slot, 0, s->cap * sizeof *s->slot);
    s->n = 0;
}

// A folder and all that it lies in.
static int seen_upwards(struct seen *s, int root, const char *path, struct error *e)
{
    struct stat st;
    int fd = openat(root, path, O_PATH | O_DIRECTORY | O_CLOEXEC), rc = 1;
    if (fd < 0)
        return error_system(e, "cannot look at %.300s", path);
    while (fd >= 0 && rc > 0 && fstat(fd, &st) == 0) {
        rc = seen_add(s, &st, e); // what is there has all above it with it; / is its own parent
        int up = rc > 0 ? openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
        close(fd);
        fd = up;
    }
    if (fd >= 0)
        close(fd);
    return rc < 0 ? -1 : 0;
}

// ---------------------------------------------------------------- the walk

struct walk {
    int root;
    struct folder *f;
    int32_t label;
    const char *labels; // a file that is not passed over, or NULL
    struct seen outer;  // root, NAME and what they lie in
    struct seen class;  // of this class: entered, or it lies in it
};

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

// What systems put beside the files of people is hidden, too.
int folder_shows(const char *name)
{
    static const char *const system[] = {"__MACOSX", "lost+found", "@eaDir", "$RECYCLE.BIN",
                                         "System Volume Information"};
    for (size_t i = 0; i < sizeof system / sizeof *system; i++)
        if (strcmp(name, system[i]) == 0)
            return 0;
    return *name != '.';
}

static int visible(const struct dirent *d)
{
    return folder_shows(d->d_name);
}

static void free_list(struct dirent **list, int n)
{
    for (int i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

static int is_image(const char *name)
{
    static const char *const end[] = {".jpg", ".jpeg", ".png", ".webp"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof end / sizeof *end; i++)
        if (n > strlen(end[i]) && strcasecmp(name + n - strlen(end[i]), end[i]) == 0)
            return 1;
    return 0;
}

static void pass_over(struct folder *f, const char *name)
{
    enum { KINDS = sizeof f->ending / sizeof *f->ending };
    const char *end = strrchr(name, '.');
    int i = 0;
    f->other++;
    while (end && i < KINDS && *f->ending[i] && strcasecmp(f->ending[i], end) != 0)
        i++;
    if (end && i < KINDS && strlen(end) < sizeof *f->ending)
        strcpy(f->ending[i], end);
}

static int add(struct folder *f, const char *path, int32_t label, struct error *e)
{
    size_t n = strlen(path) + 1;
    if (f->n == INT32_MAX)
        return error_set(e, "more than %d images", INT32_MAX);
    if (memory_grow(f->text, f->room, f->used + n) < 0 ||
        memory_grow(f->file, f->cap, f->n + 1) < 0)
        return error_memory(e, "the names of %lld files", (long long)f->n);
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

static int read_folder(struct walk *w, const char *path, int depth, struct error *e);

// A folder below another one, unless the walk has been there or would come round.
static int enter(struct walk *w, const char *path, const struct stat *st, int depth,
                 struct error *e)
{
    if (seen_has(&w->outer, st) || seen_has(&w->class, st))
        return 0;
    if (depth > FOLDER_DEPTH) {
        w->f->deep++;
        return 0;
    }
    return seen_add(&w->class, st, e) < 0 ? -1 : read_folder(w, path, depth, e);
}

static int read_folder(struct walk *w, const char *path, int depth, struct error *e)
{
    struct dirent **list = NULL;
    int n = scandirat(w->root, path, &list, visible, by_name), rc = 0;
    if (n < 0)
        return error_system(e, "cannot read the folder %.300s", path);
    char *child = malloc(PATH_MAX);
    if (!child)
        rc = error_memory(e, "a path");
    for (int i = 0; i < n && rc == 0; i++) {
        struct stat st;
        rc = join(child, path, list[i]->d_name, e);
        if (rc < 0)
            break;
        // A file that is not there (a broken link) or is none is found out when its head is read.
        if (fstatat(w->root, child, &st, 0) == 0 && S_ISDIR(st.st_mode))
            rc = enter(w, child, &st, depth + 1, e);
        else if (is_image(list[i]->d_name))
            rc = add(w->f, child, w->label, e);
        else if (!w->labels || strcmp(list[i]->d_name, w->labels) != 0)
            pass_over(w->f, list[i]->d_name);
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
        return error_system(e, "cannot read the folder %.300s", name);
    f->class_name = calloc((size_t)n + 1, sizeof *f->class_name);
    char *child = malloc(PATH_MAX);
    if (!f->class_name || !child)
        rc = error_memory(e, "%d classes", n);
    for (int i = 0; i < n && rc == 0; i++) {
        struct stat st;
        rc = join(child, name, list[i]->d_name, e);
        if (rc < 0)
            break;
        if (fstatat(root, child, &st, 0) != 0 || !S_ISDIR(st.st_mode)) {
            f->beside += is_image(list[i]->d_name);
            continue;
        }
        f->class_name[f->classes] = strdup(list[i]->d_name);
        rc = f->class_name[f->classes++] ? 0 : error_memory(e, "%d classes", n);
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

// All of one class: PATH.
static int read_class(struct walk *w, const char *path, struct error *e)
{
    struct stat st;
    if (fstatat(w->root, path, &st, 0) != 0)
        return error_system(e, "cannot look at %.300s", path);
    seen_clear(&w->class);
    if (seen_has(&w->outer, &st))
        return 0;
    return seen_upwards(&w->class, w->root, path, e) < 0 ? -1 : read_folder(w, path, 1, e);
}

static int read_classes(struct walk *w, const char *name, const struct folder *known,
                        struct error *e)
{
    struct folder *f = w->f;
    char *child = malloc(PATH_MAX);
    int rc = child ? 0 : error_memory(e, "a path");
    for (int i = 0; i < f->classes && rc == 0; i++) {
        int64_t before = f->n;
        w->label = label_of(known, f->class_name[i]);
        if (w->label < 0)
            rc = error_set(e, "%.100s has a class %.200s that the training images do not have",
                           name, f->class_name[i]);
        else
            rc = join(child, name, f->class_name[i], e);
        if (rc == 0)
            rc = read_class(w, child, e);
        if (f->n == before && f->empty++ == 0)
            f->first_empty = i;
    }
    free(child);
    return rc;
}

static const char *shown(const char *name)
{
    return strcmp(name, ".") == 0 ? "the folder" : name;
}

// " (.bmp, .gif)"
static void list_endings(const struct folder *f, char *text, size_t size)
{
    size_t n = 0;
    *text = '\0';
    for (int i = 0; i < 3 && *f->ending[i]; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%s", i ? ", " : " (", f->ending[i]);
    snprintf(text + n, size - n, "%s", n ? ")" : "");
}

static int say_none(const struct folder *f, const char *name, struct error *e)
{
    char endings[40];
    list_endings(f, endings, sizeof endings);
    if (!f->other)
        return error_set(e, "there is no JPEG, PNG or WebP in %.300s", shown(name));
    return error_set(e, "there is no JPEG, PNG or WebP in %.300s, but %" PRId64 " other file%s%s",
                     shown(name), f->other, f->other == 1 ? "" : "s", endings);
}

int folder_read(int root, const char *name, const struct folder *known, const char *labels,
                struct folder *out, struct error *e)
{
    struct walk w = {.root = root, .f = out, .label = LABEL_NONE, .labels = labels};
    memset(out, 0, sizeof *out);
    int rc = labels ? 0 : find_classes(root, name, out, e);
    if (rc == 0)
        rc = seen_upwards(&w.outer, root, ".", e);
    if (rc == 0)
        rc = seen_upwards(&w.outer, root, name, e);
    if (rc == 0)
        rc = out->classes ? read_classes(&w, name, known ? known : out, e)
                          : read_folder(&w, name, 0, e);
    free(w.outer.slot);
    free(w.class.slot);
    if (!out->classes)
        out->beside = 0;
    if (rc == 0 && out->n == 0)
        rc = say_none(out, name, e);
    if (rc < 0)
        folder_free(out);
    return rc;
}

void folder_notice(const struct folder *f, const char *name, char *text, size_t size)
{
    text[0] = '\0';
    FILE *to = f->beside || f->empty || f->deep || f->other ? fmemopen(text, size, "w") : NULL;
    if (!to)
        return;
    fprintf(to, "passed over in %.60s", shown(name));
    const char *mark = ": ";
    if (f->beside) {
        fprintf(to, "%s%" PRId64 " image%s beside the folders of classes", mark, f->beside,
                f->beside == 1 ? "" : "s");
        mark = "; ";
    }
    if (f->empty) {
        fprintf(to, "%s%d class%s without an image%s%.100s", mark, f->empty,
                f->empty == 1 ? "" : "es", f->empty == 1 ? ": " : ", the first is ",
                f->class_name[f->first_empty]);
        mark = "; ";
    }
    if (f->other) {
        char endings[40];
        list_endings(f, endings, sizeof endings);
        fprintf(to, "%s%" PRId64 " file%s by the end of the name%s: JPEG, PNG and WebP are read",
                mark, f->other, f->other == 1 ? "" : "s", endings);
        mark = "; ";
    }
    if (f->deep)
        fprintf(to, "%s%" PRId64 " folder%s more than %d deep", mark, f->deep,
                f->deep == 1 ? "" : "s", FOLDER_DEPTH);
    fclose(to);
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
