// A row a fact: its key in `config`, and what it is.
#include "metrics/log/run_facts.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum fact_kind { FACT_COUNT, FACT_SEED, FACT_TEXT, FACT_FLAG };

static const struct fact {
    const char *key;
    enum fact_kind kind;
    size_t offset, size;
} fact_table[] = {
#define FACT(key, kind, member)                                                                    \
    {                                                                                              \
        key, kind, offsetof(struct run_facts, member), sizeof(((struct run_facts *)0)->member)     \
    }
    FACT("batch", FACT_COUNT, batch),        FACT("chunks", FACT_COUNT, chunks),
    FACT("seed", FACT_SEED, seed),           FACT("method", FACT_TEXT, method),
    FACT("augment", FACT_TEXT, augment),     FACT("schedule", FACT_TEXT, schedule),
    FACT("predictor", FACT_FLAG, predictor), FACT("stop-gradient", FACT_FLAG, stop_gradient),
};

// ssltop writes every value as a text; what other programs write as numbers is taken too.
static void put(const struct fact *f, const json_t *v, struct run_facts *out)
{
    void *at = (char *)out + f->offset;
    const char *text = json_string_value(v);
    char *end = NULL;
    errno = 0;
    unsigned long long n = text                 ? strtoull(text, &end, 10)
                           : json_is_integer(v) ? (unsigned long long)json_integer_value(v)
                                                : 0;
    int is_number = text ? end != text && !*end && !errno && *text != '-' : json_is_integer(v);
    if (f->kind == FACT_TEXT && text)
        text_clean(at, f->size, text);
    else if (f->kind == FACT_SEED && is_number)
        *(uint64_t *)at = n;
    else if (f->kind == FACT_COUNT && is_number && n <= INT_MAX)
        *(int *)at = (int)n;
    else if (f->kind == FACT_FLAG)
        *(int *)at = !(json_is_false(v) || (text && strcmp(text, "off") == 0));
}

void run_facts_read(const struct record_run *run, struct run_facts *out)
{
    *out = (struct run_facts){.augment = "auto", .predictor = 1, .stop_gradient = 1};
    json_t *config = run->config ? json_loads(run->config, JSON_ALLOW_NUL, NULL) : NULL;
    for (size_t i = 0; i < sizeof fact_table / sizeof *fact_table; i++) {
        const json_t *v = json_object_get(config, fact_table[i].key);
        if (v)
            put(&fact_table[i], v, out);
    }
    json_decref(config);
}

int run_facts_alike(const struct record_run *a, const struct record_run *b)
{
    struct run_facts of_a, of_b;
    run_facts_read(a, &of_a);
    run_facts_read(b, &of_b);
    return strcmp(a->dataset.name, b->dataset.name) == 0 &&
           strcmp(a->model.arch, b->model.arch) == 0 && a->model.width == b->model.width &&
           strcmp(of_a.method, of_b.method) == 0;
}
