// Names of other people's files are ours but for what stands before them: DataParallel's "module.",
// torch.compile's "_orig_mod.", the attribute that holds the encoder. A network is taken in parts:
// encoder, projector, predictor.
#include "train/store/initial.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/base/text.h"
#include "train/store/weights.h"

#define TARGET   "target."
#define STEM     "conv1.weight"
#define NUMBERED "0.weight" // where a Sequential has it
enum { PREFIX = 96 };

// What may stand before a name, again and again; and the last of these before an encoder's.
static const char *const wrapper[] = {"module.", "_orig_mod.", "model.", "net."};
static const char *const holder[] = {"encoder_q.", "encoder.", "backbone.", "base_encoder.",
                                     "online_encoder."};
enum { WRAPPERS = sizeof wrapper / sizeof *wrapper, HOLDERS = sizeof holder / sizeof *holder };

enum part { ENCODER, PROJECTOR, PREDICTOR, PARTS };

struct reading {
    struct weights w;
    const struct net *net;
    char encoder[PREFIX], rest[PREFIX];
    int taken[PARTS], needed[PARTS]; // whether the file has it; whether the network does
    size_t left_out;                 // tensors that are neither taken nor known
    const char *first;               // of those
    int classifier;
};

static size_t one_of(const char *const *word, int n, const char *text)
{
    for (int i = 0; i < n; i++)
        if (strncmp(text, word[i], strlen(word[i])) == 0)
            return strlen(word[i]);
    return 0;
}

// Bytes of wrappers that a name begins with.
static size_t wrappers(const char *name)
{
    size_t n = 0, more;
    while ((more = one_of(wrapper, WRAPPERS, name + n)) > 0)
        n += more;
    return n;
}

// Words in names of networks that only follow another one.
static int follows(const char *prefix)
{
    static const char *const word[] = {"target", "momentum", "teacher", "ema",
                                       "_k.",    "key",      "slow"};
    for (size_t i = 0; i < sizeof word / sizeof *word; i++)
        if (strcasestr(prefix, word[i]))
            return 1;
    return 0;
}

static int has(const struct reading *r, const char *prefix, size_t n, const char *name)
{
    char whole[PREFIX + 64];
    snprintf(whole, sizeof whole, "%.*s%s", (int)n, prefix, name);
    return safetensors_find(r->w.f, whole) != NULL;
}

// The first n bytes of a name as what stands before all of an encoder's, the first w of them before
// what belongs to no part.
static void take_prefix(struct reading *r, const char *name, size_t n, size_t w)
{
    snprintf(r->encoder, sizeof r->encoder, "%.*s", (int)n, name);
    snprintf(r->rest, sizeof r->rest, "%.*s", (int)w, name);
}

// An encoder under a name that nobody told: where its first layers stand one beside the other, by
// their names or, in a Sequential, their numbers. Of several one that follows none, and the
// shortest.
static void find_unknown(struct reading *r)
{
    size_t least = PREFIX, stem = strlen(STEM);
    int least_follows = 1;
    for (size_t i = 0; i < safetensors_count(r->w.f); i++) {
        const char *name = safetensors_at(r->w.f, i)->name;
        size_t len = strlen(name), number = strlen(NUMBERED);
        int named = len >= stem && strcmp(name + len - stem, STEM) == 0;
        size_t n = named                                                         ? len - stem
                   : len >= number && strcmp(name + len - number, NUMBERED) == 0 ? len - number
                                                                                 : PREFIX;
        if (n >= PREFIX || (n && name[n - 1] != '.'))
            continue;
        char prefix[PREFIX];
        snprintf(prefix, sizeof prefix, "%.*s", (int)n, name);
        if (named ? !has(r, name, n, "bn1.weight") || !has(r, name, n, "layer1.0." STEM)
                  : !has(r, name, n, "1.running_mean") || !has(r, name, n, "4.0." STEM))
            continue;
        if (follows(prefix) > least_follows || (follows(prefix) == least_follows && n >= least))
            continue;
        least = n;
        least_follows = follows(prefix);
        r->w.numbered = !named;
        take_prefix(r, name, n, wrappers(name) < n ? wrappers(name) : n);
    }
}

