// What ranks say to each other: who a launcher says they are; sums that are formed in the order of
// the ranks, the same on all of them, however the numbers are dealt out.
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/crew.h"

// --- who ---
static const char *const all_names[] = {
    "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "PMI_RANK",     "PMI_SIZE",
    "SLURM_PROCID",         "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "PMIX_RANK"};

static void forget(void)
{
    for (size_t i = 0; i < sizeof all_names / sizeof *all_names; i++)
        unsetenv(all_names[i]);
}

TestSuite(joined, .init = forget);

Test(joined, a_launcher_says_who)
{
    static const struct {
        const char *name[2], *value[2];
        int rank, size;
    } rows[] = {
        {{NULL}, {NULL}, 0, 0},
        {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, {"3", "4"}, 3, 4},
        {{"PMI_RANK", "PMI_SIZE"}, {"1", "2"}, 1, 2},
        {{"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"}, {"7", "8"}, 7, 8},
        {{"SLURM_PROCID", "SLURM_NTASKS"}, {"0", "8"}, 0, 0}, // a batch script, without srun
        {{"PMIX_RANK", NULL}, {"2", NULL}, 2, -1},            // of how many only MPI knows
        {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, {"0", "x"}, 0, 0},
        {{"PMI_RANK", "PMI_SIZE"}, {"-1", "2"}, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        forget();
        for (int k = 0; k < 2; k++)
            if (rows[i].name[k])
                setenv(rows[i].name[k], rows[i].value[k], 1);
        struct ranks_launch l = ranks_launched();
        cr_expect(l.size == rows[i].size && (!l.size || l.rank == rows[i].rank),
                  "%zu: rank %d of %d", i, l.rank, l.size);
    }
}

// One that was started alone needs no library, whatever started it.
Test(joined, alone_under_a_launcher_is_alone)
{
    struct ranks *r;
    struct error e = {""};
    setenv("SSLTOP_MPI", "/nowhere/ssltop-mpi.so", 1);
    setenv("OMPI_COMM_WORLD_RANK", "0", 1);
    setenv("OMPI_COMM_WORLD_SIZE", "1", 1);
    cr_assert(ranks_open(&r, &e) == 0 && r == NULL, "%s", e.text);
    setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
    cr_assert(ranks_open(&r, &e) == -1 && r == NULL);
    cr_expect(strstr(e.text, "/nowhere/ssltop-mpi.so"), "%s", e.text);
}

// --- sums ---
enum { SIZE = 3, MOST = 20 };

struct member {
    struct crew *crew;
    int rank, n;
    double added[MOST]; // ranks_add
    float floats[MOST]; // ranks_sum, and of doubles
    double doubles[MOST], factor;
};

// Numbers whose sum depends on the order: large ones that take each other away, and small ones.
static double number(int rank, int i)
{
    static const double large[SIZE] = {1e8, 1, -1e8};
    return large[(rank + i) % SIZE] + 0.125 * i;
}

static void *work(void *context)
{
    struct member *m = context;
    struct ranks *r;
    struct error e;
    float small[2][MOST + SIZE] = {{0}};
    double wide[2][MOST + SIZE] = {{0}};
    cr_assert(crew_join(m->crew, m->rank, &r, &e) == 0, "%s", e.text);
    for (int i = 0; i < m->n; i++)
        small[0][i] = (float)(wide[0][i] = m->added[i] = number(m->rank, i));
    size_t length = ranks_sum_length(r, (size_t)m->n);
    cr_assert(length >= (size_t)m->n && length < (size_t)m->n + SIZE && length % SIZE == 0);
    struct ranks_sum s[2] = {
        {.number = RANKS_FLOAT, .channel = RANKS_GRADIENT, .data = small[0], .work = small[1]},
        {.number = RANKS_DOUBLE, .channel = RANKS_BESIDE, .data = wide[0], .work = wide[1]}};
    for (int k = 0; k < 2; k++) {
        s[k].part = length / SIZE;
        s[k].factor = m->factor;
        cr_assert(ranks_sum_start(r, &s[k], &e) == 0, "%s", e.text);
    }
    // What is said at once does not wait for them, and they go on by themselves.
    cr_assert(ranks_add(r, m->added, (size_t)m->n, &e) == 0, "%s", e.text);
    cr_assert(ranks_sum_poll(r, &s[0], &e) == 0, "%s", e.text);
    for (int k = 1; k >= 0; k--)
        cr_assert(ranks_sum_finish(r, &s[k], &e) == 0, "%s", e.text);
    memcpy(m->floats, small[0], sizeof m->floats);
    memcpy(m->doubles, wide[0], sizeof m->doubles);
    int told = m->rank == 0 ? 4711 : m->rank;
    cr_assert(ranks_broadcast(r, &told, sizeof told, &e) == 0 && told == 4711, "%d", told);
    ranks_close(r, 0);
    return NULL;
}

Test(joined, sums_are_in_the_order_of_the_ranks)
{
    for (int n = 1; n <= MOST; n += n < 5 ? 1 : 5)
        for (int half = 0; half < 2; half++) {
            struct member m[SIZE];
            pthread_t thread[SIZE];
            struct crew *crew = crew_new(SIZE);
            for (int k = SIZE - 1; k >= 0; k--) {
                m[k] = (struct member){.crew = crew, .rank = k, .n = n, .factor = half ? 0.5 : 1};
                if (k)
                    cr_assert(pthread_create(&thread[k], NULL, work, &m[k]) == 0);
            }
            work(&m[0]);
            for (int k = 1; k < SIZE; k++)
                pthread_join(thread[k], NULL);
            for (int i = 0; i < n; i++) {
                double wide = (number(0, i) + number(1, i)) + number(2, i);
                float small = ((float)number(0, i) + (float)number(1, i)) + (float)number(2, i);
                for (int k = 0; k < SIZE; k++) {
                    cr_expect(m[k].added[i] == wide, "%d of %d on %d: %.17g", i, n, k,
                              m[k].added[i]);
                    cr_expect(m[k].doubles[i] == wide * m[k].factor, "%d of %d on %d", i, n, k);
                    cr_expect(m[k].floats[i] == small * (float)m[k].factor,
                              "%d of %d on %d: %.9g, not %.9g", i, n, k, (double)m[k].floats[i],
                              (double)small);
                }
            }
            crew_free(crew);
        }
}

// Ranks that do different things at the same place are told so rather than given nonsense.
struct odd {
    struct crew *crew;
    int rank, rc;
};

static void *differ(void *context)
{
    struct odd *o = context;
    struct ranks *r;
    struct error e;
    double v[2] = {0};
    cr_assert(crew_join(o->crew, o->rank, &r, &e) == 0, "%s", e.text);
    o->rc = ranks_add(r, v, o->rank ? 2 : 1, &e);
    ranks_give_up(r);
    ranks_close(r, 1);
    return NULL;
}

Test(joined, a_failure_of_one_is_everybodys)
{
    struct odd o[2];
    pthread_t other;
    struct crew *crew = crew_new(2);
    for (int k = 0; k < 2; k++)
        o[k] = (struct odd){.crew = crew, .rank = k};
    cr_assert(pthread_create(&other, NULL, differ, &o[1]) == 0);
    differ(&o[0]);
    pthread_join(other, NULL);
    cr_expect(o[0].rc == -1 && o[1].rc == -1);
    crew_free(crew);
}
