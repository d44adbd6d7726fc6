// The live source against a trainer played by the test: every record once and in order, whatever
// happens to the connection.
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "metrics/log/runlog.h"
#include "tui/feed/source.h"

struct got {
    int n;
    int64_t step[512];
    double loss[512];
    int answers;
    struct answer answer;
};

static int on_record(void *to, const struct record *r, struct error *e)
{
    struct got *g = to;
    cr_assert_lt(g->n, 512);
    g->step[g->n] = r->step;
    g->loss[g->n++] = r->u.step.metric[METRIC_LOSS];
    return 0;
}

static void on_answer(void *to, const struct answer *a)
{
    struct got *g = to;
    g->answers++;
    g->answer = *a;
}

struct stage {
    char dir[64];
    struct runlog_writer *log;
    int listen_fd, fd;
    struct source *source;
    struct got got;
    struct sink sink;
};

static void open_stage(struct stage *s)
{
    char path[128];
    memset(s, 0, sizeof *s);
    strcpy(s->dir, "/tmp/ssltop-source-XXXXXX");
    cr_assert_not_null(mkdtemp(s->dir));
    snprintf(path, sizeof path, "%s/run.jsonl.zst", s->dir);
    cr_assert_eq(runlog_create(path, &s->log, NULL), 0);
    s->fd = s->listen_fd = -1;
    s->sink = (struct sink){&s->got, on_record, on_answer, NULL};
    cr_assert_eq(source_live_open(s->dir, &s->source, NULL), 0);
}

static void close_stage(struct stage *s)
{
    char path[128];
    s->source->klass->free(s->source);
    runlog_close(s->log, NULL);
    if (s->fd >= 0)
        close(s->fd);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    static const char *const files[] = {"run.jsonl.zst", "control", "socket"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", s->dir, files[i]);
        unlink(path);
    }
    cr_assert_eq(rmdir(s->dir), 0);
}

