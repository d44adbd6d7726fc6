// Names are compared as words: a class called "strain" is none to train on.
#include "data/sets/splits.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/sets/folder.h"
#include "metrics/base/path.h"
#include "metrics/base/text.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

// Those to test on in the order in which they are taken.
static const char *const to_train[] = {"train", "training", "trn", "trainval"};
static const char *const to_test[] = {"val",        "test",     "valid", "validation",
                                      "testing",    "validate", "dev",   "eval",
                                      "evaluation", "holdout",  "tst"};

// The folders in one; hidden ones are none.
struct list {
    char **name;
    int n;
};

static int is_folder(int root, const char *name)
{
    struct stat st;
    return fstatat(root, name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static int read_list(int root, struct list *l, struct error *e)
{
    struct dirent **entry = NULL;
    int n = scandirat(root, ".", &entry, NULL, alphasort);
    *l = (struct list){0};
    if (n < 0)
        return error_system(e, "cannot read the folder");
    l->name = calloc((size_t)n + 1, sizeof *l->name);
    int rc = l->name ? 0 : error_memory(e, "%d names", n);
    for (int i = 0; i < n; i++) {
        if (rc == 0 && folder_shows(entry[i]->d_name) && entry[i]->d_type != DT_REG &&
            is_folder(root, entry[i]->d_name) && !(l->name[l->n++] = strdup(entry[i]->d_name)))
            l->n--, rc = error_memory(e, "%d names", n);
        free(entry[i]);
    }
    free(entry);
    return rc;
}

static void free_list(struct list *l)
{
    for (int i = 0; i < l->n; i++)
        free(l->name[i]);
    free(l->name);
}

// The folder of one of these names, the first that is there, else in any case of its letters; -1.
static int find_plain(const struct list *l, const char *const *name, int n)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < l->n; k++)
            if (strcmp(l->name[k], name[i]) == 0)
                return k;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < l->n; k++)
            if (strcasecmp(l->name[k], name[i]) == 0)
                return k;
    return -1;
}

// ---------------------------------------------------------------- words within names

static int is_letter(char c)
{
    return isalpha((unsigned char)c) != 0;
}

// Whether letters that stand behind a word leave it one: "trainset", "testImages".
static int may_follow(const char *rest)
{
    static const char *const word[] = {"set", "data", "image", "img", "split"};
    if (!is_letter(*rest) || isupper((unsigned char)*rest))
        return 1;
    for (int i = 0; i < COUNT(word); i++)
        if (strncasecmp(rest, word[i], strlen(word[i])) == 0)
            return 1;
    return 0;
}

// The word in a name, or NULL.
static const char *find_word(const char *name, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = name; (at = strcasestr(at, word)); at++)
        if ((at == name || !is_letter(at[-1]) ||
             (isupper((unsigned char)*at) && islower((unsigned char)at[-1]))) &&
            may_follow(at + n))
            return at;
    return NULL;
}

// Whether two names differ in these words alone.
static int differ_in(const char *a, const char *word_a, const char *b, const char *word_b)
{
    const char *x = find_word(a, word_a), *y = find_word(b, word_b);
    return x && y && x - a == y - b && strncasecmp(a, b, (size_t)(x - a)) == 0 &&
           strcasecmp(x + strlen(word_a), y + strlen(word_b)) == 0;
}

static int find_any(const struct list *l, const char *const *word, int n)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < l->n; k++)
            if (find_word(l->name[k], word[i]))
                return k;
    return -1;
}

// 1: two folders of such names.
static int find_pair(const struct list *l, int *train, int *test)
{
    for (int i = 0; i < COUNT(to_train); i++)
        for (*train = 0; *train < l->n; ++*train)
            for (int j = 0; find_word(l->name[*train], to_train[i]) && j < COUNT(to_test); j++)
                for (*test = 0; *test < l->n; ++*test)
                    if (differ_in(l->name[*train], to_train[i], l->name[*test], to_test[j]))
                        return 1;
    return 0;
}

static int is_plain(const char *name)
{
    char *one[] = {(char *)name};
    const struct list l = {one, 1};
    return find_plain(&l, to_train, COUNT(to_train)) == 0 ||
           find_plain(&l, to_test, COUNT(to_test)) == 0;
}

// ---------------------------------------------------------------- what is said

static void say(struct splits *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct splits *s, const char *format, ...)
{
    char text[sizeof s->notice];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    text_item(s->notice, sizeof s->notice, "; ", "%.199s", text);
}

// Folders beside the splits.
static void say_unread(struct splits *s, const struct list *l, int train, int test)
{
    char text[160] = "";
    int more = 0;
    for (int k = 0; k < l->n; k++)
        if (k != train && k != test && ++more <= 3)
            text_item(text, sizeof text, ", ", "%.40s", l->name[k]);
    if (more > 3)
        text_add(text, sizeof text, " and %d more", more - 3);
    if (more && test >= 0)
        say(s, "%.40s and %.40s are read, not %s", l->name[train], l->name[test], text);
    else if (more)
        say(s,
            "beside %.40s there is no folder to test on (val, test, ...), and nothing is probed; "
            "not read: %s",
            l->name[train], text);
}

