// Many kills: a training that is steered all the while over its socket is ended at random moments,
// mostly by kill -9, and goes on with --resume until it is through. Then it is repeated without a
// break (--rerun, which follows the orders in its log), and both must be the same to the last bit.
// What was answered is in the log, and so is what a watcher saw, but for the last second.
// `make kills N=1000`; KILLS_SEED=7 draws others.
#include <criterion/criterion.h>

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/rng.h"
#include "tests/kit/runs.h"
#include "train/store/checkpoint.h"

enum { LIVES = 8, STEPS_MOST = 600, ANSWERS = 4096, LINE_MOST = 1 << 16 };

// The writer's second, and the time that a busy machine may take to come to it.
#define LOST_MOST 3.0

struct order {
    int64_t id;
    enum command command;
    double answered; // when; 0: not yet
    int ok;
    int64_t step;
};

// One life of a training, as who steers it sees it.
struct life {
    int fd; // -1: it can't be reached
    char line[LINE_MOST];
    size_t used;
    double seen[STEPS_MOST]; // when the record of a step came; 0: it did not
};

struct tally {
    int kills, by[NSIG], orders, answered, rounds;
    double lost; // the oldest record that was lost, in seconds before the kill
};

struct round {
    struct lab lab;
    struct rng rng;
    struct order order[ANSWERS];
    int orders;
    struct life life;
    int steps;
};

// ---------------------------------------------------------------- orders

static void draw_order(struct round *r, char *text, size_t size)
{
    static const char *const mode[] = {"multi-epoch", "continual", "cumulative"};
    static const char *const plain[] = {"pause", "resume",     "step",  "eval",
                                        "eval",  "checkpoint", "resume"};
    int what = (int)rng_below(&r->rng, 12);
    const char *m = mode[rng_below(&r->rng, 3)];
    if (what < 7)
        snprintf(text, size, "%s", plain[what]);
    else if (what < 9)
        snprintf(text, size, "mode %s", m);
    else if (what < 11)
        snprintf(text, size, "lr %.3fx", 0.8 + 0.4 * rng_uniform(&r->rng));
    else
        snprintf(text, size, "until %d then %s", (int)rng_below(&r->rng, (uint64_t)r->steps), m);
}

static void give_order(struct round *r)
{
    char text[64];
    struct command_call c;
    struct error e = {""};
    if (r->life.fd < 0 || r->orders == ANSWERS)
        return;
    draw_order(r, text, sizeof text);
    cr_assert(command_parse_text(text, &c, &e) == 0, "%s: %s", text, e.text);
    c.id = r->orders + 1;
    char *line = command_to_json(&c);
    cr_assert(line != NULL);
    r->order[r->orders++] = (struct order){.id = c.id, .command = c.command};
    if (dprintf(r->life.fd, "%s\n", line) < 0)
        r->life.fd = -1; // it has just ended
    free(line);
}

static void take_line(struct round *r, const char *line, size_t n)
{
    struct answer a;
    int rc = answer_parse(line, n, &a, NULL);
    cr_assert(rc >= 0, "%.*s", (int)n, line);
    if (rc == 1 && a.id > 0 && a.id <= r->orders) {
        struct order *o = &r->order[a.id - 1];
        cr_assert(o->answered == 0, "answered twice: %.*s", (int)n, line);
        o->answered = clock_seconds();
        o->ok = a.ok;
        o->step = a.step;
        return;
    }
    json_t *record = json_loadb(line, n, 0, NULL);
    cr_assert(record != NULL, "%.*s", (int)n, line);
    const char *type = json_string_value(json_object_get(record, "type"));
    int64_t step = json_integer_value(json_object_get(record, "step"));
    if (type && strcmp(type, "step") == 0 && step >= 0 && step < STEPS_MOST)
        r->life.seen[step] = clock_seconds();
    json_decref(record);
}

static void listen_to(struct round *r, int ms)
{
    struct life *l = &r->life;
    struct pollfd p = {.fd = l->fd, .events = POLLIN};
    if (poll(&p, 1, ms) <= 0 || !p.revents)
        return;
    ssize_t n = read(l->fd, l->line + l->used, sizeof l->line - l->used);
    if (n <= 0) {
        close(l->fd);
        l->fd = -1;
        return;
    }
    l->used += (size_t)n;
    char *line = l->line, *end;
    while ((end = memchr(line, '\n', l->used - (size_t)(line - l->line)))) {
        take_line(r, line, (size_t)(end - line));
        line = end + 1;
    }
    l->used -= (size_t)(line - l->line);
    memmove(l->line, line, l->used);
    cr_assert(l->used < sizeof l->line, "a line without an end");
}

// ---------------------------------------------------------------- a life and its end

