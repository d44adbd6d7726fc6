// Trainings in forked children: nothing is imitated, so that what these tests kill is what a person
// would lose. The process of the test itself never opens a device and may fork.
#include "tests/kit/runs.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "metrics/log/cursor.h"
#include "metrics/log/runlog.h"
#include "train/run/trainer.h"

enum { WORDS = 64, PATIENCE_MS = 120000, LOOK_MS = 5 };

void lab_open(struct lab *lab)
{
    snprintf(lab->dir, sizeof lab->dir, "/tmp/ssltop-test-XXXXXX");
    cr_assert(mkdtemp(lab->dir) != NULL);
    snprintf(lab->out, sizeof lab->out, "%s/.out", lab->dir);
    // What trainings measure and remember of this machine is the lab's own.
    char cache[sizeof lab->dir + 16];
    snprintf(cache, sizeof cache, "%s/.cache", lab->dir);
    cr_assert(setenv("XDG_CACHE_HOME", cache, 1) == 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    return remove(path);
}

void lab_close(struct lab *lab)
{
    nftw(lab->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

// The child's whole life.
static int child(const struct lab *lab, size_t limit_file, const char *const *word)
{
    char *argv[WORDS] = {"train", "--headless", "--runs", (char *)lab->dir};
    unsigned char given[256] = {0};
    struct options o;
    struct error e = {{0}};
    int argc = 4;
    while (*word && argc < WORDS)
        argv[argc++] = (char *)*word++;
    int fd = open(lab->out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
        return 99;
    close(fd);
    if (limit_file) {
        struct rlimit limit = {limit_file, limit_file};
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    // The test framework's own handlers are not the program's.
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (options_parse(&o, NULL, argc, argv, given, &e) < 0) {
        dprintf(STDERR_FILENO, "ssltop: %s\n", e.text);
        return 2;
    }
    int code = trainer_main(&o, given, -1, &e);
    if (e.text[0])
        dprintf(STDERR_FILENO, "ssltop: %s\n", e.text);
    fflush(stdout); // _exit does not
    return code;
}

pid_t lab_start(struct lab *lab, size_t limit_file, const char *const *word)
{
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        // Tests that run in the background, or under nohup, were told to ignore these.
        signal(SIGINT, SIG_DFL);
        signal(SIGQUIT, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        _exit(child(lab, limit_file, word));
    }
    return pid;
}

int lab_wait(pid_t pid)
{
    int status;
    cr_assert(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

int lab_handles(pid_t pid, int number)
{
    char path[64], *text, *line;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    text = lab_text(path);
    line = strstr(text, "SigCgt:");
    int has = line && strtoull(line + 7, NULL, 16) >> (number - 1) & 1;
    free(text);
    return has;
}

int lab_exists(const struct lab *lab, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", lab->dir, name);
    return access(path, F_OK) == 0;
}

int lab_started(const struct lab *lab, const char *name, pid_t pid)
{
    char control[128];
    snprintf(control, sizeof control, "%s/control", name);
    for (int waited = 0; !lab_exists(lab, control); waited += LOOK_MS) {
        siginfo_t ended = {0};
        cr_assert(waited < PATIENCE_MS, "%s did not start", name);
        cr_assert(waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0);
        if (ended.si_pid == pid)
            return 0;
        poll(NULL, 0, LOOK_MS);
    }
    return 1;
}

void lab_ready(const struct lab *lab, const char *name, pid_t pid)
{
    cr_assert(lab_started(lab, name, pid), "%s ended before it began: %s", name,
              lab_text(lab->out));
}

struct answer lab_say(const struct lab *lab, const char *name, const char *text)
{
    char path[256];
    struct command_call c;
    struct answer a;
    struct error e = {{0}};
    snprintf(path, sizeof path, "%s/%s", lab->dir, name);
    cr_assert(command_parse_text(text, &c, &e) == 0, "%s", e.text);
    c.id = 4711;
    int fd = control_connect(path, 0, &e);
    cr_assert(fd >= 0, "%s", e.text);
    cr_assert(control_call(fd, &c, PATIENCE_MS, &a, &e) == 0, "%s: %s", text, e.text);
    close(fd);
    return a;
}

void lab_until_paused(const struct lab *lab, const char *name)
{
    for (int waited = 0; lab_say(lab, name, "status").paused != 1; waited += LOOK_MS) {
        cr_assert(waited < PATIENCE_MS, "%s does not pause", name);
        poll(NULL, 0, LOOK_MS);
    }
}

void lab_until_step(const struct lab *lab, const char *name, int64_t step)
{
    for (int waited = 0; lab_say(lab, name, "status").step < step; waited += LOOK_MS) {
        cr_assert(waited < PATIENCE_MS, "%s does not come to step %ld", name, (long)step);
        poll(NULL, 0, LOOK_MS);
    }
}

char *lab_text(const char *path)
{
    char *text = calloc(1, 1 << 16);
    int fd = open(path, O_RDONLY);
    cr_assert(text != NULL);
    if (fd >= 0) {
        ssize_t n = read(fd, text, (1 << 16) - 1);
        for (ssize_t i = 0; i < n; i++) // the launcher of Open MPI 5 has some in what it says
            if (!text[i])
                text[i] = '\n';
        if (n < 0)
            text[0] = '\0';
        close(fd);
    }
    return text;
}

void lab_says(const struct lab *lab, const char *part)
{
    char *text = lab_text(lab->out);
    cr_assert(strstr(text, part) != NULL, "'%s' is not in: %s", part, text);
    free(text);
}

// Every line of the log, parsed; `newest`: but for what the run went back before.
static void each_line(const struct lab *lab, const char *name, int newest,
                      void (*take)(json_t *to, json_t *line), json_t *to)
{
    char path[256];
    struct cursor *r;
    struct error e = {{0}};
    const char *line;
    size_t n;
    int rc;
    snprintf(path, sizeof path, "%s/%s/run.jsonl.zst", lab->dir, name);
    cr_assert(cursor_open(path, &r, &e) == 0, "%s", e.text);
    cursor_want(r, &(struct cursor_wanted){.newest = newest});
    while ((rc = cursor_next(r, &line, &n, &e)) == 1) {
        json_error_t why;
        json_t *o = json_loadb(line, n, 0, &why);
        cr_assert(json_is_object(o), "%s is not JSON: %.*s", path, (int)(n < 200 ? n : 200), line);
        take(to, o);
        json_decref(o);
    }
    cr_assert(rc == 0, "%s", e.text);
    cursor_free(r);
}

static void take_record(json_t *to, json_t *o)
{
    char key[96];
    const char *type = json_string_value(json_object_get(o, "type"));
    const char *source = json_string_value(json_object_get(o, "source"));
    cr_assert(type != NULL);
    if (strcmp(type, "step") != 0 && strcmp(type, "spectrum") != 0 && strcmp(type, "eval") != 0 &&
        strcmp(type, "device") != 0)
        return;
    json_object_del(o, "t");
    json_object_del(o, "images_s");
    json_object_del(o, "ms");
    snprintf(key, sizeof key, "%s/%lld%s%s", type, json_integer_value(json_object_get(o, "step")),
             source ? "/" : "", source ? source : "");
    json_object_set(to, key, o);
}

static void take_event(json_t *to, json_t *o)
{
    if (strcmp(json_string_value(json_object_get(o, "type")), "event") == 0)
        json_array_append(to, o);
}

json_t *lab_log(const struct lab *lab, const char *name)
{
    json_t *log = json_object();
    each_line(lab, name, 1, take_record, log);
    return log;
}

json_t *lab_events(const struct lab *lab, const char *name)
{
    json_t *events = json_array();
    each_line(lab, name, 0, take_event, events);
    return events;
}

int64_t lab_event(const struct lab *lab, const char *name, const char *what, const char *by)
{
    json_t *events = lab_events(lab, name), *o;
    int64_t step = -1;
    size_t i;
    json_array_foreach(events, i, o)
    {
        if (strcmp(json_string_value(json_object_get(o, "what")), what) == 0 &&
            strcmp(json_string_value(json_object_get(o, "by")), by) == 0)
            step = json_integer_value(json_object_get(o, "step"));
    }
    json_decref(events);
    return step;
}

void lab_same(const struct lab *lab, const char *a, const char *b)
{
    json_t *x = lab_log(lab, a), *y = lab_log(lab, b), *value;
    const char *key;
    cr_assert(json_object_size(x) > 0, "%s is empty", a);
    json_object_foreach(x, key, value)
    {
        json_t *other = json_object_get(y, key);
        cr_assert(other != NULL, "%s has no %s", b, key);
        cr_assert(json_equal(value, other), "%s of %s and %s differ:\n%s\n%s", key, a, b,
                  json_dumps(value, JSON_COMPACT), json_dumps(other, JSON_COMPACT));
    }
    cr_assert(json_object_size(x) == json_object_size(y), "%s has %zu records, %s %zu", a,
              json_object_size(x), b, json_object_size(y));
    json_decref(x);
    json_decref(y);
}
