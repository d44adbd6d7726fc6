// What sources share. The ledger is the only thing that changes, and only under its lock.
#include "data/photos/pictures.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/parallel.h"
#include "metrics/base/text.h"

enum { MEASURED = 512, SHARES = 32, SENTENCE = 400 };
#define CENTRE (224.0 / 256.0)

int pictures_init(struct pictures *s, struct error *e)
{
    s->broken = calloc((size_t)s->n + 1, 1);
    if (!s->sentence)
        s->sentence = calloc(PICTURES_BROKEN_KEPT, sizeof *s->sentence);
    if (!s->broken || !s->sentence)
        return error_memory(e, "%" PRId64 " images", s->n);
    return 0;
}

void pictures_release(struct pictures *s)
{
    for (int64_t i = 0; s->sentence && i < PICTURES_BROKEN_KEPT; i++)
        free(s->sentence[i]);
    free(s->sentence);
    free(s->notice);
    free(s->broken);
    pthread_mutex_destroy(&s->lock);
}

// Under the lock, or before there are threads.
static void remember(struct pictures *s, const char *name, const char *why)
{
    int64_t k = s->n_broken;
    char text[SENTENCE], clean[SENTENCE];
    snprintf(text, sizeof text, "%.200s: %.150s", name, why);
    text_clean(clean, sizeof clean, text);
    if (s->sentence && k < PICTURES_BROKEN_KEPT)
        s->sentence[k] = strdup(clean);
    s->n_broken = k + 1;
}

void pictures_drop(struct pictures *s, const char *name, const char *why)
{
    if (!s->sentence)
        s->sentence = calloc(PICTURES_BROKEN_KEPT, sizeof *s->sentence);
    remember(s, name, why);
    s->dropped++;
}

static void note_broken(struct pictures *s, int64_t i, const struct error *why)
{
    char name[256];
    s->ops->name(s, i, name, sizeof name);
    pthread_mutex_lock(&s->lock);
    if (!s->broken[i]) {
        s->broken[i] = 1;
        remember(s, name, why->text);
    }
    pthread_mutex_unlock(&s->lock);
}

int pictures_check(const struct pictures *s, struct error *e)
{
    int64_t n = s->n_broken, of = s->n + s->dropped;
    if (n * PICTURES_BROKEN_SHARE <= of)
        return 0;
    char list[380] = "";
    int64_t k = 0;
    for (; k < n && k < PICTURES_BROKEN_KEPT && s->sentence && s->sentence[k]; k++) {
        size_t at = strlen(list);
        if (text_item(list, sizeof list, "; ", "%s", s->sentence[k]) < 0) {
            list[at] = '\0'; // no half of a name
            break;
        }
    }
    if (k == n)
        return error_set(e, "%" PRId64 " of %" PRId64 " images are broken, more than 1 %%: %s", n,
                         of, list);
    return error_set(
        e, "%" PRId64 " of %" PRId64 " images are broken, more than 1 %%: %s%sand %" PRId64 " more",
        n, of, list, k ? "; " : "", n - k);
}

int pictures_reader_new(struct pictures *s, struct pictures_reader **out, struct error *e)
{
    *out = NULL;
    return s->ops->reader_new(s, out, e);
}

static struct pictures *pictures_of(const struct pictures_reader *r)
{
    struct pictures *s;
    memcpy(&s, r, sizeof s); // a reader begins with it
    return s;
}

void pictures_reader_free(struct pictures_reader *r)
{
    if (r)
        pictures_of(r)->ops->reader_free(r);
}

void pictures_free(struct pictures *s)
{
    if (s)
        s->ops->free(s);
}

int pictures_try(struct pictures_reader *r, int64_t i, const struct box *crop, int crops, int out_h,
                 int out_w, struct picture *picture, struct box *box, struct error *why)
{
    struct pictures *s = pictures_of(r);
    int rc = s->ops->read(r, i, crop, crops, out_h, out_w, picture, box, why);
    if (rc == -1)
        note_broken(s, i, why);
    if (rc >= -1)
        return rc;
    char name[256];
    s->ops->name(s, i, name, sizeof name);
    error_prefix(why, "%s", name);
    return PICTURES_FAILED;
}

// Image i with the crops of another.
static int try_one(struct pictures_reader *r, int64_t i, int64_t instead_of, const struct box *crop,
                   int crops, int out_h, int out_w, struct picture *picture, struct box *box,
                   struct error *why)
{
    struct pictures *s = pictures_of(r);
    struct box share[PICTURES_CROPS];
    double y = (double)s->size[i].height / s->size[instead_of].height;
    double x = (double)s->size[i].width / s->size[instead_of].width;
    for (int k = 0; k < crops; k++)
        share[k] =
            (struct box){crop[k].top * y, crop[k].left * x, crop[k].height * y, crop[k].width * x};
    return pictures_try(r, i, share, crops, out_h, out_w, picture, box, why);
}

// The next to try after image i, when `j` was the last: forwards and then backwards among
// neighbours of the same class, then all. -1: none is left.
static int64_t next_instead(const struct pictures *s, int64_t i, int64_t j, int *round)
{
    for (; *round < 3; (*round)++, j = *round == 2 ? -1 : i) {
        j += *round == 1 ? -1 : 1;
        int inside = j >= 0 && j < s->n;
        if (inside && (*round == 2 || !s->labels || s->labels[j] == s->labels[i]))
            return j;
    }
    return -1;
}

