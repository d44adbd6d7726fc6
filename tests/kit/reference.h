// A network in plain double loops: the measure of every node on every device. Slow, and small
// enough to be read and believed; its backward is checked by finite differences and, over whole
// nets, against PyTorch's f64.
#ifndef SSLTOP_TESTS_KIT_REFERENCE_H
#define SSLTOP_TESTS_KIT_REFERENCE_H

#include "gpu/loss.h"

struct reference {
    const struct net *net; // borrowed
    int batch;
    double **param, **grad;     // [n_param][count]; gradients are summed over both views
    double **y[2], **dy[2];     // [node][batch * c * h * w]
    double **mean[2], **inv[2]; // [node][c]: batch norm of the last forward
    struct loss loss_is;        // of a net with a loss: what it is made of
    double *matrix[LOSS_MATRICES];
    double *fixed[2]; // z held fixed in the cosine (finite differences), or NULL
    double loss, zstd;
};

// Sizes are the tests' own; runs out of memory with abort().
void reference_new(struct reference *r, const struct net *net, int batch);
void reference_free(struct reference *r);

// Set a parameter or running statistic from floats.
void reference_put(struct reference *r, int param, const float *v);

// Training forward of both views: x[view] is batch * c * h * w.
void reference_forward(struct reference *r, const double *const x[2]);
// Evaluation forward of one batch into y[0]: running statistics, which it leaves alone.
void reference_evaluate(struct reference *r, const double *x);
// From dL/dy of the last node, or from the loss when `dy` is NULL. dy[view][0] is the gradient of
// the input.
void reference_backward(struct reference *r, const double *const dy[2]);

// Of a net with a loss (reference_loss.c): its value from the outputs of both views; its gradients
// to those of a view, added to dy[view].
void reference_value(struct reference *r);
void reference_gradient(struct reference *r, int view);

// batch * c * h * w of a node.
size_t reference_size(const struct reference *r, int node);

#endif
