// The fields of every record type, in the order in which a line has them. A new field is a member
// of struct record and a row here; formatting, parsing and round trips follow.
#include "metrics/log/record_fields.h"

#define AT(member)   offsetof(struct record, u.member), sizeof(((struct record *)0)->u.member)
#define COUNT(table) (sizeof(table) / sizeof *(table))

const char *const record_phase_key[PHASE_COUNT] = {
    [PHASE_DATA] = "data",     [PHASE_FORWARD] = "forward",   [PHASE_BACKWARD] = "backward",
    [PHASE_UPDATE] = "update", [PHASE_SPECTRUM] = "spectrum", [PHASE_REDUCE] = "reduce",
};
const char *const record_source_key[SPECTRUM_SOURCES] = {
    [SPECTRUM_LIVE] = "live", [SPECTRUM_EXACT] = "exact", [SPECTRUM_Z] = "z"};

static const struct record_field run_field[] = {
    {NULL, "version", FIELD_INT, AT(run.version), 0, 0},
    {"writer", "name", FIELD_TEXT, AT(run.writer.name), 0, 1},
    {"writer", "version", FIELD_TEXT, AT(run.writer.version), 0, 1},
    {NULL, "can", FIELD_TEXT, AT(run.can), 0, 1},
    {NULL, "name", FIELD_TEXT, AT(run.name), 0, 0},
    {NULL, "created", FIELD_TEXT, AT(run.created), 0, 0},
    {NULL, "config", FIELD_OBJECT, AT(run.config), 0, 0},
    {"dataset", "name", FIELD_TEXT, AT(run.dataset.name), 0, 0},
    {"dataset", "n", FIELD_INT64, AT(run.dataset.n), 0, 0},
    {"dataset", "n_test", FIELD_INT64, AT(run.dataset.n_test), 0, 0},
    {"dataset", "classes", FIELD_INT, AT(run.dataset.classes), 0, 0},
    {"dataset", "shape", FIELD_SHAPE, AT(run.dataset.channels), 0, 0},
    {"model", "arch", FIELD_TEXT, AT(run.model.arch), 0, 0},
    {"model", "width", FIELD_INT, AT(run.model.width), 0, 0},
    {"model", "d", FIELD_INT, AT(run.model.d), 0, 0},
    {"model", "params", FIELD_INT64, AT(run.model.params), 0, 0},
    {"device", "name", FIELD_TEXT, AT(run.device.name), 0, 0},
    {"device", "detail", FIELD_TEXT, AT(run.device.detail), 0, 0},
    {"device", "threads", FIELD_INT, AT(run.device.threads), 0, 0},
    {"device", "ranks", FIELD_INT, AT(run.device.ranks), 0, 1},
    {"device", "precision", FIELD_TEXT, AT(run.device.precision), 0, 0},
    {"device", "algorithms", FIELD_OWNED, AT(run.device.algorithms), 0, 0},
    {NULL, "steps", FIELD_INT64, AT(run.steps), 0, 0},
    {NULL, "parent", FIELD_TEXT, AT(run.parent), 0, 0},
    {NULL, "parent_step", FIELD_INT64, AT(run.parent_step), -1, 1},
};

static const struct record_field step_field[] = {
    {NULL, "t", FIELD_DOUBLE, AT(step.t), 0, 0},
    {NULL, "mode", FIELD_MODE, AT(step.mode), 0, 0},
    {NULL, "chunk", FIELD_INT, AT(step.chunk), -1, 0},
    {NULL, "lr", FIELD_DOUBLE, AT(step.lr), 0, 0},
    {NULL, "lr_pred", FIELD_DOUBLE, AT(step.lr_pred), 0, 0},
    {NULL, NULL, FIELD_METRICS, AT(step.metric), 0, 0},
    {"z", "auc", FIELD_DOUBLE, AT(step.metric[METRIC_Z_AUC]), 0, 1},
    {"z", "rankme", FIELD_DOUBLE, AT(step.metric[METRIC_Z_RANKME]), 0, 1},
    {NULL, "forecast", FIELD_DOUBLE, AT(step.forecast), 0, 1},
    {NULL, "forecast_lo", FIELD_DOUBLE, AT(step.forecast_lo), 0, 1},
    {NULL, "forecast_hi", FIELD_DOUBLE, AT(step.forecast_hi), 0, 1},
    {NULL, "forecast_end", FIELD_DOUBLE, AT(step.forecast_end), 0, 1},
    {NULL, "forecast_end_lo", FIELD_DOUBLE, AT(step.forecast_end_lo), 0, 1},
    {NULL, "forecast_end_hi", FIELD_DOUBLE, AT(step.forecast_end_hi), 0, 1},
    {NULL, "forecast_end_of", FIELD_TEXT, AT(step.forecast_end_of), 0, 1},
    {NULL, "forecast_state", FIELD_TEXT, AT(step.forecast_state), 0, 1},
    {NULL, "images_s", FIELD_DOUBLE, AT(step.images_s), 0, 0},
    {"ms", NULL, FIELD_PHASES, AT(step.ms), 0, 0},
    {NULL, "dropped", FIELD_INT64, AT(step.dropped), -1, 1},
    {NULL, "own", FIELD_OWN, AT(step.own), 0, 1},
};

