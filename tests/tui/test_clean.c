// Whatever a file, a folder or a run is called: its control characters reach no terminal.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "metrics/base/output.h"
#include "tests/kit/runs.h"
#include "tests/kit/say.h"

#define BAD "x\x1b]0;owned\a\x7f"
enum { CIFAR_RECORD = 3073, IMAGES = 8 };

static void expect_clean(const char *text, const char *whose)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        cr_expect((*c >= ' ' && *c != 0x7f) || *c == '\n', "%s has the character %02x: %s", whose,
                  *c, text);
}

static void expect_clean_out(const struct lab *lab, const char *whose)
{
    char *text = lab_text(lab->out);
    cr_expect(*text, "%s said nothing", whose);
    expect_clean(text, whose);
    free(text);
}

static void put_cifar(const char *dir)
{
    static const char *const names[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                        "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};
    unsigned char record[CIFAR_RECORD];
    char path[256];
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[k]);
        FILE *f = fopen(path, "w");
        cr_assert(f);
        for (size_t i = 0; i < IMAGES; i++) {
            for (size_t j = 0; j < sizeof record; j++)
                record[j] = (unsigned char)(31 * j + 7 * i + 3 * k);
            record[0] = (unsigned char)(i % 10);
            cr_assert(fwrite(record, sizeof record, 1, f) == 1);
        }
        cr_assert(fclose(f) == 0);
    }
}

#define SMALL                                                                                      \
    "--data", "cifar10:lnk", "--width", "4", "--batch", "8", "--threads", "1", "--precision",      \
        "f32", "--steps", "4", "--eval-images", "16"

// A name behind a link is kept as the link's, so that it can be recorded, shown and resumed.
Test(clean, a_link_to_any_name)
{
    struct lab lab;
    char dir[128], lnk[128];
    lab_open(&lab);
    snprintf(dir, sizeof dir, "%s/" BAD, lab.dir);
    snprintf(lnk, sizeof lnk, "%s/lnk", lab.dir);
    cr_assert(mkdir(dir, 0700) == 0 && symlink(dir, lnk) == 0 && chdir(lab.dir) == 0);
    put_cifar(dir);
    cr_assert(RUN(&lab, SMALL, "--dry-run") == 0, "%s", lab_text(lab.out));
    expect_clean_out(&lab, "--dry-run");
    char *text = lab_text(lab.out);
    cr_expect(strstr(text, "/lnk"), "%s", text);
    free(text);
    cr_assert(RUN(&lab, SMALL, "--stop-at", "2", "--name", "a") == 0, "%s", lab_text(lab.out));
    expect_clean_out(&lab, "--headless");
    cr_assert(chdir("/") == 0); // the place was recorded in full
    cr_assert(RUN(&lab, "--resume", "a") == 0, "%s", lab_text(lab.out));
    expect_clean_out(&lab, "--resume");
    struct said s = SAY("runs", "--runs", lab.dir);
    cr_expect(s.code == 0 && strstr(s.out, "/lnk"), "%s%s", s.out, s.err);
    expect_clean(s.out, "runs");
    said_free(&s);
    s = SAY("probe", "a", "--runs", lab.dir, "--threads", "1");
    expect_clean(s.out, "probe");
    expect_clean(s.err, "probe's messages");
    said_free(&s);
    lab_close(&lab);
}

// What commands are given, and find, is told without what a terminal would obey.
Test(clean, runs_and_files_of_any_name)
{
    static const char *const command[][4] = {
        {"runs"},
        {"runs", "--json"},
        {"probe", BAD},
        {"metrics", BAD ".npy"},
        {"export", BAD},
        {"log", "check", BAD},
        {"replay", BAD},
        {"embed", BAD, "-o", "/nowhere/" BAD},
        {"fit", BAD},
        {"attach", BAD},
        {"ctl", BAD, "stop"},
        {"train", "--resume", BAD},
        {"train", "--data", BAD},
        {"train", "--recipe", BAD},
    };
    struct lab lab;
    char from[128], to[128];
    lab_open(&lab);
    cr_assert(RUN(&lab, TINY, "--steps", "2", "--name", "a") == 0, "%s", lab_text(lab.out));
    snprintf(from, sizeof from, "%s/a", lab.dir);
    snprintf(to, sizeof to, "%s/" BAD, lab.dir);
    cr_assert(rename(from, to) == 0 && setenv("SSLTOP_RUNS", lab.dir, 1) == 0);
    for (size_t i = 0; i < sizeof command / sizeof *command; i++) {
        const char *word[5] = {NULL};
        memcpy(word, command[i], sizeof command[i]);
        struct said s = say(0, word);
        cr_expect(*s.out || *s.err, "%s says nothing", word[0]);
        expect_clean(s.err, word[0]);
        if (strcmp(word[0], "export") != 0) // a table is for a file
            expect_clean(s.out, word[0]);
        said_free(&s);
    }
    lab_close(&lab);
}

// trainer.log is looked at with cat.
Test(clean, notes)
{
    struct lab lab;
    char path[128];
    lab_open(&lab);
    snprintf(path, sizeof path, "%s/log", lab.dir);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    cr_assert(fd >= 0);
    output_log(fd, 0, "what a file %s said", BAD "\nsecond");
    close(fd);
    char *text = lab_text(path);
    expect_clean(text, "note");
    cr_expect(strchr(text, '\n') == text + strlen(text) - 1, "one line: %s", text);
    cr_expect(strstr(text, "what a file x?"), "%s", text);
    free(text);
    lab_close(&lab);
}
