// The key table and its handlers.
#include "tui/hands/actions.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "metrics/log/record.h"
#include "tui/hands/navigate.h"

static const char *missing(const struct history *h, enum command c)
{
    return command_table[c].missing && !history_can(h, command_table[c].name)
               ? command_table[c].missing
               : NULL;
}

// 0 when the command is on its way.
static int send_call(struct ui *u, struct command_call *call)
{
    struct error e = {""};
    const char *why = missing(u->h, call->command);
    snprintf(call->by, sizeof call->by, "key");
    if (u->v->replay.on)
        error_set(&e, "this is a replay: there is no training to steer");
    else if (!u->v->link.can_steer || !u->send)
        error_set(&e, "no trainer to tell: %s",
                  u->v->link.state == LINK_READING ? "still reading the log"
                  : u->v->link.state == LINK_APART ? "it can't be reached"
                                                   : "it is gone");
    else if (why)
        error_set(&e, "%s", why);
    else if (u->send(u->to, call, &e) == 0) {
        u->waiting |= 1U << call->command;
        view_say(u->v, ROLE_DIM, "%s \u2026", command_table[call->command].name);
        return 0;
    }
    view_say(u->v, ROLE_BAD, "%s", e.text);
    return -1;
}

// What is still on its way is not asked for again: it would be queued, and done long after.
static unsigned do_command(struct ui *u, int command)
{
    struct command_call call = {.command = (enum command)command};
    if (!u->v->link.can_steer || !(u->waiting >> command & 1))
        send_call(u, &call);
    return 0;
}

static unsigned do_pause(struct ui *u, int argument)
{
    int paused = u->v->link.asked_pause >= 0 ? u->v->link.asked_pause : u->h->paused;
    struct command_call call = {.command = paused ? COMMAND_RESUME : COMMAND_PAUSE};
    if (send_call(u, &call) == 0)
        u->v->link.asked_pause = !paused;
    return 0;
}

// On the bar a click is the key that it says.
static unsigned do_click(struct ui *u, int unused)
{
    const struct zone *z = view_hit(u->v);
    return z && z->kind == ZONE_KEY ? action_key(u, (uint32_t)z->from) : navigate_click(u, unused);
}

static unsigned do_linear(struct ui *u, int argument)
{
    u->v->look.linear = !u->v->look.linear;
    return 0;
}

static unsigned do_absolute(struct ui *u, int argument)
{
    u->v->look.absolute = !u->v->look.absolute;
    return 0;
}

static const char *missing_z(const struct history *h)
{
    return h->z.step < 0 && !h->z_rows.n ? "there is no spectrum of z, or not yet" : NULL;
}

// Spectra of the projections instead of the features'.
static unsigned do_projections(struct ui *u, int argument)
{
    const char *why = u->v->of_z ? NULL : missing_z(u->h);
    if (why)
        view_say(u->v, ROLE_WARN, "%s", why);
    else
        u->v->of_z = !u->v->of_z;
    return 0;
}

// Shows the view of the spectrum with it, or takes it away there.
static unsigned do_waterfall(struct ui *u, int argument)
{
    u->v->look.waterfall = u->v->view == VIEW_SPECTRUM ? !u->v->look.waterfall : 1;
    return u->v->view == VIEW_SPECTRUM ? 0 : navigate_view(u, VIEW_SPECTRUM);
}

// Lays the reference under the curves, or takes it away.
static unsigned do_reference(struct ui *u, int argument)
{
    struct error e = {""};
    const char *name;
    if (u->v->reference) {
        u->v->reference = 0;
    } else if (u->reference ? u->reference(u->to, &name, &e) : error_set(&e, "no reference here")) {
        view_say(u->v, ROLE_WARN, "%s", e.text);
    } else {
        u->v->reference = 1;
        view_say(u->v, ROLE_DIM, "under the curves: %s", name);
    }
    return 0;
}

