// Cores: the quotas of control groups as containers, systemd and Slurm set them, from trees of
// files that look like theirs; and one of the machine's own where that can be made. What is smaller
// than a normal number is zero where that was asked for.
#include "metrics/base/cores.h"

#include <criterion/criterion.h>
#include <float.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "metrics/base/path.h"

static char home[64];

// A file of the tree, in folders that are made.
__attribute__((format(printf, 2, 3))) static void put(const char *name, const char *fmt, ...)
{
    struct path p = path_of("%s/%s", home, name);
    for (char *s = strchr(p.s + strlen(home) + 1, '/'); s; s = strchr(s + 1, '/')) {
        *s = '\0';
        mkdir(p.s, 0700);
        *s = '/';
    }
    va_list ap;
    va_start(ap, fmt);
    FILE *f = fopen(p.s, "w");
    cr_assert(f && vfprintf(f, fmt, ap) >= 0 && fclose(f) == 0, "%s", p.s);
    va_end(ap);
}

static void enter(void)
{
    strcpy(home, "/tmp/ssltop-cores-XXXXXX");
    cr_assert(mkdtemp(home) != NULL);
}

static void leave(void)
{
    cr_assert(system(path_of("rm -rf %s", home).s) == 0);
}

// What is mounted at the tree's "m", and which group this process is in.
static void mount_v2(const char *root, const char *own)
{
    put("cgroup", "0::%s\n", own);
    put("mountinfo",
        "22 1 8:1 / / rw shared:1 - ext4 /dev/root rw,a=b - c\n"
        "30 22 0:26 %s %s/m rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
        root, home);
}

static void mount_v1(const char *root, const char *own)
{
    put("cgroup", "9:memory:/elsewhere\n4:cpuset:/elsewhere\n3:cpu,cpuacct:%s\n0::/\n", own);
    put("mountinfo",
        "31 1 0:29 %s %s/m rw - cgroup cgroup rw,cpu,cpuacct\n"
        "34 1 0:31 / %s/other rw - cgroup cgroup rw,cpuset\n",
        root, home, home);
}

Test(cores, quotas, .init = enter, .fini = leave)
{
    static const struct {
        const char *root, *own, *group, *above, *top; // "" or a quota, in thousandths of a core
        int cores;
    } row[] = {
        {"/", "/", "", "", "", 0},
        {"/", "/", "", "", "2000", 2},
        {"/", "/a/b", "", "", "", 0},
        {"/", "/a/b", "1000", "", "", 1},     // systemd-run, Slurm
        {"/", "/a/b", "4000", "3000", "", 3}, // one around it gives less
        {"/", "/a/b", "4000", "8000", "2500", 3},
        {"/", "/a/b", "", "500", "", 1},
        {"/", "/a/b", "250", "none", "none", 1},
        {"/docker/x", "/docker/x/a/b", "1001", "", "", 2}, // as a host sees a container
        {"/docker/x", "/docker/x", "", "", "3000", 3},     // as the container sees itself
        {"/docker/x", "/", "", "", "3000", 3},
        {"/docker/x", "/docker/xa/b", "1000", "1000", "3000", 3}, // beside what is mounted
        {"/..", "/a/../../b", "1000", "1000", "", 0},             // another name space's
        {"/", "/gone/away", "1000", "1000", "5000", 5},
    };
    for (int version = 1; version <= 2; version++)
        for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
            (version == 1 ? mount_v1 : mount_v2)(row[i].root, row[i].own);
            const char *quota[] = {row[i].group, row[i].above, row[i].top};
            static const char *const folder[] = {"m/a/b", "m/a", "m"};
            for (int k = 0; k < 3; k++) {
                long long us = atoll(quota[k]) * 100;
                int none = strcmp(quota[k], "none") == 0;
                if (version == 1) {
                    put(path_of("%s/cpu.cfs_quota_us", folder[k]).s, "%lld\n", us > 0 ? us : -1);
                    put(path_of("%s/cpu.cfs_period_us", folder[k]).s, none ? "0\n" : "100000\n");
                    unlink(path_of("%s/%s/cpu.max", home, folder[k]).s);
                } else {
                    put(path_of("%s/cpu.max", folder[k]).s,
                        us > 0 ? "%lld 100000\n" : "max 100000\n", us);
                }
            }
            cr_expect_eq(cores_quota(home), row[i].cores, "version %d, row %zu: %d", version, i,
                         cores_quota(home));
        }
}

