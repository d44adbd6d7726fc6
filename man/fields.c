// The words about record types and their fields. A field without words fails a test.
#include "man/fields.h"

#include <string.h>

#include "metrics/science/metric.h"
#include "metrics/log/record_fields.h"

// clang-format off
static const struct {
    const char *type, *field, *doc;
} doc_table[] = {
    {"run", "", "The first line, once a file: what is trained, on what, and how it was started."},
    {"run", "version", "Of this format: 1."},
    {"run", "writer.name", "What wrote the log: ssltop, or ssltop-client in a trainer of somebody else's. Absent before 1.1."},
    {"run", "writer.version", "Its version."},
    {"run", "can", "The commands that such a trainer takes, with blanks between; absent where it takes all."},
    {"run", "name", "Name of the run, which is the name of its folder."},
    {"run", "created", "When the run began: ISO 8601, UTC."},
    {"run", "config", "The options that would start this run again, each as text under its name."},
    {"run", "dataset.name", "As given to --data."},
    {"run", "dataset.n", "Training images, after --subset."},
    {"run", "dataset.n_test", "Test images."},
    {"run", "dataset.classes", "Classes, 0 for a set without labels."},
    {"run", "dataset.shape", "Channels, height and width of an image."},
    {"run", "model.arch", "As given to --arch."},
    {"run", "model.width", "Channels of the first stage."},
    {"run", "model.d", "Number of features: the length of a spectrum."},
    {"run", "model.params", "Trained parameters, heads included."},
    {"run", "device.name", "What computed."},
    {"run", "device.detail", "Instruction set, library and driver versions."},
    {"run", "device.threads", "Threads that computed."},
    {"run", "device.ranks", "Processes that train together; absent where it is one."},
    {"run", "device.precision", "f32 or bf16."},
    {"run", "device.algorithms", "What the device chose for its layers; obeyed by a resumed or repeated run."},
    {"run", "steps", "Length T of the schedule."},
    {"run", "parent", "The run that this one branched from; empty for none."},
    {"run", "parent_step", "The step at which it did."},

    {"step", "", "One for each step of training."},
    {"step", "t", "Seconds since the run began, pauses and evaluations included."},
    {"step", "mode", "From which of the images the batch was drawn."},
    {"step", "chunk", "The chunk whose time it was, from 0; null in multi-epoch."},
    {"step", "lr", "Learning rate of encoder and projector in this step."},
    {"step", "lr_pred", "Learning rate of the predictor in this step."},
    {"step", "*", "The metrics by key, from the live spectrum."},
    {"step", "*pairs", "From the projections of the batch, in one step of 16 (of a trainer of somebody else's in each that is measured); null in the others."},
    {"step", "*scores", "The step's own, there in every step."},
    {"step", "*asked", "What the features tell of the batch's images, in one step of 16; absent in the others, in early ones "
     "and with --surrogates off. Of these only pixel_r2 is a step's, the others are measured at evaluations."},
    {"step", "*raw", "From the same moments, in the same steps as pixel_r2; absent in the others."},
    {"step", "*rows", "Absent: measured at evaluations only."},
    {"step", "*batch", "From the first 64 images of the batch, the mean of the features of both views of each; of smaller "
     "batches as soon as they have given 64 together; absent with --surrogates off."},
    {"step", "*views", "From the features of the first 128 images of one in d/64 steps, both views, weighted down with age to "
     "half in 4 d of them; worked beside the steps, as of d/8 before; absent in those between."},
    {"step", "z.auc", "AUC of the projections, as of the spectrum of z that this step ends (see spectrum); absent in the steps "
     "between."},
    {"step", "z.rankme", "RankMe of the same."},
    {"step", "forecast", "Accuracy that the fast probe of an evaluation is expected to measure, 0 to 1."},
    {"step", "forecast_lo", "Lower end of its 95 % interval."},
    {"step", "forecast_hi", "Upper end of its 95 % interval."},
    {"step", "forecast_end", "Accuracy that a probe (see forecast_end_of) is expected to measure where the run ends as it goes, 0 to 1; from a "
                             "tenth of the run on, absent where nothing is foretold."},
    {"step", "forecast_end_lo", "Lower end of its 95 % interval."},
    {"step", "forecast_end_hi", "Upper end of its 95 % interval."},
    {"step", "forecast_end_of", "linear where it is the linear probe (ssltop probe) that is foretold, as the calibration's runs had "
                                "it kept; absent where it is the fast one."},
    {"step", "forecast_state", "Why no forecast is shown: uncalibrated (no calibration for this data set, network and "
                               "method), waiting (no evaluation yet), or extrapolating (z-std or what it is made of are "
                               "far from all that it was fitted on: the numbers are there, but nothing stands "
                               "behind them). Absent where there is a forecast."},
    {"step", "images_s", "Images (not views) a second, over about the last second."},
    {"step", "ms.data", "Milliseconds spent waiting for views."},
    {"step", "ms.forward", "Milliseconds of the forward pass."},
    {"step", "ms.backward", "Milliseconds of the backward pass."},
    {"step", "ms.update", "Milliseconds of the optimiser."},
    {"step", "ms.spectrum", "Milliseconds of covariance, spectrum and metrics."},
    {"step", "ms.reduce", "Milliseconds of waiting for other processes that train the same batch; in none of the others. "
     "On a GPU those in which the card had nothing to do but wait for a sum, by its own clock. "
                          "Absent where there are none."},
    {"step", "dropped", "Steps so far that came faster than they could be recorded; only in a trainer of somebody else's."},
    {"step", "own", "The scalars that the training script added, each under its name (as CSV a column own.NAME each). "
                    "Absent where there are none."},

    {"spectrum", "", "Singular values of the centred features."},
    {"spectrum", "source", "Either live: training features of the last steps, weighted down with age; or exact: "
                           "un-augmented training images, network in evaluation mode; or z: projections (the first 128 of each view) of "
     "one in dim/128 training steps, weighted down with age to half in 4 dim of them. Its values are worked beside the "
     "steps, 8 columns of the covariance in each: it is as of dim/8 steps before the one that bears it. There is none "
     "of more than 4,096 numbers."},
    {"spectrum", "n", "Samples behind it; for a live one the effective number."},
    {"spectrum", "sigma", "The singular values, from the largest down, with 5 significant digits."},

    {"eval", "", "An evaluation: at the start, every --eval-every steps, at the end and on demand. In a trainer of somebody "
     "else's it is worked out beside the steps, and may stand behind some that were made meanwhile."},
    {"eval", "*", "The metrics by key, from the exact spectrum."},
    {"eval", "*pairs", "Always null: an evaluation looks at images, not at two views of them."},
    {"eval", "*scores", "Always null: an evaluation is no step of training."},
    {"eval", "*asked", "What the features tell of images on which nothing was fitted: half of those of the evaluation; absent "
     "with --surrogates off and where there are too few images."},
    {"eval", "*raw", "Of the same features."},
    {"eval", "*batch", "Absent: a step's."},
    {"eval", "*views", "Of ten views of up to 2 d of the images (512 at most, and 128 MB of pixels), the same at every evaluation; absent with --augment none."},
    {"eval", "*rows", "Of the same features, TwoNN of at most 2,048 of them."},
    {"eval", "auc_live", "AUC of the live spectrum of the step before: auc minus this is the offset that is shown beside live "
                         "values. Absent before the first step."},
    {"eval", "probe", "Test accuracy of a linear classifier (the fast probe) on frozen features, 0 to 1."},
    {"eval", "knn.accuracy", "Test accuracy of the nearest 200 training features, 0 to 1."},
    {"eval", "n_train", "Training images that the probe was fitted on; without a probe those behind the spectrum."},
    {"eval", "n_test", "Test images that were scored."},
    {"eval", "forecast", "What the probe is foretold to measure here, 0 to 1; absent where no forecast is shown."},
    {"eval", "best.value", "Accuracy of the best evaluation so far, 0 to 1: of those that were due, this one included, and the last; not of those that somebody asked for or that a stop made. Absent before the first that has one, as the rest of best."},
    {"eval", "best.step", "Its step. Where the network is ssltop's, best.safetensors holds it."},
    {"eval", "best.age", "Evaluations since, none of which was better; 0: it is this one."},
    {"eval", "best.by", "What was compared: probe where one is measured, else forecast."},

    {"event", "", "Something happened or was asked for. A change of mode or learning rate is on the disk before "
                  "the step from which it holds."},
    {"event", "what", "Kind of event: a steering command (mode, until, lr, pause, resume, step, eval, checkpoint, stop), guard "
     "(a rule that could not act) or warning."},
    {"event", "by", "Who asked: key, ctl, plan, guard, signal or trainer."},
    {"event", "from", "What it was before: a mode, a learning rate factor, an interval of evaluations."},
    {"event", "to", "What it is from this step on; of until: the mode, at and the step."},
    {"event", "text", "The rest, for a person."},

    {"checkpoint", "", "A checkpoint was written; step is the number of steps that it holds."},
    {"checkpoint", "file", "Its name inside the run folder: ckpt-STEP.safetensors, or best.safetensors, which replaces the one before."},

    {"device", "", "What the sensors of the card say, about once a second while it trains on a GPU whose driver "
                   "brings NVML; step is the step that was just made."},
    {"device", "utilization", "Percent of the last moments in which the card computed."},
    {"device", "memory_used", "Bytes of the card's memory that are in use, by all processes."},
    {"device", "memory_total", "Bytes that it has."},
    {"device", "power", "Power draw in W."},
    {"device", "power_limit", "The power draw that it is held to, in W."},
    {"device", "temperature", "Temperature in degrees Celsius."},
    {"device", "clock_sm", "Clock of its multiprocessors in MHz."},
    {"device", "clock_memory", "Clock of its memory in MHz."},
    {"device", "others", "How many other processes compute on it."},
    {"device", "others_memory", "Bytes of its memory that they hold."},
    {"device", "others_text", "Who they are: program and process number, as far as this machine tells."},

    {"ranks", "", "The processes that train together, about once a second where there are several; step is the step that was "
                  "just made."},
    {"ranks", "hosts", "The machine of each, in the order of their ranks, with blanks between."},
    {"ranks", "ms.own", "Milliseconds that each took in that step for its own work, waiting for views included."},
    {"ranks", "ms.reduce", "Milliseconds that each (on GPUs: its card) waited for the others in it."},

    {"end", "", "The last line of a run that ended by itself. A run that was killed has none."},
    {"end", "reason", "Why it ended: finished, stopped or failed."},
    {"end", "text", "The same for a person."},
};
// clang-format on

