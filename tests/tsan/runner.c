// Runs the tests of the suites named on the command line, each in a process of its own, and closes
// with Criterion's line. A race makes TSan end that process with an exit code that is not 0.
#include <criterion/criterion.h>

#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

static struct tsan_test *tests;
static struct tsan_suite *suites;
static int failures;

enum { FAILED = 1, SKIPPED = 77 };

void tsan_add_test(struct tsan_test *t)
{
    t->next = tests;
    tests = t;
}

void tsan_add_suite(struct tsan_suite *s)
{
    s->next = suites;
    suites = s;
}

void tsan_fail(int fatal, const char *file, int line, const char *what, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "%s:%d: %s ", file, line, what);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    failures++;
    if (fatal)
        exit(FAILED);
}

void tsan_skip(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(SKIPPED);
}

static const struct tsan_suite *suite_of(const struct tsan_test *t)
{
    const struct tsan_suite *s = suites;
    while (s && strcmp(s->name, t->suite) != 0)
        s = s->next;
    return s;
}

static int run(const struct tsan_test *t)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return FAILED;
    if (pid == 0) {
        const struct tsan_suite *s = suite_of(t);
        if (s && s->init)
            s->init();
        t->run();
        if (s && s->fini)
            s->fini();
        exit(failures ? FAILED : 0);
    }
    if (waitpid(pid, &status, 0) != pid)
        return FAILED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    int tested = 0, failed = 0, crashed = 0;
    for (const struct tsan_test *t = tests; t; t = t->next)
        for (int i = 1; i < argc; i++) {
            if (strcmp(argv[i], t->suite) != 0)
                continue;
            int rc = run(t);
            tested += rc != SKIPPED;
            failed += rc != 0 && rc != SKIPPED && rc < 128;
            crashed += rc >= 128;
            if (rc && rc != SKIPPED)
                printf("[FAIL] %s::%s (exit code %d)\n", t->suite, t->name, rc);
        }
    printf("[====] Synthesis: Tested: %d | Passing: %d | Failing: %d | Crashing: %d\n", tested,
           tested - failed - crashed, failed, crashed);
    return failed || crashed || !tested;
}