static unsigned do_context(struct ui *u, int context)
{
    u->v->context = (enum context)context;
    u->v->list.help_scroll = 0;
    return 0;
}

static unsigned do_leave(struct ui *u, int flags)
{
    return (unsigned)flags;
}

static unsigned do_forget(struct ui *u, int argument)
{
    if (u->v->message.text[0])
        u->v->message.text[0] = 0;
    else
        navigate_end(u, 1);
    return 0;
}

static unsigned do_quit(struct ui *u, int argument)
{
    if (!u->v->link.can_steer && u->v->link.state != LINK_READING)
        return UI_LEAVE;
    return do_context(u, CONTEXT_QUIT);
}

static unsigned do_stop(struct ui *u, int argument)
{
    struct command_call call = {.command = COMMAND_STOP};
    u->v->context = CONTEXT_MAIN;
    return send_call(u, &call) == 0 ? UI_STOP : 0;
}

static unsigned do_menu(struct ui *u, int argument)
{
    const char *why = missing(u->h, COMMAND_MODE);
    if (why) {
        view_say(u->v, ROLE_BAD, "%s", why);
        return 0;
    }
    u->v->menu_row = u->h->last.mode >= 0 ? (int)u->h->last.mode : 0;
    return do_context(u, CONTEXT_MENU);
}

static unsigned do_menu_move(struct ui *u, int by)
{
    u->v->menu_row = (u->v->menu_row + by + MODE_COUNT) % MODE_COUNT;
    return 0;
}

// The mode of the menu's row `row`, or of the selected one.
static unsigned do_mode(struct ui *u, int row)
{
    struct command_call call = {.command = COMMAND_MODE,
                                .mode = (enum mode)(row < 0 ? u->v->menu_row : row)};
    u->v->context = CONTEXT_MAIN;
    send_call(u, &call);
    return 0;
}

// --- a replay ---

static unsigned do_play(struct ui *u, int argument)
{
    if (u->play)
        playback_toggle(u->play);
    return 0;
}

static unsigned do_speed(struct ui *u, int by)
{
    if (u->play)
        playback_speed(u->play, by);
    return 0;
}

static unsigned do_choose(struct ui *u, int by)
{
    if (u->play)
        playback_choose(u->play, by);
    return 0;
}

static unsigned do_cannot(struct ui *u, int argument)
{
    view_say(u->v, ROLE_WARN, "this is a replay: there is no training to steer");
    return 0;
}

static unsigned do_forget_message(struct ui *u, int argument)
{
    u->v->message.text[0] = 0;
    return 0;
}

static unsigned do_goto(struct ui *u, int argument)
{
    cmdline_open(&u->v->line);
    for (const char *p = "goto "; *p; p++)
        cmdline_insert(&u->v->line, (uint32_t)*p);
    return do_context(u, CONTEXT_COMMAND);
}

// --- the command line ---

static unsigned do_colon(struct ui *u, int argument)
{
    cmdline_open(&u->v->line);
    return do_context(u, CONTEXT_COMMAND);
}

static unsigned do_edit(struct ui *u, int what)
{
    if (!cmdline_edit(&u->v->line, (enum edit)what))
        u->v->context = CONTEXT_MAIN;
    return 0;
}

static const struct {
    const char *name;
    unsigned (*run)(struct ui *u, int argument);
    int argument;
} words[] = {
    // of the viewer, not of the trainer
    {"q", do_quit, 0},
    {"quit", do_quit, 0},
    {"detach", do_leave, UI_LEAVE},
    {"help", do_context, CONTEXT_HELP},
};

