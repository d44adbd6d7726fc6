// A client that means harm, or has lost its mind: the recorder answers or ends with a sentence. It
// never crashes, and what it could use of it is in the log.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "metrics/base/rng.h"
#include "tests/kit/runs.h"
#include "tests/kit/theirs.h"
#include "train/client/link.h"
#include "train/recorder/recorder.h"

enum { ROOM = 32768 };
#define ALL_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static struct lab lab;

static void open_lab(void)
{
    lab_open(&lab);
}

static void close_lab(void)
{
    lab_close(&lab);
}

TestSuite(hostile, .init = open_lab, .fini = close_lab, .timeout = 300);

struct foe {
    int fd;
    pid_t pid;
    struct link_ring *ring;
};

static void start(struct foe *f)
{
    int pair[2];
    cr_assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    f->fd = pair[0];
    f->ring = NULL;
    f->pid = fork();
    cr_assert(f->pid >= 0);
    if (f->pid == 0) {
        int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (dup2(pair[1], RECORDER_FD) < 0 || dup2(quiet, STDOUT_FILENO) < 0)
            _exit(98);
        execl(getenv("SSLTOP"), "ssltop", "record", (char *)NULL);
        _exit(99);
    }
    close(pair[1]);
}

// -1: it is not there any more.
static int say(struct foe *f, struct link_message *m, const void *text, size_t n, int memory)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct iovec part[2] = {{m, m ? sizeof *m : 0}, {(void *)(uintptr_t)text, n}};
    struct msghdr h = {.msg_iov = m ? part : part + 1, .msg_iovlen = m ? 2 : 1};
    if (memory >= 0) { // twice: one is asked for
        int both[2] = {memory, memory};
        h.msg_control = &control;
        h.msg_controllen = sizeof control.room;
        struct cmsghdr *x = CMSG_FIRSTHDR(&h);
        x->cmsg_level = SOL_SOCKET;
        x->cmsg_type = SCM_RIGHTS;
        x->cmsg_len = CMSG_LEN(sizeof both);
        memcpy(CMSG_DATA(x), both, sizeof both);
    }
    return sendmsg(f->fd, &h, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static struct link_message message(enum link_kind kind)
{
    struct link_message m = {
        .magic = LINK_MAGIC, .version = LINK_VERSION, .kind = (uint32_t)kind, .step = -1};
    return m;
}

// What it answered to a greeting: its kind (0: it ended), the text in said.
static uint32_t heard(struct foe *f, char said[4096])
{
    struct link_message m = {0};
    struct iovec part[2] = {{&m, sizeof m}, {said, 4095}};
    struct msghdr h = {.msg_iov = part, .msg_iovlen = 2};
    ssize_t n = recvmsg(f->fd, &h, 0);
    said[n > (ssize_t)sizeof m ? (size_t)n - sizeof m : 0] = '\0';
    return n < (ssize_t)sizeof m ? 0 : m.kind;
}

static uint32_t greet(struct foe *f, const char *name, const char *config, uint32_t version,
                      char said[4096])
{
    char text[512];
    int n = snprintf(text, sizeof text, "foe 1%c%s%c%s%c%s%c%c%c", 0, name, 0, lab.dir, 0, config,
                     0, 0, 0);
    struct link_message m = message(LINK_HELLO);
    m.version = version;
    m.steps = INT64_MAX;
    m.n = m.batch = INT64_MIN;
    m.chunks = -7;
    start(f);
    cr_assert(say(f, &m, text, (size_t)n + 1, -1) == 0);
    return heard(f, said);
}

// One with a run. Its name is told.
static void open_run(struct foe *f, char name[32])
{
    static int runs;
    char said[4096];
    snprintf(name, 32, "foe%d", runs++);
    cr_assert(greet(f, name, "{}", LINK_VERSION, said) == LINK_READY, "%s", said);
}

static void leave(struct foe *f)
{
    close(f->fd);
    if (f->ring)
        munmap(f->ring, LINK_DATA + LINK_SLOTS * (size_t)ROOM);
    f->ring = NULL;
    int code = lab_wait(f->pid);
    cr_expect(code == 0 || code == 1, "it ended with %d", code);
}

Test(hostile, greetings)
{
    struct foe f;
    char said[4096], name[32];
    cr_expect(greet(&f, "new", "{}", LINK_VERSION + 1, said) == LINK_REFUSED &&
                  strstr(said, "speaks version 3"),
              "%s", said);
    leave(&f);
    static const char *const config[] = {"[", "{\"a\":", "7", "\"\x1b]0;x\x07\"", "{\"data\":{}}"};
    for (size_t i = 0; i < sizeof config / sizeof *config; i++) {
        uint32_t kind = greet(&f, "odd", config[i], LINK_VERSION, said);
        cr_expect(kind == (i < 4 ? LINK_REFUSED : LINK_READY) && !strchr(said, '\x1b'), "%s", said);
        leave(&f);
    }
    cr_expect(greet(&f, "../x", "{}", LINK_VERSION, said) == LINK_REFUSED, "%s", said);
    leave(&f);
    // Half a greeting, one that never ends, one that is as long as a message can be.
    char *text = malloc(1 << 20);
    cr_assert_not_null(text);
    memset(text, '[', 1 << 20);
    struct link_message m = message(LINK_HELLO);
    for (size_t n = 1; n <= 1 << 20; n *= 4) {
        start(&f);
        if (say(&f, n > 1 ? &m : NULL, text, n, -1) == 0)
            cr_expect(heard(&f, said) == LINK_REFUSED && *said, "%s", said);
        leave(&f);
    }
    open_run(&f, name);
    m = message(LINK_EVENT);
    say(&f, &m, text, 100000, -1); // cut, not more
    leave(&f);
    free(text);
}

static int make_memory(size_t bytes, int seals, uint64_t magic, uint64_t room)
{
    int fd = memfd_create("foe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    cr_assert(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
    uint64_t head[2] = {magic, room};
    cr_assert(bytes < sizeof head || pwrite(fd, head, sizeof head, 0) == sizeof head);
    cr_assert(fcntl(fd, F_ADD_SEALS, seals) == 0);
    return fd;
}

Test(hostile, rings)
{
    const size_t good = LINK_DATA + LINK_SLOTS * (size_t)ROOM;
    const struct {
        size_t bytes;
        int seals;
        uint64_t magic, room;
    } ring[] = {
        {good, F_SEAL_GROW, LINK_MAGIC, ROOM}, // it could be cut while it is read
        {0, ALL_SEALS, LINK_MAGIC, ROOM},
        {100, ALL_SEALS, LINK_MAGIC, ROOM},
        {LINK_DATA, ALL_SEALS, LINK_MAGIC, 0},
        {good, ALL_SEALS, 7, ROOM},
        {good, ALL_SEALS, LINK_MAGIC, 0},
        {good, ALL_SEALS, LINK_MAGIC, ROOM + 1},
        {good, ALL_SEALS, LINK_MAGIC, UINT64_MAX - 63},
        {good, ALL_SEALS, LINK_MAGIC, UINT64_C(1) << 61},
        {good - 1, ALL_SEALS, LINK_MAGIC, ROOM},
    };
    struct foe f;
    char name[32];
    struct link_message m = message(LINK_RING);
    for (size_t i = 0; i < sizeof ring / sizeof *ring; i++) {
        int fd = make_memory(ring[i].bytes, ring[i].seals, ring[i].magic, ring[i].room);
        open_run(&f, name);
        say(&f, &m, NULL, 0, fd);
        close(fd);
        int code = lab_wait(f.pid); // by itself
        cr_expect(code == 1, "ring %zu: %d", i, code);
        close(f.fd);
    }
    int other[] = {open("/dev/null", O_RDWR), open("/dev/zero", O_RDWR), -1};
    for (int i = 0; i < 3; i++) {
        open_run(&f, name);
        say(&f, &m, NULL, 0, other[i]);
        cr_expect(lab_wait(f.pid) == 1);
        close(f.fd);
        close(other[i]);
    }
}

static void give_ring(struct foe *f)
{
    size_t bytes = LINK_DATA + LINK_SLOTS * (size_t)ROOM;
    int fd = make_memory(bytes, ALL_SEALS, LINK_MAGIC, ROOM);
    struct link_message m = message(LINK_RING);
    cr_assert(ftruncate(fd, 4096) < 0); // it cannot be cut any more
    f->ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert(f->ring != MAP_FAILED && say(f, &m, NULL, 0, fd) == 0);
    close(fd);
}

// Give it this step and wait until it has been looked at.
static void give_step(struct foe *f, const struct link_slot *s)
{
    struct link_message m = message(LINK_STEP);
    struct link_slot *at = &f->ring->slot[0];
    *at = *s;
    atomic_store((_Atomic uint32_t *)&at->state, LINK_FULL);
    cr_assert(say(f, &m, NULL, 0, -1) == 0);
    while (atomic_load((_Atomic uint32_t *)&at->state) != LINK_FREE)
        usleep(200);
}

static const struct link_slot sound = {.parts = 1,
                                       .loss = 1,
                                       .lr = 1,
                                       .mode = -1,
                                       .chunk = -1,
                                       .part = {{0, 0, LINK_F32, 0, 8, 4, 0}}};

Test(hostile, steps)
{
    enum { BAD = 16 };
    struct link_slot s[BAD];
    for (int i = 0; i < BAD; i++) {
        s[i] = sound;
        s[i].step = i;
    }
    s[0].parts = 1000;
    s[1].part[0].d = INT64_C(1) << 40;
    s[2].part[0].n = INT64_C(1) << 40;
    s[3].part[0].at = ROOM;
    s[4].part[0].at = UINT64_MAX - 63;
    s[5].part[0].at = 4;
    s[6].part[0].type = 99;
    s[7].part[0].place = 9;
    s[8].part[0].view = UINT32_MAX;
    s[9].step = -1;
    s[10].step = INT64_MAX;
    s[11].scalars = 1000;
    s[12].part[0].n = -1;
    s[13].part[0].d = 0;
    s[14].part[0].n = 64; // no more than there is room for, but 129 numbers each
    s[14].part[0].d = 129;
    s[15].part[0].d = 32769;
    struct foe f;
    char name[32];
    open_run(&f, name);
    give_ring(&f);
    for (int64_t i = 0; i < ROOM / 2; i++) // not finite, denormal and all else
        ((uint16_t *)((char *)f.ring + LINK_DATA))[i] = (uint16_t)(i * 40503);
    struct link_slot good = sound;
    give_step(&f, &good); // there is a run now
    for (int i = 0; i < BAD; i++)
        give_step(&f, &s[i]);
    // What can be said, if oddly.
    good.mode = INT32_MAX;
    good.chunk = INT32_MIN;
    good.dropped = INT64_MIN;
    good.scalars = LINK_SCALARS;
    for (uint32_t i = 0; i < LINK_SCALARS; i++)
        good.scalar[i] = i * 77777777;
    for (uint32_t type = 0; type < LINK_TYPES; type++) {
        good.step = 100 + type;
        good.part[0].type = type;
        give_step(&f, &good);
    }
    good.step = INT64_MAX / 2;
    give_step(&f, &good);
    leave(&f);
    json_t *log = lab_log(&lab, name);
    cr_expect_eq(theirs_field(log, "step", 103, "loss"), 1);
    cr_expect_eq(theirs_field(log, "step", 103, "dropped"), 0);
    json_decref(log);
    cr_expect(theirs_log_has(&lab, name, "make no sense"));
}

// Names of scalars lie in the ring, so that each is there when its first step is: one without an
// end and with what would steer a terminal too.
Test(hostile, names)
{
    struct foe f;
    char name[32];
    open_run(&f, name);
    give_ring(&f);
    struct link_slot s = sound;
    s.scalars = 3;
    s.scalar[0] = 0;
    s.scalar[1] = LINK_SCALARS - 1;
    s.scalar[2] = 5; // has no name
    s.value[0] = 0.5;
    s.value[1] = 7;
    memset(f.ring->name[0], 'x', LINK_NAME);
    memset(f.ring->name[1], 'y', LINK_NAME);
    memcpy(f.ring->name[LINK_SCALARS - 1], "a\x1b[2Jb\n", 8);
    give_step(&f, &s);
    leave(&f);
    json_t *log = lab_log(&lab, name);
    json_t *own = json_object_get(json_object_get(log, "step/0"), "own");
    cr_expect_eq(json_object_size(own), 2);
    cr_expect_eq(json_number_value(json_object_get(own, "a?[2Jb?")), 7);
    cr_expect_eq(json_number_value(json_object_get(own, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")), 0.5);
    json_decref(log);
}

// An evaluation of what makes no sense.
Test(hostile, probes)
{
    const int sealed = ALL_SEALS | F_SEAL_WRITE;
    const struct {
        struct link_probe head;
        int seals;
    } probe[] = {
        {{LINK_MAGIC, LINK_F32, 0, 4, {8, 8}}, ALL_SEALS}, // it could be written while it is read
        {{7, LINK_F32, 0, 4, {8, 8}}, sealed},
        {{LINK_MAGIC, 9, 0, 4, {8, 8}}, sealed},
        {{LINK_MAGIC, LINK_F32, 0, INT64_C(1) << 40, {8, 8}}, sealed},
        {{LINK_MAGIC, LINK_F32, 0, 4, {INT64_C(1) << 60, 8}}, sealed},
        {{LINK_MAGIC, LINK_F32, 0, 4, {8, -1}}, sealed},
        {{LINK_MAGIC, LINK_F32, 0, 4, {9000, 8}}, sealed}, // more than there is
        {{LINK_MAGIC, LINK_F32, 0, 4, {8, 8}}, sealed},    // the labels are all 0
    };
    struct foe f;
    char name[32];
    struct link_message m = message(LINK_PROBE);
    struct link_slot s = sound;
    open_run(&f, name);
    give_ring(&f);
    give_step(&f, &s);
    say(&f, &m, NULL, 0, -1);
    for (size_t i = 0; i < sizeof probe / sizeof *probe; i++) {
        struct link_probe_place at = {.bytes = 4096};
        struct link_probe good = {LINK_MAGIC, LINK_F32, 0, 4, {8, 8}};
        link_probe_place(&good, &at);
        int fd = memfd_create("foe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        cr_assert(fd >= 0 && ftruncate(fd, (off_t)at.bytes) == 0);
        cr_assert(pwrite(fd, &probe[i].head, sizeof good, 0) == sizeof good);
        cr_assert(fcntl(fd, F_ADD_SEALS, probe[i].seals) == 0);
        say(&f, &m, NULL, 0, fd);
        close(fd);
    }
    leave(&f);
    cr_expect(theirs_log_has(&lab, name, "not sealed") &&
              theirs_log_has(&lab, name, "evaluation that make no sense"));
}

// Every d that a message can name: what nobody can compute at every step is not begun.
Test(hostile, large_features)
{
    struct foe f;
    char name[32];
    struct link_slot s = sound;
    open_run(&f, name);
    give_ring(&f);
    s.part[0] = (struct link_part){0, 0, LINK_F16, 0, 1, ROOM / 2, 0};
    give_step(&f, &s);
    leave(&f);
    cr_expect(theirs_log_has(&lab, name, "no spectrum: features of 16384 numbers"));
}

struct scribbler {
    struct foe *f;
    _Atomic int over;
};

// Garbage wherever the recorder looks, while it does.
static void *scribble(void *of)
{
    struct scribbler *x = of;
    struct rng r;
    rng_init(&r, 5, RNG_INIT, 0, 0);
    while (!atomic_load(&x->over)) {
        uint64_t bits = rng_u64(&r);
        struct link_slot *s = &x->f->ring->slot[bits % LINK_SLOTS];
        volatile uint32_t *word = (volatile uint32_t *)s;
        size_t words = sizeof *s / 4, at = (size_t)(bits >> 8) % (2 * words);
        // Mostly the head: what is behind are scalars.
        if (at == 0 || at >= words)
            atomic_store((_Atomic uint32_t *)&s->state, bits >> 60 ? LINK_FULL : (uint32_t)bits);
        else
            word[at % 120] = bits >> 62 ? (uint32_t)(bits >> 32) % 9 : (uint32_t)(bits >> 32);
        ((volatile uint32_t *)((char *)x->f->ring + LINK_DATA))[(bits >> 20) % (ROOM / 4)] =
            (uint32_t)bits;
    }
    return NULL;
}

Test(hostile, scribbles_while_it_reads)
{
    struct foe f;
    char name[32];
    struct link_message m = message(LINK_STEP);
    pthread_t thread;
    open_run(&f, name);
    give_ring(&f);
    struct link_slot s = sound;
    give_step(&f, &s);
    struct scribbler x = {.f = &f};
    cr_assert(pthread_create(&thread, NULL, scribble, &x) == 0);
    for (int i = 0; i < 3000 && say(&f, &m, NULL, 0, -1) == 0; i++)
        ;
    atomic_store(&x.over, 1);
    pthread_join(thread, NULL);
    leave(&f);
}

Test(hostile, messages_at_random)
{
    enum { MESSAGES = 10000, TEXT = 600 };
    static const int64_t odd[] = {0, 1, -1, 7, INT64_MAX, INT64_MIN, INT64_C(1) << 40, 1 << 30};
    struct foe f;
    struct rng r;
    char name[32], text[TEXT];
    rng_init(&r, 11, RNG_INIT, 0, 0);
    open_run(&f, name);
    give_ring(&f);
    struct link_slot s = sound;
    give_step(&f, &s);
    for (int i = 0; i < MESSAGES; i++) {
        uint64_t bits = rng_u64(&r);
        struct link_message m = message((enum link_kind)(bits % 16));
        if ((m.kind == LINK_RING || m.kind == LINK_END) && bits >> 55) // it ends with these
            m.kind = LINK_EVENT;
        m.id = (uint64_t)odd[bits >> 8 & 7];
        m.step = odd[bits >> 11 & 7];
        m.what = (uint32_t)odd[bits >> 14 & 7];
        m.ok = (uint32_t)(bits >> 17 & 1);
        m.length = (uint32_t)odd[bits >> 18 & 7];
        m.magic ^= (bits >> 21 & 31) == 0;
        size_t n = (bits >> 26) % TEXT;
        for (size_t k = 0; k < n; k++)
            text[k] = (char)rng_u64(&r);
        int whole = (bits >> 40 & 15) != 0;
        if (say(&f, whole ? &m : NULL, text, n, -1) < 0) {
            leave(&f);
            open_run(&f, name);
            give_ring(&f);
            give_step(&f, &s);
        }
    }
    leave(&f);
}
