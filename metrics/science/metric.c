// The metrics of a spectrum, one small pure function a row. Everything is formed in double,
// relative to the largest singular value where squares are taken, so that no scale of features
// overflows or vanishes. AUC: Li, Efros, Pathak, ECCV 2022, eq. 2. The other sources stand in their
// rows.
#include "metrics/science/metric.h"

#include <math.h>
#include <string.h>

#include "metrics/base/text.h"

// alpha-ReQ fits i = d/50 .. d/4: past the first few directions, before the tail that few samples
// bend.
#define ALPHA_FIRST  50
#define ALPHA_LAST   4
#define ALPHA_POINTS 3    // fewer are no slope
#define GRAM_FLOOR   1e-7 // of sigma_1: smaller values are rounding of a Gram matrix in double

// Whether there is a spectrum to speak of: every value finite and not negative.
static int known(const struct metric_input *in)
{
    if (!in->sigma || in->d < 1)
        return 0;
    for (int i = 0; i < in->d; i++)
        if (!isfinite(in->sigma[i]) || in->sigma[i] < 0)
            return 0;
    return 1;
}

static double largest(const struct metric_input *in)
{
    double top = 0;
    for (int i = 0; i < in->d; i++)
        top = fmax(top, in->sigma[i]);
    return top;
}

static double total(const struct metric_input *in, double top)
{
    double sum = 0;
    for (int i = 0; i < in->d; i++)
        sum += in->sigma[i] / top;
    return sum;
}

// Sum of lambda_i / lambda_1.
static double energy(const struct metric_input *in, double top)
{
    double sum = 0;
    for (int i = 0; i < in->d; i++) {
        double s = in->sigma[i] / top;
        sum += s * s;
    }
    return sum;
}

static double auc(const struct metric_input *in)
{
    if (!known(in))
        return NAN;
    double top = largest(in);
    if (top == 0)
        return 1;
    double part = 0, area = 0;
    for (int i = 0; i < in->d; i++) {
        part += in->sigma[i] / top;
        area += part;
    }
    double least = (in->d + 1) / (2.0 * in->d);
    return fmin(1, fmax(least, area / part / in->d));
}

// A spectrum of zeros has p_i = 1e-7 everywhere, which is the 1 of a single direction.
static double rankme(const struct metric_input *in)
{
    if (!known(in))
        return NAN;
    double top = largest(in), sum = top > 0 ? total(in, top) : 1, entropy = 0;
    for (int i = 0; i < in->d; i++) {
        double p = (top > 0 ? in->sigma[i] / top / sum : 0) + 1e-7;
        entropy -= p * log(p);
    }
    return exp(entropy);
}

static double rankme_raw(const struct metric_input *in)
{
    struct metric_input raw = *in;
    raw.sigma = in->raw;
    return rankme(&raw);
}

static double alpha(const struct metric_input *in)
{
    if (!known(in))
        return NAN;
    double top = largest(in);
    int first = in->d / ALPHA_FIRST, last = in->d / ALPHA_LAST, n = 0;
    if (first < 1)
        first = 1;
    if (last < 8)
        last = in->d < 8 ? in->d : 8;
    // Two passes: means first, so that the sums of the slope are of small numbers.
    double mean_x = 0, mean_y = 0, xx = 0, xy = 0;
    for (int i = first; i <= last; i++) {
        double s = in->sigma[i - 1];
        if (!(s > GRAM_FLOOR * top))
            break;
        mean_x += log(i);
        mean_y += 2 * log(s / top);
        n++;
    }
    if (n < ALPHA_POINTS)
        return NAN;
    mean_x /= n;
    mean_y /= n;
    for (int i = first; i < first + n; i++) {
        double x = log(i) - mean_x, y = 2 * log(in->sigma[i - 1] / top) - mean_y;
        xx += x * x;
        xy += x * y;
    }
    return -xy / xx;
}

// Over the rows' number: few make it smaller. E tr S^2 = (1 + 1/m) tr C^2 + (tr C)^2 / m and E (tr
// S)^2 = (tr C)^2 + 2 tr C^2 / m for the covariance S of m + 1 normal rows of covariance C (Bai,
// Saranadasa, Statistica Sinica 1996): solved for tr C^2 and (tr C)^2. What it was made for (Chun
// et al., arXiv 2509.26560) needs the rows themselves.
static double participation(const struct metric_input *in)
{
    if (!known(in))
        return NAN;
    double top = largest(in), fourth = 0;
    if (top == 0)
        return 1;
    for (int i = 0; i < in->d; i++) {
        double s = in->sigma[i] / top;
        fourth += s * s * s * s;
    }
    double sum = energy(in, top), share = fourth / (sum * sum), m = in->n - 1;
    if (!(m > 1) || !isfinite(m))
        return 1 / share;
    // Both sums of squares without what the rows' own number adds to them.
    double square = m * m / ((m - 1) * (m + 2)) * (share - 1 / m);
    return square > 0 ? fmin(in->d, fmax(1, (1 - 2 * square / m) / square)) : in->d;
}

