// The beginnings of a run. A resumed or repeated run takes its options from its own record, so that
// it is the same run; what this call says on top of that is refused where it would make it another
// one.
#include "train/run/start.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/text.h"
#include "train/run/runs.h"
#include "train/schedule/schedule_text.h"
#include "train/store/rundir.h"

enum { FAILED = 1, REFUSED = 2 };

// Rows that are about this call and not about the run, though config.ini has them.
static const char *const free_rows[] = {"stop-at", "keep", "inexact"};
// What a checkpoint's tensors depend on.
static const char *const network_rows[] = {"arch", "stem",     "width",       "method",
                                           "dim",  "pred-dim", "proj-layers", "predictor"};
// What a schedule is read from.
static const char *const schedule_rows[] = {"schedule", "chunks"};
// What the choices made by timing depend on.
static const char *const timed_rows[] = {"data", "batch", "device", "threads", "precision"};
// What another machine may change when --inexact allows it.
static const char *const machine_rows[] = {"device", "threads", "precision"};

#define LIST(a) (a), sizeof(a) / sizeof *(a)

static int is_in(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0)
            return 1;
    return 0;
}

void start_free(struct start *a)
{
    earlier_free(&a->earlier);
    checkpoint_free(&a->checkpoint);
    memset(a, 0, sizeof *a);
}

// Rows that this call names, when nobody says: those that differ from their defaults.
static void guess_given(const struct options *o, unsigned char *given)
{
    struct options plain;
    char a[OPTION_TEXT], b[OPTION_TEXT];
    options_default(&plain);
    for (size_t i = 0; i < options_count; i++) {
        option_value(&options_table[i], o, a, sizeof a);
        option_value(&options_table[i], &plain, b, sizeof b);
        given[i] = strcmp(a, b) != 0;
    }
}

// Recorded options with this call's on top; rows that may not change are refused.
static int merge(struct start *a, const struct options *o, const unsigned char *given,
                 struct error *e)
{
    char was[OPTION_TEXT], now[OPTION_TEXT];
    options_default(&a->o);
    if (options_from_json(&a->o, a->earlier.run.u.run.config, e) < 0)
        return error_prefix(e, "%s", a->run);
    for (size_t i = 0; i < options_count; i++) {
        const struct option_row *row = &options_table[i];
        if (row->place != OPTION_CONFIG || !given[i] || is_in(row->name, LIST(free_rows)))
            continue;
        option_value(row, &a->o, was, sizeof was);
        option_value(row, o, now, sizeof now);
        if (strcmp(was, now) == 0)
            continue;
        // The same set elsewhere: the checksum of its images has to be the checkpoint's.
        if (strcmp(row->name, "data") == 0 && a->kind != START_BRANCH && strchr(was, ':') &&
            strncmp(was, now, (size_t)(strchr(was, ':') - was) + 1) == 0 &&
            strncmp(was, "synthetic:", 10) != 0)
            continue;
        if (is_in(row->name, LIST(network_rows)))
            return error_set(e, "--%s is %.64s in %s and its checkpoints: it can't become %.64s",
                             row->name, was, a->run, now);
        if (is_in(row->name, LIST(machine_rows)) && a->kind != START_BRANCH && !o->inexact)
            return error_set(e,
                             "--%s was %.64s in %s: with %.64s it is not the same to the last bit; "
                             "--inexact allows it",
                             row->name, was, a->run, now);
        if (!is_in(row->name, LIST(machine_rows)) && a->kind != START_BRANCH)
            return error_set(e,
                             "--%s was %.64s in %s and can't become %.64s in the same run; with "
                             "--name it becomes a branch",
                             row->name, was, a->run, now);
    }
    options_merge(&a->o, o, given);
    a->o.inexact = o->inexact;
    return 0;
}

// What only this call says.
static void copy_command(struct start *a, const struct options *o)
{
    memcpy(a->o.runs, o->runs, sizeof a->o.runs);
    memcpy(a->o.name, o->name, sizeof a->o.name);
    memcpy(a->o.on_nan, o->on_nan, sizeof a->o.on_nan);
    a->o.headless = o->headless;
    a->o.dry_run = o->dry_run;
    a->o.print_config = o->print_config;
    a->o.stop_at = o->stop_at;
    a->o.ranks = o->ranks;
    a->stop_at = o->stop_at;
}

