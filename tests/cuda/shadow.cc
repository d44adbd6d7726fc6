// Exact checks of the kernels' accesses to memory of the card and shared memory: bounds, bytes
// never written, use after free, misalignment, and races within a launch. The .cu files are
// compiled with -fsanitize=thread; the calls which that puts before every access come here, not to
// its library.
#include "tests/cuda/emu.h"

#undef threadIdx
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef EMU_SHADOW
void shadow_alloc(void *, size_t)
{
}
void shadow_free(void *, size_t)
{
}
void shadow_shared(const char *, size_t, const void *, size_t)
{
}
void shadow_forget(const char *, size_t)
{
}
void shadow_touch(const void *, size_t, bool, const char *)
{
}
#else
// Who touched a byte last. `by`: thread of the block + 1, and whether several have read.
struct trace {
    uint32_t launch, block, barrier, by;
};
enum : uint32_t { SEVERAL = 0x80000000u };
enum : uint8_t { NOWHERE, BLANK, WRITTEN, FREED };
struct cell {
    trace write, read;
};
struct area {
    const char *name, *from;
    size_t size;
    uint8_t *state;
    cell *cells;
    bool shared;
};
static area card = {"memory of the card", NULL, 0, NULL, NULL, false};
static area host = {"memory of the host", NULL, 0, NULL, NULL, false};
static area shared = {"shared memory", NULL, 0, NULL, NULL, true};

static void *reserve(size_t n)
{
    void *p =
        mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        abort();
    return p;
}

static void prepare(area *a, const char *from, size_t size)
{
    if (a->from || !size)
        return;
    a->from = from;
    a->size = size;
    a->state = (uint8_t *)reserve(size);
    a->cells = (cell *)reserve(size * sizeof(cell));
}

void shadow_alloc(void *p, size_t n)
{
    prepare(&card, emu_arena, EMU_ARENA);
    size_t at = (size_t)((char *)p - card.from);
    memset(card.state + at, BLANK, n);
    memset((void *)(card.cells + at), 0, n * sizeof(cell));
}

void shadow_free(void *p, size_t n)
{
    memset(card.state + ((char *)p - card.from), FREED, n);
}

void shadow_shared(const char *base, size_t all, const void *p, size_t n)
{
    prepare(&shared, base, all);
    memset(shared.state + ((const char *)p - base), BLANK, n);
}

void shadow_forget(const char *base, size_t n)
{
    if (shared.from == base)
        memset(shared.state, NOWHERE, n);
}

void shadow_touch(const void *p, size_t n, bool write, const char *what)
{
    uint8_t *state = card.state + ((const char *)p - card.from);
    if (write) {
        memset(state, WRITTEN, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (state[i] == BLANK) {
            emu_fault("%s: byte %zu of %zu was never written", what, i, n);
            return;
        }
}

static void report(const char *what, const area *a, bool write, size_t n, const void *pc)
{
    Dl_info info;
    const char *name = dladdr(pc, &info) && info.dli_sname ? info.dli_sname : "a kernel";
    emu_fault("%s: %s of %zu bytes in %s by thread %d of block %u in %.200s", what,
              write ? "write" : "read", n, a->name, emu_self->linear, emu_block_number, name);
}

// Whether what `t` tells of came before this access, for certain.
static bool before(const area *a, const trace *t)
{
    if (!t->by || t->launch != emu_launch_number)
        return true;
    if (t->block != emu_block_number)
        return a->shared; // another block's shared memory is another memory
    if (t->barrier != emu_barrier_number)
        return true;
    return t->by == (uint32_t)emu_self->linear + 1;
}

static void access(const void *address, size_t n, bool write, const void *pc)
{
    const char *p = (const char *)address;
    area *a = NULL;
    if (!emu_inside || !emu_self)
        return;
    if (card.from && p >= card.from && p < card.from + card.size)
        a = &card;
    else if (shared.from && p >= shared.from && p < shared.from + shared.size)
        a = &shared;
    if (!a) { // the thread's own stack; constants and arguments may be read
        if (write && (size_t)p - emu_stack_low() >= EMU_STACK)
            report("written", &host, write, n, pc);
        return;
    }
    if ((size_t)p & (n - 1) & 15)
        report("misaligned", a, write, n, pc);
    size_t at = (size_t)(p - a->from);
    for (size_t i = 0; i < n; i++) {
        uint8_t *state = &a->state[at + i];
        if (*state == NOWHERE || *state == FREED) {
            report(*state == FREED ? "use after free" : "out of bounds", a, write, n, pc);
            return;
        }
        if (!write && *state == BLANK) {
            report("never written", a, write, n, pc);
            *state = WRITTEN;
            return;
        }
    }
    trace now = {emu_launch_number, emu_block_number, emu_barrier_number,
                 (uint32_t)emu_self->linear + 1};
    for (size_t i = 0; i < n; i++) {
        cell *c = &a->cells[at + i];
        bool race = !before(a, &c->write) || (write && !before(a, &c->read));
        if (race) {
            report("race", a, write, n, pc);
            *c = (cell){};
            return;
        }
        if (write) {
            c->write = now;
            a->state[at + i] = WRITTEN;
        } else {
            bool others = !before(a, &c->read);
            c->read = now;
            if (others)
                c->read.by = SEVERAL;
        }
    }
}

#define HOOK(n)                                                                                    \
    void __tsan_read##n(void *p)                                                                   \
    {                                                                                              \
        access(p, n, false, __builtin_return_address(0));                                          \
    }                                                                                              \
    void __tsan_write##n(void *p)                                                                  \
    {                                                                                              \
        access(p, n, true, __builtin_return_address(0));                                           \
    }                                                                                              \
    void __tsan_unaligned_read##n(void *p)                                                         \
    {                                                                                              \
        access(p, n, false, __builtin_return_address(0));                                          \
    }                                                                                              \
    void __tsan_unaligned_write##n(void *p)                                                        \
    {                                                                                              \
        access(p, n, true, __builtin_return_address(0));                                           \
    }
extern "C" {
HOOK(1)
HOOK(2)
HOOK(4)
HOOK(8)
HOOK(16)
void __tsan_init(void)
{
}
void __tsan_func_entry(void *)
{
}
void __tsan_func_exit(void)
{
}
void __tsan_vptr_update(void **, void *)
{
}
void __tsan_vptr_read(void **)
{
}
void __tsan_read_range(void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        access((char *)p + i, 1, false, __builtin_return_address(0));
}
void __tsan_write_range(void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        access((char *)p + i, 1, true, __builtin_return_address(0));
}
}
#endif
