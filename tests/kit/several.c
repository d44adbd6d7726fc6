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

// Words of SSLTOP_MPIRUN, or how Open MPI is asked to start more than there are cores.
static int launcher(const char *word[WORDS])
{
    static char text[512];
    const char *told = getenv("SSLTOP_MPIRUN");
    char *rest = NULL;
    int n = 0;
    snprintf(text, sizeof text, "%s",
             told ? told : "mpirun --allow-run-as-root --oversubscribe --bind-to none");
    for (char *at = strtok_r(text, " ", &rest); at && n < WORDS / 2;
         at = strtok_r(NULL, " ", &rest))
        word[n++] = at;
    cr_assert(n > 0, "SSLTOP_MPIRUN is empty");
    return n;
}

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
    const char *program = getenv("SSLTOP"), *told = getenv("SSLTOP_MPI"), *word[WORDS];
    if (!program)
        cr_skip_test("SSLTOP does not name the program");
    launcher(word);
    if (!is_on_path(word[0]))
        cr_skip_test("%s is not there: several processes are not tried", word[0]);
    if (!told && access(path_of("%sssltop-mpi.so", path_folder(program).s).s, R_OK) != 0)
        cr_skip_test("ssltop-mpi.so is not there: several processes are not tried");
}

// The child's whole life.
static void child(const struct lab *lab, int ranks, const char *const *word)
{
    char n[16];
    const char *argv[WORDS];
    int argc = launcher(argv), fd = open(lab->out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const char *const program[] = {"-n", n, getenv("SSLTOP"), "train", "--runs", lab->dir};
    snprintf(n, sizeof n, "%d", ranks);
    for (size_t i = 0; i < sizeof program / sizeof *program; i++)
        argv[argc++] = program[i];
    while (*word && argc < WORDS - 1)
        argv[argc++] = *word++;
    argv[argc] = NULL;
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

static int parent_of(int pid)
{
    char path[64];
    int of = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f || fscanf(f, "%*d (%*[^)]) %*c %d", &of) != 1)
        of = 0;
    if (f)
        fclose(f);
    return of;
}

// MPICH's mpirun has a process of its own between itself and what it starts; that of Slurm starts
// nothing itself.
static int is_started_by(int pid, int mpirun)
{
    enum { FAR = 2 };
    const char *told = getenv("SSLTOP_MPIRUN");
    if (told && strncmp(told, "srun", 4) == 0)
        return 1;
    for (int i = 0; i < FAR && pid > 1; i++)
        if ((pid = parent_of(pid)) == mpirun)
            return 1;
    return 0;
}

// The words of a process's environment, or of its command, one behind another.
static ssize_t words_of(int pid, const char *which, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, which);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, text, size - 1) : -1;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n;
}

// The rank of a process of this lab's, from its environment; -1: it is none.
static int rank_of(const struct lab *lab, int pid, int mpirun)
{
    static const char *const variable[] = {"OMPI_COMM_WORLD_RANK=", "PMI_RANK=", "SLURM_PROCID="};
    enum { VARIABLES = sizeof variable / sizeof *variable };
    static char text[1 << 16];
    int rank[VARIABLES] = {-1, -1, -1}, found = 0;
    if (!is_started_by(pid, mpirun))
        return -1;
    ssize_t n = words_of(pid, "cmdline", text, sizeof text);
    if (n <= 0 || strcmp(text, getenv("SSLTOP")) != 0)
        return -1;
    for (char *at = text; at < text + n; at += strlen(at) + 1)
        found |= strcmp(at, lab->dir) == 0;
    n = words_of(pid, "environ", text, sizeof text);
    for (char *at = text; n > 0 && at < text + n; at += strlen(at) + 1)
        for (int i = 0; i < VARIABLES; i++)
            if (strncmp(at, variable[i], strlen(variable[i])) == 0)
                rank[i] = atoi(at + strlen(variable[i]));
    for (int i = 0; found && i < VARIABLES; i++)
        if (rank[i] >= 0)
            return rank[i];
    return -1;
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

int several_named(const char *said, int rank)
{
    char ours[32];
    snprintf(ours, sizeof ours, "rank %d on ", rank);
    return (strstr(said, ours) && strstr(said, "is gone")) || strstr(said, "BAD TERMINATION") ||
           strstr(said, "YOUR APPLICATION TERMINATED");
}
