// Standard output and error go to files without a name, and come back whole.
#include "tests/kit/say.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tui/cli/commands.h"

static char *text_of(FILE *f)
{
    cr_assert_eq(fseek(f, 0, SEEK_END), 0);
    long n = ftell(f);
    char *text = calloc((size_t)n + 1, 1);
    rewind(f);
    cr_assert(text && fread(text, 1, (size_t)n, f) == (size_t)n);
    fclose(f);
    return text;
}

struct said say(int closed, const char *const *word)
{
    FILE *out = tmpfile(), *err = tmpfile();
    int pipe_fd[2], status, argc = 1;
    char *argv[64] = {"ssltop"};
    cr_assert(out && err && pipe(pipe_fd) == 0);
    for (; word[argc - 1]; argc++)
        argv[argc] = (char *)word[argc - 1];
    fflush(NULL);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        close(pipe_fd[0]);
        dup2(closed ? pipe_fd[1] : fileno(out), STDOUT_FILENO);
        dup2(fileno(err), STDERR_FILENO);
        signal(SIGPIPE, SIG_IGN); // as a parent in Python leaves it
        int rc = commands_main(argc, argv);
        fflush(NULL);
        _exit(rc);
    }
    close(pipe_fd[0]);
    close(pipe_fd[1]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    struct said s = {.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status)};
    s.out = text_of(out);
    s.err = text_of(err);
    return s;
}

void said_free(struct said *s)
{
    free(s->out);
    free(s->err);
}
