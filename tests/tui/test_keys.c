// What keys do, and what goes out to the trainer.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/desk.h"

Test(keys, no_key_twice_in_a_context)
{
    for (const struct action *a = action_table; a->keys; a++)
        for (const struct action *b = a; b->keys; b++)
            for (int i = 0; i < 3; i++)
                for (int j = a == b ? i + 1 : 0; j < 3; j++)
                    cr_assert(a->context != b->context || !a->key[i] || a->key[i] != b->key[j],
                              "%s and %s", a->keys, b->keys);
}

Test(keys, commands_go_out_as_typed)
{
    static const struct {
        const char *keys;
        enum command command;
    } rows[] = {{"n", COMMAND_STEP}, {"e", COMMAND_EVAL}, {"c", COMMAND_CHECKPOINT}};
    struct desk d;
    desk_open(&d, 50);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        desk_type(&d, rows[i].keys);
        cr_assert_eq(d.sent.n, (int)i + 1);
        cr_assert_eq(d.sent.last.command, rows[i].command);
        cr_assert_str_eq(d.sent.last.by, "key");
    }
    scene_free(&d.t);
}

Test(keys, space_pauses_and_resumes_before_the_answer)
{
    struct desk d;
    desk_open(&d, 50);
    desk_type(&d, " ");
    cr_assert_eq(d.sent.last.command, COMMAND_PAUSE);
    desk_type(&d, " ");
    cr_assert_eq(d.sent.last.command, COMMAND_RESUME);
    struct answer no = {.ok = 0, .text = "why not"};
    action_answer(&d.ui, &no);
    cr_assert_str_eq(d.t.v.message.text, "refused: why not");
    scene_event(&d.t, 50, "pause", "ctl", "", "", "");
    desk_type(&d, " ");
    cr_assert_eq(d.sent.last.command, COMMAND_RESUME);
    scene_free(&d.t);
}

Test(keys, mode_menu)
{
    struct desk d;
    desk_open(&d, 50);
    desk_type(&d, "m");
    cr_assert_eq(d.t.v.context, CONTEXT_MENU);
    cr_assert_eq(d.t.v.menu_row, MODE_CONTINUAL, "the menu opens on the mode that holds");
    action_key(&d.ui, KEYS_DOWN);
    action_key(&d.ui, KEYS_ENTER);
    cr_assert_eq(d.t.v.context, CONTEXT_MAIN);
    cr_assert_eq(d.sent.last.command, COMMAND_MODE);
    cr_assert_eq(d.sent.last.mode, MODE_CUMULATIVE);
    desk_type(&d, "m1");
    cr_assert_eq(d.sent.last.mode, MODE_MULTI_EPOCH);
    desk_type(&d, "m");
    action_key(&d.ui, KEYS_ESCAPE);
    cr_assert_eq(d.t.v.context, CONTEXT_MAIN);
    cr_assert_eq(d.sent.n, 2);
    scene_free(&d.t);
}

Test(keys, menu_says_what_each_mode_would_do)
{
    struct desk d;
    char text[128];
    desk_open(&d, 50);
    schedule_view_what_if(&d.t.schedule, MODE_MULTI_EPOCH, 2340, text, sizeof text);
    cr_assert_str_eq(text, "60 000 images, 5.0 passes left");
    schedule_view_what_if(&d.t.schedule, MODE_CONTINUAL, 2340, text, sizeof text);
    cr_assert_str_eq(text, "chunk 11/20, 3 000 images, 10.0 passes left");
    schedule_view_what_if(&d.t.schedule, MODE_CUMULATIVE, 2340, text, sizeof text);
    cr_assert_str_eq(text, "chunk 11/20, 33 000 images, 0.9 passes left");
    scene_free(&d.t);
}

Test(keys, quit_asks)
{
    struct desk d;
    desk_open(&d, 50);
    cr_assert_eq(desk_type(&d, "q"), 0);
    cr_assert_eq(d.t.v.context, CONTEXT_QUIT);
    action_key(&d.ui, KEYS_ESCAPE);
    cr_assert_eq(d.t.v.context, CONTEXT_MAIN);
    cr_assert_eq(desk_type(&d, "ql"), UI_LEAVE);
    d.t.v.context = CONTEXT_MAIN;
    cr_assert_eq(desk_type(&d, "qs"), UI_STOP);
    cr_assert_eq(d.sent.n, 1);
    cr_assert_eq(d.sent.last.command, COMMAND_STOP);
    d.t.v.link.state = LINK_LOST;
    d.t.v.link.can_steer = 0;
    cr_assert_eq(desk_type(&d, "q"), UI_LEAVE, "nothing to ask when no trainer runs");
    cr_assert_eq(desk_type(&d, "d"), UI_LEAVE);
    scene_free(&d.t);
}

Test(keys, command_line)
{
    struct desk d;
    desk_open(&d, 50);
    desk_type(&d, ":lr 0.5x");
    cr_assert_eq(d.sent.n, 0);
    action_key(&d.ui, KEYS_ENTER);
    cr_assert_eq(d.sent.n, 1);
    cr_assert_eq(d.sent.last.command, COMMAND_LR);
    cr_assert_float_eq(d.sent.last.factor, 0.5, 0);
    desk_type(&d, ":until 40% then multi-epoch");
    action_key(&d.ui, KEYS_ENTER);
    cr_assert_eq(d.sent.last.command, COMMAND_UNTIL);
    desk_type(&d, ":");
    action_key(&d.ui, KEYS_UP);
    action_key(&d.ui, KEYS_UP);
    cr_assert_str_eq(d.t.v.line.text, "lr 0.5x");
    action_key(&d.ui, KEYS_DOWN);
    cr_assert_str_eq(d.t.v.line.text, "until 40% then multi-epoch");
    action_key(&d.ui, KEYS_ESCAPE);
    cr_assert_eq(d.sent.n, 2);
    scene_free(&d.t);
}

