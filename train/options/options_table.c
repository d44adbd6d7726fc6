// The options of `train` as rows, in the order of the manual.
#include "train/options/options.h"

#include <string.h>

#include "data/augment.h"
#include "data/sets/dataset_table.h"
#include "train/methods/method.h"
#include "train/options/recipe.h"
#include "train/schedule/schedule_text.h"

// What is the same for all rows of a kind; a row adds what it has besides with designated
// initialisers.
#define ROW(n, t, p, f, s)                                                                         \
    .name = (n), .type = (t), .place = (p), OPTION_FIELD(struct options, f), .section = (s)
#define TEXT(n, p, f, s)  ROW(n, OPTION_STRING, p, f, s)
#define INT(n, p, f, s)   ROW(n, OPTION_INT, p, f, s), .argument = "N"
#define INT64(n, p, f, s) ROW(n, OPTION_INT64, p, f, s), .argument = "N"
#define REAL(n, p, f, s)  ROW(n, OPTION_DOUBLE, p, f, s), .argument = "X"
#define FLAG(n, p, f, s)  ROW(n, OPTION_FLAG, p, f, s)
#define RANGE             OPTION_RANGE
#define AUTO              OPTION_AUTO
#define MANY              OPTION_MANY
#define FACTS             .facts = method_auto
#define BY_METHOD         AUTO, .word_value = -1, FACTS

static int check_subset(const char *value, struct error *e)
{
    int64_t n;
    return !*value ? 0 : schedule_text_point(value, (int64_t)MANY, &n, e);
}

static int check_normalize(const char *value, struct error *e)
{
    struct options o = {0};
    float mean[3], std[3];
    strncat(o.normalize, value, sizeof o.normalize - 1);
    if (options_normalize(&o, 1, mean, std, NULL) >= 0)
        return 0;
    return options_normalize(&o, 3, mean, std, e) < 0 ? -1 : 0;
}

static int check_name(const char *value, struct error *e)
{
    if (strchr(value, '/') || value[0] == '.' || value[0] == '-')
        return error_set(e, "a run's name has no '/' and begins neither with '.' nor with '-'");
    return 0;
}

// --- values that other tables have ---

int options_dataset(int i, char *text, size_t size)
{
    if (dataset_table[i].name)
        dataset_usage(&dataset_table[i], text, size);
    return dataset_table[i].name != NULL;
}

static int augment_value(int i, char *text, size_t size)
{
    return option_put(augment_table[i].name, text, size);
}

static int arch_value(int i, char *text, size_t size)
{
    return option_put(arch_table[i].name, text, size);
}

static int method_value(int i, char *text, size_t size)
{
    return option_put(method_table[i] ? method_table[i]->name : NULL, text, size);
}

static int schedule_value(int i, char *text, size_t size)
{
    return option_put(
        i < MODE_COUNT ? mode_table[i].name : schedule_text_table[i - MODE_COUNT].name, text, size);
}

