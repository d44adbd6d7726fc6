// The way through a run as text: which mode holds from which step, and by which factor the learning
// rates are multiplied. What checkpoints and events carry, and how a resumed run learns of it
// again.
#ifndef SSLTOP_TRAIN_SCHEDULE_ROUTE_H
#define SSLTOP_TRAIN_SCHEDULE_ROUTE_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"
#include "train/schedule/schedule.h"

// --- learning rate factors ---
struct rate {
    int64_t from; // first step
    double factor;
};
struct rates {
    struct rate *entry; // in increasing order of `from`
    int n, cap;
};
void rates_free(struct rates *r); // takes a zeroed struct, which is also the start: factor 1
double rates_at(const struct rates *r, int64_t step);
// From this step on, until the next entry; an entry at the same step is replaced.
int rates_set(struct rates *r, int64_t from, double factor, struct error *e);
char *rates_text(const struct rates *r); // "120:0.5,300:0.25"; malloc'd, NULL when memory is short
int rates_parse(struct rates *r, const char *text, struct error *e);

// --- plans ---
char *plan_text(const struct schedule *s); // "0:continual@20,1872:multi-epoch@20"; malloc'd or NULL
// Replace the entries of an initialised schedule by those of such a text.
int plan_parse(struct schedule *s, const char *text, struct error *e);

// --- what events say in `to` ---
// "continual", or "continual@10" when its chunks are not the run's.
void mode_text(const struct schedule *s, enum mode mode, int chunks, char *text, size_t size);
int mode_parse(const char *text, enum mode *mode, int *chunks,
               struct error *e); // chunks 0: the run's
// "multi-epoch at 1872": a planned switch.
void until_text(const struct schedule *s, enum mode mode, int chunks, int64_t at, char *text,
                size_t size);
int until_parse(const char *text, enum mode *mode, int *chunks, int64_t *at, struct error *e);

#endif
