// A list of frames, from the index or found one by one, and a place in the text of one of them.
#include "metrics/log/cursor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/text.h"
#include "metrics/log/cursor_lives.h"
#include "metrics/log/json_scan.h"
#include "metrics/log/runlog_ending.h"
#include "metrics/log/runlog_frames.h"

enum { ALL_KINDS = (1u << RUNLOG_KINDS) - 1, VERSION = 1 };

// The ways through the frames: with `spectra` all three, else only the last.
enum pass { PASS_CURVES, PASS_SPECTRA, PASS_ALL };

struct cursor {
    struct runlog_scan scan;
    struct runlog_ending list;
    int indexed;
    struct cursor_wanted wanted;
    struct cursor_range range;
    enum pass pass;
    size_t frame;           // to be read next
    size_t loaded;          // the frame whose text is in memory; SIZE_MAX: none
    size_t at;              // in the text of frame - 1
    size_t mark;            // the first frame that PASS_SPECTRA leaves to PASS_ALL
    int64_t live, live_all; // live spectra passed in PASS_SPECTRA, and all before `mark`
    int64_t passed, strangers;
    struct cursor_lives lives;
    const char *line;
    size_t n;
    struct record_head head;
    char lost[400];
};

int cursor_open(const char *path, struct cursor **out, struct error *e)
{
    *out = NULL;
    struct cursor *c = calloc(1, sizeof *c);
    if (!c)
        return error_memory(e, "the log %s", path);
    int rc = runlog_scan_open(&c->scan, path, e);
    if (!rc) {
        c->indexed = runlog_ending_read(c->scan.fd, &c->list, e);
        rc = c->indexed < 0 ? -1 : 0;
    }
    if (rc) {
        cursor_free(c);
        return -1;
    }
    if (c->indexed) {
        const struct runlog_frame *last = &c->list.frame[c->list.n - 1];
        c->scan.whole = last->offset + last->size;
    }
    c->loaded = SIZE_MAX;
    cursor_want(c, &(struct cursor_wanted){0});
    *out = c;
    return 0;
}

void cursor_free(struct cursor *c)
{
    if (!c)
        return;
    runlog_scan_close(&c->scan);
    runlog_ending_free(&c->list);
    cursor_lives_free(&c->lives);
    free(c);
}

static void to_the_beginning(struct cursor *c)
{
    c->frame = 0;
    c->at = SIZE_MAX;
    c->passed = c->strangers = c->live = 0;
}

void cursor_want(struct cursor *c, const struct cursor_wanted *wanted)
{
    c->wanted = *wanted;
    if (!c->wanted.kinds)
        c->wanted.kinds = ALL_KINDS;
    c->range =
        wanted->range ? *wanted->range : (struct cursor_range){.from = INT64_MIN, .to = INT64_MAX};
    c->pass = wanted->spectra ? PASS_CURVES : PASS_ALL;
    cursor_lives_free(&c->lives);
    to_the_beginning(c);
}

// --- frames ---

static unsigned kinds(const struct cursor *c)
{
    return c->pass == PASS_CURVES    ? c->wanted.kinds & CURSOR_CURVES
           : c->pass == PASS_SPECTRA ? c->wanted.kinds & 1u << RUNLOG_LIVE
                                     : c->wanted.kinds;
}

// The next line of the text in memory from *at on, if there is one.
static int split(const struct cursor *c, size_t *at, const char **line, size_t *n)
{
    while (text_line(c->scan.out, c->scan.out_n, at, line, n)) {
        if (*n >= 3 && memcmp(*line, "\xef\xbb\xbf", 3) == 0) // as Windows begins a text
            *line += 3, *n -= 3;
        if (*n)
            return 1;
    }
    return 0;
}

// The text of frame i is in memory. Of a frame that nobody described it is now known what it holds.
static void loaded(struct cursor *c, size_t i)
{
    struct runlog_frame *f = &c->list.frame[i];
    c->loaded = i;
    if (f->live >= 0 && f->lines >= 0)
        return;
    const char *line;
    size_t n;
    f->live = f->lines = 0;
    for (size_t at = 0; split(c, &at, &line, &n); f->lines++) {
        struct record_head head;
        int known = record_head(line, n, &head);
        f->live += known && runlog_kind_of(&head) == RUNLOG_LIVE;
        if (known && head.step >= 0 && (f->first_step < 0 || head.step < f->first_step))
            f->first_step = head.step;
    }
}

// The text of frame i: 1 = in memory, 0 = it is damaged, -1.
static int load(struct cursor *c, size_t i, struct error *e)
{
    struct runlog_frame *f = &c->list.frame[i];
    if (c->loaded == i || f->damaged)
        return !f->damaged;
    c->loaded = SIZE_MAX;
    int rc = runlog_scan_read(&c->scan, f, e);
    if (rc == 1)
        loaded(c, i);
    f->damaged = rc == 0;
    return rc;
}

