// What losses are made of, on rows of f32: included by kernels.c. Not a header to be read alone.

// --- directions ---
static void cosine_dots(double *dots, const float *p, const float *z, int n, int c, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int i = 0; i < n; i++) {
        const float *a = p + (size_t)i * c, *b = z + (size_t)i * c;
        double pp = 0, zz = 0, pz = 0;
#pragma omp simd reduction(+ : pp, zz, pz)
        for (int j = 0; j < c; j++) {
            double u = a[j], v = b[j];
            pp += u * u;
            zz += v * v;
            pz += u * v;
        }
        dots[3 * (size_t)i] = pp;
        dots[3 * (size_t)i + 1] = zz;
        dots[3 * (size_t)i + 2] = pz;
    }
}

static void cosine_backward(float *dp, const double *dots, const float *p, const float *z, int n,
                            int c, double scale, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int i = 0; i < n; i++) {
        const float *a = p + (size_t)i * c, *b = z + (size_t)i * c;
        float *to = dp + (size_t)i * c;
        double np = sqrt(dots[3 * (size_t)i]), nz = sqrt(dots[3 * (size_t)i + 1]),
               pz = dots[3 * (size_t)i + 2];
        np = np < 1e-8 ? 1e-8 : np; // as PyTorch's cosine_similarity; a NaN stays
        nz = nz < 1e-8 ? 1e-8 : nz;
        double f = -0.5 * scale / n / np;
        float kz = (float)(f / nz), kp = (float)(-f * pz / (nz * np * np));
        for (int j = 0; j < c; j++)
            to[j] = kz * b[j] + kp * a[j];
    }
}

static void direction_sums(const double *dots, const float *z, int n, int c, double *sums)
{
    double *s = sums, *q = sums + c;
    memset(sums, 0, 2 * (size_t)c * sizeof *sums);
    for (int i = 0; i < n; i++) {
        double norm = sqrt(dots[3 * (size_t)i + 1]), inv = 1 / (norm < 1e-12 ? 1e-12 : norm);
        for (int j = 0; j < c; j++) {
            double u = z[(size_t)i * c + j] * inv;
            s[j] += u;
            q[j] += u * u;
        }
    }
}

static double direction_std(const double *sums, int n, int c)
{
    const double *s = sums, *q = sums + c;
    double total = 0;
    if (n < 2)
        return NAN;
    for (int j = 0; j < c; j++) {
        double var = (q[j] - s[j] * s[j] / n) / (n - 1);
        total += sqrt(var < 0 ? 0 : var);
    }
    return total;
}

// --- matrices ---
static double dot(const float *a, const float *b, size_t n, double *partial, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++) {
        double sum = 0;
        size_t lo = (size_t)share((int64_t)n, t, threads);
        size_t hi = (size_t)share((int64_t)n, t + 1, threads);
#pragma omp simd reduction(+ : sum)
        for (size_t i = lo; i < hi; i++)
            sum += (double)a[i] * b[i];
        partial[t] = sum;
    }
    double sum = 0;
    for (int t = 0; t < threads; t++)
        sum += partial[t];
    return sum;
}

static void centre(float *y, const float *x, int n, int c, double *mean, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static, 1)
    for (int t = 0; t < threads; t++) {
        int lo = (int)share(c, t, threads), hi = (int)share(c, t + 1, threads);
        for (int j = lo; j < hi; j++)
            mean[j] = 0;
        for (int i = 0; i < n; i++)
            for (int j = lo; j < hi; j++)
                mean[j] += x[(size_t)i * c + j];
        for (int j = lo; j < hi; j++)
            mean[j] /= n;
        for (int i = 0; i < n; i++)
            for (int j = lo; j < hi; j++)
                y[(size_t)i * c + j] = (float)(x[(size_t)i * c + j] - mean[j]);
    }
}

static void combine(float *y, float alpha, const float *a, float beta, const float *b, size_t n,
                    int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static) if (n > 1 << 14)
    for (size_t i = 0; i < n; i++)
        y[i] = alpha * a[i] + beta * b[i];
}

static void multiply(float *y, float alpha, const float *a, const float *b, size_t n, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static) if (n > 1 << 14)
    for (size_t i = 0; i < n; i++)
        y[i] = alpha * a[i] * b[i];
}