// Find the encoder by its first convolution: the shortest such name. Without one all names are as
// they should be.
static void find_encoder(struct reading *r)
{
    size_t least = PREFIX;
    take_prefix(r, "encoder.", strlen("encoder."), 0);
    for (size_t i = 0; i < safetensors_count(r->w.f); i++) {
        const char *name = safetensors_at(r->w.f, i)->name;
        size_t n = wrappers(name), held = one_of(holder, HOLDERS, name + n);
        size_t inner = held ? wrappers(name + n + held) : 0;
        if (strcmp(name + n + held + inner, STEM) != 0 || n + held + inner >= least)
            continue;
        least = n + held + inner;
        take_prefix(r, name, least, n);
    }
    if (least == PREFIX)
        find_unknown(r);
    r->w.encoder = r->encoder;
    r->w.rest = r->rest;
}

static const char *without_target(const char *name)
{
    size_t n = strlen(TARGET);
    return strncmp(name, TARGET, n) == 0 ? name + n : name;
}

static enum part part_of(const char *name)
{
    name = without_target(name);
    return strncmp(name, "encoder.fc.", 11) == 0 ? PROJECTOR
           : strncmp(name, "encoder.", 8) == 0   ? ENCODER
                                                 : PREDICTOR;
}

// Where a parameter stands in the file; a target network's without its prefix, for it begins as
// what it follows. NULL: nowhere.
static const struct tensor *find(const struct reading *r, const struct param *p)
{
    const struct tensor *t = weights_find(&r->w, p->name);
    return t ? t : weights_find(&r->w, without_target(p->name));
}

// Our name of a tensor of the file, "" for none.
static void our_name(const struct reading *r, const char *name, char *out, size_t size)
{
    size_t n = strlen(r->encoder), m = strlen(r->rest);
    const char *rest, *layer = weights_layer(&r->w, name + (strlen(name) < n ? 0 : n), &rest);
    if (strncmp(name, r->encoder, n) == 0 && (n || strncmp(name, "predictor.", 10) != 0))
        snprintf(out, size, "encoder.%s%s", layer, rest);
    else
        snprintf(out, size, "%s", strncmp(name, r->rest, m) == 0 ? name + m : "");
}

// Whether the network has a place for a tensor of our name, or knows why it needs none.
static int has_place(const struct reading *r, const char *ours)
{
    char frozen[128] = "";
    weights_frozen_bias(r->net, frozen, NULL);
    return net_param(r->net, ours) || strcmp(ours, frozen) == 0 || weights_is_count(ours);
}

// Whether a name is one of an encoder's: "layer5.0.conv1.weight".
static int is_encoders(const char *ours)
{
    static const char *const layer[] = {"encoder.conv", "encoder.bn", "encoder.layer"};
    return one_of(layer, 3, ours) > 0;
}

// Tensors that the network has no place for: how many of a part (their first in *first).
static size_t count_extra(const struct reading *r, enum part part, const struct tensor **first)
{
    size_t n = 0;
    char ours[300];
    for (size_t i = 0; i < safetensors_count(r->w.f); i++) {
        const struct tensor *t = safetensors_at(r->w.f, i);
        our_name(r, t->name, ours, sizeof ours);
        int mine = part == ENCODER ? is_encoders(ours)
                   : part == PROJECTOR
                       ? strncmp(ours, "encoder.fc.", 11) == 0 && isdigit((unsigned char)ours[11])
                       : strncmp(ours, "predictor.", 10) == 0;
        if (!mine || has_place(r, ours))
            continue;
        if (!n++)
            *first = t;
    }
    return n;
}

// How much of a part the file has, and how much of that has the network's shapes.
struct match {
    int needed, there, fit;
    const char *missing; // our name of the first
};

static struct match match_part(const struct reading *r, enum part part)
{
    struct match m = {0};
    for (int i = 0; i < r->net->n_param; i++) {
        const struct param *p = &r->net->param[i];
        if (part_of(p->name) != part)
            continue;
        const struct tensor *t = find(r, p);
        m.needed++;
        m.there += t != NULL;
        m.fit += t && weights_fit(p, t);
        if (!t && !m.missing)
            m.missing = p->name;
    }
    return m;
}

static int refuse_extra(const struct tensor *first, size_t n, struct error *e)
{
    char shown[128];
    text_clean(shown, sizeof shown, first->name);
    if (n == 1)
        return error_set(e, "tensor %s has no place in the network", shown);
    return error_set(e, "tensor %s and %zu others have no place in the network", shown, n - 1);
}

