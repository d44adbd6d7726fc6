// The client: what runs in somebody else's process. Needs libc alone, starts no thread, computes
// nothing, and asks nothing of the recorder that it would have to wait for.
#include "train/client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/text.h"

extern char **environ;

enum { START_MS = 20000, LEAVE_MS = 10000 };

static const char places[LINK_PLACES][2] = {"h", "z", "", ""};

// ---------------------------------------------------------------- start

static int start(const char *program, int theirs, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, usual;
    char *argv[] = {(char *)(uintptr_t)program, (char *)"record", NULL};
    int rc = posix_spawn_file_actions_init(&files);
    if (rc != 0)
        return rc;
    rc = posix_spawnattr_init(&attributes);
    if (rc != 0) {
        posix_spawn_file_actions_destroy(&files);
        return rc;
    }
    // A process group of its own: a Ctrl-C at the terminal is the training's; the recorder stays to
    // write down how it ended. The session stays the training's: the scheduler weighs sessions
    // against each other, so that in one of its own no niceness would make it the lesser of both.
    sigemptyset(&none);
    sigemptyset(&usual);
    static const int back[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD, SIGUSR1};
    for (size_t i = 0; i < sizeof back / sizeof *back; i++)
        sigaddset(&usual, back[i]);
    if (rc == 0)
        rc = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                       POSIX_SPAWN_SETSIGDEF);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(&attributes, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(&attributes, &usual);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&files, theirs, LINK_FD);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    if (rc == 0)
        rc = posix_spawnp(pid, program, &files, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

// Wait for the recorder to end, at most so long; then it is left to itself.
static void reap(pid_t pid, int wait_ms)
{
    int64_t until = clock_ms() + wait_ms;
    while (waitpid(pid, NULL, WNOHANG) == 0 && clock_ms() < until)
        clock_sleep(2e-3);
}

static int greet(ssltop_client *c, const ssltop_settings *s, char *why, size_t size)
{
    char text[32768];
    const char *word[LINK_WORDS] = {[LINK_WRITER] = "ssltop-client " SSLTOP_VERSION,
                                    [LINK_RUN] = s->name,
                                    [LINK_RUNS] = s->runs,
                                    [LINK_CONFIG] = s->config ? s->config : "{}",
                                    [LINK_CALIBRATION] = s->calibration,
                                    [LINK_GUARD] = s->guard,
                                    [LINK_SCHEDULE] = s->schedule};
    size_t n = 0;
    for (int i = 0; i < LINK_WORDS; i++) {
        size_t bytes = strlen(word[i] ? word[i] : "") + 1;
        if (bytes > sizeof text - n)
            return snprintf(why, size, "the configuration is longer than %zu bytes", sizeof text),
                   -1;
        memcpy(text + n, word[i] ? word[i] : "", bytes);
        n += bytes;
    }
    struct link_message m = client_message(LINK_HELLO);
    m.what = s->can;
    m.ok = s->whole != 0;
    m.steps = s->steps > 0 ? s->steps : -1;
    m.n = s->images;
    m.batch = s->batch;
    m.seed = s->seed;
    m.chunks = s->chunks;
    client_say(c, &m, text, n, -1); // who does not listen does not answer
    struct pollfd p = {c->fd, POLLIN, 0};
    int64_t until = clock_ms() + START_MS;
    int rc = 0;
    do
        rc = c->fd < 0 ? 1 : poll(&p, 1, clock_left(until));
    while (rc < 0 && errno == EINTR);
    if (rc == 0)
        return snprintf(why, size, "the recorder did not answer within %d s", START_MS / 1000), -1;
    struct iovec part[2] = {{&m, sizeof m}, {text, sizeof text - 1}};
    struct msghdr h = {.msg_iov = part, .msg_iovlen = 2};
    ssize_t got = recvmsg(c->fd, &h, MSG_DONTWAIT);
    if (got < (ssize_t)sizeof m || m.magic != LINK_MAGIC)
        return snprintf(why, size,
                        "%s ended at once: is it a ssltop that knows the command record?",
                        s->program),
               -1;
    text[(size_t)got - sizeof m] = '\0';
    if (m.kind != LINK_READY || m.version != LINK_VERSION)
        return snprintf(why, size, "%s",
                        m.kind == LINK_REFUSED ? text : "the recorder is of another version"),
               -1;
    // A training that goes into another folder still finds it.
    if (text[0] == '/' || !getcwd(c->run, sizeof c->run))
        c->run[0] = '\0';
    else
        memcpy(c->run + strlen(c->run), "/", 2);
    text_add(c->run, sizeof c->run, "%s", text[0] == '.' && text[1] == '/' ? text + 2 : text);
    return 0;
}

ssltop_client *ssltop_open(const ssltop_settings *given, char *why, size_t size)
{
    ssltop_settings s = *given;
    const char *named = getenv("SSLTOP");
    int pair[2];
    if (!s.program)
        s.program = named && *named ? named : "ssltop";
    ssltop_client *c = calloc(1, sizeof *c);
    if (!c)
        return snprintf(why, size, "out of memory"), NULL;
    c->owner = getpid();
    c->step = c->pause_at = -1;
    c->mode = c->chunk = -1;
    c->whole = s.whole;
    for (; c->places < 2; c->places++)
        memcpy(c->place[c->places].name, places[c->places], sizeof places[0]);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        snprintf(why, size, "no sockets: %s", strerror(errno));
        free(c);
        return NULL;
    }
    c->fd = pair[0];
    // Descriptor 3 of the recorder must not be the one that is copied there.
    int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, LINK_FD + 1);
    close(pair[1]);
    int rc = theirs < 0 ? errno : start(s.program, theirs, &c->recorder);
    if (theirs >= 0)
        close(theirs);
    if (rc != 0)
        snprintf(why, size, "%s cannot be started: %s", s.program, strerror(rc));
    if (rc == 0 && greet(c, &s, why, size) < 0) {
        close(c->fd);
        reap(c->recorder, LEAVE_MS);
        rc = -1;
    } else if (rc != 0) {
        close(c->fd);
    }
    if (rc == 0)
        return c;
    free(c);
    return NULL;
}

