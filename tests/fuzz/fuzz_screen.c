// The screen: bytes of a terminal to events and what they do; the line behind ":" and "/"; logs as
// they are drawn, while they grow and as a replay.
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "metrics/base/text.h"
#include "metrics/log/runlog.h"
#include "tests/fuzz/foreign.h"
#include "tui/draw/screen.h"
#include "tui/feed/source.h"
#include "tui/hands/actions.h"
#include "tui/hands/navigate.h"

// A viewer without a terminal and without a trainer, which takes down what it is told.
struct desk {
    struct history h;
    struct schedule_view schedule;
    struct view_state v;
    struct scene scene;
    struct ui ui;
    int sent;
    struct command_call last;
};

static int take(void *to, const struct command_call *call, struct error *e)
{
    struct desk *d = to;
    char *line = command_to_json(call);
    struct command_call heard;
    fuzz_require(call->command > COMMAND_WATCH && call->command < COMMAND_COUNT);
    fuzz_require(line && command_parse_json(line, strlen(line), &heard, NULL) == 0);
    fuzz_require(heard.command == call->command && !strcmp(heard.by, "key"));
    free(line);
    d->sent++;
    d->last = *call;
    return d->sent % 7 == 6 ? error_set(e, "the trainer went away") : 0;
}

static void add_line(struct desk *d, const char *line, size_t n)
{
    struct record r;
    if (record_parse(line, n, &r, NULL) == 0) {
        fuzz_require(history_add(&d->h, &r, NULL) == 0);
        schedule_view_add(&d->schedule, &d->h, &r);
    }
    record_free(&r);
}

// A run of some steps to have something on the screen.
static void desk_open(struct desk *d, int steps)
{
    static const char run[] =
        "{\"type\":\"run\",\"version\":1,\"name\":\"r\",\"config\":{\"schedule\":\"hybrid\","
        "\"batch\":\"8\",\"chunks\":\"4\",\"method\":\"simsiam\",\"seed\":\"1\"},\"dataset\":"
        "{\"name\":\"synthetic\",\"n\":64,\"classes\":10,\"shape\":[1,28,28]},\"model\":{\"arch\":"
        "\"resnet18\",\"width\":4,\"d\":4},\"steps\":80}";
    memset(d, 0, sizeof *d);
    fuzz_require(history_init(&d->h, NULL) == 0);
    view_init(&d->v);
    d->v.link.state = LINK_LIVE;
    d->v.link.can_steer = 1;
    d->v.now = d->v.link.heard = 1000;
    snprintf(d->v.name, sizeof d->v.name, "r");
    d->scene = (struct scene){.h = &d->h, .schedule = &d->schedule, .v = &d->v};
    d->ui = (struct ui){.v = &d->v, .h = &d->h, .send = take, .to = d};
    if (steps)
        add_line(d, run, sizeof run - 1);
    for (int t = 0; t < steps; t++) {
        char line[512];
        int n = snprintf(line, sizeof line,
                         "{\"type\":\"step\",\"step\":%d,\"t\":%d,\"mode\":\"continual\",\"chunk\":"
                         "%d,\"auc\":0.%d,\"loss\":-0.%d,\"lr\":0.1,\"images_s\":100}",
                         t, t, t / 20, 50 + t, 10 + t);
        add_line(d, line, (size_t)n);
        n = snprintf(line, sizeof line,
                     "{\"type\":\"spectrum\",\"step\":%d,\"source\":\"live\",\"n\":64,\"sigma\":[9,"
                     "%d,1,0.5]}",
                     t, 1 + t % 8);
        add_line(d, line, (size_t)n);
        if (t % 10 == 9) {
            n = snprintf(line, sizeof line,
                         "{\"type\":\"event\",\"step\":%d,\"what\":\"warning\",\"text\":\"w%d\"}",
                         t, t);
            add_line(d, line, (size_t)n);
        }
    }
}

static void desk_close(struct desk *d)
{
    history_free(&d->h);
    schedule_view_free(&d->schedule);
}