// Decide whether a part is taken: the encoder always, another one when the file has its very names.
// A part that is this network's but for a few tensors is a mistake, any other is another method's.
static int choose_part(struct reading *r, enum part part, struct error *e)
{
    struct match m = match_part(r, part);
    const struct tensor *extra = NULL;
    r->needed[part] = m.needed;
    r->taken[part] = part == ENCODER || (m.needed && m.there == m.needed);
    size_t more = count_extra(r, part, &extra);
    if (part != ENCODER && (m.fit < m.there || 2 * m.there <= m.needed)) {
        r->taken[part] = r->taken[part] && !more; // weights_put names the shape
        return 0;
    }
    if (more)
        return refuse_extra(extra, more, e);
    return r->taken[part] ? 0 : error_set(e, "tensor %s is missing", m.missing);
}

static int choose_parts(struct reading *r, struct error *e)
{
    if (choose_part(r, ENCODER, e) < 0 || choose_part(r, PROJECTOR, e) < 0)
        return -1;
    if (r->taken[PROJECTOR])
        return choose_part(r, PREDICTOR, e);
    r->needed[PREDICTOR] = match_part(r, PREDICTOR).needed; // nothing without what it predicts
    return 0;
}

static void note_rest(struct reading *r)
{
    char ours[300];
    for (size_t i = 0; i < safetensors_count(r->w.f); i++) {
        const struct tensor *t = safetensors_at(r->w.f, i);
        our_name(r, t->name, ours, sizeof ours);
        if (weights_is_count(t->name) || (has_place(r, ours) && r->taken[part_of(ours)]) ||
            strncmp(ours, WEIGHTS_MOMENTUM, strlen(WEIGHTS_MOMENTUM)) == 0)
            continue;
        if (strcmp(ours, "encoder.fc.weight") == 0 || strcmp(ours, "encoder.fc.bias") == 0)
            r->classifier = 1;
        else if (!r->left_out++)
            r->first = t->name;
    }
}

static void say(const struct reading *r, char *notice, size_t size)
{
    char shown[64];
    int heads = r->needed[PROJECTOR] + r->needed[PREDICTOR] > 0;
    if (r->rest[0] || (r->encoder[0] && strcmp(r->encoder, "encoder.") != 0))
        text_item(notice, size, "; ", "names are taken without %s",
                  r->encoder[0] ? r->encoder : r->rest);
    if (r->w.numbered)
        text_item(notice, size, "; ", "layers have the numbers of a Sequential");
    if (heads && !r->taken[PROJECTOR])
        text_item(notice, size, "; ",
                  "of the file the encoder%s is taken%s: the heads begin at random",
                  r->left_out ? "" : " alone", r->classifier ? ", not its classifier" : "");
    else if (r->needed[PREDICTOR] && !r->taken[PREDICTOR])
        text_item(notice, size, "; ", "the file has no predictor that fits: it begins at random");
    if (r->left_out) {
        text_clean(shown, sizeof shown, r->first);
        text_item(notice, size, "; ", "left out: %s", shown);
    }
    if (r->left_out > 1)
        text_add(notice, size, " and %zu more", r->left_out - 1);
}

static int load(struct reading *r, struct plan *plan, char *notice, struct error *e)
{
    find_encoder(r);
    if (choose_parts(r, e) < 0)
        return -1;
    float *v = weights_room(r->net, e);
    int rc = v ? 0 : -1;
    for (int i = 0; rc == 0 && i < r->net->n_param; i++) {
        const struct param *p = &r->net->param[i];
        if (r->taken[part_of(p->name)])
            rc = weights_put(&r->w, r->net, p, find(r, p), p->name, plan, v, e);
    }
    free(v);
    note_rest(r);
    if (rc == 0)
        say(r, notice, INITIAL_NOTICE);
    return rc;
}

int initial_load(const char *path, const struct net *net, struct plan *plan,
                 char notice[INITIAL_NOTICE], struct error *e)
{
    struct reading r = {.net = net};
    notice[0] = '\0';
    if (safetensors_open(path, &r.w.f, e) < 0)
        return -1;
    int rc = load(&r, plan, notice, e);
    safetensors_close(r.w.f);
    return rc < 0 ? error_prefix(e, "%s", path) : 0;
}
