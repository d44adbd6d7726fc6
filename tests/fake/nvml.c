// A stand-in for NVIDIA's management library: one card at 0000:17:00.0, whose numbers a test knows.
// FAKE_NVML says what it does not do: "init", "power", "many", "foreign".
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
enum { OK = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, DRIVER_NOT_LOADED = 9 };

struct process {
    unsigned pid;
    unsigned long long memory;
    unsigned instance, compute_instance;
};
EXPORT int nvmlInit_v2(void);
EXPORT int nvmlShutdown(void);
EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, void **out);
EXPORT int nvmlSystemGetDriverVersion(char *text, unsigned size);
EXPORT int nvmlDeviceGetUtilizationRates(void *card, unsigned out[2]);
EXPORT int nvmlDeviceGetMemoryInfo(void *card, unsigned long long out[3]);
EXPORT int nvmlDeviceGetPowerUsage(void *card, unsigned *out);
EXPORT int nvmlDeviceGetEnforcedPowerLimit(void *card, unsigned *out);
EXPORT int nvmlDeviceGetTemperature(void *card, int sensor, unsigned *out);
EXPORT int nvmlDeviceGetClockInfo(void *card, int which, unsigned *out);
EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(void *card, unsigned *n, struct process *out);

static char the_card;

static int wants(const char *what)
{
    const char *set = getenv("FAKE_NVML");
    return set && strcmp(set, what) == 0;
}

int nvmlInit_v2(void)
{
    return wants("init") ? DRIVER_NOT_LOADED : OK;
}
int nvmlShutdown(void)
{
    return OK;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, void **out)
{
    *out = &the_card;
    return strcmp(bus, "0000:17:00.0") == 0 ? OK : NOT_FOUND;
}
int nvmlSystemGetDriverVersion(char *text, unsigned size)
{
    snprintf(text, size, "580.65.06");
    return OK;
}
int nvmlDeviceGetUtilizationRates(void *card, unsigned out[2])
{
    out[0] = 97;
    out[1] = 41;
    return card == &the_card ? OK : NOT_FOUND;
}
int nvmlDeviceGetMemoryInfo(void *card, unsigned long long out[3])
{
    out[0] = 85899345920ull;
    out[1] = 65899345920ull;
    out[2] = 20000000000ull;
    return card == &the_card ? OK : NOT_FOUND;
}
int nvmlDeviceGetPowerUsage(void *card, unsigned *out)
{
    *out = 612500;
    return wants("power") || card != &the_card ? NOT_SUPPORTED : OK;
}
int nvmlDeviceGetEnforcedPowerLimit(void *card, unsigned *out)
{
    *out = 700000;
    return card == &the_card ? OK : NOT_FOUND;
}
int nvmlDeviceGetTemperature(void *card, int sensor, unsigned *out)
{
    *out = 64;
    return card == &the_card && sensor == 0 ? OK : NOT_FOUND;
}
int nvmlDeviceGetClockInfo(void *card, int which, unsigned *out)
{
    *out = which == 1 ? 1980 : which == 2 ? 2619 : 0;
    return card == &the_card && *out ? OK : NOT_FOUND;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *card, unsigned *n, struct process *out)
{
    unsigned room = *n;
    *n = wants("many") ? 1000 : 3;
    if (card != &the_card || *n > room)
        return TOO_SMALL;
    out[0] = (struct process){4000000001u, 1000000000, 0, 0}; // no process has such a number
    out[1] =
        (struct process){wants("foreign") ? 4000000002u : (unsigned)getpid(), 17000000000, 0, 0};
    out[2] = (struct process){4000000003u, 2000000000, 0, 0};
    return OK;
}
