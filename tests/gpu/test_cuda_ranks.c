// Ranks with a card each, on the stand-in for the card: threads that share a batch are as one card
// that has it all, also where work runs as late as can be; whatever fails on one of them ends both
// with a sentence, and nobody waits for ever.
#include <criterion/criterion.h>
#include <criterion/logging.h>

#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/kit/crew.h"
#include "tests/kit/net_fixture.h"
#include "tests/kit/played.h"

enum { WHOLE = 2 * BATCH, TURNS = 4, FEW = 3, WIDE = 8 }; // images; steps; features

struct member {
    const struct emu_control *control;
    struct crew *crew; // NULL: alone, the whole batch
    int rank, size;
    played_net *build;
    enum precision precision;
    int apart;   // each normalises by itself
    int looks;   // at features too
    int turns;   // steps; 0: TURNS
    int fail;    // so many-th call of rank 1, from the first step on; 0: none
    int absent;  // after so many steps it ends without a word; 0: it stays
    int notice;  // then it stays, idle, and this is what NCCL says from there on
    sem_t *over; // of rank 0
    // What came of it.
    int rc, calls, live;
    char failed[80], algorithms[80];
    struct played r;
    uint8_t *pixels;
    double loss[TURNS], zstd[TURNS];
    struct plan_times times; // of the last step but one
    struct moments moments;  // rank 0's; kept by half in each step
    float *h;                // features of each step, of both views
    float *state;            // parameters and running statistics, one after the other
    size_t n;
};

// Numbers of one image that say nothing about those of another.
static void fill(float *x, int image, int view, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((((unsigned)image * 977 + (unsigned)view * 331 + i) * 2654435761u >> 9) %
                       1024) /
                   512 -
               1;
}

static int put_all(struct played *r)
{
    int rc = 0;
    for (int i = 0; i < r->net.n_param && rc == 0; i++) {
        const struct param *q = &r->net.param[i];
        float *v = played_need(q->count, sizeof *v);
        cr_assert(fixture_value(NULL, q, v) == 0);
        rc = plan_put(r->plan, q->name, v, q->count, &r->e);
        free(v);
    }
    return rc;
}

static int start(struct member *m, struct ranks *ranks)
{
    struct played *r = &m->r;
    char device[16];
    struct plan_options o = {
        .batch = WHOLE / m->size, .precision = m->precision, .ranks = ranks, .together = !m->apart};
    memset(r, 0, sizeof *r);
    m->build(&r->net, 3);
    snprintf(device, sizeof device, "cuda:%d", m->rank);
    return device_open(device, 1, &r->device, &r->e) < 0 ||
                   device_compile(r->device, &r->net, &o, &r->plan, &r->e) < 0 ||
                   images_new(r->device, m->pixels, IMAGES, 3, SIDE, SIDE, played_mean,
                              played_deviation, &r->images, &r->e) < 0
               ? -1
               : put_all(r);
}

static int make_step(struct member *m, int t)
{
    struct played *r = &m->r;
    struct plan_scores s;
    int batch = WHOLE / m->size;
    size_t image = 3 * SIDE * SIDE;
    float *x = played_need((size_t)batch * image, sizeof *x);
    int rc = 0;
    for (int v = 0; v < 2 && rc == 0; v++) {
        for (int i = 0; i < batch; i++)
            fill(x + (size_t)i * image, t * WHOLE + m->rank * batch + i, v, image);
        rc = plan_input(r->plan, v, x, &r->e);
    }
    free(x);
    if (rc < 0 || plan_forward(r->plan, &r->e) < 0)
        return -1;
    // The update of a target network is LARS's, of the other SGD's.
    if (played_update(r, t) < 0 || plan_scores(r->plan, &s, &r->e) < 0)
        return -1;
    struct moments *moments = m->rank == 0 ? &m->moments : NULL;
    if (moments)
        moments_decay(moments, 0.5);
    if (plan_moments(r->plan, moments, &r->e) < 0)
        return -1;
    for (int v = 0; v < 2 && m->h; v++)
        if (plan_features(r->plan, v, m->h + (size_t)(2 * t + v) * (size_t)batch * WIDE, &r->e) < 0)
            return -1;
    m->loss[t] = s.loss;
    m->zstd[t] = s.zstd;
    plan_times(r->plan, &m->times);
    return 0;
}

