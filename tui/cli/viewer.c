// The one poll loop: keys and signals at once, data twice a second. Nothing in it waits for the
// trainer.
#include "tui/cli/viewer.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "metrics/base/path.h"
#include "metrics/base/clock.h"
#include "metrics/base/signals.h"
#include "tui/feed/past.h"
#include "tui/hands/actions.h"
#include "tui/model/format.h"
#include "tui/feed/underlay.h"
#include "tui/hands/settings.h"
#include "tui/hands/terminal.h"
#include "tui/draw/screen.h"
#include "tui/draw/timeplot.h"
#include "tui/model/view.h"

static const double redraw_every = 0.5; // seconds
static const double play_every = 0.1;   // while a replay plays or reads its logs

struct viewer {
    const struct viewer_options *o;
    struct source *source;
    struct history h;
    struct schedule_view schedule;
    struct view_state v;
    struct canvas canvas;
    struct ui ui;
    struct signals signals;
    pid_t child;      // not yet reaped
    int child_status; // of waitpid, once known
    int child_gone;
    char shown_name[256];  // of the run, clean
    char pasted_name[300]; // the same, as a shell takes it
    char child_text[600];  // what it said at its end
    int leave;             // exit code + 1, 0: stay
    int stopping;          // leave once the trainer has stopped
    int was_live;
    char settings[4096];       // their file, "" none
    struct look begun;         // how it looked at first
    const struct theme *liked; // of the settings
    struct cursor *log;        // for what is looked up, once it was needed
    struct past_spectrum read, marked, switched;
    struct underlay reference; // once it was wanted: has steps
    struct peer under;
    int reference_due; // it is to be shown as soon as it is known of which run
    double drawn;
    int dirty; // records since it was drawn
};

// --- what comes in ---

static int on_record(void *to, const struct record *r, struct error *e)
{
    struct viewer *w = to;
    if (history_add(&w->h, r, e))
        return -1;
    schedule_view_add(&w->schedule, &w->h, r);
    if (r->type == RECORD_EVENT && w->v.link.asked_pause == w->h.paused)
        w->v.link.asked_pause = -1;
    w->v.link.heard = clock_seconds();
    w->dirty = 1;
    return 0;
}

static int wants_spectrum(void *to, int64_t step)
{
    const struct viewer *w = to;
    return spectra_wants(&w->h.live_rows, step);
}

static void on_answer(void *to, const struct answer *a)
{
    struct viewer *w = to;
    action_answer(&w->ui, a);
    if (!a->ok)
        w->stopping = 0;
    w->dirty = 1;
}

static int send_command(void *to, const struct command_call *call, struct error *e)
{
    struct viewer *w = to;
    return w->source && w->source->klass->send ? w->source->klass->send(w->source, call, e)
                                               : error_set(e, "a log cannot be steered");
}

static const struct history *shown(const struct viewer *w)
{
    return w->o->play ? playback_history(w->o->play) : &w->h;
}

// Have the reference: that of the option, or the program's for this run.
static int have_reference(void *to, const char **name, struct error *e)
{
    struct viewer *w = to;
    const struct history *h = shown(w);
    if (!w->under.all && underlay_for_run(&w->reference, w->o->runs, w->o->reference,
                                          h->have_run ? &h->run : NULL, e) < 0)
        return -1;
    w->under = (struct peer){w->reference.name, &w->reference.h, &w->reference.h};
    *name = w->reference.name;
    return 0;
}

// What the option asks for, once the run has said what it is.
static void show_reference(struct viewer *w)
{
    struct error e = {""};
    const char *name;
    if (!w->reference_due || !shown(w)->have_run)
        return;
    w->reference_due = 0;
    w->v.reference = have_reference(w, &name, &e) == 0;
    if (!w->v.reference)
        view_say(&w->v, ROLE_WARN, "%s", e.text);
}

// A sentence that the child wrote when it failed.
static void read_child_text(struct viewer *w)
{
    char text[512];
    ssize_t n = w->o->child_fd >= 0 ? read(w->o->child_fd, text, sizeof text - 1) : 0;
    if (n <= 1)
        return;
    text[n] = 0;
    text[strcspn(text, "\n")] = 0;
    if (text[0] == '!')
        text_clean(w->child_text, sizeof w->child_text, text + 1);
}

static void reap(struct viewer *w)
{
    if (w->child <= 0 || waitpid(w->child, &w->child_status, WNOHANG) != w->child)
        return;
    w->child = 0;
    w->child_gone = 1;
    w->dirty = 1;
    read_child_text(w);
}

