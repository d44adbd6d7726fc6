// What metrics/ calls of LAPACK. Column major; the last arguments are the hidden lengths of the
// Fortran characters. LAPACKE would copy the triangles to turn them round: row-major lower is
// column-major upper.
#ifndef SSLTOP_METRICS_SCIENCE_LAPACK_H
#define SSLTOP_METRICS_SCIENCE_LAPACK_H

#include <stddef.h>

// Eigenvalues w (ascending) of a symmetric n x n matrix, and with jobz "V" eigenvectors in its
// place. lwork and liwork of -1 ask for sizes.
extern void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda,
                    double *w, double *work, const int *lwork, int *iwork, const int *liwork,
                    int *info, size_t jobz_len, size_t uplo_len);

// A symmetric matrix as a tridiagonal one of the same eigenvalues, d on its diagonal and e beside
// it; then those, ascending, in place of d. lwork of -1 asks for a size. With "U" the last
// coordinate stays what it was: (n, n) is element d[n - 1].
extern void dsytrd_(const char *uplo, const int *n, double *a, const int *lda, double *d, double *e,
                    double *tau, double *work, const int *lwork, int *info, size_t uplo_len);
// Of that the last nb columns with "U", and w (ldw x nb) for the rest: a -= v w^T + w v^T, v being
// the columns; and the whole at once, without blocks.
extern void dlatrd_(const char *uplo, const int *n, const int *nb, double *a, const int *lda,
                    double *e, double *tau, double *w, const int *ldw, size_t uplo_len);
extern void dsytd2_(const char *uplo, const int *n, double *a, const int *lda, double *d, double *e,
                    double *tau, int *info, size_t uplo_len);
extern void dsterf_(const int *n, double *d, double *e, int *info);

// Cholesky's factor of a positive definite matrix, in its place; then solutions of A X = B, in B's.
extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info,
                    size_t uplo_len);
extern void dpotrs_(const char *uplo, const int *n, const int *nrhs, const double *a,
                    const int *lda, double *b, const int *ldb, int *info, size_t uplo_len);
// The inverse of the matrix, from its factor, in its place.
extern void dpotri_(const char *uplo, const int *n, double *a, const int *lda, int *info,
                    size_t uplo_len);

// With such a factor U (itype 1, "U"): A becomes U^-T A U^-1, whose eigenvalues are those of A x =
// lambda U^T U x.
extern void dsygst_(const int *itype, const char *uplo, const int *n, double *a, const int *lda,
                    const double *b, const int *ldb, int *info, size_t uplo_len);

// The inverse of a triangular matrix, in its place.
extern void dtrtri_(const char *uplo, const char *diag, const int *n, double *a, const int *lda,
                    int *info, size_t uplo_len, size_t diag_len);

#endif
