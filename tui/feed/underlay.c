// Of a log only what makes curves is kept.
#include "tui/feed/underlay.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/path.h"
#include "metrics/base/text.h"
#include "metrics/log/cursor.h"
#include "metrics/log/run_facts.h"
#include "train/run/runs.h"

#define SUFFIX ".jsonl"

void underlay_free(struct underlay *r)
{
    history_free(&r->h);
    memset(r, 0, sizeof *r);
}

static int read_curves(struct underlay *r, struct cursor *c, struct error *e)
{
    struct record record;
    int rc, bad = 0;
    cursor_want(c, &(struct cursor_wanted){.kinds = 1u << RUNLOG_SCALARS, .newest = 1});
    for (; !bad && (rc = cursor_record(c, &record, e)) == 1; record_free(&record))
        if (record.type == RECORD_RUN || record.type == RECORD_STEP || record.type == RECORD_EVAL)
            bad = history_add(&r->h, &record, e);
    return bad || rc < 0 ? -1 : 0;
}

int underlay_open(struct underlay *r, const char *path, const char *name, struct error *e)
{
    struct cursor *c;
    memset(r, 0, sizeof *r);
    text_clean(r->name, sizeof r->name, name);
    if (history_init(&r->h, e) < 0)
        return -1;
    int rc = cursor_open(path, &c, e);
    if (rc == 0) {
        rc = read_curves(r, c, e);
        cursor_free(c);
    }
    if (rc == 0 && r->h.last_step < 0)
        rc = error_set(e, "there are no steps in it");
    return rc < 0 ? error_prefix(e, "reference %.300s", path) : 0;
}

// ---------------------------------------------------------------- those of the program

static int is_underlay(const struct dirent *d)
{
    size_t n = strlen(d->d_name), m = strlen(SUFFIX);
    return n > m && strcmp(d->d_name + n - m, SUFFIX) == 0;
}

// Calls `take` with each in turn, until it says that it has enough: 1.
static int each_installed(int (*take)(void *to, const char *path, const char *name), void *to)
{
    struct path folder[PATH_INSTALLED];
    int n = path_installed("SSLTOP_REFERENCE", "reference", folder), found = 0;
    for (int k = 0; k < n && !found; k++) {
        struct dirent **entry;
        int files = scandir(folder[k].s, &entry, is_underlay, alphasort), any = files > 0;
        for (int i = 0; i < files; i++) {
            char name[256];
            snprintf(name, sizeof name, "%.*s", (int)(strlen(entry[i]->d_name) - strlen(SUFFIX)),
                     entry[i]->d_name);
            found = found || take(to, path_of("%s/%s", folder[k].s, entry[i]->d_name).s, name);
            free(entry[i]);
        }
        if (files >= 0)
            free(entry);
        if (any) // a folder of these is all there is, as of recipes
            break;
    }
    return found;
}

struct nth {
    int left;
    char *text;
    size_t size;
};

static int take_nth(void *to, const char *path, const char *name)
{
    struct nth *n = to;
    if (n->left--)
        return 0;
    text_clean(n->text, n->size, name);
    return 1;
}

int underlay_value(int i, char *text, size_t size)
{
    struct nth n = {i, text, size};
    return each_installed(take_nth, &n);
}

struct sought {
    const char *word;            // a name, or NULL:
    const struct record_run *of; // one for such a run
    char *path;
    size_t size;
    char name[64];
};

static int is_for(const char *path, const struct record_run *run)
{
    struct cursor *c;
    struct record r;
    record_init(&r, RECORD_UNKNOWN, -1);
    if (cursor_open(path, &c, NULL) < 0)
        return 0;
    int rc =
        cursor_record(c, &r, NULL) == 1 && r.type == RECORD_RUN && run_facts_alike(&r.u.run, run);
    record_free(&r);
    cursor_free(c);
    return rc;
}

static int take_sought(void *to, const char *path, const char *name)
{
    struct sought *s = to;
    if (s->word ? strcmp(s->word, name) != 0 : !is_for(path, s->of))
        return 0;
    text_clean(s->name, sizeof s->name, name);
    return (size_t)snprintf(s->path, s->size, "%s", path) < s->size;
}

int underlay_for(const struct record_run *run, char *path, size_t size, char name[64])
{
    struct sought s = {.of = run, .path = path, .size = size};
    int found = each_installed(take_sought, &s);
    snprintf(name, 64, "%s", s.name);
    return found;
}

// ---------------------------------------------------------------- by its name

int underlay_find(const char *runs, const char *word, char *path, size_t size, struct error *e)
{
    char dir[4096], all[400] = "", name[64];
    int length = -1;
    if (path_is_file(word))
        length = snprintf(path, size, "%s", word);
    else if (runs_find(runs, word, 0, dir, sizeof dir, NULL) == 0)
        length = snprintf(path, size, "%s/run.jsonl.zst", dir);
    if (length >= 0)
        return (size_t)length < size ? 0 : error_set(e, "the path %.60s... is too long", word);
    struct sought s = {.word = word, .path = path, .size = size};
    if (each_installed(take_sought, &s))
        return 0;
    for (int i = 0; underlay_value(i, name, sizeof name); i++)
        text_item(all, sizeof all, ", ", "%s", name);
    return error_set(
        e,
        "there is no run, file or reference '%.100s' to lay under the curves; with the "
        "program %s%s",
        word, *all ? "come " : "comes none", all);
}

int underlay_check(const char *runs, const char *word, struct error *e)
{
    char path[4300];
    return strcmp(word, "auto") == 0 ? 0 : underlay_find(runs, word, path, sizeof path, e);
}

int underlay_for_run(struct underlay *r, const char *runs, const char *word,
                     const struct record_run *run, struct error *e)
{
    char path[4300], name[64];
    int rc = 0, automatic = !word || strcmp(word, "auto") == 0;
    memset(r, 0, sizeof *r);
    if (!automatic)
        rc = underlay_find(runs, word, path, sizeof path, e);
    else if (!run || !underlay_for(run, path, sizeof path, name))
        rc = error_set(e, "no reference comes with the program for this data set, network and "
                          "method: --reference RUN names one");
    if (rc == 0)
        rc = underlay_open(r, path, automatic ? name : word, e);
    if (rc < 0)
        underlay_free(r);
    return rc;
}
