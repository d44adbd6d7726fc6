// Fork, setsid, and a pipe over which the child says how far it is.
#include "tui/cli/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "metrics/log/record.h"
#include "metrics/base/signals.h"
#include "train/run/trainer.h"

// The child: never returns. Its terminal is gone before anything else happens.
static void child(const struct options *o, const unsigned char *given, int fd)
    __attribute__((noreturn));
static void child(const struct options *o, const unsigned char *given, int fd)
{
    setsid();
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
        _exit(1);
    if (null > 2)
        close(null);
    signal(SIGPIPE, SIG_IGN);
    int ready = fcntl(fd, F_DUPFD_CLOEXEC, 3); // trainer_main closes this one
    struct error e = {""};
    int rc = ready < 0 ? 1 : trainer_main(o, given, ready, &e);
    if (e.text[0])
        dprintf(fd, "!%s\n", e.text);
    // Handlers of exit() belong to the parent (its terminal, its buffers).
    _exit(rc);
}

struct wait {
    char line[4200];
    size_t n;
    int ready;
};

// A line of the child.
static void take_line(struct wait *w, struct launch *out, struct error *e)
{
    char clean[4200];
    if (w->line[0] == '!') {
        error_set(e, "%.500s", w->line + 1);
    } else if (w->line[0] == '#') {
        text_clean(clean, sizeof clean, w->line + 1 + strspn(w->line + 1, " "));
        fprintf(stderr, "ssltop: %s\n", clean);
    } else if (w->line[0]) {
        memcpy(out->run_dir, w->line, sizeof out->run_dir - 1);
        out->run_dir[sizeof out->run_dir - 1] = 0;
        w->ready = 1;
    }
}

// What the pipe holds: 1 = more may come, 0 = the child closed it.
static int take_bytes(struct wait *w, int fd, struct launch *out, struct error *e)
{
    char chunk[4096];
    ssize_t n = read(fd, chunk, sizeof chunk);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    for (ssize_t i = 0; i < n; i++) {
        if (chunk[i] != '\n') {
            if (w->n < sizeof w->line - 1)
                w->line[w->n++] = chunk[i];
            continue;
        }
        w->line[w->n] = 0;
        w->n = 0;
        take_line(w, out, e);
    }
    return n > 0;
}

static int exit_code_of(pid_t pid, int sig, struct error *e)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (sig && !e->text[0])
        error_set(e, "interrupted before it began");
    if (sig)
        return 128 + sig;
    if (WIFSIGNALED(status)) {
        error_set(e, "the trainer died before it began (signal %d, %s)%s", WTERMSIG(status),
                  strsignal(WTERMSIG(status)),
                  WTERMSIG(status) == SIGKILL ? ": the system does that where memory runs out"
                                              : "");
        return 1;
    }
    int code = WEXITSTATUS(status);
    if (!e->text[0] || !code)
        error_set(e, "the trainer ended before it began (exit code %d)", code);
    return code ? code : 1;
}

// 0 = ready, else the exit code.
static int wait_until_ready(struct launch *l, const struct signals *signals, struct error *e)
{
    struct wait w = {.n = 0};
    int sig = 0;
    for (;;) {
        struct pollfd p[2] = {{.fd = l->fd, .events = POLLIN},
                              {.fd = signals->fd, .events = POLLIN}};
        if (poll(p, 2, -1) < 0 && errno != EINTR) {
            error_system(e, "poll");
            break;
        }
        int came = p[1].revents ? signals_next(signals) : 0;
        if (came) {
            sig = came;
            kill(l->pid, SIGTERM);
        }
        if (p[0].revents && !take_bytes(&w, l->fd, l, e))
            break;
        if (w.ready && !sig)
            return 0;
    }
    return exit_code_of(l->pid, sig, e);
}

int launch_trainer(const struct options *o, const unsigned char *given, struct launch *out,
                   struct error *e)
{
    *out = (struct launch){.fd = -1};
    int fd[2];
    if (pipe2(fd, O_CLOEXEC))
        return error_system(e, "pipe") + 2;
    static const int ending[] = {SIGNALS_ENDING};
    enum { ENDING = sizeof ending / sizeof *ending };
    struct signals signals;
    if (signals_take(&signals, ending, ENDING, signals_ignored(ending, ENDING), e)) {
        close(fd[0]);
        close(fd[1]);
        return 1;
    }
    fflush(NULL); // what is buffered must not be written twice
    out->pid = fork();
    if (out->pid == 0) {
        close(fd[0]);
        signals_release(&signals);
        child(o, given, fd[1]);
    }
    int rc = out->pid < 0 ? error_system(e, "can't start the trainer") + 2 : 0;
    close(fd[1]);
    out->fd = fd[0];
    if (rc == 0)
        rc = wait_until_ready(out, &signals, e);
    signals_release(&signals);
    if (rc) {
        close(out->fd);
        out->fd = -1;
        return rc;
    }
    fcntl(out->fd, F_SETFL, O_NONBLOCK);
    return 0;
}

int launch_stay(pid_t trainer, FILE *say)
{
    static const int heard[] = {SIGNALS_ENDING, SIGCHLD};
    enum { ENDING = sizeof heard / sizeof *heard - 1, HANGUP = 1 << 0 };
    unsigned ignored = signals_ignored(heard, ENDING) | HANGUP;
    struct signals signals;
    struct error e;
    int status = 0, told = 0, sig;
    if (signals_take(&signals, heard, ENDING + 1, ignored, &e) < 0) {
        fprintf(say, "ssltop: %s\n", e.text);
        return -1;
    }
    pid_t gone;
    while ((gone = waitpid(trainer, &status, WNOHANG)) == 0) {
        struct pollfd p = {.fd = signals.fd, .events = POLLIN};
        if (!told++) {
            fprintf(say, "ssltop: the training would end with this process, which stays until it "
                         "is over\n");
            fflush(say);
        }
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            break;
        while ((sig = signals_next(&signals)) != 0)
            if (sig != SIGCHLD)
                kill(trainer, SIGTERM);
    }
    signals_release(&signals);
    if (gone != trainer)
        return -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
