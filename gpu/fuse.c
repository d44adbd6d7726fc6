// What a device may work in one pass; see fuse.h.
#include "gpu/fuse.h"

#include <stdlib.h>

static int is_lone_bn(const struct net *net, const struct fusion *f, int i)
{
    return net->node[i].op == NODE_BN && f->uses[i] == 1;
}

// Which operand of an add was fused into it: 0, 1, or -1 for none.
static int operand(const struct fusion *f, const struct net *net, const struct node *add)
{
    for (int k = 0; k < 2; k++)
        if (f->into[add->in[k]] != add->in[k] && net->node[add->in[k]].op == NODE_BN)
            return k;
    return -1;
}

static void count_uses(const struct net *net, struct fusion *f)
{
    const int wanted[] = {net->loss ? -1 : net->n - 1, net->features, net->projected,
                          net->predicted};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (wanted[i] >= 0)
            f->uses[wanted[i]]++;
    for (int i = 0; i < net->n; i++)
        for (int k = 0; k < 2; k++)
            if (net->node[i].in[k] >= 0)
                f->uses[net->node[i].in[k]]++;
}

static void fuse_nodes(const struct net *net, struct fusion *f)
{
    for (int i = 0; i < net->n; i++) {
        const struct node *d = &net->node[i];
        f->into[i] = i;
        if (d->op == NODE_ADD && d->in[0] != d->in[1]) {
            for (int k = 0; k < 2 && operand(f, net, d) < 0; k++)
                if (is_lone_bn(net, f, d->in[k]))
                    f->into[d->in[k]] = i;
        } else if (d->op == NODE_RELU && f->uses[d->in[0]] == 1) {
            const struct node *a = &net->node[d->in[0]];
            if (a->op == NODE_BN || (a->op == NODE_ADD && operand(f, net, a) >= 0))
                f->into[d->in[0]] = i;
        }
    }
}

static void find_last_uses(const struct net *net, struct fusion *f)
{
    for (int i = 0; i < net->n; i++) {
        int at = i;
        while (f->into[at] != at)
            at = f->into[at];
        for (int k = 0; k < 2; k++) {
            int in = net->node[i].in[k];
            if (in >= 0 && at > f->until[in])
                f->until[in] = at;
        }
    }
}

int fuse_new(struct fusion *f, const struct net *net, struct error *e)
{
    size_t n = (size_t)net->n;
    f->uses = calloc(n, sizeof *f->uses);
    f->into = calloc(n, sizeof *f->into);
    f->until = calloc(n, sizeof *f->until);
    if (!f->uses || !f->into || !f->until)
        return error_set(e, "out of memory compiling the network");
    count_uses(net, f);
    fuse_nodes(net, f);
    find_last_uses(net, f);
    return 0;
}

void fuse_free(struct fusion *f)
{
    free(f->uses);
    free(f->into);
    free(f->until);
}

int fuse_passes(const struct fusion *f, const struct net *net, int i)
{
    return net->node[i].frozen && f->until[i] > i && net->node[f->until[i]].frozen &&
           i != net->projected && i != net->predicted;
}

struct fused fuse_stage(const struct fusion *f, const struct net *net, int i)
{
    const struct node *d = &net->node[i];
    int relu = d->op == NODE_RELU && f->into[d->in[0]] == i;
    if (relu)
        d = &net->node[d->in[0]];
    int k = d->op == NODE_ADD ? operand(f, net, d) : -1;
    if (k < 0)
        return (struct fused){d, d->in[0], d->in[1], relu};
    const struct node *bn = &net->node[d->in[k]];
    return (struct fused){bn, bn->in[0], d->in[1 - k], relu};
}

// The input is rows when it has one place only and no filter slides over it.
static int input_is_rows(const struct net *net)
{
    for (int i = 1; i < net->n; i++)
        for (int k = 0; k < 2; k++)
            if (net->node[i].in[k] == 0 && net->node[i].op == NODE_CONV)
                return 0;
    return net->node[0].h == 1 && net->node[0].w == 1;
}

int fuse_gives_rows(const struct net *net, const struct node *d)
{
    while (d->op != NODE_INPUT && d->op != NODE_GAP && d->op != NODE_LINEAR && d->op != NODE_CONV &&
           d->op != NODE_MAXPOOL)
        d = &net->node[d->in[0]];
    return d->op == NODE_GAP || d->op == NODE_LINEAR || (d->op == NODE_INPUT && input_is_rows(net));
}
