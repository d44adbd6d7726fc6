// Lists of run folders for the command line. Reads logs as they are: a running, a killed and a
// damaged one all have something to say.
#include "train/run/runs.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/memory.h"
#include "metrics/base/path.h"
#include "metrics/log/cursor.h"
#include "train/wire/control.h"
#include "train/store/rundir.h"

enum { STATUS_MS = 300 };

static int is_run(const char *path)
{
    return path_is_file(path_of("%s/run.jsonl.zst", path).s);
}

static void fill_run(struct runs_info *info, const struct record_run *r)
{
    text_clean(info->created, sizeof info->created, r->created);
    text_clean(info->dataset, sizeof info->dataset, r->dataset.name);
    text_clean(info->arch, sizeof info->arch, r->model.arch);
    info->width = r->model.width;
    info->steps = r->steps;
}

// From its log: what it is (the first record), and unless only that is asked for, how far it came
// and how it ended. -1: that can't be read.
static int read_log(const char *path, int all, struct runs_info *info)
{
    struct cursor *c;
    struct record r;
    int more = 1, have_run = 0, rc = 1;
    if (cursor_open(path_of("%s/run.jsonl.zst", path).s, &c, NULL))
        return -1;
    cursor_want(c, &(struct cursor_wanted){.kinds = 1u << RUNLOG_SCALARS});
    for (; more && (rc = cursor_record(c, &r, NULL)) == 1; record_free(&r)) {
        if (r.type == RECORD_RUN && !have_run) {
            fill_run(info, &r.u.run);
            have_run = 1;
            more = all;
        } else if (r.type == RECORD_STEP) {
            info->step = r.step;
            info->state[0] = '\0';
        } else if (r.type == RECORD_END) {
            text_clean(info->state, sizeof info->state, r.u.end.reason);
        }
    }
    cursor_free(c);
    return have_run && rc >= 0 ? 0 : -1;
}

// Whether a living trainer is paused: it is asked.
static int says_paused(const char *path)
{
    struct command_call c = {.command = COMMAND_STATUS, .id = 1, .by = "ctl", .factor = 1};
    struct answer a;
    int fd = control_connect(path, 0, NULL);
    if (fd < 0)
        return 0;
    int rc = control_call(fd, &c, STATUS_MS, &a, NULL);
    close(fd);
    return rc == 0 && a.paused == 1;
}

static int fill(const char *runs, const char *name, int all, struct runs_info *info)
{
    memset(info, 0, sizeof *info);
    info->step = -1;
    if (snprintf(info->path, sizeof info->path, "%s/%s", runs, name) >= (int)sizeof info->path ||
        !is_run(info->path))
        return 0;
    text_clean(info->name, sizeof info->name, name);
    int read = read_log(info->path, all, info) == 0;
    int alive = rundir_alive(info->path);
    info->alive = alive > 0;
    if (info->alive)
        snprintf(info->state, sizeof info->state, "%s",
                 all && says_paused(info->path) ? "paused" : "running");
    else if (alive < 0 || (!info->state[0] && !read))
        snprintf(info->state, sizeof info->state, "unknown");
    else if (!info->state[0])
        snprintf(info->state, sizeof info->state, "died");
    return 1;
}

static int newest_first(const void *a, const void *b)
{
    const struct runs_info *x = a, *y = b;
    int c = strcmp(y->created, x->created);
    return c ? c : strcmp(y->name, x->name);
}

static int list(const char *runs, int all, struct runs_info **out, int *n, struct error *e)
{
    size_t used = 0, cap = 0;
    DIR *d = opendir(runs);
    *out = NULL;
    *n = 0;
    if (!d) {
        if (errno == ENOENT)
            return 0; // nothing was ever trained here
        return error_system(e, "can't read %s", runs);
    }
    for (struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        if (entry->d_name[0] == '.')
            continue;
        if (memory_grow(*out, cap, used + 1) < 0) {
            free(*out);
            *out = NULL;
            closedir(d);
            return error_memory(e, "a list of runs");
        }
        used += (size_t)fill(runs, entry->d_name, all, &(*out)[used]);
    }
    closedir(d);
    if (used)
        qsort(*out, used, sizeof **out, newest_first);
    *n = (int)used;
    return 0;
}

int runs_list(const char *runs, struct runs_info **out, int *n, struct error *e)
{
    return list(runs, 1, out, n, e);
}

static int find_newest(const char *runs, int want_alive, char *path, size_t size, struct error *e)
{
    struct runs_info *all;
    int n, best = -1;
    if (list(runs, 0, &all, &n, e) < 0)
        return -1;
    for (int i = 0; i < n && want_alive && best < 0; i++)
        if (all[i].alive)
            best = i;
    if (best < 0 && n > 0)
        best = 0;
    int rc = 0;
    if (best < 0)
        rc = error_set(e, "there is no run in %s", runs);
    else if (snprintf(path, size, "%s", all[best].path) >= (int)size)
        rc = error_set(e, "the path of the run is too long");
    free(all);
    return rc;
}

int runs_find(const char *runs, const char *run, int want_alive, char *path, size_t size,
              struct error *e)
{
    char shown[128];
    if (!*run)
        return find_newest(runs, want_alive, path, size, e);
    int hidden = errno = 0;
    if (!strchr(run, '/') && strcmp(run, ".") != 0 && strcmp(run, "..") != 0 &&
        snprintf(path, size, "%s/%s", runs, run) < (int)size) {
        if (is_run(path))
            return 0;
        hidden = errno == EACCES;
    }
    if (snprintf(path, size, "%s", run) < (int)size && is_run(path))
        return 0;
    text_clean(shown, sizeof shown, run);
    if (hidden || errno == EACCES)
        return error_number(e, EACCES, "can't look at the run %s", shown);
    return error_set(e, "there is no run %s, neither in %s nor as a folder", shown, runs);
}
