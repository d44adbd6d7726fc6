// One loop on poll: what the client says, what viewers and scripts ask, and whether the client
// still lives. Orders go to the client and are answered when it has answered; what a step brought
// is reported by the trainer's own code.
#include "train/recorder/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/signals.h"
#include "metrics/base/text.h"
#include "train/client/ssltop-client.h"
#include "train/recorder/slots.h"
#include "train/recorder/intake.h"
#include "train/run/report.h"
#include "train/schedule/guard.h"
#include "train/store/rundir.h"
#include "train/store/trainer_log.h"
#include "train/wire/publisher.h"

enum { ORDERS = 32, NICE = 5, FAILED = 1 };

struct order {
    uint64_t id; // 0: this place is free
    struct request request;
    int by_guard;
    char text[200]; // the guard's rule
};

struct recorder {
    int fd, pidfd;
    pid_t client;
    struct signals signals;
    struct rundir dir;
    struct report report;
    struct slots slots;
    struct intake intake;
    struct guard guard;
    double last_metric[METRIC_COUNT];
    struct link_message hello;
    char word[LINK_WORDS][1024]; // but the configuration
    char *config;                // a JSON object of strings
    char data[256], arch[64], method[64];
    int width;
    char scalar[LINK_SCALARS][LINK_NAME];
    struct order order[ORDERS];
    uint64_t ids;
    int64_t step, dropped; // the newest, and how many are missing
    enum mode mode;
    int begun, paused, over;
    int told_features, told_order;
    char reason[16], why[256];
};

// ---------------------------------------------------------------- to the client

