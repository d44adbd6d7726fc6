// Several processes with a card each, started by mpirun, on the stand-in for the card: they are as
// one; the same again and resumed is the same to the last bit; one that dies while cards add ends
// all; what is missing is said before the first step.
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/device.h"
#include "tests/kit/played.h"
#include "tests/kit/several.h"

// Small, for the stand-in is slow; from a network that has trained a little (on the CPU): there
// rounding stays small.
#define CARDS                                                                                      \
    "--data", "synthetic:64:12", "--width", "4", "--batch", "8", "--threads", "1", "--precision",  \
        "f32", "--eval-images", "16", "--probe-images", "20", "--device", "cuda", "--eval-share",  \
        "1"
#define CALM(init) CARDS, "--lr", "0.001", "--steps", "12", "--init", init

static void open_cards(struct lab *lab)
{
    several_need();
    played_open("plain");
    cr_assert(setenv("SSLTOP_NCCL", getenv("SSLTOP_CUDA"), 1) == 0); // it plays that too
    cr_assert(setenv("SSLTOP_PLAYED_CARDS", "4", 1) == 0);
    lab_open(lab);
}

static void finish(struct lab *lab, pid_t pid)
{
    int code = lab_wait(pid);
    cr_assert(code == 0, "%d: %s", code, lab_text(lab->out));
}

static void same_losses(const struct lab *lab, const char *a, const char *b)
{
    static const char *const key[] = {"loss", "zstd", "auc"};
    json_t *x = lab_log(lab, a), *y = lab_log(lab, b);
    for (int t = 0; t < 12; t++)
        for (size_t k = 0; k < sizeof key / sizeof *key; k++) {
            char name[32];
            snprintf(name, sizeof name, "step/%d", t);
            json_t *v[2] = {json_object_get(json_object_get(x, name), key[k]),
                            json_object_get(json_object_get(y, name), key[k])};
            if (k == 2 && (!json_is_number(v[0]) || !json_is_number(v[1])))
                continue; // the spectrum is computed beside the steps
            cr_assert(json_is_number(v[0]) && json_is_number(v[1]), "%s has no %s", name, key[k]);
            double want = json_number_value(v[0]), got = json_number_value(v[1]);
            cr_expect(fabs(got - want) <= 1e-6 * (1 + fabs(want)),
                      "%s of %s is %.9g in %s, not %.9g", key[k], name, got, b, want);
        }
    json_decref(x);
    json_decref(y);
}

Test(several, cards_are_as_one)
{
    struct lab lab;
    char init[128];
    open_cards(&lab);
    cr_assert(RUN(&lab, CARDS, "--device", "cpu", "--steps", "100", "--lr", "0.5", "--name", "base",
                  "--eval-every", "1000") == 0,
              "%s", lab_text(lab.out));
    snprintf(init, sizeof init, "%s/base/ckpt-100.safetensors", lab.dir);
    cr_assert(RUN(&lab, CALM(init), "--name", "one") == 0, "%s", lab_text(lab.out));
    finish(&lab, SEVERAL(&lab, 2, CALM(init), "--name", "two"));
    same_losses(&lab, "one", "two");
    finish(&lab, SEVERAL(&lab, 4, CALM(init), "--name", "four"));
    same_losses(&lab, "one", "four");
    lab_close(&lab);
}

// What is computed beside the steps comes when it comes: parameters are compared.
static void same_networks(struct lab *lab, const char *a, const char *b)
{
    char path[2][160];
    size_t n[2];
    char *text[2];
    const char *name[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        snprintf(path[i], sizeof path[i], "%s/%s/ckpt-8.safetensors", lab->dir, name[i]);
        FILE *f = fopen(path[i], "r");
        cr_assert(f && fseek(f, 0, SEEK_END) == 0, "%s is not there", path[i]);
        n[i] = (size_t)ftell(f);
        rewind(f);
        text[i] = malloc(n[i]);
        cr_assert(text[i] && fread(text[i], n[i], 1, f) == 1);
        fclose(f);
    }
    cr_expect(n[0] == n[1] && memcmp(text[0], text[1], n[0]) == 0, "%s and %s differ", a, b);
    free(text[0]);
    free(text[1]);
}

Test(several, cards_again_and_resumed)
{
    struct lab lab;
    open_cards(&lab);
#define WHOLE CARDS, "--steps", "8"
    finish(&lab, SEVERAL(&lab, 2, WHOLE, "--name", "a"));
    finish(&lab, SEVERAL(&lab, 2, WHOLE, "--name", "b"));
    same_networks(&lab, "a", "b");
    finish(&lab, SEVERAL(&lab, 2, WHOLE, "--name", "c", "--stop-at", "4"));
    finish(&lab, SEVERAL(&lab, 2, "--resume", "c"));
    same_networks(&lab, "a", "c");
    lab_close(&lab);
}

Test(several, a_card_that_dies_ends_all)
{
    struct lab lab;
    pid_t rank[2];
    open_cards(&lab);
    for (int k = 0; k < 2; k++) {
        const char *name = k ? "second" : "first";
        char path[160];
        pid_t pid = SEVERAL(&lab, 2, CARDS, "--steps", "100000", "--name", name);
        lab_ready(&lab, name, pid);
        several_find(&lab, pid, 2, rank);
        lab_until_step(&lab, name, 5);
        kill(rank[k], SIGKILL); // it goes on meanwhile: the other one waits for its sums
        cr_expect(lab_wait(pid) != 0);
        snprintf(path, sizeof path, "%s/%s/trainer.log", lab.dir, name);
        char *said = lab_text(lab.out), *log = lab_text(path);
        cr_expect(several_named(said, k), "%s", said);
        if (k && strstr(said, "is gone")) // rank 0 has written why it ended
            cr_expect(strstr(log, "rank 1 on ") && strstr(log, "is gone"), "%s", log);
        free(said);
        free(log);
    }
    lab_close(&lab);
}

// By what is called first in main: later a thread may look at the environment meanwhile.
Test(several, cards_are_told_their_algorithms)
{
    char *argv[] = {"ssltop", NULL};
    setenv("GOMP_SPINCOUNT", "1000", 1); // it is as it would be after its second start
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    setenv("OPENBLAS_CORETYPE", "Haswell", 0);
    unsetenv("NCCL_ALGO");
    device_prepare(argv);
    cr_expect_str_eq(getenv("NCCL_ALGO"), "Ring,Tree");
    setenv("NCCL_ALGO", "Tree", 1);
    device_prepare(argv);
    cr_expect_str_eq(getenv("NCCL_ALGO"), "Tree", "a person's choice stands");
}

Test(several, cards_say_what_they_lack)
{
    static const struct {
        const char *name, *value, *says;
    } rows[] = {
        {"SSLTOP_PLAYED_CARDS", "1", "ranks 0 and 1 on "},
        {"SSLTOP_NCCL", "/nowhere/libnccl.so.2", "several cards need NVIDIA's NCCL"},
    };
    struct lab lab;
    open_cards(&lab);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *before = strdup(getenv(rows[i].name));
        cr_assert(before && setenv(rows[i].name, rows[i].value, 1) == 0);
        cr_expect(lab_wait(SEVERAL(&lab, 2, CARDS, "--steps", "4", "--name", "no")) == 1);
        char *said = lab_text(lab.out);
        const char *first = strstr(said, rows[i].says);
        cr_expect(first && !strstr(first + 1, rows[i].says), "says: %s", said); // once
        cr_expect(!lab_exists(&lab, "no"));
        free(said);
        cr_assert(setenv(rows[i].name, before, 1) == 0);
        free(before);
    }
    lab_close(&lab);
}
