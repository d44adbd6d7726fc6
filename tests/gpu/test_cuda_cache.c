// What a card's clock chose is remembered from run to run, and nothing but that is believed.
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/kit/played.h"

static void in_file(const char *path, char *text, size_t size, int out)
{
    FILE *f = fopen(path, out ? "w" : "r");
    cr_assert(f, "%s cannot be opened", path);
    size_t n = out ? fwrite(text, 1, strlen(text), f) : fread(text, 1, size - 1, f);
    if (!out)
        text[n] = '\0';
    cr_assert(fclose(f) == 0);
}

// The file with every letter `from` made `to`, and its last line right again.
static void change_letters(char *text, char from, char to)
{
    uint64_t h = 14695981039346656037ull;
    char *last = strstr(text, "\nend ") + 1;
    for (char *c = text; c < last; c++)
        if (c[0] == '\n' && c > text + 2 && c[-1] == from && c[-2] == ' ')
            c[-1] = to;
    for (char *c = text; c < last; c++)
        h = (h ^ (unsigned char)*c) * 1099511628211ull;
    sprintf(last, "end %016llx\n", (unsigned long long)h);
}

static void algorithms_of(const uint8_t *p, char *algorithms, char *notice)
{
    struct played r;
    cr_assert(played_start(&r, "cuda", 1, p, PRECISION_F32) == 0, "%s", r.e.text);
    snprintf(algorithms, 256, "%s", strchr(plan_algorithms(r.plan), ':') + 1);
    snprintf(notice, 256, "%s", plan_notice(r.plan));
    played_finish(&r);
}

Test(cuda, remembers_what_was_clocked)
{
    const struct emu_control *c = played_open("plain");
    char folder[] = "/tmp/ssltop-cache-XXXXXX", path[512], text[8192], word[256], notice[256];
    uint8_t *p = played_pixels(1);
    cr_assert(mkdtemp(folder) && setenv("XDG_CACHE_HOME", folder, 1) == 0);
    algorithms_of(p, word, notice);
    cr_expect_str_eq(notice, "");
    cr_expect(strspn(word, "c") == strlen(word), "chosen: %s", word);
    snprintf(path, sizeof path, "%s/ssltop/plans-a_card_played_by_the_host-sm_90-cudnn%d", folder,
             (int)c->cudnn());
    in_file(path, text, sizeof text, 0);
    cr_expect(strncmp(text, "ssltop-plans 1 ", 15) == 0 &&
                  strstr(text, "\nforward f32 8 1 12 12 8 "),
              "the file has: %s", text);

    // What it says is done,
    change_letters(text, 'c', 'd');
    in_file(path, text, 0, 1);
    algorithms_of(p, word, notice);
    cr_expect_str_eq(notice, "");
    cr_expect(strspn(word, "d") == strlen(word), "not obeyed: %s", word);
    // but no engine that rounds f32 (b) is taken, none that sums in any order (a), none that cannot
    // (e), and none that there is not: the clock is asked again,
    for (const char *wrong = "baeZ"; *wrong; wrong++) {
        in_file(path, text, sizeof text, 0);
        change_letters(text, *wrong == 'b' ? 'd' : 'c', *wrong);
        in_file(path, text, 0, 1);
        algorithms_of(p, word, notice);
        cr_expect(strspn(word, "c") == strlen(word), "%c: %s", *wrong, word);
    }
    // and nothing of a file that is not whole.
    in_file(path, text, sizeof text, 0);
    const char *end = text + strlen(text);
    static const char *const hostile[] = {"", "\n", "ssltop-plans 1 another card\n", "end 0\n"};
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        in_file(path, (char *)hostile[i], 0, 1);
        algorithms_of(p, word, notice);
        cr_expect(strstr(notice, "is damaged and passed over"), "says: %s", notice);
    }
    for (int cut = 1; cut < 40; cut++) {
        char *at = strdup(text);
        cr_assert(at);
        at[end - text - cut] = '\0';
        in_file(path, at, 0, 1);
        free(at);
        algorithms_of(p, word, notice);
        cr_expect(strstr(notice, "is damaged and passed over"), "%d cut off: %s", cut, notice);
    }
    char *number = strstr(text, " 12 12 ");
    cr_assert(number);
    memcpy(number, " 12 -2 ", 7);
    change_letters(text, 'c', 'c');
    in_file(path, text, 0, 1);
    algorithms_of(p, word, notice);
    cr_expect(strstr(notice, "is damaged and passed over"), "says: %s", notice);
    // Each time it was written anew.
    algorithms_of(p, word, notice);
    cr_expect_str_eq(notice, "");
    cr_expect(c->live() == 0, "%ld objects are left", c->live());
    cr_assert(unlink(path) == 0);
    *strrchr(path, '/') = '\0';
    cr_assert(rmdir(path) == 0 && rmdir(folder) == 0, "files are left in %s", folder);
    free(p);
}

// What a run recorded comes before what is remembered.
Test(cuda, a_recorded_run_does_not_ask_the_cache)
{
    played_open("plain");
    char folder[] = "/tmp/ssltop-cache-XXXXXX";
    uint8_t *p = played_pixels(1);
    struct played r;
    struct plan *again;
    char algorithms[256];
    cr_assert(mkdtemp(folder) && setenv("XDG_CACHE_HOME", folder, 1) == 0);
    cr_assert(played_start(&r, "cuda", 1, p, PRECISION_F32) == 0, "%s", r.e.text); // remembers c
    snprintf(algorithms, sizeof algorithms, "%s", plan_algorithms(r.plan));
    for (char *at = strchr(algorithms, ':') + 1; *at; at++)
        *at = 'd';
    struct plan_options o = {.batch = BATCH, .algorithms = algorithms};
    cr_assert(device_compile(r.device, &r.net, &o, &again, &r.e) == 0, "%s", r.e.text);
    cr_expect_str_eq(plan_algorithms(again), algorithms);
    plan_free(again);
    played_finish(&r);
    free(p);
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert(system(command) == 0);
}

Test(cuda, says_when_it_cannot_remember)
{
    played_open("plain"); // no folder can be made where it puts the files
    uint8_t *p = played_pixels(1);
    char word[256], notice[256];
    algorithms_of(p, word, notice);
    cr_expect(strstr(notice, "is not remembered: /dev/null/ssltop: "), "says: %s", notice);
    free(p);
}
