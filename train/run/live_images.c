// The batch of a step is a pure function of the step: it is asked for again, because by now the
// loader draws a later one.
#include "train/run/live_images.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/output.h"
#include "metrics/base/path.h"
#include "train/store/checkpoint.h"
#include "train/store/surrogate_file.h"

enum { VIEWS = 2 };

int live_images_ask(struct setup *s, const char *run, struct error *e)
{
    struct path file = path_of("%s/" SURROGATE_FILE, run);
    if (!setup_asks(s) || s->o.dry_run)
        return 0;
    return surrogates_open(&s->surrogates, &s->data, s->data_crc, *run ? file.s : "", s->o.threads,
                           e);
}

void live_images_keep(const struct setup *s, const char *run, int trainer_log_fd)
{
    struct error why;
    struct path path = path_of("%s/" SURROGATE_FILE, run);
    if (s->surrogates.s.pixels &&
        surrogate_file_write(path.s, &s->surrogates.s, s->data_crc, &why) < 0)
        output_log(trainer_log_fd, 0, "%s is not kept: %s", SURROGATE_FILE, why.text);
}

int live_images_init(struct live_images *o, const struct setup *s, struct error *e)
{
    size_t batch = (size_t)s->o.batch;
    int targets = s->surrogates.s.targets;
    memset(o, 0, sizeof *o);
    if (!setup_asks(s))
        return 0;
    o->h = malloc(VIEWS * batch * (size_t)s->d * sizeof *o->h);
    o->t = malloc(batch * (size_t)targets * sizeof *o->t + 1);
    o->index = malloc(batch * sizeof *o->index);
    o->cluster = malloc(batch * sizeof *o->cluster);
    o->told = (struct fewshot_told){NAN, NAN};
    if (!o->h || !o->t || !o->index || !o->cluster)
        return error_memory(e, "what %zu images look like", batch);
    if (!targets)
        return 0;
    return cross_init(&o->cross, s->d, targets, e) < 0
               ? -1
               : fewshot_init(&o->fewshot, s->d, targets, s->surrogates.s.clusters[0], e);
}

void live_images_free(struct live_images *o)
{
    cross_free(&o->cross);
    fewshot_free(&o->fewshot);
    free(o->h);
    free(o->t);
    free(o->index);
    free(o->cluster);
    memset(o, 0, sizeof *o);
}

int live_images_restore(struct live_images *o, const char *checkpoint, struct error *e)
{
    if (!o->cross.d)
        return 0;
    return checkpoint_load_cross(checkpoint, &o->cross, e) < 0
               ? -1
               : checkpoint_load_fewshot(checkpoint, &o->fewshot, e);
}

// What each rank has is gathered in any case: the others can't know whether there are targets.
int live_images_step(struct live_images *o, struct setup *s, struct team *team, int64_t t,
                     struct error *e)
{
    int64_t batch = s->o.batch;
    size_t view = (size_t)batch * (size_t)s->d;
    for (int v = 0; v < VIEWS && o->h; v++)
        if (team_features(team, s, v, o->h + (size_t)v * view, e) < 0)
            return -1;
    if (!o->cross.d)
        return 0;
    if (schedule_batch(&s->schedule, t, o->index, e) < 0)
        return -1;
    for (int64_t i = 0; i < batch; i++)
        o->index[i] = s->order[o->index[i]];
    if (surrogates_tell(&s->surrogates, o->index, batch, o->t, o->cluster, e) < 0)
        return -1;
    cross_age(&o->cross, VIEWS * batch);
    for (int v = 0; v < VIEWS; v++)
        cross_add(&o->cross, o->h + (size_t)v * view, o->t, batch);
    o->told = fewshot_step(&o->fewshot, (const float *const[]){o->h, o->h + view}, o->t, o->cluster,
                           batch);
    return 0;
}

void live_images_penalty(struct live_images *o, double lambda)
{
    if (lambda > 0)
        o->cross.lambda = lambda;
}

double live_images_r2(struct live_images *o, const struct moments *live, int64_t images)
{
    int64_t fitted = images - images / 2;
    return o->cross.d ? cross_r2(&o->cross, live, VIEWS, (double)fitted) : NAN;
}
