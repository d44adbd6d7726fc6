// Counters of /proc to loads. Differences between two looks; the first look has none.
#include "tui/machine.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Lines "cpuN user nice system idle iowait irq softirq steal ...".
static int read_cores(struct machine *m)
{
    FILE *f = fopen("/proc/stat", "re");
    if (!f)
        return 0;
    char line[512];
    int n = 0;
    while (n < MACHINE_CORES && fgets(line, sizeof line, f)) {
        unsigned long long v[8] = {0};
        int core;
        if (sscanf(line, "cpu%d %llu %llu %llu %llu %llu %llu %llu %llu", &core, &v[0], &v[1],
                   &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) < 5)
            continue;
        uint64_t all = 0, idle = v[3] + v[4];
        for (int i = 0; i < 8; i++)
            all += v[i];
        uint64_t busy = all - idle, d_all = all - m->all[n], d_busy = busy - m->busy[n];
        int known = m->at > 0 && all > m->all[n] && busy >= m->busy[n];
        m->load[n] = known ? (float)((double)d_busy / (double)d_all) : NAN;
        m->all[n] = all;
        m->busy[n++] = busy;
    }
    fclose(f);
    return n;
}

// utime + stime of a process, in clock ticks.
static int read_ticks(pid_t pid, uint64_t *ticks)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
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
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *f = fopen(path, "re");
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
    m->cores = read_cores(m);
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
