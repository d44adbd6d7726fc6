// The trainer process from its options to its exit code: refuse, set up, make the folder, train,
// clean up.
#include "train/run/runs.h"
#include "train/run/trainer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics/base/clock.h"
#include "metrics/base/cores.h"
#include "metrics/base/memory.h"
#include "metrics/base/output.h"
#include "train/methods/method.h"
#include "train/ranks/follower.h"
#include "train/ranks/orders.h"
#include "train/run/duties.h"
#include "train/run/keep.h"
#include "train/run/loop.h"
#include "train/run/report.h"
#include "train/run/steer.h"

enum { FAILED = 1, REFUSED = 2 };

// ---------------------------------------------------------------- signals

// The writer thread hears of them: those that end a training (SIGHUP a headless one), and one that
// asks for a new socket.
static const int heard[] = {SIGNALS_ENDING, SIGUSR1};
enum { HEARD = sizeof heard / sizeof *heard, HANGUP = 1 << 0 };

static int catch_signals(const struct trainer *tr, struct error *e)
{
    unsigned ignored = signals_ignored(heard, HEARD - 1) | (tr->report.headless ? 0 : HANGUP);
    if (signals_take(tr->signals, heard, HEARD, ignored, e) < 0)
        return -1;
    signals_warn_of_limit(cores_usable());
    // A full disk and a gone reader are errors to be told, not reasons to die.
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    return 0;
}

// ---------------------------------------------------------------- the start

static void say(void *context, const char *what)
{
    const int *ready_fd = context;
    if (*ready_fd >= 0 && dprintf(*ready_fd, "# %s\n", what) < 0)
        errno = 0; // nobody waits any more; the training does not depend on it
}

// What would be trained, for a person.
static void describe(const struct trainer *tr, FILE *f)
{
    const struct setup *s = &tr->setup;
    const struct device_info *info = device_info(s->device);
    char name[128], data[sizeof s->data.name];
    text_clean(name, sizeof name, info->name);
    text_clean(data, sizeof data, s->data.name);
    fprintf(f, "%s  %s x%d  %s  %s %s  %d thread%s\n", data, s->o.arch, s->o.width, s->o.method,
            name, s->o.precision, info->threads, info->threads == 1 ? "" : "s");
    fprintf(f,
            "%" PRId64 " images, batch %d, %" PRId64 " steps from step %" PRId64
            ", schedule %s, %d chunk%s\n",
            s->n, s->o.batch, s->steps, tr->report.begin, s->o.schedule, s->o.chunks,
            s->o.chunks == 1 ? "" : "s");
    double network = (double)plan_memory(s->plan) / 1e6,
           rest = (double)device_held(s->device) / 1e6;
    fprintf(f, "%" PRId64 " parameters, %d features, %.0f MB on the device", net_count(&s->net),
            s->d, network + rest);
    if (tr->ranks)
        orders_describe(tr->ranks, s, f);
    if (rest > 0)
        fprintf(f, " (network %.0f, images and workspace %.0f; the driver takes more)", network,
                rest);
    fputc('\n', f);
}

// The calibration, and what it needs to know of the steps before the first.
static int prepare_forecast(struct trainer *tr, struct error *e)
{
    struct setup *s = &tr->setup;
    struct options *o = &s->o;
    char method[METHOD_TITLE];
    method_title(o, method, sizeof method);
    live_forecast_init(&tr->report.forecast,
                       &(struct live_forecast_facts){.width = o->width,
                                                     .d = s->d,
                                                     .samples = 2 * (int64_t)o->batch,
                                                     .steps = s->steps,
                                                     .images = s->n});
    if (live_forecast_calibrate(&tr->report.forecast, o->calibration, s->data.name, o->arch, method,
                                tr->calibration, sizeof tr->calibration,
                                &tr->calibration_error) < 0)
        return error_pass(e, &tr->calibration_error), REFUSED;
    // A relative path would mean another file when the run is resumed from elsewhere.
    char *path =
        strcmp(o->calibration, tr->calibration) == 0 ? realpath(tr->calibration, NULL) : NULL;
    if (path && strlen(path) < sizeof o->calibration)
        snprintf(o->calibration, sizeof o->calibration, "%s", path);
    free(path);
    // A branch begins anew, as it does when it is repeated without its parent.
    if (tr->start.kind == START_RESUME && tr->start.step > 0)
        return live_forecast_replay(&tr->report.forecast, tr->start.run, tr->start.step, e) < 0
                   ? FAILED
                   : 0;
    return 0;
}

