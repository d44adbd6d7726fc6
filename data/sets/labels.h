// Labels of images that lie in no folders of classes, as ImageNet's validation images do when they
// are unpacked: from a file of text beside them.
#ifndef SSLTOP_DATA_SETS_LABELS_H
#define SSLTOP_DATA_SETS_LABELS_H

#include "data/sets/folder.h"

// Where the labels of the split NAME in the open folder `root` would be: NAME.txt, NAME.csv,
// NAME_labels.txt, NAME_annotations.txt (Tiny ImageNet), LOC_NAME_solution.csv (Kaggle's ImageNet),
// beside the folder or in it; NAME may be another word for the same (val for validation). 1, and
// its path below root is in path[size]; 0: there is none.
int labels_find(int root, const char *name, char *path, size_t size);

// Give every image of `f` its label. A line has an image, with or without folders and an ending,
// and behind a blank, a tab, a comma or a semicolon its class, either may be quoted: the name of a
// folder of classes of `known`, or its number in their order, from 0. Either may have such
// characters in it. What else is on a line, a first line that names no image, and images that `f`
// does not have are passed over. -1: an image has no label or a class is none.
int labels_read(int root, const char *path, const struct folder *known, struct folder *f,
                struct error *e);

#endif
