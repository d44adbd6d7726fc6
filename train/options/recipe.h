// Recipes: published hyperparameters as configuration files that come with the program.
#ifndef SSLTOP_TRAIN_OPTIONS_RECIPE_H
#define SSLTOP_TRAIN_OPTIONS_RECIPE_H

#include <stddef.h>

#include "metrics/base/error.h"
#include "train/options/options.h"

// Whether `name` can be a recipe's at all: a file name without a path.
int recipe_check(const char *name, struct error *e);

// The i-th recipe there is, as option_row.values.
int recipe_value(int i, char *text, size_t size);

// Read the file of recipe `name` into `o` as options_read_file does: in $SSLTOP_RECIPES if that is
// set, else in data/recipes beside the program, in share/ssltop/recipes of its installation, or in
// that of the prefix it was built for. An unknown name is an error that lists the known ones.
int recipe_read(struct options *o, const char *name, unsigned char *given, struct error *e);

// Set back what the recipe said (`given` of recipe_read) and nobody after it (`later`), where the
// method that was chosen in the end has no use for it.
void recipe_give_way(struct options *o, unsigned char *given, const unsigned char *later);

#endif
