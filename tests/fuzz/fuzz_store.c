// Checkpoints and other people's weights. The network that they are for is made once.
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gpu/device.h"
#include "gpu/net.h"
#include "metrics/features.h"
#include "tests/fuzz/foreign.h"
#include "train/methods/method.h"
#include "train/run/setup.h"
#include "train/schedule/best.h"
#include "train/schedule/guard.h"
#include "train/schedule/rates.h"
#include "train/schedule/schedule_text.h"
#include "train/store/points_file.h"
#include "train/store/probe_file.h"
#include "train/store/checkpoint.h"
#include "train/store/initial.h"
#include "train/store/remembered.h"
#include "train/store/safetensors.h"
#include "train/store/surrogate_file.h"
#include "tui/cli/features_file.h"

// A header of text and the data behind it, as a file.
static const char *put_tensors(int place, const void *header, size_t n, const void *data,
                               size_t bytes)
{
    int fd = foreign_fd(place);
    uint64_t length = n;
    fuzz_require(write(fd, &length, sizeof length) == sizeof length &&
                 write(fd, header, n) == (ssize_t)n && write(fd, data, bytes) == (ssize_t)bytes);
    return foreign_path(place);
}

// --- a byte: 0 a whole file follows; else its header up to a NUL, and the data ---

static void read_tensors(struct safetensors *f)
{
    enum { NUMBERS = 4096 };
    static float v[NUMBERS];
    static double w[NUMBERS];
    for (size_t i = 0; i < safetensors_count(f); i++) {
        const struct tensor *t = safetensors_at(f, i);
        fuzz_require(t->ndim >= 0 && t->ndim <= SAFETENSORS_DIMS);
        fuzz_require(safetensors_find(f, t->name));
        if (t->count > NUMBERS)
            continue;
        safetensors_floats(f, t, v, t->count, NULL);
        safetensors_doubles(f, t, w, t->count, NULL);
    }
    safetensors_meta(f, "step");
    safetensors_meta(f, "");
}

// Features in a tensor, as the command metrics finds them.
static void measure(const char *path)
{
    struct npy a;
    struct features_report r = {0};
    struct error e = {""};
    char link[512], name[600];
    snprintf(link, sizeof link, "%s/a.safetensors", foreign_folder());
    unlink(link);
    fuzz_require(symlink(path, link) == 0);
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s%s", link, i ? ":a" : "");
        if (features_file_open(name, &a, &e) < 0) {
            fuzz_require(*e.text);
            continue;
        }
        features_measure_array(&a, i, 1, &r, &e);
        features_report_free(&r);
        npy_close(&a);
    }
}

int fuzz_safetensors(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct safetensors *f;
    struct checkpoint c;
    struct error e = {""};
    const char *path;
    if (input_byte(&in)) {
        const uint8_t *end = in.n ? memchr(in.p, 0, in.n) : NULL;
        struct input header = input_take(&in, end ? (size_t)(end - in.p) : in.n);
        input_byte(&in);
        path = put_tensors(0, header.p, header.n, in.p, in.n);
    } else {
        path = foreign_file(0, in.p, in.n);
    }
    if (safetensors_open(path, &f, &e) == 0) {
        read_tensors(f);
        safetensors_close(f);
        measure(path);
    } else {
        fuzz_require(*e.text);
    }
    if (checkpoint_read(path, &c, NULL) == 0)
        checkpoint_free(&c);
    return 0;
}

// --- the metadata of a checkpoint: lines KEY=VALUE over those of a sound one ---

static const char *const sound[][2] = {
    {"format", "pt"},
    {"ssltop", "1"},
    {"step", "24"},
    {"steps", "40"},
    {"plan", "0:continual@3,16:multi-epoch@3"},
    {"rates", ""},
    {"guard", ""},
    {"algorithms", ""},
    {"threads", "1"},
    {"precision", "f32"},
    {"config", "{\"data\":\"synthetic:512\",\"width\":\"4\",\"chunks\":\"3\"}"},
    {"data_crc", "c152a94a"},
    {"device", "none"},
};

static struct device *cpu(void)
{
    static struct device *d;
    if (!d)
        fuzz_require(device_open("cpu", 1, &d, NULL) == 0);
    return d;
}

// Whether a small network can be compiled as the checkpoint says.
static void compile(const char *algorithms)
{
    static struct net net;
    struct plan *plan;
    struct error e = {""};
    if (!net.n) {
        net_init(&net, 1, 6, 6);
        int x = net_conv(&net, 0, "encoder.conv1", 4, 3, 1, 1);
        x = net_relu(&net, net_bn(&net, x, "encoder.bn1", 1));
        net_linear(&net, net_gap(&net, x), "encoder.fc", 4, 1);
        fuzz_require(!*net.error.text);
    }
    const struct plan_options o = {
        .batch = 2, .precision = PRECISION_F32, .algorithms = algorithms};
    if (setup_compile(cpu(), &net, &o, 0, &plan, &e) < 0)
        fuzz_require(*e.text);
    else
        plan_free(plan);
}

