// The clock: forward only, waits that end when they said, and the words that logs and names have.
#include "metrics/base/clock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

Test(clock, goes_forward)
{
    double s = clock_seconds();
    int64_t ms = clock_ms();
    for (int i = 0; i < 1000; i++) {
        double s2 = clock_seconds();
        int64_t ms2 = clock_ms();
        cr_assert(s2 >= s && ms2 >= ms);
        cr_assert(1e3 * s2 <= (double)ms2 + 1, "one clock in two units");
        s = s2;
        ms = ms2;
    }
}

// It never ends early, however the moment splits into seconds and the rest.
Test(clock, a_wait_ends_at_its_moment)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t never = PTHREAD_COND_INITIALIZER;
    static const double ahead[] = {-1e3, -0.5, 0, 1e-9, 1e-3, 0.02};
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < sizeof ahead / sizeof *ahead; i++) {
        double until = clock_seconds() + ahead[i];
        int rc = 0;
        while ((rc = clock_wait(&never, &lock, until)) == 0)
            ;
        cr_assert_eq(rc, ETIMEDOUT);
        cr_assert(clock_seconds() >= until - 1e-6);
    }
    pthread_mutex_unlock(&lock);
}

Test(clock, sleeps_no_less_and_tells_what_is_left)
{
    static const double seconds[] = {0, 1e-5, 2e-3, 0.02};
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        double since = clock_seconds();
        clock_sleep(seconds[i]);
        cr_assert(clock_seconds() >= since + seconds[i] - 1e-6);
    }
    cr_assert_eq(clock_left(clock_ms() - 1000), 0);
    int left = clock_left(clock_ms() + 100000);
    cr_assert(left > 0 && left <= 100000, "%d", left);
}

// What was written is a time between the two at which the clock was asked.
static void check(const char *text, const char *again, time_t t, time_t before)
{
    cr_assert_str_eq(text, again);
    cr_assert(t >= before && t <= time(NULL), "%s", text);
}

Test(clock, words)
{
    setenv("TZ", "Asia/Kathmandu", 1); // no whole hours
    tzset();
    char text[CLOCK_TEXT], again[CLOCK_TEXT];
    struct tm utc = {0}, local = {.tm_isdst = -1};
    time_t before = time(NULL);
    clock_utc(text);
    cr_assert(strptime(text, "%Y-%m-%dT%H:%M:%SZ", &utc) != NULL);
    strftime(again, sizeof again, "%Y-%m-%dT%H:%M:%SZ", &utc);
    check(text, again, timegm(&utc), before);
    clock_stamp(text);
    cr_assert(strptime(text, "%Y%m%d-%H%M%S", &local) != NULL);
    strftime(again, sizeof again, "%Y%m%d-%H%M%S", &local);
    check(text, again, mktime(&local), before);
}
