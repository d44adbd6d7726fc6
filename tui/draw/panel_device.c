// What the training costs: time of its phases, the machine's cores and memory, the card's sensors.
#include "tui/draw/panel_device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tui/model/format.h"
#include "tui/draw/timeplot.h"

// `part` 0..1 of a bar `w` wide; what is left of it is light.
static void draw_bar(struct canvas *c, int y, int x, int w, double part, enum role role)
{
    int n = isfinite(part) && w > 0 ? (int)lround(fmin(fmax(part, 0), 1) * w) : 0;
    canvas_fill(c, (struct rect){y, x, 1, w}, 0x2591, ROLE_SHADE);
    canvas_fill(c, (struct rect){y, x, 1, n}, 0x2588, role);
}

// Another's step is known as a whole; what the recorder works on is beside it.
static void draw_another(struct canvas *c, struct rect in, const struct scene *s)
{
    int64_t of;
    double a_second = time_value(s, SERIES_IMAGES_S), batch = (double)s->h->batch,
           spectrum = time_recent(s, SERIES_PHASE + PHASE_SPECTRUM, &of);
    struct text ms = format_value(batch > 0 && a_second > 0 ? 1e3 * batch / a_second : NAN, 3);
    canvas_text(c, in.y, in.x + 1, 10, ROLE_TEXT, "step");
    canvas_text(c, in.y, in.x + 20 - text_columns(ms.s), 9, ROLE_VALUE, ms.s);
    canvas_text(c, in.y + 1, in.x + 1, in.w - 2, ROLE_DIM, "this training does not tell its parts");
    if (isfinite(spectrum))
        canvas_printf(c, in.y + 2, in.x + 1, in.w - 2, ROLE_DIM,
                      "beside it the recorder: spectrum %s ms", format_value(spectrum, 3).s);
}

void panel_times(struct canvas *c, struct rect r, const struct scene *s)
{
    enum { LABELS = 22, SHARE = 6 };
    const struct history *h = s->h;
    view_zone(s->v, r, ZONE_PANEL, VIEW_DEVICE, 0);
    struct rect in = canvas_box(c, r, "time of a step", "ms");
    if (h->last_step < 0) {
        canvas_text(c, in.y + in.h / 2, in.x + 1, in.w - 1, ROLE_DIM, "no step yet");
        return;
    }
    if (*h->run.can) {
        draw_another(c, in, s);
        return;
    }
    double ms[PHASE_COUNT], sum = 0;
    for (int i = 0; i < PHASE_COUNT; i++) {
        ms[i] = time_value(s, SERIES_PHASE + i);
        sum += isfinite(ms[i]) ? ms[i] : 0;
    }
    int w = in.w - LABELS - SHARE - 1;
    int n = isfinite(ms[PHASE_REDUCE]) ? PHASE_COUNT : PHASE_REDUCE; // last, and for several only
    for (int i = 0; i < n && i < in.h; i++) {
        struct text t = format_value(ms[i], 3);
        canvas_text(c, in.y + i, in.x + 1, 10, ROLE_TEXT, record_phase_key[i]);
        canvas_text(c, in.y + i, in.x + 20 - text_columns(t.s), 9, ROLE_VALUE, t.s);
        draw_bar(c, in.y + i, in.x + LABELS, w, sum > 0 ? ms[i] / sum : 0, ROLE_LIVE);
        if (sum > 0 && isfinite(ms[i]))
            canvas_printf(c, in.y + i, in.x + LABELS + w, SHARE, ROLE_DIM, "%3.0f %%",
                          100 * ms[i] / sum);
    }
    if (in.h > n)
        canvas_printf(c, in.y + n, in.x + 1, in.w - 2, ROLE_DIM,
                      "sum %s ms, %s images each with two views", format_value(sum, 3).s,
                      format_count(h->batch).s);
}