static void watch(struct round *r, const char *name, double until)
{
    char path[128];
    memset(&r->life, 0, sizeof r->life);
    snprintf(path, sizeof path, "%s/%s", r->lab.dir, name);
    r->life.fd = -1;
    while (r->life.fd < 0 && clock_seconds() < until) {
        r->life.fd = control_connect(path, 0, NULL);
        if (r->life.fd < 0)
            poll(NULL, 0, 2);
    }
    if (r->life.fd >= 0 && dprintf(r->life.fd, "{\"cmd\":\"watch\"}\n") < 0)
        r->life.fd = -1;
}

// Steer it until the moment has come, or it is gone.
static void steer(struct round *r, const char *name, double until)
{
    watch(r, name, until);
    double next = clock_seconds();
    while (clock_seconds() < until && r->life.fd >= 0) {
        if (clock_seconds() >= next) {
            give_order(r);
            next = clock_seconds() + 0.06 * rng_uniform(&r->rng);
        }
        listen_to(r, 2);
    }
}

static void check_checkpoints(const struct round *r, const char *name)
{
    char path[256], file[512];
    snprintf(path, sizeof path, "%s/%s", r->lab.dir, name);
    DIR *d = opendir(path);
    cr_assert(d != NULL);
    for (struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        struct checkpoint c;
        struct error e = {""};
        if (checkpoint_step(entry->d_name) < 0)
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        cr_assert(checkpoint_read(file, &c, &e) == 0, "%s", e.text);
        cr_assert(c.step == checkpoint_step(entry->d_name));
        checkpoint_free(&c);
    }
    closedir(d);
}

// Events of this kind, at this step or (-1) anywhere.
static int count_events(json_t *events, const char *what, int64_t step)
{
    json_t *o;
    size_t i;
    int n = 0;
    json_array_foreach(events, i, o)
    {
        n += strcmp(json_string_value(json_object_get(o, "what")), what) == 0 &&
             (step < 0 || json_integer_value(json_object_get(o, "step")) == step);
    }
    return n;
}

// What was answered is on disk before the answer: a switch, a rate, a plan.
static void check_orders(struct round *r, const char *name)
{
    json_t *events = lab_events(&r->lab, name);
    int untils = 0;
    for (int i = 0; i < r->orders; i++) {
        const struct order *o = &r->order[i];
        const char *what = o->command == COMMAND_MODE ? "mode"
                           : o->command == COMMAND_LR ? "lr"
                                                      : NULL;
        if (!o->answered || !o->ok)
            continue;
        untils += o->command == COMMAND_UNTIL; // its event is at the step that heard of it
        cr_assert(!what || count_events(events, what, o->step) > 0,
                  "order %d, %s from %ld, is lost", i, what, (long)o->step);
    }
    int found = count_events(events, "until", -1);
    cr_assert(found >= untils, "%d orders for later are answered, %d in the log", untils, found);
    json_decref(events);
}

// What a watcher saw is in the log, but for the last moment before kill -9.
static void check_steps(struct round *r, const char *name, int sig, double killed, struct tally *t)
{
    json_t *log = lab_log(&r->lab, name);
    for (int i = 0; i < STEPS_MOST; i++) {
        char key[32];
        snprintf(key, sizeof key, "step/%d", i);
        if (r->life.seen[i] == 0 || json_object_get(log, key))
            continue;
        double age = killed - r->life.seen[i];
        cr_assert(sig == SIGKILL, "signal %d lost step %d", sig, i);
        cr_assert(age <= LOST_MOST, "step %d, %.2f s before the kill, is lost", i, age);
        t->lost = age > t->lost ? age : t->lost;
    }
    json_decref(log);
}

static int draw_signal(struct rng *r)
{
    static const int sig[] = {SIGKILL, SIGKILL, SIGKILL, SIGKILL, SIGTERM, SIGINT};
    return sig[rng_below(r, sizeof sig / sizeof *sig)];
}

// Killed after its end record it has nothing left to do, and says so.
static int is_over(const struct round *r, int code)
{
    char *said = lab_text(r->lab.out);
    int over = code == 0 || (code == 2 && strstr(said, "is finished"));
    free(said);
    return over;
}

// 1: it is through.
static int end_life(struct round *r, const char *name, pid_t pid, struct tally *t)
{
    int sig = draw_signal(&r->rng);
    double killed = clock_seconds();
    kill(pid, sig);
    int code = lab_wait(pid);
    int over = is_over(r, code);
    char *said = lab_text(r->lab.out);
    // Before it takes signals one ends it as any program; behind that it says which it was.
    cr_assert(over || code == 1000 + sig || (sig != SIGKILL && code == 128 + sig),
              "%d after %s: %s", code, sigabbrev_np(sig), said);
    free(said);
    if (r->life.fd >= 0) {
        while (r->life.fd >= 0)
            listen_to(r, 1000);
    }
    t->kills++;
    t->by[sig]++;
    check_checkpoints(r, name);
    check_orders(r, name);
    check_steps(r, name, over ? SIGTERM : sig, killed, t);
    return over;
}

// ---------------------------------------------------------------- the comparison

