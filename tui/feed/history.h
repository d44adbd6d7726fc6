// The records so far as what a screen needs: the run's facts, series over steps, the spectra worth
// keeping, evaluations, switches of mode, events. Knows nothing of screens. When a resumed run
// repeats steps, what was known of them is forgotten: the last record of a step wins. Memory is
// bounded however long the run.
#ifndef SSLTOP_TUI_FEED_HISTORY_H
#define SSLTOP_TUI_FEED_HISTORY_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/log/record.h"
#include "tui/model/series.h"
#include "tui/feed/spectra.h"

// Series: the metrics by their id, then these.
enum {
    SERIES_IMAGES_S = METRIC_COUNT,
    SERIES_LR,
    SERIES_PHASE,                                 // PHASE_COUNT of them, milliseconds
    SERIES_FORECAST = SERIES_PHASE + PHASE_COUNT, // accuracies in percent
    SERIES_FORECAST_LO,
    SERIES_FORECAST_HI,
    SERIES_TIME,  // seconds since the run began
    SERIES_CHUNK, // none where the mode has none
    SERIES_OWN,   // RECORD_OWN of them: scalars of a script's own, named in `own`
    SERIES_COUNT = SERIES_OWN + RECORD_OWN
};
// Of events the oldest go first; evaluations are thinned out.
enum { HISTORY_EVENTS = 16384, HISTORY_EVALS = 4096, HISTORY_SWITCHES = 4096 };

struct history_spectrum {
    int64_t step; // -1: none yet
    double n;     // samples behind it
    int d;
    double *sigma;
};
struct history_eval {
    int64_t step;
    double metric[METRIC_COUNT];
    double live_auc;   // of the last step that had one by then; NaN: none
    double probe, knn; // accuracies 0 .. 1, measured with labels; NaN: not
    double best;       // the best accuracy by then, measured or (by_probe 0) foretold; NaN: none
    int64_t best_step, best_age; // its step, and the evaluations since; -1: none
    int by_probe;
};
struct history_switch {
    int64_t step;
    enum mode mode;
};
enum history_kind {
    HISTORY_REMARK,
    HISTORY_STEERING, // a resumed run applies it again, without a word
    HISTORY_MEASURED  // an evaluation
};
struct history_event { // text already clean
    int64_t step;
    char text[320];
    int warning;
    enum history_kind kind;
};

struct history {
    int have_run;
    struct record_run run; // texts clean; config and algorithms owned
    int batch;             // of the recorded configuration, 0: unknown
    char method[32];

    int64_t steps;     // step records so far (repeated ones too)
    int64_t last_step; // -1: none
    struct record_step last;
    double rate;           // images a second, smoothed over recent steps; NaN: unknown
    double waiting;        // share of a step that waits for data, smoothed likewise; NaN: unknown
    int64_t spectrum_step; // step of the last live AUC; -1
    int64_t spectrum_gap;  // steps between the last two; 0: there were none

    struct series series[SERIES_COUNT];
    char own[RECORD_OWN][RECORD_OWN_NAME]; // clean
    int n_own;
    struct history_spectrum first_live, live, first_exact, exact, first_z, z;
    struct spectra live_rows, exact_rows, z_rows; // over steps, as many as are given and fit

    struct history_eval *eval; // in order of step
    int n_eval;
    struct history_switch *mode; // the first says how the run began
    int n_mode;
    struct history_event *event; // the newest, in the order of the log
    int n_event, event_cap;

    int paused;
    int64_t checkpoint_step; // -1: none
    char checkpoint[128];
    int64_t device_step;         // -1: the card's sensors were never told
    struct record_device device; // what they said last
    struct history_ranks {
        int64_t step; // -1: it was never told of several processes
        int n, hosts;
        double waiting; // share of their time that they wait for each other
        int slowest;    // the rank whose own work takes longest
        double ms;      // it
        char host[64];  // where it is; clean
    } ranks;            // what they said last
    int ended;
    char end_reason[16], end_text[256];
};

// What a series of this run can be: a metric's range, up to d where that is its bound, for the loss
// what the method says; infinite where there is no bound. Other series are 0 or more.
struct limits {
    double lo, hi;
};
struct limits history_limits(const struct history *h, int series);

int history_init(struct history *h, struct error *e);
void history_free(struct history *h);
// Takes what it needs from the record. -1 without memory.
int history_add(struct history *h, const struct record *r, struct error *e);

// Whether the training takes a command of this name, as far as it has said.
int history_can(const struct history *h, const char *command);

// The i-th newest event, 0 the newest; NULL: none.
const struct history_event *history_event(const struct history *h, int64_t i);
// exact - live AUC at the last evaluation that has both; NaN: none.
double history_auc_offset(const struct history *h, int64_t *step);
// Seconds left to the end of the schedule at the present rate; NaN: unknown.
double history_eta(const struct history *h);

#endif
