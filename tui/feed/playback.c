// Histories hold what is cheap to keep; the step record and the spectra of the place are looked up
// in the log.
#include "tui/feed/playback.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tui/feed/past.h"
#include "tui/feed/replay.h"
#include "train/schedule/schedule_text.h"
#include "tui/draw/timeplot.h"

enum { STEERED_MAX = 4096 };
static const double growing_for = 5; // seconds after the last record

enum { LIVE, EXACT, FIRST_LIVE, FIRST_EXACT, MARKED, SWITCHED, LOOKED_UP };

struct reel {
    char name[64];
    struct source *source;
    struct cursor *log; // for what is looked up
    struct history h, past;
    struct schedule_view all, then; // the schedule in the end, and as it was at the place
    int then_n;                     // switches in `then`; -1: not made
    struct schedule_switch *steered;
    int n_steered;
    struct timeline line;
    struct past_spectrum spectrum[LOOKED_UP];
};

struct playback {
    struct reel reel[PLAYBACK_RUNS];
    struct peer peer[PLAYBACK_RUNS];
    int n, chosen;
    struct player player;
    int64_t placed; // the cursor as it was left
    int came, grew; // since the last pump: records, and others than spectra
    int read;       // all logs were read to their end once
    double heard;
};

// --- what comes in ---

struct sink_to {
    struct playback *p;
    struct reel *r;
};

static int steer(struct reel *r, const struct record *rec, struct error *e)
{
    struct schedule_switch w;
    if (schedule_text_event(&rec->u.event, rec->step, &w, NULL) <= 0 || r->n_steered == STEERED_MAX)
        return 0;
    if (!r->steered) {
        r->steered = calloc(STEERED_MAX, sizeof *r->steered);
        if (!r->steered)
            return error_memory(e, "the schedule of a run");
    }
    r->steered[r->n_steered++] = w;
    return 0;
}

static int on_record(void *to, const struct record *rec, struct error *e)
{
    struct sink_to *s = to;
    if (history_add(&s->r->h, rec, e))
        return -1;
    schedule_view_add(&s->r->all, &s->r->h, rec);
    s->p->came = 1;
    s->p->grew |= rec->type != RECORD_SPECTRUM;
    if (rec->type == RECORD_RUN)
        s->r->then_n = -1;
    if (rec->type == RECORD_EVENT)
        return steer(s->r, rec, e);
    return rec->type == RECORD_STEP ? timeline_add(&s->r->line, rec->step, rec->u.step.t, e) : 0;
}

static void on_answer(void *to, const struct answer *a)
{
}

// --- opening ---

static int reel_open(struct reel *r, const char *path, const char *name, struct error *e)
{
    text_clean(r->name, sizeof r->name, name);
    r->then_n = -1;
    for (int i = 0; i < LOOKED_UP; i++)
        past_spectrum_init(&r->spectrum[i]);
    if (source_replay_open(path, &r->source, e) || cursor_open(path, &r->log, e))
        return -1;
    return history_init(&r->h, e);
}

static void reel_free(struct reel *r)
{
    if (r->source)
        r->source->klass->free(r->source);
    cursor_free(r->log);
    history_free(&r->h);
    schedule_view_free(&r->all);
    schedule_view_free(&r->then);
    free(r->steered);
    timeline_free(&r->line);
    for (int i = 0; i < LOOKED_UP; i++)
        past_spectrum_free(&r->spectrum[i]);
}

int playback_open(const char *const *log_path, const char *const *name, int n, double now,
                  struct playback **out, struct error *e)
{
    *out = NULL;
    if (n < 1 || n > PLAYBACK_RUNS)
        return error_set(e, "from 1 to %d logs can be shown at once", PLAYBACK_RUNS);
    struct playback *p = calloc(1, sizeof *p);
    if (!p)
        return error_memory(e, "a replay");
    player_init(&p->player, now);
    p->placed = -1;
    p->heard = -INFINITY;
    for (p->n = 0; p->n < n;) {
        int i = p->n++;
        if (reel_open(&p->reel[i], log_path[i], name[i], e)) {
            playback_free(p);
            return -1;
        }
    }
    *out = p;
    return 0;
}

void playback_free(struct playback *p)
{
    for (int i = 0; p && i < p->n; i++)
        reel_free(&p->reel[i]);
    free(p);
}

// --- reading ---

static const struct source_class *class_of(const struct reel *r)
{
    return r->source->klass;
}

void playback_poll(struct playback *p, int *timeout_ms)
{
    struct pollfd none;
    for (int i = 0; i < p->n; i++)
        class_of(&p->reel[i])->poll(p->reel[i].source, &none, timeout_ms);
}

int playback_pump(struct playback *p, double now, struct error *e)
{
    int reading = 0;
    p->came = p->grew = 0;
    for (int i = 0; i < p->n; i++) {
        struct sink_to to = {p, &p->reel[i]};
        const struct sink sink = {&to, on_record, on_answer, NULL};
        if (class_of(to.r)->pump(to.r->source, 0, &sink, e))
            return -1;
        reading |= class_of(to.r)->state(to.r->source) == SOURCE_READING;
    }
    if (p->grew && p->read)
        p->heard = now;
    p->read |= !reading;
    return p->came;
}

const char *playback_lost(struct playback *p)
{
    const char *lost = NULL;
    for (int i = 0; i < p->n && !lost; i++)
        lost = class_of(&p->reel[i])->lost(p->reel[i].source);
    return lost;
}