static unsigned do_enter(struct ui *u, int argument)
{
    char line[LINE_SIZE];
    cmdline_take(&u->v->line, line);
    u->v->context = CONTEXT_MAIN;
    if (!line[0])
        return 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i].name, line) == 0)
            return words[i].run(u, words[i].argument);
    struct command_call call = {0};
    struct error e = {""};
    if (strncmp(line, "goto", 4) == 0 && (line[4] == ' ' || !line[4])) {
        if (navigate_goto(u, line + 4, &e))
            view_say(u->v, ROLE_BAD, "%s", e.text);
        return 0;
    }
    if (command_parse_text(line, &call, &e) < 0) {
        view_say(u->v, ROLE_BAD, "%s", e.text);
        return 0;
    }
    if (call.command == COMMAND_WATCH) { // a second one would bring lines twice
        view_say(u->v, ROLE_WARN, "this screen watches it already");
        return 0;
    }
    if (send_call(u, &call) == 0 && call.command == COMMAND_STOP)
        return UI_STOP;
    return 0;
}

// --- the table ---

const char *const context_title[CONTEXT_COUNT] = {
    [CONTEXT_MAIN] = "keys",
    [CONTEXT_REPLAY] = "in a replay",
    [CONTEXT_HELP] = "in the help",
    [CONTEXT_MENU] = "in the mode menu",
    [CONTEXT_QUIT] = "after q",
    [CONTEXT_COMMAND] = "in the command line",
    [CONTEXT_SEARCH] = "while searching the events",
};

