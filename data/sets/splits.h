// Which folders of a set of photographs are to train on and which to test on. People call them by
// many names; what is made of them is said wherever it is not plain.
#ifndef SSLTOP_DATA_SETS_SPLITS_H
#define SSLTOP_DATA_SETS_SPLITS_H

#include "metrics/base/error.h"

struct splits {
    int root;         // the open folder that they lie in
    char *train;      // NULL: the folders in it are the classes, and there is nothing to test on
    char *test;       // NULL: there is none
    char notice[400]; // what a person should know of it, "" nothing
};

// In the folder DIR, or in the only one there, if that has them: train/ or training/ and one of
// val/, test/, valid/, validation/, testing/ and the like, in any case of their letters; else two
// whose names differ in such words alone (seg_train and seg_test, train2017 and val2017).
int splits_find(const char *dir, struct splits *out, struct error *e);
void splits_free(struct splits *s);

#endif
