// The handler may run in any thread: all that it does is write.
#include "metrics/base/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int pipe_end = -1; // a handler has no other way to know it

static const char *volatile last_words;

static struct {
    unsigned seconds; // 0: there is no hurry
    void (*last)(void);
    volatile sig_atomic_t number; // the first that came
    struct sigaction before;      // of SIGALRM
} hurry;

static void on_alarm(int number)
{
    hurry.last();
    _exit(128 + (hurry.number ? hurry.number : number)); // somebody's own SIGALRM
}

static void hurry_up(int number)
{
    if (!hurry.seconds || hurry.number ||
        (number != SIGHUP && number != SIGINT && number != SIGQUIT && number != SIGTERM))
        return;
    hurry.number = number;
    alarm(hurry.seconds);
}

static void on_signal(int number)
{
    int was = errno;
    const char *words = last_words;
    if (words && number != SIGUSR1) {
        ssize_t ignored = write(STDERR_FILENO, words, strlen(words));
        (void)ignored;
        _exit(128 + number);
    }
    hurry_up(number);
    unsigned char byte = (unsigned char)number;
    ssize_t n = write(pipe_end, &byte, 1); // full: there are signals enough in it
    (void)n;
    errno = was;
}

int signals_take(struct signals *s, const int *number, int n, unsigned ignored, struct error *e)
{
    struct sigaction ours = {.sa_flags = SA_RESTART};
    int ends[2];
    sigemptyset(&ours.sa_mask);
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return error_system(e, "no pipe for signals");
    s->fd = ends[0];
    pipe_end = ends[1];
    for (s->n = 0; s->n < n && s->n < SIGNALS_MAX; s->n++) {
        ours.sa_handler = ignored >> s->n & 1 ? SIG_IGN : on_signal;
        s->number[s->n] = number[s->n];
        sigaction(number[s->n], &ours, &s->before[s->n]);
    }
    return 0;
}

unsigned signals_ignored(const int *number, int n)
{
    unsigned bits = 0;
    struct sigaction now;
    for (int i = 0; i < n; i++)
        if (number[i] != SIGINT && number[i] != SIGTERM && sigaction(number[i], NULL, &now) == 0 &&
            now.sa_handler == SIG_IGN)
            bits |= 1u << i;
    return bits;
}

void signals_warn_of_limit(int cores)
{
    enum { SECONDS = 10 };
    struct rlimit l;
    if (getrlimit(RLIMIT_CPU, &l) != 0 || l.rlim_cur != l.rlim_max || l.rlim_max == RLIM_INFINITY)
        return;
    rlim_t most = SECONDS * (rlim_t)cores, before = l.rlim_max / 10;
    l.rlim_cur -= before < most ? before : most;
    setrlimit(RLIMIT_CPU, &l);
}

int signals_next(const struct signals *s)
{
    unsigned char byte;
    return read(s->fd, &byte, 1) == 1 ? byte : 0;
}

void signals_end(const char *words)
{
    last_words = words;
}

void signals_hurry(unsigned seconds, void (*last)(void))
{
    struct sigaction act = {.sa_handler = on_alarm};
    sigemptyset(&act.sa_mask);
    hurry.last = last;
    hurry.number = 0;
    sigaction(SIGALRM, &act, &hurry.before);
    hurry.seconds = seconds;
}

void signals_release(struct signals *s)
{
    if (hurry.seconds) {
        hurry.seconds = 0;
        alarm(0);
        sigaction(SIGALRM, &hurry.before, NULL);
    }
    last_words = NULL;
    while (s->n-- > 0)
        sigaction(s->number[s->n], &s->before[s->n], NULL);
    close(s->fd);
    close(pipe_end);
    s->fd = pipe_end = -1;
    s->n = 0;
}