static double stable_rank(const struct metric_input *in)
{
    if (!known(in))
        return NAN;
    double top = largest(in);
    return top > 0 ? energy(in, top) : 1;
}

static double numerical_rank(const struct metric_input *in)
{
    if (!known(in))
        return NAN;
    double top = largest(in);
    int n = 0;
    for (int i = 0; i < in->d; i++)
        n += in->sigma[i] > 1e-4 * top;
    return n;
}

static double condition(const struct metric_input *in)
{
    if (!known(in))
        return NAN;
    double top = largest(in), least = in->sigma[in->d - 1];
    return least * METRIC_COND_MAX > top ? top / least : METRIC_COND_MAX;
}

static double spread(const struct metric_input *in)
{
    if (!known(in) || !(in->n > 0) || !(in->mean_norm >= 0))
        return NAN;
    double top = largest(in);
    if (top == 0)
        return 0;
    return top * sqrt(energy(in, top) / in->n) / in->mean_norm;
}

static double zstd(const struct metric_input *in)
{
    return in->zstd;
}

static double alignment(const struct metric_input *in)
{
    return in->alignment;
}

static double uniformity(const struct metric_input *in)
{
    return in->uniformity;
}

static double loss(const struct metric_input *in)
{
    return in->loss;
}

static double twonn(const struct metric_input *in)
{
    return in->twonn;
}

static double self_cluster(const struct metric_input *in)
{
    return in->self_cluster;
}

static double self_cluster_c(const struct metric_input *in)
{
    return in->self_cluster_c;
}

static double pixel_r2(const struct metric_input *in)
{
    return in->pixel_r2;
}

static double pseudo10(const struct metric_input *in)
{
    return in->pseudo[0];
}

static double pseudo30(const struct metric_input *in)
{
    return in->pseudo[1];
}

static double pseudo100(const struct metric_input *in)
{
    return in->pseudo[2];
}

static double lidar(const struct metric_input *in)
{
    return in->lidar;
}

static double fewshot_r2(const struct metric_input *in)
{
    return in->fewshot_r2;
}

static double fewshot10(const struct metric_input *in)
{
    return in->fewshot10;
}

static double z_auc(const struct metric_input *in)
{
    return auc(&(struct metric_input){.sigma = in->z, .d = in->z_d});
}

static double z_rankme(const struct metric_input *in)
{
    return rankme(&(struct metric_input){.sigma = in->z, .d = in->z_d});
}

static const char *const need_text[METRIC_NEEDS_COUNT] = {
    "a spectrum",
    "the mean of the features",
    "projections of two views",
    "a training step",
    "images",
    "an evaluation",
    "a spectrum of features that are not centred",
    "the features themselves",
    "a spectrum of the projections",
    "features of two views",
    "64 images of a training step"};

#define SPECTRUM METRIC_NEEDS_SPECTRUM
#define FEATURES METRIC_NEEDS_FEATURES
#define PAIRS    METRIC_NEEDS_PAIRS
#define SCORES   METRIC_NEEDS_SCORES
#define IMAGES   METRIC_NEEDS_IMAGES
#define RAW      METRIC_NEEDS_RAW
#define ROWS     METRIC_NEEDS_ROWS
#define PROJ     METRIC_NEEDS_Z
#define VIEWS    METRIC_NEEDS_VIEWS
#define BATCH    METRIC_NEEDS_BATCH
#define ASKED    (METRIC_NEEDS_IMAGES | METRIC_NEEDS_EVALUATION)