// What is looked at of both views. Of several ranks only those that are asked for surrogates gather
// features.
static int state_views(struct trainer *tr, int dim, struct error *e)
{
    const struct setup *s = &tr->setup;
    int fetches = !tr->live_images.h && !tr->ranks;
    for (int v = 0; v < 2 && fetches; v++)
        if (!(tr->h[v] =
                  memory_take(&tr->memory, (size_t)s->o.batch * (size_t)s->d, sizeof(float))))
            return error_memory(e, "features");
    int d = fetches || tr->live_images.h ? s->d : 0;
    return views_init(&tr->views, dim, d, e);
}

// Network and state where the run begins. Writes nothing.
static int prepare(struct trainer *tr, const struct progress *p, struct error *e)
{
    struct setup *s = &tr->setup;
    char *algorithms = (char *)start_algorithms(&tr->start);
    int rc = setup_open(s, &tr->start.o, algorithms, tr->ranks, p, e);
    if (start_count(&tr->start, s, e) < 0) // before what follows from it, refusals too
        return FAILED;
    if (rc == 0)
        rc = orders_setup(tr->ranks, s, tr->start.o.threads, algorithms, p, e);
    if (rc != 0)
        return rc;
    p->say(p->context, "preparing the first step");
    int dim = s->net.node[s->net.projected].c;
    if (alignment_init(&tr->alignment, s->o.batch, dim, e) < 0)
        return FAILED;
    size_t projected = (size_t)tr->alignment.rows * (size_t)dim;
    tr->sigma = memory_take(&tr->memory, (size_t)s->d, sizeof *tr->sigma);
    tr->raw = memory_take(&tr->memory, (size_t)s->d, sizeof *tr->raw);
    for (int v = 0; v < 2; v++)
        tr->z[v] = memory_take(&tr->memory, projected, sizeof *tr->z[v]);
    if (tr->memory.failed)
        return error_memory(e, "a spectrum and projections"), FAILED;
    p->say(p->context, "looking at the images");
    if (live_images_ask(s, tr->start.run, e) < 0 || live_images_init(&tr->live_images, s, e) < 0 ||
        state_views(tr, dim, e) < 0)
        return FAILED;
    if (moments_init(&tr->live, s->d, e) < 0 || loader_init(&tr->loader, s, e) < 0 ||
        evaluation_init(&tr->evaluation, s, e) < 0 ||
        start_restore(&tr->start, s, &tr->rates, &tr->live, e) < 0 ||
        (*tr->start.file &&
         (live_images_restore(&tr->live_images, tr->start.file, e) < 0 ||
          checkpoint_load_paced(tr->start.file, CHECKPOINT_Z, &tr->views.z, e) < 0 ||
          checkpoint_load_paced(tr->start.file, CHECKPOINT_VIEWS, &tr->views.h, e) < 0)))
        return FAILED;
    if (team_open(&tr->team, tr->ranks, s, s->d, tr->alignment.rows, dim, e) < 0 ||
        orders_state(tr->ranks, s, e) < 0)
        return FAILED;
    tr->t = tr->start.step;
    tr->report.begin = tr->t;
    tr->report.end =
        tr->start.stop_at && tr->start.stop_at < s->steps ? tr->start.stop_at : s->steps;
    tr->report.steps = s->steps;
    tr->report.batch = s->o.batch;
    tr->pause_at = tr->last_eval = tr->last_checkpoint = tr->start_step = -1;
    tr->eval_every = s->o.eval_every;
    tr->report.foretold = NAN;
    if (keep_resume(tr, e) < 0)
        return FAILED;
    return prepare_forecast(tr, e);
}

