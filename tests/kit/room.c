// What the viewer does around a replay, without a terminal.
#include "tests/kit/room.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/kit/scene.h"

static int on_send(void *to, const struct command_call *call, struct error *e)
{
    ((struct room *)to)->sent++;
    return 0;
}

void room_init(struct room *m)
{
    memset(m, 0, sizeof *m);
    strcpy(m->dir, "/tmp/ssltop-replay-XXXXXX");
    cr_assert_not_null(mkdtemp(m->dir));
    for (int i = 0; i < ROOM_LOGS; i++)
        snprintf(m->path[i], sizeof m->path[i], "%s/%d.jsonl.zst", m->dir, i);
    view_init(&m->v);
    m->v.link.state = LINK_REPLAY;
    m->now = 1000;
}

void room_free(struct room *m)
{
    playback_free(m->play);
    for (int i = 0; i < ROOM_LOGS; i++)
        unlink(m->path[i]);
    cr_assert_eq(rmdir(m->dir), 0);
}

void room_log(struct room *m, int i, int steps, int probes, double auc)
{
    struct test_scene t;
    scene_init(&t);
    t.probes = probes;
    t.auc = auc;
    cr_assert_eq(runlog_create(m->path[i], &t.log, NULL), 0);
    scene_train(&t, steps);
    cr_assert_eq(runlog_close(t.log, NULL), 0);
    scene_free(&t);
}

void room_tick(struct room *m, double seconds)
{
    m->now += seconds;
    m->v.now = m->now;
    playback_tick(m->play, &m->v, m->now);
    m->ui = (struct ui){
        .v = &m->v, .h = playback_history(m->play), .send = on_send, .to = m, .play = m->play};
}

static void read_all(struct room *m)
{
    for (int timeout = 0; timeout == 0;) {
        cr_assert_geq(playback_pump(m->play, m->now, NULL), 0);
        timeout = 1000;
        playback_poll(m->play, &timeout);
    }
    room_tick(m, 0);
}

void room_open(struct room *m, int n)
{
    static const char *const names[] = {"study-1", "without-predictor", "long", "four"};
    const char *paths[ROOM_LOGS];
    struct error e = {""};
    for (int i = 0; i < n; i++)
        paths[i] = m->path[i];
    cr_assert_eq(playback_open(paths, names, n, m->now, &m->play, &e), 0, "%s", e.text);
    read_all(m);
}

void room_usual(struct room *m)
{
    room_init(m);
    room_log(m, 0, 1284, 1, 0);
    room_open(m, 1);
}

unsigned room_key(struct room *m, uint32_t k)
{
    unsigned flags = action_key(&m->ui, k);
    room_tick(m, 0);
    return flags;
}

void room_type(struct room *m, const char *text)
{
    for (; *text; text++)
        room_key(m, (uint32_t)*text);
}

struct scene room_scene(struct room *m)
{
    struct scene s = {0};
    room_tick(m, 0);
    playback_scene(m->play, &m->v, &s);
    return s;
}

char *room_text(struct room *m, int h, int w)
{
    struct scene s = room_scene(m);
    return scene_drawn(&s, h, w);
}
