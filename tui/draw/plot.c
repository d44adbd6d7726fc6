// From values to dots: round axes, curves with their full range, marks and labels.
#include "tui/draw/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tui/model/format.h"

// 1, 2 or 5 times a power of ten, not below v.
static double round_up(double v)
{
    double p = pow(10, floor(log10(v)));
    static const double nice[] = {1, 2, 5, 10};
    for (int i = 0; i < 4; i++)
        if (nice[i] * p >= v * (1 - 1e-9))
            return nice[i] * p;
    return 10 * p;
}

struct axis axis_linear(double lo, double hi, double span, double least, double most, int labels)
{
    if (!isfinite(lo) || !isfinite(hi) || hi < lo)
        lo = hi = isfinite(least) ? least : 0;
    if (hi - lo < span) {
        double middle = (lo + hi) / 2;
        lo = middle - span / 2;
        hi = middle + span / 2;
    }
    if (lo < least) {
        hi = fmax(hi, least + span);
        lo = least;
    }
    if (hi > most) {
        lo = fmax(fmin(lo, most - span), least);
        hi = most;
    }
    double step = round_up((hi - lo) / (labels > 1 ? labels : 1));
    struct axis a = {floor(lo / step + 1e-9) * step, ceil(hi / step - 1e-9) * step, step, 0};
    a.lo = fmax(a.lo, least);
    a.hi = fmin(a.hi, most);
    return a;
}

struct axis axis_decades(double lo, double hi, int labels)
{
    int bottom = (int)floor(log10(lo) + 1e-9), top = (int)ceil(log10(hi) - 1e-9);
    if (bottom >= top)
        bottom = top - 1;
    int step = (top - bottom + labels - 1) / (labels > 0 ? labels : 1);
    return (struct axis){pow(10, bottom), pow(10, top), step > 0 ? step : 1, 1};
}

double axis_place(const struct axis *a, double v)
{
    if (isnan(v))
        return NAN;
    double p =
        a->log ? (v > 0 ? log(v / a->lo) / log(a->hi / a->lo) : 0) : (v - a->lo) / (a->hi - a->lo);
    return p < 0 ? 0 : p > 1 ? 1 : p;
}

// Row of dots of a value, 0 at the top.
static int dot_row(const struct axis *a, double v, int dots)
{
    return (int)lround((1 - axis_place(a, v)) * (dots - 1));
}

void plot_curve(struct canvas *c, struct rect r, const struct axis *a, const struct span *col,
                enum line line, enum role role)
{
    int columns = 2 * r.w, dots = 4 * r.h;
    if (columns <= 0 || dots <= 0)
        return;
    int end_before = -1; // row where the last column ended, -1 after a gap
    for (int x = 0; x < columns; x++) {
        struct span s = col[x];
        if (line == LINE_DASHED) {
            if (x % 4 > 1)
                continue;
            int from = x + x % 4; // columns 0 and 1 hold those of 0..3
            s = col[from < columns ? from : x];
            if (from + 1 < columns) {
                s.lo = fminf(s.lo, col[from + 1].lo);
                s.hi = fmaxf(s.hi, col[from + 1].hi);
            }
        }
        if (line == LINE_DOTTED && x % 6)
            continue;
        if (isnan(s.lo) || isnan(s.hi)) {
            end_before = -1;
            continue;
        }
        int bottom = dot_row(a, s.lo, dots), top = dot_row(a, s.hi, dots);
        int from = top, to = bottom;
        if (line == LINE_SOLID && end_before >= 0) { // reach over to where the column before ended
            if (from > end_before + 1)
                from = end_before + 1;
            if (to < end_before - 1)
                to = end_before - 1;
        }
        for (int y = from; y <= to; y++)
            canvas_dot(c, 4 * r.y + y, 2 * r.x + x, role);
        end_before = dot_row(a, isnan(s.last) ? s.hi : s.last, dots);
    }
}

void plot_area(struct canvas *c, struct rect r, const struct axis *a, const struct span *col,
               enum role role)
{
    for (int x = 0; x < r.w; x++) {
        float least = fminf(col[2 * x].lo, col[2 * x + 1].lo);
        if (isnan(least))
            continue;
        for (int y = dot_row(a, least, 4 * r.h) / 4 + 1; y < r.h; y++)
            canvas_put(c, r.y + y, r.x + x, 0x2591, role);
    }
}