// What a run that goes on makes of it, but for the tensors.
static void go_on_from(const struct checkpoint *c)
{
    struct options o;
    struct schedule s;
    struct rates rates = {0};
    struct guard guard;
    struct error e = {""};
    options_default(&o);
    if (options_from_json(&o, c->config, &e) < 0)
        fuzz_require(*e.text);
    const struct schedule_facts f = {
        .seed = o.seed, .n = 60, .batch = 4, .steps = c->steps, .chunks = 3};
    if (c->steps < 1000000 && schedule_init(&s, &f, &e) == 0) {
        if (schedule_text_read(&s, c->schedule, &e) == 0) {
            struct schedule_place at;
            schedule_at(&s, c->step, &at);
            fuzz_require(at.mode >= 0 && at.mode < MODE_COUNT && at.pool_hi <= f.n);
        }
        schedule_free(&s);
    }
    if (rates_parse(&rates, c->rates, &e) == 0)
        rates_at(&rates, c->step);
    rates_free(&rates);
    if (guard_parse(&guard, o.guard, &e) == 0)
        guard_import(&guard, c->guard, &e);
    struct best best;
    char says[128];
    best_init(&best);
    if (best_import(&best, c->best, &e) == 0) {
        best_add(&best, c->step, NAN, 0.5);
        best_add(&best, c->step + (c->step < INT64_MAX), 0.7, NAN);
        best_says(&best, says, sizeof says);
    } else {
        fuzz_require(*e.text);
    }
    if (*c->algorithms)
        compile(c->algorithms);
}

int fuzz_checkpoint(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct checkpoint c;
    struct error e = {""};
    char line[2048];
    json_t *header = json_object(), *meta = json_object();
    for (size_t i = 0; i < sizeof sound / sizeof *sound; i++)
        json_object_set_new(meta, sound[i][0], json_string(sound[i][1]));
    while (input_line(&in, line, sizeof line)) {
        char *value = strchr(line, '=');
        if (value)
            *value++ = '\0';
        json_t *text = value ? json_string(value) : NULL; // NULL where it is not UTF-8
        if (text)
            json_object_set_new(meta, line, text);
        else
            json_object_del(meta, line);
    }
    json_object_set_new(header, "__metadata__", meta);
    char *text = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    fuzz_require(text);
    if (checkpoint_read(put_tensors(0, text, strlen(text), "", 0), &c, &e) == 0) {
        go_on_from(&c);
        checkpoint_free(&c);
    } else {
        fuzz_require(*e.text);
    }
    free(text);
    return 0;
}

// --- tensors: a byte for the file, then changes to it ---

struct base {
    const char *path;
    unsigned char *bytes;
    size_t n, start; // of the data
};

static const struct base *base_of(unsigned which)
{
    static struct base table[] = {{"tests/fixtures/torch-w4.safetensors", NULL, 0, 0},
                                  {"tests/fixtures/run-0.1.0/ckpt-24.safetensors", NULL, 0, 0}};
    struct base *b = &table[which % 2];
    FILE *f = b->bytes ? NULL : fopen(b->path, "rb");
    if (b->bytes)
        return b;
    fuzz_require(f && fseek(f, 0, SEEK_END) == 0);
    b->n = (size_t)ftell(f);
    b->bytes = malloc(b->n);
    rewind(f);
    fuzz_require(b->bytes && fread(b->bytes, 1, b->n, f) == b->n && fclose(f) == 0);
    uint64_t length;
    memcpy(&length, b->bytes, sizeof length);
    b->start = sizeof length + length;
    return b;
}

struct model {
    struct net net;
    struct plan *plan;
    struct moments live;
    struct cross cross;
};

// A whole network on its device, and the moments beside it.
static struct model *model_of_both(void)
{
    static struct model m;
    struct options o;
    if (m.plan)
        return &m;
    options_default(&o);
    o.width = 4;
    o.dim = 32;
    o.pred_dim = 8;
    const struct plan_options how = {.batch = 8, .precision = PRECISION_F32};
    fuzz_require(method_resolve(&o, NULL) == 0 && method_build(&o, 1, 28, 28, &m.net, NULL) == 0);
    fuzz_require(device_compile(cpu(), &m.net, &how, &m.plan, NULL) == 0);
    fuzz_require(moments_init(&m.live, 32, NULL) == 0 && cross_init(&m.cross, 32, 32, NULL) == 0);
    return &m;
}

