// Debian's python3 with the package as it lies here and the library as it was built.
#include "tests/kit/script.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NO_PYTHON = 127, PATIENCE_MS = 60000, LOOK_MS = 5, WORDS = 40 };

void script_lab(struct lab *lab)
{
    char sockets[80];
    lab_open(lab);
    snprintf(sockets, sizeof sockets, "%s/.sockets", lab->dir);
    cr_assert(mkdir(sockets, 0700) == 0 && setenv("XDG_RUNTIME_DIR", sockets, 1) == 0);
}

pid_t script_start(const struct lab *lab, const char *const word[])
{
    if (access(SCRIPT_LIBRARY, R_OK) != 0)
        cr_skip_test("there is no " SCRIPT_LIBRARY " here");
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid > 0)
        return pid;
    char *argv[WORDS] = {"python3"};
    for (int i = 1; i < WORDS - 1 && word[i - 1]; i++)
        argv[i] = (char *)(uintptr_t)word[i - 1];
    int fd = open(lab->out, O_WRONLY | O_CREAT | O_APPEND, 0600);
    signal(SIGINT, SIG_DFL);
    if (setpgid(0, 0) < 0 || fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0 ||
        setenv("SSLTOP_RUNS", lab->dir, 1) < 0 ||
        setenv("SSLTOP_CLIENT", "./" SCRIPT_LIBRARY, 1) < 0 ||
        setenv("PYTHONPATH", "train/client/python", 1) < 0 ||
        setenv("PYTHONDONTWRITEBYTECODE", "1", 1) < 0)
        _exit(99);
    execv("/usr/bin/python3", argv);
    _exit(NO_PYTHON);
}

void script_finish(const struct lab *lab, pid_t pid, int want)
{
    int rc = lab_wait(pid);
    if (rc == NO_PYTHON || rc == SCRIPT_SKIPPED)
        cr_skip_test("no python3, or it has no torch: the package is not tested here");
    char *said = lab_text(lab->out);
    cr_expect(rc == want, "exit %d, not %d:\n%s", rc, want, said);
    free(said);
}

void script_said(const struct lab *lab, const char *text)
{
    char *said = lab_text(lab->out);
    cr_expect(strstr(said, text), "'%s' is not in:\n%s", text, said);
    free(said);
}

void script_ended(const struct lab *lab, const char *name, const char *reason, const char *text)
{
    char command[300];
    snprintf(command, sizeof command,
             "test \"$(zstdcat %s/%s/run.jsonl.zst | jq -r 'select(.type == \"end\") | .reason + "
             "\"|\" + .text')\" = '%s|%s' && ! test -e %s/%s/control",
             lab->dir, name, reason, text, lab->dir, name);
    cr_expect(system(command) == 0, "%s does not end %s (%s)", name, reason, text);
}

// ---------------------------------------------------------------- what is left

// Whether this process has something open below the folder.
static int holds(const char *pid, const char *dir)
{
    char path[300], to[300];
    snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
    DIR *d = opendir(path);
    int found = 0;
    for (struct dirent *f; d && !found && (f = readdir(d)) != NULL;) {
        snprintf(path, sizeof path, "/proc/%.20s/fd/%.20s", pid, f->d_name);
        ssize_t n = readlink(path, to, sizeof to - 1);
        found = n > 0 && (to[n] = '\0', strncmp(to, dir, strlen(dir)) == 0);
    }
    if (d)
        closedir(d);
    return found;
}

// A process that does; 0: none.
static int holder(const char *dir)
{
    DIR *d = opendir("/proc");
    int found = 0;
    cr_assert_not_null(d);
    for (struct dirent *p; !found && (p = readdir(d)) != NULL;) {
        int pid = (int)strtol(p->d_name, NULL, 10);
        found = pid > 0 && pid != (int)getpid() && holds(p->d_name, dir) ? pid : 0;
    }
    closedir(d);
    return found;
}

void script_left_nothing(const struct lab *lab)
{
    char command[200];
    int pid = 0;
    for (int waited = 0; (pid = holder(lab->dir)) != 0; waited += LOOK_MS) {
        cr_assert(waited < PATIENCE_MS, "process %d is left", pid);
        poll(NULL, 0, LOOK_MS);
    }
    snprintf(command, sizeof command, "test -z \"$(ls -A %s/.sockets/ssltop 2> /dev/null)\"",
             lab->dir);
    cr_expect(system(command) == 0, "a socket is left");
}