// The next frame behind those of the list, without decoding what is not wanted: 1, 0, -1.
static int discover(struct cursor *c, unsigned wanted, struct error *e)
{
    c->scan.skip = ~wanted & ALL_KINDS;
    c->loaded = SIZE_MAX;
    int rc = runlog_scan_next(&c->scan, e);
    if (rc != 1)
        return rc;
    runlog_ending_add(&c->list, &c->scan.found);
    if (c->list.broken)
        return error_memory(e, "the frames of a log");
    if (c->scan.decoded)
        loaded(c, c->list.n - 1);
    return 1;
}

int64_t cursor_look(struct cursor *c, struct error *e)
{
    size_t before = c->list.n;
    int rc;
    while ((rc = discover(c, 0, e)) == 1)
        ;
    return rc < 0 ? -1 : (int64_t)(c->list.n - before);
}

// All but the live spectra were given: some of these are next.
static void begin_spectra(struct cursor *c)
{
    c->live_all = 0;
    for (size_t i = 0; i < c->list.n; i++)
        c->live_all += c->list.frame[i].live > 0 ? c->list.frame[i].live : 0;
    c->pass = PASS_SPECTRA;
    c->mark = c->list.n;
    c->frame = 0;
}

// Whether any of the live spectra from .. to - 1 is one of those to be given: every so many-th and
// the last.
static int is_due(const struct cursor *c, int64_t from, int64_t to)
{
    int64_t every = (c->live_all + c->wanted.spectra - 1) / c->wanted.spectra;
    return to > from &&
           (every < 2 || !from || (to - 1) / every != (from - 1) / every || to == c->live_all);
}

// Whether a frame can hold a line that is wanted.
static int may_hold(const struct cursor *c, const struct runlog_frame *f)
{
    if (f->kind != RUNLOG_OTHER && !(kinds(c) >> f->kind & 1))
        return 0;
    return c->pass != PASS_SPECTRA || f->live < 0 || is_due(c, c->live, c->live + f->live);
}

// Go to the next frame that can hold what is wanted: 1 = its text is in memory, 0, -1.
static int turn_over(struct cursor *c, struct error *e)
{
    for (;;) {
        if (c->pass == PASS_SPECTRA && c->frame == c->mark)
            c->pass = PASS_ALL;
        if (c->frame == c->list.n) {
            int rc = c->lives.known ? 0 : discover(c, kinds(c) | 1u << RUNLOG_OTHER, e);
            if (rc == 0 && c->pass == PASS_CURVES)
                begin_spectra(c);
            else if (rc != 1)
                return rc;
            continue;
        }
        const struct runlog_frame *f = &c->list.frame[c->frame++];
        if (may_hold(c, f)) {
            int rc = load(c, c->frame - 1, e);
            if (rc == 1)
                c->at = 0;
            if (rc)
                return rc;
        } else if (c->pass == PASS_SPECTRA) {
            c->live += f->live;
        } else if (f->lines > 0) {
            c->passed += f->lines;
        }
    }
}

// --- lines ---

// The next line of the kinds of this pass, whatever it is: 1, 0, -1.
static int step_on(struct cursor *c, struct error *e)
{
    for (;;) {
        // A search may have put another frame in the place of this one.
        int rc = c->at < SIZE_MAX ? load(c, c->frame - 1, e) : 0;
        if (rc < 0)
            return -1;
        if (!rc || !split(c, &c->at, &c->line, &c->n)) {
            c->at = SIZE_MAX;
            rc = turn_over(c, e);
            if (rc != 1)
                return rc;
            continue;
        }
        // A line that is too long for a log is a stranger like one that is no record.
        int known = c->n < RUNLOG_LINE_MAX && record_head(c->line, c->n, &c->head);
        enum runlog_kind kind = runlog_kind_of(&c->head);
        if (c->pass != PASS_SPECTRA) {
            c->passed++;
            c->strangers += !known;
        }
        if (c->n >= RUNLOG_LINE_MAX || !(kinds(c) >> kind & 1))
            continue;
        if (c->pass == PASS_SPECTRA && !is_due(c, c->live, c->live + 1)) {
            c->live++;
            continue;
        }
        c->live += c->pass == PASS_SPECTRA;
        return 1;
    }
}

// A log that says none is one that another tool wrote again.
static int check_version(const struct cursor *c, struct error *e)
{
    struct json_scan scan = {c->line, c->line + c->n, 0};
    struct json_slice key, v;
    char text[40];
    json_scan_blanks(&scan);
    for (int first = 1; json_scan_next(&scan, first, &key, &v) == 1; first = 0) {
        if (!json_scan_is(key, "version") || *v.p == 'n' || json_scan_number(v) == VERSION)
            continue;
        text_copy(text, sizeof text, v.p, v.n);
        text_clean(text, sizeof text, text);
        return error_set(e, "this is a log of version %s, and only version %d is known", text,
                         VERSION);
    }
    return 0;
}