// No cell holds what a terminal would take for a command.
static void draw(const struct scene *s, int h, int w)
{
    struct canvas c = {0};
    fuzz_require(canvas_resize(&c, h, w, NULL) == 0);
    screen_draw(&c, s);
    for (int i = 0; i < h * w; i++) {
        uint32_t ch = c.cell[i].ch;
        fuzz_require((ch == 0 || ch >= 0x20) && !(ch >= 0x7f && ch < 0xa0) && ch <= 0x10ffff);
        fuzz_require(!s->v->ascii || ch < 0x80);
        fuzz_require(c.cell[i].role < ROLE_COUNT && c.cell[i].upper <= HEAT_LEVELS &&
                     c.cell[i].lower <= HEAT_LEVELS);
    }
    char *text = canvas_to_text(&c);
    fuzz_require(text);
    free(text);
    canvas_free(&c);
}

static void check_view(const struct view_state *v)
{
    fuzz_require(v->view >= 0 && v->view < VIEW_COUNT && v->context >= 0 &&
                 v->context < CONTEXT_COUNT && v->context != CONTEXT_REPLAY);
    fuzz_require(v->line.len < LINE_SIZE && v->line.at <= v->line.len &&
                 v->line.text[v->line.len] == '\0');
    fuzz_require(v->menu_row >= 0 && v->menu_row < MODE_COUNT && v->pointer.n <= ZONES);
}

// One that is made and drawn once: keys change what is shown of the run, never the run.
static struct desk *desk_of_a_run(void)
{
    static struct desk made, used;
    if (!made.h.have_run) {
        desk_open(&made, 40);
        made.v.link.machine.cores = 2; // as if it had been looked at
        draw(&made.scene, 24, 80);
    }
    used = made;
    used.scene = (struct scene){.h = &used.h, .schedule = &used.schedule, .v = &used.v};
    used.ui = (struct ui){.v = &used.v, .h = &used.h, .send = take, .to = &used};
    return &used;
}

// --- bytes of a terminal. 0xFF: the next byte says how long nothing comes (10 ms each), or draws
// ---

static int is_key(uint32_t key)
{
    return key > 0 && key <= KEYS_WHEEL_DOWN && !(key >= 0x80 && key < 0xa0);
}

int fuzz_keys(const uint8_t *data, size_t size)
{
    struct desk *d = desk_of_a_run();
    struct input in = {data, size};
    struct keys k = {.mouse = 1};
    struct keys_event ev;
    double now = 1000;
    int drawn = 0;
    while (in.n > 0) {
        uint8_t byte = input_byte(&in);
        if (byte == 0xff) {
            unsigned how = input_byte(&in);
            now += 0.01 * (how & 127);
            if (how & 128 && drawn++ < 4)
                draw(&d->scene, 20 + (int)(how & 15), 60 + (int)(how & 63));
            if (keys_idle(&k, now, &ev)) {
                fuzz_require(ev.key == KEYS_ESCAPE);
                action_event(&d->ui, &ev, now);
            }
            action_due(&d->ui, now);
        } else if (keys_take(&k, byte, now, &ev)) {
            fuzz_require(is_key(ev.key) && k.n <= sizeof k.text);
            fuzz_require(!ev.pasted || (ev.key >= 0x20 && ev.key < KEYS_UP));
            d->v.pointer.y = ev.y;
            d->v.pointer.x = ev.x;
            int before = d->sent, was = (int)d->v.context;
            action_event(&d->ui, &ev, now);
            // A paste gives no order, whatever is in it.
            fuzz_require(!ev.pasted || (d->sent == before && (int)d->v.context == was));
        }
        fuzz_require(keys_patience(&k, now) <= 1);
        check_view(&d->v);
        now += 0.001;
        d->v.now = now;
    }
    action_due(&d->ui, INFINITY);
    draw(&d->scene, 24, 80);
    return 0;
}

// --- lines that a person types: ":" before each, or "/" where the byte before it is odd ---

