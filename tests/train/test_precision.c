// What trains faster is measured once and remembered; what is remembered is obeyed.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gpu/net.h"
#include "tests/kit/runs.h"
#include "train/methods/method.h"
#include "train/run/precision.h"
#include "train/store/remembered.h"

static struct lab lab;
static char file[200]; // what is remembered

static void open_lab(void)
{
    lab_open(&lab);
    snprintf(file, sizeof file, "%s/.cache/ssltop/precision", lab.dir);
}

static void close_lab(void)
{
    lab_close(&lab);
}

TestSuite(precision, .init = open_lab, .fini = close_lab, .timeout = 120);

static void keep(const char *key, double value)
{
    struct error e = {""};
    cr_assert(remembered_add("precision", key, &value, &e) == 0, "%s", e.text);
}

static double found(const char *key)
{
    double v = NAN;
    return remembered_find("precision", key, &v) ? v : NAN;
}

Test(precision, remembers)
{
    double again = 7;
    struct error e = {""};
    cr_expect(isnan(found("a b")));
    keep("a b", 1.25);
    keep("b", 3); // the end of another key
    cr_expect(found("a b") == 1.25 && found("b") == 3 && isnan(found("a")));
    cr_assert(remembered_add("precision", "a b", &again, &e) == 0);
    cr_expect(again == 1.25 && found("a b") == 1.25, "%g", again);
    for (int i = 0; i < 300; i++) {
        char key[32];
        snprintf(key, sizeof key, "number %d", i);
        keep(key, i);
    }
    cr_expect(isnan(found("a b")) && isnan(found("number 10")) && found("number 299") == 299 &&
              found("number 100") == 100);
}

Test(precision, damaged_file)
{
    static const char *const bad[] = {"",        "\n\n", "nonsense", "x a\n",
                                      "nan a\n", " a\n", "1.5 a",    "1e999 a\n"};
    keep("a", 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        FILE *f = fopen(file, "w");
        cr_assert(f && fputs(bad[i], f) >= 0 && fclose(f) == 0);
        double v = found("a");
        cr_expect(i == 6 ? v == 1.5 : isnan(v), "%s", bad[i]);
    }
    FILE *f = fopen(file, "w");
    cr_assert(f && fwrite("1 a\0\n2 a\n", 1, 9, f) == 9 && fclose(f) == 0);
    cr_expect(isnan(found("a")));
    keep("a", 4);
    cr_expect(found("a") == 4);
}

Test(precision, no_place)
{
    double v = 1;
    struct error e = {""};
    cr_assert(setenv("XDG_CACHE_HOME", "relative", 1) == 0 && unsetenv("HOME") == 0);
    cr_expect(remembered_add("precision", "a", &v, &e) == -1 && *e.text);
    cr_expect(remembered_find("precision", "a", &v) == 0);
}

static struct net small_net(void)
{
    struct options o;
    struct net net;
    struct error e = {""};
    options_default(&o);
    o.width = 4;
    cr_assert(method_resolve(&o, &e) == 0 && method_build(&o, 1, 12, 12, &net, &e) == 0, "%s",
              e.text);
    return net;
}

Test(precision, measured_once)
{
    struct device *d;
    struct precision_choice a, b;
    struct error e = {""};
    char key[REMEMBERED_KEY], other[REMEMBERED_KEY];
    struct net net = small_net();
    cr_assert(device_open("cpu", 1, &d, &e) == 0, "%s", e.text);
    cr_assert(precision_choose(d, &net, 16, &a, &e) == 0, "%s", e.text);
    if (device_info(d)->bf16 == BF16_NONE) {
        cr_expect(a.precision == PRECISION_F32 && isnan(a.gain));
    } else {
        cr_expect(a.gain > 0 && !a.remembered && !*a.why, "%g %s", a.gain, a.why);
        cr_expect_eq(a.precision, a.gain >= PRECISION_GAIN ? PRECISION_BF16 : PRECISION_F32);
        cr_assert(precision_choose(d, &net, 16, &b, &e) == 0);
        cr_expect(b.remembered && b.gain == a.gain && b.precision == a.precision);
        precision_key(device_info(d), &net, 17, key, sizeof key);
        keep(key, 1.2);
        cr_assert(precision_choose(d, &net, 17, &b, &e) == 0);
        cr_expect(b.remembered && b.precision == PRECISION_BF16);
        precision_key(device_info(d), &net, 18, key, sizeof key);
        keep(key, 1.05);
        cr_assert(precision_choose(d, &net, 18, &b, &e) == 0);
        cr_expect(b.remembered && b.precision == PRECISION_F32);
        net.node[1].k++; // another network
        precision_key(device_info(d), &net, 18, other, sizeof other);
        cr_expect_str_neq(key, other);
    }
    net_free(&net);
    device_close(d);
}

// What the run's own configuration says.
static const char *precision_of(const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s/config.ini", lab.dir, name);
    char *text = lab_text(path), *line = strstr(text, "precision = ");
    cr_assert_not_null(line, "%s", text);
    const char *word = strncmp(line + 12, "f32\n", 4) == 0    ? "f32"
                       : strncmp(line + 12, "bf16\n", 5) == 0 ? "bf16"
                                                              : "another";
    free(text);
    return word;
}

// A run says what it took, and one that goes on takes the same, whatever is remembered by then.
Test(precision, a_run_keeps_its_own)
{
    cr_assert_eq(RUN(&lab, "--data", "synthetic:64", "--width", "4", "--batch", "16", "--steps",
                     "4", "--threads", "1", "--name", "a", "--stop-at", "2"),
                 0);
    const char *was = precision_of("a"), *other = strcmp(was, "f32") == 0 ? "9" : "0.1";
    cr_expect(strcmp(was, "f32") == 0 || strcmp(was, "bf16") == 0, "%s", was);
    char command[300];
    snprintf(command, sizeof command, "sed -i 's/^[^ ]*/%s/' %s 2> /dev/null", other, file);
    cr_expect(system(command) != -1); // where it is not there, nothing was measured
    cr_assert_eq(RUN(&lab, "--resume", "a"), 0);
    cr_expect_str_eq(precision_of("a"), was);
}