const char *man_field_doc(const char *type, const char *field)
{
    for (size_t i = 0; i < sizeof doc_table / sizeof *doc_table; i++)
        if (!strcmp(doc_table[i].type, type) && !strcmp(doc_table[i].field, field))
            return doc_table[i].doc;
    return NULL;
}

void man_field_name(const struct record_field *field, char *name, size_t size)
{
    snprintf(name, size, "%s%s%s", field->group ? field->group : "", field->group ? "." : "",
             field->key ? field->key : "*");
}

static void print_field(FILE *f, const char *type, const char *name, const char *kind,
                        void (*say)(FILE *f, const char *text))
{
    const char *doc = man_field_doc(type, name);
    fprintf(f, ".It Cm %s Pq %s\n", name, kind);
    if (doc)
        say(f, doc);
}

static void print_phases(FILE *f, const char *type, const char *group,
                         void (*say)(FILE *f, const char *text))
{
    for (int i = 0; i < PHASE_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.%s", group, record_phase_key[i]);
        print_field(f, type, name, "number", say);
    }
}

const struct man_metrics man_metrics[] = {
    {METRIC_NEEDS_SPECTRUM | METRIC_NEEDS_FEATURES, "*"},
    {METRIC_NEEDS_PAIRS, "*pairs"},
    {METRIC_NEEDS_SCORES, "*scores"},
    {METRIC_NEEDS_IMAGES | METRIC_NEEDS_EVALUATION, "*asked"},
    {METRIC_NEEDS_RAW, "*raw"},
    {METRIC_NEEDS_ROWS, "*rows"},
    {METRIC_NEEDS_VIEWS, "*views"},
    {METRIC_NEEDS_BATCH, "*batch"},
    {0, NULL},
};

