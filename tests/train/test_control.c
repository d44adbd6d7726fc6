// The words of the control protocol, typed and as JSON, among them hostile ones.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "train/wire/control.h"

Test(control, typed)
{
    static const struct {
        const char *text;
        enum command command;
        enum mode mode;
        const char *at;
        int chunks;
        double factor;
    } good[] = {
        {"pause", COMMAND_PAUSE, MODE_NONE, "", 0, 1},
        {"  step \n", COMMAND_STEP, MODE_NONE, "", 0, 1},
        {"mode continual", COMMAND_MODE, MODE_CONTINUAL, "", 0, 1},
        {"mode cumulative@12", COMMAND_MODE, MODE_CUMULATIVE, "", 12, 1},
        {"lr 0.5x", COMMAND_LR, MODE_NONE, "", 0, 0.5},
        {"lr 2", COMMAND_LR, MODE_NONE, "", 0, 2},
        {"until 40% then multi-epoch", COMMAND_UNTIL, MODE_MULTI_EPOCH, "40%", 0, 1},
        {"until 1872 then continual@3", COMMAND_UNTIL, MODE_CONTINUAL, "1872", 3, 1},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct command_call c;
        struct error e = {{0}};
        cr_assert(command_parse_text(good[i].text, &c, &e) == 0, "%s: %s", good[i].text, e.text);
        cr_assert(c.command == good[i].command && c.chunks == good[i].chunks, "%s", good[i].text);
        cr_assert(c.factor == good[i].factor);
        cr_assert_eq(c.mode, good[i].mode);
        cr_assert_str_eq(c.at, good[i].at);
        // Through JSON and back it is the same call.
        struct command_call d;
        char *line = command_to_json(&c);
        cr_assert(line && !strchr(line, '\n'));
        cr_assert(command_parse_json(line, strlen(line), &d, &e) == 0, "%s: %s", line, e.text);
        cr_assert(d.command == c.command && d.chunks == c.chunks && d.factor == c.factor);
        cr_assert_eq(d.mode, c.mode);
        cr_assert_str_eq(d.at, c.at);
        cr_assert_str_eq(d.by, c.by);
        free(line);
    }
}

Test(control, typed_nonsense)
{
    static const char *const bad[] = {
        "",
        "   ",
        "dance",
        "pause now",
        "mode",
        "mode x",
        "mode continual cumulative",
        "mode continual@",
        "mode continual@0",
        "mode continual@-1",
        "mode continual@2x",
        "mode continual@99999999999",
        "lr",
        "lr x",
        "lr 0",
        "lr -1",
        "lr nan",
        "lr inf",
        "lr 1e9",
        "until",
        "until 40%",
        "until 40% multi-epoch",
        "until 40% then",
        "until 140% then continual",
        "until -1 then continual",
        "until 1.5 then continual",
        "until 40%% then continual",
        "until nan then continual",
        "a b c d e f g h",
        "mode \x1b[31m",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct command_call c;
        struct error e = {{0}};
        cr_assert(command_parse_text(bad[i], &c, &e) == -1, "'%s' was taken", bad[i]);
        cr_assert(e.text[0] && !strchr(e.text, '\x1b'), "'%s' needs a sentence", bad[i]);
    }
    char longest[1000];
    struct command_call c;
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    cr_assert(command_parse_text(longest, &c, NULL) == -1);
}

Test(control, json)
{
    static const char line[] = "{\"id\":7,\"by\":\"key\",\"cmd\":\"mode\",\"mode\":\"continual\","
                               "\"chunks\":5,\"more\":[1]}";
    struct command_call c;
    struct error e = {{0}};
    cr_assert(command_parse_json(line, strlen(line), &c, &e) == 0, "%s", e.text);
    cr_assert(c.id == 7 && c.command == COMMAND_MODE && c.chunks == 5);
    cr_assert_str_eq(c.by, "key");
    cr_assert_eq(c.mode, MODE_CONTINUAL);
    static const char until[] = "{\"cmd\":\"until\",\"at\":12,\"mode\":\"continual\"}";
    cr_assert(command_parse_json(until, strlen(until), &c, &e) == 0, "%s", e.text);
    cr_assert_str_eq(c.at, "12");
    // Nobody becomes the guard or the plan by saying so.
    static const char guard[] = "{\"cmd\":\"pause\",\"by\":\"guard\"}";
    cr_assert(command_parse_json(guard, strlen(guard), &c, &e) == 0);
    cr_assert_str_eq(c.by, "ctl");
}

Test(control, json_nonsense)
{
    static const char *const bad[] = {
        "",
        "null",
        "[]",
        "\"pause\"",
        "{",
        "{\"cmd\":\"pause\"",
        "{\"cmd\":\"pause\"} x",
        "{\"cmd\":\"pause\",\"cmd\":\"stop\"}",
        "{\"cmd\":1}",
        "{\"cmd\":\"dance\"}",
        "{\"cmd\":\"mode\"}",
        "{\"cmd\":\"mode\",\"mode\":3}",
        "{\"cmd\":\"mode\",\"mode\":\"continual\",\"chunks\":-1}",
        "{\"cmd\":\"mode\",\"mode\":\"continual\",\"chunks\":1e99}",
        "{\"cmd\":\"mode\",\"mode\":\"continual\",\"chunks\":99999999999}",
        "{\"cmd\":\"lr\",\"factor\":\"2\"}",
        "{\"cmd\":\"lr\",\"factor\":1e400}",
        "{\"cmd\":\"lr\",\"factor\":0}",
        "{\"cmd\":\"until\",\"mode\":\"continual\"}",
        "{\"cmd\":\"until\",\"at\":-5,\"mode\":\"continual\"}",
        "{\"cmd\":\"pause\\u0000\"}",
        "{\"cmd\":\"\xff\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct command_call c;
        struct error e = {{0}};
        cr_assert(command_parse_json(bad[i], strlen(bad[i]), &c, &e) == -1, "%s was taken", bad[i]);
        cr_assert(e.text[0], "%s needs a sentence", bad[i]);
    }
    char deep[5000];
    struct command_call c;
    memset(deep, '[', sizeof deep);
    cr_assert(command_parse_json(deep, sizeof deep, &c, NULL) == -1);
}

Test(control, answers)
{
    struct answer a, b;
    struct error e = {{0}};
    answer_init(&a, 9);
    a.ok = 1;
    a.step = 1284;
    a.paused = 0;
    strcpy(a.text, "continual \"from\" step\n1284 \xff");
    char *line = answer_to_json(&a);
    cr_assert(line && !strchr(line, '\n'));
    cr_assert(answer_parse(line, strlen(line), &b, &e) == 1, "%s", e.text);
    cr_assert(b.id == 9 && b.ok == 1 && b.step == 1284 && b.lines == -1 && b.paused == 0);
    cr_assert_str_eq(b.text, "continual \"from\" step?1284 ?");
    free(line);
    static const char record[] = "{\"type\":\"step\",\"step\":3}", broken[] = "{\"type\":";
    cr_assert(answer_parse(record, strlen(record), &b, &e) == 0);
    cr_assert(answer_parse(broken, strlen(broken), &b, &e) == -1);
    cr_assert(control_connect("/nowhere", 0, &e) == -1);
    cr_assert_str_eq(e.text, "no trainer is running /nowhere");
}