// What the log of the run says about this life of it.
static void go_on_from_earlier(struct trainer *tr)
{
    const struct earlier *earlier = &tr->start.earlier;
    tr->report.t_offset = earlier->last_t;
    if (*earlier->run.u.run.parent)
        tr->start_step = earlier->run.u.run.parent_step;
    if (*tr->start.file)
        tr->last_checkpoint = tr->report.begin;
    for (size_t i = 0; i < earlier->n; i++) {
        const struct record_event *v = &earlier->event[i].event;
        int64_t every = strtoll(v->to, NULL, 10);
        if (strcmp(v->what, "eval") == 0 && strcmp(v->by, "trainer") == 0 && every > 0)
            tr->eval_every = every;
    }
}

static void describe_run(struct trainer *tr, struct record *out)
{
    const struct setup *s = &tr->setup;
    const struct device_info *info = device_info(s->device);
    char now[CLOCK_TEXT];

    record_init(out, RECORD_RUN, -1);
    struct record_run *r = &out->u.run;
    r->version = 1;
    snprintf(r->writer.name, sizeof r->writer.name, "ssltop");
    snprintf(r->writer.version, sizeof r->writer.version, "%s", SSLTOP_VERSION);
    snprintf(r->name, sizeof r->name, "%.127s", tr->dir.name);
    clock_utc(now);
    snprintf(r->created, sizeof r->created, "%s", now);
    r->config = options_to_json(&s->o);
    text_clean(r->dataset.name, sizeof r->dataset.name, s->data.name);
    r->dataset.n = s->n;
    r->dataset.n_test = s->data.split[SPLIT_TEST].n;
    r->dataset.classes = s->data.classes;
    r->dataset.channels = s->data.channels;
    r->dataset.height = s->data.height;
    r->dataset.width = s->data.width;
    snprintf(r->model.arch, sizeof r->model.arch, "%s", s->o.arch);
    r->model.width = s->o.width;
    r->model.d = s->d;
    r->model.params = net_count(&s->net);
    text_clean(r->device.name, sizeof r->device.name, info->name);
    text_clean(r->device.detail, sizeof r->device.detail, info->detail);
    r->device.threads = info->threads;
    r->device.ranks = tr->ranks ? tr->ranks->size : 0;
    snprintf(r->device.precision, sizeof r->device.precision, "%s", s->o.precision);
    r->device.algorithms = strdup(plan_algorithms(s->plan));
    r->steps = s->steps;
    snprintf(r->parent, sizeof r->parent, "%s", tr->start.parent);
    r->parent_step = tr->start.parent_step;
}

static int first_record(struct trainer *tr, struct error *e)
{
    struct record r;
    char from[64];
    int rc;
    if (tr->start.kind == START_RESUME) {
        record_init(&r, RECORD_EVENT, tr->report.begin);
        snprintf(r.u.event.what, sizeof r.u.event.what, "resume");
        snprintf(r.u.event.by, sizeof r.u.event.by, "trainer");
        checkpoint_name(tr->report.begin, from, sizeof from);
        snprintf(r.u.event.text, sizeof r.u.event.text, "from %s",
                 *tr->start.file ? from : "the beginning: there is no checkpoint");
    } else {
        describe_run(tr, &r);
        if (!r.u.run.config || !r.u.run.device.algorithms) {
            record_free(&r);
            return error_memory(e, "the run record");
        }
    }
    rc = publisher_sync(tr->report.publisher, &r, e);
    record_free(&r);
    return rc;
}