void plot_band(struct canvas *c, struct rect r, const struct axis *a, const struct span *lo,
               const struct span *hi, enum role role)
{
    for (int x = 0; x < r.w; x++) {
        float bottom = fminf(lo[2 * x].lo, lo[2 * x + 1].lo);
        float top = fmaxf(hi[2 * x].hi, hi[2 * x + 1].hi);
        if (isnan(bottom) || isnan(top))
            continue;
        for (int y = dot_row(a, top, 4 * r.h) / 4; y <= dot_row(a, bottom, 4 * r.h) / 4; y++) {
            const struct cell *p = canvas_at(c, r.y + y, r.x + x);
            if (p && p->ch == ' ')
                canvas_put(c, r.y + y, r.x + x, 0x2591, role);
        }
    }
}

void plot_sign(struct canvas *c, struct rect r, const struct axis *a, int column, double v,
               uint32_t ch, enum role role)
{
    if (isnan(v) || column < 0 || column >= 2 * r.w || r.h <= 0)
        return;
    canvas_put(c, r.y + dot_row(a, v, 4 * r.h) / 4, r.x + column / 2, ch, role);
}

void plot_mark(struct canvas *c, struct rect r, int column, uint32_t line, uint32_t letter,
               enum role role)
{
    if (column < 0 || column >= 2 * r.w)
        return;
    for (int y = 0; y < r.h; y++)
        canvas_put(c, r.y + y, r.x + column / 2, y ? line : letter, role);
}

void plot_cursor(struct canvas *c, struct rect r, int column, enum role role)
{
    if (column < 0 || column >= 2 * r.w)
        return;
    for (int y = r.y; y < r.y + r.h; y++) {
        const struct cell *p = canvas_at(c, y, r.x + column / 2);
        if (!p)
            continue;
        int is_free = p->ch == ' ' || p->ch == 0x250A || p->ch == 0x2506 || p->ch == 0x2591 ||
                      p->role == ROLE_HEAT;
        canvas_put(c, y, r.x + column / 2, is_free ? 0x2502 : p->ch, role);
    }
}

static struct text label_of(const struct axis *a, double v)
{
    struct text t;
    if (a->log)
        snprintf(t.s, sizeof t.s, "1e%d", (int)lround(log10(v)));
    else
        t = format_fixed(fabs(v) < a->step * 1e-6 ? 0 : v,
                         a->step >= 1 ? 0 : (int)ceil(-log10(a->step) - 1e-9));
    return t;
}

// In few columns: 4e5, 15e-4. Each label is a whole number of steps, so that nothing is rounded.
static struct text short_label_of(const struct axis *a, double v)
{
    struct text t = {"0"};
    int power = (int)floor(log10(a->step) + 1e-9);
    long long n = llround(v / pow(10, power));
    for (; n && n % 10 == 0; n /= 10)
        power++;
    if (n)
        snprintf(t.s, sizeof t.s, "%s%llde%d", n < 0 ? "\u2212" : "", llabs(n), power);
    return t;
}

void plot_labels(struct canvas *c, struct rect r, const struct axis *a, int x, int w, int left,
                 enum role role)
{
    int used = -1; // lowest row taken so far: labels never share one
    double decades = a->log ? log10(a->hi / a->lo) : 0;
    int n = (int)floor((a->log ? decades : a->hi - a->lo) / a->step + 1e-6);
    for (int i = 0; i <= n; i++) {
        double v = a->log ? a->hi * pow(10, -i * a->step) : a->hi - i * a->step;
        int row = r.y + dot_row(a, v, 4 * r.h) / 4;
        if (row == used || row < r.y)
            continue;
        struct text t = label_of(a, v);
        if (text_columns(t.s) > w)
            t = short_label_of(a, v);
        int n_text = text_columns(t.s);
        n_text = n_text > w ? w : n_text;
        canvas_text(c, row, left ? x - n_text : x, w, role, t.s);
        used = row;
    }
}

void plot_step_labels(struct canvas *c, struct rect r, int64_t from, int64_t per_column,
                      enum role role)
{
    enum { LABEL = 10, LEAST = 5 }; // columns of each; of one where no second would fit else
    int64_t range = per_column * 2 * r.w;
    int parts = r.w / LABEL > 0 ? r.w / LABEL : 1;
    double step = round_up((double)range / parts);
    while (step >= (double)range && ++parts <= r.w / LEAST)
        step = round_up((double)range / parts);
    int64_t each = step < 1 ? 1 : (int64_t)step;
    int y = r.y + r.h, free_from = r.x;
    for (int64_t v = (from + each - 1) / each * each; v < from + range; v += each) {
        struct text t = format_count(v);
        int x = r.x + (int)((v - from) / per_column) / 2, n = text_columns(t.s);
        if (x < free_from || x + n > r.x + r.w)
            continue;
        canvas_text(c, y, x, n, role, t.s);
        free_from = x + n + 1;
    }
}