static int keep_state(struct member *m)
{
    struct played *r = &m->r;
    int rc = 0;
    for (int i = 0; i < r->net.n_param; i++)
        m->n += r->net.param[i].count;
    float *at = m->state = played_need(m->n, sizeof *at);
    for (int i = 0; i < r->net.n_param && rc == 0; i++) {
        const struct param *q = &r->net.param[i];
        rc = plan_get(r->plan, q->name, at, q->count, &r->e);
        at += q->count;
    }
    return rc;
}

static void *work(void *context)
{
    struct member *m = context;
    struct ranks *ranks = NULL;
    struct error e;
    if (m->crew)
        cr_assert(crew_join(m->crew, m->rank, &ranks, &e) == 0, "%s", e.text);
    m->pixels = played_pixels(3);
    m->h = m->looks ? played_need(TURNS * 2 * WHOLE * WIDE, sizeof *m->h) : NULL;
    cr_assert(moments_init(&m->moments, WIDE, &e) == 0);
    m->rc = start(m, ranks);
    if (m->rc == 0)
        snprintf(m->algorithms, sizeof m->algorithms, "%.79s", plan_algorithms(m->r.plan));
    if (m->rank == 1)
        m->control->fail(m->fail, 0);
    for (int t = 0;
         t < (m->turns ? m->turns : TURNS) && m->rc == 0 && (!m->absent || t < m->absent); t++)
        m->rc = make_step(m, t);
    int left = m->absent && m->rc == 0;
    if (left && m->notice) {
        m->control->connection(m->notice);
        sem_wait(m->over);
    }
    if (m->rc == 0 && !left)
        m->rc = keep_state(m);
    if (m->rank == 1) {
        m->calls = m->control->calls();
        snprintf(m->failed, sizeof m->failed, "%s", m->control->failed_call());
        m->control->fail(0, 0);
    }
    if (ranks && (m->rc < 0 || left)) { // as a process does that ends
        ranks_give_up(ranks);
        crew_lose(m->crew, m->rank);
    }
    if (m->r.images) // before the plan, as the trainer frees those that it evaluates
        images_free(m->r.images);
    m->r.images = NULL;
    played_finish(&m->r);
    free(m->pixels);
    ranks_close(ranks, m->rc < 0);
    if (m->over && m->rank == 0)
        sem_post(m->over);
    return NULL;
}

static void run(struct member *m)
{
    pthread_t thread[2];
    struct crew *crew = crew_new(2);
    for (int k = 1; k >= 0; k--) {
        m[k].rank = k;
        m[k].size = 2;
        m[k].crew = crew;
        if (k)
            cr_assert(pthread_create(&thread[k], NULL, work, &m[k]) == 0);
    }
    work(&m[0]);
    pthread_join(thread[1], NULL);
    crew_free(crew);
}

static void forget_one(struct member *m)
{
    free(m->state);
    free(m->h);
    moments_free(&m->moments);
}

static void forget(struct member *m)
{
    for (int k = 0; k < 2; k++)
        forget_one(&m[k]);
}

static const struct emu_control *open_cards(const char *mode)
{
    const struct emu_control *c = played_open(mode);
    cr_assert(setenv("SSLTOP_NCCL", getenv("SSLTOP_CUDA"), 1) == 0); // it plays that too
    c->cards(2);
    return c;
}

