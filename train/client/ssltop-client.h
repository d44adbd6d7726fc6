/* ssltop in somebody else's training: hand over the features of each step, and be steered.
 *
 * The client starts a recorder (`ssltop record`), a process of its own that computes spectrum,
 * metrics and forecast, writes the run's log and talks to whoever watches. In this process nothing
 * is computed: features are copied once, into shared memory. Nothing here waits for the recorder or
 * its disk; ssltop_next waits while the training is paused, and only then. A recorder that dies
 * costs one warning on stderr; the training goes on.
 *
 *     ssltop_client *c = ssltop_open(&settings, why, sizeof why);
 *     for (int64_t step = 0; step < steps && !ssltop_stopped(c); step++) {
 *         ...
 *         ssltop_features(c, "h", 0, h, batch, d, d, SSLTOP_F32);
 *         ssltop_end_step(c, step, loss, lr);
 *         while (ssltop_next(c, &o) > 0)
 *             ssltop_answer(c, &o, do_it(&o), step + 1, "");
 *     }
 *     ssltop_close(c, SSLTOP_FINISHED, "");
 *
 * All calls of one client from one thread. In a forked child they do nothing. A NULL client is
 * allowed everywhere: nothing happens. C99 and C++; needs libc alone. */
#ifndef SSLTOP_CLIENT_H
#define SSLTOP_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct ssltop_client ssltop_client;

/* What the training can do beside pausing, making one step and stopping, which this library does.
 */
enum ssltop_what {
    SSLTOP_PAUSE,
    SSLTOP_RESUME,
    SSLTOP_STEP,
    SSLTOP_STOP,
    SSLTOP_CHECKPOINT,
    SSLTOP_EVALUATE,
    SSLTOP_MODE, /* switch the schedule */
    SSLTOP_RATE  /* multiply the learning rates */
};
#define SSLTOP_CAN(what) (1u << (what))

typedef struct {
    const char *program;     /* of the recorder; NULL: $SSLTOP, else "ssltop" in $PATH */
    const char *name;        /* of the run; NULL: date, time and data set */
    const char *runs;        /* folder of run folders; NULL: $SSLTOP_RUNS, else ./runs */
    const char *config;      /* a JSON object of strings, for the log; "data", "arch", "width" and
                                "method" are shown and choose a calibration. NULL: {} */
    const char *calibration; /* NULL: auto; a file, or "off" */
    const char *guard;       /* rules as of `ssltop train --guard`; NULL: none */
    const char *schedule;    /* as of `ssltop train --schedule`; NULL: the training has none */
    int64_t steps;           /* length of the run, 0: not known */
    int64_t images;          /* of the data set, 0: not known */
    int64_t batch;           /* images a step, 0: the rows of the first features */
    uint64_t seed;           /* of the schedule */
    int chunks;              /* of the schedule, 0: as many as `ssltop train` would take */
    unsigned can;            /* SSLTOP_CAN(...) | ... of CHECKPOINT, EVALUATE, MODE, RATE */
    int whole;               /* 1: ssltop_end_step waits until the recorder has measured the step,
                                so that none is left out. 0: the training waits for nothing */
} ssltop_settings;

/* Start the recorder and the run. NULL with a sentence in why[size]: no recorder, or it refused. */
ssltop_client *ssltop_open(const ssltop_settings *s, char *why, size_t size);

/* The release of this library, and the bytes of a type of this header by its name (0: there is no
 * such): bindings of other languages look whether they were written for it. */
const char *ssltop_version(void);
size_t ssltop_size(const char *type);

/* The run folder. */
const char *ssltop_run(const ssltop_client *c);

typedef enum { SSLTOP_F16, SSLTOP_BF16, SSLTOP_F32, SSLTOP_F64 } ssltop_type;

/* Features of the step that ends next: n rows of d numbers, rows `stride` numbers apart, which must
 * stay until ssltop_end_step. `place`: "h" is the encoder's output, from which spectrum and metrics
 * are made, "z" the projector's; up to four places. `view` 0 or 1. -1: they cannot be (sizes,
 * names), and are left out. */
int ssltop_features(ssltop_client *c, const char *place, int view, const void *rows, int64_t n,
                    int64_t d, int64_t stride, ssltop_type type);

/* 1: the features of the last ssltop_features are copied and need not stay. 0: they must (those of
 * the first step, or larger than before). Handed over where they are made, they are still in the
 * processor's caches. */
int ssltop_copied(const ssltop_client *c);

/* A scalar of the training's own for the step that ends next; -1: more than 64 names, or too long a
 * name. "lr_pred" is the learning rate of the predictor. */
int ssltop_scalar(ssltop_client *c, const char *name, double value);