static int say(struct recorder *r, enum link_kind kind, struct link_message *m, const char *text)
{
    struct iovec part[2] = {{m, sizeof *m}, {(void *)(uintptr_t)text, strlen(text)}};
    struct msghdr h = {.msg_iov = part, .msg_iovlen = *text ? 2 : 1};
    m->magic = LINK_MAGIC;
    m->version = LINK_VERSION;
    m->kind = (uint32_t)kind;
    m->length = (uint32_t)strlen(text);
    ssize_t n;
    do
        n = sendmsg(r->fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

static int refuse(struct recorder *r, const struct error *e)
{
    struct link_message m = {0};
    return say(r, LINK_REFUSED, &m, e->text);
}

// ---------------------------------------------------------------- orders

// What a command of a viewer is to the client.
static const struct {
    int what;            // enum ssltop_what, -1: it is not for the client
    const char *missing; // why not, when the training has not offered it
} order_table[COMMAND_COUNT] = {
    [COMMAND_WATCH] = {-1, ""},
    [COMMAND_STATUS] = {-1, ""},
    [COMMAND_PAUSE] = {SSLTOP_PAUSE, ""},
    [COMMAND_RESUME] = {SSLTOP_RESUME, ""},
    [COMMAND_STEP] = {SSLTOP_STEP, ""},
    [COMMAND_EVAL] = {SSLTOP_EVALUATE,
                      "this training evaluates by itself: it offered no evaluation"},
    [COMMAND_CHECKPOINT] = {SSLTOP_CHECKPOINT, "this training offered no checkpoints"},
    [COMMAND_STOP] = {SSLTOP_STOP, ""},
    [COMMAND_MODE] = {SSLTOP_MODE, "this training draws its batches without ssltop's sampler"},
    [COMMAND_LR] = {SSLTOP_RATE, "this training did not hand over its optimizer"},
    [COMMAND_UNTIL] =
        {-1, "a plan for later can't be sent to somebody else's training: switch by hand"},
};

static int offered(const struct recorder *r, int what)
{
    return what <= SSLTOP_STOP || (r->hello.what & SSLTOP_CAN(what));
}

// Send it; the answer comes later. -1 with the reason.
static int order(struct recorder *r, const struct request *q, const char *rule, struct error *e)
{
    const struct command_call *c = &q->call;
    int what = order_table[c->command].what;
    struct order *o = r->order;
    if (what < 0 || !offered(r, what))
        return error_set(e, "%s", order_table[c->command].missing);
    while (o < r->order + ORDERS && o->id)
        o++;
    if (o == r->order + ORDERS)
        return error_set(e, "the training has not answered %d commands yet", ORDERS);
    struct link_message m = {.id = ++r->ids,
                             .what = (uint32_t)what,
                             .step = -1,
                             .mode = c->mode,
                             .chunks = c->chunks,
                             .factor = c->factor};
    snprintf(m.by, sizeof m.by, "%s", c->by);
    if (say(r, LINK_ORDER, &m, "") < 0)
        return error_set(e, "the training does not listen: %s", strerror(errno));
    *o = (struct order){.id = r->ids, .request = *q, .by_guard = rule != NULL};
    snprintf(o->text, sizeof o->text, "%s", rule ? rule : "");
    return 0;
}

static void status(struct recorder *r)
{
    report_status(&r->report, r->step + 1, r->paused, r->mode, "");
}

static void asked(struct recorder *r, const struct request *q)
{
    struct error why = {{0}};
    struct answer a;
    if (q->signal) {
        r->over = 1;
        snprintf(r->reason, sizeof r->reason, "stopped");
        snprintf(r->why, sizeof r->why, "the recorder was ended by SIG%s", sigabbrev_np(q->signal));
        return;
    }
    answer_init(&a, q->call.id);
    if (order(r, q, NULL, &why) == 0)
        return;
    snprintf(a.text, sizeof a.text, "%.250s", why.text);
    publisher_answer(r->report.publisher, q, &a);
}

// What the log and the person are told of an order that was carried out.
static void carried_out(struct recorder *r, const struct order *o, int64_t step, struct answer *a)
{
    const struct command_call *c = &o->request.call;
    const char *by = c->by;
    char to[64] = "";
    a->ok = 1;
    a->step = step;
    switch (c->command) {
    case COMMAND_PAUSE:
        r->paused = 1;
        snprintf(a->text, sizeof a->text, "paused from step %" PRId64, step);
        break;
    case COMMAND_RESUME:
        r->paused = 0;
        report_speed(&r->report, step, clock_seconds());
        snprintf(a->text, sizeof a->text, "goes on with step %" PRId64, step);
        break;
    case COMMAND_STEP:
        snprintf(a->text, sizeof a->text, "makes step %" PRId64, step);
        break;
    case COMMAND_STOP:
        snprintf(a->text, sizeof a->text, "stops before step %" PRId64, step);
        break;
    case COMMAND_EVAL:
        snprintf(a->text, sizeof a->text, "evaluated before step %" PRId64, step);
        break;
    case COMMAND_CHECKPOINT:
        snprintf(a->text, sizeof a->text, "a checkpoint is written before step %" PRId64, step);
        break;
    case COMMAND_MODE:
        snprintf(to, sizeof to, c->chunks ? "%s@%d" : "%s", mode_name(c->mode), c->chunks);
        snprintf(a->text, sizeof a->text, "%s from step %" PRId64, to, step);
        break;
    case COMMAND_LR:
        snprintf(to, sizeof to, "%g", c->factor);
        snprintf(a->text, sizeof a->text, "learning rates times %g from step %" PRId64, c->factor,
                 step);
        break;
    case COMMAND_WATCH:
    case COMMAND_STATUS:
    case COMMAND_UNTIL:
    case COMMAND_COUNT:
        break;
    }
    const char *from = c->command == COMMAND_MODE ? mode_name(r->mode) : "";
    report_event(&r->report, step, command_table[c->command].name, by, from, to,
                 c->command == COMMAND_MODE || c->command == COMMAND_LR, "%s", o->text);
    if (c->command == COMMAND_MODE)
        r->mode = c->mode;
}

static void answered(struct recorder *r, const struct link_message *m, const char *text)
{
    struct order *o = r->order;
    struct answer a;
    while (o < r->order + ORDERS && o->id != m->id)
        o++;
    if (m->id == 0 || o == r->order + ORDERS)
        return;
    answer_init(&a, o->request.call.id);
    if (m->ok) {
        carried_out(r, o, m->step >= 0 ? m->step : r->step + 1, &a);
        if (*text)
            snprintf(a.text, sizeof a.text, "%.250s", text);
    } else {
        snprintf(a.text, sizeof a.text, "%.250s", *text ? text : "the training refused it");
        if (o->by_guard)
            report_event(&r->report, r->step + 1, "guard", "guard", "", "", 1, "%s: %s", o->text,
                         a.text);
    }
    status(r);
    if (!o->by_guard)
        publisher_answer(r->report.publisher, &o->request, &a);
    o->id = 0;
}

static const enum command guard_command[GUARD_ACTION_COUNT] = {[GUARD_MODE] = COMMAND_MODE,
                                                               [GUARD_PAUSE] = COMMAND_PAUSE,
                                                               [GUARD_STOP] = COMMAND_STOP,
                                                               [GUARD_LR] = COMMAND_LR};

static void watch_over(struct recorder *r, const struct step_result *s)
{
    int fired[GUARD_MAX];
    for (int i = 0; i < METRIC_COUNT; i++)
        if (s->has_spectrum || metric_is_given(i, METRIC_NEEDS_SCORES))
            r->last_metric[i] = s->metric[i];
    int n = guard_step(&r->guard, r->last_metric, fired);
    for (int i = 0; i < n; i++) {
        const struct guard_rule *rule = &r->guard.rule[fired[i]];
        struct error why = {{0}};
        struct request q = {.call = {.command = guard_command[rule->action],
                                     .by = "guard",
                                     .mode = rule->mode,
                                     .factor = rule->factor}};
        if (order(r, &q, rule->text, &why) < 0)
            report_event(&r->report, r->step + 1, "guard", "guard", "", "", 1, "%s: %s", rule->text,
                         why.text);
    }
}

// ---------------------------------------------------------------- the run

static const char *config_text(json_t *o, const char *key, const char *other)
{
    const char *v = json_string_value(json_object_get(o, key));
    if (!v && other)
        v = json_string_value(json_object_get(o, other));
    return v ? v : "";
}

// What the client says of itself; text of another process.
static int understand(struct recorder *r, const char *text, size_t n, struct error *e)
{
    const char *at = text, *config = "{}";
    for (int i = 0; i < LINK_WORDS; i++) {
        const char *end = memchr(at, '\0', n - (size_t)(at - text));
        if (!end)
            return error_set(e, "the client's greeting is cut off");
        if (i == LINK_CONFIG)
            config = at;
        else if ((size_t)(end - at) >= sizeof r->word[i])
            return error_set(e, "the client's greeting has a word that is too long");
        else
            text_clean(r->word[i], sizeof r->word[i], at);
        at = end + 1;
    }
    json_error_t why;
    json_t *o = json_loads(config, 0, &why);
    if (!json_is_object(o)) {
        json_decref(o);
        return error_set(e, "the configuration is no JSON object: %.200s", why.text);
    }
    text_clean(r->data, sizeof r->data, config_text(o, "data", "dataset"));
    text_clean(r->arch, sizeof r->arch, config_text(o, "arch", "model"));
    text_clean(r->method, sizeof r->method, config_text(o, "method", NULL));
    r->width = (int)strtol(config_text(o, "width", NULL), NULL, 10);
    r->config = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(o);
    if (!r->config)
        return error_set(e, "out of memory for the configuration");
    if (strchr(r->word[LINK_RUN], '/') || r->word[LINK_RUN][0] == '.')
        return error_set(e, "'%.100s' can't be the name of a run", r->word[LINK_RUN]);
    return guard_parse(&r->guard, r->word[LINK_GUARD], e);
}

static void describe(const struct recorder *r, struct record *out)
{
    char now[CLOCK_TEXT];
    record_init(out, RECORD_RUN, -1);
    struct record_run *v = &out->u.run;
    v->version = 1;
    snprintf(v->name, sizeof v->name, "%.127s", r->dir.name);
    clock_utc(now);
    snprintf(v->created, sizeof v->created, "%s", now);
    v->config = r->config; // borrowed
    snprintf(v->dataset.name, sizeof v->dataset.name, "%s", r->data);
    v->dataset.n = r->hello.n;
    snprintf(v->model.arch, sizeof v->model.arch, "%s", r->arch);
    v->model.width = r->width;
    v->model.d = r->intake.d;
    snprintf(v->device.name, sizeof v->device.name, "%.127s", r->word[LINK_WRITER]);
    v->steps = r->hello.steps;
}

// Log and folder, once there is a first step that says how large features are.
static int begin(struct recorder *r, int64_t step, int batch, struct error *e)
{
    struct record first;
    r->report.begin = step;
    r->report.end = r->report.steps = r->hello.steps;
    r->report.batch =
        r->hello.batch > 0 && r->hello.batch < INT32_MAX ? (int)r->hello.batch : batch;
    r->report.begun = clock_seconds();
    report_speed(&r->report, step, r->report.begun);
    live_forecast_init(&r->report.forecast, r->width, r->intake.d ? r->intake.d : 1,
                       2 * (int64_t)(batch ? batch : 1));
    struct error passed_over = {{0}};
    char path[4096];
    const char *calibration = r->word[LINK_CALIBRATION];
    int rc = live_forecast_calibrate(&r->report.forecast, *calibration ? calibration : "auto",
                                     r->data, r->arch, r->method, path, sizeof path, &passed_over);
    describe(r, &first);
    if (publisher_sync(r->report.publisher, &first, e) < 0 || rundir_publish(&r->dir, e) < 0 ||
        publisher_settle(r->report.publisher, r->dir.path, e) < 0)
        return -1;
    r->report.dir = r->dir.path;
    r->begun = 1;
    if (rc < 0 || *passed_over.text)
        report_warning(&r->report, step, "calibration passed over: %s", passed_over.text);
    return 0;
}

static int take_step(struct recorder *r, const struct link_slot *head,
                     const struct intake_rows rows[LINK_PLACES][LINK_VIEWS], struct error *e)
{
    struct step_result s = {.n = NAN, .lr = head->lr, .lr_pred = head->lr_pred, .chunk = -1};
    struct error why = {{0}};
    for (int i = 0; i < METRIC_COUNT; i++)
        s.metric[i] = NAN;
    for (int i = 0; i < PHASE_COUNT; i++)
        s.ms[i] = NAN;
    s.metric[METRIC_LOSS] = head->loss;
    s.mode = head->mode >= 0 && head->mode < MODE_COUNT ? (enum mode)head->mode : MODE_NONE;
    s.chunk = s.mode == MODE_NONE || head->chunk < 0 ? -1 : head->chunk;
    // A recorder that is behind has no time for eigenvalues.
    int rc = intake_step(&r->intake, rows, slots_waiting(&r->slots) < LINK_SLOTS / 2, &s, &why);
    const struct intake_rows *h = rows[INTAKE_H];
    if (!r->begun && begin(r, head->step, h[0].at ? (int)h[0].n : h[1].at ? (int)h[1].n : 0, e) < 0)
        return -1;
    if (rc < 0 && !r->told_features++)
        report_warning(&r->report, head->step, "no spectrum: %s", why.text);
    if (head->step <= r->step && !r->told_order++)
        report_warning(&r->report, head->step, "step %" PRId64 " came after step %" PRId64,
                       head->step, r->step);
    r->step = head->step;
    r->mode = s.mode;
    r->dropped = head->dropped;
    report_step(&r->report, head->step, &s);
    watch_over(r, &s);
    status(r);
    return 0;
}

// All steps that are there.
static int take_steps(struct recorder *r, struct error *e)
{
    struct link_slot head;
    struct intake_rows rows[LINK_PLACES][LINK_VIEWS];
    struct error why;
    int slot, got;
    while ((got = slots_take(&r->slots, &head, rows, &slot, &why)) != 0) {
        if (got < 0) {
            if (r->begun)
                report_warning(&r->report, r->step + 1, "%s", why.text);
            continue;
        }
        int rc = take_step(r, &head, (const struct intake_rows(*)[LINK_VIEWS])rows, e);
        slots_release(&r->slots, slot);
        if (rc < 0)
            return -1;
    }
    return 0;
}

// ---------------------------------------------------------------- from the client

static void gone(struct recorder *r)
{
    r->over = 1;
    snprintf(r->reason, sizeof r->reason, "failed");
    snprintf(r->why, sizeof r->why, "the trainer is gone");
}

static void ended(struct recorder *r, const struct link_message *m, const char *text)
{
    static const char *const reason[] = {
        [LINK_FINISHED] = "finished", [LINK_STOPPED] = "stopped", [LINK_FAILED] = "failed"};
    r->over = 1;
    snprintf(r->reason, sizeof r->reason, "%s",
             m->what <= LINK_FAILED ? reason[m->what] : "failed");
    snprintf(r->why, sizeof r->why, "%s", text);
}

// 1: a message with its text (NUL behind); 0: none; -1: the other end is closed.
static int hear(struct recorder *r, struct link_message *m, char *text, size_t size, size_t *length,
                int *memory)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part[2] = {{m, sizeof *m}, {text, size - 1}};
    struct msghdr h = {.msg_iov = part,
                       .msg_iovlen = 2,
                       .msg_control = &control,
                       .msg_controllen = sizeof control.room};
    ssize_t n;
    *memory = -1;
    do
        n = recvmsg(r->fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    for (struct cmsghdr *x = n >= 0 ? CMSG_FIRSTHDR(&h) : NULL; x; x = CMSG_NXTHDR(&h, x))
        if (x->cmsg_level == SOL_SOCKET && x->cmsg_type == SCM_RIGHTS)
            memcpy(memory, CMSG_DATA(x), sizeof *memory);
    if (n < 0)
        return errno == EAGAIN ? 0 : -1;
    if (n == 0)
        return -1;
    *length = n > (ssize_t)sizeof *m ? (size_t)n - sizeof *m : 0;
    text[*length] = '\0';
    if (n < (ssize_t)sizeof *m || m->magic != LINK_MAGIC)
        m->kind = 0;
    return 1;
}

static int obey(struct recorder *r, const struct link_message *m, char *text, int memory,
                struct error *e)
{
    text_clean(text, strlen(text) + 1, text);
    if (m->kind == LINK_RING) {
        if (take_steps(r, e) < 0) // those in the ring before
            return -1;
        return memory < 0 ? error_set(e, "a ring without its memory")
                          : slots_open(&r->slots, memory, e);
    }
    if (m->kind == LINK_STEP)
        return take_steps(r, e);
    if (m->kind == LINK_SCALAR && m->id < LINK_SCALARS)
        snprintf(r->scalar[m->id], sizeof r->scalar[0], "%s", text);
    else if (m->kind == LINK_ANSWER)
        answered(r, m, text);
    else if (m->kind == LINK_EVENT && r->begun)
        report_warning(&r->report, r->step + 1, "%s", text);
    else if (m->kind == LINK_END)
        ended(r, m, text);
    return 0;
}

static int listen_to(struct recorder *r, struct error *e)
{
    struct link_message m;
    char text[1024];
    size_t length;
    int memory, got;
    while (!r->over && (got = hear(r, &m, text, sizeof text, &length, &memory)) != 0) {
        int rc = 0;
        if (got < 0)
            gone(r);
        else
            rc = obey(r, &m, text, memory, e);
        if (memory >= 0)
            close(memory);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int serve(struct recorder *r, struct error *e)
{
    int asks = publisher_fd(r->report.publisher, e);
    if (asks < 0)
        return -1;
    while (!r->over) {
        struct pollfd set[3] = {{r->fd, POLLIN, 0}, {asks, POLLIN, 0}, {r->pidfd, POLLIN, 0}};
        if (poll(set, r->pidfd >= 0 ? 3 : 2, r->pidfd >= 0 ? -1 : 1000) < 0 && errno != EINTR)
            return error_set(e, "poll: %s", strerror(errno));
        struct request q;
        while (!r->over && publisher_next(r->report.publisher, &q, 0))
            asked(r, &q);
        if (listen_to(r, e) < 0)
            return -1;
        if (!r->over && (r->pidfd >= 0 ? (set[2].revents & POLLIN) != 0 : getppid() != r->client))
            gone(r);
    }
    return take_steps(r, e);
}

// ---------------------------------------------------------------- the whole

static int greet(struct recorder *r, const char *runs, struct error *e)
{
    enum { START_MS = 10000 };
    char *text = malloc(LINK_TEXT + 1);
    size_t length = 0;
    int memory = -1, rc = -1;
    struct pollfd p = {r->fd, POLLIN, 0};
    if (!text)
        return error_set(e, "out of memory");
    if (poll(&p, 1, START_MS) <= 0 ||
        hear(r, &r->hello, text, LINK_TEXT + 1, &length, &memory) <= 0 ||
        r->hello.kind != LINK_HELLO)
        error_set(e, "descriptor %d is no client's: ssltop record is started by one, not by hand",
                  r->fd);
    else if (r->hello.version != LINK_VERSION)
        error_set(e,
                  "the client speaks version %u, this ssltop (%s) version %d: install both of one "
                  "release",
                  r->hello.version, SSLTOP_VERSION, LINK_VERSION);
    else
        rc = understand(r, text, length, e);
    if (memory >= 0)
        close(memory);
    free(text);
    if (rc < 0)
        return -1;
    if (!*r->word[LINK_RUNS])
        snprintf(r->word[LINK_RUNS], sizeof r->word[LINK_RUNS], "%s", runs);
    return rundir_create(&r->dir, r->word[LINK_RUNS], r->word[LINK_RUN], *r->data ? r->data : "run",
                         NULL, e);
}

static int open_run(struct recorder *r, struct error *e)
{
    static const int ending[] = {SIGTERM, SIGINT, SIGHUP};
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (signals_take(&r->signals, ending, 3, 1u << 2, e) < 0)
        return -1;
    r->report.log_fd = r->dir.trainer_log_fd;
    r->report.dir = r->dir.path;
    struct publisher_options o = {
        .dir = r->dir.path, .signal_fd = r->signals.fd, .trainer_log_fd = r->dir.trainer_log_fd};
    if (publisher_open(&o, &r->report.publisher, e) < 0)
        return -1;
    struct link_message m = {0};
    char path[sizeof r->dir.runs + sizeof r->dir.name + 1];
    snprintf(path, sizeof path, "%s/%s", r->dir.runs, r->dir.name);
    if (say(r, LINK_READY, &m, path) < 0)
        return error_set(e, "the client does not listen: %s", strerror(errno));
    trainer_log(r->dir.trainer_log_fd, 0, "recording for process %d", (int)r->client);
    return 0;
}

static int finish(struct recorder *r, struct error *e)
{
    struct publisher *p = r->report.publisher;
    if (!p) {
        rundir_discard(&r->dir);
        return 0;
    }
    if (!r->begun) { // there was no step: nothing to keep
        publisher_discard(p);
        rundir_discard(&r->dir);
        return 0;
    }
    if (r->dropped)
        report_warning(&r->report, r->step + 1,
                       "%" PRId64 " steps came faster than they could be recorded", r->dropped);
    report_end(&r->report, r->step + 1, r->reason, r->why);
    return publisher_close(p, e);
}

int recorder_main(int fd, const char *runs, struct error *e)
{
    struct recorder *r = calloc(1, sizeof *r);
    if (!r)
        return error_set(e, "out of memory"), FAILED;
    r->fd = fd;
    r->client = getppid();
    r->step = -1;
    r->mode = MODE_NONE;
    r->dir.lock_fd = r->dir.trainer_log_fd = r->report.log_fd = -1;
    for (int i = 0; i < METRIC_COUNT; i++)
        r->last_metric[i] = NAN;
    r->pidfd = (int)syscall(SYS_pidfd_open, r->client, 0);
    setpriority(PRIO_PROCESS, 0, NICE); // the training comes first
    int rc = greet(r, runs, e);
    if (rc == 0)
        rc = open_run(r, e);
    if (rc < 0) {
        if (refuse(r, e) == 0)
            *e->text = '\0';
    } else if ((rc = serve(r, e)) < 0) {
        snprintf(r->reason, sizeof r->reason, "failed");
        snprintf(r->why, sizeof r->why, "%.250s", e->text);
    }
    struct error late = {{0}};
    if (finish(r, &late) < 0 && rc == 0)
        rc = error_set(e, "%s", late.text);
    slots_close(&r->slots);
    intake_free(&r->intake);
    live_forecast_free(&r->report.forecast);
    rundir_close(&r->dir);
    signals_release(&r->signals);
    if (r->pidfd >= 0)
        close(r->pidfd);
    close(fd);
    free(r->config);
    free(r);
    return rc < 0 ? FAILED : 0;
}
