// The tables of the manual, printed as mdoc from the program's own rows, so that a page can't say
// what the program does not do.
#ifndef SSLTOP_MAN_TABLES_H
#define SSLTOP_MAN_TABLES_H

#include <stdio.h>

#include "metrics/base/error.h"

// Copy a page, replacing what stands between each pair of lines
//     .\" table NAME
//     .\" end NAME
// by the table of that name. -1 with the line when a name is unknown or a pair is not whole.
int man_fill(FILE *in, FILE *out, struct error *e);

// The name of table i, or NULL after the last.
const char *man_table_name(int i);

#endif