// The checkpoint of this step in a folder, by its name: 0 it is there and read.
static int open_named(struct start *a, const char *dir, const char *name, int64_t step,
                      struct error *e)
{
    if (snprintf(a->file, sizeof a->file, "%s/%s", dir, name) >= (int)sizeof a->file)
        return error_set(e, "%s: the path is too long", dir);
    int rc = checkpoint_read(a->file, &a->checkpoint, e);
    if (rc == 0 && a->checkpoint.step != step) {
        rc = error_set(e, "%s says that it holds step %" PRId64, a->file, a->checkpoint.step);
        checkpoint_free(&a->checkpoint);
    }
    if (rc < 0)
        a->file[0] = '\0';
    else
        a->step = step;
    return rc;
}

static int open_checkpoint(struct start *a, const char *dir, int64_t step, struct error *e)
{
    char name[64];
    checkpoint_name(step, name, sizeof name);
    return open_named(a, dir, name, step, e);
}

static int no_such_step(const struct start *a, int64_t from, const int64_t *step, size_t n,
                        struct error *e)
{
    char list[200] = "";
    for (size_t i = 0; i < n && strlen(list) < sizeof list - 24; i++)
        text_item(list, sizeof list, ", ", "%" PRId64, step[i]);
    if (!n)
        return error_set(e, "%s has no checkpoint of step %" PRId64 ", nor any other", a->run,
                         from);
    return error_set(e, "%s has no checkpoint of step %" PRId64 "; there are %s", a->run, from,
                     list);
}

// Whether the run can begin at step 0 without a file: not when it began from somewhere else.
static int begins_fresh(const struct start *a)
{
    return a->earlier.run.u.run.parent[0] == '\0';
}

// The newest checkpoint that can be read, or the one asked for; none at all is step 0.
static int choose_checkpoint(struct start *a, int64_t from, struct error *e)
{
    int64_t *step;
    size_t n;
    if (rundir_checkpoints(a->run, &step, &n, e) < 0)
        return -1;
    int rc = 0, found = 0;
    for (size_t i = n; i-- > 0 && !found;) {
        if (from >= 0 && step[i] != from)
            continue;
        found = open_checkpoint(a, a->run, step[i], e) == 0;
        if (from >= 0 && !found)
            rc = -1;
    }
    if (rc == 0 && !found && from >= 0 && rundir_best(a->run) == from)
        found = open_named(a, a->run, CHECKPOINT_BEST, from, NULL) == 0;
    if (rc == 0 && !found && from > 0)
        rc = no_such_step(a, from, step, n, e);
    else if (rc == 0 && !found && !begins_fresh(a))
        rc = error_set(e, "%s began at step %" PRId64 " of %s and has no checkpoint left", a->run,
                       a->earlier.run.u.run.parent_step, a->earlier.run.u.run.parent);
    else if (rc == 0 && !found)
        a->step = 0;
    free(step);
    return rc;
}

// What a repetition starts from: what the run itself started from.
static int choose_beginning(struct start *a, struct error *e)
{
    const struct record_run *run = &a->earlier.run.u.run;
    int64_t step = begins_fresh(a) ? 0 : run->parent_step;
    if (open_checkpoint(a, a->run, step, begins_fresh(a) ? NULL : e) == 0)
        return 0;
    a->step = 0;
    return begins_fresh(a) ? 0 : -1;
}

// Where to stop: where this call says, or where the repeated run was stopped.
static void choose_end(struct start *a)
{
    if (a->kind == START_RERUN && !a->stop_at && strcmp(a->earlier.end_reason, "stopped") == 0 &&
        a->earlier.end_step > a->step)
        a->stop_at = a->earlier.end_step;
}

static int check_end(const struct start *a, struct error *e)
{
    if (a->kind == START_FRESH)
        return 0;
    // Killed between its last checkpoint and its end, it has that end to come.
    int ended = a->kind != START_RESUME || strcmp(a->earlier.end_reason, "finished") == 0;
    if (a->step >= a->earlier.run.u.run.steps && a->kind != START_BRANCH && ended)
        return error_set(e, "%s is finished: it has done all its %" PRId64 " steps", a->run,
                         a->earlier.run.u.run.steps);
    if (a->stop_at && a->stop_at <= a->step)
        return error_set(e, "--stop-at %" PRId64 " is not after step %" PRId64 ", where it goes on",
                         a->stop_at, a->step);
    return 0;
}

