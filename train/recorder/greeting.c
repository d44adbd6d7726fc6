// Text of another process: everything is bounded and made clean before it goes into a log or to a
// terminal.
#include "train/recorder/greeting.h"

#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/text.h"
#include "train/recorder/line.h"
#include "train/recorder/orders.h"

static const char *config_text(json_t *o, const char *key, const char *other)
{
    const char *v = json_string_value(json_object_get(o, key));
    if (!v && other)
        v = json_string_value(json_object_get(o, other));
    return v ? v : "";
}

static int understand_config(struct recorder *r, const char *text, struct error *e)
{
    json_error_t why;
    json_t *o = json_loads(text, 0, &why);
    if (!json_is_object(o)) {
        json_decref(o);
        text_clean(why.text, sizeof why.text, why.text);
        return error_set(e, "the configuration is no JSON object: %.150s", why.text);
    }
    text_clean(r->data, sizeof r->data, config_text(o, "data", "dataset"));
    text_clean(r->arch, sizeof r->arch, config_text(o, "arch", "model"));
    text_clean(r->method, sizeof r->method, config_text(o, "method", NULL));
    long width = strtol(config_text(o, "width", NULL), NULL, 10);
    r->width = width > 0 && width < INT32_MAX ? (int)width : 0;
    r->config = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(o);
    return r->config ? 0 : error_memory(e, "the configuration");
}

static int understand(struct recorder *r, const char *text, size_t n, struct error *e)
{
    const char *at = text, *config = "{}";
    for (int i = 0; i < LINK_WORDS; i++) {
        const char *end = memchr(at, '\0', n - (size_t)(at - text));
        if (!end)
            return error_set(e, "the client's greeting is cut off");
        if (i == LINK_CONFIG)
            config = at;
        else if ((size_t)(end - at) >= sizeof r->word[i])
            return error_set(e, "the client's greeting has a word that is too long");
        else
            text_clean(r->word[i], sizeof r->word[i], at);
        at = end + 1;
    }
    if (strchr(r->word[LINK_RUN], '/') || r->word[LINK_RUN][0] == '.')
        return error_set(e, "'%.100s' can't be the name of a run: no / and no . in front",
                         r->word[LINK_RUN]);
    return understand_config(r, config, e) < 0 ? -1
                                               : guard_parse(&r->guard, r->word[LINK_GUARD], e);
}

int greeting_hear(struct recorder *r, struct error *e)
{
    enum { START_MS = 10000 };
    char *text = malloc(LINK_TEXT + 1);
    size_t length = 0;
    int memory = -1, rc = -1;
    struct pollfd p = {r->fd, POLLIN, 0};
    if (!text)
        return error_set(e, "out of memory");
    if (poll(&p, 1, START_MS) <= 0 ||
        line_hear(r->fd, &r->hello, text, LINK_TEXT + 1, &length, &memory) <= 0 ||
        r->hello.kind != LINK_HELLO)
        error_set(e, "descriptor %d is no client's: ssltop record is started by one, not by hand",
                  r->fd);
    else if (r->hello.version != LINK_VERSION)
        error_set(e,
                  "the client speaks version %u, this ssltop (%s) version %d: install both of one "
                  "release",
                  r->hello.version, SSLTOP_VERSION, LINK_VERSION);
    else
        rc = understand(r, text, length, e);
    if (memory >= 0)
        close(memory);
    free(text);
    // Lengths and sizes that it does not know, or that nobody has.
    if (r->hello.steps <= 0 || r->hello.steps > INT64_MAX / 2)
        r->hello.steps = -1;
    if (r->hello.n < 0 || r->hello.n > INT64_MAX / 2)
        r->hello.n = 0;
    if (r->hello.batch < 0 || r->hello.batch > LINK_ROWS)
        r->hello.batch = 0;
    return rc;
}

// What a reader of the log looks for in the configuration, where the script has not said it.
static char *complete_config(const struct recorder *r, int batch)
{
    json_t *o = json_loads(r->config, 0, NULL);
    const struct {
        const char *key;
        int is_known;
        uint64_t value;
    } number[] = {
        {"batch", batch > 0, (uint64_t)batch},
        {"seed", *r->word[LINK_SCHEDULE] != '\0', r->hello.seed},
        {"chunks", r->hello.chunks > 0, (uint64_t)r->hello.chunks},
    };
    for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
        char text[32];
        snprintf(text, sizeof text, "%" PRIu64, number[i].value);
        if (number[i].is_known && !json_object_get(o, number[i].key))
            json_object_set_new(o, number[i].key, json_string(text));
    }
    if (*r->word[LINK_SCHEDULE] && !json_object_get(o, "schedule"))
        json_object_set_new(o, "schedule", json_string(r->word[LINK_SCHEDULE]));
    char *text = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(o);
    return text;
}

int greeting_record(struct recorder *r, int batch, struct record *out, struct error *e)
{
    char now[CLOCK_TEXT];
    char *config = complete_config(r, batch);
    if (!config)
        return error_memory(e, "the configuration");
    free(r->config);
    r->config = config;
    record_init(out, RECORD_RUN, -1);
    struct record_run *v = &out->u.run;
    v->version = 1;
    size_t name = strcspn(r->word[LINK_WRITER], " ");
    text_copy(v->writer.name, sizeof v->writer.name, r->word[LINK_WRITER], name);
    text_copy(v->writer.version, sizeof v->writer.version,
              r->word[LINK_WRITER] + name + (r->word[LINK_WRITER][name] == ' '), SIZE_MAX);
    orders_offered(r, v->can, sizeof v->can);
    snprintf(v->name, sizeof v->name, "%.127s", r->dir.name);
    clock_utc(now);
    snprintf(v->created, sizeof v->created, "%s", now);
    v->config = r->config; // borrowed
    snprintf(v->dataset.name, sizeof v->dataset.name, "%s", r->data);
    v->dataset.n = r->hello.n;
    snprintf(v->model.arch, sizeof v->model.arch, "%s", r->arch);
    v->model.width = r->width;
    v->model.d = r->d;
    v->steps = r->hello.steps > 0 ? r->hello.steps : 0;
    return 0;
}
