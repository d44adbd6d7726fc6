// The table of targets, and what takes their inputs apart.
#include "tests/fuzz/targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct fuzz_target fuzz_target_table[] = {
#define FUZZ_ROW(name, dictionary, most, memory, doc)                                              \
    {#name, fuzz_##name, dictionary, most, memory, doc},
    FUZZ_TARGETS(FUZZ_ROW)};

const struct fuzz_target *fuzz_find(const char *name)
{
    for (int i = 0; i < FUZZ_TARGET_COUNT; i++)
        if (strcmp(fuzz_target_table[i].name, name) == 0)
            return &fuzz_target_table[i];
    return NULL;
}

void fuzz_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: this must hold: %s\n", file, line, what);
    abort();
}

// --- an input, taken from its front ---

uint8_t input_byte(struct input *in)
{
    return (uint8_t)input_number(in, 1);
}

uint64_t input_number(struct input *in, int bytes)
{
    uint64_t v = 0;
    struct input part = input_take(in, (size_t)bytes);
    for (size_t i = 0; i < part.n; i++)
        v |= (uint64_t)part.p[i] << 8 * i;
    return v;
}

struct input input_take(struct input *in, size_t n)
{
    struct input part = {in->p, n < in->n ? n : in->n};
    in->p += part.n;
    in->n -= part.n;
    return part;
}

int input_line(struct input *in, char *line, size_t size)
{
    if (!in->n)
        return 0;
    const uint8_t *end = memchr(in->p, '\n', in->n);
    struct input part = input_take(in, end ? (size_t)(end - in->p) : in->n);
    if (end)
        input_take(in, 1);
    size_t n = part.n < size ? part.n : size - 1;
    memcpy(line, part.p, n);
    line[n] = '\0';
    return 1;
}

char *input_text(struct input in)
{
    char *text = malloc(in.n + 1);
    fuzz_require(text);
    memcpy(text, in.p, in.n);
    text[in.n] = '\0';
    return text;
}