const struct metric metric_table[METRIC_COUNT] = {
    [METRIC_AUC] = {"auc", "AUC", "", 0.5, 1, SPECTRUM, -1, "Li, Efros, Pathak, ECCV 2022, eq. 2",
                    "area under the cumulative singular values: (d+1)/2d all equal, 1 collapsed",
                    auc},
    [METRIC_RANKME] = {"rankme", "RankMe", "", 1, NAN, SPECTRUM, +1,
                       "Garrido et al., ICML 2023, eq. 1",
                       "exp of the entropy of the singular values of centred features", rankme},
    [METRIC_ALPHA] =
        {"alpha", "alpha-ReQ", "", -INFINITY, INFINITY, SPECTRUM, 0,
         "Agrawal et al., NeurIPS 2022, sec. 3",
         "minus the slope of ln(lambda_i) on ln(i), i from d/50 to d/4; near 1 is best", alpha},
    [METRIC_PR] = {"pr", "particip.", "", 1, NAN, SPECTRUM, +1,
                   "Gao et al., 2017; Bai, Saranadasa, Statistica Sinica 1996",
                   "participation ratio of the covariance: (sum lambda)^2 / sum lambda^2, without "
                   "the bias of few rows",
                   participation},
    [METRIC_STABLE_RANK] = {"stable_rank", "stable rank", "", 1, NAN, SPECTRUM, +1,
                            "Rudelson, Vershynin, J. ACM 2007",
                            "sum of the eigenvalues of the covariance over the largest",
                            stable_rank},
    [METRIC_NUM_RANK] = {"num_rank", "num. rank", "", 0, NAN, SPECTRUM, +1,
                         "Golub, Van Loan, Matrix Computations, 4th ed., sec. 5.4",
                         "singular values above 1e-4 of the largest", numerical_rank},
    [METRIC_COND] = {"cond", "condition", "", 1, METRIC_COND_MAX, SPECTRUM, -1,
                     "Golub, Van Loan, Matrix Computations, 4th ed., sec. 2.6",
                     "largest over smallest singular value; 1e7 means 1e7 or more", condition},
    [METRIC_SPREAD] =
        {"spread", "spread", "", 0, INFINITY, SPECTRUM | FEATURES, +1,
         "Van Valen, Journal of Theoretical Biology 1974",
         "deviation of the features over the length of their mean; below 1e-3: constant", spread},
    // Over B - 1, as PyTorch's std: the squares over all dimensions add up to B/(B-1) at most.
    [METRIC_ZSTD] = {"zstd", "z-std", "", 0, M_SQRT2, SCORES, +1, "Chen, He, CVPR 2021, sec. 4.1",
                     "deviation of z/|z| times sqrt(dim), at most sqrt(B/(B-1)) in a batch of B; 1 "
                     "does not mean healthy",
                     zstd},
    [METRIC_ALIGNMENT] = {"alignment", "alignment", "", 0, 4, PAIRS, -1,
                          "Wang, Isola, ICML 2020, sec. 4.1",
                          "mean squared distance of z/|z| of the two views of an image", alignment},
    [METRIC_UNIFORMITY] =
        {"uniformity", "uniformity", "", -8, 0, PAIRS, -1, "Wang, Isola, ICML 2020, sec. 4.2",
         "ln of the mean of exp(-2 distance^2) of z/|z| over pairs of images; 0: one point",
         uniformity},
    [METRIC_LOSS] = {"loss", "loss", "", -INFINITY, INFINITY, SCORES, 0,
                     "Chen, He, CVPR 2021, eq. 2", "the training loss; its range is the method's",
                     loss},
    // Their evidence: 54 checkpoints of 18 runs of width 8 on Fashion-MNIST, a run left out at a
    // time; AUC alone errs by 6.5 points of the probe.
    [METRIC_RANKME_RAW] =
        {"rankme_raw", "RankMe raw", "", 1, NAN, RAW, +1,
         "Garrido et al., ICML 2023, eq. 1; rank correlation with the probe 0.88, "
         "the best of what needs no images",
         "RankMe as published: of features that are not centred", rankme_raw},
    [METRIC_TWONN] = {"twonn", "TwoNN", "", 0, INFINITY, ROWS, 0,
                      "Facco et al., Scientific Reports 2017; rank correlation with the probe 0.75",
                      "intrinsic dimension from each image's two nearest neighbours", twonn},
    [METRIC_SELF_CLUSTER] = {"self_cluster", "self-clust.", "", -1, 1, ROWS, -1,
                             "Tsitsulin et al., 2023, def. 3.5; beside a surrogate it helps, alone "
                             "it is no better than AUC",
                             "how much directions cluster: 0 as random ones do, 1 one direction",
                             self_cluster},
    [METRIC_SELF_CLUSTER_C] = {"self_cluster_c", "self-clust. c", "", -1, 1, ROWS, -1,
                               "Tsitsulin et al., 2023, def. 3.5; with pixel R2 and RankMe raw the "
                               "error of the probe is 2.5 points",
                               "the same of features from their mean", self_cluster_c},
    [METRIC_PIXEL_R2] = {"pixel_r2", "pixel R2", "", -INFINITY, 1, IMAGES, +1,
                         "ssltop; leaving runs out its error of the probe is 4.0 points",
                         "share of the images' 20 leading pixel components that the features tell",
                         pixel_r2},
    [METRIC_PSEUDO10] = {"pseudo10", "pseudo 10", "", 0, 1, ASKED, +1,
                         "ssltop; as pseudo100, of coarser clusters",
                         "accuracy of a probe for which of 10 clusters of pixels an image is in",
                         pseudo10},
    [METRIC_PSEUDO30] = {"pseudo30", "pseudo 30", "", 0, 1, ASKED, +1,
                         "ssltop; as pseudo100, of coarser clusters",
                         "accuracy of a probe for which of 30 clusters of pixels an image is in",
                         pseudo30},
    [METRIC_PSEUDO100] = {"pseudo100", "pseudo 100", "", 0, 1, ASKED, +1,
                          "ssltop; leaving runs out its error of the probe is 3.7 points",
                          "accuracy of a probe for which of 100 clusters of pixels an image is in",
                          pseudo100},
    [METRIC_LIDAR] = {"lidar", "LiDAR", "", 1, NAN, VIEWS, +1, "Thilak et al., ICLR 2024, sec. 4",
                      "directions that tell images apart where two views of one are alike", lidar},
    [METRIC_FEWSHOT_R2] = {"fewshot_r2", "few-shot R2", "", -INFINITY, 1, BATCH, +1,
                           "ssltop; over four steps its error of the probe is 5.3 points where "
                           "pixel R2 over all images has 4.5",
                           "pixel R2 of 64 images of a step, each foretold by the others",
                           fewshot_r2},
    [METRIC_FEWSHOT10] = {"fewshot10", "few-shot 10", "", 0, 1, BATCH, +1,
                          "ssltop; beside few-shot R2 and AUC the error of the probe is 4.1 points",
                          "share of 64 images of a step whose cluster of 10 the others foretell",
                          fewshot10},
    [METRIC_Z_AUC] =
        {"z.auc", "AUC of z", "", 0.5, 1, PROJ, -1, "Li, Efros, Pathak, ECCV 2022, eq. 2",
         "AUC of the projector's z; hidden layers narrower than z keep it above that of h", z_auc},
    [METRIC_Z_RANKME] = {"z.rankme", "RankMe of z", "", 1, INFINITY, PROJ, +1,
                         "Garrido et al., ICML 2023, eq. 1",
                         "RankMe of the projector's z, centred; hidden layers bound it", z_rankme},
};

