// What comes over sockets: the control socket with several who speak, and a client in somebody
// else's training, who is met in parts (ring, rows, evaluations) and by the recorder as a whole.
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/fuzz/foreign.h"
#include "train/client/link.h"
#include "train/recorder/intake.h"
#include "train/recorder/probing.h"
#include "train/recorder/recorder.h"
#include "train/recorder/slots.h"
#include "train/wire/watchers.h"

// --- the control socket: bytes that say who does what, and how many bytes of a line follow ---

enum { GUESTS = 3, CALLS = 16 };

struct host {
    struct watchers *w;
    uint64_t client[CALLS]; // whose calls wait for an answer
    int64_t id[CALLS];
    int n;
};

static void on_call(void *context, uint64_t client, const struct command_call *c)
{
    struct host *h = context;
    fuzz_require(c->command >= 0 && c->command < COMMAND_COUNT);
    if (h->n < CALLS) {
        h->client[h->n] = client;
        h->id[h->n++] = c->id;
    }
}

static void answer_all(struct host *h, int follow)
{
    for (int i = 0; i < h->n; i++) {
        struct answer a;
        answer_init(&a, h->id[i]);
        watchers_answer(h->w, h->client[i], &a);
        if (follow)
            watchers_follow(h->w, h->client[i], "{}\n", 3);
    }
    h->n = 0;
}

static void turn(struct host *h, int64_t now)
{
    struct pollfd set[WATCHERS_POLL];
    for (int i = 0; i < 4; i++) {
        int timeout = 0, n = watchers_poll_set(h->w, set, now, &timeout);
        if (poll(set, (nfds_t)n, 0) <= 0)
            return;
        watchers_handle(h->w, set, now, NULL);
    }
}

static int listening(struct sockaddr_un *a, socklen_t *n)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *a = (struct sockaddr_un){.sun_family = AF_UNIX}; // a name of the kernel's
    fuzz_require(fd >= 0 && bind(fd, (struct sockaddr *)a, sizeof a->sun_family) == 0);
    *n = sizeof *a;
    fuzz_require(getsockname(fd, (struct sockaddr *)a, n) == 0 && listen(fd, 8) == 0);
    return fd;
}

// -1: too many have come and gone that nobody has looked at.
static int visit(const struct sockaddr_un *a, socklen_t n)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    fuzz_require(fd >= 0);
    if (connect(fd, (const struct sockaddr *)a, n) == 0)
        return fd;
    close(fd);
    return -1;
}

