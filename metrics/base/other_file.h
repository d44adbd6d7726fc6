// What people hand in where another file was meant, told by how it begins: for readers to say when
// what they expect is not there.
#ifndef SSLTOP_METRICS_BASE_OTHER_FILE_H
#define SSLTOP_METRICS_BASE_OTHER_FILE_H

#include <stddef.h>

enum { OTHER_FILE_HEAD = 64 }; // bytes that tell most of them

// What a file is whose first n bytes are these, as the rest of a sentence ("is a web page, ..."),
// or NULL: that is not known. Not for who reads text or JSON, which are called by these names, too.
const char *other_file(const void *head, size_t n);

// Of a file that is there, with its name, as an error; 0: nothing is known.
struct error;
int other_file_refused(const char *path, struct error *e);

extern const char other_file_torch[]; // which other_file returned: of torch.save
extern const char other_file_text[];  // text that is nothing of the others
extern const char other_file_json[];

#endif