// clang-format off
const struct action action_table[] = {
    {CONTEXT_MAIN, {'?', KEYS_F1}, "? F1", "Help", 1, "this help; ? or Esc closes it", do_context, CONTEXT_HELP},

    {CONTEXT_REPLAY, {' '}, "Space", "Play", 1, "play on from the place, or stand still; at the end: play from the beginning", do_play, 0},
    {CONTEXT_REPLAY, {'<'}, "<", "Slower", 1, "half as fast, down to a quarter of the time that it took", do_speed, -1},
    {CONTEXT_REPLAY, {'>'}, ">", "Faster", 1, "twice as fast, up to 64 times", do_speed, 1},
    {CONTEXT_REPLAY, {'o'}, "o", NULL, 0, "with several logs: the next run in the views of one run", do_choose, 1},
    {CONTEXT_REPLAY, {'O'}, "O", NULL, 0, "with several logs: the run before", do_choose, -1},
    {CONTEXT_REPLAY, {'m', 'n', 'e'}, "m n e", NULL, 0, "steer a training: not in a replay, which says so", do_cannot, 0},
    {CONTEXT_REPLAY, {'c'}, "c", NULL, 0, "the same", do_cannot, 0},
    {CONTEXT_REPLAY, {KEYS_ESCAPE}, "Esc", NULL, 0, "forget the message; the place stays", do_forget_message, 0},
    {CONTEXT_REPLAY, {'q', 'd', KEY_CTRL('C')}, "q d", "Quit", 1, "leave the replay", do_leave, UI_LEAVE},

    {CONTEXT_MAIN, {'m'}, "m", "Mode", 2, "menu of modes, with what each would do from the next step on", do_menu, 0},
    {CONTEXT_MAIN, {' '}, "Space", "Pause", 2, "pause the training, or go on", do_pause, 0},
    {CONTEXT_MAIN, {'n'}, "n", "Step", 2, "make exactly one step while paused", do_command, COMMAND_STEP},
    {CONTEXT_MAIN, {'e'}, "e", "Eval", 3, "measure the exact spectrum now", do_command, COMMAND_EVAL},
    {CONTEXT_MAIN, {'c'}, "c", "Ckpt", 3, "write a checkpoint now", do_command, COMMAND_CHECKPOINT},
    {CONTEXT_MAIN, {'l'}, "l", "Log/Lin", 4, "spectrum on a logarithmic or a linear axis", do_linear, 0},
    {CONTEXT_MAIN, {'a'}, "a", NULL, 0, "spectrum relative to its largest value, or absolute", do_absolute, 0},
    {CONTEXT_MAIN, {'z'}, "z", "h/z", 6, "spectra of the features h or, some steps old, of the projector's z", do_projections, 0},
    {CONTEXT_MAIN, {'w'}, "w", "Waterfall", 5, "spectra over time, large", do_waterfall, 0},
    {CONTEXT_MAIN, {KEYS_TAB}, "Tab", "View", 2, "next view", navigate_turn, 1},
    {CONTEXT_MAIN, {KEYS_BACK_TAB}, "Shift-Tab", NULL, 0, "view before", navigate_turn, -1},
    {CONTEXT_MAIN, {'1'}, "1", NULL, 0, "overview", navigate_view, VIEW_OVERVIEW},
    {CONTEXT_MAIN, {'2'}, "2", NULL, 0, "spectrum: overlays, cumulative sum, waterfall", navigate_view, VIEW_SPECTRUM},
    {CONTEXT_MAIN, {'3'}, "3", NULL, 0, "collapse and forecast: any metric over steps", navigate_view, VIEW_COLLAPSE},
    {CONTEXT_MAIN, {'4'}, "4", NULL, 0, "events", navigate_view, VIEW_EVENTS},
    {CONTEXT_MAIN, {'5'}, "5", NULL, 0, "device: speed, time of a step, load, memory", navigate_view, VIEW_DEVICE},
    {CONTEXT_MAIN, {KEYS_DOWN, 'j'}, "Down j", NULL, 0, "older event; in the list of metrics the next one", navigate_scroll, 1},
    {CONTEXT_MAIN, {KEYS_UP, 'k'}, "Up k", NULL, 0, "newer event; in the list of metrics the one before", navigate_scroll, -1},
    {CONTEXT_MAIN, {KEYS_PAGE_DOWN}, "PgDn", NULL, 0, "half a page down in a list", navigate_scroll, 2},
    {CONTEXT_MAIN, {KEYS_PAGE_UP}, "PgUp", NULL, 0, "half a page up in a list", navigate_scroll, -2},
    {CONTEXT_MAIN, {'/'}, "/", NULL, 0, "search the events", navigate_search, 0},
    {CONTEXT_MAIN, {KEYS_ENTER}, "Enter", NULL, 0, "in the events: put the cursor on the step of the selected one", navigate_jump, 0},
    {CONTEXT_MAIN, {KEYS_LEFT}, "Left", NULL, 0, "cursor back in time: every panel tells the values of its step", navigate_cursor, -1},
    {CONTEXT_MAIN, {KEYS_RIGHT}, "Right", NULL, 0, "cursor on in time, up to the newest step", navigate_cursor, 1},
    {CONTEXT_MAIN, {KEYS_FAR_LEFT}, "Shift-Left", NULL, 0, "cursor ten columns back", navigate_cursor, -10},
    {CONTEXT_MAIN, {KEYS_FAR_RIGHT}, "Shift-Right", NULL, 0, "cursor ten columns on", navigate_cursor, 10},
    {CONTEXT_MAIN, {KEYS_HOME}, "Home", NULL, 0, "cursor to the first step", navigate_end, 0},
    {CONTEXT_MAIN, {KEYS_END}, "End", NULL, 0, "no cursor: the newest step", navigate_end, 1},
    {CONTEXT_MAIN, {'g'}, "g", "Goto", 5, "go to a step: a number, or a percentage of the run", do_goto, 0},
    {CONTEXT_MAIN, {'}'}, "}", "Event", 5, "cursor to the next event", navigate_event, 1},
    {CONTEXT_MAIN, {'{'}, "{", NULL, 0, "cursor to the event before", navigate_event, -1},
    {CONTEXT_MAIN, {'+', '='}, "+", NULL, 0, "zoom into time, around the cursor", navigate_zoom, 1},
    {CONTEXT_MAIN, {'-'}, "-", NULL, 0, "zoom out", navigate_zoom, -1},
    {CONTEXT_MAIN, {'0'}, "0", NULL, 0, "the whole run", navigate_zoom, 0},
    {CONTEXT_MAIN, {'['}, "[", NULL, 0, "half a window back in time", navigate_pan, -1},
    {CONTEXT_MAIN, {']'}, "]", NULL, 0, "half a window on", navigate_pan, 1},
    {CONTEXT_MAIN, {'x'}, "x", NULL, 0, "mark the cursor's step, for the spectrum; again: forget the mark", navigate_mark, 0},
    {CONTEXT_MAIN, {'X'}, "X", NULL, 0, "cursor to the mark", navigate_to_mark, 0},
    {CONTEXT_MAIN, {'.'}, ".", NULL, 0, "read off the next singular value of the spectrum", navigate_index, 1},
    {CONTEXT_MAIN, {','}, ",", NULL, 0, "the one before; before the first: none", navigate_index, -1},
    {CONTEXT_MAIN, {'r'}, "r", NULL, 0, "lay the curves of a reference under one's own, or take them away: that of --reference, else the one that comes with the program for this data set, network and method", do_reference, 0},
    {CONTEXT_MAIN, {'t'}, "t", NULL, 0, "next colour scheme", navigate_theme, 1},
    {CONTEXT_MAIN, {KEYS_CLICK}, "Click", NULL, 0, "in a plot over steps: put the cursor there; in the large spectrum: read off the value; on another panel or its border: show its view; in a list: select; on the bar: the key", do_click, 0},
    {CONTEXT_MAIN, {KEYS_WHEEL_UP}, "Wheel", NULL, 0, "zoom time around the pointer; scroll a list", navigate_wheel, -1},
    {CONTEXT_MAIN, {KEYS_WHEEL_DOWN}, "Wheel back", NULL, 0, "zoom out; scroll on", navigate_wheel, 1},
    {CONTEXT_MAIN, {':'}, ":", "Command", 4, "command line: mode, lr 0.5x, until 40% then multi-epoch", do_colon, 0},
    {CONTEXT_MAIN, {KEYS_ESCAPE}, "Esc", NULL, 0, "forget the message, then the cursor", do_forget, 0},
    {CONTEXT_MAIN, {KEY_CTRL('L')}, "Ctrl-L", NULL, 0, "draw the screen again", do_leave, UI_REPAINT},
    {CONTEXT_MAIN, {KEY_CTRL('Z')}, "Ctrl-Z", NULL, 0, "suspend the viewer; the training goes on", do_leave, UI_SUSPEND},
    {CONTEXT_MAIN, {'d'}, "d", "Detach", 2, "leave; the training goes on (ssltop attach looks at it again)", do_leave, UI_LEAVE},
    {CONTEXT_MAIN, {'q', KEY_CTRL('C')}, "q", "Quit", 1, "asks: stop with a checkpoint, leave running, or stay", do_quit, 0},

    {CONTEXT_MENU, {KEYS_DOWN, 'j', KEYS_TAB}, "Down j", NULL, 0, "next mode", do_menu_move, 1},
    {CONTEXT_MENU, {KEYS_UP, 'k'}, "Up k", NULL, 0, "previous mode", do_menu_move, -1},
    {CONTEXT_MENU, {KEYS_ENTER}, "Enter", NULL, 0, "switch to the selected mode from the next step on", do_mode, -1},
    {CONTEXT_MENU, {'1'}, "1", NULL, 0, "multi-epoch", do_mode, MODE_MULTI_EPOCH},
    {CONTEXT_MENU, {'2'}, "2", NULL, 0, "continual", do_mode, MODE_CONTINUAL},
    {CONTEXT_MENU, {'3'}, "3", NULL, 0, "cumulative", do_mode, MODE_CUMULATIVE},
    {CONTEXT_MENU, {KEYS_ESCAPE, 'm', 'q'}, "Esc m", NULL, 0, "close the menu", do_context, CONTEXT_MAIN},

    {CONTEXT_QUIT, {'s'}, "s", NULL, 0, "stop the training with a checkpoint", do_stop, 0},
    {CONTEXT_QUIT, {'l', 'd'}, "l", NULL, 0, "leave it running", do_leave, UI_LEAVE},
    {CONTEXT_QUIT, {KEYS_ESCAPE, 'q', KEYS_ENTER}, "Esc", NULL, 0, "stay", do_context, CONTEXT_MAIN},

    {CONTEXT_COMMAND, {KEYS_ENTER}, "Enter", NULL, 0, "give the command", do_enter, 0},
    {CONTEXT_COMMAND, {KEYS_ESCAPE, KEY_CTRL('C')}, "Esc", NULL, 0, "leave the command line", do_context, CONTEXT_MAIN},
    {CONTEXT_COMMAND, {KEYS_UP}, "Up", NULL, 0, "the command given before", do_edit, EDIT_OLDER},
    {CONTEXT_COMMAND, {KEYS_DOWN}, "Down", NULL, 0, "the command given after it", do_edit, EDIT_NEWER},
    {CONTEXT_COMMAND, {KEYS_LEFT}, "Left", NULL, 0, "one character back", do_edit, EDIT_LEFT},
    {CONTEXT_COMMAND, {KEYS_RIGHT}, "Right", NULL, 0, "one character on", do_edit, EDIT_RIGHT},
    {CONTEXT_COMMAND, {KEYS_HOME, KEY_CTRL('A')}, "Home Ctrl-A", NULL, 0, "to the beginning", do_edit, EDIT_HOME},
    {CONTEXT_COMMAND, {KEYS_END, KEY_CTRL('E')}, "End Ctrl-E", NULL, 0, "to the end", do_edit, EDIT_END},
    {CONTEXT_COMMAND, {KEYS_BACKSPACE}, "Backspace", NULL, 0, "delete the character before; leaves an empty line", do_edit, EDIT_BACKSPACE},
    {CONTEXT_COMMAND, {KEYS_DELETE}, "Delete", NULL, 0, "delete the character here", do_edit, EDIT_DELETE},
    {CONTEXT_COMMAND, {KEY_CTRL('U')}, "Ctrl-U", NULL, 0, "delete the line", do_edit, EDIT_CLEAR},

    {CONTEXT_SEARCH, {KEYS_ENTER}, "Enter", NULL, 0, "stay on the event; with nothing typed, on to the next of the last search", navigate_search_done, 1},
    {CONTEXT_SEARCH, {KEYS_ESCAPE, KEY_CTRL('C')}, "Esc", NULL, 0, "back to the event before the search", navigate_search_done, 0},
    {CONTEXT_SEARCH, {KEYS_DOWN}, "Down", NULL, 0, "next older event that matches", navigate_search_next, 1},
    {CONTEXT_SEARCH, {KEYS_UP}, "Up", NULL, 0, "next newer event that matches", navigate_search_next, -1},
    {CONTEXT_SEARCH, {KEYS_BACKSPACE}, "Backspace", NULL, 0, "delete the character before; leaves an empty line", navigate_search_edit, EDIT_BACKSPACE},
    {CONTEXT_SEARCH, {KEY_CTRL('U')}, "Ctrl-U", NULL, 0, "delete the line", navigate_search_edit, EDIT_CLEAR},

    {CONTEXT_HELP, {KEYS_WHEEL_DOWN}, "Wheel", NULL, 0, "scroll", navigate_scroll, 1},
    {CONTEXT_HELP, {KEYS_WHEEL_UP}, "Wheel back", NULL, 0, "scroll back", navigate_scroll, -1},
    {CONTEXT_HELP, {KEYS_DOWN, 'j'}, "Down j", NULL, 0, "scroll on", navigate_scroll, 1},
    {CONTEXT_HELP, {KEYS_UP, 'k'}, "Up k", NULL, 0, "scroll back", navigate_scroll, -1},
    {CONTEXT_HELP, {KEYS_PAGE_DOWN, ' '}, "PgDn Space", NULL, 0, "half a page on", navigate_scroll, 2},
    {CONTEXT_HELP, {KEYS_PAGE_UP}, "PgUp", NULL, 0, "half a page back", navigate_scroll, -2},
    {CONTEXT_HELP, {KEYS_ESCAPE, '?', 'q'}, "Esc ? q", NULL, 0, "close the help", do_context, CONTEXT_MAIN},

    {CONTEXT_MAIN, {0}, NULL, NULL, 0, NULL, NULL, 0},
};
// clang-format on