int fuzz_socket(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct host h = {.n = 0};
    struct sockaddr_un a;
    socklen_t n;
    int guest[GUESTS] = {-1, -1, -1};
    fuzz_require(watchers_new(listening(&a, &n), on_call, &h, &h.w, NULL) == 0);
    for (int64_t now = 0; in.n > 0; now += 10) {
        unsigned how = input_byte(&in), who = how % GUESTS, what = how >> 2 & 7;
        struct input text =
            input_take(&in, what < 4 ? input_byte(&in) * (what == 3 ? 17u : 1u) : 0);
        if (guest[who] < 0)
            guest[who] = visit(&a, n);
        if (guest[who] < 0)
            turn(&h, now);
        if (guest[who] < 0)
            continue;
        if (text.n)
            send(guest[who], text.p, text.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (what == 1)
            send(guest[who], "\n", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (what == 4) {
            close(guest[who]);
            guest[who] = -1;
        } else if (what == 5) {
            shutdown(guest[who], SHUT_WR);
        } else if (what == 6) {
            answer_all(&h, how >> 7);
        } else if (what == 7) {
            watchers_broadcast(h.w, "{\"type\":\"step\"}", 15);
        }
        if (how & 0x40)
            turn(&h, now);
    }
    turn(&h, 1 << 20);
    answer_all(&h, 0);
    fuzz_require(watchers_following(h.w) <= WATCHERS_MAX);
    watchers_free(h.w);
    for (int i = 0; i < GUESTS; i++)
        if (guest[i] >= 0)
            close(guest[i]);
    return 0;
}

// --- the ring ---

enum { ROOM = 1024, RING = LINK_DATA + LINK_SLOTS * ROOM };

static int sealed(size_t bytes, int seals, void **memory)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    fuzz_require(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
    *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    fuzz_require(*memory != MAP_FAILED && fcntl(fd, F_ADD_SEALS, seals) == 0);
    return fd;
}

static void fill(void *to, size_t room, struct input bytes)
{
    for (size_t at = 0; bytes.n > 0 && at < room; at += bytes.n)
        memcpy((char *)to + at, bytes.p, bytes.n < room - at ? bytes.n : room - at);
}

// A slot: mostly a sound one, with fields that the input chooses.
static void fill_slot(struct link_ring *ring, int i, struct input *in)
{
    struct link_slot *s = &ring->slot[i];
    unsigned how = input_byte(in);
    *s = (struct link_slot){.step = i, .loss = 0.5, .lr = 1, .mode = -1, .chunk = -1};
    s->parts = input_byte(in) % (how & 1 ? 255 : 5);
    for (uint32_t k = 0; k < s->parts && k < LINK_PARTS; k++) {
        struct link_part *p = &s->part[k];
        unsigned is = input_byte(in), wild = how & 2;
        *p = (struct link_part){.place = is & (wild ? 7 : 1),
                                .view = is >> 3 & (wild ? 3 : 1),
                                .type = is >> 5 & (wild ? 7 : 3),
                                .n = 1 + input_byte(in) % 16,
                                .d = wild ? (int64_t)input_number(in, 2) : 4,
                                .at = 64 * (uint64_t)(input_byte(in) % 20)};
    }
    if (how & 4) {
        s->step = (int64_t)input_number(in, 8);
        s->mode = (int32_t)input_number(in, 4);
        s->chunk = (int32_t)input_number(in, 4);
        s->dropped = (int64_t)input_number(in, 8);
    }
    if (how & 8) {
        uint64_t bits = input_number(in, 8);
        memcpy(&s->loss, &bits, sizeof bits);
        s->scalars = input_byte(in);
        for (uint32_t k = 0; k < s->scalars && k < LINK_SCALARS; k++)
            s->scalar[k] = input_byte(in), s->value[k] = (double)s->scalar[k];
    }
    if (how & 16) // or all of it
        fill(s, sizeof *s, input_take(in, 32));
    s->state = LINK_FULL;
}

// A ring in a memfd of its own, with some of its slots full.
static int make_ring(struct input *in)
{
    unsigned how = input_byte(in);
    void *memory;
    int fd = sealed(RING, how & 1 ? F_SEAL_GROW : F_SEAL_SHRINK | F_SEAL_GROW, &memory);
    struct link_ring *ring = memory;
    ring->magic = LINK_MAGIC ^ (how >> 7);
    ring->room = how & 2 ? input_number(in, 8) : ROOM;
    for (int i = 0; i < (int)(how >> 2 & 7); i++)
        fill_slot(ring, i, in);
    fill((char *)memory + LINK_DATA, LINK_SLOTS * (size_t)ROOM,
         input_take(in, input_byte(in) * 4u));
    fill(ring->name, sizeof ring->name, input_take(in, input_byte(in)));
    munmap(memory, RING);
    return fd;
}

// Features and labels for an evaluation.
static int make_probe(struct input *in)
{
    enum { MOST = 1 << 14 };
    unsigned how = input_byte(in);
    struct link_probe_place at;
    struct link_probe head = {.magic = LINK_MAGIC, .type = how & 3, .d = 1 + (how >> 2 & 7)};
    head.n[0] = 1 + input_byte(in) % 40;
    head.n[1] = 1 + input_byte(in) % 40;
    size_t bytes = link_probe_place(&head, &at) ? at.bytes : sizeof head;
    fuzz_require(bytes < MOST);
    void *memory = calloc(1, MOST);
    fuzz_require(memory);
    fill((char *)memory + sizeof head, bytes - sizeof head, input_take(in, input_byte(in)));
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < head.n[k]; i++)
            ((int32_t *)(void *)((char *)memory + at.labels[k]))[i] =
                how & 0x40 ? (int32_t)input_number(in, 4) : input_byte(in) % 3;
    if (how & 0x20) // sizes that are not there
        head.d = (int64_t)input_number(in, 8);
    memcpy(memory, &head, sizeof head);
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    fuzz_require(fd >= 0 && write(fd, memory, bytes) == (ssize_t)bytes);
    fuzz_require(
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | (how & 0x80 ? 0 : F_SEAL_WRITE)) == 0);
    free(memory);
    return fd;
}

static void take_ring(struct slots *slots, struct intake *intake)
{
    struct link_slot head;
    struct intake_rows rows[LINK_PLACES][LINK_VIEWS];
    struct error e = {""};
    int slot, got;
    for (int i = 0; i < LINK_SLOTS && (got = slots_take(slots, &head, rows, &slot, &e)); i++) {
        struct step_result r = {.chunk = -1};
        if (got < 0)
            continue;
        fuzz_require(head.parts <= LINK_PARTS && head.scalars <= LINK_SCALARS && head.step >= 0);
        for (uint32_t k = 0; k < head.scalars; k++) {
            char name[LINK_NAME];
            slots_name(slots, head.scalar[k], name);
            fuzz_require(memchr(name, '\0', sizeof name) && !strpbrk(name, "\x1b\n\t\x7f"));
        }
        r.metric[METRIC_LOSS] = head.loss;
        int rc = intake_step(intake, (const struct intake_rows(*)[LINK_VIEWS])rows, &r, &e);
        fuzz_require(rc == 0 || *e.text);
        slots_release(slots, slot);
    }
}

