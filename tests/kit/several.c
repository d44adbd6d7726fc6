// mpirun on this machine, for tests; see several.h.
#include "tests/kit/several.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/path.h"

enum { WORDS = 64, PATIENCE_MS = 120000, LOOK_MS = 5 };

static int is_on_path(const char *program)
{
    const char *path = getenv("PATH");
    for (const char *at = path; at && *at; at += strcspn(at, ":"), at += *at == ':')
        if (access(path_of("%.*s/%s", (int)strcspn(at, ":"), at, program).s, X_OK) == 0)
            return 1;
    return 0;
}

void several_need(void)
{
    const char *program = getenv("SSLTOP"), *told = getenv("SSLTOP_MPI");
    if (!program)
        cr_skip_test("SSLTOP does not name the program");
    if (!is_on_path("mpirun"))
        cr_skip_test("mpirun is not there: several processes are not tried");
    if (!told && access(path_of("%sssltop-mpi.so", path_folder(program).s).s, R_OK) != 0)
        cr_skip_test("ssltop-mpi.so is not there: several processes are not tried");
}

// The child's whole life.
static void child(const struct lab *lab, int ranks, const char *const *word)
{
    char n[16];
    const char *argv[WORDS] = {
        "mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none",  "-n",
        n,        getenv("SSLTOP"),      "train",           "--runs",    lab->dir};
    int argc = 11, fd = open(lab->out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    snprintf(n, sizeof n, "%d", ranks);
    while (*word && argc < WORDS - 1)
        argv[argc++] = *word++;
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
        _exit(99);
    setenv("OMP_NUM_THREADS", "1", 1);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    execvp(argv[0], (char **)argv);
    _exit(98);
}

pid_t several_start(struct lab *lab, int ranks, const char *const *word)
{
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0)
        child(lab, ranks, word);
    return pid;
}

// The rank of a process of this lab's, from its environment; -1: it is none.
static int rank_of(const struct lab *lab, int pid, int parent)
{
    static char text[1 << 16];
    char path[64];
    int rank = -1, found = 0, of = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f || fscanf(f, "%*d (%*[^)]) %*c %d", &of) != 1)
        of = 0;
    if (f)
        fclose(f);
    if (of != parent)
        return -1;
    for (int what = 0; what < 2; what++) {
        snprintf(path, sizeof path, "/proc/%d/%s", pid, what ? "environ" : "cmdline");
        int fd = open(path, O_RDONLY);
        ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
        if (fd >= 0)
            close(fd);
        for (char *at = text; n > 0 && at < text + n; at += strlen(at) + 1) {
            text[n] = '\0';
            found |= strcmp(at, lab->dir) == 0;
            sscanf(at, "OMPI_COMM_WORLD_RANK=%d", &rank);
        }
    }
    return found ? rank : -1;
}

static int look(const struct lab *lab, pid_t mpirun, int ranks, pid_t *pid)
{
    int found = 0;
    DIR *d = opendir("/proc");
    cr_assert(d != NULL);
    for (struct dirent *entry = readdir(d); entry; entry = readdir(d)) {
        int is = atoi(entry->d_name), rank = is > 0 ? rank_of(lab, is, (int)mpirun) : -1;
        if (rank >= 0 && rank < ranks) {
            pid[rank] = is;
            found++;
        }
    }
    closedir(d);
    return found == ranks;
}

void several_find(const struct lab *lab, pid_t mpirun, int ranks, pid_t *pid)
{
    for (int waited = 0; !look(lab, mpirun, ranks, pid); waited += LOOK_MS) {
        cr_assert(waited < PATIENCE_MS, "the ranks do not start: %s", lab_text(lab->out));
        poll(NULL, 0, LOOK_MS);
    }
}
