// The schedule in words, and back: what a person plans, what checkpoints keep and what events say.
// Texts come from people and files: every number is checked, and the schedule itself refuses steps
// and chunks that the run does not have.
#ifndef SSLTOP_TRAIN_SCHEDULE_SCHEDULE_TEXT_H
#define SSLTOP_TRAIN_SCHEDULE_SCHEDULE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/log/record.h"
#include "train/schedule/schedule.h"

// Schedules with a name.
struct schedule_text_row {
    const char *name, *schedule, *doc;
};
extern const struct schedule_text_row schedule_text_table[]; // ends with a NULL name

// MODE or MODE@K, the n bytes at `text`; chunks 0: the run's. `f` NULL: how many chunks a run can
// have is not known yet.
int schedule_text_mode(const char *text, size_t n, const struct schedule_facts *f, enum mode *mode,
                       int *chunks, struct error *e);
// "40%" (of T, rounded down; decimals allowed, worked exactly) or a step; at most `steps`.
int schedule_text_point(const char *text, int64_t steps, int64_t *out, struct error *e);

// schedule_init, and then what a person plans: MODE | hybrid | MODE[@K][:UNTIL],... with UNTIL a
// percentage of T or a step. Refused with what would work: batch larger than N, K outside
// 1..min(floor(N/B), T), UNTIL out of order, unknown mode. Nothing to free after -1.
int schedule_text_parse(struct schedule *s, const struct schedule_facts *f, const char *text,
                        struct error *e);

// --- what checkpoints keep ---
// "0:continual@20,1872:multi-epoch@20"; malloc'd, NULL when memory is short.
char *schedule_text_write(const struct schedule *s);
// Replace the entries of an initialised schedule by those of such a text.
int schedule_text_read(struct schedule *s, const char *text, struct error *e);
// The next "STEP:WORD" of such a list, and on behind its comma: 1, 0 at the end, -1: it is none.
int schedule_text_next(const char **text, int64_t *step, char *word, size_t size);

// --- what events say ---
// "continual", or "continual@10" when its chunks are not the run's (0: they are).
void schedule_text_name(const struct schedule *s, enum mode mode, int chunks, char *text,
                        size_t size);
// The `to` of a switch's event; what it is called: "mode" ("continual@10"), or "until"
// ("continual@10 at 1872") when it also clears what was planned.
const char *schedule_text_switch(const struct schedule *s, const struct schedule_switch *w,
                                 char *to, size_t size);
// The switch that an event tells of: 1; 0: of none, or of one that was planned before; -1: it can't
// be read.
int schedule_text_event(const struct record_event *v, int64_t step, struct schedule_switch *out,
                        struct error *e);

#endif