int fuzz_command(const uint8_t *data, size_t size)
{
    struct desk *d = desk_of_a_run();
    struct input in = {data, size};
    char line[512];
    for (int n = 0; in.n > 0 && n < 16; n++) {
        unsigned how = input_byte(&in);
        action_key(&d->ui, KEYS_ESCAPE);
        action_key(&d->ui, how & 1 ? '/' : ':');
        if (!input_line(&in, line, sizeof line))
            *line = '\0';
        for (size_t at = 0, all = strlen(line), m; at < all; at += m ? m : 1) {
            uint32_t code = (unsigned char)line[at];
            m = (size_t)text_utf8(line + at, all - at, &code);
            if (code < 0x20) // keys that edit: arrows and their like
                code = KEYS_UP + code % (KEYS_CLICK - KEYS_UP);
            action_key(&d->ui, code);
            check_view(&d->v);
        }
        if (how & 2)
            draw(&d->scene, 24, 80);
        action_key(&d->ui, KEYS_ENTER);
        struct answer a;
        answer_init(&a, d->last.command);
        a.ok = how >> 2 & 1;
        snprintf(a.text, sizeof a.text, "%.200s", line);
        if (how & 8)
            action_answer(&d->ui, &a);
        if (how & 16)
            action_key(&d->ui, how & 32 ? 'n' : KEYS_TAB);
        check_view(&d->v);
    }
    draw(&d->scene, 24, 80);
    return 0;
}

// --- a log: how (bits), height, width, how many keys, keys, lines ---

static void press(struct ui *u, struct input keys)
{
    for (size_t i = 0; i < keys.n; i++) {
        uint32_t key = keys.p[i] < 0x80 ? keys.p[i] : KEYS_UP + keys.p[i] % 32u;
        u->v->pointer.y = keys.p[i] % 24;
        u->v->pointer.x = keys.p[(i + 1) % keys.n] % 80;
        action_key(u, key);
        check_view(u->v);
    }
}

static void replay(const char *const *path, int n, struct input keys, int h, int w, int ascii)
{
    static const char *const name[] = {"one", "two"};
    static struct view_state v;
    struct playback *p;
    struct error e = {""};
    double now = 1000;
    if (playback_open(path, name, n, now, &p, &e) < 0) {
        fuzz_require(*e.text);
        return;
    }
    view_init(&v);
    v.link.state = LINK_REPLAY;
    v.ascii = ascii;
    for (int timeout = 0; timeout == 0;) {
        if (playback_pump(p, now, &e) < 0)
            break;
        timeout = 1000;
        playback_poll(p, &timeout);
    }
    for (int i = 0; i < 3; i++) {
        struct scene s = {0};
        struct ui ui = {.v = &v, .h = playback_history(p), .play = p};
        v.now = now;
        playback_tick(p, &v, now);
        playback_scene(p, &v, &s);
        draw(&s, h, w);
        press(&ui, keys);
        now += 0.7;
    }
    playback_lost(p);
    playback_free(p);
}

int fuzz_viewer(const uint8_t *data, size_t size)
{
    static struct desk d;
    struct input in = {data, size};
    unsigned how = input_byte(&in);
    int h = 1 + input_byte(&in) % 50, w = 1 + input_byte(&in) % 150;
    struct input keys = input_take(&in, input_byte(&in) % 32), rest = in;
    char line[4096];
    if (how & 1) {
        const char *path[2] = {foreign_log(0, in, 1 + (int)(how >> 4), how & 2),
                               how & 4 ? foreign_log(1, in, 3, 1) : NULL};
        replay(path, how & 4 ? 2 : 1, keys, h, w, how & 8);
        return 0;
    }
    desk_open(&d, how & 2 ? 10 : 0);
    d.v.ascii = (how & 8) != 0;
    d.v.link.state = how & 4 ? LINK_READING : LINK_LIVE;
    for (int n = 0; input_line(&rest, line, sizeof line); n++) {
        add_line(&d, line, strlen(line));
        if (n % 8 == 1)
            draw(&d.scene, h, w);
    }
    for (int view = 0; view < VIEW_COUNT; view++) {
        navigate_view(&d.ui, view);
        draw(&d.scene, h, w);
    }
    press(&d.ui, keys);
    draw(&d.scene, h, w);
    desk_close(&d);
    return 0;
}

// --- a trainer that is watched: how many lines its log has, these, and then what it does: a byte
// each, and a line for some ---

struct trainer {
    int listening, fd; // -1: nobody is connected
    char said[8192];   // by the viewer
};

static void open_trainer(struct trainer *t)
{
    static int listening; // one for all inputs
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%.90s/socket", foreign_folder());
    if (!listening) {
        listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        fuzz_require(listening > 0 && bind(listening, (struct sockaddr *)&a, sizeof a) == 0 &&
                     listen(listening, 8) == 0);
    }
    foreign_put("control", a.sun_path, strlen(a.sun_path));
    *t = (struct trainer){.listening = listening, .fd = -1};
}

