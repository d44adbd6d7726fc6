// The words of the control protocol: commands as rows of a table, what a person types and the JSON
// lines that travel, in both directions. Nothing here touches a socket.
#include "train/wire/control.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/text.h"
#include "metrics/log/record.h"
#include "train/schedule/schedule_text.h"

#define NO_SAMPLER "this training draws its batches without ssltop's sampler"
const struct command_row command_table[COMMAND_COUNT] = {
    [COMMAND_WATCH] = {"watch", NULL, "follow the records from now on"},
    [COMMAND_STATUS] = {"status", NULL, "which step, which mode, whether it is paused"},
    [COMMAND_PAUSE] = {"pause", NULL, "stop between two steps, keeping everything in memory"},
    [COMMAND_RESUME] = {"resume", NULL, "go on after a pause"},
    [COMMAND_STEP] = {"step", NULL, "make exactly one step while paused"},
    [COMMAND_EVAL] = {"eval", NULL, "measure the exact spectrum now",
                      "this training offered no evaluation"},
    [COMMAND_CHECKPOINT] = {"checkpoint", NULL, "write a checkpoint now",
                            "this training offered no checkpoints"},
    [COMMAND_STOP] = {"stop", NULL, "write a checkpoint and end the training"},
    [COMMAND_MODE] = {"mode", "MODE[@CHUNKS]", "draw batches by another mode from the next step on",
                      NO_SAMPLER},
    [COMMAND_LR] = {"lr", "FACTOR", "multiply the learning rates by a factor: lr 0.5x",
                    "this training did not hand over its optimizer"},
    [COMMAND_UNTIL] =
        {"until", "WHEN then MODE[@CHUNKS]",
         "keep the mode until 40% of the run or a step, then switch; replaces what was planned",
         NO_SAMPLER},
};

static int find_command(const char *name)
{
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(command_table[i].name, name) == 0)
            return i;
    return -1;
}

static int unknown_command(const char *name, struct error *e)
{
    char shown[48], names[256] = "";
    text_clean(shown, sizeof shown, name);
    for (int i = 0; i < COMMAND_COUNT; i++)
        text_item(names, sizeof names, ", ", "%s", command_table[i].name);
    return error_set(e, "unknown command '%s'; there are %s", shown, names);
}

static int check_factor(double factor, struct error *e)
{
    if (!isfinite(factor) || factor < 1e-6 || factor > 1e6)
        return error_set(e, "a learning rate factor lies between 1e-6 and 1e6");
    return 0;
}

static int read_factor(const char *word, struct command_call *out, struct error *e)
{
    char *end;
    errno = 0;
    double f = strtod(word, &end);
    if (end != word && (*end == 'x' || *end == 'X'))
        end++;
    if (errno || end == word || *end)
        return error_set(e, "lr needs a factor, as in: lr 0.5x");
    if (check_factor(f, e) < 0)
        return -1;
    out->factor = f;
    return 0;
}

static int read_mode(const char *word, struct command_call *out, struct error *e)
{
    return schedule_text_mode(word, strlen(word), NULL, &out->mode, &out->chunks, e);
}

// "40%" or a step, as text: what it means needs the run.
static int read_when(const char *word, struct command_call *out, struct error *e)
{
    int64_t at;
    if (schedule_text_point(word, INT64_MAX, &at, NULL) < 0 || strlen(word) >= sizeof out->at)
        return error_set(
            e, "until needs 40%% of the run or a step, as in: until 40%% then multi-epoch");
    snprintf(out->at, sizeof out->at, "%s", word);
    return 0;
}

// Arguments of a typed command, in words.
static int read_arguments(char *word[], int n, struct command_call *out, struct error *e)
{
    const struct command_row *row = &command_table[out->command];
    switch (out->command) {
    case COMMAND_MODE:
        if (n == 1)
            return read_mode(word[0], out, e);
        break;
    case COMMAND_LR:
        if (n == 1)
            return read_factor(word[0], out, e);
        break;
    case COMMAND_UNTIL:
        if (n == 3 && strcmp(word[1], "then") == 0)
            return read_when(word[0], out, e) < 0 ? -1 : read_mode(word[2], out, e);
        break;
    default:
        if (n == 0)
            return 0;
        return error_set(e, "%s takes no argument", row->name);
    }
    return error_set(e, "say: %s %s", row->name, row->argument);
}

static void call_init(struct command_call *c)
{
    memset(c, 0, sizeof *c);
    c->mode = MODE_NONE;
    c->factor = 1;
    snprintf(c->by, sizeof c->by, "ctl");
}

int command_parse_text(const char *text, struct command_call *out, struct error *e)
{
    enum { WORDS = 5 };
    char copy[256], *word[WORDS], *save = NULL;
    int n = 0;

    call_init(out);
    if (strlen(text) >= sizeof copy)
        return error_set(e, "a command has at most %zu characters", sizeof copy - 1);
    snprintf(copy, sizeof copy, "%s", text);
    for (char *w = strtok_r(copy, " \t\r\n", &save); w; w = strtok_r(NULL, " \t\r\n", &save)) {
        if (n == WORDS)
            return error_set(e, "too many words for a command");
        word[n++] = w;
    }
    if (n == 0)
        return error_set(e, "no command given");
    int command = find_command(word[0]);
    if (command < 0)
        return unknown_command(word[0], e);
    out->command = (enum command)command;
    return read_arguments(word + 1, n - 1, out, e);
}