// Folder, first checkpoint, log and socket; the folder's name comes last. On failure nothing of
// them is left.
static int enter(struct trainer *tr, struct error *e)
{
    const struct options *o = &tr->setup.o;
    int resumed = tr->start.kind == START_RESUME;
    if (resumed) {
        rundir_sweep(tr->dir.path);
        go_on_from_earlier(tr);
    } else if (rundir_create(&tr->dir, o->runs, o->name, o->data, o, e) < 0) {
        return -1;
    }
    tr->report.dir = tr->dir.path;
    tr->report.log_fd = tr->dir.trainer_log_fd;
    output_log(tr->dir.trainer_log_fd, 0, "%s at step %" PRId64 " of %" PRId64 ", process %d",
               resumed ? "resumed" : "started", tr->report.begin, tr->setup.steps, (int)getpid());
    live_images_keep(&tr->setup, tr->dir.path, tr->dir.trainer_log_fd);
    // A run that does not begin with its seed's weights keeps those it begins with.
    int borrowed = !resumed && (*o->init || *tr->start.file);
    if (borrowed) {
        tr->start_step = tr->report.begin;
        if (duties_first_checkpoint(tr, e) < 0)
            return -1;
    }
    struct publisher_options p = {
        .dir = tr->dir.path,
        .append = resumed,
        .signal_fd = tr->signals->fd,
        .trainer_log_fd = tr->dir.trainer_log_fd,
        .echo = tr->report.headless,
    };
    if (publisher_open(&p, &tr->report.publisher, e) < 0)
        return -1;
    if (first_record(tr, e) == 0 && (resumed || rundir_publish(&tr->dir, e) == 0) &&
        publisher_settle(tr->report.publisher, tr->dir.path, e) == 0)
        return 0;
    if (resumed)
        publisher_close(tr->report.publisher, NULL);
    else
        publisher_discard(tr->report.publisher);
    tr->report.publisher = NULL;
    return -1;
}

// Let go of the terminal: what libraries still want to say goes to trainer.log.
static void leave_terminal(const struct trainer *tr)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int out = tr->dir.trainer_log_fd >= 0 ? tr->dir.trainer_log_fd : null;
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    if (out >= 0) {
        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
    }
    if (null > STDERR_FILENO)
        close(null);
}

static void announce_ready(const struct trainer *tr, int ready_fd)
{
    if (ready_fd < 0) {
        describe(tr, stdout);
        char path[sizeof tr->dir.path];
        text_clean(path, sizeof path, tr->dir.path);
        printf("%s\n", path);
        fflush(stdout);
        return;
    }
    leave_terminal(tr);
    if (dprintf(ready_fd, "%s\n", tr->dir.path) < 0)
        output_log(tr->dir.trainer_log_fd, 0, "the process that started this one is gone");
    close(ready_fd);
}

// ---------------------------------------------------------------- the whole

static int train(struct trainer *tr, int ready_fd, struct error *e)
{
    struct error late = {{0}};
    if (enter(tr, e) < 0) {
        rundir_discard(&tr->dir);
        return FAILED;
    }
    if (*tr->setup.compared)
        output_log(tr->dir.trainer_log_fd, 0, "%s", tr->setup.compared);
    if (*tr->setup.notice)
        report_warning(&tr->report, tr->t, "%s", tr->setup.notice);
    if (*plan_notice(tr->setup.plan))
        report_warning(&tr->report, tr->t, "%s", plan_notice(tr->setup.plan));
    if (*tr->calibration_error.text)
        report_warning(&tr->report, tr->t, "calibration passed over: %s",
                       tr->calibration_error.text);
    duties_tell_broken(tr);
    announce_ready(tr, ready_fd);
    tr->report.begun = tr->begun_training = clock_seconds();
    report_speed(&tr->report, tr->t, tr->report.begun);
    steer_status(tr);
    int code = loop_run(tr, e);
    int rc = publisher_close(tr->report.publisher, &late);
    if (rc != 0)
        output_log(tr->dir.trainer_log_fd, tr->report.headless, "%s", late.text);
    tr->report.publisher = NULL;
    if (rc < 0 && code != FAILED) {
        *e = late;
        code = FAILED;
    }
    return code;
}

