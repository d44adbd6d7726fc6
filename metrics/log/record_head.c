// The front of a line: {"type":"spectrum","step":12,"source":"live", ...
#include "metrics/log/record_head.h"

#include <string.h>

#include "metrics/log/record_fields.h"

struct text {
    const char *p;
    size_t n;
};

static int take(struct text *t, const char *word)
{
    size_t n = strlen(word);
    if (t->n < n || memcmp(t->p, word, n) != 0)
        return 0;
    t->p += n;
    t->n -= n;
    return 1;
}

static int take_number(struct text *t, int64_t *v)
{
    size_t i = 0;
    for (*v = 0; i < t->n && i < 18 && t->p[i] >= '0' && t->p[i] <= '9'; i++)
        *v = 10 * *v + (t->p[i] - '0');
    // The number must end here, and not in a fraction.
    if (!i || i == t->n || (t->p[i] != ',' && t->p[i] != '}'))
        return 0;
    t->p += i;
    t->n -= i;
    return 1;
}

static int is_known(enum record_type type, struct text t, struct record_head *out)
{
    if (!take(&t, "\"") || !take(&t, record_kind_table[type].name) || !take(&t, "\""))
        return 0;
    out->type = type;
    out->step = -1;
    if (type == RECORD_RUN)
        return 1;
    if (!take(&t, ",\"step\":") || !take_number(&t, &out->step))
        return 0;
    if (type != RECORD_SPECTRUM)
        return 1;
    if (!take(&t, ",\"source\":\""))
        return 0;
    for (int i = 0; i < 2; i++)
        if (take(&t, record_source_key[i]) && take(&t, "\"")) {
            out->source = (enum spectrum_source)i;
            return 1;
        }
    return 0;
}

static int parse_whole(const char *line, size_t n, struct record_head *out)
{
    struct record r;
    int rc = record_parse(line, n, &r, NULL);
    *out = (struct record_head){.type = r.type, .step = r.step};
    if (r.type == RECORD_SPECTRUM)
        out->source = r.u.spectrum.source;
    record_free(&r);
    return rc == 0;
}

int record_head(const char *line, size_t n, struct record_head *out)
{
    struct text t = {line, n};
    *out = (struct record_head){.type = RECORD_UNKNOWN, .step = -1};
    if (take(&t, "{\"type\":"))
        for (int i = RECORD_UNKNOWN + 1; i <= RECORD_END; i++)
            if (is_known((enum record_type)i, t, out))
                return 1;
    return parse_whole(line, n, out);
}
