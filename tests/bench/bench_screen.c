// What the screen costs: a frame at 200 x 60 with a long run loaded, the bytes that a live screen
// sends, the viewer's processor time beside a training, and how soon a key shows.
//
//   bench_screen frame               -> frame and bytes, of a run made up here
//   bench_screen live SECONDS argv…  -> argv (an attach) on a terminal: processor time, keys
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>

#include "metrics/base/clock.h"
#include "tests/kit/measure.h"
#include "tui/draw/screen.h"
#include "tui/draw/views.h"
#include "tui/hands/actions.h"
#include "tui/hands/terminal.h"

enum { H = 60, W = 200, STEPS = 100000, D = 512, FRAMES = 60, STEPS_A_FRAME = 25 };
static const double frames_a_second = 2;

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

static void row(const char *what, double value, const char *unit, double bound)
{
    printf("%-34s %9.3f %-5s <= %-6g %s\n", what, value, unit, bound,
           value <= bound ? "ok" : "MISSED");
}

// --- a run of many steps ---

static void add_step(struct history *h, int64_t step)
{
    struct record r;
    double wave = sin((double)step / 300) + sin((double)step * 1.7);
    record_init(&r, RECORD_STEP, step);
    r.u.step.mode = step / 20000 % 2 ? MODE_MULTI_EPOCH : MODE_CONTINUAL;
    r.u.step.t = 0.05 * (double)step;
    r.u.step.lr = 0.1;
    r.u.step.images_s = 5000 + 100 * wave;
    for (int i = 0; i < METRIC_COUNT; i++)
        r.u.step.metric[i] = 0.7 + 0.02 * wave;
    for (int i = 0; i < PHASE_COUNT; i++)
        r.u.step.ms[i] = 3 + wave;
    r.u.step.forecast = 0.7 + 0.01 * wave;
    r.u.step.forecast_lo = r.u.step.forecast - 0.03;
    r.u.step.forecast_hi = r.u.step.forecast + 0.03;
    if (history_add(h, &r, NULL))
        exit(1);
}

static void add_spectrum(struct history *h, int64_t step)
{
    static double sigma[D];
    struct record r;
    record_init(&r, RECORD_SPECTRUM, step);
    for (int i = 0; i < D; i++)
        sigma[i] = 30 / (1 + i * (0.05 + 0.02 * sin((double)step / 9000)));
    r.u.spectrum.n = 4096;
    r.u.spectrum.d = D;
    r.u.spectrum.sigma = sigma;
    if (history_add(h, &r, NULL))
        exit(1);
}

static void make_history(struct history *h)
{
    struct record r;
    if (history_init(h, NULL))
        exit(1);
    record_init(&r, RECORD_RUN, -1);
    r.u.run.steps = 2 * STEPS;
    r.u.run.model.d = D;
    snprintf(r.u.run.dataset.name, sizeof r.u.run.dataset.name, "bench");
    if (history_add(h, &r, NULL))
        exit(1);
    for (int64_t step = 0; step < STEPS; step++) {
        add_step(h, step);
        if (spectra_wants(&h->live_rows, step))
            add_spectrum(h, step);
        if (step % 1000)
            continue;
        record_init(&r, RECORD_EVAL, step);
        for (int i = 0; i < METRIC_COUNT; i++)
            r.u.eval.metric[i] = 0.73;
        r.u.eval.probe = 0.7;
        if (history_add(h, &r, NULL))
            exit(1);
    }
}

// --- frames: a child draws on a terminal, the parent reads what it sends ---

struct figures {
    double draw, show; // ms, medians
};

static int draw_frames(int out, int view)
{
    static struct history h;
    static struct schedule_view schedule;
    static struct view_state v;
    struct canvas c = {0};
    struct scene scene = {.h = &h, .schedule = &schedule, .v = &v};
    struct figures f;
    view_init(&v);
    v.link.rss = 1e9;
    v.link.state = LINK_LIVE;
    v.link.can_steer = 1;
    make_history(&h);
    if (terminal_open(NULL, NULL) || canvas_resize(&c, H, W, NULL))
        return 1;
    double draw[FRAMES], show[FRAMES];
    v.view = view;
    for (int i = 0; i < FRAMES; i++) {
        int y, x;
        terminal_size(&y, &x);
        v.now = v.link.heard = clock_seconds();
        for (int k = 0; k < STEPS_A_FRAME; k++)
            add_step(&h, h.last_step + 1);
        add_spectrum(&h, h.last_step);
        double a = clock_seconds();
        screen_draw(&c, &scene);
        double b = clock_seconds();
        terminal_show(&c, 0);
        draw[i] = (b - a) * 1e3;
        show[i] = (clock_seconds() - b) * 1e3;
    }
    f.draw = median(draw, FRAMES);
    f.show = median(show, FRAMES);
    terminal_close();
    return write(out, &f, sizeof f) != sizeof f;
}