// An evaluation that was asked for in an earlier life of the run, or was not there yet when it was
// killed, is none of its steps: the repetition makes it.
static int may_lack(const char *key)
{
    return strncmp(key, "eval/", 5) == 0 || strstr(key, "/exact") != NULL;
}

static void check_same(const struct round *r, const char *killed, const char *whole)
{
    json_t *x = lab_log(&r->lab, killed), *y = lab_log(&r->lab, whole), *value;
    const char *key;
    char last[32];
    json_object_foreach(x, key, value)
    {
        json_t *other = json_object_get(y, key);
        cr_assert(other != NULL, "the unbroken run has no %s", key);
        cr_assert(json_equal(value, other), "%s differs:\n%s\n%s", key,
                  json_dumps(value, JSON_COMPACT), json_dumps(other, JSON_COMPACT));
    }
    json_object_foreach(y, key, value)
        cr_assert(json_object_get(x, key) || may_lack(key), "%s is lost", key);
    snprintf(last, sizeof last, "step/%d", r->steps - 1);
    cr_assert(json_object_get(x, last), "there is no last step");
    json_decref(x);
    json_decref(y);
}

// ---------------------------------------------------------------- a round

static void draw_schedule(struct round *r, char *text, size_t size)
{
    static const char *const mode[] = {"multi-epoch", "continual", "cumulative"};
    const char *first = mode[rng_below(&r->rng, 3)], *second = mode[rng_below(&r->rng, 3)];
    snprintf(text, size, "%s@%d:%d,%s", first, 1 + (int)rng_below(&r->rng, 8),
             1 + (int)rng_below(&r->rng, (uint64_t)r->steps - 1), second);
}

static void go_round(struct round *r, uint64_t seed, int most, double *length, struct tally *t)
{
    char schedule[64], steps[16], every[16];
    memset(r, 0, sizeof *r);
    lab_open(&r->lab);
    rng_init(&r->rng, seed, RNG_TEST, 1, 0);
    r->steps = 60 + (int)rng_below(&r->rng, rng_below(&r->rng, 4) ? 120 : STEPS_MOST - 60);
    draw_schedule(r, schedule, sizeof schedule);
    snprintf(steps, sizeof steps, "%d", r->steps);
    snprintf(every, sizeof every, "%d", 3 + (int)rng_below(&r->rng, 40));
    pid_t pid =
        START(&r->lab, TINY, "--steps", steps, "--schedule", schedule, "--checkpoint-every", every,
              "--eval-every", "50", "--guard", "auc > 0.93 for 20 steps: lr 0.9x", "--name", "k");
    lab_ready(&r->lab, "k", pid);
    int lives = 1 + (int)rng_below(&r->rng, LIVES), over = 0;
    for (int i = 0; i < lives && i < most && !over; i++) {
        steer(r, "k", clock_seconds() + *length * r->steps * rng_uniform(&r->rng));
        over = end_life(r, "k", pid, t);
        pid = START(&r->lab, "--resume", "k");
    }
    int code = lab_wait(pid);
    char *said = lab_text(r->lab.out);
    cr_assert(is_over(r, code), "seed %lu: %d %s", (unsigned long)seed, code, said);
    free(said);
    double since = clock_seconds();
    code = RUN(&r->lab, "--rerun", "k", "--name", "whole");
    said = lab_text(r->lab.out);
    cr_assert(code == 0, "seed %lu: %d %s", (unsigned long)seed, code, said);
    free(said);
    *length = (clock_seconds() - since) / r->steps;
    check_same(r, "k", "whole");
    for (int i = 0; i < r->orders; i++)
        t->answered += r->order[i].answered > 0;
    t->orders += r->orders;
    t->rounds++;
    lab_close(&r->lab);
}

static long asked(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : otherwise;
}

Test(kills, steered_trainings_go_on_as_if_nothing_had_been, .timeout = 86400)
{
    static struct round r;
    struct tally t = {0};
    long want = asked("KILLS", 1000);
    uint64_t seed = (uint64_t)asked("KILLS_SEED", 1);
    double length = 0.005; // seconds a step, measured by each round for the next
    cr_assert(want > 0);
    signal(SIGPIPE, SIG_IGN); // orders to a trainer that has just ended
    for (; t.kills < want; seed++) {
        fprintf(stderr, "\rkills %d of %ld, runs %d, seed %lu ", t.kills, want, t.rounds,
                (unsigned long)seed);
        go_round(&r, seed, (int)(want - t.kills), &length, &t);
    }
    fprintf(stderr,
            "\r%d kills (%d by SIGKILL, %d by SIGTERM, %d by SIGINT) of %d runs, %d orders, %d of "
            "them answered; every run ended as its unbroken repetition; the oldest record lost was "
            "%.2f s old\n",
            t.kills, t.by[SIGKILL], t.by[SIGTERM], t.by[SIGINT], t.rounds, t.orders, t.answered,
            t.lost);
}
