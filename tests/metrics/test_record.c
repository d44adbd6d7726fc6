// Records to lines and back: every field, every double to the last bit, strings that mean harm,
// lines from elsewhere; and always a line that is JSON and UTF-8.
#include "metrics/log/record.h"

#include <criterion/criterion.h>
#include <float.h>
#include <jansson.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

// Any finite double, by its bits; a quarter NaN.
static double any_double(uint64_t *state)
{
    double v;
    do {
        uint64_t bits = next(state);
        memcpy(&v, &bits, sizeof v);
    } while (!isfinite(v));
    return next(state) % 4 ? v : NAN;
}

static int same(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static void same_all(const double *a, const double *b, int n)
{
    for (int i = 0; i < n; i++)
        cr_assert(same(a[i], b[i]), "%d: %.17g became %.17g", i, a[i], b[i]);
}

// The line of a record; checked to be one line of UTF-8 that a strict parser takes.
static char *format(const struct record *r, size_t *len)
{
    struct error e = {0};
    char *line;
    cr_assert_eq(record_format(r, &line, len, &e), 0, "%s", e.text);
    cr_assert_eq(strlen(line), *len);
    cr_assert_null(memchr(line, '\n', *len));
    for (size_t i = 0; i < *len;) {
        int k = text_utf8(line + i, *len - i, NULL);
        cr_assert(k, "not UTF-8 at byte %zu", i);
        i += (size_t)k;
    }
    json_error_t why;
    json_t *root = json_loadb(line, *len, JSON_REJECT_DUPLICATES, &why);
    cr_assert(json_is_object(root), "%s in %s", why.text, line);
    json_decref(root);
    return line;
}

// To a line and back.
static void round_trip(const struct record *r, struct record *back)
{
    struct error e = {0};
    size_t len;
    char *line = format(r, &len);
    // Without a NUL behind it, so that a read beyond the end shows.
    char *exact = malloc(len);
    cr_assert(exact);
    memcpy(exact, line, len);
    cr_assert_eq(record_parse(exact, len, back, &e), 0, "%s: %s", e.text, line);
    free(exact);
    free(line);
    cr_assert_eq(back->type, r->type);
    cr_assert_eq(back->step, r->step);
}

static void parse(const char *line, struct record *out)
{
    struct error e = {0};
    cr_assert_eq(record_parse(line, strlen(line), out, &e), 0, "%s: %s", e.text, line);
}

static json_t *load(const struct record *r)
{
    size_t len;
    char *line = format(r, &len);
    json_t *root = json_loadb(line, len, 0, NULL);
    free(line);
    return root;
}

Test(record, run)
{
    struct record r, back;
    record_init(&r, RECORD_RUN, -1);
    cr_assert(r.u.run.parent_step == -1 && !r.u.run.config && !r.u.run.name[0]);
    r.u.run.version = 1;
    strcpy(r.u.run.writer.name, "ssltop-client");
    strcpy(r.u.run.writer.version, "1.1.0");
    strcpy(r.u.run.can, "pause lr");
    strcpy(r.u.run.name, "2026-01-02-fashion-mnist");
    strcpy(r.u.run.created, "2026-01-02T03:04:05Z");
    r.u.run.config = strdup("{\n \"lr\": \"1\",\n \"name\": \"a\\\"b\\\\c\\u0001\"\n}");
    strcpy(r.u.run.dataset.name, "fashion-mnist");
    r.u.run.dataset.n = 60000;
    r.u.run.dataset.n_test = 10000;
    r.u.run.dataset.classes = 10;
    r.u.run.dataset.channels = 1;
    r.u.run.dataset.height = 28;
    r.u.run.dataset.width = 27;
    strcpy(r.u.run.model.arch, "resnet18");
    r.u.run.model.width = 16;
    r.u.run.model.d = 128;
    r.u.run.model.params = INT64_MAX;
    strcpy(r.u.run.device.name, "cpu");
    strcpy(r.u.run.device.detail, "oneDNN \"2.6\"");
    r.u.run.device.threads = 2;
    strcpy(r.u.run.device.precision, "bf16");
    r.u.run.device.algorithms = strdup("ddwd");
    r.u.run.steps = 4680;
    strcpy(r.u.run.parent, "runs/b");
    r.u.run.parent_step = 1200;
    round_trip(&r, &back);
    cr_assert_str_eq(back.u.run.config, "{\"lr\":\"1\",\"name\":\"a\\\"b\\\\c\\u0001\"}");
    cr_assert_str_eq(back.u.run.device.algorithms, "ddwd");
    free(back.u.run.config);
    free(back.u.run.device.algorithms);
    back.u.run.config = r.u.run.config;
    back.u.run.device.algorithms = r.u.run.device.algorithms;
    cr_assert_eq(memcmp(&r, &back, sizeof r), 0);
    json_t *root = load(&r), *shape = json_object_get(json_object_get(root, "dataset"), "shape");
    cr_assert_eq(json_array_size(shape), 3);
    cr_assert_eq(json_integer_value(json_array_get(shape, 0)), 1);
    cr_assert_eq(json_integer_value(json_array_get(shape, 2)), 27);
    cr_assert_eq(json_integer_value(json_object_get(root, "steps")), 4680);
    cr_assert_null(json_object_get(root, "step"));
    json_decref(root);
    record_free(&r);
    cr_assert(!r.u.run.config && !r.u.run.device.algorithms);
    record_free(&r);
}

// The names of DESIGN's table, where they lie and what is null.
Test(record, step_has_the_fixed_names)
{
    static const char *const top[] = {
        "t",      "mode",  "chunk", "loss",   "lr",          "lr_pred",  "zstd", "auc",
        "rankme", "alpha", "pr",    "spread", "stable_rank", "num_rank", "cond", "images_s"};
    static const char *const phases[] = {"data", "forward", "backward", "update", "spectrum"};
    struct record r;
    record_init(&r, RECORD_STEP, 0);
    json_t *root = load(&r), *ms = json_object_get(root, "ms");
    cr_assert_str_eq(json_string_value(json_object_get(root, "type")), "step");
    cr_assert(json_is_integer(json_object_get(root, "step")));
    for (size_t i = 0; i < sizeof top / sizeof *top; i++)
        cr_assert(json_is_null(json_object_get(root, top[i])), "%s", top[i]);
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
        cr_assert(json_is_null(json_object_get(ms, phases[i])), "%s", phases[i]);
    cr_assert_null(json_object_get(root, "forecast"));
    cr_assert_null(json_object_get(root, "z"));
    json_decref(root);
    r.u.step.forecast = 0.5;
    r.u.step.metric[METRIC_Z_RANKME] = 33.5;
    r.u.step.chunk = 0;
    r.u.step.metric[METRIC_AUC] = 0.75;
    r.u.step.ms[PHASE_BACKWARD] = 12.5;
    root = load(&r);
    cr_assert(json_real_value(json_object_get(root, "forecast")) == 0.5);
    json_t *z = json_object_get(root, "z");
    cr_assert(json_real_value(json_object_get(z, "rankme")) == 33.5 && json_object_size(z) == 1);
    cr_assert(json_is_integer(json_object_get(root, "chunk")));
    cr_assert(json_real_value(json_object_get(root, "auc")) == 0.75);
    cr_assert(json_real_value(json_object_get(json_object_get(root, "ms"), "backward")) == 12.5);
    json_decref(root);
}

Test(record, every_double_round_trips)
{
    uint64_t state = 1;
    for (int i = 0; i < 2000; i++) {
        struct record r, back;
        record_init(&r, RECORD_STEP, (int64_t)(next(&state) >> 1));
        struct record_step *s = &r.u.step;
        s->t = any_double(&state);
        s->mode = MODE_CONTINUAL;
        s->chunk = (int)(next(&state) % 1000) - 1;
        s->lr = any_double(&state);
        s->lr_pred = any_double(&state);
        for (int k = 0; k < METRIC_COUNT; k++)
            s->metric[k] = any_double(&state);
        s->forecast = any_double(&state);
        s->forecast_lo = any_double(&state);
        s->forecast_hi = any_double(&state);
        s->images_s = any_double(&state);
        for (int k = 0; k < PHASE_COUNT; k++)
            s->ms[k] = any_double(&state);
        round_trip(&r, &back);
        const struct record_step *b = &back.u.step;
        same_all((double[]){s->t, s->lr, s->lr_pred, s->forecast, s->forecast_lo, s->forecast_hi,
                            s->images_s},
                 (double[]){b->t, b->lr, b->lr_pred, b->forecast, b->forecast_lo, b->forecast_hi,
                            b->images_s},
                 7);
        same_all(s->metric, b->metric, METRIC_COUNT);
        same_all(s->ms, b->ms, PHASE_COUNT);
        cr_assert_eq(b->chunk, s->chunk);
        cr_assert_eq(b->mode, MODE_CONTINUAL);
        record_free(&back);
    }
}

Test(record, doubles_at_the_edges)
{
    static const double edge[] = {
        0.0,     -0.0,     1,       -1,       1e17,   123456789012345678.0,
        DBL_MAX, -DBL_MAX, DBL_MIN, 4.9e-324, 0x1p53, 0x1p63,
        0x1p64,  0.1,      1.0 / 3, 1e-5,     1e22,   -0x1p63};
    for (size_t i = 0; i < sizeof edge / sizeof *edge; i++) {
        struct record r, back;
        record_init(&r, RECORD_EVAL, 3);
        r.u.eval.probe = edge[i];
        r.u.eval.knn = edge[i];
        r.u.eval.metric[METRIC_AUC] = edge[i];
        r.u.eval.n_train = 7;
        round_trip(&r, &back);
        same_all((double[]){edge[i], edge[i], edge[i]},
                 (double[]){back.u.eval.probe, back.u.eval.knn, back.u.eval.metric[METRIC_AUC]}, 3);
        cr_assert(back.u.eval.n_train == 7 && back.u.eval.n_test == 0);
    }
    struct record r, back;
    record_init(&r, RECORD_EVAL, 3);
    r.u.eval.probe = INFINITY;
    r.u.eval.metric[METRIC_COND] = -INFINITY;
    round_trip(&r, &back);
    cr_assert(isnan(back.u.eval.probe) && isnan(back.u.eval.metric[METRIC_COND]));
    json_t *root = load(&r);
    cr_assert(json_is_null(json_object_get(root, "n_train")), "what does not exist is not 0");
    cr_assert_null(json_object_get(root, "knn"));
    json_decref(root);
}

Test(record, spectrum)
{
    for (int d = 0; d <= 600; d += 200) {
        struct record r, back;
        record_init(&r, RECORD_SPECTRUM, 12);
        r.u.spectrum.source = d % 400 ? SPECTRUM_EXACT : SPECTRUM_LIVE;
        r.u.spectrum.n = 1024.5;
        r.u.spectrum.d = d;
        r.u.spectrum.sigma = d ? malloc((size_t)d * sizeof(double)) : NULL;
        for (int i = 0; i < d; i++)
            r.u.spectrum.sigma[i] = 1234.56789 * pow(0.9, i);
        if (d)
            r.u.spectrum.sigma[d / 2] = NAN;
        size_t len;
        char *line = format(&r, &len);
        cr_assert(!d || strstr(line, "\"sigma\":[1234.6,1111.1,1000,"), "%s", line);
        free(line);
        round_trip(&r, &back);
        cr_assert_eq(back.u.spectrum.source, r.u.spectrum.source);
        cr_assert(back.u.spectrum.n == 1024.5);
        cr_assert_eq(back.u.spectrum.d, d);
        for (int i = 0; i < d; i++) {
            double a = r.u.spectrum.sigma[i], b = back.u.spectrum.sigma[i];
            cr_assert(i == d / 2 ? isnan(b) : fabs(a - b) <= 5e-5 * a);
        }
        record_free(&r);
        record_free(&back);
        cr_assert_null(back.u.spectrum.sigma);
    }
}

Test(record, event_checkpoint_end)
{
    struct record r, back;
    record_init(&r, RECORD_EVENT, 120);
    strcpy(r.u.event.what, "mode");
    strcpy(r.u.event.by, "plan");
    strcpy(r.u.event.from, "continual");
    strcpy(r.u.event.to, "multi-epoch");
    round_trip(&r, &back);
    cr_assert_eq(memcmp(&r, &back, sizeof r), 0);
    json_t *root = load(&r);
    cr_assert_str_eq(json_string_value(json_object_get(root, "to")), "multi-epoch");
    cr_assert_null(json_object_get(root, "text"));
    json_decref(root);
    record_init(&r, RECORD_CHECKPOINT, 400);
    strcpy(r.u.checkpoint.file, "ckpt-400.safetensors");
    round_trip(&r, &back);
    cr_assert_eq(memcmp(&r, &back, sizeof r), 0);
    record_init(&r, RECORD_END, 4680);
    strcpy(r.u.end.reason, "failed");
    strcpy(r.u.end.text, "the loss is not finite");
    round_trip(&r, &back);
    cr_assert_eq(memcmp(&r, &back, sizeof r), 0);
}

// What a card does not tell is null, and null again when it comes back.
Test(record, device)
{
    struct record r, back;
    record_init(&r, RECORD_DEVICE, 7);
    cr_assert(isnan(r.u.device.power));
    cr_assert_eq(r.u.device.others, -1);
    r.u.device.utilization = 97;
    r.u.device.memory_used = 12.5e9;
    r.u.device.clock_sm = 1980;
    r.u.device.others = 2;
    strcpy(r.u.device.others_text, "python3 4711, Xorg 99");
    round_trip(&r, &back);
    cr_assert_eq(back.type, RECORD_DEVICE);
    cr_assert_eq(back.u.device.memory_used, 12.5e9);
    cr_assert_eq(back.u.device.others, 2);
    cr_assert(isnan(back.u.device.power));
    cr_assert_str_eq(back.u.device.others_text, "python3 4711, Xorg 99");
    json_t *root = load(&r);
    cr_assert(json_is_null(json_object_get(root, "temperature")));
    json_decref(root);
}

Test(record, ranks)
{
    double own[3] = {31, 30.5, 47}, reduce[3] = {16, 16.5, 0};
    struct record r, back;
    record_init(&r, RECORD_RANKS, 7);
    r.u.ranks.hosts = (char *)"a a b";
    r.u.ranks.own = (struct record_spectrum){.d = 3, .sigma = own};
    r.u.ranks.reduce = (struct record_spectrum){.d = 3, .sigma = reduce};
    round_trip(&r, &back);
    cr_assert_eq(back.type, RECORD_RANKS);
    cr_assert_str_eq(back.u.ranks.hosts, "a a b");
    cr_assert(back.u.ranks.own.d == 3 && back.u.ranks.own.sigma[2] == 47);
    cr_assert(back.u.ranks.reduce.d == 3 && back.u.ranks.reduce.sigma[1] == 16.5);
    record_free(&back);
}

// Random bytes and nasty ones, in a field that has no room to spare: the line stays valid, UTF-8
// comes back as it was, the rest as U+FFFD.
Test(record, hostile_strings)
{
    static const char *const nasty[] = {
        "\"},{\"type\":\"run\"",
        "\\",
        "\\u0000",
        "\x1b[2J\x07\b\f\r\t",
        "\x7f",
        "</script>",
        "\xc3\xa4\xe2\x82\xac\xf0\x9f\x92\xa9",
        "\xe2\x80\xa8\xe2\x80\xa9",
        "\xef\xbf\xbe\xef\xbf\xbf",
        "\xc2\x9b[31m",
    };
    struct record r, back;
    for (size_t i = 0; i < sizeof nasty / sizeof *nasty; i++) {
        record_init(&r, RECORD_EVENT, 1);
        strcpy(r.u.event.text, nasty[i]);
        round_trip(&r, &back);
        cr_assert_str_eq(back.u.event.text, nasty[i]);
    }
    static const char *const broken[] = {"\xff",         "\xc0\xaf", "\xe0\x80\x80",
                                         "\xed\xa0\x80", "\xf8\x88", "\xf4\x90\x80\x80",
                                         "\x80",         "\xe2\x82", "\xf0\x9f"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        record_init(&r, RECORD_EVENT, 1);
        snprintf(r.u.event.text, sizeof r.u.event.text, "a%sb", broken[i]);
        round_trip(&r, &back);
        cr_assert(strstr(back.u.event.text, "a\xef\xbf\xbd") == back.u.event.text);
        cr_assert(back.u.event.text[strlen(back.u.event.text) - 1] == 'b');
    }
    uint64_t state = 4;
    for (int i = 0; i < 3000; i++) {
        record_init(&r, RECORD_EVENT, 1);
        int high = i % 2, room = (int)sizeof r.u.event.text - (i % 3 ? 1 : 0);
        for (int k = 0; k < room; k++)
            r.u.event.text[k] = (char)(next(&state) % (high ? 255 : 127) + 1);
        if (i % 3 == 0) // no NUL at all
            memset(r.u.event.what, '"', sizeof r.u.event.what);
        round_trip(&r, &back);
        cr_assert(memchr(back.u.event.text, '\0', sizeof back.u.event.text));
        cr_assert(memchr(back.u.event.what, '\0', sizeof back.u.event.what));
        if (!high && i % 3)
            cr_assert_str_eq(back.u.event.text, r.u.event.text);
    }
}

Test(record, a_config_that_is_no_object_is_refused)
{
    static const char *const bad[] = {"", "[]", "{", "1", "{} {}", "{\"a\":\"\xff\"}", "null"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct record r;
        struct error e = {0};
        char *line;
        size_t len;
        record_init(&r, RECORD_RUN, -1);
        r.u.run.config = strdup(bad[i]);
        cr_assert_eq(record_format(&r, &line, &len, &e), -1, "%s", bad[i]);
        cr_assert(!line && !len && strstr(e.text, "config"), "%s", e.text);
        record_free(&r);
    }
    struct record r;
    struct error e = {0};
    char *line;
    size_t len;
    record_init(&r, RECORD_UNKNOWN, 1);
    cr_assert_eq(record_format(&r, &line, &len, &e), -1);
    cr_assert_null(line);
}

Test(record, lines_from_elsewhere)
{
    struct record r;
    parse("{\"type\":\"step\"}", &r);
    cr_assert(r.type == RECORD_STEP && r.step == -1 && isnan(r.u.step.t) && r.u.step.chunk == -1);
    cr_assert(r.u.step.mode == MODE_NONE && isnan(r.u.step.ms[PHASE_DATA]) &&
              isnan(r.u.step.metric[METRIC_AUC]));
    parse(" { \"ms\" : 3, \"auc\":\"1\", \"loss\":[], \"mode\":7, \"chunk\":1.5, \"step\":12.0, "
          "\"new\":{\"a\":[]},"
          " \"type\":\"step\", \"lr\":1, \"t\":null } ",
          &r);
    cr_assert(r.step == 12 && r.u.step.chunk == -1 && r.u.step.lr == 1 && isnan(r.u.step.t));
    cr_assert(isnan(r.u.step.metric[METRIC_AUC]) && isnan(r.u.step.metric[METRIC_LOSS]));
    parse("{\"type\":\"step\",\"step\":-5,\"chunk\":9999999999}", &r);
    cr_assert(r.step == -1 && r.u.step.chunk == -1);
    parse("{\"type\":\"step\",\"step\":1e300}", &r);
    cr_assert_eq(r.step, -1);
    parse("{\"type\":\"hologram\",\"step\":4}", &r);
    cr_assert(r.type == RECORD_UNKNOWN && r.step == 4);
    record_free(&r);
    parse("{\"type\":\"spectrum\",\"step\":4,\"source\":\"guess\",\"sigma\":[1]}", &r);
    cr_assert(r.type == RECORD_UNKNOWN && r.step == 4);
    record_free(&r);
    parse("{\"type\":\"spectrum\",\"source\":\"exact\",\"sigma\":[3,\"x\",null,1e-3]}", &r);
    cr_assert(r.u.spectrum.d == 4 && r.u.spectrum.sigma[0] == 3 && isnan(r.u.spectrum.sigma[1]));
    cr_assert(r.u.spectrum.sigma[3] == 1e-3);
    record_free(&r);
    parse("{\"type\":\"event\",\"text\":\"a\\u0000b\",\"what\":\"0123456789abcd\xc3\xa4\"}", &r);
    cr_assert_str_eq(r.u.event.text, "a");
    cr_assert_str_eq(r.u.event.what, "0123456789abcd", "a character must not be cut");
    parse("{\"type\":\"run\",\"config\":\"x\",\"dataset\":[],\"model\":null,\"device\":{"
          "\"threads\":-1}}",
          &r);
    cr_assert(!r.u.run.config && r.u.run.device.threads == -1);
    record_free(&r);
}

Test(record, what_is_no_record_is_refused)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "null",
                                      "[]",
                                      "3",
                                      "{\"type\":3}",
                                      "{}",
                                      "{\"type\":\"step\"",
                                      "{\"type\":\"step\"} x",
                                      "\xff\xfe",
                                      "{\"type\":\"step\",\"t\":NaN}",
                                      "{\"type\":\"step\",\"t\":1e999}",
                                      "{\"type\":\"event\",\"text\":\"\xff\"}",
                                      "{\"type\":\"event\",\"text\":\"\\ud800\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct record r;
        struct error e = {0};
        cr_assert_eq(record_parse(bad[i], strlen(bad[i]), &r, &e), -1, "%s", bad[i]);
        cr_assert(e.text[0] && r.type == RECORD_UNKNOWN);
        record_free(&r);
    }
    // Deep nesting ends in an error, not in the stack's end.
    size_t n = 1 << 20;
    char *deep = malloc(n);
    cr_assert(deep);
    memset(deep, '[', n);
    struct record r;
    struct error e = {0};
    cr_assert_eq(record_parse(deep, n, &r, &e), -1);
    free(deep);
}