static const struct action *find(enum context context, uint32_t key)
{
    for (const struct action *a = action_table; a->keys; a++)
        for (size_t i = 0; a->context == context && i < sizeof a->key / sizeof *a->key; i++)
            if (a->key[i] == key && key)
                return a;
    return NULL;
}

int action_holds(const struct action *a, const struct view_state *v)
{
    return a->context == CONTEXT_REPLAY ? v->replay.on
                                        : !v->replay.on || !find(CONTEXT_REPLAY, a->key[0]);
}

// What a key means now.
static const struct action *meaning(const struct ui *u, uint32_t key)
{
    const struct action *a =
        u->v->replay.on && u->v->context == CONTEXT_MAIN ? find(CONTEXT_REPLAY, key) : NULL;
    return a ? a : find(u->v->context, key);
}

// A character for the line that is open, if one is.
static void insert(struct ui *u, uint32_t ch)
{
    if (u->v->context == CONTEXT_COMMAND)
        cmdline_insert(&u->v->line, ch);
    if (u->v->context == CONTEXT_SEARCH)
        navigate_search_insert(u, ch);
}

unsigned action_key(struct ui *u, uint32_t key)
{
    const struct action *a = meaning(u, key);
    if (a)
        return a->run(u, a->argument);
    insert(u, key);
    return 0;
}