int pictures_read(struct pictures_reader *r, int64_t i, const struct box *crop, int crops,
                  int out_h, int out_w, struct picture *picture, struct box *box, struct error *e)
{
    struct pictures *s = pictures_of(r);
    int round = 0;
    for (int64_t j = i; j >= 0; j = next_instead(s, i, j, &round)) {
        struct error why = {""};
        int rc = try_one(r, j, i, crop, crops, out_h, out_w, picture, box, &why);
        if (rc == 0)
            return 0;
        if (rc == PICTURES_FAILED)
            return error_pass(e, &why);
        pthread_mutex_lock(&s->lock);
        rc = pictures_check(s, e);
        pthread_mutex_unlock(&s->lock);
        if (rc < 0)
            return -1;
    }
    return error_set(e, "no image can be read");
}

int64_t pictures_broken(const struct pictures *s)
{
    return s->n_broken;
}

const char *pictures_sentence(struct pictures *s, int64_t k)
{
    if (k < 0 || k >= PICTURES_BROKEN_KEPT)
        return NULL;
    pthread_mutex_lock(&s->lock);
    const char *text = s->sentence[k]; // once written it stays
    pthread_mutex_unlock(&s->lock);
    return text;
}

void pictures_centre(const struct pictures *s, int64_t i, int out_h, int out_w, struct box *out)
{
    double h = s->size[i].height, w = s->size[i].width;
    double by = fmin(h / out_h, w / out_w) * CENTRE;
    *out = (struct box){.height = fmax(1.0, by * out_h), .width = fmax(1.0, by * out_w)};
    out->top = (h - out->height) / 2;
    out->left = (w - out->width) / 2;
}

void pictures_plain(const struct pictures *s, int64_t i, int out_h, int out_w,
                    struct augment_view *out)
{
    struct box b;
    pictures_centre(s, i, out_h, out_w, &b);
    int h = (int)fmax(1, rint(b.height)), w = (int)fmax(1, rint(b.width));
    augment_identity(h, w, out);
    out->top = (s->size[i].height - h) / 2;
    out->left = (s->size[i].width - w) / 2;
}

// --- mean and deviation ---

struct measuring {
    struct pictures *s;
    int out_h, out_w;
    int64_t n;
    pthread_mutex_t lock;
    uint64_t count[3][256]; // bytes of each value: sums do not depend on the order
};

// The images of one share: every SHARES-th of the sample.
static int measure_share(struct measuring *m, int64_t share, float *view, uint64_t count[3][256],
                         struct error *e)
{
    struct pictures *s = m->s;
    size_t plane = (size_t)m->out_h * (size_t)m->out_w;
    struct pictures_reader *reader = NULL;
    struct resizer *resizer = NULL;
    int rc = pictures_reader_new(s, &reader, e);
    if (rc == 0)
        rc = resizer_new(3, m->out_h, m->out_w, &resizer, e);
    for (int64_t k = share; rc == 0 && k < m->n; k += SHARES) {
        int64_t i = (int64_t)((__int128)k * s->n / m->n);
        struct picture picture;
        struct box crop, box;
        pictures_centre(s, i, m->out_h, m->out_w, &crop);
        rc = pictures_read(reader, i, &crop, 1, m->out_h, m->out_w, &picture, &box, e);
        if (rc == 0)
            rc = resizer_run(resizer, &picture, &box, 1.0f, view, e);
        for (size_t j = 0; rc == 0 && j < 3 * plane; j++)
            count[j / plane][(int)fminf(255.0f, fmaxf(0.0f, view[j] + 0.5f))]++;
    }
    resizer_free(resizer);
    pictures_reader_free(reader);
    return rc;
}

static int work_share(void *context, int64_t share, struct error *e)
{
    struct measuring *m = context;
    uint64_t count[3][256] = {{0}};
    float *view = malloc(3 * (size_t)m->out_h * (size_t)m->out_w * sizeof *view);
    int rc = view ? measure_share(m, share, view, count, e) : error_set(e, "out of memory");
    free(view);
    pthread_mutex_lock(&m->lock);
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++)
            m->count[c][v] += count[c][v];
    pthread_mutex_unlock(&m->lock);
    return rc;
}

int pictures_measure(struct pictures *s, int threads, int out_h, int out_w, float *mean, float *std,
                     struct error *e)
{
    struct measuring m = {
        .s = s, .out_h = out_h, .out_w = out_w, .n = s->n < MEASURED ? s->n : MEASURED};
    pthread_mutex_init(&m.lock, NULL);
    int rc = parallel_run(threads, SHARES, work_share, &m, e);
    pthread_mutex_destroy(&m.lock);
    if (rc < 0)
        return -1;
    for (int c = 0; c < 3; c++) {
        double total = (double)m.n * out_h * out_w, sum = 0, v = 0;
        for (int k = 0; k < 256; k++)
            sum += (double)m.count[c][k] * k / 255.0;
        sum /= total;
        for (int k = 0; k < 256; k++)
            v += (double)m.count[c][k] * (k / 255.0 - sum) * (k / 255.0 - sum);
        mean[c] = (float)sum;
        std[c] = v > 1e-12 * total ? (float)sqrt(v / total) : 1.0f;
    }
    return 0;
}
