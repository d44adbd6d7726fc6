// A record is the one thing that trainer, log, socket and screen share: a line of JSON, and this
// struct. A value that does not exist is NaN here and null or absent there. man/ssltop-log.5
// defines the fields.
#ifndef SSLTOP_METRICS_LOG_RECORD_H
#define SSLTOP_METRICS_LOG_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/log/mode.h"
#include "metrics/science/metric.h"
#include "metrics/base/text.h"

enum record_type {
    RECORD_UNKNOWN, // a type of a later version: skip it
    RECORD_RUN,
    RECORD_STEP,
    RECORD_SPECTRUM,
    RECORD_EVAL,
    RECORD_EVENT,
    RECORD_CHECKPOINT,
    RECORD_DEVICE,
    RECORD_RANKS,
    RECORD_END
};

enum record_phase {
    PHASE_DATA,
    PHASE_FORWARD,
    PHASE_BACKWARD,
    PHASE_UPDATE,
    PHASE_SPECTRUM,
    PHASE_REDUCE, // waiting for other ranks; without them there is none, and it is left out
    PHASE_COUNT
};
extern const char *const record_phase_key[PHASE_COUNT];

struct record_run {
    int version; // 1
    struct {
        char name[32], version[32]; // what wrote it: "ssltop", or the client in another's trainer
    } writer;
    char can[128]; // commands that such a trainer takes, with blanks between; "": all
    char name[128];
    char created[40]; // ISO 8601 UTC
    char *config;     // JSON object text: option key -> value as a string; owned by the record,
                      // malloc'd or NULL
    struct {
        char name[256];
        int64_t n, n_test;
        int classes, channels, height, width;
    } dataset;
    struct {
        char arch[64];
        int width, d;
        int64_t params;
    } model;
    struct {
        char name[128]; // "cpu", "NVIDIA H100", ...
        char detail[256];
        int threads;
        int ranks;         // processes that train together; 0: alone
        char precision[8]; // "f32", "bf16"
        char *algorithms;  // what compile chose, obeyed by resume; owned, malloc'd or NULL
    } device;
    int64_t steps;    // T
    char parent[256]; // run this one branched from, "" for none
    int64_t parent_step;
};

// Scalars that a trainer of somebody else's adds to its steps.
enum { RECORD_OWN = 64, RECORD_OWN_NAME = 32 };
struct record_own {
    int n;
    struct {
        char name[RECORD_OWN_NAME]; // "": none
        double value;               // NaN: none in this step
    } item[RECORD_OWN];
};

struct record_step {
    double t; // seconds since the run began, pauses and evaluations included
    enum mode mode;
    int chunk; // -1 where the mode has none
    double lr, lr_pred;
    double metric[METRIC_COUNT]; // from the live spectrum; loss and zstd among them
    double forecast, forecast_lo, forecast_hi;
    double forecast_end, forecast_end_lo, forecast_end_hi; // where the run ends; NaN: not told
    char forecast_end_of[8]; // which probe's: "linear"; "": the fast one's, or not told
    char forecast_state[16]; // why there is none to show: uncalibrated waiting extrapolating; or ""
    double images_s;         // images (not views) a second, over the last second or so
    double ms[PHASE_COUNT];
    int64_t dropped; // steps that could not be recorded so far; -1: does not apply
    struct record_own own;
};

// Of the features of training steps, of those of plain images, and of projections of training
// steps.
enum spectrum_source { SPECTRUM_LIVE, SPECTRUM_EXACT, SPECTRUM_Z, SPECTRUM_SOURCES };
struct record_spectrum {
    enum spectrum_source source;
    double n;
    int d;
    double *sigma; // owned, malloc'd (or NULL); 5 significant digits in the line
};

struct record_eval {
    double metric[METRIC_COUNT]; // from the exact spectrum
    double auc_live;             // of the live spectrum of the step before
    double probe;                // fast probe accuracy 0..1
    double knn;                  // kNN accuracy 0..1 (k = 200)
    int64_t n_train, n_test;     // images behind the probe (else the spectrum), and scored
    double forecast;             // what the probe is foretold to measure; NaN where none is shown
    double best;                 // of the best evaluation so far, this one included
    int64_t best_step, best_age; // its step, and how many evaluations came since; -1: none yet
    char best_by[12];            // what was compared: probe or forecast; ""
};

struct record_event {
    char what[16]; // mode pause resume lr guard eval warning switch ...
    char by[12];   // key ctl plan guard signal trainer
    char from[64], to[64];
    char text[256];
};

struct record_device {                // a card's sensors, about once a second; NaN: not told
    double utilization;               // percent of the time that it computed
    double memory_used, memory_total; // bytes, of all processes
    double power, power_limit;        // W
    double temperature;               // degrees Celsius
    double clock_sm, clock_memory;    // MHz
    int others;                       // other processes that compute on it, -1: not told
    double others_memory;             // bytes
    char others_text[128];            // who they are, for a person
};

struct record_ranks { // processes that train together, about once a second
    char *hosts;      // the host of each, with blanks between; owned, malloc'd or NULL
    // ms of the last step, a number for each as sigma: of its own work, and of waiting for others.
    struct record_spectrum own, reduce;
};

struct record {
    enum record_type type;
    int64_t
        step; // the step that it describes; an event's: the first for which it holds; -1 in `run`
    union {
        struct record_run run;
        struct record_step step;
        struct record_spectrum spectrum;
        struct record_eval eval;
        struct record_event event;
        struct record_device device;
        struct record_ranks ranks;
        struct {
            char file[128]; // name inside the run folder
        } checkpoint;
        struct {
            char reason[16]; // finished stopped failed
            char text[256];
        } end;
    } u;
};

// One line of JSON without the newline, malloc'd into *line. Scalars carry 17 significant digits.
// Always valid JSON and UTF-8: bytes that are not UTF-8 become U+FFFD. -1 when out of memory, for
// RECORD_UNKNOWN, and for a `config` that is not a JSON object.
int record_format(const struct record *r, char **line, size_t *len, struct error *e);

// Parse one line (n bytes, no NUL needed). Unknown fields are skipped, missing ones become NaN, 0,
// -1 or "". Text is kept as it came, cut to its field: text_clean it before showing it. -1 with a
// sentence when it is not a JSON object with a "type". `out` must be freed with record_free in any
// case.
int record_parse(const char *line, size_t n, struct record *out, struct error *e);
void record_free(struct record *r);

// All NaN/-1/"", of this type: where a producer starts.
void record_init(struct record *r, enum record_type type, int64_t step);

#endif
