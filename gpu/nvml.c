// NVML without its header, which no toolkit brings: the eleven functions that are used, with their
// types as its documentation gives them (NVML API reference, r580).
#include "gpu/nvml.h"

#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/text.h"

enum { OK = 0, TOO_SMALL = 7 }; // NVML_SUCCESS, NVML_ERROR_INSUFFICIENT_SIZE
enum { TEMPERATURE_GPU = 0, CLOCK_SM = 1, CLOCK_MEMORY = 2 };
enum { PROCESSES = 64, PERIOD = 1 }; // PERIOD: seconds

typedef void *card;
struct utilization {
    unsigned gpu, memory;
};
struct room {
    unsigned long long total, free, used;
};
struct process {
    unsigned pid;
    unsigned long long memory; // all ones: not told
    unsigned instance, compute_instance;
};

// The functions by name; a driver that lacks one has no value of its kind.
struct calls {
    int (*init)(void);
    int (*shutdown)(void);
    int (*by_bus)(const char *bus, card *out);
    int (*driver_version)(char *text, unsigned size);
    int (*utilization)(card c, struct utilization *out);
    int (*memory)(card c, struct room *out);
    int (*power)(card c, unsigned *milliwatts);
    int (*power_limit)(card c, unsigned *milliwatts);
    int (*temperature)(card c, int sensor, unsigned *degrees);
    int (*clock)(card c, int which, unsigned *mhz);
    int (*processes)(card c, unsigned *n, struct process *out);
};
static const struct {
    const char *name;
    size_t at;
    int needed;
} names[] = {
    {"nvmlInit_v2", offsetof(struct calls, init), 1},
    {"nvmlShutdown", offsetof(struct calls, shutdown), 1},
    {"nvmlDeviceGetHandleByPciBusId_v2", offsetof(struct calls, by_bus), 1},
    {"nvmlSystemGetDriverVersion", offsetof(struct calls, driver_version), 0},
    {"nvmlDeviceGetUtilizationRates", offsetof(struct calls, utilization), 0},
    {"nvmlDeviceGetMemoryInfo", offsetof(struct calls, memory), 0},
    {"nvmlDeviceGetPowerUsage", offsetof(struct calls, power), 0},
    {"nvmlDeviceGetEnforcedPowerLimit", offsetof(struct calls, power_limit), 0},
    {"nvmlDeviceGetTemperature", offsetof(struct calls, temperature), 0},
    {"nvmlDeviceGetClockInfo", offsetof(struct calls, clock), 0},
    {"nvmlDeviceGetComputeRunningProcesses_v3", offsetof(struct calls, processes), 0},
};

struct nvml {
    void *library;
    struct calls call;
    card card;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int stop;
    struct device_sensors newest;
};

// --- the library ---
static void *load(struct calls *call, struct error *e)
{
    const char *set = getenv("SSLTOP_NVML");
    const char *path = set && set[0] ? set : "libnvidia-ml.so.1";
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    memset(call, 0, sizeof *call);
    if (!library) {
        const char *why = dlerror();
        error_set(e, "no sensors: %.300s", why ? why : path);
        return NULL;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *symbol = dlsym(library, names[i].name);
        memcpy((char *)call + names[i].at, &symbol, sizeof symbol);
        if (!symbol && names[i].needed) {
            error_set(e, "no sensors: %.200s has no %s", path, names[i].name);
            dlclose(library);
            return NULL;
        }
    }
    int rc = call->init();
    if (rc == OK)
        return library;
    error_set(e, "no sensors: NVML does not start (code %d)", rc);
    dlclose(library);
    return NULL;
}

static void unload(void *library, const struct calls *call)
{
    call->shutdown();
    dlclose(library);
}

// --- one look at the card ---
static double scaled(int rc, double value, double by)
{
    return rc == OK ? value * by : NAN;
}

static void look_at_numbers(const struct nvml *n, struct device_sensors *s)
{
    const struct calls *c = &n->call;
    struct utilization use = {0, 0};
    struct room memory = {0, 0, 0};
    unsigned v = 0;
    s->utilization = c->utilization ? scaled(c->utilization(n->card, &use), 1, 1) * use.gpu : NAN;
    int rc = c->memory ? c->memory(n->card, &memory) : -1;
    s->memory_used = scaled(rc, (double)memory.used, 1);
    s->memory_total = scaled(rc, (double)memory.total, 1);
    rc = c->power ? c->power(n->card, &v) : -1;
    s->power = scaled(rc, v, 1e-3);
    rc = c->power_limit ? c->power_limit(n->card, &v) : -1;
    s->power_limit = scaled(rc, v, 1e-3);
    rc = c->temperature ? c->temperature(n->card, TEMPERATURE_GPU, &v) : -1;
    s->temperature = scaled(rc, v, 1);
    rc = c->clock ? c->clock(n->card, CLOCK_SM, &v) : -1;
    s->clock_sm = scaled(rc, v, 1);
    rc = c->clock ? c->clock(n->card, CLOCK_MEMORY, &v) : -1;
    s->clock_memory = scaled(rc, v, 1);
}