// What a viewer asks for by itself would bring every line twice.
Test(keys, watching_is_not_asked_for_again)
{
    struct desk d;
    desk_open(&d, 50);
    desk_type(&d, ":watch");
    cr_assert_eq(action_key(&d.ui, KEYS_ENTER), 0);
    cr_assert_eq(d.sent.n, 0);
    cr_assert_not_null(strstr(d.t.v.message.text, "already"));
    desk_type(&d, ":status");
    action_key(&d.ui, KEYS_ENTER);
    cr_assert_eq(d.sent.last.command, COMMAND_STATUS);
    scene_free(&d.t);
}

// ":" with nonsense: a message, nothing else.
Test(keys, nonsense_is_a_message)
{
    struct desk d;
    desk_open(&d, 50);
    char *before = scene_text(&d.t, 24, 80);
    desk_type(&d, ":frobnicate 7");
    cr_assert_eq(action_key(&d.ui, KEYS_ENTER), 0);
    cr_assert_eq(d.sent.n, 0);
    cr_assert_eq(d.t.v.context, CONTEXT_MAIN);
    cr_assert_not_null(strstr(d.t.v.message.text, "frobnicate"));
    action_key(&d.ui, KEYS_ESCAPE);
    char *after = scene_text(&d.t, 24, 80);
    cr_assert_str_eq(after, before);
    free(before);
    free(after);
    scene_free(&d.t);
}

Test(keys, editing_utf8)
{
    struct desk d;
    desk_open(&d, 50);
    desk_type(&d, ":ac");
    action_key(&d.ui, KEYS_LEFT);
    action_key(&d.ui, 0xE9);
    action_key(&d.ui, 0x732B);
    cr_assert_str_eq(d.t.v.line.text, "a\u00e9\u732bc");
    action_key(&d.ui, KEYS_BACKSPACE);
    action_key(&d.ui, KEYS_LEFT);
    action_key(&d.ui, KEYS_DELETE);
    cr_assert_str_eq(d.t.v.line.text, "ac");
    action_key(&d.ui, KEYS_HOME);
    action_key(&d.ui, KEYS_DELETE);
    action_key(&d.ui, KEYS_END);
    action_key(&d.ui, KEYS_BACKSPACE);
    cr_assert_str_eq(d.t.v.line.text, "");
    action_key(&d.ui, KEYS_BACKSPACE);
    cr_assert_eq(d.t.v.context, CONTEXT_MAIN);
    desk_type(&d, ":");
    for (int i = 0; i < 2 * LINE_SIZE; i++)
        action_key(&d.ui, 0x1F40D);
    cr_assert(d.t.v.line.len < LINE_SIZE && d.t.v.line.len % 4 == 0);
    scene_free(&d.t);
}

Test(keys, a_trainer_that_is_gone_is_a_message)
{
    struct desk d;
    desk_open(&d, 50);
    d.sent.refuse = 1;
    desk_type(&d, "e");
    cr_assert_str_eq(d.t.v.message.text, "the trainer went away");
    cr_assert_eq(desk_type(&d, "qs"), 0, "a stop that cannot be sent does not leave");
    d.t.v.link.can_steer = 0;
    desk_type(&d, " ");
    cr_assert_eq(d.t.v.link.asked_pause, -1);
    scene_free(&d.t);
}

// However narrow the bar, the ways out are in it.
Test(keys, function_bar)
{
    struct desk d;
    desk_open(&d, 50);
    for (int w = 80; w < 200; w += 5) {
        char *text = scene_text(&d.t, 24, w);
        const char *bar = strrchr(text, '\n');
        while (bar > text && bar[-1] != '\n')
            bar--;
        static const char *const must[] = {"? Help", "m Mode", "Space Pause", "d Detach", "q Quit"};
        for (size_t i = 0; i < sizeof must / sizeof *must; i++)
            cr_assert_not_null(strstr(bar, must[i]), "%s at %d columns: %s", must[i], w, bar);
        free(text);
    }
    scene_free(&d.t);
}

// Every key of the table at every context, in any order, on every state of the trainer.
Test(keys, any_key_anywhere)
{
    struct desk d;
    desk_open(&d, 50);
    uint32_t x = 1;
    for (int i = 0; i < 20000; i++) {
        x = x * 1664525 + 1013904223;
        static const uint32_t odd[] = {KEYS_UP,        KEYS_DOWN, KEYS_ENTER, KEYS_ESCAPE,
                                       KEYS_PAGE_DOWN, KEYS_F1,   KEYS_TAB};
        uint32_t key = x >> 28 < 5 ? odd[(x >> 16) % 7] : (x >> 16) % 300;
        d.t.v.link.can_steer = x >> 12 & 1;
        action_key(&d.ui, key);
        cr_assert(d.t.v.view >= 0 && d.t.v.view < VIEW_COUNT);
        cr_assert(d.t.v.context < CONTEXT_COUNT);
        cr_assert(d.t.v.menu_row >= 0 && d.t.v.menu_row < MODE_COUNT);
        if (i % 50 == 0)
            free(scene_text(&d.t, 24, 80));
    }
    scene_free(&d.t);
}
