// Batches of later steps. Drawing the numbers is cheap and happens here; the pixels are made by the
// device meanwhile. Of a batch that ranks share each draws its own part.
#include "train/run/loader.h"

#include <stdlib.h>
#include <string.h>

int loader_init(struct loader *l, const struct setup *s, struct error *e)
{
    size_t batch = (size_t)setup_share(s);
    memset(l, 0, sizeof *l);
    l->position = malloc((size_t)s->o.batch * sizeof *l->position);
    l->index = malloc(batch * sizeof *l->index);
    l->view[0] = malloc(batch * sizeof *l->view[0]);
    l->view[1] = malloc(batch * sizeof *l->view[1]);
    if (l->position && l->index && l->view[0] && l->view[1])
        return 0;
    loader_free(l);
    return error_set(e, "out of memory for a batch of %zu", batch);
}

void loader_free(struct loader *l)
{
    free(l->position);
    free(l->index);
    free(l->view[0]);
    free(l->view[1]);
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

    if (schedule_batch(&s->schedule, step, l->position, e) < 0)
        return -1;
    for (int i = 0; i < n; i++) {
        l->index[i] = s->order[l->position[first + i]];
        draw(s, step, l->index[i], l->view, i);
    }
    return plan_load(s->plan, s->images, l->index, view, e);
}
