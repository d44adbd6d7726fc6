// Threads of the card as fibers of the host: a block's threads run one at a time, in an order that
// the seed shuffles, and change hands at barriers and shuffles. A barrier that not all reach, or
// that different lines reach, is a fault; so is a shuffle from a lane that is not there.
#include "tests/cuda/emu.h"

#undef threadIdx
#include <stdlib.h>
#include <sys/mman.h>

#include <algorithm>
#include <vector>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

emu_thread *emu_self;
uint3 emu_block;
dim3 emu_block_dim, emu_grid_dim;
__thread int emu_inside;
uint32_t emu_launch_number, emu_block_number, emu_barrier_number;

static unsigned seeded;
static uint64_t state = 1;

void emu_shuffle_schedule(unsigned seed)
{
    seeded = seed;
    state = seed * 0x9e3779b97f4a7c15ull + 1;
}

unsigned emu_random(unsigned below)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)((state >> 33) % below);
}

// --- switching stacks ---
struct fiber {
    void *sp;
    char *stack;
    void *fake; // ASan's
};
static fiber host;
extern "C" void emu_switch(void **save, void *to);
asm(".text\n.globl emu_switch\n.hidden emu_switch\nemu_switch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n");

#ifdef __SANITIZE_ADDRESS__
static const void *host_low;
static size_t host_size;
static void leaving(fiber *from, fiber *to)
{
    __sanitizer_start_switch_fiber(&from->fake, to == &host ? host_low : to->stack,
                                   to == &host ? host_size : (size_t)EMU_STACK);
}
// The host's stack is learnt anew at each arrival from it: another thread's may be running this
// one.
static void arrived(fiber *at)
{
    if (at == &host)
        __sanitizer_finish_switch_fiber(at->fake, NULL, NULL);
    else
        __sanitizer_finish_switch_fiber(at->fake, &host_low, &host_size);
}
#else
static void leaving(fiber *, fiber *)
{
}
static void arrived(fiber *)
{
}
#endif

static void change(fiber *from, fiber *to)
{
    leaving(from, to);
    emu_switch(&from->sp, to->sp);
    arrived(from);
}

// --- one block ---
enum status { FRESH, READY, AT_BARRIER, AT_SHUFFLE, DONE };
struct thread : emu_thread {
    status at_status;
    fiber *on;
    const char *file;
    int line, from;
    unsigned mask;
    uint64_t give, got;
};
static thread threads[1024];
static unsigned waiting[32]; // lanes of a warp that are at a shuffle
static int n_threads, n_done, n_barrier, next_fresh, order[1024];
static std::vector<int> ready;
static std::vector<fiber *> idle;
static const emu_work *kernel;
static const char *kernel_name;

static thread *self(void)
{
    return static_cast<thread *>(emu_self);
}

size_t emu_stack_low(void)
{
    return (size_t)self()->on->stack;
}

int emu_lane(void)
{
    return emu_self->linear & 31;
}

// The body of every fiber: one thread of the card after the other.
static void body(void)
{
    arrived(self()->on);
    for (;;) {
        (*kernel)();
        thread *t = self();
        fiber *me = t->on;
        t->at_status = DONE;
        n_done++;
        if (ready.empty() && next_fresh < n_threads && !seeded) { // no need to go by the host
            thread *next = &threads[order[next_fresh++]];
            next->on = me;
            next->at_status = READY;
            emu_self = next;
            continue;
        }
        idle.push_back(me);
        change(me, &host);
    }
}

