// The top three lines: what is trained, where it stands, and the schedule bar, the run from 0 to T
// as segments of modes. Past is heavy, planned is light; each segment bears the name of its mode,
// so that nothing hangs on colour.
#include "tui/draw/header.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metrics/base/text.h"
#include "tui/model/format.h"
#include "tui/feed/player.h"

#define WAITING_SHOWN 0.1 // from this share of a step on, waiting for data is worth a word

static void draw_title(struct canvas *c, const struct scene *s)
{
    const struct history *h = s->h;
    char right[256] = "";
    if (h->have_run) {
        int64_t done = h->last_step + 1, all = h->run.steps;
        char percent[24] = "", eta[64] = "";
        if (all > 0)
            snprintf(percent, sizeof percent, "  %d %%", (int)(100 * (double)done / (double)all));
        double left = history_eta(h);
        if (s->v->link.state <= LINK_LIVE && isfinite(left))
            snprintf(eta, sizeof eta, "  ETA %s", format_duration(left).s);
        snprintf(right, sizeof right, "step %s%s%s%s%s", format_count(done).s, all > 0 ? " / " : "",
                 all > 0 ? format_count(all).s : "", percent, eta);
    }
    int n_right = text_columns(right), room = c->w - n_right - 3;
    int x = 1;
    x += canvas_text(c, 0, x, room, ROLE_TITLE, "ssltop ");
    char part[5][300] = {"", "", "", "", ""};
    if (h->have_run) {
        snprintf(part[0], sizeof *part, "%s", h->run.dataset.name);
        if (h->run.model.width > 0)
            snprintf(part[1], sizeof *part, "%s\u00d7%d", h->run.model.arch, h->run.model.width);
        else
            snprintf(part[1], sizeof *part, "%s", h->run.model.arch);
        snprintf(part[2], sizeof *part, "%s", h->method);
        if (h->run.device.threads > 0)
            snprintf(part[3], sizeof *part, "%s %d thread%s %s", h->run.device.name,
                     h->run.device.threads, h->run.device.threads == 1 ? "" : "s",
                     h->run.device.precision);
    }
    snprintf(part[4], sizeof *part, "%s", s->v->name);
    for (int i = 0; i < 5; i++) {
        int need = text_columns(part[i]) + 3;
        if (!part[i][0] || (i > 0 && x + need > room))
            continue;
        if (x > 8)
            x += canvas_text(c, 0, x, room - x, ROLE_DIM, " \u00b7 ");
        x += canvas_text(c, 0, x, room - x, ROLE_TEXT, part[i]);
    }
    canvas_text(c, 0, c->w - n_right - 1, n_right, ROLE_VALUE, right);
}

// Play, stand or end, and how fast.
static int draw_replay(struct canvas *c, const struct scene *s)
{
    const struct replay_state *r = &s->v->replay;
    const struct player_speed *speed = &player_speed_table[r->speed];
    canvas_put(c, 1, 1, r->playing ? 0x25B6 : s->v->time.cursor < 0 ? 0x25A0 : 0x275A, ROLE_VALUE);
    return 3 +
           canvas_printf(c, 1, 3, 24, ROLE_VALUE, "REPLAY %s",
                         s->v->ascii ? speed->ascii : speed->name) +
           2;
}

// The place in time, and what stands at the end of the log.
static void replay_place(const struct scene *s, char *text, size_t size)
{
    const struct replay_state *r = &s->v->replay;
    const char *end = r->reading   ? "reading the log"
                      : r->growing ? "the log grows"
                      : r->ended   ? s->all->end_reason
                                   : "no end in the log";
    snprintf(text, size, "%s / %s   %s", format_duration(r->at).s, format_duration(r->length).s,
             end);
}