static json_t *renamed(json_t *header, const char *prefix)
{
    static const char *const old = "encoder.";
    const char *name;
    json_t *value, *out = json_object();
    char text[512];
    json_object_foreach(header, name, value)
    {
        int is_encoder = strncmp(name, old, strlen(old)) == 0;
        snprintf(text, sizeof text, "%s%s", prefix, is_encoder ? name + strlen(old) : name);
        if (json_object_set(out, strcmp(name, "__metadata__") == 0 ? name : text, value) < 0)
            json_object_set(out, name, value);
    }
    json_decref(header);
    return out;
}

static json_t *member(json_t *header, unsigned i, const char **name)
{
    void *at = json_object_iter(header);
    for (i %= (unsigned)json_object_size(header); i > 0; i--)
        at = json_object_iter_next(header, at);
    *name = json_object_iter_key(at);
    return json_object_iter_value(at);
}

static json_t *change(json_t *header, struct input *in, unsigned char *data, size_t n)
{
    static const char *const type[] = {"F32", "F64", "F16", "BF16", "I64", "U8", "F8_E4M3", "?"};
    const char *name;
    char text[64], key[260];
    unsigned what = input_byte(in) % 8, which = input_byte(in);
    json_t *value = member(header, which, &name);
    size_t at = (size_t)input_number(in, 3);
    snprintf(key, sizeof key, "%s", name);
    if (what == 0) {
        input_line(in, text, sizeof text);
        return renamed(header, text);
    }
    if (what == 1) {
        json_object_del(header, key);
    } else if (what == 2) {
        json_object_set_new(value, "dtype", json_string(type[at % 8]));
    } else if (what == 3) { // its dimensions as one
        json_int_t all = 1;
        size_t i;
        json_t *dim;
        json_array_foreach(json_object_get(value, "shape"), i, dim) all *= json_integer_value(dim);
        json_object_set_new(value, "shape", json_pack("[I]", all + (json_int_t)(at & 1)));
    } else if (what == 4 || what == 5) {
        uint32_t bits = (uint32_t)input_number(in, 4);
        at = at % n / 4 * 4;
        if (at + 4 <= n)
            memcpy(data + at, &bits, 4);
    } else if (what == 6 && input_line(in, text, sizeof text)) {
        json_t *copy = json_deep_copy(value);
        if (json_object_set_new(header, text, copy) == 0)
            json_object_del(header, key);
    } else if (what == 7 && input_line(in, text, sizeof text)) {
        json_object_set_new(header, text,
                            json_pack("{s:s,s:[i],s:[I,I]}", "dtype", "F32", "shape", 0,
                                      "data_offsets", (json_int_t)n, (json_int_t)n));
    }
    return header;
}

int fuzz_weights(const uint8_t *data, size_t size)
{
    enum { CHANGES = 12 };
    struct input in = {data, size};
    unsigned how = input_byte(&in);
    const struct base *b = base_of(how);
    struct model *m = model_of_both();
    struct error e = {""};
    char notice[INITIAL_NOTICE];
    size_t n = b->n - b->start;
    unsigned char *copy = malloc(n);
    json_t *header = json_loadb((const char *)b->bytes + 8, b->start - 8, 0, NULL);
    fuzz_require(copy && header);
    memcpy(copy, b->bytes + b->start, n);
    for (int i = 0; in.n > 0 && i < CHANGES && json_object_size(header) > 0; i++)
        header = change(header, &in, copy, n);
    char *text = json_dumps(header, JSON_COMPACT);
    fuzz_require(text);
    const char *path = put_tensors(0, text, strlen(text), copy, n);
    int rc = how & 2 ? checkpoint_load(path, &m->net, m->plan, &m->live, &e)
                     : initial_load(path, &m->net, m->plan, notice, &e);
    fuzz_require(rc == 0 || *e.text);
    if (how & 4)
        checkpoint_load_cross(path, &m->cross, &e);
    free(text);
    free(copy);
    json_decref(header);
    return 0;
}

// --- the surrogate of a data set: entries of a line for the name, a byte for the type and two for
// rows and columns, an empty line, and numbers for all of them ---