void panel_facts(struct canvas *c, struct rect r, const struct scene *s)
{
    const struct history *h = s->h;
    struct rect in = canvas_box(c, r, "device and run", "");
    char line[8][400] = {""};
    if (!h->have_run)
        return;
    const struct record_run *u = &h->run;
    if (*u->device.name)
        snprintf(line[0], sizeof *line, "%s, %d thread%s, %s", u->device.name, u->device.threads,
                 u->device.threads == 1 ? "" : "s", u->device.precision);
    else if (*u->can)
        snprintf(line[0], sizeof *line, "trained by another program");
    snprintf(line[1], sizeof *line, "%s", u->device.detail);
    if (u->dataset.n > 0)
        snprintf(line[2], sizeof *line, "%s images, batch %s", format_count(u->dataset.n).s,
                 format_count(h->batch).s);
    else if (h->batch > 0)
        snprintf(line[2], sizeof *line, "batch %s", format_count(h->batch).s);
    if (u->model.params > 0)
        snprintf(line[3], sizeof *line, "%s parameters, d = %s", format_count(u->model.params).s,
                 format_count(u->model.d).s);
    else if (u->model.d > 0)
        snprintf(line[3], sizeof *line, "d = %s", format_count(u->model.d).s);
    const struct history_ranks *k = &h->ranks;
    if (k->step >= 0) {
        snprintf(line[4], sizeof *line, "%d ranks on %d host%s, %s %% waiting", k->n, k->hosts,
                 k->hosts == 1 ? "" : "s", format_value(100 * k->waiting, 2).s);
        snprintf(line[5], sizeof *line, "slowest: rank %d on %s, %s ms", k->slowest, k->host,
                 format_value(k->ms, 3).s);
    }
    snprintf(line[6], sizeof *line, "running for %s",
             format_duration(time_value(s, SERIES_TIME)).s);
    snprintf(line[7], sizeof *line, "started %s", u->created);
    for (int i = 0, y = 0; i < 8 && y < in.h; i++)
        if (*line[i] || (!*u->can && i != 4 && i != 5))
            canvas_text(c, in.y + y++, in.x + 1, in.w - 2, ROLE_TEXT, line[i]);
}

// --- the card ---

static void sensor(struct canvas *c, int y, struct rect in, const char *name, double part,
                   const char *value)
{
    enum { NAME = 13, VALUE = 24 };
    int w = in.w - NAME - VALUE - 3;
    canvas_text(c, y, in.x + 1, NAME - 1, ROLE_TEXT, name);
    if (isfinite(part) && w > 3)
        draw_bar(c, y, in.x + NAME, w, part, ROLE_LIVE);
    int n = text_columns(value);
    canvas_text(c, y, in.x + in.w - 1 - (n < VALUE ? n : VALUE), VALUE, ROLE_VALUE, value);
}

static void draw_card(struct canvas *c, struct rect in, const struct record_device *d)
{
    char text[5][128];
    snprintf(text[0], sizeof *text, "%s %%", format_value(d->utilization, 3).s);
    snprintf(text[1], sizeof *text, "%s of %s", format_bytes(d->memory_used).s,
             format_bytes(d->memory_total).s);
    snprintf(text[2], sizeof *text, "%s of %s W", format_value(d->power, 3).s,
             format_value(d->power_limit, 3).s);
    snprintf(text[3], sizeof *text, "%s \u00b0C", format_value(d->temperature, 3).s);
    snprintf(text[4], sizeof *text, "%s, memory %s MHz", format_value(d->clock_sm, 4).s,
             format_value(d->clock_memory, 4).s);
    const struct {
        const char *name;
        double part;
    } rows[5] = {{"utilisation", d->utilization / 100},
                 {"memory", d->memory_used / d->memory_total},
                 {"power", d->power / d->power_limit},
                 {"temperature", d->temperature / 100},
                 {"clock", NAN}};
    int y = in.y;
    for (int i = 0; i < 5 && y < in.y + in.h; i++)
        sensor(c, y++, in, rows[i].name, rows[i].part, text[i]);
    if (d->others > 0 && y < in.y + in.h)
        canvas_printf(c, y, in.x + 1, in.w - 2, ROLE_WARN, "%d %s on it, %s: %s", d->others,
                      d->others == 1 ? "other computes" : "others compute",
                      format_bytes(d->others_memory).s, d->others_text);
}

// --- the processor ---