static int draw_state(struct canvas *c, const struct scene *s)
{
    const struct history *h = s->h;
    static const struct {
        uint32_t sign;
        const char *text;
        enum role role;
    } states[] = {
        {0x2026, "reading the log", ROLE_DIM}, {0x25B6, "training", ROLE_GOOD},
        {0x25A0, "ended", ROLE_VALUE},         {0x25A0, "TRAINER DIED", ROLE_BAD},
        {0x25B6, "out of reach", ROLE_WARN},   {0x275A, "PAUSED", ROLE_WARN},
    };
    int x = 3;
    if (s->v->link.state == LINK_REPLAY) {
        x = draw_replay(c, s);
    } else {
        int state =
            s->v->link.state == LINK_LIVE && h->paused ? LINK_REPLAY : (int)s->v->link.state;
        canvas_put(c, 1, 1, states[state].sign, states[state].role);
        const char *what =
            state == LINK_ENDED && h->end_reason[0] ? h->end_reason : states[state].text;
        if (state != LINK_LIVE || h->last.mode == MODE_NONE ||
            h->last_step < 0) // or the mode says it
            x += canvas_text(c, 1, 3, 24, states[state].role, what) + 2;
    }
    if (h->last_step < 0)
        return x;
    const char *mode = mode_name(h->last.mode);
    char text[64];
    if (h->last.chunk >= 0 && s->schedule->known) {
        struct schedule_place p;
        schedule_at(&s->schedule->run, h->last_step, &p);
        snprintf(text, sizeof text, "%s chunk %d/%d", mode, h->last.chunk + 1, p.chunks);
    } else if (h->last.chunk >= 0) {
        snprintf(text, sizeof text, "%s chunk %d", mode, h->last.chunk + 1);
    } else {
        snprintf(text, sizeof text, "%s", mode);
    }
    return x + canvas_text(c, 1, x, 40, theme_mode(h->last.mode), text) + 2;
}

enum { FACTS = 5, FACT = 80 };

// What the recorder of another's training could not keep up with.
static int behind(const struct history *h, char fact[][FACT])
{
    int n = 0;
    if (!*h->run.can || h->last_step < 0)
        return n;
    int64_t gap = h->last_step - h->spectrum_step; // none for longer than before
    gap = h->spectrum_step >= 0 && gap < h->spectrum_gap ? h->spectrum_gap : gap;
    if (h->last.dropped > 0)
        snprintf(fact[n++], FACT, "dropped %s", format_count(h->last.dropped).s);
    if (h->spectrum_step >= 0 && gap > 1)
        snprintf(fact[n++], FACT, "spectrum every %s steps", format_count(gap).s);
    return n;
}

// As many of the facts as `room` cells take, the first ones first.
static void facts(const struct scene *s, int room, char *text, size_t size)
{
    char fact[FACTS][FACT];
    int n = behind(s->h, fact);
    if (s->h->waiting >= WAITING_SHOWN)
        snprintf(fact[n++], FACT, "waiting for data %.0f %%", 100 * s->h->waiting);
    snprintf(fact[n++], FACT, "%s img/s", format_rate(s->h->rate).s);
    if (!*s->h->run.can) // else it is the recorder's, which nobody asks for
        snprintf(fact[n++], FACT, "RSS %s", format_bytes(s->v->link.rss).s);
    for (int i = 0; i < n; i++) {
        room -= text_columns(fact[i]) + (i ? 3 : 0);
        if (i && room < 0)
            break;
        text_item(text, size, "   ", "%s", fact[i]);
    }
}

