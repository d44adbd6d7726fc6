// Batches of later steps. Drawing the numbers is cheap and happens here; the pixels are made by the
// device meanwhile. Of a batch that ranks share each draws its own part.
#include "train/run/loader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "metrics/base/path.h"
#include "metrics/log/mode.h"

static int open_trace(struct loader *l, const struct setup *s, struct error *e)
{
    const char *name = getenv("SSLTOP_TRACE");
    if (!name || !*name)
        return 0;
    struct path path = path_of("%s.%d", name, s->ranks ? s->ranks->rank : 0);
    l->trace = fopen(path.s, "we");
    return l->trace ? 0 : error_system(e, "can't write the trace %s", path.s);
}

static int trace(const struct loader *l, const struct setup *s, int64_t step, struct error *e)
{
    struct schedule_place p;
    if (!l->trace)
        return 0;
    schedule_at(&s->schedule, step, &p);
    uLong crc =
        crc32(0, (const Bytef *)l->position, (uInt)((size_t)s->o.batch * sizeof *l->position));
    if (fprintf(l->trace, "%" PRId64 " %s %d %08lx\n", step, mode_name(p.mode), p.chunk, crc) < 0 ||
        fflush(l->trace) != 0)
        return error_system(e, "can't write the trace");
    return 0;
}

int loader_init(struct loader *l, const struct setup *s, struct error *e)
{
    size_t batch = (size_t)setup_share(s);
    memset(l, 0, sizeof *l);
    l->position = memory_take(&l->memory, (size_t)s->o.batch, sizeof *l->position);
    l->index = memory_take(&l->memory, batch, sizeof *l->index);
    for (int v = 0; v < 2; v++)
        l->view[v] = memory_take(&l->memory, batch, sizeof *l->view[v]);
    int rc = l->memory.failed ? error_memory(e, "a batch of %zu", batch) : open_trace(l, s, e);
    if (rc < 0)
        loader_free(l);
    return rc;
}

void loader_free(struct loader *l)
{
    memory_free(&l->memory);
    if (l->trace)
        fclose(l->trace); // every line is there already
    memset(l, 0, sizeof *l);
}

// Both views of an image, into place i.
static void draw(const struct setup *s, int64_t step, int64_t image, struct augment_view **view,
                 int i)
{
    const struct dataset *d = &s->data;
    const struct pictures *source = d->split[SPLIT_TRAIN].source;
    int h, w, side = d->height < d->width ? d->height : d->width;
    dataset_size(d, SPLIT_TRAIN, image, &h, &w);
    for (int v = 0; v < 2; v++) {
        if (source && !s->recipe->enabled)
            pictures_plain(source, image, d->height, d->width, &view[v][i]);
        else
            augment_draw(s->recipe, s->o.seed, step, image, v, d->channels, h, w, side,
                         &view[v][i]);
    }
}

int loader_queue(struct loader *l, struct setup *s, int64_t step, struct error *e)
{
    const struct augment_view *const view[2] = {l->view[0], l->view[1]};
    int n = setup_share(s), first = s->ranks ? s->ranks->rank * n : 0;
    if (schedule_batch(&s->schedule, step, l->position, e) < 0 || trace(l, s, step, e) < 0)
        return -1;
    for (int i = 0; i < n; i++) {
        l->index[i] = s->order[l->position[first + i]];
        draw(s, step, l->index[i], l->view, i);
    }
    return plan_load(s->plan, s->images, l->index, view, e);
}