// The first reading: where the run went back, and where the log ends.
static int judge(struct cursor *c, struct error *e)
{
    int rc = 0;
    while (rc == 0 && (rc = step_on(c, e)) == 1)
        rc = cursor_lives_note(&c->lives, &c->head, c->line, c->n, e);
    if (rc == 0)
        cursor_lives_close(&c->lives);
    to_the_beginning(c);
    return rc;
}

int cursor_next(struct cursor *c, const char **line, size_t *n, struct error *e)
{
    int rc;
    if (c->wanted.newest && !c->lives.known && judge(c, e))
        return -1;
    while ((rc = step_on(c, e)) == 1) {
        const struct record_head *h = &c->head;
        if (h->type == RECORD_RUN && check_version(c, e))
            return -1;
        if (c->wanted.newest && !cursor_lives_count(&c->lives, h))
            continue;
        if (c->wanted.type && h->type != c->wanted.type)
            continue;
        if (h->type != RECORD_RUN && (h->step < c->range.from || h->step > c->range.to))
            continue;
        *line = c->line;
        *n = c->n;
        break;
    }
    return rc;
}

// A line as the record that its head says it is. One that says it twice and differently would be
// taken for two things: it is none.
static int parse(const char *line, size_t n, const struct record_head *head, struct record *r)
{
    return record_parse(line, n, r, NULL) < 0 || r->type != head->type ||
                   (r->type > RECORD_RUN && r->step != head->step)
               ? -1
               : 0;
}

int cursor_record(struct cursor *c, struct record *r, struct error *e)
{
    const char *line;
    size_t n;
    int rc;
    record_init(r, RECORD_UNKNOWN, -1);
    while ((rc = cursor_next(c, &line, &n, e)) == 1 && parse(line, n, &c->head, r)) {
        // a head alone, or two
        c->strangers += c->head.type != RECORD_UNKNOWN || r->type != RECORD_UNKNOWN;
        record_free(r);
    }
    return rc;
}

const char *cursor_line(const struct cursor *c, size_t *n)
{
    *n = c->n;
    return c->line;
}

const struct record_head *cursor_head(const struct cursor *c)
{
    return &c->head;
}

int cursor_find(struct cursor *c, enum runlog_kind kind, int64_t step, struct record *r,
                struct error *e)
{
    record_init(r, RECORD_UNKNOWN, -1);
    if (step < 0 || cursor_look(c, e) < 0)
        return step < 0 ? 0 : -1;
    for (size_t i = c->list.n; i-- > 0;) {
        const struct runlog_frame *f = &c->list.frame[i];
        struct record_head of = {RECORD_UNKNOWN, 0, -1};
        const char *line, *found = NULL;
        size_t n, found_n = 0;
        // A later life of the run begins at an earlier step, and its frames stand behind: the first
        // from the end that does not begin after the step is the one.
        if ((f->kind != RUNLOG_OTHER && f->kind != kind) || f->first_step > step)
            continue;
        int rc = load(c, i, e);
        if (rc < 0)
            return -1;
        for (size_t at = 0; rc && split(c, &at, &line, &n);) {
            struct record_head head;
            if (record_head(line, n, &head) && runlog_kind_of(&head) == kind && head.step >= 0 &&
                head.step <= step && (head.type == RECORD_STEP || head.type == RECORD_SPECTRUM)) {
                found = line;
                found_n = n;
                of = head;
            }
        }
        if (found && parse(found, found_n, &of, r) == 0)
            return 1;
        record_free(r);
    }
    return 0;
}

// --- what is known ---

int64_t cursor_passed(const struct cursor *c)
{
    return c->passed;
}

int64_t cursor_strangers(const struct cursor *c)
{
    return c->strangers;
}

int cursor_has_curves(const struct cursor *c)
{
    return c->pass != PASS_CURVES;
}

const struct runlog_frame *cursor_frames(const struct cursor *c, size_t *n)
{
    *n = c->list.n;
    return c->list.frame;
}

int cursor_indexed(const struct cursor *c)
{
    return c->indexed;
}

const char *cursor_lost(struct cursor *c)
{
    char rest[256];
    const char *lost = runlog_scan_lost(&c->scan, rest, sizeof rest);
    if (!c->strangers)
        return lost ? strcpy(c->lost, lost) : NULL;
    snprintf(c->lost, sizeof c->lost, "%s%s%lld line%s no record%s", lost ? lost : "",
             lost ? "; " : "", (long long)c->strangers, c->strangers == 1 ? " is" : "s are",
             c->strangers == 1 ? "" : "s");
    return c->lost;
}
