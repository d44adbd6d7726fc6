// Eight rows of the result at a time: the vertical filter leaves them side by side, value by value,
// so that the horizontal one works on all eight with one weight.
#include "data/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/clones.h"
#include "metrics/base/memory.h"

enum { LANES = 8 };

// One axis: output i is the sum over k < taps of weight[i * taps + k] * input[first[i] + k].
struct filter {
    int *first;
    float *weight;
    size_t room;         // of weight
    int taps, in;        // in: pixels that it may touch
    double from, length; // the part of the axis that it is made for
    double gain;
};

struct resizer {
    int channels, out_h, out_w;
    struct filter fx, fy;
    float *row;  // a row of the box after the vertical filter, as it lies in the picture
    float *tile; // such rows, LANES of them side by side, channel by channel
    size_t room; // pixels of both
};

int resizer_new(int channels, int out_h, int out_w, struct resizer **out, struct error *e)
{
    *out = NULL;
    struct resizer *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(e, "out of memory");
    *r = (struct resizer){.channels = channels, .out_h = out_h, .out_w = out_w};
    r->fx.first = malloc((size_t)out_w * sizeof *r->fx.first);
    r->fy.first = malloc((size_t)out_h * sizeof *r->fy.first);
    if (!r->fx.first || !r->fy.first) {
        resizer_free(r);
        return error_set(e, "out of memory");
    }
    *out = r;
    return 0;
}

void resizer_free(struct resizer *r)
{
    if (!r)
        return;
    free(r->fx.first);
    free(r->fx.weight);
    free(r->fy.first);
    free(r->fy.weight);
    free(r->row);
    free(r->tile);
    free(r);
}

// The taps that a filter from `length` pixels to `out` needs, of `in` that are there.
static int taps_of(double length, int in, int out)
{
    double support = length > out ? length / out : 1.0;
    int taps = 2 * (int)ceil(support) + 1;
    return taps < in ? taps : in;
}

static int filter_room(struct filter *f, size_t need, struct error *e)
{
    if (need > f->room)
        f->length = 0; // what it holds is made anew
    return memory_room(f->weight, f->room, need) < 0 ? error_set(e, "out of memory") : 0;
}

// PIL's triangle. `from` is the box's edge in the first of the `in` pixels that it touches. Rows of
// fewer taps are filled up with zeros.
static int filter_make(struct filter *f, double from, double length, int in, int out, double gain,
                       struct error *e)
{
    if (f->length > 0 && f->in == in && f->from == from && f->length == length && f->gain == gain)
        return 0;
    int taps = taps_of(length, in, out);
    if (filter_room(f, (size_t)out * (size_t)taps, e) < 0)
        return -1;
    double scale = length / out, wide = scale > 1.0 ? scale : 1.0;
    for (int i = 0; i < out; i++) {
        double centre = from + (i + 0.5) * scale, sum = 0;
        int lo = (int)(centre - wide + 0.5), hi = (int)(centre + wide + 0.5);
        lo = lo < 0 ? 0 : lo;
        hi = hi > in ? in : hi;
        int first = lo + taps <= in ? lo : in - taps;
        float *w = f->weight + (size_t)i * (size_t)taps;
        for (int k = 0; k < taps; k++) {
            int x = first + k;
            double v = 1.0 - fabs((x - centre + 0.5) / wide);
            v = x < lo || x >= hi || v < 0 ? 0 : v;
            w[k] = (float)v;
            sum += v;
        }
        for (int k = 0; k < taps; k++)
            w[k] = (float)(w[k] * gain / sum);
        f->first[i] = first;
    }
    f->taps = taps;
    f->in = in;
    f->from = from;
    f->length = length;
    f->gain = gain;
    return 0;
}

static int make_room(struct resizer *r, size_t width, struct error *e)
{
    if (width <= r->room)
        return 0;
    size_t n = width * (size_t)r->channels;
    float *row = realloc(r->row, n * sizeof *row);
    if (!row)
        return error_set(e, "out of memory");
    r->row = row;
    float *tile = realloc(r->tile, n * LANES * sizeof *tile);
    if (!tile)
        return error_set(e, "out of memory");
    r->tile = tile;
    memset(tile, 0, n * LANES * sizeof *tile); // lanes below the last row of a result count too
    r->room = width;
    return 0;
}

int resizer_reserve(struct resizer *r, int height, int width, struct error *e)
{
    size_t y = (size_t)r->out_h * (size_t)taps_of(height, height, r->out_h);
    size_t x = (size_t)r->out_w * (size_t)taps_of(width, width, r->out_w);
    if (filter_room(&r->fy, y, e) < 0 || filter_room(&r->fx, x, e) < 0)
        return -1;
    return make_room(r, (size_t)width, e);
}

