// Checkpoints of a trainer. The best is a whole checkpoint under a name of its own, which a better
// one replaces. A run that goes on from an earlier step finds there a network of steps that it will
// make again: that is left until the run has come by them.
#include "train/run/keep.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/path.h"
#include "metrics/base/text.h"
#include "train/run/report.h"
#include "train/schedule/schedule_text.h"

// Everything that is said of the steps before a checkpoint is on disk before the checkpoint is
// there.
static void sync_log(void *context)
{
    struct trainer *tr = context;
    publisher_sync(tr->report.publisher, NULL,
                   NULL); // the writer thread itself tells when the disk is full
}

int keep_find(struct trainer *tr, struct error *e)
{
    int rc = rundir_follow(&tr->dir, e);
    if (rc == 1)
        report_warning(&tr->report, tr->t, "the run folder is %s now", tr->dir.path);
    return rc < 0 ? rc : 0;
}

int keep_write(struct trainer *tr, const char *name, struct error *e)
{
    struct setup *s = &tr->setup;
    char guard[GUARD_STATE], best[BEST_STATE], views[VIEWS_STATE], own[64];
    char device[sizeof device_info(s->device)->name];
    guard_export(&s->guard, guard);
    best_export(&tr->report.best, best);
    views_export(&tr->views, views);
    text_clean(device, sizeof device, device_info(s->device)->name);
    checkpoint_name(tr->t, own, sizeof own);
    struct checkpoint c = {
        .step = tr->t,
        .steps = s->steps,
        .schedule = schedule_text_write(&s->schedule),
        .rates = rates_text(&tr->rates),
        .guard = strdup(guard),
        .best = strdup(best),
        .views = strdup(views),
        .algorithms = strdup(plan_algorithms(s->plan)),
        .device = strdup(device),
        .precision = strdup(s->o.precision),
        .config = options_to_json(&s->o),
        .threads = device_info(s->device)->threads,
        .data_crc = s->data_crc,
        .cross = &tr->live_images.cross,
        .fewshot = &tr->live_images.fewshot,
        .paced = {&tr->views.z, &tr->views.h},
    };
    int rc = keep_find(tr, e) < 0 ? -1 : 0;
    if (!c.schedule || !c.rates || !c.guard || !c.best || !c.views || !c.algorithms || !c.device ||
        !c.precision || !c.config)
        rc = error_memory(e, "a checkpoint");
    if (rc == 0)
        rc = checkpoint_write_as(tr->dir.path, name ? name : own, &c, &s->net, s->plan, &tr->live,
                                 tr->report.publisher ? sync_log : NULL, tr, e);
    checkpoint_free(&c);
    return rc;
}

// ---------------------------------------------------------------- the best

// What is kept is of a step that was not made like that, or not at all: go back to what is best.
static void put_right(struct trainer *tr)
{
    int64_t step = tr->report.best.step;
    if (step >= 0 && rundir_link_best(tr->dir.path, step) == 0) {
        tr->best_kept = step;
        return;
    }
    unlink(path_of("%s/" CHECKPOINT_BEST, tr->dir.path).s);
    report_warning(&tr->report, tr->t,
                   CHECKPOINT_BEST " was of step %" PRId64 " of another course and is gone; the "
                                   "best so far is no longer kept",
                   tr->best_kept);
    tr->best_kept = -1;
}

void keep_best(struct trainer *tr, int is_best)
{
    struct error why = {{0}};
    if (!is_best) {
        if (tr->best_kept > tr->report.best.step && tr->best_kept <= tr->t &&
            keep_find(tr, &why) == 0)
            put_right(tr);
        return;
    }
    if ((tr->last_checkpoint != tr->t || rundir_link_best(tr->dir.path, tr->t) < 0) &&
        keep_write(tr, CHECKPOINT_BEST, &why) < 0) {
        report_warning(&tr->report, tr->t, "the best network so far is not kept: %s", why.text);
        return;
    }
    tr->best_kept = tr->t;
    report_checkpoint(&tr->report, tr->t, CHECKPOINT_BEST);
}

int keep_resume(struct trainer *tr, struct error *e)
{
    struct best *best = &tr->report.best;
    best_init(best);
    tr->best_kept = -1;
    const char *told = *tr->start.file ? tr->start.checkpoint.views : "";
    if (views_import(&tr->views, tr->t, told, e) < 0)
        return error_prefix(e, "%s", tr->start.file);
    if (tr->start.kind != START_RESUME)
        return 0;
    tr->best_kept = rundir_best(tr->dir.path);
    if (!*tr->start.file)
        return 0;
    if (best_import(best, tr->start.checkpoint.best, e) < 0)
        return error_prefix(e, "%s", tr->start.file);
    if (best->step >= 0 && tr->best_kept < best->step &&
        rundir_link_best(tr->dir.path, best->step) == 0)
        tr->best_kept = best->step;
    return 0;
}

void keep_forget_after(struct trainer *tr, int64_t step)
{
    struct error why;
    if (keep_find(tr, &why) < 0)
        return;
    rundir_drop_after(tr->dir.path, step);
    if (tr->best_kept > step)
        put_right(tr);
}