// clang-format off
const struct option_row options_table[] = {
    {TEXT("data", OPTION_CONFIG, data, "data"), .argument = "SET", .fallback = "fashion-mnist",
     .values = options_dataset, .doc = "The data set: {}. The manual says more of each."},
    {TEXT("subset", OPTION_CONFIG, subset, "data"), .argument = "PART", .fallback = "", .check = check_subset,
     .doc = "Train on the first images of the arrival order only: a percentage (20%) or a number of images."},
    {INT("image-size", OPTION_CONFIG, image_size, "data"), AUTO, RANGE(8, 1024),
     .doc = "Side of the views of images:DIR and pack:FILE, whose images have any size. auto: 224."},
    {TEXT("augment", OPTION_CONFIG, augment, "data"), .argument = "RECIPE", .fallback = "auto", .values = augment_value,
     .doc = "How an image becomes two views: {}. none: both views are the image. auto: as the method is published."},
    {TEXT("normalize", OPTION_CONFIG, normalize, "data"), .argument = "MEAN/STD", .fallback = "auto",
     .check = check_normalize,
     .doc = "Mean and deviation of pixels in [0, 1], a number or one for each channel (0.49,0.48,0.45/0.2,0.2,0.2). "
            "auto: the published ones of a known set, else those of the training images."},

    {TEXT("arch", OPTION_CONFIG, arch, "network"), .argument = "NAME", .fallback = "resnet18", .values = arch_value,
     .doc = "The encoder: {}."},
    {TEXT("stem", OPTION_CONFIG, stem, "network"), .argument = "KIND", .fallback = "auto",
     .choices = "auto|cifar|imagenet",
     .doc = "First layer: cifar is 3x3 with stride 1 and no max-pool, imagenet 7x7 with stride 2 and max-pool. "
            "auto: cifar for images below 64 pixels."},
    {INT("width", OPTION_CONFIG, width, "network"), AUTO, RANGE(1, 1024),
     .doc = "Channels of the first stage; the features are 8 times as many, with bottleneck blocks 32 times. auto: "
            "16 on a CPU, 64 on a GPU."},
    {FLAG("zero-init", OPTION_CONFIG, zero_init, "network"), .fallback = "off",
     .doc = "Let every residual branch start as nothing: the weight of its last batch norm begins at 0."},

    {TEXT("method", OPTION_CONFIG, method, "method"), .argument = "NAME", .fallback = "simsiam", .values = method_value,
     .doc = "Heads and loss: {}."},
    {INT("dim", OPTION_CONFIG, dim, "method"), AUTO, FACTS, RANGE(2, 65536),
     .doc = "Outputs of projector and predictor. auto: the width times {}."},
    {INT("pred-dim", OPTION_CONFIG, pred_dim, "method"), AUTO, FACTS, RANGE(1, 65536),
     .doc = "Hidden units of the predictor; byol: of the projector too. auto: the width times {}."},
    {INT("proj-layers", OPTION_CONFIG, proj_layers, "method"), AUTO, FACTS, RANGE(2, 3),
     .doc = "Linear layers of the projector. auto: {}."},
    {FLAG("predictor", OPTION_CONFIG, predictor, "method"), .fallback = "on",
     .doc = "Have a predictor. Without it the representation collapses: for teaching."},
    {FLAG("stop-gradient", OPTION_CONFIG, stop_gradient, "method"), .fallback = "on",
     .doc = "Hold the projection of the other view constant in the loss. Without it the representation collapses: "
            "for teaching."},
    {REAL("tau", OPTION_CONFIG, tau, "method"), BY_METHOD, RANGE(0, 1),
     .doc = "How much of the target network stays at each step; the rest comes from the trained one. auto: {}. "
            "Other methods have no target."},
    {TEXT("tau-schedule", OPTION_CONFIG, tau_schedule, "method"), .argument = "KIND", .fallback = "constant",
     .choices = "constant|cosine",
     .doc = "cosine: tau rises to 1 along half a cosine."},

    {INT("batch", OPTION_CONFIG, batch, "optimiser"), AUTO, RANGE(2, 65536),
     .doc = "Images a step, of all processes together; each gives two views. auto: 128 on a CPU, 512 on a GPU."},
    {FLAG("sync-bn", OPTION_CONFIG, sync_bn, "optimiser"), .fallback = "on",
     .doc = "Where several processes train together (mpirun, srun): batch norms, and what the loss knows of the batch, "
            "take all their images for one. off: each process its own."},
    {TEXT("optimizer", OPTION_CONFIG, optimizer, "optimiser"), .argument = "NAME", .fallback = "auto",
     .choices = "auto|sgd|lars", FACTS,
     .doc = "sgd, or lars: SGD with a rate for each layer that suits the size of its weights. auto: {}."},
    {REAL("lr", OPTION_CONFIG, lr, "optimiser"), BY_METHOD, RANGE(0, 1e6),
     .doc = "Learning rate for 256 images: a step uses lr * batch / 256, falling to 0 along a cosine. auto: {}."},
    {ROW("warmup", OPTION_DOUBLE, OPTION_CONFIG, warmup, "optimiser"), BY_METHOD, RANGE(0, 1e9), .argument = "EPOCHS",
     .doc = "Epochs over which the learning rate rises from 0. auto: {}, at most a tenth of the "
            "run, and none for other methods."},
    {REAL("wd", OPTION_CONFIG, wd, "optimiser"), BY_METHOD, RANGE(0, 1e3),
     .doc = "Weight decay: of every parameter with sgd, not of batch norms and biases with lars. auto: {}."},
    {REAL("momentum", OPTION_CONFIG, momentum, "optimiser"), .fallback = "0.9", RANGE(0, 1),
     .doc = "Momentum of either."},
    {FLAG("fix-pred-lr", OPTION_CONFIG, fix_pred_lr, "optimiser"), BY_METHOD,
     .doc = "Keep the learning rate of the predictor constant. auto: {}."},

    {TEXT("schedule", OPTION_CONFIG, schedule, "schedule"), .argument = "PLAN", .fallback = "multi-epoch", .values = schedule_value,
     .doc = "From which of the images a step draws: {}, or a list MODE[@K][:UNTIL],... with UNTIL a percentage of the "
            "run or a step, and K the number of chunks."},
    {ROW("chunks", OPTION_INT, OPTION_CONFIG, chunks, "schedule"), AUTO, RANGE(1, 2147483647), .argument = "K",
     .doc = "Parts in which the images arrive, for continual and cumulative. auto: the number of epochs, or as many "
            "as there are batches in the images."},
    {INT64("epochs", OPTION_CONFIG, epochs, "schedule"), .fallback = "10", RANGE(1, 1e9),
     .doc = "Length of the run, in passes over all images."},
    {INT64("steps", OPTION_CONFIG, steps, "schedule"), AUTO, RANGE(1, MANY),
     .doc = "Length of the run in steps, instead of --epochs. auto: as many as the epochs have."},
    {INT64("stop-at", OPTION_CONFIG, stop_at, "schedule"), .fallback = "end", .word = "end", RANGE(1, MANY),
     .doc = "Stop with a checkpoint after this many steps; the schedule keeps its length."},
    {TEXT("guard", OPTION_CONFIG, guard, "schedule"), .argument = "RULES", .fallback = "",
     .doc = "Act when a metric, the forecast or best_age says so: 'auc > 0.85 for 200 steps: continual'. Several are "
            "separated by ';'."},

    {INT64("eval-every", OPTION_CONFIG, eval_every, "evaluation"), AUTO, RANGE(1, MANY),
     .doc = "Steps between exact spectra. auto: one epoch. Lengthened, with an event, when evaluations take more of the "
            "time than --eval-share allows."},
    {REAL("eval-share", OPTION_CONFIG, eval_share, "evaluation"), .fallback = "0.05", RANGE(0.001, 1),
     .doc = "Share of the time that evaluations may take before they are made less often; 1: as often as --eval-every "
            "says, whatever they take."},
    {INT64("eval-images", OPTION_CONFIG, eval_images, "evaluation"), AUTO, RANGE(2, MANY),
     .doc = "Training images behind an exact spectrum, at most all. auto: 16 times the number of features."},
    {TEXT("probe", OPTION_CONFIG, probe, "evaluation"), .argument = "WORD", .fallback = "on", .choices = "on|off",
     .doc = "Measure at every evaluation, where there are labels, what a fast linear probe and the nearest neighbours "
            "score on test images. Training never sees a label."},
    {INT64("probe-images", OPTION_CONFIG, probe_images, "evaluation"), .fallback = "5000", RANGE(10, 1e9),
     .doc = "Training images that the probe is fitted on, as many of each class; two fifths as many test images are "
            "scored."},
    {TEXT("surrogates", OPTION_CONFIG, surrogates, "evaluation"), .argument = "WORD", .fallback = "on", .choices = "on|off",
     .doc = "Ask the features, while they train and more at every evaluation, what their images look like: pixel_r2 and "
            "pseudo10 to pseudo100. Needs no labels. Photographs are decoded once more for it, the first time each is "
            "in a batch."},
    {TEXT("calibration", OPTION_CONFIG, calibration, "evaluation"), .argument = "FILE", .fallback = "auto",
     .doc = "What forecasts probe accuracy without labels: a file of the command fit, off, or auto: the one for this "
            "data set, network and method that came with the program."},

    {TEXT("device", OPTION_CONFIG, device, "device"), .argument = "DEVICE", .fallback = "auto",
     .doc = "What computes: cpu, cuda, cuda:N (the GPU of that number), or auto: a usable GPU, else the CPU. With "
            "--dry-run also cuda:sm_80 or cuda:sm_90, a card that need not be there: what it would take of its "
            "memory."},
    {TEXT("precision", OPTION_CONFIG, precision, "device"), .argument = "KIND", .fallback = "auto",
     .choices = "auto|f32|bf16",
     .doc = "Storage and matrix products; statistics and weights are f32 always. auto: f32, or bf16 where it trains this "
            "network at least 10 % faster on this device: measured once, a second or so, and remembered in "
            "~/.cache/ssltop."},
    {INT("threads", OPTION_CONFIG, threads, "device"), AUTO, RANGE(1, 4096),
     .doc = "Threads that compute. auto: the cores that this process may use."},

    {ROW("seed", OPTION_UINT64, OPTION_CONFIG, seed, "run"), .argument = "N", .fallback = "1",
     RANGE(0, 18446744073709551615.0),
     .doc = "Seed of everything that is random: the same seed gives the same run, to the last bit."},
    {INT64("checkpoint-every", OPTION_CONFIG, checkpoint_every, "run"), AUTO, RANGE(1, MANY),
     .doc = "Steps between checkpoints. auto: one epoch."},
    {INT("keep", OPTION_CONFIG, keep, "run"), .fallback = "3", RANGE(1, 1e6),
     .doc = "Checkpoints to keep, besides those at mode switches."},
    {FLAG("inexact", OPTION_CONFIG, inexact, "run"), .fallback = "off",
     .doc = "Allow a resumed or repeated run another device, oneDNN, number of threads or of processes: it then agrees but for rounding."},

    {TEXT("init", OPTION_COMMAND, init, "command"), .argument = "FILE", .fallback = "",
     .doc = "Start from the parameters of this safetensors file: a checkpoint's, or an encoder's under torchvision's "
            "names, or numbered as in a Sequential, with or without what stands before them (module., encoder_q., student.backbone.). What the file "
            "does not have begins at random, and what has no place is left out, with a notice."},
    {TEXT("resume", OPTION_COMMAND, resume, "command"), .argument = "RUN", .fallback = "",
     .doc = "Go on with this run from its last checkpoint. With --name: branch from it into a new run."},
    {ROW("from", OPTION_INT64, OPTION_COMMAND, from, "command"), .fallback = "last", .word = "last", .word_value = -1,
     RANGE(0, MANY), .argument = "STEP",
     .doc = "The checkpoint that --resume starts from: one that is kept, or the best network's step."},
    {TEXT("rerun", OPTION_COMMAND, rerun, "command"), .argument = "RUN", .fallback = "",
     .doc = "Repeat this run with its recorded switches."},
    {TEXT("name", OPTION_COMMAND, name, "command"), .argument = "NAME", .fallback = "", .check = check_name,
     .doc = "Name of the new run. The default is made of date, time and data set."},
    {OPTION_RUNS(struct options, OPTION_STRING), .section = "command"},
    {TEXT("config", OPTION_COMMAND, config, "command"), .argument = "FILE", .fallback = "",
     .doc = "Read options from this file first; the command line wins. A run's config.ini is one."},
    {TEXT("recipe", OPTION_COMMAND, recipe, "command"), .argument = "NAME", .fallback = "", .check = recipe_check,
     .values = recipe_value,
     .doc = "Start from published hyperparameters: {}. --config and the command line win. All but fashion-mnist leave "
            "--data for you to say."},
    {FLAG("headless", OPTION_COMMAND, headless, "command"), .fallback = "off",
     .doc = "Train in this process, without a screen, and print a line a second."},
    {TEXT("on-nan", OPTION_COMMAND, on_nan, "command"), .argument = "WHAT", .fallback = "auto", .choices = "auto|stop|pause",
     .doc = "At a loss, features or weights that are not finite: stop with status 1, or pause until somebody says stop. "
            "auto: stop with --headless, where nobody watches, else pause. The last checkpoint before is kept."},
    {FLAG("dry-run", OPTION_COMMAND, dry_run, "command"), .fallback = "off",
     .doc = "Check everything, say what would be trained, and end."},
    {FLAG("print-config", OPTION_COMMAND, print_config, "command"), .fallback = "off",
     .doc = "Print these options as a configuration file, and end. No data and no device are opened: what only they can "
            "tell says auto."},
    {0},
};
// clang-format on
const size_t options_count = sizeof options_table / sizeof *options_table - 1;
_Static_assert(sizeof options_table / sizeof *options_table <= OPTIONS_MAX, "OPTIONS_MAX");