// The images of a run that has gone on where they had moved to are there, unless this call says
// more.
static void keep_place(struct start *a, const unsigned char *given)
{
    struct options last;
    options_default(&last);
    if (!*a->file || given[option_find(options_table, "data") - options_table] ||
        options_from_json(&last, a->checkpoint.config, NULL) < 0)
        return;
    memcpy(a->o.data, last.data, sizeof a->o.data);
}

static int find_earlier(struct start *a, const struct options *o, const unsigned char *given,
                        struct error *e)
{
    const char *run = *o->resume ? o->resume : o->rerun;
    if (runs_find(o->runs, run, 0, a->run, sizeof a->run, e) < 0)
        return FAILED;
    if (earlier_read(a->run, &a->earlier, e) < 0)
        return FAILED;
    if (merge(a, o, given, e) < 0)
        return REFUSED;
    copy_command(a, o);
    int rc = a->kind == START_RERUN ? choose_beginning(a, e) : choose_checkpoint(a, o->from, e);
    if (rc < 0)
        return FAILED;
    keep_place(a, given);
    choose_end(a);
    if (a->kind == START_BRANCH) {
        const char *slash = strrchr(a->run, '/');
        snprintf(a->parent, sizeof a->parent, "%.255s", slash ? slash + 1 : a->run);
        a->parent_step = a->step;
    }
    return check_end(a, e) < 0 ? REFUSED : 0;
}

int start_find(struct start *out, const struct options *o, const unsigned char *given,
               struct error *e)
{
    unsigned char guessed[OPTIONS_MAX] = {0};
    memset(out, 0, sizeof *out);
    out->parent_step = -1;
    if (!given) {
        guess_given(o, guessed);
        given = guessed;
    }
    if (*o->resume && *o->rerun)
        return error_set(e, "--resume goes on with a run, --rerun repeats one: not both"), REFUSED;
    if ((*o->resume || *o->rerun) && *o->init)
        return error_set(e, "--init starts a new run: it can't go with --resume or --rerun"),
               REFUSED;
    if (o->from >= 0 && !*o->resume)
        return error_set(e, "--from needs --resume"), REFUSED;
    if (*o->rerun)
        out->kind = START_RERUN;
    else if (*o->resume)
        out->kind = *o->name ? START_BRANCH : START_RESUME;
    if (out->kind != START_FRESH)
        return find_earlier(out, o, given, e);
    out->o = *o;
    out->stop_at = o->stop_at;
    return 0;
}

// Whether these rows are as the earlier run recorded them.
static int unchanged(const struct start *a, const char *const *list, size_t n)
{
    struct options was;
    char x[OPTION_TEXT], y[OPTION_TEXT];
    options_default(&was);
    if (options_from_json(&was, a->earlier.run.u.run.config, NULL) < 0)
        return 0;
    for (size_t i = 0; i < n; i++) {
        option_value(option_find(options_table, list[i]), &was, x, sizeof x);
        option_value(option_find(options_table, list[i]), &a->o, y, sizeof y);
        if (strcmp(x, y) != 0)
            return 0;
    }
    return 1;
}

// Processes; alone is one.
static int ranks(int n)
{
    return n > 1 ? n : 1;
}

const char *start_algorithms(const struct start *a)
{
    if (a->kind == START_FRESH || !unchanged(a, LIST(timed_rows)) ||
        ranks(a->earlier.run.u.run.device.ranks) != ranks(a->o.ranks))
        return NULL;
    const char *text = *a->file ? a->checkpoint.algorithms : a->earlier.run.u.run.device.algorithms;
    return text && *text ? text : NULL;
}

// ---------------------------------------------------------------- bringing it back