static int is_link(int folder, const char *name)
{
    struct stat st;
    return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

// Say where splits lie that are none: in this folder, or up to `depth` deeper where folders are
// few. Not in lists of their own: a class may have a million images.
static int say_below(struct splits *s, const char *folder, int depth)
{
    enum { FEW = 8 };
    for (int i = 0; i < COUNT(to_train); i++)
        for (int j = 0;
             j < COUNT(to_test) && is_folder(s->root, path_of("%s/%s", folder, to_train[i]).s); j++)
            if (is_folder(s->root, path_of("%s/%s", folder, to_test[j]).s)) {
                say(s,
                    "%.60s/%s and %.60s/%s lie in a class: all of it is trained on; name their "
                    "folder to split by them",
                    folder, to_train[i], folder, to_test[j]);
                return 1;
            }
    struct list l = {0};
    int found = 0, fd = depth ? openat(s->root, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0 && read_list(fd, &l, NULL) == 0 && l.n <= FEW)
        for (int k = 0; k < l.n && !found; k++)
            found = !is_link(fd, l.name[k]) &&
                    say_below(s, path_of("%s/%s", folder, l.name[k]).s, depth - 1);
    free_list(&l);
    if (fd >= 0)
        close(fd);
    return found;
}

// Splits within classes, as of sets of many objects, or of archives that have much around them.
static void say_within(struct splits *s, const struct list *l)
{
    enum { FEW = 8, DEEP = 3 };
    for (int k = 0; k < l->n; k++)
        if (say_below(s, l->name[k], l->n <= FEW ? DEEP : 0))
            return;
}

// One class with folders alone in it: nobody trains to tell one class from none.
static void say_single(struct splits *s, const struct list *l)
{
    struct list inner = {0};
    int fd = l->n == 1 ? openat(s->root, l->name[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0 && read_list(fd, &inner, NULL) == 0 && inner.n > 1)
        say(s, "there is one class, %.60s: if the %d folders in it are the classes, name it, too",
            l->name[0], inner.n);
    free_list(&inner);
    if (fd >= 0)
        close(fd);
}

// ---------------------------------------------------------------- finding them

static int keep(struct splits *s, const struct list *l, int train, int test, struct error *e)
{
    s->train = train >= 0 ? strdup(l->name[train]) : NULL;
    s->test = test >= 0 ? strdup(l->name[test]) : NULL;
    return (train < 0 || s->train) && (test < 0 || s->test)
               ? 0
               : error_memory(e, "the name of a folder");
}

// 1: the folder has no splits.
static int find_here(struct splits *s, const struct list *l, struct error *e)
{
    int train = find_plain(l, to_train, COUNT(to_train));
    int test = find_plain(l, to_test, COUNT(to_test));
    // Names that may as well be a class's mean a split only beside images to train on.
    if (train < 0 && test >= 0 && (!strcmp(l->name[test], "val") || !strcmp(l->name[test], "test")))
        return error_set(e, "it has %s/ but no train/", l->name[test]);
    if (train < 0 && !find_pair(l, &train, &test))
        return 1;
    if (test < 0) // val_images
        test = find_any(l, to_test, COUNT(to_test));
    if (test >= 0 && (!is_plain(l->name[train]) || !is_plain(l->name[test])))
        say(s, "%.60s is trained on, %.60s is tested on", l->name[train], l->name[test]);
    say_unread(s, l, train, test);
    return keep(s, l, train, test, e);
}

// Splits in the only folder there, or in the only one of that, as archives have them; 1: none.
static int find_inside(struct splits *s, const struct list *outer)
{
    enum { DEEP = 6 };
    struct list l = {0};
    struct path at = path_of("%s", outer->name[0]);
    for (int depth = 0; depth < DEEP; depth++) {
        struct splits inner = {.root = openat(s->root, at.s, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        int rc = inner.root >= 0 ? read_list(inner.root, &l, NULL) : -1;
        if (rc == 0)
            rc = find_here(&inner, &l, NULL);
        if (rc == 0) {
            say(&inner, "they lie in %.100s", at.s);
            close(s->root);
            *s = inner;
            free_list(&l);
            return 0;
        }
        splits_free(&inner);
        int only = rc == 1 && l.n == 1;
        at = path_of("%s/%s", at.s, only ? l.name[0] : "");
        free_list(&l);
        if (!only)
            break;
    }
    return 1;
}

// Where the folders are the classes: those whose names mean something else to people.
static void say_classes(struct splits *s, const struct list *l)
{
    int train = find_any(l, to_train, COUNT(to_train));
    int test = find_any(l, to_test, COUNT(to_test));
    if (train >= 0 && test >= 0)
        say(s, "%.60s and %.60s are taken for classes: splits are called train and val",
            l->name[train], l->name[test]);
    else if ((test = find_plain(l, to_test, COUNT(to_test))) >= 0)
        say(s, "%.60s is taken for a class and trained on: there is no train beside it",
            l->name[test]);
    say_within(s, l);
    if (!*s->notice)
        say_single(s, l);
}

int splits_find(const char *dir, struct splits *out, struct error *e)
{
    struct list list = {0};
    char clean[sizeof out->notice];
    *out = (struct splits){.root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (out->root < 0)
        return error_system(e, "cannot open the folder %.300s", dir);
    int rc = read_list(out->root, &list, e);
    if (rc == 0)
        rc = find_here(out, &list, e);
    if (rc == 1 && list.n == 1)
        rc = find_inside(out, &list);
    if (rc == 1) {
        say_classes(out, &list);
        rc = 0;
    }
    free_list(&list);
    text_clean(clean, sizeof clean, out->notice);
    memcpy(out->notice, clean, sizeof clean);
    if (rc < 0)
        splits_free(out);
    return rc;
}

void splits_free(struct splits *s)
{
    if (s->root >= 0)
        close(s->root);
    free(s->train);
    free(s->test);
    *s = (struct splits){.root = -1};
}
