// Lists: every metric as numbers, and the events.
#include "tui/draw/panel_lists.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tui/model/format.h"
#include "tui/draw/timeplot.h"

// What says most first.
static const int panel_list[] = {METRIC_AUC,       METRIC_RANKME,         METRIC_RANKME_RAW,
                                 METRIC_PIXEL_R2,  METRIC_PSEUDO100,      METRIC_ALPHA,
                                 METRIC_PR,        METRIC_TWONN,          METRIC_SELF_CLUSTER,
                                 METRIC_SPREAD,    METRIC_ALIGNMENT,      METRIC_UNIFORMITY,
                                 METRIC_ZSTD,      METRIC_LOSS,           SERIES_LR,
                                 SERIES_IMAGES_S,  METRIC_LIDAR,          METRIC_Z_AUC,
                                 METRIC_Z_RANKME,  METRIC_STABLE_RANK,    METRIC_PSEUDO10,
                                 METRIC_PSEUDO30,  METRIC_SELF_CLUSTER_C, METRIC_FEWSHOT_R2,
                                 METRIC_FEWSHOT10, METRIC_NUM_RANK,       METRIC_COND};
enum { LISTED = sizeof panel_list / sizeof *panel_list };
_Static_assert(sizeof panel_list / sizeof *panel_list == METRIC_COUNT + 2,
               "every metric can be chosen");

int panel_list_rows(const struct history *h)
{
    return LISTED + h->n_own;
}

int panel_list_series(const struct history *h, int row)
{
    return row < LISTED              ? panel_list[row]
           : row < LISTED + h->n_own ? SERIES_OWN + row - LISTED
                                     : METRIC_AUC;
}

// Whether it stands in the short list too. Rank and condition number of a Gram matrix say where
// rounding begins, not how a training goes; those of the step have a panel of their own beside it.
static int is_in_short(int series)
{
    return series < METRIC_COUNT && series != METRIC_NUM_RANK && series != METRIC_COND &&
           !metric_is_given(series, METRIC_NEEDS_SCORES);
}

// The last evaluation by the step that the screen speaks of; NULL: none.
static const struct history_eval *eval_at(const struct scene *s)
{
    int64_t step = time_step(s) + (s->v->time.cursor < 0);
    for (int i = s->h->n_eval - 1; i >= 0; i--)
        if (s->h->eval[i].step <= step)
            return &s->h->eval[i];
    return NULL;
}

// Rows and features behind what is shown of each column.
struct behind {
    double n; // NaN: nobody knows
    int d;
};

static struct behind behind(const struct history_spectrum *now, const struct spectra *rows,
                            int64_t step)
{
    const struct spectra_row *p = step < 0 ? NULL : spectra_at(rows, step);
    if (now->step >= 0 && now->step <= step && (!p || p->step <= now->step))
        return (struct behind){now->n, now->d};
    return p ? (struct behind){p->n, p->d} : (struct behind){NAN, 0};
}

static void row_text(const struct history *h, int series, const char **title, const char **unit)
{
    *title = series == SERIES_LR    ? "lr"
             : series >= SERIES_OWN ? h->own[series - SERIES_OWN]
                                    : "throughput";
    *unit = series == SERIES_IMAGES_S ? "img/s" : "";
    if (series < METRIC_COUNT) {
        *title = metric_table[series].title;
        *unit = metric_table[series].unit;
    }
}