int fuzz_ring(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct slots slots = {0};
    struct intake intake = {0};
    struct probing probing = {0};
    struct error e = {""};
    fuzz_require(probing_init(&probing, NULL) == 0);
    for (int i = 0; i < 4 && in.n > 0; i++) {
        unsigned what = input_byte(&in);
        int fd = what & 1 ? make_probe(&in) : make_ring(&in);
        if (what & 1 && probing_begin(&probing, fd, i, 0.8, &e) == 0)
            probing_end(&probing, 1, &e);
        else if (!(what & 1) && slots_open(&slots, fd, &e) == 0)
            take_ring(&slots, &intake);
        close(fd);
    }
    slots_close(&slots);
    intake_free(&intake);
    probing_free(&probing);
    return 0;
}

// --- the whole: a greeting (lines), then messages of a byte for their kind and what belongs to it.
// All of them wait in the socket when the recorder begins. ---

static void say(int fd, struct link_message *m, const void *text, size_t n, int memory)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part[2] = {{m, sizeof *m}, {(void *)(uintptr_t)text, n}};
    struct msghdr h = {.msg_iov = part, .msg_iovlen = 2};
    if (memory >= 0) {
        h.msg_control = &control;
        h.msg_controllen = sizeof control.room;
        struct cmsghdr *x = CMSG_FIRSTHDR(&h);
        x->cmsg_level = SOL_SOCKET;
        x->cmsg_type = SCM_RIGHTS;
        x->cmsg_len = CMSG_LEN(sizeof memory);
        memcpy(CMSG_DATA(x), &memory, sizeof memory);
    }
    sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static struct link_message message(uint32_t kind)
{
    return (struct link_message){
        .magic = LINK_MAGIC, .version = LINK_VERSION, .kind = kind, .step = -1};
}

// The words of a greeting, but for the folder and the calibration, which would be anybody's files.
static void greet(int fd, struct input *in)
{
    char text[4096], line[1024];
    size_t n = 0;
    struct link_message m = message(LINK_HELLO);
    unsigned how = input_byte(in);
    m.what = input_byte(in);
    m.steps = how & 1 ? (int64_t)input_number(in, 8) : 100;
    m.batch = how & 2 ? (int64_t)input_number(in, 8) : 0;
    m.n = how & 4 ? (int64_t)input_number(in, 8) : 0;
    m.chunks = how & 8 ? (int32_t)input_number(in, 4) : 0;
    for (int i = 0; i < LINK_WORDS; i++) {
        if (i == LINK_RUNS)
            snprintf(line, sizeof line, "%s/runs", foreign_folder());
        else if (i == LINK_CALIBRATION)
            snprintf(line, sizeof line, "off");
        else if (!input_line(in, line, sizeof line))
            *line = '\0';
        size_t length = strlen(line);
        if (n + length + 1 > sizeof text)
            break;
        memcpy(text + n, line, length + 1);
        n += length + 1;
    }
    say(fd, &m, text, how & 16 ? n / 2 : n, -1);
}

static void speak(int fd, struct input *in)
{
    char text[1024] = "";
    struct link_message m = message(input_byte(in) % (LINK_END + 2));
    int memory = -1;
    if (m.kind == LINK_RING)
        memory = make_ring(in);
    else if (m.kind == LINK_PROBE)
        memory = make_probe(in);
    m.id = input_byte(in);
    m.what = input_byte(in) % 4;
    m.ok = m.what & 1;
    m.step = input_byte(in);
    if (m.kind == LINK_ANSWER || m.kind == LINK_EVENT || m.kind == LINK_END)
        input_line(in, text, sizeof text);
    say(fd, &m, text, strlen(text), memory);
    if (memory >= 0)
        close(memory);
}

int fuzz_client(const uint8_t *data, size_t size)
{
    enum { MESSAGES = 24 };
    struct input in = {data, size};
    struct error e = {""};
    int pair[2], out = dup(STDOUT_FILENO);
    foreign_clear();
    setenv("XDG_RUNTIME_DIR", foreign_folder(), 1);
    fuzz_require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    greet(pair[0], &in);
    for (int i = 0; i < MESSAGES && in.n > 0; i++)
        speak(pair[0], &in);
    shutdown(pair[0], SHUT_WR);
    int works, rc = recorder_main(pair[1], foreign_folder(), &works, &e);
    fuzz_require(rc == 0 || rc == 1);
    close(pair[0]);
    if (out >= 0)
        close(out);
    foreign_clear();
    return 0;
}