/* The mode (0 multi-epoch, 1 continual, 2 cumulative; -1 none) and chunk (-1) of that step. */
void ssltop_mode_is(ssltop_client *c, int mode, int chunk);

/* The step is made: everything handed over since the last one goes into the ring. NaN: unknown. */
void ssltop_end_step(ssltop_client *c, int64_t step, double loss, double lr);

/* The training has made this step, whose features come later (from a GPU, say): what is ordered
 * holds from the next one on. ssltop_end_step says it too. */
void ssltop_made(ssltop_client *c, int64_t step);

typedef struct {
    uint64_t id;
    int what;      /* enum ssltop_what: CHECKPOINT, EVALUATE, MODE or RATE */
    int mode;      /* MODE: 0, 1, 2 */
    int chunks;    /* MODE: 0: the run's */
    double factor; /* RATE: what the learning rates are to be multiplied by */
    char by[12];   /* key, ctl, guard */
    int64_t step;  /* MODE: from which it shall hold; -1: as soon as it can */
} ssltop_order;

/* 1: an order, to be carried out and answered. 0: none, go on. While the training is paused it
 * waits for one. -1: a signal came while it waited: look after it, then call again. */
int ssltop_next(ssltop_client *c, ssltop_order *out);
/* The same, which waits no longer than so many milliseconds. -1 too when it is still paused then.
 */
int ssltop_next_within(ssltop_client *c, ssltop_order *out, int ms);
/* ok 0: refused, `text` says why. `step`: from which it holds. */
void ssltop_answer(ssltop_client *c, const ssltop_order *o, int ok, int64_t step, const char *text);

/* Somebody asked to end the training. */
int ssltop_stopped(const ssltop_client *c);
/* Steps that the recorder could not take; those that it has still to take; whether it lives. */
int64_t ssltop_dropped(const ssltop_client *c);
int64_t ssltop_pending(const ssltop_client *c);
int ssltop_alive(const ssltop_client *c);

/* Features of images with labels (0, 1, ...), network in evaluation mode, after the step that ended
 * last: n rows of d numbers, `stride` numbers apart. The recorder measures the exact spectrum of
 * those of the training split, and how well a fast probe and the nearest neighbours that are fitted
 * on them tell the test split. They are copied. -1: they cannot be, or there is no room. */
typedef struct {
    const void *rows;
    int64_t n, stride;
    const int32_t *labels;
} ssltop_split;
int ssltop_probe(ssltop_client *c, const ssltop_split *train, const ssltop_split *test, int64_t d,
                 ssltop_type type);

/* A warning for log and screen. */
void ssltop_warn(ssltop_client *c, const char *text);

typedef enum { SSLTOP_FINISHED, SSLTOP_STOPPED, SSLTOP_FAILED } ssltop_reason;
/* End the run: the recorder takes what is in the ring, writes the end record and leaves; waits for
 * it for at most a few seconds. Frees the client. */
void ssltop_close(ssltop_client *c, ssltop_reason reason, const char *text);

/* Which images a step sees: the very batches that `ssltop train` draws with the same data set size,
 * --batch, --steps, --seed, --schedule and --chunks. It needs no client. */
typedef struct ssltop_sampler ssltop_sampler;

/* schedule NULL: multi-epoch; chunks 0: as many as `ssltop train` would take. NULL with a sentence
 * in why[size]. */
ssltop_sampler *ssltop_sampler_new(int64_t n, int batch, int64_t steps, uint64_t seed,
                                   const char *schedule, int chunks, char *why, size_t size);
void ssltop_sampler_free(ssltop_sampler *s); /* NULL allowed */

/* The images of step 0..steps-1, `batch` numbers of 0..n-1. -1: there is no such step, or no
 * memory. */
int ssltop_sampler_batch(ssltop_sampler *s, int64_t step, int64_t *index);
/* The mode of a step, and its chunk (-1: none). */
int ssltop_sampler_at(const ssltop_sampler *s, int64_t step, int *chunk);

/* This mode over so many chunks (0: the run's) from this step on. -1 with a sentence. */
int ssltop_sampler_switch(ssltop_sampler *s, int64_t from, int mode, int chunks, char *why,
                          size_t size);
/* The same for a step that is to come: what was planned after `now_free`, the first step whose
 * batch is not drawn yet, is forgotten. */
int ssltop_sampler_until(ssltop_sampler *s, int64_t now_free, int64_t from, int mode, int chunks,
                         char *why, size_t size);

/* The plan with its switches as a text, for a checkpoint, into text[size]: its length, which may be
 * more than fits, -1: no memory. And back, into a sampler of the same n, batch and steps. */
int ssltop_sampler_plan(const ssltop_sampler *s, char *text, size_t size);
int ssltop_sampler_take(ssltop_sampler *s, const char *plan, char *why, size_t size);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
