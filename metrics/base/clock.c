// Durations never come from the wall's clock, which people and daemons set.
#include "metrics/base/clock.h"

#include <math.h>
#include <time.h>

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double clock_seconds(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

double clock_thread_seconds(void)
{
    return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

int64_t clock_ms(void)
{
    return (int64_t)(1e3 * clock_seconds());
}

int clock_wait(pthread_cond_t *c, pthread_mutex_t *held, double until)
{
    double whole = floor(until);
    struct timespec t = {(time_t)whole, (long)(1e9 * (until - whole))};
    return pthread_cond_clockwait(c, held, CLOCK_MONOTONIC, &t);
}

int clock_left(int64_t until)
{
    int64_t left = until - clock_ms();
    return left > 0 ? (int)left : 0;
}

void clock_sleep(double seconds)
{
    time_t whole = (time_t)seconds;
    nanosleep(&(struct timespec){whole, (long)(1e9 * (seconds - (double)whole))}, NULL);
}

void clock_utc(char text[CLOCK_TEXT])
{
    time_t now = time(NULL);
    struct tm tm;
    strftime(text, CLOCK_TEXT, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
}

void clock_stamp(char text[CLOCK_TEXT])
{
    time_t now = time(NULL);
    struct tm tm;
    strftime(text, CLOCK_TEXT, "%Y%m%d-%H%M%S", localtime_r(&now, &tm));
}
