// A turn is a line from which on the run was at an earlier place than before: what stands in front
// of it and is of that place or later does not count.
#include "metrics/log/cursor_lives.h"

#include <stdlib.h>
#include <string.h>

#include "metrics/base/memory.h"
#include "metrics/log/record.h"

struct cursor_turn {
    int64_t line, key;
};

void cursor_lives_free(struct cursor_lives *l)
{
    for (int k = 0; k < CURSOR_TRACKS; k++)
        free(l->of[k].turn);
    *l = (struct cursor_lives){0};
}

static int is_repeated(const struct record_head *head)
{
    return head->step >= 0 && head->step < INT64_MAX / 4 &&
           (head->type == RECORD_STEP || head->type == RECORD_EVAL ||
            head->type == RECORD_SPECTRUM);
}

// The place of a record in the life of a run: what is recorded of a step itself stands behind what
// was measured before it.
static int64_t key_of(const struct record_head *head)
{
    int of_step = head->type == RECORD_STEP ||
                  (head->type == RECORD_SPECTRUM && head->source != SPECTRUM_EXACT);
    return 2 * head->step + of_step;
}

static int track_of(const struct record_head *head)
{
    return head->type == RECORD_EVAL ? CURSOR_EVALS : (int)runlog_kind_of(head);
}

static int push(struct cursor_turns *t, int64_t key, struct error *e)
{
    if (memory_grow(t->turn, t->cap, t->n + 1) < 0)
        return error_memory(e, "the lives of a run");
    t->turn[t->n++] = (struct cursor_turn){t->line, key};
    t->last = key - 1;
    return 0;
}

// The step at which the trainer says that it goes on; -1: the line says nothing like that.
static int64_t resumed_at(const char *line, size_t n)
{
    struct record r;
    int is = record_parse(line, n, &r, NULL) == 0 && r.type == RECORD_EVENT &&
             r.step < INT64_MAX / 4 && strcmp(r.u.event.what, "resume") == 0 &&
             strcmp(r.u.event.by, "trainer") == 0;
    record_free(&r);
    return is ? r.step : -1;
}

int cursor_lives_note(struct cursor_lives *l, const struct record_head *head, const char *line,
                      size_t n, struct error *e)
{
    int64_t at = head->type == RECORD_EVENT ? resumed_at(line, n) : -1;
    for (int k = 0; at >= 0 && k < CURSOR_TRACKS; k++)
        if (push(&l->of[k], 2 * at + 1, e))
            return -1;
    if (!is_repeated(head))
        return 0;
    struct cursor_turns *t = &l->of[track_of(head)];
    int64_t key = key_of(head);
    if (t->line && key <= t->last) {
        if (push(t, key, e))
            return -1;
        // Evaluations of the steps that are made again do not count either.
        if (head->type == RECORD_STEP && push(&l->of[CURSOR_EVALS], key, e))
            return -1;
    }
    t->last = key;
    t->line++;
    return 0;
}

void cursor_lives_close(struct cursor_lives *l)
{
    l->known = 1;
    for (int k = 0; k < CURSOR_TRACKS; k++) {
        struct cursor_turns *t = &l->of[k];
        t->line = 0;
        for (size_t i = t->n; i-- > 1;) // the furthest back of all that follow
            if (t->turn[i].key < t->turn[i - 1].key)
                t->turn[i - 1].key = t->turn[i].key;
    }
}

int cursor_lives_count(struct cursor_lives *l, const struct record_head *head)
{
    if (!is_repeated(head))
        return 1;
    struct cursor_turns *t = &l->of[track_of(head)];
    while (t->at < t->n && t->turn[t->at].line <= t->line)
        t->at++;
    t->line++;
    return t->at == t->n || key_of(head) < t->turn[t->at].key;
}