void panel_numbers(struct canvas *c, struct rect r, const struct scene *s, int choose)
{
    enum { COLUMN = 8, TOLD = 4 };
    static const char *const heads[] = {"live", "exact", "start"};
    const struct history *h = s->h;
    const struct history_eval *exact = eval_at(s), *start = h->n_eval ? &h->eval[0] : NULL;
    view_zone(s->v, r, ZONE_PANEL, VIEW_COLLAPSE, 0);
    struct rect in = canvas_box(c, r, choose ? "metrics" : "numbers", "");
    int x = in.x + in.w - 3 * COLUMN, y = in.y, marked = 0;
    int64_t step = time_step(s);
    const struct behind of_z = behind(&h->z, &h->z_rows, step),
                        under[] = {
                            behind(&h->live, &h->live_rows, step),
                            behind(&h->exact, &h->exact_rows, exact ? exact->step : -1),
                            behind(&h->first_exact, &h->exact_rows, start ? start->step : -1)};
    for (int i = 0; i < 3; i++)
        canvas_printf(c, r.y, x + i * COLUMN + COLUMN - (int)strlen(heads[i]) - 2, 7, ROLE_TITLE,
                      " %s ", heads[i]);
    // What the selected one is has room below, where that leaves a long list.
    int lines = choose && in.h >= LISTED ? in.h - TOLD : in.h;
    int first = choose && s->v->list.metric >= lines ? s->v->list.metric - lines + 1 : 0;
    if (choose)
        view_zone(s->v, in, ZONE_METRICS, first, 0);
    for (int row = first; row < panel_list_rows(h) && y < in.y + lines; row++) {
        int m = panel_list_series(h, row), is_metric = m < METRIC_COUNT;
        if (!choose && !is_in_short(m))
            continue;
        int64_t of;
        double value[] = {time_recent(s, m, &of), exact && is_metric ? exact->metric[m] : NAN,
                          start && is_metric ? start->metric[m] : NAN};
        // Who never looks at images needs no line about them.
        if (!choose && metric_is_optional(m) && isnan(value[0]) && isnan(value[1]))
            continue;
        const char *title, *unit;
        row_text(h, m, &title, &unit);
        int selected = choose && row == s->v->list.metric;
        if (selected)
            canvas_fill(c, (struct rect){y, in.x, 1, in.w}, ' ', ROLE_SELECTED);
        canvas_printf(c, y, in.x + 1, x - in.x - 1, selected ? ROLE_SELECTED : ROLE_TEXT, "%s%s%s",
                      title, *unit ? " " : "", unit);
        for (int i = 0; i < 3; i++) {
            struct text t = format_value(value[i], 4);
            int n = text_columns(t.s);
            canvas_text(c, y, x + (i + 1) * COLUMN - n - 1, n,
                        selected ? ROLE_SELECTED
                        : i      ? ROLE_TEXT
                                 : ROLE_VALUE,
                        t.s);
            const struct behind *b = m >= METRIC_OF_H ? &of_z : &under[i];
            int few = is_metric && isfinite(value[i]) && metric_is_biased(m, b->n, b->d);
            if (few)
                canvas_put(c, y, x + (i + 1) * COLUMN - 1, '*',
                           selected ? ROLE_SELECTED : ROLE_WARN);
            marked |= few;
        }
        y++;
    }
    if (marked)
        canvas_text(c, r.y, r.x + 1, 12, ROLE_WARN, " * few rows ");
    if (!choose || panel_list_series(h, s->v->list.metric) >= METRIC_COUNT)
        return;
    const struct metric *m = &metric_table[panel_list_series(h, s->v->list.metric)];
    int room = in.y + in.h - y - 1;
    if (room > 1)
        y += 1 + canvas_wrap(c, y + 1, in.x + 1, in.w - 2, room, ROLE_DIM, m->doc);
    room = in.y + in.h - y;
    if (room > 0)
        canvas_printf(c, y, in.x + 1, in.w - 2, ROLE_DIM, "%s%s",
                      m->better > 0   ? "higher is healthier; "
                      : m->better < 0 ? "lower is healthier; "
                                      : "",
                      m->source);
}

// --- events ---

// What a search found in a line is marked.
static void mark_match(struct canvas *c, int y, int x, int max, const char *text, const char *what)
{
    const char *found = *what ? strcasestr(text, what) : NULL;
    char before[512];
    if (!found || (size_t)(found - text) >= sizeof before)
        return;
    memcpy(before, text, (size_t)(found - text));
    before[found - text] = 0;
    int at = text_columns(before), n = text_columns(what);
    for (int i = 0; i < n && at + i < max; i++) {
        const struct cell *p = canvas_at(c, y, x + at + i);
        if (p && p->ch)
            canvas_put(c, y, x + at + i, p->ch, ROLE_MATCH);
    }
}

// Columns before the text of an event: its step and sign, and when there is room when it was.
static int event_text_at(struct rect in)
{
    return in.w >= 100 ? 26 : 14;
}