int fuzz_surrogates(const uint8_t *data, size_t size)
{
    enum { PIXELS = 4, BYTES = 1 << 16 };
    static const char *const type[] = {"F64", "F64", "F32", "I64"};
    static unsigned char bytes[BYTES];
    struct input in = {data, size};
    struct surrogate s;
    struct error e = {""};
    char name[64];
    size_t n = 0;
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "data_crc", "0000000a");
    while (input_line(&in, name, sizeof name) && *name) {
        unsigned is = input_byte(&in), rows = input_byte(&in), columns = input_byte(&in);
        size_t all = (size_t)rows * (columns ? columns : 1) * (is % 4 == 2 ? 4 : 8);
        if (all > BYTES - n || json_object_get(header, name))
            break;
        json_t *shape =
            columns ? json_pack("[i,i]", (int)rows, (int)columns) : json_pack("[i]", (int)rows);
        json_object_set_new(header, name,
                            json_pack("{s:s,s:o,s:[I,I]}", "dtype", type[is % 4], "shape", shape,
                                      "data_offsets", (json_int_t)n, (json_int_t)(n + all)));
        n += all;
    }
    for (size_t i = 0; i < n; i++)
        bytes[i] = in.n ? in.p[i % in.n] : 0;
    char *text = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    fuzz_require(text);
    int rc = surrogate_file_read(put_tensors(0, text, strlen(text), bytes, n), PIXELS, 10, &s, &e);
    fuzz_require(rc == 0 || *e.text);
    if (rc == 0) {
        static const float small[2 * PIXELS] = {1, 2, 3, 4, 0, 0.5F, -1, 1e30F};
        double at[2 * SURROGATE_COMPONENTS];
        int32_t cluster[2];
        if (surrogate_project(&s, small, 2, s.components, at, NULL) == 0)
            for (int k = 0; k < SURROGATE_KINDS; k++)
                if (s.components && s.clusters[k]) {
                    surrogate_assign(&s, k, at, 2, cluster);
                    fuzz_require(cluster[0] >= 0 && cluster[0] < s.clusters[k]);
                }
        surrogate_free(&s);
    }
    free(text);
    return 0;
}

// --- what was measured on this machine: a key in a line, then the file ---

int fuzz_remembered(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    char key[REMEMBERED_KEY], folder[512];
    double value = 2, again = 3;
    setenv("XDG_CACHE_HOME", foreign_folder(), 1);
    snprintf(folder, sizeof folder, "%s/ssltop", foreign_folder());
    mkdir(folder, 0700);
    if (!input_line(&in, key, sizeof key) || !*key)
        return 0;
    foreign_put("ssltop/fuzz", in.p, in.n);
    int there = remembered_find("fuzz", key, &value);
    fuzz_require(isfinite(value) && (there || value == 2));
    if (remembered_add("fuzz", key, &again, NULL) == 0 && !there)
        fuzz_require(remembered_find("fuzz", key, &value) && value == again);
    return 0;
}

// --- what a linear probe measured of a run: what is taken is written and read again ---

int fuzz_probe(const uint8_t *data, size_t size)
{
    struct probe_kept k, again;
    struct error e = {""};
    foreign_put(PROBE_FILE, data, size);
    int rc = probe_file_read(foreign_folder(), &k, &e);
    fuzz_require(rc != 1 && (rc == 0 || *e.text));
    if (rc != 0)
        return 0;
    fuzz_require(k.step >= 0 && k.n_train >= 1 && k.n_test >= 1 && k.correct >= 0 &&
                 k.correct <= k.n_test);
    fuzz_require(probe_file_write(foreign_folder(), &k, NULL) == 0 &&
                 probe_file_read(foreign_folder(), &again, NULL) == 0 && k.step == again.step &&
                 k.correct == again.correct && k.n_train == again.n_train);
    return 0;
}

// --- evaluations that were kept: what is taken is written and read again, as many ---

struct taken {
    FILE *out;
    int n;
};

static int take_head(void *context, const struct points_head *h, struct error *e)
{
    struct taken *t = context;
    return t->out ? points_file_begin(t->out, h, e) : 0;
}

static int take_point(void *context, const char *run, const struct forecast_point *p,
                      struct error *e)
{
    struct taken *t = context;
    fuzz_require(*run && p->run >= 0 && p->n >= 0 && p->correct >= 0 && p->correct <= p->n);
    t->n++;
    return t->out ? points_file_add(t->out, run, p, e) : 0;
}

int fuzz_points(const uint8_t *data, size_t size)
{
    struct error e = {""};
    char *text = NULL;
    size_t n = 0;
    struct taken first = {.out = open_memstream(&text, &n)}, second = {0};
    fuzz_require(first.out != NULL);
    int rc = points_file_read(foreign_file(0, data, size),
                              &(struct points_reader){take_head, take_point, &first}, &e);
    fuzz_require(fclose(first.out) == 0 && (rc == 0 || *e.text));
    if (rc == 0) {
        fuzz_require(points_file_read(foreign_file(1, text, n),
                                      &(struct points_reader){take_head, take_point, &second},
                                      &e) == 0);
        fuzz_require(second.n == first.n);
    }
    free(text);
    return 0;
}