// --- as one ---
// Rank 0's moments are those of all features.
static void moments_of_all(const struct member *m, int ranks)
{
    struct moments want;
    struct error e;
    int batch = WHOLE / ranks;
    double off = 0;
    cr_assert(moments_init(&want, WIDE, &e) == 0);
    for (int t = 0; t < TURNS; t++) {
        moments_decay(&want, 0.5);
        for (int k = 0; k < ranks; k++)
            cr_assert(moments_add(&want, m[k].h + (size_t)(2 * t) * (size_t)batch * WIDE, 2 * batch,
                                  WIDE, &e) == 0);
    }
    const struct moments *got = &m[0].moments;
    cr_expect(got->weight == want.weight && got->weight2 == want.weight2, "%g, not %g", got->weight,
              want.weight);
    for (int i = 0; i < WIDE; i++) {
        off = fmax(off, fabs(got->mean[i] - want.mean[i]));
        for (int j = 0; j <= i; j++)
            off = fmax(off, fabs(got->scatter[i * WIDE + j] - want.scatter[i * WIDE + j]));
    }
    cr_expect(off < 1e-13 * want.weight && want.scatter[0] > 1e-3, "%g apart, of %g", off,
              want.scatter[0]);
    moments_free(&want);
}

static void as_one(const struct emu_control *c, struct member how, double bound)
{
    how.control = c;
    how.looks = 1;
    struct member one = how, two[2], again[2];
    one.size = 1;
    work(&one);
    cr_assert(one.rc == 0, "%s", one.r.e.text);
    for (int k = 0; k < 2; k++)
        two[k] = again[k] = how;
    long before = c->graphs();
    run(two);
    cr_expect(c->graphs() - before >= 2 * 3 * (TURNS - 1), "%ld graphs were launched",
              c->graphs() - before);
    run(again);
    // By another library, which might add in another order, none goes on as if it were the same.
    cr_expect(strstr(two[1].algorithms, "-nccl22809-") && !strstr(one.algorithms, "nccl"), "%s, %s",
              two[1].algorithms, one.algorithms);
    moments_of_all(&one, 1);
    moments_of_all(two, 2);
    for (int k = 0; k < 2; k++) {
        struct member *m = &two[k];
        cr_assert(m->rc == 0 && again[k].rc == 0, "rank %d: %s%s", k, m->r.e.text,
                  again[k].r.e.text);
        for (int t = 0; t < TURNS; t++) {
            cr_expect(fabs(m->loss[t] - one.loss[t]) <= bound, "loss of step %d: %.9g, not %.9g", t,
                      m->loss[t], one.loss[t]);
            cr_expect(fabs(m->zstd[t] - one.zstd[t]) <= bound, "z-std of step %d: %.9g, not %.9g",
                      t, m->zstd[t], one.zstd[t]);
        }
        cr_expect(played_apart(m->state, one.state, one.n) <= bound, "the state is %.2e apart",
                  played_apart(m->state, one.state, one.n));
        // All have the same, to the last bit, and so they have the next time.
        cr_expect(memcmp(m->state, two[0].state, m->n * sizeof *m->state) == 0);
        cr_expect(memcmp(m->state, again[k].state, m->n * sizeof *m->state) == 0);
        cr_expect(memcmp(m->loss, again[k].loss, sizeof m->loss) == 0);
    }
    cr_expect(memcmp(two[0].moments.scatter, again[0].moments.scatter,
                     WIDE * WIDE * sizeof *two[0].moments.scatter) == 0);
    cr_expect(c->live() == 0, "%ld objects are left", c->live());
    forget_one(&one);
    forget(two);
    forget(again);
}

Test(cuda, ranks_are_as_one, .timeout = 300)
{
    const struct emu_control *c = open_cards("plain");
    as_one(c, (struct member){.build = played_small_net}, 1e-5);
    as_one(c, (struct member){.build = played_target_net}, 1e-4);
}

// Filters' gradients come in bf16 and are added in f32.
Test(cuda, ranks_in_bf16_are_as_one)
{
    as_one(open_cards("plain"),
           (struct member){.build = played_small_net, .precision = PRECISION_BF16}, 0.05);
}

// Nothing runs before something waits for it: a missing event between main and the sums shows.
Test(cuda, ranks_as_late_as_can_be, .timeout = 300)
{
    const struct emu_control *c = open_cards("check");
    c->seed(7);
    c->lazy(1);
    as_one(c, (struct member){.build = played_small_net}, 1e-5);
}

Test(cuda, ranks_with_a_target_as_late_as_can_be, .timeout = 300)
{
    const struct emu_control *c = open_cards("check");
    c->seed(3);
    c->lazy(1);
    as_one(c, (struct member){.build = played_target_net}, 1e-4);
}