const char *ssltop_version(void)
{
    return SSLTOP_VERSION;
}

size_t ssltop_size(const char *type)
{
    static const struct {
        const char *name;
        size_t bytes;
    } known[] = {{"ssltop_settings", sizeof(ssltop_settings)},
                 {"ssltop_order", sizeof(ssltop_order)},
                 {"ssltop_split", sizeof(ssltop_split)}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, type) == 0)
            return known[i].bytes;
    return 0;
}

const char *ssltop_run(const ssltop_client *c)
{
    return c ? c->run : "";
}

// ---------------------------------------------------------------- a step

int ssltop_features(ssltop_client *c, const char *place, int view, const void *rows, int64_t n,
                    int64_t d, int64_t stride, ssltop_type type)
{
    if (!client_mine(c))
        return 0;
    if (view < 0 || view >= LINK_VIEWS || !rows || n < 1 || n > LINK_ROWS || d < 1 || d > LINK_D ||
        stride < d || (unsigned)type >= LINK_TYPES || !*place || strlen(place) >= LINK_NAME)
        return -1;
    int i = 0;
    while (i < c->places && strcmp(c->place[i].name, place) != 0)
        i++;
    if (i == LINK_PLACES)
        return -1;
    struct place *p = &c->place[i];
    if (i == c->places) {
        snprintf(p->name, sizeof p->name, "%s", place);
        c->places++;
    }
    p->rows[view] = rows;
    p->count[view] = n;
    p->d[view] = d;
    p->stride[view] = stride;
    p->type[view] = type;
    c->copied = client_take(c, i, view);
    return 0;
}

int ssltop_copied(const ssltop_client *c)
{
    return client_mine(c) && c->copied;
}

int ssltop_scalar(ssltop_client *c, const char *name, double value)
{
    if (!client_mine(c))
        return 0;
    if (!*name || strlen(name) >= LINK_NAME)
        return -1;
    uint32_t i = 0;
    while (i < c->named && strcmp(c->name[i], name) != 0)
        i++;
    if (i == LINK_SCALARS)
        return -1;
    if (i == c->named) {
        snprintf(c->name[i], sizeof c->name[i], "%s", name);
        c->named++;
    }
    for (uint32_t k = 0; k < c->n_given; k++)
        if (c->given[k] == i) {
            c->value[k] = value;
            return 0;
        }
    c->given[c->n_given] = i;
    c->value[c->n_given++] = value;
    return 0;
}

void ssltop_mode_is(ssltop_client *c, int mode, int chunk)
{
    if (!client_mine(c))
        return;
    c->mode = mode;
    c->chunk = chunk;
}

void ssltop_made(ssltop_client *c, int64_t step)
{
    if (client_mine(c) && step > c->step)
        c->step = step;
}

// Until it is done with all steps, or gone.
static void wait_for_recorder(ssltop_client *c)
{
    struct pollfd gone = {c->fd, 0, 0};
    while (ssltop_pending(c) > 0 && ppoll(&gone, 1, &(struct timespec){0, 100000}, NULL) <= 0) {
    }
}

