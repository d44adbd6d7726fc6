// Counters of /proc to loads. Differences between two looks; the first look has none.
#include "tui/model/machine.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/path.h"

// Lines "cpuN user nice system idle iowait irq softirq steal ...", after one "cpu  ..." of all.
void machine_loads(struct machine *m, FILE *stat, int (*may_use)(const void *of, int core),
                   const void *of)
{
    char line[512];
    m->cores = 0;
    while (m->cores < MACHINE_CORES && fgets(line, sizeof line, stat)) {
        unsigned long long v[8] = {0};
        int core;
        if (strncmp(line, "cpu", 3) != 0 || line[3] < '0' || line[3] > '9' ||
            sscanf(line + 3, "%d %llu %llu %llu %llu %llu %llu %llu %llu", &core, &v[0], &v[1],
                   &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) < 5 ||
            core >= MACHINE_CORES || !may_use(of, core))
            continue;
        uint64_t all = 0, idle = v[3] + v[4];
        for (int i = 0; i < 8; i++)
            all += v[i];
        uint64_t busy = all - idle, d_all = all - m->all[core], d_busy = busy - m->busy[core];
        int known = m->all[core] > 0 && all > m->all[core] && busy >= m->busy[core];
        m->load[m->cores] = known ? (float)((double)d_busy / (double)d_all) : NAN;
        m->core[m->cores++] = core;
        m->all[core] = all;
        m->busy[core] = busy;
    }
}

static int is_in(const void *of, int core)
{
    const cpu_set_t *set = of;
    return core < CPU_SETSIZE && CPU_ISSET(core, set);
}

static int is_any(const void *of, int core)
{
    return 1;
}

static void read_cores(struct machine *m, pid_t pid)
{
    cpu_set_t set;
    FILE *f = fopen("/proc/stat", "re");
    m->cores = 0;
    if (!f)
        return;
    int known = sched_getaffinity(pid > 0 ? pid : 0, sizeof set, &set) == 0;
    machine_loads(m, f, known ? is_in : is_any, &set);
    fclose(f);
}

// utime + stime of a process, in clock ticks.
static int read_ticks(pid_t pid, uint64_t *ticks)
{
    char text[1024];
    FILE *f = fopen(path_of("/proc/%d/stat", (int)pid).s, "re");
    if (!f)
        return -1;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    const char *p = strrchr(text, ')'); // the name may hold anything
    unsigned long long user, kernel;
    if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                     &kernel) != 2)
        return -1;
    *ticks = user + kernel;
    return 0;
}

static double read_rss(pid_t pid)
{
    FILE *f = fopen(path_of("/proc/%d/statm", (int)pid).s, "re");
    if (!f)
        return NAN;
    long long pages = 0, resident = -1;
    if (fscanf(f, "%lld %lld", &pages, &resident) != 2)
        resident = -1;
    fclose(f);
    return resident < 0 ? NAN : (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static float mean_load(const struct machine *m)
{
    double sum = 0;
    int n = 0;
    for (int i = 0; i < m->cores; i++)
        if (!isnan(m->load[i])) {
            sum += m->load[i];
            n++;
        }
    return n ? (float)(sum / n) : NAN;
}

void machine_read(struct machine *m, pid_t pid, double now, double every)
{
    if (m->at > 0 && now - m->at < every)
        return;
    double passed = now - m->at;
    read_cores(m, pid);
    uint64_t ticks = 0;
    m->cpu = NAN;
    m->rss = NAN;
    if (pid > 0 && read_ticks(pid, &ticks) == 0) {
        if (m->ticks && ticks >= m->ticks && passed > 0)
            m->cpu = (float)((double)(ticks - m->ticks) / (double)sysconf(_SC_CLK_TCK) / passed);
        m->rss = read_rss(pid);
        m->rss_most = m->rss > m->rss_most ? m->rss : m->rss_most;
    }
    m->ticks = ticks;
    m->at = now;
    int i = (int)(m->n++ % MACHINE_SAMPLES);
    m->sample[i].load = mean_load(m);
    m->sample[i].cpu = m->cpu;
}