static const struct record_field spectrum_field[] = {
    {NULL, "source", FIELD_SOURCE, AT(spectrum.source), 0, 0},
    {NULL, "n", FIELD_DOUBLE, AT(spectrum.n), 0, 0},
    {NULL, "sigma", FIELD_SIGMA, AT(spectrum), 0, 0},
};

static const struct record_field eval_field[] = {
    {NULL, NULL, FIELD_METRICS, AT(eval.metric), 0, 0},
    {NULL, "auc_live", FIELD_DOUBLE, AT(eval.auc_live), 0, 1},
    {NULL, "probe", FIELD_DOUBLE, AT(eval.probe), 0, 0},
    {"knn", "accuracy", FIELD_DOUBLE, AT(eval.knn), 0, 1},
    {NULL, "n_train", FIELD_INT64, AT(eval.n_train), 0, 0},
    {NULL, "n_test", FIELD_INT64, AT(eval.n_test), 0, 0},
    {NULL, "forecast", FIELD_DOUBLE, AT(eval.forecast), 0, 1},
    {"best", "value", FIELD_DOUBLE, AT(eval.best), 0, 1},
    {"best", "step", FIELD_INT64, AT(eval.best_step), -1, 1},
    {"best", "age", FIELD_INT64, AT(eval.best_age), -1, 1},
    {"best", "by", FIELD_TEXT, AT(eval.best_by), 0, 1},
};

static const struct record_field event_field[] = {
    {NULL, "what", FIELD_TEXT, AT(event.what), 0, 0}, {NULL, "by", FIELD_TEXT, AT(event.by), 0, 0},
    {NULL, "from", FIELD_TEXT, AT(event.from), 0, 1}, {NULL, "to", FIELD_TEXT, AT(event.to), 0, 1},
    {NULL, "text", FIELD_TEXT, AT(event.text), 0, 1},
};

static const struct record_field checkpoint_field[] = {
    {NULL, "file", FIELD_TEXT, AT(checkpoint.file), 0, 0},
};

static const struct record_field device_field[] = {
    {NULL, "utilization", FIELD_DOUBLE, AT(device.utilization), 0, 0},
    {NULL, "memory_used", FIELD_DOUBLE, AT(device.memory_used), 0, 0},
    {NULL, "memory_total", FIELD_DOUBLE, AT(device.memory_total), 0, 0},
    {NULL, "power", FIELD_DOUBLE, AT(device.power), 0, 0},
    {NULL, "power_limit", FIELD_DOUBLE, AT(device.power_limit), 0, 0},
    {NULL, "temperature", FIELD_DOUBLE, AT(device.temperature), 0, 0},
    {NULL, "clock_sm", FIELD_DOUBLE, AT(device.clock_sm), 0, 0},
    {NULL, "clock_memory", FIELD_DOUBLE, AT(device.clock_memory), 0, 0},
    {NULL, "others", FIELD_INT, AT(device.others), -1, 0},
    {NULL, "others_memory", FIELD_DOUBLE, AT(device.others_memory), 0, 0},
    {NULL, "others_text", FIELD_TEXT, AT(device.others_text), 0, 1},
};

static const struct record_field ranks_field[] = {
    {NULL, "hosts", FIELD_OWNED, AT(ranks.hosts), 0, 0},
    {"ms", "own", FIELD_SIGMA, AT(ranks.own), 0, 0},
    {"ms", "reduce", FIELD_SIGMA, AT(ranks.reduce), 0, 0},
};

static const struct record_field end_field[] = {
    {NULL, "reason", FIELD_TEXT, AT(end.reason), 0, 0},
    {NULL, "text", FIELD_TEXT, AT(end.text), 0, 1},
};

const struct record_kind record_kind_table[RECORD_END + 1] = {
    [RECORD_RUN] = {"run", run_field, COUNT(run_field)},
    [RECORD_STEP] = {"step", step_field, COUNT(step_field)},
    [RECORD_SPECTRUM] = {"spectrum", spectrum_field, COUNT(spectrum_field)},
    [RECORD_EVAL] = {"eval", eval_field, COUNT(eval_field)},
    [RECORD_EVENT] = {"event", event_field, COUNT(event_field)},
    [RECORD_CHECKPOINT] = {"checkpoint", checkpoint_field, COUNT(checkpoint_field)},
    [RECORD_DEVICE] = {"device", device_field, COUNT(device_field)},
    [RECORD_RANKS] = {"ranks", ranks_field, COUNT(ranks_field)},
    [RECORD_END] = {"end", end_field, COUNT(end_field)},
};
