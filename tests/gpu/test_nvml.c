// The card's sensors, told by a stand-in for NVIDIA's library (tests/fake/nvml.c).
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gpu/nvml.h"

// The stand-in lies beside this program; `how` is what it does not do.
static void use_fake(const char *how)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
    cr_assert(n > 0);
    path[n] = '\0';
    strcpy(strrchr(path, '/'), "/fake/libnvidia-ml.so.1");
    cr_assert(access(path, R_OK) == 0, "%s is not there", path);
    cr_assert(setenv("SSLTOP_NVML", path, 1) == 0 && setenv("FAKE_NVML", how, 1) == 0);
}

static struct device_sensors sense(const char *how)
{
    struct device_sensors s;
    struct error e;
    use_fake(how);
    char driver[80];
    struct nvml *n = nvml_open("0000:17:00.0", driver, sizeof driver, &e);
    cr_assert(n, "%s", e.text);
    nvml_newest(n, &s);
    nvml_close(n);
    return s;
}

Test(nvml, tells_all_there_is)
{
    struct device_sensors s = sense("");
    cr_expect_eq(s.utilization, 97);
    cr_expect_eq(s.memory_used, 20e9);
    cr_expect_eq(s.memory_total, 85899345920.0);
    cr_expect_float_eq(s.power, 612.5, 1e-9);
    cr_expect_eq(s.power_limit, 700);
    cr_expect_eq(s.temperature, 64);
    cr_expect_eq(s.clock_sm, 1980);
    cr_expect_eq(s.clock_memory, 2619);
    cr_expect_eq(s.others, 2);
    cr_expect_eq(s.others_memory, 3e9);
    cr_expect_str_eq(s.others_text, "4000000001, 4000000003");
}

Test(nvml, what_a_card_does_not_tell_does_not_exist)
{
    struct device_sensors s = sense("power");
    cr_expect(isnan(s.power));
    cr_expect_eq(s.temperature, 64);
}

// More processes than are read are counted; where we are not among them they are not named.
Test(nvml, others)
{
    struct device_sensors s = sense("many");
    cr_expect_eq(s.others, 999);
    cr_expect(isnan(s.others_memory));
    s = sense("foreign");
    cr_expect_eq(s.others, 2);
    cr_expect(isnan(s.others_memory));
    cr_expect_str_eq(s.others_text, "");
}

Test(nvml, says_why_there_are_none)
{
    static const struct {
        const char *library, *how, *bus, *says;
    } rows[] = {
        {"/nonexistent/libnvidia-ml.so.1", "", "0000:17:00.0", "cannot open shared object"},
        {"libm.so.6", "", "0000:17:00.0", "has no nvmlInit_v2"},
        {NULL, "init", "0000:17:00.0", "does not start (code 9)"},
        {NULL, "", "0000:18:00.0", "does not know the card at 0000:18:00.0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error e = {""};
        use_fake(rows[i].how);
        if (rows[i].library)
            setenv("SSLTOP_NVML", rows[i].library, 1);
        char driver[80];
        cr_expect(nvml_open(rows[i].bus, driver, sizeof driver, &e) == NULL);
        cr_expect(strstr(e.text, rows[i].says), "says: %s", e.text);
    }
}

Test(nvml, driver_version)
{
    char text[80];
    struct error e;
    use_fake("");
    struct nvml *n = nvml_open("0000:17:00.0", text, sizeof text, &e);
    cr_expect_str_eq(text, "580.65.06");
    nvml_close(n);
    cr_expect_null(nvml_open("0000:18:00.0", text, sizeof text, &e));
    cr_expect_str_eq(text, "580.65.06", "it is told of a card that is not known too");
    setenv("SSLTOP_NVML", "/nonexistent", 1);
    cr_expect_null(nvml_open("0000:17:00.0", text, sizeof text, &e));
    cr_expect_str_eq(text, "");
}