static void take_signals(struct viewer *w)
{
    int sig;
    while ((sig = signals_next(&w->signals)) != 0) {
        if (sig == SIGCHLD)
            reap(w);
        else if (sig == SIGTSTP)
            terminal_suspend();
        else if (sig == SIGCONT)
            terminal_resume();
        else if (sig != SIGWINCH)
            w->leave = 128 + sig + 1;
        w->drawn = 0;
    }
}

// A command for this run; nothing to paste where it is not there any more under its name.
static void hint_by_name(const struct viewer *w, char *out, size_t size, const char *command)
{
    if (w->o->log && !path_is_file(w->o->log))
        snprintf(out, size, "its folder is removed, or was moved");
    else
        snprintf(out, size, "%s %.270s", command, w->pasted_name);
}

// What became of the trainer, in words.
static void describe_end(struct viewer *w)
{
    const struct history *h = &w->h;
    char how[700];
    struct view_state *v = &w->v;
    int by_signal = w->child_gone && WIFSIGNALED(w->child_status);
    int failed = w->child_gone && WIFEXITED(w->child_status) && WEXITSTATUS(w->child_status) == 1;
    if (h->ended && !by_signal) {
        v->link.state = LINK_ENDED;
        snprintf(how, sizeof how, "%s at step %s%s%s", h->end_reason,
                 format_count(h->last_step + 1).s, h->end_text[0] ? ", " : "", h->end_text);
    } else if (by_signal) {
        v->link.state = LINK_LOST;
        snprintf(how, sizeof how, "trainer died (signal %d, %s) at step %s",
                 WTERMSIG(w->child_status), strsignal(WTERMSIG(w->child_status)),
                 format_count(h->last_step + 1).s);
    } else if (failed || (w->child_gone && w->child_text[0])) {
        v->link.state = LINK_LOST;
        snprintf(how, sizeof how, "trainer failed: %s",
                 w->child_text[0] ? w->child_text : "see trainer.log");
    } else {
        v->link.state = LINK_LOST;
        snprintf(how, sizeof how, "no %s runs and the log has no end: it died at step %s",
                 *h->run.can ? "recorder" : "trainer", format_count(h->last_step + 1).s);
    }
    int can_resume = !(h->ended && strcmp(h->end_reason, "finished") == 0);
    snprintf(v->link.text, sizeof v->link.text, "%.639s", how);
    v->link.hint[0] = 0;
    if (can_resume && *h->run.can)
        snprintf(v->link.hint, sizeof v->link.hint,
                 "ssltop only recorded this training: what resumes it is its own script");
    else if (can_resume)
        hint_by_name(w, v->link.hint, sizeof v->link.hint, "resume with: ssltop train --resume");
}

static const char *lost(const struct viewer *w)
{
    return w->o->play ? playback_lost(w->o->play) : w->source->klass->lost(w->source);
}

static void look_at_replay(struct viewer *w)
{
    const char *what = lost(w);
    w->v.link.state = LINK_REPLAY;
    text_clean(w->v.link.lost, sizeof w->v.link.lost, what ? what : "");
    w->v.link.hint[0] = 0;
    if (what)
        snprintf(w->v.link.hint, sizeof w->v.link.hint,
                 "the log is damaged, what is whole of it is shown: %s", w->v.link.lost);
    w->v.link.machine.rss = w->v.link.rss = NAN;
    playback_tick(w->o->play, &w->v, clock_seconds());
    w->ui.h = shown(w);
}

static void look_at_link(struct viewer *w)
{
    struct view_state *v = &w->v;
    if (w->o->play) {
        look_at_replay(w);
        return;
    }
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): without a replay there is a source
    enum source_state state = w->source->klass->state(w->source);
    v->link.can_steer = state == SOURCE_LIVE;
    if (!v->link.can_steer)
        w->ui.waiting = 0; // no answer comes any more
    if (state == SOURCE_LIVE) {
        v->link.state = LINK_LIVE;
        v->link.text[0] = 0;
        w->was_live = 1;
    } else if (state == SOURCE_APART && !w->h.ended) {
        v->link.state = LINK_APART;
        v->link.asked_pause = -1;
        snprintf(v->link.text, sizeof v->link.text,
                 "a trainer runs this, but can't be reached: SIGUSR1 makes its socket anew");
    } else if ((state == SOURCE_ALONE || state == SOURCE_APART) && w->child == 0) {
        describe_end(w);
        v->link.asked_pause = -1;
        if (w->stopping)
            w->leave = 1;
    } else if (state == SOURCE_READING && !w->was_live && v->link.state != LINK_ENDED &&
               v->link.state != LINK_LOST) {
        v->link.state = LINK_READING;
    }
    const char *what = lost(w);
    text_clean(v->link.lost, sizeof v->link.lost, what ? what : "");
    if (v->link.state == LINK_LIVE)
        machine_read(&v->link.machine, w->source->klass->pid(w->source), clock_seconds(),
                     0.8 * redraw_every);
    else
        v->link.machine.rss = NAN;
    v->link.rss = v->link.machine.at > 0 ? v->link.machine.rss : NAN;
}

