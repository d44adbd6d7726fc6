// Whole trainings on the stand-in for the card, and what a person is told where there is none.
#include <criterion/criterion.h>
#include <criterion/logging.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/kit/played.h"
#include "tests/kit/runs.h"

static double loss_of(json_t *log, int step)
{
    char key[32];
    snprintf(key, sizeof key, "step/%d", step);
    const json_t *loss = json_object_get(json_object_get(log, key), "loss");
    cr_assert(json_is_number(loss), "%s has no loss", key);
    return json_number_value(loss);
}

// The same training on both devices, a resumed one, and the sensors' record.
static void train(const char *method)
{
    struct lab lab;
    played_open("plain");
    played_sensors();
    lab_open(&lab);
#define SHORT TINY, "--method", method, "--steps", "6", "--lr", "0.1", "--eval-images", "16"
    cr_expect_eq(RUN(&lab, SHORT, "--device", "cpu", "--name", "cpu"), 0, "%s", lab_text(lab.out));
    cr_expect_eq(RUN(&lab, SHORT, "--device", "cuda", "--name", "card"), 0, "%s",
                 lab_text(lab.out));
    cr_expect_eq(RUN(&lab, SHORT, "--device", "cuda", "--name", "cut", "--stop-at", "3"), 0, "%s",
                 lab_text(lab.out));
    cr_expect_eq(RUN(&lab, "--resume", "cut"), 0, "%s", lab_text(lab.out));
    json_t *cpu = lab_log(&lab, "cpu"), *card = lab_log(&lab, "card"), *cut = lab_log(&lab, "cut");
    for (int t = 0; t < 6; t++) {
        double want = loss_of(cpu, t), got = loss_of(card, t);
        // A value of rounding size on the other side of a ReLU's edge changes a gradient by a whole
        // summand: from then on they part, on some processors and seeds by 1e-3 after a step.
        double within = t < 3 ? 1e-4 : 1e-2;
        cr_expect(fabs(want - got) < within * (1 + fabs(want)), "step %d: %.9g, the CPU's %.9g", t,
                  got, want);
        cr_expect(loss_of(cut, t) == got, "step %d: %.17g when resumed, not %.17g", t,
                  loss_of(cut, t), got);
    }
    const json_t *sensors = NULL, *o;
    const char *key;
    json_object_foreach(card, key, o) if (strncmp(key, "device/", 7) == 0) sensors = o;
    cr_expect(sensors, "there is no record of the sensors");
    cr_expect(json_number_value(json_object_get(sensors, "temperature")) == 64);
    cr_expect(json_integer_value(json_object_get(sensors, "others")) == 2);
    json_decref(cpu);
    json_decref(card);
    json_decref(cut);
    lab_close(&lab);
}

Test(cuda_run, simsiam)
{
    train("simsiam");
}

Test(cuda_run, byol)
{
    train("byol");
}

// Each reason is told as it is and ends with 1; "auto" trains on the CPU.
Test(cuda_run, without_a_card)
{
    static const struct {
        int code, version, major;
        const char *says;
    } rows[] = {
        {35, 0, 9, "ssltop: no NVIDIA driver is installed"},
        {35, 12040, 9, "ssltop: the NVIDIA driver is too old: it knows CUDA 12.4"},
        {100, 13000, 9, "ssltop: there is an NVIDIA driver, but no GPU that it can use"},
        {0, 13000, 7, "is of architecture sm_70; this ssltop needs sm_80 or later"},
    };
    const struct emu_control *c = played_open("plain");
    struct lab lab;
    lab_open(&lab);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        c->driver(rows[i].code, rows[i].version, rows[i].major);
        cr_expect_eq(RUN(&lab, TINY, "--steps", "1", "--device", "cuda"), 1);
        cr_expect(strstr(lab_text(lab.out), rows[i].says), "says: %s", lab_text(lab.out));
        cr_expect_eq(RUN(&lab, TINY, "--dry-run", "--device", "auto"), 0);
        cr_expect(strstr(lab_text(lab.out), " thread") && !strstr(lab_text(lab.out), "played"),
                  "says: %s", lab_text(lab.out));
    }
    cr_assert(setenv("SSLTOP_CUDA", "/nonexistent/ssltop-cuda.so", 1) == 0);
    cr_expect_eq(RUN(&lab, TINY, "--steps", "1", "--device", "cuda"), 1);
    cr_expect(strstr(lab_text(lab.out), "ssltop: ssltop-cuda.so cannot be loaded"), "says: %s",
              lab_text(lab.out));
    cr_expect_eq(RUN(&lab, TINY, "--dry-run", "--device", "auto"), 0);
    lab_close(&lab);
}

// A set of n + 10 images as CIFAR-10 comes, in five files and one.
static void write_cifar(const char *folder, int n)
{
    unsigned char record[3073];
    char path[256];
    for (int k = 0; k < 6; k++) {
        snprintf(path, sizeof path, k < 5 ? "%s/data_batch_%d.bin" : "%s/test_batch.bin", folder,
                 k + 1);
        FILE *f = fopen(path, "w");
        cr_assert(f, "%s cannot be written", path);
        for (int i = 0; i < (k < 5 ? n / 5 : 10); i++) {
            memset(record, (i * 37 + k) % 256, sizeof record);
            record[0] = (unsigned char)(i % 10);
            cr_assert(fwrite(record, sizeof record, 1, f) == 1);
        }
        cr_assert(fclose(f) == 0);
    }
}

// A card that is not there is planned for, and its memory told.
Test(cuda_run, dry_run_of_a_planned_card)
{
    const char *real = getenv("SSLTOP_CUDA_REAL");
    struct lab lab;
    if (!real)
        cr_skip_test("no CUDA toolkit was found by the build: no plans are made");
    cr_assert(setenv("SSLTOP_CUDA", real, 1) == 0);
    lab_open(&lab);
    char data[128], folder[96];
    snprintf(folder, sizeof folder, "%s/cifar", lab.dir);
    cr_assert(mkdir(folder, 0700) == 0);
    write_cifar(folder, 515);
    snprintf(data, sizeof data, "cifar10:%s", folder);
    cr_expect_eq(RUN(&lab, "--dry-run", "--data", data, "--device", "cuda:sm_90", "--width", "64",
                     "--batch", "512"),
                 0, "%s", lab_text(lab.out));
    double mb = 0;
    const char *text = lab_text(lab.out), *at = strstr(text, "512 features, ");
    cr_log_info("%s", text);
    cr_expect(at && sscanf(at, "512 features, %lf MB on the device", &mb) == 1, "says: %s", text);
    cr_expect(mb > 3000 && mb < 10000, "%g MB", mb);
    cr_expect_eq(RUN(&lab, TINY, "--steps", "1", "--device", "cuda:sm_90"), 1);
    cr_expect(strstr(lab_text(lab.out), "nothing to run on"), "says: %s", lab_text(lab.out));
    cr_expect_eq(RUN(&lab, TINY, "--dry-run", "--device", "cuda:sm_75"), 1);
    cr_expect(strstr(lab_text(lab.out), "there are: sm_80, sm_90"), "says: %s", lab_text(lab.out));
    lab_close(&lab);
}