static fiber *fiber_new(void)
{
    fiber *f = new fiber();
    f->stack =
        (char *)mmap(NULL, EMU_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (f->stack == MAP_FAILED)
        abort();
    void **top = (void **)(f->stack + EMU_STACK - 16);
    *--top = NULL;
    *--top = (void *)body;
    for (int i = 0; i < 6; i++)
        *--top = NULL;
    f->sp = top;
    return f;
}

static void suspend(status s, const char *file, int line)
{
    thread *t = self();
    t->at_status = s;
    t->file = file;
    t->line = line;
    change(t->on, &host);
}

void emu_barrier(const char *file, int line)
{
    if (n_done)
        emu_fault("%s: %s:%d: a barrier after %d threads of the block have returned", kernel_name,
                  file, line, n_done);
    n_barrier++;
    suspend(AT_BARRIER, file, line);
}

static void pass_barrier(void)
{
    const thread *first = NULL;
    for (int i = 0; i < n_threads; i++) {
        const thread *t = &threads[i];
        if (t->at_status != AT_BARRIER)
            continue;
        if (first && t->line != first->line) {
            emu_fault("%s: threads wait at different barriers (lines %d and %d)", kernel_name,
                      first->line, t->line);
            break;
        }
        first = first ? first : t;
    }
    for (int i = 0; i < n_threads; i++)
        if (threads[order[i]].at_status == AT_BARRIER) {
            threads[order[i]].at_status = READY;
            ready.push_back(order[i]);
        }
    n_barrier = 0;
    emu_barrier_number++;
}

uint64_t emu_shuffle(unsigned mask, uint64_t v, int from, const char *file, int line)
{
    thread *t = self();
    int warp = t->linear >> 5, lane = t->linear & 31, in = n_threads - warp * 32;
    if (!(mask >> lane & 1) || (in < 32 && mask >> in)) {
        emu_fault("%s: %s:%d: the mask %08x does not fit lane %d of %d", kernel_name, file, line,
                  mask, lane, in);
        mask = (mask | 1u << lane) & (in < 32 ? (1u << in) - 1 : ~0u);
    }
    t->mask = mask;
    t->give = v;
    t->from = from;
    t->line = line;
    waiting[warp] |= 1u << lane;
    if ((waiting[warp] & mask) != mask) {
        suspend(AT_SHUFFLE, file, line);
        return t->got;
    }
    for (int i = 0; i < 32; i++) {
        thread *o = &threads[warp * 32 + i];
        if (!(mask >> i & 1))
            continue;
        if (o->mask != mask || o->line != line)
            emu_fault("%s: lanes %d and %d shuffle at different places (lines %d and %d)",
                      kernel_name, lane, i, line, o->line);
        if (!(mask >> o->from & 1))
            emu_fault("%s: %s:%d: lane %d reads lane %d, which takes no part", kernel_name, file,
                      line, i, o->from);
        o->got = threads[warp * 32 + o->from].give;
        if (i != lane) {
            o->at_status = READY;
            ready.push_back(warp * 32 + i);
        }
    }
    waiting[warp] &= ~mask;
    return t->got;
}

// --- shared memory: arrays of the running block with red zones between, NaN at first ---
enum { SHARED_MOST = 48 * 1024, RED = 64 };
struct shared_array {
    const void *key;
    char *at;
};
alignas(64) static char shared_memory[2 * SHARED_MOST];
static size_t shared_used, shared_sum;
static std::vector<shared_array> shared_arrays;

static void forget_shared(void)
{
    shared_arrays.clear();
    shadow_forget(shared_memory, shared_used);
#ifdef __SANITIZE_ADDRESS__
    ASAN_POISON_MEMORY_REGION(shared_memory, sizeof shared_memory);
#endif
    shared_used = shared_sum = 0;
}

void *emu_shared(const void *key, size_t size)
{
    for (const shared_array &a : shared_arrays)
        if (a.key == key)
            return a.at;
    char *at = shared_memory + shared_used + RED;
    shared_used += (size + 63) / 64 * 64 + 2 * RED;
    shared_sum += size;
    if (shared_sum > SHARED_MOST || shared_used > sizeof shared_memory)
        emu_fault("%s: more than %d bytes of shared memory", kernel_name, (int)SHARED_MOST);
#ifdef __SANITIZE_ADDRESS__
    ASAN_UNPOISON_MEMORY_REGION(at, size);
#endif
    memset(at, 0xff, size);
    shadow_shared(shared_memory, sizeof shared_memory, at, size);
    shared_arrays.push_back({key, at});
    return at;
}

static void set_up(void)
{
    forget_shared();
    n_done = n_barrier = next_fresh = 0;
    emu_barrier_number++;
    memset(waiting, 0, sizeof waiting);
    ready.clear();
    for (int i = 0; i < n_threads; i++) {
        unsigned u = (unsigned)i;
        order[i] = i;
        threads[i].at_status = FRESH;
        threads[i].linear = i;
        threads[i].at = make_uint3(u % emu_block_dim.x, u / emu_block_dim.x % emu_block_dim.y,
                                   u / (emu_block_dim.x * emu_block_dim.y));
    }
    unsigned way = seeded ? emu_random(3) : 0;
    if (way == 1)
        std::reverse(order, order + n_threads);
    for (int i = n_threads - 1; way == 2 && i > 0; i--)
        std::swap(order[i], order[emu_random((unsigned)i + 1)]);
}

// The next thread to run, or NULL when all wait for what cannot come.
static thread *pick(void)
{
    if (!ready.empty() && (next_fresh == n_threads || (seeded && emu_random(2)))) {
        size_t k = seeded ? emu_random((unsigned)ready.size()) : ready.size() - 1;
        thread *t = &threads[ready[k]];
        ready[k] = ready.back();
        ready.pop_back();
        return t;
    }
    if (next_fresh == n_threads)
        return NULL;
    thread *t = &threads[order[next_fresh++]];
    if (idle.empty())
        idle.push_back(fiber_new());
    t->on = idle.back();
    idle.pop_back();
    return t;
}

static void run_block(void)
{
    set_up();
    while (n_done < n_threads) {
        thread *t = pick();
        if (!t && n_barrier && n_barrier + n_done == n_threads) {
            pass_barrier();
            continue;
        }
        if (!t) {
            emu_fault("%s: block %u waits for ever: %d of %d threads returned, %d at a barrier",
                      kernel_name, emu_block_number, n_done, n_threads, n_barrier);
            abort();
        }
        t->at_status = READY;
        emu_self = t;
        change(&host, t->on);
        emu_self = NULL;
    }
}

static uint64_t common(uint64_t a, uint64_t b)
{
    return b ? common(b, a % b) : a;
}

void emu_run_grid(const char *name, dim3 grid, dim3 block, const emu_work &work)
{
    kernel = &work;
    kernel_name = name;
    emu_grid_dim = grid;
    emu_block_dim = block;
    n_threads = (int)(block.x * block.y * block.z);
    emu_launch_number++;
    uint64_t n = (uint64_t)grid.x * grid.y * grid.z, step = 1, first = 0;
    if (seeded && n > 1) {
        first = emu_random((unsigned)n);
        for (step = 1 + emu_random((unsigned)n); common(step, n) != 1;)
            step++;
    }
    emu_inside++;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t k = (first + i * step) % n;
        emu_block_number = (uint32_t)k;
        emu_block = make_uint3((unsigned)(k % grid.x), (unsigned)(k / grid.x % grid.y),
                               (unsigned)(k / ((uint64_t)grid.x * grid.y)));
        run_block();
    }
    emu_inside--;
}