// A line cut or changed anywhere parses or is refused; what it parses to can be written again.
Test(record, mutated_lines)
{
    struct record r;
    size_t len;
    record_init(&r, RECORD_STEP, 77);
    r.u.step.mode = MODE_CUMULATIVE;
    for (int i = 0; i < METRIC_COUNT; i++)
        r.u.step.metric[i] = 1.0 / (i + 3);
    char *line = format(&r, &len);
    uint64_t state = 9;
    for (int i = 0; i < 4000; i++) {
        size_t n = next(&state) % 3 ? len : next(&state) % len;
        char *copy = malloc(n + 1);
        cr_assert(copy);
        memcpy(copy, line, n);
        for (uint64_t k = next(&state) % 4; n && k > 0; k--)
            copy[next(&state) % n] ^= (char)(1 << next(&state) % 8);
        struct record back;
        struct error e = {0};
        if (record_parse(copy, n, &back, &e)) {
            cr_assert(e.text[0]);
        } else if (back.type != RECORD_UNKNOWN) {
            size_t again;
            free(format(&back, &again));
        }
        record_free(&back);
        free(copy);
    }
    free(line);
}

// A locale with a decimal comma changes nothing. Not every machine has one; the C locale always
// passes.
Test(record, locale)
{
    static const char *const comma[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "C"};
    for (size_t i = 0; i < sizeof comma / sizeof *comma; i++)
        if (setlocale(LC_ALL, comma[i])) {
            struct record r, back;
            record_init(&r, RECORD_STEP, 1);
            r.u.step.t = 1234.5;
            round_trip(&r, &back);
            cr_assert(back.u.step.t == 1234.5);
        }
}

