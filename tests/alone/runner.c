// Runs tests where Criterion is not: under ThreadSanitizer, and on a machine with a card that has
// nothing of ours. Each in a process of its own, several at once; closes with Criterion's line and
// a table. Under TSan a race makes the process end with an exit code that is not 0.
//
//   runner [-j JOBS] [-t SECONDS] SUITE|SUITE/PATTERN ...
//
// Exit 0: all passed. After SECONDS, or SIGINT, what still runs is ended, and with what has not
// begun it counts as not run, which is no success.
#include <criterion/criterion.h>

#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct alone_test *tests;
static struct alone_suite *suites;
static const struct alone_test *current; // of this process
static int failures;

enum { FAILED = 1, SKIPPED = 77, JOBS = 64, SUITES = 64 };
enum outcome { PASS, FAIL, CRASH, SKIP, UNRUN, OUTCOMES };

void alone_add_test(struct alone_test *t)
{
    t->next = tests;
    tests = t;
}

void alone_add_suite(struct alone_suite *s)
{
    s->next = suites;
    suites = s;
}

static void say(const char *prefix, const char *fmt, va_list ap)
{
    char text[2048];
    vsnprintf(text, sizeof text, fmt, ap);
    fprintf(stderr, "%s::%s: %s%s\n", current->suite, current->name, prefix, text);
}

void alone_fail(int fatal, const char *file, int line, const char *what, const char *fmt, ...)
{
    char prefix[512];
    va_list ap;
    va_start(ap, fmt);
    snprintf(prefix, sizeof prefix, "%s:%d: %s ", file, line, what);
    say(prefix, fmt, ap);
    va_end(ap);
    failures++;
    if (fatal)
        exit(FAILED);
}

void alone_skip(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("skipped: ", fmt, ap);
    va_end(ap);
    exit(SKIPPED);
}

// --- one test ---
struct job {
    const struct alone_test *test;
    pid_t pid;
    double since;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void run(const struct alone_test *t)
{
    const struct alone_suite *s = suites;
    signal(SIGINT, SIG_DFL);
    signal(SIGALRM, SIG_DFL);
    current = t;
    while (s && strcmp(s->name, t->suite) != 0)
        s = s->next;
    if (s && s->init)
        s->init();
    t->run();
    if (s && s->fini)
        s->fini();
    exit(failures ? FAILED : 0);
}

static int start(struct job *j, const struct alone_test *t)
{
    fflush(NULL);
    *j = (struct job){t, fork(), now()};
    if (j->pid == 0)
        run(t);
    if (j->pid < 0)
        fprintf(stderr, "%s::%s: fork: %s\n", t->suite, t->name, strerror(errno));
    return j->pid < 0 ? -1 : 0;
}

static enum outcome outcome_of(int status)
{
    if (!WIFEXITED(status))
        return CRASH;
    int rc = WEXITSTATUS(status);
    return rc == SKIPPED ? SKIP : rc ? FAIL : PASS;
}

// --- the table ---
struct row {
    const char *suite;
    int count[OUTCOMES];
    double seconds;
};
static struct row table[SUITES];
static int rows;

static void tell(const struct alone_test *t, enum outcome how, double seconds)
{
    static const char *const word[] = {"PASS", "FAIL", "CRASH", "SKIP", "NOT RUN"};
    int i = 0;
    while (i < rows && strcmp(table[i].suite, t->suite) != 0)
        i++;
    if (i == SUITES)
        i--;
    else if (i == rows)
        table[rows++].suite = t->suite;
    table[i].count[how]++;
    table[i].seconds += seconds;
    printf("[%s] %s::%s (%.1f s)\n", word[how], t->suite, t->name, seconds);
    fflush(stdout);
}

static int sum_up(double seconds)
{
    int n[OUTCOMES] = {0};
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < OUTCOMES; k++)
            n[k] += table[i].count[k];
    int tested = n[PASS] + n[FAIL] + n[CRASH];
    printf("[====] Synthesis: Tested: %d | Passing: %d | Failing: %d | Crashing: %d\n\n", tested,
           n[PASS], n[FAIL], n[CRASH]);
    printf("%-12s %7s %7s %8s %8s %8s\n", "suite", "passed", "failed", "skipped", "not run",
           "seconds");
    for (int i = 0; i < rows; i++) {
        const int *c = table[i].count;
        printf("%-12s %7d %7d %8d %8d %8.1f\n", table[i].suite, c[PASS], c[FAIL] + c[CRASH],
               c[SKIP], c[UNRUN], table[i].seconds);
    }
    printf("%-12s %7d %7d %8d %8d %8.1f\n", "all", n[PASS], n[FAIL] + n[CRASH], n[SKIP], n[UNRUN],
           seconds);
    return n[FAIL] || n[CRASH] || n[UNRUN] || !tested;
}