static void draw_cores(struct canvas *c, struct rect in, const struct machine *m, const char *whose)
{
    enum { WIDE = 24, NARROW = 12, LEAST = 8 }; // a core's columns: with a bar, short, number only
    int y = in.y, lines = in.h;
    char value[128];
    snprintf(value, sizeof value, "%s now, most %s", format_bytes(m->rss).s,
             format_bytes(m->rss_most > 0 ? m->rss_most : NAN).s);
    if (lines > 0)
        canvas_printf(c, y++, in.x + 1, in.w - 2, ROLE_TEXT, "%s  %s of %d cores   RSS %s", whose,
                      format_value(m->cpu, 3).s, m->cores, value);
    lines = in.y + in.h - y;
    if (lines < 1 || m->cores < 1)
        return;
    int need = (m->cores + lines - 1) / lines; // columns of cores
    if (in.w / need < LEAST) {                 // a cell for each, as dark as it is idle
        static const uint32_t block[] = {0x00B7, 0x2591, 0x2592, 0x2593, 0x2588};
        for (int i = 0; i < m->cores && i / (in.w - 2) < lines; i++) {
            float load = m->load[i];
            int level = isnan(load) ? 0 : load >= 1 ? 4 : (int)(load * 5);
            canvas_put(c, y + i / (in.w - 2), in.x + 1 + i % (in.w - 2), block[level], ROLE_LIVE);
        }
        return;
    }
    int each = in.w / need;
    each = each > 2 * WIDE ? 2 * WIDE : each < LEAST ? LEAST : each;
    for (int i = 0; i < m->cores; i++) {
        int x = in.x + 1 + i / lines * each, line = y + i % lines;
        if (x + LEAST > in.x + in.w)
            break;
        canvas_printf(c, line, x, 4, ROLE_DIM, "%d", m->core[i]);
        int w = each - 10;
        if (each >= NARROW && w > 0)
            draw_bar(c, line, x + 4, w, (double)m->load[i], ROLE_LIVE);
        if (!isnan(m->load[i]))
            canvas_printf(c, line, x + each - 6, 5, ROLE_VALUE, "%3.0f%%",
                          100 * (double)m->load[i]);
    }
}

// The newest samples of the ring that fit, a column of dots each: load of the cores, and the
// share of them of whom is looked at dashed.
static void draw_loads(struct canvas *c, struct rect r, const struct machine *m, const char *whose)
{
    struct rect area = {r.y, r.x + GUTTER, r.h - 1, r.w - GUTTER - 1};
    int columns = 2 * area.w;
    if (area.h < 3 || area.w < 8 || m->n < 2)
        return;
    struct span *col = calloc((size_t)columns, sizeof *col);
    if (!col)
        return;
    struct axis a = axis_linear(0, 100, 100, 0, 100, area.h / 2);
    plot_labels(c, area, &a, area.x - 1, GUTTER - 1, 1, ROLE_DIM);
    for (int curve = 0; curve < 2; curve++) {
        for (int x = 0; x < columns; x++) {
            int64_t i = m->n - columns + x; // the newest is in the last column
            float v = NAN;
            if (i >= 0 && i >= m->n - MACHINE_SAMPLES)
                v = curve ? m->sample[i % MACHINE_SAMPLES].load
                          : m->sample[i % MACHINE_SAMPLES].cpu / (float)m->cores;
            col[x] = (struct span){100 * v, 100 * v, 100 * v};
        }
        plot_curve(c, area, &a, col, curve ? LINE_SOLID : LINE_DASHED,
                   curve ? ROLE_LIVE : ROLE_SECOND);
    }
    free(col);
    int x = area.x, y = area.y + area.h;
    x += canvas_text(c, y, x, area.w, ROLE_LIVE, SOLID "these cores, %  ");
    x += canvas_text(c, y, x, area.x + area.w - x, ROLE_SECOND, DASHED);
    canvas_text(c, y, x, area.x + area.w - x, ROLE_SECOND, whose);
}

void panel_machine(struct canvas *c, struct rect r, const struct scene *s)
{
    const struct history *h = s->h;
    int is_card = h->device_step >= 0;
    char right[64] = "";
    if (is_card)
        snprintf(right, sizeof right, "@%s", format_count(h->device_step).s);
    struct rect in = canvas_box(c, r, is_card ? "card" : "processor", right);
    if (is_card) {
        draw_card(c, in, &h->device);
        int used = h->device.others > 0 ? 7 : 6;
        in.y += used;
        in.h -= used;
    }
    if (in.h < 1)
        return;
    const struct machine *m = &s->v->link.machine;
    const char *whose =
        *h->run.can ? "recorder" : "trainer"; // who has the socket, and is looked at
    if (m->cores && m->n > 1 && in.w >= 100 && in.h >= 5) {
        draw_cores(c, canvas_take_left(&in, in.w / 2), m, whose);
        draw_loads(c, in, m, whose);
    } else if (m->cores) {
        draw_cores(c, in, m, whose);
    } else {
        canvas_text(c, in.y, in.x + 1, in.w - 2, ROLE_DIM,
                    "loads are read while a training runs on this machine");
    }
}
