// Rows are taken and the matrices worked in the order of the steps, on whatever rows the caller
// has.
#include "metrics/science/views.h"

#include <math.h>
#include <stdlib.h>

#include "metrics/base/text.h"
#include "metrics/science/lidar.h"

static const enum metric_id rare[VIEWS_RARE] = {METRIC_ALIGNMENT, METRIC_UNIFORMITY,
                                                METRIC_RANKME_RAW, METRIC_PIXEL_R2};

int views_open_z(struct views *o, int dim, struct error *e)
{
    o->sigma = malloc((size_t)dim * sizeof *o->sigma);
    return o->sigma ? paced_init(&o->z, dim, e)
                    : error_memory(e, "a spectrum of %d projections", dim);
}

int views_open_h(struct views *o, int d, struct error *e)
{
    o->lda = malloc((size_t)d * sizeof *o->lda);
    return o->lda ? paced_init_pairs(&o->h, d, e) : error_memory(e, "LiDAR of %d features", d);
}

int views_init(struct views *o, int dim, int d, struct error *e)
{
    *o = (struct views){0};
    for (int i = 0; i < VIEWS_RARE; i++)
        o->told[i] = NAN;
    return (dim && views_open_z(o, dim, e) < 0) || (d && views_open_h(o, d, e) < 0) ? -1 : 0;
}

void views_free(struct views *o)
{
    paced_free(&o->z);
    paced_free(&o->h);
    free(o->sigma);
    free(o->lda);
    *o = (struct views){0};
}

static int64_t at_most(int64_t n)
{
    return n < VIEWS_ROWS ? n : VIEWS_ROWS;
}

static int projections(struct views *o, const struct view_rows *z, struct error *e)
{
    struct paced *p = &o->z;
    if (paced_wants(p)) {
        paced_age(p, at_most(z->n[0]) + at_most(z->n[1]));
        for (int v = 0; v < 2; v++)
            if (z->n[v] && paced_add(p, z->at[v], at_most(z->n[v]), e) < 0)
                return -1;
    }
    return paced_step(p, o->sigma, &o->n, e);
}

static int features(struct views *o, const struct view_rows *h, double *lidar, struct error *e)
{
    struct paced *p = &o->h;
    double n;
    if (paced_wants(p) && h->n[0] && h->n[0] == h->n[1]) {
        paced_age(p, 2 * at_most(h->n[0]));
        if (paced_add_pairs(p, h->at, at_most(h->n[0]), e) < 0)
            return -1;
    }
    int rc = paced_step(p, o->lda, &n, e);
    for (int i = 0; rc > 0 && i < p->d; i++)
        o->lda[i] *= o->lda[i];
    if (rc > 0)
        *lidar = lidar_rank(o->lda, p->d);
    return rc;
}

int views_step(struct views *o, const struct view_rows *z, const struct view_rows *h,
               struct metric_input *in, struct error *e)
{
    int has_z = projections(o, z, e), has_lidar = has_z < 0 ? -1 : features(o, h, &in->lidar, e);
    if (has_z < 0 || has_lidar < 0)
        return -1;
    in->z = has_z ? o->sigma : NULL;
    in->z_d = o->z.d;
    return (has_z ? VIEWS_Z : 0) | (has_lidar ? VIEWS_LIDAR : 0);
}

static double kept(double v)
{
    return isfinite(v) ? v : -1; // in a checkpoint all is finite
}

int views_due(const struct views *o, int64_t step)
{
    return step >= o->due;
}

int views_say(int said, int m)
{
    unsigned needs = metric_table[m].needs;
    for (int i = 0; i < VIEWS_RARE; i++)
        if ((int)rare[i] == m)
            return (said & VIEWS_NOW) != 0;
    return needs & METRIC_NEEDS_Z       ? (said & VIEWS_Z) != 0
           : needs & METRIC_NEEDS_VIEWS ? (said & VIEWS_LIDAR) != 0
                                        : -1;
}

void views_tell(struct views *o, int64_t step, int said, const double *metric)
{
    if (said & VIEWS_NOW)
        o->due = (step / VIEWS_EVERY + 1) * VIEWS_EVERY;
    for (int i = 0; said & VIEWS_NOW && i < VIEWS_RARE; i++)
        o->told[i] = metric[rare[i]];
    for (int i = 0; said & VIEWS_Z && i < PACED_TOLD; i++)
        o->z.told[i] = kept(metric[METRIC_OF_H + i]);
    if (said & VIEWS_LIDAR)
        o->h.told[0] = kept(metric[METRIC_LIDAR]);
}

void views_last(const struct views *o, double *value)
{
    for (int i = 0; i < VIEWS_RARE; i++)
        value[rare[i]] = o->told[i];
    for (int i = 0; i < PACED_TOLD; i++)
        value[METRIC_OF_H + i] = o->z.d && o->z.told[i] >= 0 ? o->z.told[i] : NAN;
    value[METRIC_LIDAR] = o->h.d && o->h.told[0] >= 0 ? o->h.told[0] : NAN;
}

void views_export(const struct views *o, char text[VIEWS_STATE])
{
    text[0] = '\0';
    for (int i = 0; i < VIEWS_RARE; i++)
        if (isfinite(o->told[i]))
            text_item(text, VIEWS_STATE, ":", "%a", o->told[i]);
        else
            text_item(text, VIEWS_STATE, ":", "-");
}

int views_import(struct views *o, int64_t step, const char *text, struct error *e)
{
    const char *at = text;
    o->due = (step + VIEWS_EVERY - 1) / VIEWS_EVERY * VIEWS_EVERY;
    for (int i = 0; *text && i < VIEWS_RARE; i++) {
        char *end = (char *)at + 1;
        double v = *at == '-' && (at[1] == ':' || !at[1]) ? NAN : strtod(at, &end);
        if (end == at || *end != (i + 1 < VIEWS_RARE ? ':' : '\0'))
            return error_set(e, "what the last steps said makes no sense");
        o->told[i] = isfinite(v) ? v : NAN;
        at = end + 1;
    }
    return 0;
}
