// What the features of the training steps tell of their images (metrics/science/cross.h): the
// batch's coordinates beside the moments of its features.
#ifndef SSLTOP_TRAIN_RUN_LIVE_IMAGES_H
#define SSLTOP_TRAIN_RUN_LIVE_IMAGES_H

#include <stdint.h>

#include "metrics/base/error.h"
#include "metrics/science/cross.h"
#include "metrics/science/fewshot.h"
#include "train/ranks/team.h"
#include "train/run/setup.h"

struct live_images {
    struct cross cross;       // d 0: there is no surrogate, and nothing to do
    struct fewshot fewshot;   // the same
    struct fewshot_told told; // what the newest step's images tell of one another
    float *h, *t;             // a batch's features of both views, and coordinates
    int64_t *index;           // its images
    int32_t *cluster;         // which they are in
};

// Open the surrogates of a setup's data, as the run in folder `run` has them ("": a new one); not
// where nothing is asked.
int live_images_ask(struct setup *s, const char *run, struct error *e);
// Write them into a run's folder. Without the file a run that goes on makes them again, by the same
// rule: a failure is noted in its log and no more.
void live_images_keep(const struct setup *s, const char *run, int trainer_log_fd);

// For a setup whose surrogates are open, or zeroed. Free in any case.
int live_images_init(struct live_images *o, const struct setup *s, struct error *e);
void live_images_free(struct live_images *o); // takes a zeroed struct too
// As they were when this checkpoint was written.
int live_images_restore(struct live_images *o, const char *checkpoint, struct error *e);

// After the forward pass of step t: both views of its batch.
int live_images_step(struct live_images *o, struct setup *s, struct team *team, int64_t t,
                     struct error *e);
// The penalty that an evaluation has chosen; NaN: none.
void live_images_penalty(struct live_images *o, double lambda);
// METRIC_PIXEL_R2 now, from the moments of the same features, as an evaluation of so many images
// would have it.
double live_images_r2(struct live_images *o, const struct moments *live, int64_t images);

#endif