// Blanks are escaped in one of the two files; two dots may begin a name.
Test(cores, names_of_groups, .init = enter, .fini = leave)
{
    put("cgroup", "0::/my group/..inner\n");
    put("mountinfo", "30 22 0:26 /my\\040group %s/my\\040mount rw - cgroup2 cgroup2 rw\n", home);
    put("my mount/cpu.max", "400000 100000\n");
    cr_expect_eq(cores_quota(home), 4);
    put("my mount/..inner/cpu.max", "200000 100000\n");
    cr_expect_eq(cores_quota(home), 2);
}

Test(cores, files_that_are_not_there_or_not_right, .init = enter, .fini = leave)
{
    cr_expect_eq(cores_quota(home), 0);
    cr_expect_eq(cores_quota("/nowhere"), 0);
    put("cgroup", "%s", "0:\n::\nnothing\n0::/\n7:cpu\n");
    cr_expect_eq(cores_quota(home), 0);
    put("mountinfo", "%s", "\n1 2 3\n - \n1 2 3 / /m - cgroup2\n - cgroup2 a b\n");
    cr_expect_eq(cores_quota(home), 0);
    mount_v2("/", "/");
    static const char *const bad[] = {"", "max", "-5 100000", "7", "7 0", "x y", "0 100000"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put("m/cpu.max", "%s", bad[i]);
        cr_expect_eq(cores_quota(home), 0, "%s", bad[i]);
    }
    put("m/cpu.max", "9223372036854775807 1");
    cr_expect_geq(cores_quota(home), 1);
}

// The affinity counts too.
Test(cores, usable)
{
    cpu_set_t all, one;
    int n = cores_usable();
    cr_assert(n >= 1 && sched_getaffinity(0, sizeof all, &all) == 0 && n <= CPU_COUNT(&all));
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    cr_assert(sched_setaffinity(0, sizeof one, &one) == 0);
    cr_expect_eq(cores_usable(), 1);
}

// As root on a machine with version 1 or 2: a nested group with the quota of one core around it.
Test(cores, a_quota_of_this_machine)
{
    static const struct {
        const char *root, *file, *text;
    } kind[] = {{"/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "100000"},
                {"/sys/fs/cgroup", "cpu.max", "100000 100000"}};
    for (int i = 0; i < 2; i++) {
        struct path outer = path_of("%s/ssltop-test-%d", kind[i].root, (int)getpid());
        struct path inner = path_of("%s/inner", outer.s);
        FILE *f = NULL;
        int made = access(path_of("%s/cgroup.procs", kind[i].root).s, W_OK) == 0 &&
                   mkdir(outer.s, 0755) == 0 && mkdir(inner.s, 0755) == 0 &&
                   (f = fopen(path_of("%s/%s", outer.s, kind[i].file).s, "r+")) != NULL;
        made = made && fputs(kind[i].text, f) >= 0 && fflush(f) == 0;
        if (f)
            fclose(f);
        int status = 0;
        pid_t pid = made ? fork() : -1;
        if (pid == 0) {
            f = fopen(path_of("%s/cgroup.procs", inner.s).s, "w");
            if (!f || fprintf(f, "%d\n", (int)getpid()) < 0 || fclose(f) != 0)
                _exit(77);
            _exit(cores_usable());
        }
        if (pid > 0)
            cr_assert(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
        rmdir(inner.s);
        rmdir(outer.s);
        if (pid > 0 && WEXITSTATUS(status) != 77) {
            cr_assert_eq(WEXITSTATUS(status), 1);
            return;
        }
    }
    cr_skip_test("no control group can be made here");
}

// --- denormals ---
static volatile float least = FLT_MIN;

// Half of the least normal number, as this thread gives it.
static float half(void)
{
    return least / 2;
}

static void *in_thread(void *out)
{
    *(float *)out = half();
    return NULL;
}

Test(cores, take_denormals_for_zero_in_threads_too)
{
    pthread_t thread;
    volatile float tiny = half(), other = 1;
    cr_assert(tiny > 0, "they are there to begin with");
    cores_flush_denormals();
    cr_expect(half() == 0, "as a result");
    cr_expect(tiny * 2 == 0, "as an input");
    cr_expect(least > 0, "the least normal one stays");
    float seen = 1;
    cr_assert(pthread_create(&thread, NULL, in_thread, &seen) == 0);
    cr_assert(pthread_join(thread, NULL) == 0);
    other = seen;
    cr_expect(other == 0, "in a thread");
#pragma omp parallel num_threads(2) reduction(+ : seen)
    seen += half();
    cr_expect(seen == 0, "in a team");
}
