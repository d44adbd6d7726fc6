// A group's folder is where its hierarchy is mounted, and its path below what is mounted there: in
// a container often the group itself. Version 1 has a hierarchy for the cpu controller, version 2
// one for all; a machine may have both, and then the quota is in the one that has its files.
#include "metrics/base/cores.h"

#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#if defined __x86_64__
#include <immintrin.h>
#endif

#include "metrics/base/path.h"
#include "metrics/base/text.h"

enum { V1, V2, VERSIONS };

static int is_among(const char *list, const char *word)
{
    size_t n;
    for (const char *p; (p = text_word(&list, ',', &n));)
        if (n == strlen(word) && strncmp(p, word, n) == 0)
            return 1;
    return 0;
}

// Two numbers out of one file or of two.
static int read_numbers(const char *folder, const char *a, const char *b, long long v[2])
{
    FILE *f = fopen(path_of("%s/%s", folder, a).s, "re");
    int got = f ? fscanf(f, "%lld %lld", &v[0], &v[1]) : 0;
    if (f)
        fclose(f);
    if (got == 1 && b && (f = fopen(path_of("%s/%s", folder, b).s, "re"))) {
        got += fscanf(f, "%lld", &v[1]) == 1;
        fclose(f);
    }
    return got == 2 ? 0 : -1;
}

// The least quota of a folder and those above it, up to the one whose path has `root` bytes.
static int least(struct path folder, size_t root, int version, int most)
{
    for (;;) {
        long long v[2];
        int rc = version == V2 ? read_numbers(folder.s, "cpu.max", NULL, v)
                               : read_numbers(folder.s, "cpu.cfs_quota_us", "cpu.cfs_period_us", v);
        if (rc == 0 && v[0] > 0 && v[1] > 0) { // "max" and -1: none
            long long n = v[0] / v[1] + (v[0] % v[1] > 0);
            n = n < INT_MAX ? n : INT_MAX;
            most = !most || n < most ? (int)n : most;
        }
        char *slash = strrchr(folder.s, '/');
        if (!slash || (size_t)(slash - folder.s) < root)
            return most;
        *slash = '\0';
    }
}

// Lines "number:controllers:path"; version 2 names no controller.
static void find_own(const char *proc, struct path own[VERSIONS])
{
    char *line = NULL, list[256];
    size_t room = 0;
    FILE *f = fopen(path_of("%s/cgroup", proc).s, "re");
    while (f && getline(&line, &room, f) > 0) {
        char *path = strstr(line, ":/");
        line[strcspn(line, "\n")] = '\0';
        int named = path && sscanf(line, "%*d:%255[^:]", list) == 1;
        if (path && (!named || is_among(list, "cpu")))
            own[named ? V1 : V2] = path_of("%s", path + 1);
    }
    free(line);
    if (f)
        fclose(f);
}

// mountinfo has blanks and the like as \ooo.
static void unescape(char *s)
{
    char *to = s;
    for (; *s; s++) {
        int octal = *s == '\\' && strspn(s + 1, "01234567") >= 3;
        *to++ = (char)(octal ? 64 * (s[1] - '0') + 8 * (s[2] - '0') + (s[3] - '0') : *s);
        s += octal ? 3 : 0;
    }
    *to = '\0';
}

// The path of a group below the root that is mounted; "": what is outside of that, or of our name
// space, cannot be seen.
static const char *below(const char *own, const char *root)
{
    size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root), len = strlen(own);
    int is_above = strstr(own, "/../") || (len >= 3 && strcmp(own + len - 3, "/..") == 0);
    int is_beside = strncmp(own, root, n) != 0 || (own[n] && own[n] != '/');
    return is_above || is_beside ? "" : own + n;
}

int cores_quota(const char *proc)
{
    struct path own[VERSIONS] = {{""}, {""}}, root, mount;
    char *line = NULL, type[16], options[256];
    size_t room = 0;
    int most = 0;
    find_own(proc, own);
    FILE *f = fopen(path_of("%s/mountinfo", proc).s, "re");
    while (f && getline(&line, &room, f) > 0) {
        // NUMBER PARENT DEVICE ROOT MOUNT OPTIONS [MORE ...] - TYPE SOURCE OPTIONS
        const char *rest = strstr(line, " - ");
        _Static_assert(PATH_MAX == 4096, "the widths below");
        if (!rest || sscanf(line, "%*s %*s %*s %4096s %4096s", root.s, mount.s) != 2 ||
            sscanf(rest, " - %15s %*s %255s", type, options) != 2)
            continue;
        int version = strcmp(type, "cgroup2") == 0 ? V2 : V1;
        if (version == V1 && (strcmp(type, "cgroup") != 0 || !is_among(options, "cpu")))
            continue;
        unescape(root.s);
        unescape(mount.s);
        struct path folder = path_of("%s%s", mount.s, below(own[version].s, root.s));
        most = least(folder, strlen(mount.s), version, most);
    }
    free(line);
    if (f)
        fclose(f);
    return most;
}

int cores_usable(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                        : (int)sysconf(_SC_NPROCESSORS_ONLN);
    int quota = cores_quota("/proc/self");
    n = quota > 0 && quota < n ? quota : n;
    return n > 0 ? n : 1;
}

void cores_stand_back(void)
{
    // Linux: a thread's own, both of them.
    if (sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0}) < 0)
        setpriority(PRIO_PROCESS, (id_t)gettid(), 19);
}

// --- how they calculate ---
// The mode is a bit or two of the register that also says how a thread rounds; a new thread has its
// starter's.
#if defined __x86_64__
enum { ZERO_RESULTS = 0x8000, ZERO_INPUTS = 0x0040 }; // FTZ, DAZ

void cores_flush_denormals(void)
{
    _mm_setcsr(_mm_getcsr() | ZERO_RESULTS | ZERO_INPUTS);
}
#elif defined __aarch64__
void cores_flush_denormals(void)
{
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    mode |= UINT64_C(1) << 24; // FZ
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
}
#else
void cores_flush_denormals(void)
{
}
#endif