// --- keys and drawing ---

// A live spectrum of the log; NULL: it has none, or not yet.
static const struct history_spectrum *look_up(struct viewer *w, struct past_spectrum *k,
                                              int64_t step)
{
    if (step < 0 || step >= w->h.last_step || !w->o->log)
        return NULL;
    if (!w->log && cursor_open(w->o->log, &w->log, NULL))
        return NULL;
    return past_spectrum_find(w->log, k, step, RUNLOG_LIVE, NULL) ? NULL : &k->p;
}

static void draw(struct viewer *w, int again)
{
    int h, width;
    terminal_size(&h, &width);
    look_at_link(w);
    w->v.now = clock_seconds();
    w->drawn = w->v.now;
    w->dirty = 0;
    if (canvas_resize(&w->canvas, h, width, NULL))
        return;
    struct scene scene = {.h = &w->h, .schedule = &w->schedule, .v = &w->v};
    if (w->o->play) {
        playback_scene(w->o->play, &w->v, &scene);
    } else {
        scene.read = look_up(w, &w->read, w->v.time.cursor);
        scene.marked = look_up(w, &w->marked, w->v.time.mark);
        scene.switched = look_up(w, &w->switched, time_switch(&scene));
    }
    show_reference(w);
    scene.reference = w->under.all ? &w->under : NULL;
    screen_draw(&w->canvas, &scene);
    terminal_show(&w->canvas, again);
    w->ui.unread = 0;
}

static void take_keys(struct viewer *w)
{
    struct keys_event ev;
    int any = 0, again = 0;
    if (terminal_read()) { // the terminal is gone
        w->leave = 128 + SIGHUP + 1;
        return;
    }
    if (w->v.context != CONTEXT_COMMAND && w->v.context != CONTEXT_SEARCH &&
        terminal_pass_over_paste(clock_seconds())) {
        view_say(&w->v, ROLE_WARN, "passed over: so much at once is no typing but a paste");
        any = 1;
    }
    while (!w->leave) {
        double now = clock_seconds();
        int is_key = terminal_key(now, &ev), is_due = keys_hold_patience(&w->ui.hold, now) == 0;
        if (!is_key && !is_due)
            break;
        if (w->o->play) // keys that move the cursor work on where it is now
            look_at_replay(w);
        const struct theme *theme = w->v.look.theme;
        unsigned flags = is_key ? action_event(&w->ui, &ev, now) : action_due(&w->ui, now);
        if (w->v.look.theme != theme)
            terminal_theme(w->v.look.theme);
        any = 1;
        if (flags & UI_LEAVE)
            w->leave = 1;
        if (flags & UI_STOP)
            w->stopping = 1;
        if (flags & UI_SUSPEND)
            terminal_suspend();
        again |= (flags & (UI_REPAINT | UI_SUSPEND)) != 0;
    }
    if (any && !w->leave)
        draw(w, again);
}

// Lower the time to wait to when a key becomes certain.
static int until_key(const struct viewer *w, int timeout)
{
    double now = clock_seconds(),
           left[] = {terminal_patience(now), keys_hold_patience(&w->ui.hold, now)};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        if (left[i] >= 0 && left[i] * 1000 < timeout)
            timeout = (int)(left[i] * 1000) + 1;
    return timeout;
}

static int loop(struct viewer *w, struct error *e)
{
    const struct sink sink = {w, on_record, on_answer, wants_spectrum};
    const struct source_class *k = w->source ? w->source->klass : NULL;
    struct playback *play = w->o->play;
    draw(w, 0);
    while (!w->leave) {
        struct pollfd p[3] = {{.fd = STDIN_FILENO, .events = POLLIN},
                              {.fd = w->signals.fd, .events = POLLIN}};
        int is_moving = w->v.replay.playing || w->v.replay.reading;
        double every = is_moving ? play_every : redraw_every;
        double left = w->drawn + every - clock_seconds();
        int timeout = left > 0 ? (int)(left * 1000) + 1 : 0;
        int n = 2 + (k ? k->poll(w->source, &p[2], &timeout) : 0);
        if (play)
            playback_poll(play, &timeout);
        if (poll(p, (nfds_t)n, until_key(w, timeout)) < 0 && errno != EINTR)
            return error_system(e, "poll");
        if (p[1].revents)
            take_signals(w);
        if (k && k->pump(w->source, n > 2 ? p[2].revents : 0, &sink, e))
            return -1;
        if (play && playback_pump(play, clock_seconds(), e) < 0)
            return -1;
        look_at_link(w);
        take_keys(w);
        if (!w->leave && clock_seconds() >= w->drawn + every)
            draw(w, 0);
    }
    return 0;
}