static void listen_now(struct stage *s)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char path[128];
    snprintf(a.sun_path, sizeof a.sun_path, "%s/socket", s->dir);
    snprintf(path, sizeof path, "%s/control", s->dir);
    s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(s->listen_fd, 0);
    cr_assert_eq(bind(s->listen_fd, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_eq(listen(s->listen_fd, 4), 0);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fprintf(f, "%s\n", a.sun_path);
    cr_assert_eq(fclose(f), 0);
}

static char *line_of(int64_t step, double loss)
{
    struct record r;
    char *line;
    size_t n;
    record_init(&r, RECORD_STEP, step);
    r.u.step.metric[METRIC_LOSS] = loss;
    cr_assert_eq(record_format(&r, &line, &n, NULL), 0);
    return line;
}

static void to_log(struct stage *s, int64_t step, double loss)
{
    char *line = line_of(step, loss);
    cr_assert_eq(runlog_write(s->log, line, strlen(line), NULL), 0);
    cr_assert_eq(runlog_flush(s->log, 0, NULL), 0);
    free(line);
}

static void to_socket(struct stage *s, const char *line)
{
    cr_assert_eq(send(s->fd, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
    cr_assert_eq(send(s->fd, "\n", 1, MSG_NOSIGNAL), 1);
}

static void record_to_socket(struct stage *s, int64_t step, double loss)
{
    char *line = line_of(step, loss);
    to_socket(s, line);
    free(line);
}

static void pump(struct stage *s)
{
    for (int i = 0; i < 50; i++) {
        struct pollfd p = {.fd = -1};
        int timeout = 0;
        int n = s->source->klass->poll(s->source, &p, &timeout);
        if (n)
            cr_assert_geq(poll(&p, 1, 0), 0);
        cr_assert_eq(s->source->klass->pump(s->source, n ? p.revents : 0, &s->sink, NULL), 0);
    }
}

// The next line that the viewer sent.
static void take_call(struct stage *s, struct command_call *call)
{
    char line[512];
    size_t n = 0;
    while (n < sizeof line && recv(s->fd, line + n, 1, MSG_DONTWAIT) == 1 && line[n] != '\n')
        n++;
    cr_assert_eq(command_parse_json(line, n, call, NULL), 0, "%.*s", (int)n, line);
}

// Take the connection and answer its `watch`.
static void serve(struct stage *s, int64_t lines)
{
    struct command_call call;
    struct answer a;
    s->fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    cr_assert_geq(s->fd, 0);
    take_call(s, &call);
    cr_assert_eq(call.command, COMMAND_WATCH);
    answer_init(&a, call.id);
    a.ok = 1;
    a.lines = lines;
    char *line = answer_to_json(&a);
    cr_assert_not_null(line);
    to_socket(s, line);
    free(line);
}

static void expect_steps(const struct stage *s, int n)
{
    cr_assert_eq(s->got.n, n, "%d records", s->got.n);
    for (int i = 0; i < n; i++)
        cr_assert_eq(s->got.step[i], i, "record %d is of step %d", i, (int)s->got.step[i]);
}

Test(source, a_log_without_a_trainer)
{
    struct stage s;
    open_stage(&s);
    for (int i = 0; i < 5; i++)
        to_log(&s, i, 0);
    cr_assert_eq(s.source->klass->state(s.source), SOURCE_READING);
    pump(&s);
    expect_steps(&s, 5);
    cr_assert_eq(s.source->klass->state(s.source), SOURCE_ALONE);
    struct command_call call = {.command = COMMAND_EVAL};
    struct error e;
    cr_assert_lt(s.source->klass->send(s.source, &call, &e), 0);
    cr_assert_not_null(strstr(e.text, "no trainer"));
    close_stage(&s);
}

// A trainer holds the run and its socket is gone: it does not count as dead.
Test(source, a_trainer_out_of_reach)
{
    struct stage s;
    char path[128];
    struct command_call call = {.command = COMMAND_EVAL};
    struct error e;
    open_stage(&s);
    snprintf(path, sizeof path, "%s/lock", s.dir);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(lock >= 0 && flock(lock, LOCK_EX) == 0);
    pump(&s);
    cr_assert_eq(s.source->klass->state(s.source), SOURCE_APART);
    cr_assert_lt(s.source->klass->send(s.source, &call, &e), 0);
    cr_assert_str_eq(e.text, "the trainer can't be reached");
    cr_assert_lt(control_connect(s.dir, 0, &e), 0);
    cr_assert_not_null(strstr(e.text, "just starting or ending"), "%s", e.text);
    snprintf(path, sizeof path, "%s/control", s.dir);
    FILE *f = fopen(path, "w");
    cr_assert(f && fprintf(f, "%s/socket\n", s.dir) > 0 && fclose(f) == 0);
    cr_assert_lt(control_connect(s.dir, 0, &e), 0);
    cr_assert(strstr(e.text, "lives but can't be reached") && strstr(e.text, "SIGUSR1"), "%s",
              e.text);
    close(lock);
    cr_assert_lt(control_connect(s.dir, 0, &e), 0);
    cr_assert_not_null(strstr(e.text, "no trainer is running"), "%s", e.text);
    snprintf(path, sizeof path, "%s/lock", s.dir);
    unlink(path);
    close_stage(&s);
}

// Lines written between the reading of the log and the answer to `watch` come once; so do those
// that come over the socket.
Test(source, log_then_socket)
{
    struct stage s;
    open_stage(&s);
    listen_now(&s);
    for (int i = 0; i < 10; i++)
        to_log(&s, i, 0);
    pump(&s);
    expect_steps(&s, 10);
    for (int i = 10; i < 13; i++)
        to_log(&s, i, 0);
    serve(&s, 13);
    for (int i = 13; i < 15; i++) {
        record_to_socket(&s, i, 0);
        to_log(&s, i, 0);
    }
    pump(&s);
    expect_steps(&s, 15);
    cr_assert_eq(s.source->klass->state(s.source), SOURCE_LIVE);
    cr_assert_eq(s.source->klass->pid(s.source), getpid());
    close_stage(&s);
}

// A viewer that was too slow loses the connection, and nothing else.
Test(source, a_lost_connection_loses_nothing)
{
    struct stage s;
    open_stage(&s);
    listen_now(&s);
    for (int i = 0; i < 3; i++)
        to_log(&s, i, 0);
    pump(&s);
    serve(&s, 3);
    for (int i = 3; i < 6; i++) {
        record_to_socket(&s, i, 0);
        to_log(&s, i, 0);
    }
    pump(&s);
    expect_steps(&s, 6);
    close(s.fd);
    for (int i = 6; i < 9; i++)
        to_log(&s, i, 0);
    pump(&s);
    expect_steps(&s, 9);
    serve(&s, 9);
    record_to_socket(&s, 9, 0);
    pump(&s);
    expect_steps(&s, 10);
    cr_assert_eq(s.source->klass->state(s.source), SOURCE_LIVE);
    close_stage(&s);
}

// A trainer killed before its last lines were on disk, and resumed: what the log says then is given
// again.
Test(source, a_killed_and_resumed_run)
{
    struct stage s;
    open_stage(&s);
    listen_now(&s);
    to_log(&s, 0, 1);
    pump(&s);
    serve(&s, 1);
    record_to_socket(&s, 1, 1);
    to_log(&s, 1, 1);
    record_to_socket(&s, 2, 1); // these two never reach the disk
    record_to_socket(&s, 3, 1);
    pump(&s);
    expect_steps(&s, 4);
    close(s.fd);
    s.fd = -1;
    close(s.listen_fd);
    s.listen_fd = -1;
    pump(&s);
    expect_steps(&s, 4);
    to_log(&s, 2, 2);
    to_log(&s, 3, 2);
    for (int i = 0; i < 30 && s.got.n < 6; i++) { // it looks again once a second
        int timeout = 5000;
        struct pollfd p;
        s.source->klass->poll(s.source, &p, &timeout);
        poll(NULL, 0, timeout);
        pump(&s);
    }
    cr_assert_eq(s.got.n, 6);
    cr_assert_eq(s.got.step[4], 2);
    cr_assert_eq(s.got.loss[4], 2);
    cr_assert_eq(s.got.step[5], 3);
    close_stage(&s);
}

Test(source, commands_and_answers)
{
    struct stage s;
    struct command_call call = {.command = COMMAND_MODE, .mode = MODE_CONTINUAL, .by = "key"}, came;
    struct answer a;
    open_stage(&s);
    listen_now(&s);
    to_log(&s, 0, 0);
    pump(&s);
    serve(&s, 1);
    pump(&s);
    cr_assert_eq(s.source->klass->send(s.source, &call, NULL), 0);
    pump(&s);
    take_call(&s, &came);
    cr_assert_eq(came.command, COMMAND_MODE);
    cr_assert_eq(came.mode, MODE_CONTINUAL);
    cr_assert_str_eq(came.by, "key");
    answer_init(&a, came.id);
    a.ok = 1;
    a.step = 7;
    strcpy(a.text, "continual from step 7");
    char *line = answer_to_json(&a);
    cr_assert_not_null(line);
    to_socket(&s, line);
    free(line);
    to_socket(&s, "{\"type\":\"of a later version\"}");
    to_socket(&s, "no JSON");
    record_to_socket(&s, 1, 0);
    pump(&s);
    cr_assert_eq(s.got.answers, 1);
    cr_assert_str_eq(s.got.answer.text, "continual from step 7");
    expect_steps(&s, 3 - 1);
    close_stage(&s);
}

static void spectrum_to_log(struct stage *s, int step, enum spectrum_source source)
{
    static double sigma[2] = {2, 1};
    struct record r;
    char *line;
    size_t n;
    record_init(&r, RECORD_SPECTRUM, step);
    r.u.spectrum.source = source;
    r.u.spectrum.d = 2;
    r.u.spectrum.sigma = sigma;
    cr_assert_eq(record_format(&r, &line, &n, NULL), 0);
    cr_assert_eq(runlog_write(s->log, line, n, NULL), 0);
    free(line);
}

// Of the live spectra that were there before it began to look, some over the whole run; of those
// that come at once later the newest; the exact ones all.
Test(source, spectra_of_a_long_log)
{
    enum { STEPS = 1000, EVERY = 50 };
    struct stage s;
    open_stage(&s);
    for (int i = 0; i < STEPS; i++) {
        if (i % EVERY == 0)
            spectrum_to_log(&s, i, SPECTRUM_EXACT);
        spectrum_to_log(&s, i, SPECTRUM_LIVE);
        if (i % 7 == 0)
            cr_assert_eq(runlog_flush(s.log, 0, NULL), 0);
    }
    cr_assert_eq(runlog_flush(s.log, 0, NULL), 0);
    pump(&s);
    int exact = STEPS / EVERY, live = s.got.n - exact;
    for (int i = 0; i < exact; i++)
        cr_assert_eq(s.got.step[i], i * EVERY);
    cr_assert(live > 200 && live <= 256, "%d", live);
    cr_assert_eq(s.got.step[exact], 0);
    cr_assert_eq(s.got.step[s.got.n - 1], STEPS - 1);
    for (int i = exact + 1; i < s.got.n; i++) {
        int64_t gap = s.got.step[i] - s.got.step[i - 1];
        cr_assert(gap == 3 || gap == 4, "%d", (int)gap);
    }
    int before = s.got.n;
    for (int i = 0; i < 20; i++)
        spectrum_to_log(&s, STEPS + i, SPECTRUM_LIVE);
    cr_assert_eq(runlog_flush(s.log, 0, NULL), 0);
    for (int i = 0; i < 1000 && s.got.n == before; i++) { // the log is looked at now and then
        struct pollfd p = {.fd = -1};
        int timeout = 1000;
        s.source->klass->poll(s.source, &p, &timeout);
        poll(NULL, 0, timeout);
        cr_assert_eq(s.source->klass->pump(s.source, 0, &s.sink, NULL), 0);
    }
    cr_assert(s.got.n > before && s.got.n < before + 20);
    cr_assert_eq(s.got.step[s.got.n - 1], STEPS + 19);
    close_stage(&s);
}