static void draw_facts(struct canvas *c, const struct scene *s)
{
    char right[FACTS * (FACT + 3)] = "";
    int x = draw_state(c, s);
    if (s->v->link.state <= LINK_LIVE)
        facts(s, c->w - x - 1, right, sizeof right);
    if (s->v->link.state == LINK_REPLAY && s->all)
        replay_place(s, right, sizeof right);
    int n = text_columns(right);
    int64_t step;
    enum mode mode;
    if ((s->v->link.state <= LINK_LIVE || s->v->link.state == LINK_REPLAY) &&
        schedule_view_next(s->schedule, s->h->last_step, &step, &mode)) {
        static const char *const words[] = {"planned: ", "then ", "\u2192 "};
        char text[80];
        for (int i = 0; i < 3; i++) {
            snprintf(text, sizeof text, "%s%s at %s", words[i], mode_name(mode),
                     format_count(step).s);
            if (x + text_columns(text) <= c->w - n - 3) {
                canvas_text(c, 1, x, c->w, ROLE_DIM, text);
                break;
            }
        }
    }
    canvas_text(c, 1, c->w - n - 1, n, ROLE_TEXT, right);
}

// Chunks of the mode that holds at step t: 0 where it has none.
static int chunks_at(const struct schedule_view *c, int64_t t, enum mode mode)
{
    if (mode <= MODE_MULTI_EPOCH)
        return 0;
    struct schedule_place p;
    schedule_at(&c->run, t, &p);
    return p.chunks;
}

struct segment {
    int from, to; // cells of the bar
    enum mode mode;
};

// The name of a segment's mode, behind its border and clear of the sign that says where the run is.
static void draw_name(struct canvas *c, int y, int x0, const struct segment *g, int here)
{
    if (g->mode == MODE_NONE)
        return;
    const char *name = mode_name(g->mode);
    int n = (int)strlen(name), x = g->from + 1;
    if (here >= x - 1 && here <= x + n)
        x = here + 2;
    if (x + n >= g->to) { // no room for all of it
        x = g->from + 1 == here ? g->from + 2 : g->from + 1;
        n = 1;
    }
    if (x + n <= g->to)
        canvas_text(c, y, x0 + x, n > 1 ? n : 1, theme_mode(g->mode),
                    n > 1 ? name : (const char[]){theme_mode_letter(g->mode), 0});
}

static void draw_bar(struct canvas *c, const struct scene *s)
{
    const struct history *h = s->h;
    int y = 2, x0 = 2, w = c->w - 4;
    if (!h->have_run || h->run.steps <= 0 || w < 10)
        return;
    int64_t all = h->run.steps, done = h->last_step + 1;
    canvas_put(c, y, x0 - 1, 0x251C, ROLE_FRAME);
    canvas_put(c, y, x0 + w, 0x2524, ROLE_FRAME);
    int here = h->last_step < 0 ? -2 : (int)((__int128)(done < all ? done : all - 1) * w / all);
    struct segment g = {0, 0, MODE_NONE};
    for (int x = 0; x < w; x++) {
        int64_t t = (int64_t)((__int128)x * all / w), next = (int64_t)((__int128)(x + 1) * all / w);
        if (next <= t)
            next = t + 1;
        // A switch anywhere in the cell shows there.
        int past = t < done;
        enum mode mode = schedule_view_mode(s->schedule, h, x ? next - 1 : t);
        uint32_t ch = past ? 0x2501 : 0x2500;
        if (!x || mode != g.mode) {
            if (x)
                ch = 0x254B;
            g.to = x;
            draw_name(c, y, x0, &g, here);
            g = (struct segment){x, w, mode};
        } else if (s->schedule->known) {
            int chunks = chunks_at(s->schedule, t, mode);
            if (chunks && chunks <= w / 3 && t > 0 &&
                schedule_view_border(s->schedule, chunks, t - 1) < next)
                ch = past ? 0x253F : 0x253C;
        }
        canvas_put(c, y, x0 + x, ch, theme_mode(mode));
    }
    draw_name(c, y, x0, &g, here);
    if (here >= 0)
        canvas_put(c, y, x0 + here, done >= all ? 0x25A0 : 0x25CF, ROLE_VALUE);
}

void header_draw(struct canvas *c, const struct scene *s)
{
    draw_title(c, s);
    draw_facts(c, s);
    draw_bar(c, s);
}