// --- how long they wait ---
static void paced(const struct emu_control *c, struct member m[2], double work, double sum)
{
    c->pace(0, 1, sum);
    c->pace(1, work, sum);
    for (int k = 0; k < 2; k++)
        m[k] = (struct member){.control = c, .build = played_small_net};
    run(m);
    for (int k = 0; k < 2; k++)
        cr_assert(m[k].rc == 0, "%s", m[k].r.e.text);
    forget(m);
}

// From one step to the next: with what is in no phase, the copies of two inputs.
static double period(const struct plan_times *t, int pace)
{
    return t->forward + t->backward + t->update + t->reduce + 2 * pace;
}

// By the cards' clocks: where sums take no time and all come at once only what is made for them is
// waited for; each sum that takes some is where main needs it; and the faster one of two waits as
// long as it is faster. What is waited is in no other time.
Test(cuda, ranks_say_how_long_they_wait, .timeout = 120)
{
    enum {
        SUMS = 12, // four batch norms, forth and back; scores; mean and scatter; a bucket
        TAKES = 100,
        SLOWER = 3,
        BESIDE = 5, // what only sums are made of: mean, rows less it, product, packing; gathering
    };
    for (int lazy = 0; lazy < 2; lazy++) {
        const struct emu_control *c = open_cards(lazy ? "check" : "plain");
        struct member none[2], some[2], late[2];
        c->lazy(lazy);
        paced(c, none, 1, 0);
        paced(c, some, 1, TAKES);
        paced(c, late, SLOWER, 0);
        for (int k = 0; k < 2; k++) {
            const struct plan_times *t = &none[k].times, *u = &some[k].times, *l = &late[k].times;
            int pace = k ? SLOWER : 1;
            cr_expect(t->reduce == BESIDE && t->forward > 1 && t->backward > 1, "%g, %g, %g",
                      t->reduce, t->forward, t->backward);
            cr_expect(u->reduce == t->reduce + SUMS * TAKES, "%g", u->reduce);
            cr_expect(u->forward == t->forward && u->backward == t->backward,
                      "%g and %g, not %g and %g", u->forward, u->backward, t->forward, t->backward);
            cr_expect(l->forward == pace * t->forward && l->backward == pace * t->backward,
                      "%g and %g", l->forward, l->backward);
        }
        double ahead = period(&late[0].times, 1), behind = period(&late[1].times, SLOWER);
        cr_expect(late[1].times.reduce == SLOWER * BESIDE, "%g", late[1].times.reduce);
        cr_expect(ahead == behind, "%g, %g", ahead, behind);
    }
}

// --- ends ---
// A rank whose thread still waits for one that will not come has said so and gone on: NCCL may
// notice at any time later, and then nothing is left of it.
static void let_go(const struct emu_control *c)
{
    enum { PATIENCE_MS = 10000 };
    c->connection(6);
    for (int ms = 0; c->live() != 0 && ms < PATIENCE_MS; ms++)
        usleep(1000);
    c->connection(0);
}

// Each call of rank 1 that can fail does so once, in one step of pieces and two that are recorded.
static void every_call(int apart, played_net *build)
{
    const struct emu_control *c = open_cards("plain");
    double clean = NAN;
    int calls = 0, told = 0, sums = 0;
    for (int n = 0; n <= calls; n++) { // 0: nothing fails
        struct member m[2];
        for (int k = 0; k < 2; k++)
            m[k] = (struct member){
                .control = c, .build = build, .apart = apart, .turns = FEW, .fail = n};
        run(m);
        if (n == 0) {
            calls = m[1].calls;
            clean = m[1].loss[FEW - 1];
        }
        let_go(c);
        cr_assert(c->live() == 0, "call %d, %s: %ld objects are left", n, m[1].failed, c->live());
        // Rank 0 may have had all that it needs of rank 1.
        cr_assert(m[0].rc < 0 || m[0].loss[FEW - 1] == clean,
                  "call %d, %s: rank 0 says nothing, and its loss is %.17g, not %.17g", n,
                  m[1].failed, m[0].loss[FEW - 1], clean);
        if (m[1].rc == 0) {
            cr_assert(m[1].loss[FEW - 1] == clean && m[0].rc == 0,
                      "call %d, %s: nothing is said, and the loss is %.17g, not %.17g", n,
                      m[1].failed, m[1].loss[FEW - 1], clean);
            cr_assert(strncmp(m[1].failed, "nccl", 4) != 0, "%s failed and nothing was said",
                      m[1].failed);
        } else {
            told++;
            sums += strcmp(m[1].failed, "ncclAllReduce") == 0;
            cr_assert(m[1].r.e.text[0] && (m[0].rc == 0 || m[0].r.e.text[0]), "call %d, %s", n,
                      m[1].failed);
        }
        forget(m);
    }
    cr_log_info("%d calls, %d told", calls, told);
    cr_expect(calls > 100 && told > calls / 3 && sums > 1, "%d of %d, %d", told, calls, sums);
}

