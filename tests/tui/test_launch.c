// A process that has to stay until its trainer has ended, as number 1 of a container has.
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tui/cli/launch.h"

// A trainer that ends with `code` when it is asked to; it is ready when `ready` says so.
static pid_t trainer(int code, int ready)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    sigset_t set;
    int sig;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    ssize_t n = write(ready, "r", 1);
    sigwait(&set, &sig);
    _exit(n == 1 && sig == SIGTERM ? code : 99);
}

Test(launch, stays_as_long_as_the_trainer)
{
    static const int sent[] = {SIGTERM, SIGINT, SIGUSR2};
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
        int said[2], ready[2], status;
        char line[256], byte;
        cr_assert(pipe(said) == 0 && pipe(ready) == 0);
        pid_t pid = fork();
        if (pid == 0) {
            FILE *say = fdopen(said[1], "w");
            pid_t child = trainer(43, ready[1]);
            if (!say || child < 0 || read(ready[0], &byte, 1) != 1)
                _exit(98);
            _exit(launch_stay(child, say));
        }
        FILE *f = fdopen(said[0], "r");
        close(said[1]);
        cr_assert(f && fgets(line, sizeof line, f));
        cr_assert(strstr(line, "stays until it is over"), "%s", line);
        kill(pid, SIGHUP); // the terminal goes: nothing that ends a training
        kill(pid, sent[i]);
        cr_assert(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
        cr_assert(WEXITSTATUS(status) == 43, "%d", WEXITSTATUS(status));
        cr_assert(!fgets(line, sizeof line, f), "it says so once");
        fclose(f);
        close(ready[0]);
        close(ready[1]);
    }
}

Test(launch, has_nothing_to_stay_for_when_the_trainer_is_gone)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    cr_assert(waitpid(pid, &status, 0) == pid);
    char *text = NULL;
    size_t n;
    FILE *say = open_memstream(&text, &n);
    cr_assert(say && launch_stay(pid, say) == -1 && fclose(say) == 0);
    cr_assert(n == 0, "%s", text);
    free(text);
}