static int mode_from_json(json_t *o, struct command_call *out, struct error *e)
{
    const char *mode = json_string_value(json_object_get(o, "mode"));
    json_t *chunks = json_object_get(o, "chunks");
    if (!mode)
        return error_set(e, "%s needs \"mode\"", command_table[out->command].name);
    if (read_mode(mode, out, e) < 0)
        return -1;
    if (!chunks)
        return 0;
    json_int_t k = json_integer_value(chunks);
    if (!json_is_integer(chunks) || k < 0 || k > INT32_MAX)
        return error_set(e, "\"chunks\" must be a whole number of at least 1");
    if (k)
        out->chunks = (int)k;
    return 0;
}

static int when_from_json(json_t *o, struct command_call *out, struct error *e)
{
    json_t *at = json_object_get(o, "at");
    char text[32];
    if (json_is_integer(at))
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(at));
    else if (json_is_string(at))
        snprintf(text, sizeof text, "%s", json_string_value(at));
    else
        return error_set(e, "until needs \"at\": \"40%%\" or a step");
    return read_when(text, out, e);
}

static int fields_from_json(json_t *o, struct command_call *out, struct error *e)
{
    switch (out->command) {
    case COMMAND_MODE:
        return mode_from_json(o, out, e);
    case COMMAND_LR:
        if (!json_is_number(json_object_get(o, "factor")))
            return error_set(e, "lr needs a number \"factor\"");
        out->factor = json_number_value(json_object_get(o, "factor"));
        return check_factor(out->factor, e);
    case COMMAND_UNTIL:
        return when_from_json(o, out, e) < 0 ? -1 : mode_from_json(o, out, e);
    default:
        return 0;
    }
}

int command_parse_json(const char *line, size_t n, struct command_call *out, struct error *e)
{
    json_error_t why;
    call_init(out);
    json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(o)) {
        json_decref(o);
        return error_set(e, "a command is one JSON object a line, like {\"cmd\":\"pause\"}");
    }
    json_t *id = json_object_get(o, "id");
    if (json_is_integer(id))
        out->id = json_integer_value(id);
    const char *by = json_string_value(json_object_get(o, "by"));
    if (by && strcmp(by, "key") == 0)
        snprintf(out->by, sizeof out->by, "key");
    const char *name = json_string_value(json_object_get(o, "cmd"));
    int command = name ? find_command(name) : -1;
    int rc;
    if (!name) {
        rc = error_set(e, "a command needs \"cmd\"");
    } else if (command < 0) {
        rc = unknown_command(name, e);
    } else {
        out->command = (enum command)command;
        rc = fields_from_json(o, out, e);
    }
    json_decref(o);
    return rc;
}

// The text of `o`, which is freed; NULL when memory is short.
static char *dump(json_t *o, int failed)
{
    char *text = o && !failed ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(o);
    return text;
}

char *command_to_json(const struct command_call *c)
{
    json_t *o = json_object();
    int bad = !o;
    bad |= json_object_set_new(o, "id", json_integer(c->id));
    bad |= json_object_set_new(o, "by", json_string(c->by));
    bad |= json_object_set_new(o, "cmd", json_string(command_table[c->command].name));
    if (c->command == COMMAND_UNTIL)
        bad |= json_object_set_new(o, "at", json_string(c->at));
    if (c->command == COMMAND_MODE || c->command == COMMAND_UNTIL)
        bad |= json_object_set_new(o, "mode", json_string(mode_name(c->mode)));
    if (c->chunks)
        bad |= json_object_set_new(o, "chunks", json_integer(c->chunks));
    if (c->command == COMMAND_LR)
        bad |= json_object_set_new(o, "factor", json_real(c->factor));
    return dump(o, bad);
}

char *answer_to_json(const struct answer *a)
{
    char text[sizeof a->text];
    text_clean(text, sizeof text, a->text);
    json_t *o = json_object();
    int bad = !o;
    bad |= json_object_set_new(o, "type", json_string("answer"));
    bad |= json_object_set_new(o, "id", json_integer(a->id));
    bad |= json_object_set_new(o, "ok", json_boolean(a->ok));
    if (a->step >= 0)
        bad |= json_object_set_new(o, "step", json_integer(a->step));
    if (a->lines >= 0)
        bad |= json_object_set_new(o, "lines", json_integer(a->lines));
    if (a->paused >= 0)
        bad |= json_object_set_new(o, "paused", json_boolean(a->paused));
    bad |= json_object_set_new(o, "text", json_string(text));
    return dump(o, bad);
}

void answer_init(struct answer *a, int64_t id)
{
    memset(a, 0, sizeof *a);
    a->id = id;
    a->step = a->lines = -1;
    a->paused = -1;
}

// An integer member, or `fallback`.
static int64_t whole(json_t *o, const char *key, int64_t fallback)
{
    json_t *v = json_object_get(o, key);
    return json_is_integer(v) ? json_integer_value(v) : fallback;
}

int answer_parse(const char *line, size_t n, struct answer *out, struct error *e)
{
    json_error_t why;
    answer_init(out, 0);
    json_t *o = json_loadb(line, n, 0, &why);
    if (!json_is_object(o)) {
        json_decref(o);
        return error_set(e, "not a JSON object: %s", why.text);
    }
    const char *type = json_string_value(json_object_get(o, "type"));
    int is_answer = type && strcmp(type, "answer") == 0;
    if (is_answer) {
        const char *text = json_string_value(json_object_get(o, "text"));
        json_t *paused = json_object_get(o, "paused");
        out->id = whole(o, "id", 0);
        out->ok = json_is_true(json_object_get(o, "ok"));
        out->step = whole(o, "step", -1);
        out->lines = whole(o, "lines", -1);
        out->paused = json_is_boolean(paused) ? json_is_true(paused) : -1;
        text_clean(out->text, sizeof out->text, text ? text : "");
    }
    json_decref(o);
    return is_answer;
}