// Steps are many wishes: a held key makes one after the other, for as long as it is held.
static int is_one_wish(const struct action *a)
{
    return a && (a->run == do_pause || a->run == do_play ||
                 (a->run == do_command && a->argument != COMMAND_STEP));
}

unsigned action_event(struct ui *u, const struct keys_event *ev, double now)
{
    if (ev->pasted) {
        insert(u, ev->key);
        return 0;
    }
    unsigned flags = ev->key == u->hold.key ? 0 : action_due(u, INFINITY);
    u->v->pointer.y = ev->y;
    u->v->pointer.x = ev->x;
    const struct action *a = meaning(u, ev->key);
    if (is_one_wish(a))
        return keys_hold_take(&u->hold, ev->key, now) ? flags | action_key(u, ev->key) : flags;
    u->hold = (struct keys_hold){0};
    if (a && a->run == do_stop && u->unread)
        return flags; // a word with q and s in it, pasted where no terminal says so
    u->unread |= a && a->run == do_quit;
    return flags | action_key(u, ev->key);
}

unsigned action_due(struct ui *u, double now)
{
    uint32_t key = keys_hold_due(&u->hold, now);
    return key ? action_key(u, key) : 0;
}

void action_answer(struct ui *u, const struct answer *a)
{
    u->waiting &= ~(1U << (uint64_t)a->id % COMMAND_COUNT);
    view_say(u->v, a->ok ? ROLE_GOOD : ROLE_BAD, "%s%s",
             a->ok ? "" : "refused: ", a->text[0] ? a->text : "done");
    if (!a->ok)
        u->v->link.asked_pause = -1;
}

const char *action_missing(const struct action *a, const struct history *h)
{
    return a->run == do_command       ? missing(h, (enum command)a->argument)
           : a->run == do_menu        ? missing(h, COMMAND_MODE)
           : a->run == do_projections ? missing_z(h)
                                      : NULL;
}

const char *action_label(const struct action *a, const struct scene *s)
{
    return a->run == do_pause && s->h->paused          ? "Resume"
           : a->run == do_play && s->v->replay.playing ? "Pause"
                                                       : a->label;
}
