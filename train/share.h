// Where the files lie that come with the program: recipes, calibrations.
#ifndef SSLTOP_TRAIN_SHARE_H
#define SSLTOP_TRAIN_SHARE_H

enum { SHARE_FOLDERS = 3, SHARE_PATH = 4200 };

// The folders to look for files of a kind ("recipes") in, in this order: only the one that the
// environment variable names, if it is set; else data/KIND beside the program,
// ../share/ssltop/KIND of its installation, and share/ssltop/KIND of the prefix it was built for.
// Their number.
int share_folders(const char *variable, const char *kind, char folder[SHARE_FOLDERS][SHARE_PATH]);

#endif