Test(cuda, every_call_of_a_rank_fails_once, .timeout = 300)
{
    every_call(0, played_small_net);
}

Test(cuda, every_call_of_a_rank_with_a_target_fails_once, .timeout = 300)
{
    every_call(1, played_target_net);
}

// A rank that is gone keeps nobody waiting on the card: before the first sum, when pieces are
// queued, and when graphs are launched.
Test(cuda, ranks_notice_who_is_gone, .timeout = 300)
{
    const struct emu_control *c = open_cards("plain");
    for (int lazy = 0; lazy < 2; lazy++)
        for (int after = 1; after < TURNS; after++) {
            struct member m[2];
            c->lazy(lazy);
            for (int k = 0; k < 2; k++)
                m[k] = (struct member){.control = c, .build = played_small_net};
            m[1].absent = after;
            run(m);
            cr_expect(m[1].rc == 0, "%s", m[1].r.e.text);
            cr_expect(m[0].rc < 0 && strstr(m[0].r.e.text, "rank 1 on ") &&
                          strstr(m[0].r.e.text, "is gone"),
                      "says: %s", m[0].r.e.text);
            cr_expect(c->live() == 0, "%ld objects are left", c->live());
            forget(m);
        }
}

// What NCCL notices by itself is told in its words.
Test(cuda, ranks_notice_what_nccl_does, .timeout = 300)
{
    static const struct {
        int code;
        const char *says;
    } rows[] = {{6, "NCCL could not go on: played error: nothing more is known"},
                {-1, "NCCL could not look after the cards: played error"}};
    const struct emu_control *c = open_cards("plain");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct member m[2];
        for (int k = 0; k < 2; k++)
            m[k] = (struct member){.control = c, .build = played_small_net};
        sem_t over;
        cr_assert(sem_init(&over, 0, 0) == 0);
        m[0].over = m[1].over = &over;
        m[1].absent = 3; // then there are graphs, about which nobody has to be asked
        m[1].notice = rows[i].code;
        run(m);
        c->connection(0);
        cr_expect(m[0].rc < 0 && strstr(m[0].r.e.text, rows[i].says), "says: %s", m[0].r.e.text);
        cr_expect(c->live() == 0, "%ld objects are left", c->live());
        forget(m);
    }
}

// One card needs none of it; several say what is missing before the first step.
Test(cuda, ranks_without_nccl, .timeout = 300)
{
    const struct emu_control *c = open_cards("plain");
    struct member m[2], one = {.control = c, .build = played_small_net, .size = 1};
    cr_assert(setenv("SSLTOP_NCCL", "/nonexistent/libnccl.so.2", 1) == 0);
    for (int k = 0; k < 2; k++)
        m[k] = (struct member){.control = c, .build = played_small_net};
    work(&one);
    cr_expect(one.rc == 0, "%s", one.r.e.text);
    run(m);
    for (int k = 0; k < 2; k++)
        cr_expect(m[k].rc < 0 && strstr(m[k].r.e.text, "several cards need NVIDIA's NCCL, which "
                                                       "cannot be loaded: /nonexistent"),
                  "says: %s", m[k].r.e.text);
    cr_expect(c->live() == 0, "%ld objects are left", c->live());
    forget_one(&one);
    forget(m);
}