// --- an independent reader ---

// jansson takes the same lines for records, of the same type, step and numbers.
static int same_as_jansson(const char *line, size_t n)
{
    struct record r;
    json_t *root = json_loadb(line, n, JSON_ALLOW_NUL, NULL), *type = json_object_get(root, "type");
    int rc = record_parse(line, n, &r, NULL), same = (rc == 0) == json_is_string(type);
    if (same && rc == 0 && r.type == RECORD_STEP) {
        const json_t *step = json_object_get(root, "step"), *ms = json_object_get(root, "ms");
        const double *v[] = {&r.u.step.t,
                             &r.u.step.lr,
                             &r.u.step.metric[METRIC_AUC],
                             &r.u.step.metric[METRIC_LOSS],
                             &r.u.step.ms[PHASE_DATA],
                             &r.u.step.ms[PHASE_UPDATE]};
        static const char *const key[] = {"t", "lr", "auc", "loss", "data", "update"};
        for (int i = 0; i < 6; i++) {
            const json_t *x = json_object_get(i < 4 ? root : ms, key[i]);
            double want = json_is_number(x) ? json_number_value(x) : NAN;
            same &= isnan(want) ? isnan(*v[i]) : memcmp(&want, v[i], sizeof want) == 0;
        }
        if (json_is_integer(step) && json_integer_value(step) >= 0)
            same &= r.step == json_integer_value(step);
        const char *mode = json_string_value(json_object_get(root, "mode"));
        same &= r.u.step.mode == (mode ? mode_find(mode, strlen(mode)) : MODE_NONE);
    }
    record_free(&r);
    json_decref(root);
    return same;
}