struct metric_input metric_unknown(void)
{
    return (struct metric_input){.n = NAN,
                                 .mean_norm = NAN,
                                 .zstd = NAN,
                                 .alignment = NAN,
                                 .uniformity = NAN,
                                 .loss = NAN,
                                 .twonn = NAN,
                                 .self_cluster = NAN,
                                 .self_cluster_c = NAN,
                                 .pixel_r2 = NAN,
                                 .lidar = NAN,
                                 .fewshot_r2 = NAN,
                                 .fewshot10 = NAN,
                                 .pseudo = {NAN, NAN, NAN}};
}

int metric_is_optional(int m)
{
    const unsigned newer = METRIC_NEEDS_IMAGES | METRIC_NEEDS_EVALUATION | METRIC_NEEDS_RAW |
                           METRIC_NEEDS_ROWS | METRIC_NEEDS_Z | METRIC_NEEDS_VIEWS |
                           METRIC_NEEDS_BATCH;
    return (metric_table[m].needs & newer) != 0;
}

int metric_is_biased(int m, double n, int d)
{
    const unsigned made_of =
        METRIC_NEEDS_SPECTRUM | METRIC_NEEDS_RAW | METRIC_NEEDS_Z | METRIC_NEEDS_VIEWS;
    return metric_table[m].needs & made_of && m != METRIC_PR && m != METRIC_SPREAD &&
           n < (double)METRIC_ROWS * d;
}

int metric_is_given(int m, unsigned have)
{
    return !(metric_table[m].needs & ~have);
}

const char *metric_needs(int m, char *text, size_t size)
{
    *text = '\0';
    for (int i = 0; i < METRIC_NEEDS_COUNT; i++)
        if (metric_table[m].needs & 1u << i)
            text_item(text, size, " and ", "%s", need_text[i]);
    return text;
}

int metric_find(const char *key)
{
    for (int i = 0; i < METRIC_COUNT; i++)
        if (!strcmp(metric_table[i].key, key))
            return i;
    return -1;
}

void metric_all(const struct metric_input *in, double out[METRIC_COUNT])
{
    for (int i = 0; i < METRIC_COUNT; i++)
        out[i] = metric_table[i].fn(in);
}