// The selected event in full, at the foot of the list, where its line cuts it off. The lines that
// it takes, with the one that parts it from the list.
static int draw_whole(struct canvas *c, struct rect in, const struct history_event *e)
{
    enum { LINES = 6, LEAST = 3 }; // that are left to the list
    if (!e || text_columns(e->text) < in.w - event_text_at(in))
        return 0;
    int n = canvas_wrap(c, -LINES - 1, 0, in.w - 2, LINES, ROLE_TEXT, e->text); // off the grid
    if (n + 1 > in.h - LEAST)
        return 0;
    int y = in.y + in.h - n;
    canvas_fill(c, (struct rect){y - 1, in.x, 1, in.w}, 0x2500, ROLE_FRAME);
    canvas_wrap(c, y, in.x + 1, in.w - 2, n, e->warning ? ROLE_WARN : ROLE_TEXT, e->text);
    return n + 1;
}

static void draw_event(struct canvas *c, int y, struct rect in, const struct scene *s,
                       const struct history_event *v, int selected)
{
    static const uint32_t sign[] = {
        [HISTORY_REMARK] = ' ', [HISTORY_STEERING] = 0x25B6, [HISTORY_MEASURED] = 0x25C6};
    enum role role = selected ? ROLE_SELECTED : v->warning ? ROLE_WARN : ROLE_TEXT;
    enum role dim = selected ? ROLE_SELECTED : ROLE_DIM;
    if (selected)
        canvas_fill(c, (struct rect){y, in.x, 1, in.w}, ' ', ROLE_SELECTED);
    struct text step = format_count(v->step);
    int w = text_columns(step.s), x = in.x + event_text_at(in);
    canvas_text(c, y, in.x + 10 - (w < 10 ? w : 10), 10, dim, step.s);
    if (in.w >= 100) { // when it was, since the run began
        struct text t = format_duration(
            series_range(&time_whole(s)->series[SERIES_TIME], v->step - 1, v->step + 1).last);
        canvas_text(c, y, in.x + 22 - text_columns(t.s), 10, dim, t.s);
    }
    canvas_put(c, y, x - 2, v->warning ? '!' : sign[v->kind], role);
    canvas_text(c, y, x, in.x + in.w - x - 1, role, v->text);
    mark_match(c, y, x, in.x + in.w - x - 1, v->text,
               s->v->context == CONTEXT_SEARCH ? s->v->line.text : s->v->list.search);
}

void panel_events(struct canvas *c, struct rect r, const struct scene *s, int choose)
{
    const struct history *h = s->h;
    struct view_state *v = s->v;
    int n = h->n_event;
    struct rect in = canvas_frame(c, r, ROLE_FRAME);
    int picked = v->list.event >= 0 && v->list.event < n ? n - 1 - (int)v->list.event
                                                         : 0; // lines from the newest
    in.h -= choose ? draw_whole(c, in, history_event(h, picked)) : 0;
    int most = n > in.h ? n - in.h : 0;
    if (choose && picked < v->list.scroll)
        v->list.scroll = picked;
    if (choose && picked >= v->list.scroll + in.h)
        v->list.scroll = picked - in.h + 1;
    v->list.scroll = v->list.scroll > most ? most : v->list.scroll < 0 ? 0 : v->list.scroll;
    v->list.page = in.h;
    char right[200] = "";
    if (n > in.h)
        snprintf(right, sizeof right, "%s\u2013%s of %s, newest first",
                 format_count(v->list.scroll + 1).s, format_count(v->list.scroll + in.h).s,
                 format_count(n).s);
    view_zone(s->v, r, ZONE_PANEL, VIEW_EVENTS, 0);
    canvas_box(c, r, "events", right);
    view_zone(s->v, in, ZONE_EVENTS, n - 1 - v->list.scroll, choose);
    for (int i = 0; i < in.h; i++) {
        const struct history_event *e = history_event(h, v->list.scroll + i);
        if (!e)
            break;
        draw_event(c, in.y + i, in, s, e, choose && v->list.scroll + i == picked);
    }
    if (!n)
        canvas_text(c, in.y + in.h / 2, in.x + 1, in.w - 2, ROLE_DIM, "nothing happened yet");
}