static void say_goodbye(struct viewer *w, struct viewer_result *out)
{
    const struct view_state *v = &w->v;
    const char *gone = lost(w);
    if (v->link.state == LINK_REPLAY) {
        snprintf(out->hint, sizeof out->hint, "%s", v->link.hint);
        return;
    }
    if (v->link.state == LINK_ENDED || v->link.state == LINK_LOST) {
        snprintf(out->text, sizeof out->text, "%s: %s%s%.250s", w->shown_name, v->link.text,
                 gone ? "; " : "", gone ? gone : "");
        snprintf(out->hint, sizeof out->hint, "%s", v->link.hint);
    } else {
        snprintf(out->text, sizeof out->text, "%s: still training at step %s", w->shown_name,
                 format_count(w->h.last_step + 1).s);
        hint_by_name(w, out->hint, sizeof out->hint, "look again with: ssltop attach");
    }
}

// What the person likes; an option goes before it.
static void read_settings(struct viewer *w)
{
    struct error e = {""};
    w->v.look.theme = theme_table;
    if (settings_path(w->settings, sizeof w->settings))
        w->settings[0] = 0;
    else if (settings_read(w->settings, &w->v.look, &e))
        view_say(&w->v, ROLE_BAD, "%s", e.text);
    w->liked = w->v.look.theme;
    w->v.look.theme = w->o->theme ? w->o->theme : w->v.look.theme;
    w->begun = w->v.look;
}

// Written when something was changed by hand. That it can't be is no reason for words: the screen
// is left, and nothing else is lost.
static void keep_settings(struct viewer *w)
{
    if (!w->settings[0] || !settings_differ(&w->begun, &w->v.look))
        return;
    if (w->v.look.theme == w->begun.theme)
        w->v.look.theme = w->liked;
    settings_write(w->settings, &w->v.look, NULL);
}

int viewer_run(struct source *source, const struct viewer_options *o, struct viewer_result *out,
               struct error *e)
{
    struct viewer *w = calloc(1, sizeof *w);
    static const int signals[] = {SIGWINCH, SIGINT,  SIGTERM, SIGHUP,
                                  SIGQUIT,  SIGCHLD, SIGTSTP, SIGCONT};
    int rc = -1;
    out->text[0] = out->hint[0] = 0;
    if (!w)
        return error_set(e, "out of memory");
    w->o = o;
    w->source = source;
    w->child = o->child;
    view_init(&w->v);
    w->v.now = clock_seconds();
    past_spectrum_init(&w->read);
    past_spectrum_init(&w->marked);
    past_spectrum_init(&w->switched);
    read_settings(w);
    settings_characters(&w->v, o->ascii);
    text_clean(w->shown_name, sizeof w->shown_name, o->name);
    text_quote(w->pasted_name, sizeof w->pasted_name, w->shown_name);
    snprintf(w->v.name, sizeof w->v.name, "%s", w->shown_name);
    w->ui = (struct ui){.v = &w->v,
                        .h = &w->h,
                        .send = send_command,
                        .to = w,
                        .reference = have_reference,
                        .play = o->play};
    w->reference_due = o->reference != NULL;
    if (history_init(&w->h, e))
        goto done;
    if (signals_take(&w->signals, signals, sizeof signals / sizeof *signals, 0, e))
        goto done;
    signals_hurry(2, terminal_drop);
    reap(w); // it may have died before SIGCHLD was told
    rc = terminal_open(w->v.look.theme, e);
    if (rc == 0) {
        terminal_mouse(!w->v.look.no_mouse);
        rc = loop(w, e);
        terminal_close();
        keep_settings(w);
        say_goodbye(w, out);
        if (rc == 0)
            rc = w->leave - 1;
        if (rc == 0 && (w->v.link.state == LINK_LOST ||
                        (w->v.link.state == LINK_ENDED && strcmp(w->h.end_reason, "failed") == 0)))
            rc = 1;
    }
    signals_release(&w->signals);
done:
    history_free(&w->h);
    schedule_view_free(&w->schedule);
    canvas_free(&w->canvas);
    past_spectrum_free(&w->read);
    past_spectrum_free(&w->marked);
    past_spectrum_free(&w->switched);
    cursor_free(w->log);
    underlay_free(&w->reference);
    free(w);
    return rc;
}