void ssltop_end_step(ssltop_client *c, int64_t step, double loss, double lr)
{
    if (!client_mine(c))
        return;
    ssltop_made(c, step);
    if (c->fd >= 0 && client_hand_over(c, step, loss, lr) < 0)
        c->dropped++;
    else if (c->whole)
        wait_for_recorder(c);
    for (int i = 0; i < c->places; i++)
        memset(c->place[i].rows, 0, sizeof c->place[i].rows);
    c->n_given = 0;
}

// ---------------------------------------------------------------- orders

static void answer(ssltop_client *c, uint64_t id, int ok, int64_t step, const char *text)
{
    struct link_message m = client_message(LINK_ANSWER);
    m.id = id;
    m.ok = ok != 0;
    m.step = step;
    size_t n = strlen(text);
    client_say(c, &m, text, n < 240 ? n : 240, -1);
}

// What needs no help of the training. 1: done.
static int obey(ssltop_client *c, const struct link_message *m)
{
    int64_t next = c->step + 1;
    int paused = c->pause_at >= 0 && c->pause_at <= next;
    switch (m->what) {
    case SSLTOP_PAUSE:
        if (!paused)
            c->pause_at = next;
        answer(c, m->id, !paused, next, paused ? "it is paused already" : "");
        return 1;
    case SSLTOP_RESUME:
        answer(c, m->id, paused, next, paused ? "" : "it is not paused");
        c->pause_at = -1;
        return 1;
    case SSLTOP_STEP:
        answer(c, m->id, paused, next, paused ? "" : "it is not paused: pause first");
        c->pause_at = paused ? next + 1 : c->pause_at;
        return 1;
    case SSLTOP_STOP:
        c->stopped = 1;
        c->pause_at = -1;
        answer(c, m->id, 1, next, "");
        return 1;
    default:
        return 0;
    }
}

int ssltop_next(ssltop_client *c, ssltop_order *out)
{
    return ssltop_next_within(c, out, -1);
}

int ssltop_next_within(ssltop_client *c, ssltop_order *out, int ms)
{
    struct link_message m;
    char text[512];
    if (!client_mine(c))
        return 0;
    for (;;) {
        int got = client_hear(c, &m, text, sizeof text);
        if (got < 0 || c->stopped)
            return 0;
        if (got > 0 && m.kind == LINK_ORDER && !obey(c, &m)) {
            *out = (ssltop_order){m.id, (int)m.what, m.mode, m.chunks, m.factor, "", m.step};
            memcpy(out->by, m.by, sizeof out->by - 1);
            return 1;
        }
        if (got > 0)
            continue;
        if (c->pause_at < 0 || c->pause_at > c->step + 1)
            return 0;
        struct pollfd p = {c->fd, POLLIN, 0};
        int rc = poll(&p, 1, ms);
        if (rc == 0 || (rc < 0 && errno == EINTR))
            return -1;
    }
}

void ssltop_answer(ssltop_client *c, const ssltop_order *o, int ok, int64_t step, const char *text)
{
    if (client_mine(c))
        answer(c, o->id, ok, step, text);
}

int ssltop_stopped(const ssltop_client *c)
{
    return client_mine(c) && c->stopped;
}

int64_t ssltop_dropped(const ssltop_client *c)
{
    return client_mine(c) ? c->dropped : 0;
}

int64_t ssltop_pending(const ssltop_client *c)
{
    int64_t n = 0;
    for (int i = 0; client_mine(c) && c->fd >= 0 && c->ring && i < LINK_SLOTS; i++)
        n += &c->ring->slot[i] != c->open &&
             atomic_load((_Atomic uint32_t *)&c->ring->slot[i].state) != LINK_FREE;
    return n;
}

int ssltop_alive(const ssltop_client *c)
{
    return client_mine(c) && c->fd >= 0;
}

void ssltop_warn(ssltop_client *c, const char *text)
{
    if (!client_mine(c))
        return;
    struct link_message m = client_message(LINK_EVENT);
    m.step = c->step + 1;
    size_t n = strlen(text);
    client_say(c, &m, text, n < 240 ? n : 240, -1);
}

void ssltop_close(ssltop_client *c, ssltop_reason reason, const char *text)
{
    if (!c)
        return;
    if (client_mine(c)) {
        struct link_message m = client_message(LINK_END);
        m.what = (uint32_t)reason;
        m.step = c->step + 1;
        size_t n = strlen(text ? text : "");
        int64_t until = clock_ms() + LEAVE_MS;
        // Its queue may be full of steps for a moment.
        while (client_say(c, &m, text ? text : "", n < 240 ? n : 240, -1) == 1 &&
               clock_ms() < until)
            clock_sleep(2e-3);
        if (c->fd >= 0)
            shutdown(c->fd, SHUT_WR);
        reap(c->recorder, LEAVE_MS);
    }
    if (c->fd >= 0)
        close(c->fd);
    client_drop_ring(c);
    free(c);
}
