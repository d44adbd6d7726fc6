// Standard output that is closed, full, or a pipe that nobody reads: every command that prints says
// so and fails, in one sentence; of a training it says nothing, which ends as it ended.
#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/kit/imageset.h"
#include "tests/kit/logfile.h"
#include "tests/kit/runs.h"

#define RUN_010 "tests/fixtures/run-0.1.0"

static struct lab lab;

// The program as a shell starts it: its exit code, and what it said on standard error in lab.out.
static int shell(const char *words, const char *to)
{
    char line[1024];
    const char *program = getenv("SSLTOP");
    cr_assert_not_null(program);
    int n = snprintf(line, sizeof line, "{ %s %s 2>&3; echo $? >&4; } 3>%s 4>%s/code %s", program,
                     words, lab.out, lab.dir, to);
    cr_assert(n < (int)sizeof line);
    cr_assert(WIFEXITED(system(line)));
    snprintf(line, sizeof line, "%s/code", lab.dir);
    char *code = lab_text(line);
    int rc = atoi(code);
    free(code);
    return rc;
}

// A pipe without a reader: what is behind it ends before anything is written.
static const char *const lost[] = {">&-", ">/dev/full", "| { sleep 0; exec <&-; }"};
static const char *const why[] = {"Bad file descriptor", "No space left on device"};

static void says(const char *words, const char *to, const char *sentence, int lines)
{
    char *err = lab_text(lab.out);
    int n = 0;
    for (const char *c = err; *c; c++)
        n += *c == '\n';
    cr_expect(strstr(err, sentence) && !strstr(err, "Success"), "%s %s: %s", words, to, err);
    cr_expect(n == lines, "%s %s: %s", words, to, err);
    free(err);
}

Test(standard_output, a_command_that_cannot_print_fails)
{
    static const char *const words[] = {
        "--version",
        "help",
        "train --help",
        "train --print-config",
        "train --dry-run --data synthetic:256 --width 4 --threads 1",
        "metrics tests/fixtures/npy/f64-values.npy",
        "metrics --json tests/fixtures/npy/f64-values.npy",
        "completion bash",
        "log check " RUN_010,
        "export " RUN_010,
        "export " RUN_010 " -o -",
        "export " RUN_010 " --format svg",
        "export " RUN_010 " --format jsonl",
        "runs --runs tests/fixtures",
        "runs --json --runs tests/fixtures",
        "devices",
        "devices --json",
    };
    lab_open(&lab);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        for (int k = 0; k < 2; k++) {
            int rc = shell(words[i], lost[k]);
            cr_expect(rc == 1, "%s %s: %d", words[i], lost[k], rc);
            says(words[i], lost[k], "can't write", 1);
            says(words[i], lost[k], why[k], 1);
        }
    lab_close(&lab);
}

// Of more than a buffer the last write is not the first that fails.
Test(standard_output, the_reason_of_an_earlier_write)
{
    enum { VALUES = 3000 };
    static const char *const how[] = {"--spectrum", "--json --spectrum"};
    char path[96], words[160], head[129];
    static double value[VALUES];
    lab_open(&lab);
    for (int i = 0; i < VALUES; i++)
        value[i] = 1.0 / (3 + i);
    memcpy(head, "\x93NUMPY\1\0\x76\0", 10);
    snprintf(head + 10, sizeof head - 10, "%-117s\n",
             "{'descr': '<f8', 'fortran_order': False, 'shape': (3000,), }");
    snprintf(path, sizeof path, "%s/s.npy", lab.dir);
    FILE *f = fopen(path, "w");
    cr_assert(f && fwrite(head, 1, 128, f) == 128);
    cr_assert(fwrite(value, sizeof *value, VALUES, f) == VALUES && fclose(f) == 0);
    for (int i = 0; i < 2; i++) {
        snprintf(words, sizeof words, "metrics %s %s", how[i], path);
        cr_expect(shell(words, ">/dev/null") == 0, "%s", words);
        cr_expect(shell(words, lost[1]) == 1, "%s", words);
        says(words, lost[1], why[1], 1);
    }
    lab_close(&lab);
}

#define SMALL                                                                                      \
    "--data synthetic:64 --width 4 --batch 8 --threads 1 --eval-images 64 --probe-images 20"

// Commands that need a run, images or points, and outputs that are standard output.
Test(standard_output, outputs_of_a_run, .timeout = 300)
{
    static const char *const form[] = {
        "embed r --split train -o - --runs %s",
        "probe r --runs %s",
        "probe r --json --runs %s",
        "ctl r status --runs %s",
        "ctl --json r status --runs %s",
        "runs --runs %s",
        "log check r --runs %s",
        "log check r --json --runs %s",
        "log repair %s/r/run.jsonl.zst -o -",
        "export data/calibration/fashion-mnist-resnet18.json --format svg -o %.0s-",
        "export r --format reference --runs %s -o -",
        "pack images:%s/set -o - --size 16",
    };
    char words[256], set[96];
    lab_open(&lab);
    struct lab trainer = lab; // whose lines are none of the commands'
    strcat(trainer.out, ".trainer");
    snprintf(set, sizeof set, "%s/set", lab.dir);
    imageset_folder(set);
    imageset_split(set, "train", 2, 1);
    pid_t pid =
        START(&trainer, TINY, "--steps", "1000000", "--eval-every", "1000000", "--name", "r");
    lab_ready(&lab, "r", pid);
    cr_assert(lab_say(&lab, "r", "pause").ok);
    lab_until_paused(&lab, "r");
    cr_assert(lab_say(&lab, "r", "checkpoint").ok);
    for (size_t i = 0; i < sizeof form / sizeof *form; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(words, sizeof words, form[i], lab.dir);
#pragma GCC diagnostic pop
        int rc = shell(words, ">/dev/null");
        cr_expect(rc == 0, "%s: %d, %s", words, rc, lab_text(lab.out));
        rc = shell(words, lost[1]);
        cr_expect(rc == 1, "%s: %d", words, rc);
        says(words, lost[1], why[1], 1);
    }
    kill(pid, SIGTERM);
    lab_wait(pid);
    lab_close(&lab);
}

// Whoever looks at the first lines only is served, and nothing is said.
Test(standard_output, a_reader_may_leave)
{
    lab_open(&lab);
    int rc = shell("export " RUN_010, "| head -n 1 >/dev/null");
    cr_expect(rc == 0 || rc == 128 + 13, "%d", rc);
    says("export", "head", "", 0);
    lab_close(&lab);
}

Test(standard_output, a_training_ends_as_it_ended)
{
    char words[256];
    lab_open(&lab);
    for (int k = 0; k < 3; k++) {
        snprintf(words, sizeof words, "train --headless " SMALL " --steps 3 --runs %s --name r%d",
                 lab.dir, k);
        int rc = shell(words, lost[k]);
        cr_expect(rc == 0, "%s %s: %d", words, lost[k], rc);
        says(words, lost[k], "the training did not depend on it", 1);
        snprintf(words, sizeof words, "r%d", k);
        json_t *log = lab_log(&lab, words);
        cr_expect(json_object_get(log, "step/2") != NULL);
        json_decref(log);
    }
    lab_close(&lab);
}