static void hang_up(struct trainer *t)
{
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
}

static void tell(struct trainer *t, const char *text, int whole)
{
    if (t->fd < 0)
        return;
    send(t->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (whole)
        send(t->fd, "\n", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// Answer the last call that came.
static void answer(struct trainer *t, int lines)
{
    char text[128];
    ssize_t n = t->fd < 0 ? 0 : recv(t->fd, t->said, sizeof t->said - 1, MSG_DONTWAIT);
    t->said[n > 0 ? n : 0] = '\0';
    const char *id = strstr(t->said, "\"id\":");
    snprintf(text, sizeof text, "{\"type\":\"answer\",\"id\":%d,\"ok\":true,\"lines\":%d}",
             id ? atoi(id + 5) : 0, lines);
    tell(t, text, 1);
}

static void append_to_log(const char *path, const char *line)
{
    struct runlog_writer *w;
    if (!*line || runlog_append(path, &w, NULL, NULL) < 0)
        return;
    fuzz_require(runlog_write(w, line, strlen(line), NULL) == 0 && runlog_close(w, NULL) == 0);
}

static int on_record(void *to, const struct record *r, struct error *e)
{
    struct desk *d = to;
    fuzz_require(history_add(&d->h, r, e) == 0);
    schedule_view_add(&d->schedule, &d->h, r);
    return 0;
}

static void on_answer(void *to, const struct answer *a)
{
    action_answer(&((struct desk *)to)->ui, a);
}

static int wants(void *to, int64_t step)
{
    return spectra_wants(&((struct desk *)to)->h.live_rows, step);
}

static void watch(struct source *s, struct desk *d, struct trainer *t, struct input in)
{
    const struct sink sink = {d, on_record, on_answer, wants};
    const struct command_call status = {.command = COMMAND_STATUS, .by = "key"};
    char line[2048], path[512];
    snprintf(path, sizeof path, "%s/run.jsonl.zst", foreign_folder());
    for (int turns = 0; turns < 64; turns++) {
        struct pollfd p = {.fd = -1};
        int timeout = 0, polled = s->klass->poll(s, &p, &timeout);
        if (polled)
            poll(&p, 1, 0);
        if (s->klass->pump(s, p.revents, &sink, NULL) < 0)
            break;
        if (t->fd < 0)
            t->fd = accept4(t->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (!in.n && turns > 4)
            break;
        unsigned what = input_byte(&in) & 7, more = what < 4 ? 0 : input_byte(&in);
        if (what < 4 && !input_line(&in, line, sizeof line))
            *line = '\0';
        if (what == 3)
            append_to_log(path, line);
        else if (what < 3)
            tell(t, line, what < 2);
        else if (what == 4)
            answer(t, (int)more);
        else if (what == 5)
            hang_up(t);
        else if (what == 6)
            s->klass->send(s, &status, NULL);
    }
    s->klass->state(s);
    s->klass->pid(s);
    s->klass->lost(s);
}

int fuzz_watch(const uint8_t *data, size_t size)
{
    static struct desk d;
    struct input in = {data, size};
    struct trainer t;
    struct source *s;
    char path[512];
    open_trainer(&t);
    struct input log = in;
    for (unsigned n = input_byte(&in) & 15; n > 0; n--)
        if (!input_line(&in, path, sizeof path))
            break;
    log.n -= in.n;
    input_byte(&log);
    int fd = open(foreign_log(0, log, 3, 1), O_RDONLY | O_CLOEXEC);
    char bytes[1 << 16];
    ssize_t n = read(fd, bytes, sizeof bytes);
    close(fd);
    fuzz_require(n >= 0);
    foreign_put("run.jsonl.zst", bytes, (size_t)n);
    desk_open(&d, 0);
    if (source_live_open(foreign_folder(), &s, NULL) == 0) {
        watch(s, &d, &t, in);
        s->klass->free(s);
    }
    draw(&d.scene, 24, 80);
    // What still stands in the queue is not the next input's.
    hang_up(&t);
    while ((t.fd = accept4(t.listening, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        hang_up(&t);
    desk_close(&d);
    return 0;
}