// A child on a terminal of H x W; its process id, the terminal's other end in *master.
static pid_t on_terminal(int *master)
{
    struct winsize size = {.ws_row = H, .ws_col = W};
    pid_t pid = forkpty(master, NULL, NULL, &size);
    if (pid < 0) {
        perror("forkpty");
        exit(1);
    }
    if (pid == 0)
        setenv("TERM", "xterm-256color", 1);
    return pid;
}

// Bytes that came within the time; -1: the other end was closed.
static long drain(int fd, double seconds)
{
    char chunk[65536];
    long sum = 0;
    double end = clock_seconds() + seconds;
    for (;;) {
        double left = end - clock_seconds();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left < 0 || poll(&p, 1, (int)(left * 1e3) + 1) <= 0)
            return sum;
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n <= 0)
            return sum ? sum : -1;
        sum += n;
    }
}

static int frame(void)
{
    double worst = 0, most = 0;
    for (int view = 0; view < VIEW_COUNT; view++) {
        int master, fd[2], status;
        struct figures f;
        if (pipe(fd))
            return 1;
        pid_t pid = on_terminal(&master);
        if (pid == 0)
            _exit(draw_frames(fd[1], view));
        close(fd[1]);
        long bytes = 0;
        for (long n; (n = drain(master, 10)) > 0;)
            bytes += n;
        if (read(fd[0], &f, sizeof f) != sizeof f || waitpid(pid, &status, 0) != pid || status)
            return 1;
        close(fd[0]);
        close(master);
        double rate = (double)bytes / FRAMES * frames_a_second / 1e3;
        fprintf(stderr, "view=%s draw=%.3f show=%.3f ms, sent %.2f KB/s\n", view_table[view].name,
                f.draw, f.show, rate);
        worst = fmax(worst, f.draw + f.show);
        most = fmax(most, rate);
    }
    row("frame at 200x60, 100000 steps", worst, "ms", 3);
    row("sent at 200x60, 50 steps a second", most, "KB/s", 20);
    return worst > 3 || most > 20;
}

// --- beside a training ---

static double processor_time(pid_t pid)
{
    char path[64], text[1024];
    unsigned long long user = 0, kernel = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return NAN;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    const char *p = strrchr(text, ')');
    if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                     &kernel) != 2)
        return NAN;
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

// Milliseconds from a key to the first byte of its screen.
static double key_time(int master, const char *key)
{
    struct pollfd p = {.fd = master, .events = POLLIN};
    double a = clock_seconds();
    if (write(master, key, 1) != 1 || poll(&p, 1, 2000) != 1)
        return NAN;
    double ms = (clock_seconds() - a) * 1e3;
    drain(master, 0.02);
    return ms;
}

static int live(double seconds, char **argv)
{
    enum { KEYS = 40 };
    int master;
    pid_t pid = on_terminal(&master);
    if (pid == 0) {
        execvp(argv[0], argv);
        perror(argv[0]);
        _exit(127);
    }
    drain(master, 3);
    double cpu = processor_time(pid), begin = clock_seconds(), most = 0;
    long bytes = 0;
    while (clock_seconds() - begin < seconds) {
        long one = drain(master, 1);
        if (one < 0)
            break;
        bytes += one;
        most = fmax(most, (double)one / 1e3);
    }
    double passed = clock_seconds() - begin;
    cpu = (processor_time(pid) - cpu) / passed * 100;
    double ms[KEYS];
    for (int i = 0; i < KEYS; i++) {
        ms[i] = key_time(master, i % 2 ? "1" : "2");
        drain(master, 0.05 + 0.013 * i);
    }
    if (write(master, "d", 1) != 1)
        return 1;
    while (drain(master, 1) > 0)
        continue;
    int status;
    waitpid(pid, &status, 0);
    double middle = median(ms, KEYS);
    fprintf(stderr, "bytes: %.2f KB/s, most in a second %.2f KB; keys: median %.1f, most %.1f ms\n",
            (double)bytes / passed / 1e3, most, middle, ms[KEYS - 1]);
    row("sent beside a training", (double)bytes / passed / 1e3, "KB/s", 20);
    row("viewer, of a core", cpu, "%", 3);
    row("key to screen, 95 of 100", ms[KEYS * 95 / 100], "ms", 50);
    return !(bytes / passed <= 20e3 && cpu <= 3 && ms[KEYS * 95 / 100] <= 50);
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    if (argc == 2 && strcmp(argv[1], "frame") == 0)
        return frame();
    if (argc > 3 && strcmp(argv[1], "live") == 0)
        return live(atof(argv[2]), argv + 3);
    fprintf(stderr, "usage: bench_screen frame | live SECONDS COMMAND...\n");
    return 2;
}