// --- the place ---

// The run that the others are placed beside: the longest.
static const struct reel *longest(const struct playback *p)
{
    const struct reel *r = p->reel;
    for (int i = 1; i < p->n; i++)
        if (p->reel[i].h.last_step > r->h.last_step)
            r = &p->reel[i];
    return r;
}

void playback_tick(struct playback *p, struct view_state *v, double now)
{
    const struct reel *r = longest(p);
    if (v->time.cursor != p->placed)
        player_seek(&p->player, &r->line, v->time.cursor);
    player_tick(&p->player, &r->line, now);
    v->time.cursor = p->placed = p->player.step;
    v->replay = (struct replay_state){
        .on = 1,
        .reading = !p->read,
        .growing = p->read && now - p->heard < growing_for,
        .playing = p->player.playing,
        .speed = p->player.speed,
        .at = timeline_seconds(&r->line, p->player.step < 0 ? r->line.last : p->player.step),
        .length = timeline_length(&r->line),
        .newest = r->h.last_step,
        .ended = p->reel[p->chosen].h.ended,
    };
}

// The schedule as it was known at a step.
static void schedule_then(struct reel *r, int64_t step)
{
    int n = 0;
    for (int i = 0; i < r->n_steered; i++)
        n += schedule_switch_step(&r->steered[i]) <= step;
    if (n == r->then_n || !r->h.have_run)
        return;
    struct record rec;
    record_init(&rec, RECORD_RUN, -1);
    schedule_view_add(&r->then, &r->h, &rec); // takes the run from the history
    for (int i = 0; i < r->n_steered && r->then.known; i++)
        if (schedule_switch_step(&r->steered[i]) <= step)
            schedule_switch(&r->then.run, &r->steered[i], NULL);
    r->then_n = n;
}

// The newest live spectrum by `step`; NULL: there is none, or it cannot be read any more.
static const struct history_spectrum *look_up(struct reel *r, int which, int64_t step)
{
    struct past_spectrum *k = &r->spectrum[which];
    return step >= 0 && past_spectrum_find(r->log, k, step, RUNLOG_LIVE, NULL) == 0 ? &k->p : NULL;
}

// The first step with a live AUC, and so with a live spectrum; -1: none.
static int64_t first_live(const struct history *h)
{
    const struct series *s = &h->series[METRIC_AUC];
    int64_t lo = 0, hi = h->last_step; // it is in lo .. hi
    if (isnan(series_range(s, 0, hi + 1).last))
        return -1;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (isnan(series_range(s, 0, mid + 1).last))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void look_back(struct reel *r, int64_t step)
{
    struct history *past = &r->past;
    const struct history *h = &r->h;
    int newest = step >= h->last_step;
    // What was measured behind the last step bears the number of the next.
    int64_t until = newest ? h->last_step + 1 : step;
    past_spectrum_find(r->log, &r->spectrum[LIVE], until, RUNLOG_LIVE, NULL);
    past_spectrum_find(r->log, &r->spectrum[EXACT], until, RUNLOG_EXACT, NULL);
    past_spectrum_find(r->log, &r->spectrum[FIRST_LIVE], first_live(h), RUNLOG_LIVE, NULL);
    if (h->n_eval)
        past_spectrum_find(r->log, &r->spectrum[FIRST_EXACT], h->eval[0].step, RUNLOG_EXACT, NULL);
    past->live = r->spectrum[LIVE].p;
    past->exact = r->spectrum[EXACT].p;
    past->first_live = r->spectrum[FIRST_LIVE].p;
    past->first_exact = r->spectrum[FIRST_EXACT].p;
    if (past->first_live.step > step && !newest)
        past->first_live.step = -1;
    if (past->first_exact.step > step && !newest)
        past->first_exact.step = -1;
    struct record rec;
    if (newest || past_step(r->log, step, &rec, NULL) != 1)
        return;
    past->last = rec.u.step;
    record_free(&rec);
}

void playback_scene(struct playback *p, struct view_state *v, struct scene *out)
{
    for (int i = 0; i < p->n; i++) {
        struct reel *r = &p->reel[i];
        int64_t step = p->player.step >= 0 && p->player.step < r->h.last_step ? p->player.step
                                                                              : r->h.last_step;
        past_at(&r->h, step, &r->past);
        look_back(r, step);
        schedule_then(r, p->player.step < 0 ? INT64_MAX : step);
        p->peer[i] = (struct peer){r->name, &r->past, &r->h};
    }
    struct reel *r = &p->reel[p->chosen];
    snprintf(v->name, sizeof v->name, "%s", r->name);
    *out = (struct scene){.h = &r->past,
                          .schedule = &r->then,
                          .v = v,
                          .all = &r->h,
                          .peer = p->peer,
                          .n_peer = p->n,
                          .chosen = p->chosen};
    out->marked = look_up(r, MARKED, v->time.mark);
    out->switched = look_up(r, SWITCHED, time_switch(out));
}

const struct history *playback_history(const struct playback *p)
{
    return &p->reel[p->chosen].h;
}

// --- keys ---

void playback_toggle(struct playback *p)
{
    player_toggle(&p->player, &longest(p)->line);
}

void playback_speed(struct playback *p, int by)
{
    player_change_speed(&p->player, by);
}

void playback_choose(struct playback *p, int by)
{
    p->chosen = (p->chosen + by + p->n) % p->n;
}