Test(record, is_read_as_jansson_reads_it)
{
    static const char *const odd[] = {
        "{\"type\":\"step\",\"step\":1}",
        "{\"type\":\"step\",\"step\":1,\"auc\":1}",
        "{\"type\":\"step\",\"step\":1,\"auc\":01}",
        "{\"type\":\"step\",\"step\":1,\"auc\":1e999}",
        "{\"type\":\"step\",\"step\":1,\"auc\":1.,\"t\":2}",
        "{\"type\":\"step\",\"step\":1,\"auc\":-}",
        "{\"type\":\"step\",\"step\":1,\"auc\":1,\"auc\":2,\"auc\":null}",
        "{\"type\":\"step\",\"step\":1,\"step\":2,\"t\":2}",
        "{\"type\":\"step\",\"step\":1,\"type\":\"eval\",\"t\":2}",
        "{\"type\":\"step\",\"step\":-1,\"t\":2}",
        "{\"type\":\"step\",\"step\":1.0,\"t\":2}",
        "{\"type\":\"step\",\"step\":123456789012345678901,\"t\":2}",
        "{\"type\":\"step\",\"step\":1,\"chunk\":4294967297}",
        "{\"type\":\"step\",\"step\":1,\"chunk\":2.0,\"t\":\"x\"}",
        "{\"type\":\"step\",\"step\":1,\"mode\":\"caf\\u00e9\"}",
        "{\"type\":\"step\",\"step\":1,\"mode\":7,\"later\":[1,2],\"t\":3}",
        "{\"type\":\"step\",\"step\":1,\"ms\":{\"data\":1,\"later\":2,\"forward\":null}}",
        "{\"type\":\"step\",\"step\":1,\"ms\":{},\"t\":4}",
        "{\"type\":\"step\",\"step\":1,\"ms\":3,\"data\":1,\"t\":4}",
        "{\"type\":\"step\",\"step\":1,\"t\":4,\"loss\":-0.0,\"auc\":-0}",
        "{\"type\":\"step\",\"step\":1,\"ms\":{\"data\":1},\"ms\":3}",
        "{\"type\":\"step\",\"step\":1,\"ms\":{\"data\":1},\"ms\":{\"update\":2}}",
        "{\"type\":\"step\",\"step\":1,\"mode\":\"a\",\"mode\":null,\"t\":1}",
        "{\"type\":\"step\",\"step\":1,\"t\":4}x",
        "{\"type\":\"step\",\"step\":1,\"t\":4",
        "{\"type\":\"step\",\"step\":1,\"t\":0.1e-400,\"lr\":123456789012345678}",
    };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        cr_assert(same_as_jansson(odd[i], strlen(odd[i])), "%s", odd[i]);
    struct record r;
    char *line;
    size_t n;
    record_init(&r, RECORD_STEP, 12345);
    r.u.step.t = 1.0 / 3;
    r.u.step.mode = MODE_CONTINUAL;
    r.u.step.chunk = 7;
    for (int i = 0; i < METRIC_COUNT; i++)
        r.u.step.metric[i] = i % 4 ? sin(i) * pow(10, 3 * i - 12) : NAN;
    r.u.step.ms[PHASE_DATA] = 0.1;
    cr_assert_eq(record_format(&r, &line, &n, NULL), 0);
    cr_assert(same_as_jansson(line, n));
    unsigned state = 1;
    for (int trial = 0; trial < 20000; trial++) {
        state = state * 1664525u + 1013904223u;
        size_t at = (state >> 8) % n;
        char kept = line[at];
        static const char put[] = "0123456789.-+eE\",:{}[]n \\x";
        state = state * 1664525u + 1013904223u;
        line[at] = put[(state >> 8) % (sizeof put - 1)];
        cr_assert(same_as_jansson(line, n), "%.*s", (int)n, line);
        line[at] = kept;
    }
    free(line);
    record_free(&r);
}