static void print_metrics(FILE *f, const char *type, void (*say)(FILE *f, const char *text))
{
    for (const struct man_metrics *g = man_metrics; g->doc; g++) {
        const char *before = ".It Cm ";
        for (int i = 0; i < METRIC_COUNT; i++)
            if (metric_is_given(i, g->needs)) {
                fprintf(f, "%s%s", before, metric_table[i].key);
                before = " , ";
            }
        fprintf(f, " Pq number\n");
        say(f, man_field_doc(type, g->doc));
    }
}

void man_print_records(FILE *f, void (*say)(FILE *f, const char *text))
{
    static const char *const kind[] = {
        [FIELD_DOUBLE] = "number",   [FIELD_INT] = "integer",    [FIELD_INT64] = "integer",
        [FIELD_TEXT] = "text",       [FIELD_OWNED] = "text",     [FIELD_OBJECT] = "object",
        [FIELD_METRICS] = "numbers", [FIELD_PHASES] = "numbers", [FIELD_SHAPE] = "array",
        [FIELD_MODE] = "text",       [FIELD_SOURCE] = "text",    [FIELD_SIGMA] = "array",
        [FIELD_OWN] = "object"};
    for (int t = RECORD_RUN; t <= RECORD_END; t++) {
        const struct record_kind *type = &record_kind_table[t];
        fprintf(f, ".Ss %s\n", type->name);
        say(f, man_field_doc(type->name, ""));
        fprintf(f, ".Bl -tag -width Ds\n");
        for (size_t i = 0; i < type->n; i++) {
            const struct record_field *field = &type->field[i];
            char name[64];
            man_field_name(field, name, sizeof name);
            if (field->kind == FIELD_METRICS)
                print_metrics(f, type->name, say);
            else if (field->kind == FIELD_PHASES)
                print_phases(f, type->name, field->group, say);
            else
                print_field(f, type->name, name, kind[field->kind], say);
        }
        fprintf(f, ".El\n");
    }
}