// "python3 4711" where this machine knows the process, else its number.
static void add_name(char *text, size_t size, unsigned pid)
{
    char path[64], name[32] = "";
    size_t at = strlen(text);
    snprintf(path, sizeof path, "/proc/%u/comm", pid);
    FILE *f = fopen(path, "re");
    if (f) {
        if (!fgets(name, sizeof name, f))
            name[0] = '\0';
        fclose(f);
        name[strcspn(name, "\n")] = '\0';
    }
    if (text_item(text, size, ", ", "%s%s%u", name, name[0] ? " " : "", pid) < 0)
        text[at] = '\0'; // no half names
}

// Everybody on the card but this process. Where it is not among them, the driver counts processes
// in another namespace than ours (a container): one of them is us, and nobody is named.
static void look_at_others(const struct nvml *n, struct device_sensors *s)
{
    struct process p[PROCESSES];
    unsigned count = PROCESSES, self = (unsigned)getpid();
    int rc = n->call.processes ? n->call.processes(n->card, &count, p) : -1, found = 0;
    s->others = rc == OK || rc == TOO_SMALL ? count ? (int)count - 1 : 0 : -1;
    s->others_memory = NAN;
    s->others_text[0] = '\0';
    if (rc != OK || count > PROCESSES)
        return;
    for (unsigned i = 0; i < count; i++)
        found |= p[i].pid == self;
    if (!found)
        return;
    s->others_memory = 0;
    for (unsigned i = 0; i < count; i++) {
        if (p[i].pid == self)
            continue;
        s->others_memory += p[i].memory == ~0ull ? NAN : (double)p[i].memory;
        add_name(s->others_text, sizeof s->others_text, p[i].pid);
    }
}

// --- the thread ---
static struct device_sensors look(const struct nvml *n)
{
    struct device_sensors s;
    memset(&s, 0, sizeof s);
    look_at_numbers(n, &s);
    look_at_others(n, &s);
    return s;
}

static void *watch(void *argument)
{
    struct nvml *n = argument;
    pthread_mutex_lock(&n->lock);
    while (!n->stop) {
        double until = clock_seconds() + PERIOD;
        while (!n->stop && clock_wait(&n->wake, &n->lock, until) != ETIMEDOUT)
            ;
        if (n->stop)
            break;
        pthread_mutex_unlock(&n->lock);
        struct device_sensors now = look(n);
        pthread_mutex_lock(&n->lock);
        n->newest = now;
    }
    pthread_mutex_unlock(&n->lock);
    return NULL;
}

static int start_thread(struct nvml *n)
{
    if (pthread_cond_init(&n->wake, NULL))
        return -1;
    pthread_mutex_init(&n->lock, NULL);
    if (pthread_create(&n->thread, NULL, watch, n) == 0)
        return 0;
    pthread_mutex_destroy(&n->lock);
    pthread_cond_destroy(&n->wake);
    return -1;
}

struct nvml *nvml_open(const char *bus, char *driver, size_t size, struct error *e)
{
    char version[80] = "";
    driver[0] = '\0';
    struct nvml *n = calloc(1, sizeof *n);
    if (!n) {
        error_memory(e, "the sensors");
        return NULL;
    }
    if (!(n->library = load(&n->call, e))) {
        free(n);
        return NULL;
    }
    if (n->call.driver_version && n->call.driver_version(version, sizeof version) == OK)
        snprintf(driver, size, "%.79s", version);
    int rc = n->call.by_bus(bus, &n->card);
    if (rc == OK) {
        n->newest = look(n); // the first numbers are there at once
        if (start_thread(n) == 0)
            return n;
        error_set(e, "no sensors: no thread can be started");
    } else {
        error_set(e, "no sensors: NVML does not know the card at %.32s (code %d)", bus, rc);
    }
    unload(n->library, &n->call);
    free(n);
    return NULL;
}

void nvml_close(struct nvml *n)
{
    if (!n)
        return;
    pthread_mutex_lock(&n->lock);
    n->stop = 1;
    pthread_cond_signal(&n->wake);
    pthread_mutex_unlock(&n->lock);
    pthread_join(n->thread, NULL);
    pthread_mutex_destroy(&n->lock);
    pthread_cond_destroy(&n->wake);
    unload(n->library, &n->call);
    free(n);
}

void nvml_newest(struct nvml *n, struct device_sensors *out)
{
    pthread_mutex_lock(&n->lock);
    *out = n->newest;
    pthread_mutex_unlock(&n->lock);
}