// Scalars of a script under names that it chose, told only where they are.
Test(record, own_scalars)
{
    struct record r, back;
    char *line;
    size_t n;
    record_init(&r, RECORD_STEP, 3);
    r.u.step.own.n = 3;
    strcpy(r.u.step.own.item[0].name, "top \"1\"");
    r.u.step.own.item[0].value = 0.25;
    strcpy(r.u.step.own.item[1].name, "not now");
    r.u.step.own.item[1].value = NAN;
    r.u.step.own.item[2].name[0] = '\0';
    cr_assert_eq(record_format(&r, &line, &n, NULL), 0);
    cr_assert(strstr(line, "\"own\":{\"top \\\"1\\\"\":0.25}") && !strstr(line, "dropped"), "%s",
              line);
    cr_assert_eq(record_parse(line, n, &back, NULL), 0);
    cr_assert(back.u.step.own.n == 1 && back.u.step.own.item[0].value == 0.25);
    cr_assert_str_eq(back.u.step.own.item[0].name, "top \"1\"");
    cr_assert(back.u.step.dropped == -1);
    free(line);
    r.u.step.own.n = 0;
    r.u.step.dropped = 0;
    cr_assert_eq(record_format(&r, &line, &n, NULL), 0);
    cr_assert(strstr(line, "\"dropped\":0") && !strstr(line, "own"), "%s", line);
    free(line);
    // More than there is room for, and what is no number.
    char many[4096] = "{\"type\":\"step\",\"step\":1,\"own\":{\"a\":\"b\",\"\":1";
    for (int i = 0; i < 2 * RECORD_OWN; i++)
        sprintf(many + strlen(many), ",\"n%d\":%d", i, i);
    strcat(many, "}}");
    cr_assert_eq(record_parse(many, strlen(many), &back, NULL), 0);
    cr_assert(back.u.step.own.n == RECORD_OWN && isnan(back.u.step.own.item[0].value));
    cr_assert_str_eq(back.u.step.own.item[1].name, "n0");
}

// An image size that nobody told is none.
Test(record, no_shape)
{
    struct record r;
    char *line;
    size_t n;
    record_init(&r, RECORD_RUN, -1);
    cr_assert_eq(record_format(&r, &line, &n, NULL), 0);
    cr_assert(strstr(line, "\"shape\":null") && strstr(line, "\"threads\":null"), "%s", line);
    free(line);
}