static int same_machine(const struct start *a, const struct setup *s, struct error *e)
{
    const struct device_info *info = device_info(s->device);
    const struct record_run *run = &a->earlier.run.u.run;
    if (a->kind == START_BRANCH || a->o.inexact)
        return 0;
    if (strcmp(run->device.name, info->name) != 0)
        return error_set(
            e, "%s ran on %.80s, this is %.80s: not the same to the last bit; --inexact allows it",
            a->run, run->device.name, info->name);
    if (run->device.threads != info->threads)
        return error_set(
            e,
            "%s ran on %d threads, these are %d: not the same to the last bit; --inexact allows it",
            a->run, run->device.threads, info->threads);
    if (ranks(run->device.ranks) != ranks(a->o.ranks))
        return error_set(e,
                         "%s ran in %d process%s, this is %d: not the same to the last bit; "
                         "--inexact allows it",
                         a->run, ranks(run->device.ranks),
                         ranks(run->device.ranks) == 1 ? "" : "es", ranks(a->o.ranks));
    return 0;
}

int start_count(const struct start *a, const struct setup *s, struct error *e)
{
    int64_t was = a->earlier.run.u.run.dataset.n;
    if ((a->kind != START_RESUME && a->kind != START_RERUN) || s->n < 1 || s->n == was)
        return 0;
    return error_set(e, "%s has %" PRId64 " images to train on, %s had %" PRId64, s->o.data, s->n,
                     a->run, was);
}

static int same_data(const struct start *a, const struct setup *s, struct error *e)
{
    if (!*a->file || a->kind == START_BRANCH || a->o.inexact ||
        a->checkpoint.data_crc == s->data_crc)
        return 0;
    return error_set(e,
                     "the images of %s are not those that %s was trained on; --inexact allows it",
                     s->o.data, a->run);
}

// The schedule of a branch: the parent's up to the step, then what this call says.
static int splice(const struct start *a, struct setup *s, struct error *e)
{
    struct schedule own = s->schedule; // as parsed from the options
    struct schedule old;
    if (schedule_init(&old, &own.facts, e) < 0)
        return -1;
    int rc = schedule_text_read(&old, a->checkpoint.schedule, e);
    struct schedule_place now;
    schedule_at(&own, a->step, &now);
    struct schedule_switch w = {a->step, now.mode, now.chunks, .clears = a->step};
    if (rc == 0)
        rc = schedule_switch(&old, &w, e);
    for (int i = 0; rc == 0 && i < own.n; i++) {
        w = (struct schedule_switch){own.entry[i].from, own.entry[i].mode, own.entry[i].chunks, -1};
        if (w.from > a->step)
            rc = schedule_switch(&old, &w, e);
    }
    if (rc < 0) {
        schedule_free(&old);
        return error_prefix(e, "branching from %s", a->run);
    }
    schedule_free(&s->schedule);
    s->schedule = old;
    return 0;
}

static int restore_schedule(const struct start *a, struct setup *s, struct rates *rates,
                            struct error *e)
{
    if (*a->file) {
        int is_new = a->kind == START_BRANCH && !unchanged(a, LIST(schedule_rows));
        int rc =
            is_new ? splice(a, s, e) : schedule_text_read(&s->schedule, a->checkpoint.schedule, e);
        if (rc < 0 || rates_parse(rates, a->checkpoint.rates, e) < 0)
            return -1;
        // A branch may have other rules than its parent; then they start anew.
        if (guard_import(&s->guard, a->checkpoint.guard, e) < 0 && a->kind != START_BRANCH)
            return -1;
    }
    if (a->kind == START_RESUME || a->kind == START_RERUN)
        return earlier_apply(&a->earlier, a->step, &s->schedule, rates, e);
    return 0;
}

int start_restore(const struct start *a, struct setup *s, struct rates *rates, struct moments *live,
                  struct error *e)
{
    if (a->kind == START_FRESH)
        return *a->o.init ? initial_load(a->o.init, &s->net, s->plan, s->notice, e) : 0;
    if (same_machine(a, s, e) < 0 || same_data(a, s, e) < 0 || restore_schedule(a, s, rates, e) < 0)
        return -1;
    if (a->step > s->steps || (a->step == s->steps && a->kind != START_RESUME))
        return error_set(e, "step %" PRId64 " is the end: there are %" PRId64 " steps", a->step,
                         s->steps);
    if (*a->file && a->kind != START_BRANCH && a->checkpoint.steps != s->steps)
        return error_set(e, "%s is of a run of %" PRId64 " steps, this has %" PRId64, a->file,
                         a->checkpoint.steps, s->steps);
    return *a->file ? checkpoint_load(a->file, &s->net, s->plan, live, e) : 0;
}
