// What is smaller than a normal number is zero where that was asked for, and in threads started
// from there.
#include <criterion/criterion.h>
#include <float.h>
#include <pthread.h>

#include "metrics/base/denormals.h"

static volatile float least = FLT_MIN;

// Half of the least normal number, as this thread gives it.
static float half(void)
{
    return least / 2;
}

static void *in_thread(void *out)
{
    *(float *)out = half();
    return NULL;
}

Test(denormals, are_zero_from_then_on_in_threads_too)
{
    pthread_t thread;
    volatile float tiny = half(), other = 1;
    cr_assert(tiny > 0, "they are there to begin with");
    denormals_flush();
    cr_expect(half() == 0, "as a result");
    cr_expect(tiny * 2 == 0, "as an input");
    cr_expect(least > 0, "the least normal one stays");
    float seen = 1;
    cr_assert(pthread_create(&thread, NULL, in_thread, &seen) == 0);
    cr_assert(pthread_join(thread, NULL) == 0);
    other = seen;
    cr_expect(other == 0, "in a thread");
#pragma omp parallel num_threads(2) reduction(+ : seen)
    seen += half();
    cr_expect(seen == 0, "in a team");
}