// n bytes of `taps` rows, weighted.
CLONES static void add_rows(float *restrict to, const uint8_t *from, size_t row, const float *w,
                            int taps, int n)
{
    for (int x = 0; x < n; x++)
        to[x] = w[0] * (float)from[x];
    for (int k = 1; k < taps; k++) {
        from += row;
        if (w[k] == 0.0f)
            continue;
        for (int x = 0; x < n; x++)
            to[x] += w[k] * (float)from[x];
    }
}

// Row `lane` of a tile: width values `step` apart.
CLONES static void lay(float *restrict tile, const float *restrict row, int width, int step,
                       int lane)
{
    for (int x = 0; x < width; x++)
        tile[(size_t)x * LANES + (size_t)lane] = row[(size_t)x * (size_t)step];
}

// `lanes` rows of one channel, out_w values each.
CLONES static void filter_tile(const struct filter *f, const float *restrict tile, int out_w,
                               int lanes, float *restrict out)
{
    for (int x = 0; x < out_w; x++) {
        const float *w = f->weight + (size_t)x * (size_t)f->taps;
        const float *t = tile + (size_t)f->first[x] * LANES;
        float sum[LANES] = {0};
        for (int k = 0; k < f->taps; k++, t += LANES)
            for (int l = 0; l < LANES; l++)
                sum[l] += w[k] * t[l];
        for (int l = 0; l < lanes; l++)
            out[(size_t)l * (size_t)out_w + (size_t)x] = sum[l];
    }
}

// The pixels that the box touches on an axis: the first one, and how many.
static void touched(double from, double length, int in, int *first, int *count)
{
    int lo = (int)floor(from), hi = (int)ceil(from + length - 1e-9);
    lo = lo < 0 ? 0 : lo >= in ? in - 1 : lo;
    hi = hi > in ? in : hi <= lo ? lo + 1 : hi;
    *first = lo;
    *count = hi - lo;
}

int resizer_run(struct resizer *r, const struct picture *p, const struct box *b, float gain,
                float *out, struct error *e)
{
    int top, left, height, width, channels = r->channels;
    touched(b->top, b->height, p->height, &top, &height);
    touched(b->left, b->width, p->width, &left, &width);
    if (make_room(r, (size_t)width, e) < 0 ||
        filter_make(&r->fy, b->top - top, b->height, height, r->out_h, (double)gain, e) < 0 ||
        filter_make(&r->fx, b->left - left, b->width, width, r->out_w, 1.0, e) < 0)
        return -1;
    const uint8_t *corner = p->pixel + (size_t)top * p->row + (size_t)left * (size_t)p->step;
    size_t plane = (size_t)r->out_h * (size_t)r->out_w, tile = (size_t)width * LANES;
    for (int y = 0; y < r->out_h; y += LANES) {
        int lanes = r->out_h - y < LANES ? r->out_h - y : LANES;
        for (int l = 0; l < lanes; l++) {
            const float *w = r->fy.weight + (size_t)(y + l) * (size_t)r->fy.taps;
            const uint8_t *from = corner + (size_t)r->fy.first[y + l] * p->row;
            if (p->step == channels) // all channels of a row lie together
                add_rows(r->row, from, p->row, w, r->fy.taps, width * channels);
            for (int c = 0; c < channels; c++) {
                if (p->step != channels)
                    add_rows(r->row, from + (size_t)c * p->plane, p->row, w, r->fy.taps, width);
                lay(r->tile + (size_t)c * tile, r->row + (p->step == channels ? c : 0), width,
                    p->step, l);
            }
        }
        for (int c = 0; c < channels; c++)
            filter_tile(&r->fx, r->tile + (size_t)c * tile, r->out_w, lanes,
                        out + (size_t)c * plane + (size_t)y * (size_t)r->out_w);
    }
    return 0;
}

int resizer_bytes(const struct picture *p, const struct box *b, int out_h, int out_w, uint8_t *out,
                  struct error *e)
{
    struct resizer *r = NULL;
    size_t pixels = (size_t)out_h * (size_t)out_w;
    float *planes = malloc(3 * pixels * sizeof *planes);
    int rc = planes ? resizer_new(3, out_h, out_w, &r, e) : error_set(e, "out of memory");
    if (rc == 0)
        rc = resizer_run(r, p, b, 1.0f, planes, e);
    for (size_t i = 0; i < pixels && rc == 0; i++)
        for (size_t c = 0; c < 3; c++)
            out[3 * i + c] = (uint8_t)fminf(255.0f, fmaxf(0.0f, planes[c * pixels + i] + 0.5f));
    resizer_free(r);
    free(planes);
    return rc;
}
