// Features and labels for an evaluation, in a sealed memfd of their own: copied, sent, and not
// waited for.
#include "train/client/client.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void copy(char *memory, const struct link_probe *p, const struct link_probe_place *at,
                 const ssltop_split *split[2])
{
    size_t row = (size_t)p->d * link_type_size[p->type];
    memcpy(memory, p, sizeof *p);
    for (int k = 0; k < 2; k++) {
        size_t step = (size_t)split[k]->stride * link_type_size[p->type];
        for (int64_t i = 0; i < p->n[k]; i++)
            memcpy(memory + at->rows[k] + (size_t)i * row,
                   (const char *)split[k]->rows + (size_t)i * step, row);
        memcpy(memory + at->labels[k], split[k]->labels, (size_t)p->n[k] * sizeof(int32_t));
    }
}

int ssltop_probe(ssltop_client *c, const ssltop_split *train, const ssltop_split *test, int64_t d,
                 ssltop_type type)
{
    const ssltop_split *split[2] = {train, test};
    struct link_message m = client_message(LINK_PROBE);
    struct link_probe p = {LINK_MAGIC, (uint32_t)type, 0, d, {train->n, test->n}};
    struct link_probe_place at;
    int rc = -1;
    if (!client_mine(c) || c->fd < 0)
        return 0;
    for (int k = 0; k < 2; k++)
        if (!split[k]->rows || !split[k]->labels || split[k]->stride < d)
            return -1;
    if (!link_probe_place(&p, &at))
        return -1;
    int fd = memfd_create("ssltop-probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    char *memory = MAP_FAILED;
    if (ftruncate(fd, (off_t)at.bytes) == 0)
        memory = mmap(NULL, at.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    m.step = c->step + 1;
    if (memory != MAP_FAILED) {
        copy(memory, &p, &at, split);
        munmap(memory, at.bytes);
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0)
            rc = client_say(c, &m, NULL, 0, fd) == 0 ? 0 : -1;
    }
    close(fd);
    return rc;
}