static void release(struct trainer *tr)
{
    team_close(&tr->team);
    evaluation_free(&tr->evaluation);
    live_forecast_free(&tr->report.forecast);
    loader_free(&tr->loader);
    moments_free(&tr->live);
    live_images_free(&tr->live_images);
    views_free(&tr->views);
    alignment_free(&tr->alignment);
    memory_free(&tr->memory);
    rates_free(&tr->rates);
    setup_close(&tr->setup);
    start_free(&tr->start);
    rundir_close(&tr->dir);
    free(tr);
}

// Hold the folder of a run that goes on, before its log is read.
static int hold(struct trainer *tr, const struct options *o, struct error *e)
{
    char path[sizeof tr->dir.path];
    int asks_only = o->dry_run || o->print_config;
    if (!*o->resume || *o->name)
        return asks_only ? 0 : rundir_check(o->runs, o->name, e);
    if (runs_find(o->runs, o->resume, 0, path, sizeof path, e) < 0)
        return -1;
    return rundir_open(&tr->dir, path, e);
}

// The options as a configuration file, without anything that takes time or memory: no data, no
// device.
static int print_config(const struct options *given, struct error *e)
{
    struct options o = *given;
    struct error open;
    if (setup_resolve(&o, e) < 0)
        return REFUSED;
    if (setup_names_data(&o, &open) < 0)
        printf("# %s\n\n", open.text);
    options_write_file(&o, stdout);
    return 0;
}

static int run(struct trainer *tr, const struct options *o, const unsigned char *given,
               int ready_fd, struct error *e)
{
    const struct progress progress = {say, &ready_fd};
    if (hold(tr, o, e) < 0)
        return FAILED;
    int rc = start_find(&tr->start, o, given, e);
    if (rc != 0)
        return rc;
    if (tr->start.o.print_config)
        return print_config(&tr->start.o, e);
    rc = prepare(tr, &progress, e);
    signals_end(NULL);
    if (rc != 0)
        return rc;
    if (tr->setup.o.dry_run) {
        if (*tr->setup.notice)
            fprintf(stderr, "ssltop: %s\n", tr->setup.notice);
        dataset_tell(&tr->setup.data, stderr);
        describe(tr, stdout);
        return 0;
    }
    int sig;
    while ((sig = signals_next(tr->signals)) == SIGUSR1) // there is no socket yet
        continue;
    if (sig)
        return error_set(e, "interrupted before it began"), 128 + sig;
    return train(tr, ready_fd, e);
}

int trainer_rank(void)
{
    struct ranks_launch l = ranks_launched();
    return l.size > 1 || l.size < 0 ? l.rank : -1;
}

void trainer_hush(struct error *e)
{
    if (trainer_rank() > 0) {
        e->text[0] = '\0';
        clock_sleep(1);
    }
}

static int lead(struct ranks *r, const struct options *o, const unsigned char *given, int ready_fd,
                struct error *e)
{
    struct signals signals = {0};
    struct trainer *tr = calloc(1, sizeof *tr);
    if (!tr)
        return error_set(e, "out of memory"), FAILED;
    tr->dir.folder_fd = tr->dir.lock_fd = tr->dir.trainer_log_fd = tr->report.log_fd = -1;
    tr->report.headless = ready_fd < 0;
    tr->signals = &signals;
    tr->ranks = r;
    signals_end("ssltop: interrupted before it began\n");
    if (catch_signals(tr, e) < 0) {
        free(tr);
        return FAILED;
    }
    int code = run(tr, o, given, ready_fd, e);
    orders_end(r);
    release(tr);
    orders_leave(r, code, e);
    signals_release(&signals);
    return code;
}

int trainer_main(const struct options *o, const unsigned char *given, int ready_fd, struct error *e)
{
    struct ranks *r = NULL;
    struct options own = *o;
    int code;
    if (ready_fd >= 0) // a person's screen is of one process
        return lead(NULL, o, given, ready_fd, e);
    if (ranks_open(&r, e) < 0)
        return trainer_hush(e), FAILED;
    own.ranks = r ? r->size : 0;
    if (r && r->rank) {
        code = follower_run(r, e);
        orders_leave(r, code, e);
        return code;
    }
    return lead(r, &own, given, ready_fd, e);
}