// --- all of them ---
static volatile sig_atomic_t over;

static void end(int sig)
{
    (void)sig;
    over = 1;
}

static int fits(const struct alone_test *t, const char *pattern)
{
    char name[256];
    snprintf(name, sizeof name, "%s/%s", t->suite, t->name);
    return strcmp(pattern, t->suite) == 0 || fnmatch(pattern, name, FNM_EXTMATCH) == 0;
}

static int is_wanted(const struct alone_test *t, char **patterns, int n)
{
    int i = 0;
    while (i < n && !fits(t, patterns[i]))
        i++;
    return i < n;
}

// A pattern of no test is a mistake, not a success.
static int are_known(char **patterns, int n)
{
    for (int i = 0; i < n; i++) {
        const struct alone_test *t = tests;
        while (t && !fits(t, patterns[i]))
            t = t->next;
        if (!t) {
            fprintf(stderr, "there is no test '%s'\n", patterns[i]);
            return 0;
        }
    }
    return n > 0;
}

// Wait for one of them; the jobs behind it move up. Their number.
static int reap(struct job *job, int running)
{
    int status;
    pid_t pid = waitpid(-1, &status, 0);
    for (int i = 0; over && i < running; i++)
        kill(job[i].pid, SIGKILL);
    for (int i = 0; pid > 0 && i < running; i++)
        if (job[i].pid == pid) {
            int killed = over && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
            tell(job[i].test, killed ? UNRUN : outcome_of(status), now() - job[i].since);
            job[i] = job[--running];
            break;
        }
    return pid < 0 && errno != EINTR ? 0 : running;
}

int main(int argc, char **argv)
{
    struct job job[JOBS];
    int jobs = 1, running = 0, option;
    double since = now();
    struct sigaction ends = {.sa_handler = end}; // and waitpid() comes back
    sigaction(SIGINT, &ends, NULL);
    sigaction(SIGALRM, &ends, NULL);
    struct itimerval limit = {{1, 0},
                              {0, 0}}; // again every second: one may come just before a wait
    while ((option = getopt(argc, argv, "j:t:")) != -1)
        switch (option) {
        case 'j':
            jobs = atoi(optarg);
            break;
        case 't':
            alarm((unsigned)atoi(optarg));
            break;
        default:
            return 2;
        }
    if (!are_known(argv + optind, argc - optind))
        return 2;
    setitimer(ITIMER_REAL, &limit, NULL);
    jobs = jobs < 1 ? 1 : jobs > JOBS ? JOBS : jobs;
    for (const struct alone_test *t = tests; t; t = t->next) {
        if (!is_wanted(t, argv + optind, argc - optind))
            continue;
        while (running == jobs)
            running = reap(job, running);
        if (over)
            tell(t, UNRUN, 0);
        else if (start(&job[running], t) < 0)
            tell(t, CRASH, 0);
        else
            running++;
    }
    while (running)
        running = reap(job, running);
    return sum_up(now() - since);
}
