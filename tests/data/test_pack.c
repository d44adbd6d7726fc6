// The packed file of a folder of images: whole, gone on with, damaged.
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "data/sets/dataset.h"
#include "data/sets/pack.h"
#include "data/photos/pictures.h"
#include "tests/kit/imageset.h"
#include "tests/kit/pictures.h"
#include "tests/kit/runs.h"
#include "tests/kit/session.h"

static int stop_early(void *context, const struct pack_progress *p)
{
    return p->done >= *(int *)context;
}

static uint8_t *content(const char *path, size_t *n)
{
    struct stat st;
    cr_assert_eq(stat(path, &st), 0, "%s", path);
    uint8_t *p = malloc((size_t)st.st_size + 1);
    FILE *f = fopen(path, "rb");
    cr_assert(p && f);
    cr_assert_eq(fread(p, 1, (size_t)st.st_size, f), (size_t)st.st_size);
    fclose(f);
    *n = (size_t)st.st_size;
    return p;
}

// Whether this process has a file or folder below `dir` open.
static int has_open(pid_t pid, const char *dir)
{
    char path[64], to[400];
    int found = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *list = opendir(path);
    for (struct dirent *d; list && !found && (d = readdir(list)) != NULL;) {
        ssize_t n = readlinkat(dirfd(list), d->d_name, to, sizeof to - 1);
        to[n > 0 ? n : 0] = '\0';
        found = strncmp(to, dir, strlen(dir)) == 0;
    }
    if (list)
        closedir(list);
    return found;
}

Test(pack, whole)
{
    char dir[64], path[160], again[160];
    struct dataset a, b;
    struct error e = {""};
    struct pack_progress made;
    imageset_make(dir, 6);
    snprintf(path, sizeof path, "%s/a.pack", dir);
    snprintf(again, sizeof again, "%s/b.pack", dir);
    cr_assert_eq(imageset_pack(dir, path, 4096, 2, &made, &e), 0, "%s", e.text);
    cr_expect(made.done == 30 && made.broken == 0 && made.resumed == 0);
    cr_assert_eq(imageset_open("images", dir, &a, &e), 0, "%s", e.text);
    cr_assert_eq(imageset_open("pack", path, &b, &e), 0, "%s", e.text);
    cr_expect(b.classes == IMAGESET_CLASSES && b.height == IMAGESET_VIEW &&
              b.split[SPLIT_TRAIN].n == 18 && b.split[SPLIT_TEST].n == 12);
    cr_expect_eq(memcmp(a.mean, b.mean, sizeof a.mean), 0);
    cr_expect_eq(
        memcmp(a.split[SPLIT_TEST].labels, b.split[SPLIT_TEST].labels, 12 * sizeof(int32_t)), 0);
    // Nothing was shrunk, so that the views are those of the files.
    float *x = imageset_load(a.split[SPLIT_TRAIN].source, 2, 3, &e),
          *y = imageset_load(b.split[SPLIT_TRAIN].source, 2, 3, &e);
    double mean = 0;
    size_t n = 2 * (size_t)IMAGESET_BATCH * 3 * IMAGESET_VIEW * IMAGESET_VIEW;
    for (size_t i = 0; i < n; i++)
        mean += fabs((double)x[i] - (double)y[i]) / (double)n;
    cr_expect_lt(mean, 0.5 / 255, "mean %g", mean);
    free(x);
    free(y);
    dataset_close(&a);
    dataset_close(&b);
    // Smaller, and the same file on one thread as on three.
    cr_assert_eq(imageset_pack(dir, path, 40, 1, &made, &e), 0, "%s", e.text);
    cr_assert_eq(imageset_pack(dir, again, 40, 3, &made, &e), 0, "%s", e.text);
    size_t n_a, n_b;
    uint8_t *p = content(path, &n_a), *q = content(again, &n_b);
    cr_expect(n_a == n_b && memcmp(p, q, n_a) == 0);
    free(p);
    free(q);
    int h, w;
    cr_assert_eq(imageset_open("pack", path, &b, &e), 0, "%s", e.text);
    dataset_size(&b, SPLIT_TRAIN, 0, &h, &w);
    cr_expect(h == 40 && w == 72, "%dx%d", w, h); // 90 x 50
    dataset_close(&b);
    scratch_remove(dir);
}

// Stopped, killed in the middle of a record, and begun with another size: the end is the same file.
Test(pack, goes_on)
{
    char dir[64], path[160], part[170], whole[160];
    struct dataset d;
    struct error e = {""};
    struct pack_progress made;
    int after = 11;
    imageset_make(dir, 6);
    snprintf(path, sizeof path, "%s/a.pack", dir);
    snprintf(part, sizeof part, "%s.part", path);
    snprintf(whole, sizeof whole, "%s/b.pack", dir);
    cr_assert_eq(imageset_pack(dir, whole, 40, 2, &made, &e), 0, "%s", e.text);
    struct pack_options o = {
        .path = path, .size = 40, .threads = 1, .tell = stop_early, .context = &after};
    cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
    cr_assert_eq(pack_write(&d, &o, &made, &e), 1, "%s", e.text);
    dataset_close(&d);
    cr_expect_eq(made.done, 11);
    cr_expect_neq(access(path, F_OK), 0);
    struct stat st;
    cr_assert_eq(stat(part, &st), 0);
    imageset_cut(part, st.st_size - 100);
    cr_assert_eq(imageset_pack(dir, path, 40, 2, &made, &e), 0, "%s", e.text);
    cr_expect_eq(made.resumed, 10);
    cr_expect_neq(access(part, F_OK), 0);
    size_t n, m;
    uint8_t *p = content(path, &n), *q = content(whole, &m);
    cr_expect(n == m && memcmp(p, q, n) == 0);
    free(p);
    free(q);
    scratch_remove(dir);
}

// A tall image without its lower end: its middle can be looked at, the whole of it cannot.
static void cut_below(const char *path)
{
    struct stat st;
    picture_jpeg(path, 400, 60, 1);
    cr_assert_eq(stat(path, &st), 0);
    imageset_cut(path, st.st_size * 9 / 10);
}

Test(pack, leaves_out_what_is_broken)
{
    char dir[64], path[160], pack_path[160];
    struct dataset d;
    struct error e = {""};
    struct pack_progress made;
    imageset_make(dir, 40);
    snprintf(pack_path, sizeof pack_path, "%s/a.pack", dir);
    snprintf(path, sizeof path, "%s/train/bee/007.jpg", dir);
    cut_below(path);
    cr_assert_eq(imageset_pack(dir, pack_path, 40, 2, &made, &e), 0, "%s", e.text);
    cr_expect_eq(made.broken, 1);
    cr_assert_eq(imageset_open("pack", pack_path, &d, &e), 0, "%s", e.text);
    cr_expect_eq(d.split[SPLIT_TRAIN].n, 119);
    dataset_close(&d);
    snprintf(path, sizeof path, "%s/train/cat/007.jpg", dir);
    cut_below(path);
    unlink(pack_path);
    cr_expect_eq(imageset_pack(dir, pack_path, 40, 2, &made, &e), -1);
    cr_expect(strstr(e.text, "2 of 120 images are broken") && strstr(e.text, "bee/007.jpg"), "%s",
              e.text);
    cr_expect_neq(access(pack_path, F_OK), 0);
    scratch_remove(dir);
}

// A JPEG that ends early, in a file of the same size; `whole`: its bytes, for mend.
static uint8_t *spoil(const char *path, size_t *n)
{
    uint8_t *whole = content(path, n), *bad = malloc(*n);
    cr_assert_not_null(bad);
    memcpy(bad, whole, *n);
    memcpy(bad + *n * 9 / 10, "\xff\xd9", 2);
    picture_write(path, bad, *n);
    free(bad);
    return whole;
}

// However often the command is said: what an earlier call left out counts, and is named.
Test(pack, broken_ones_of_earlier_calls_count)
{
    char dir[64], path[160], pack_path[160], again[160];
    struct error e = {""};
    struct pack_progress made;
    uint8_t *whole[4];
    size_t n[4];
    imageset_make(dir, 40);
    snprintf(pack_path, sizeof pack_path, "%s/a.pack", dir);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/train/bee/0%d5.jpg", dir, i);
        picture_jpeg(path, 400, 60, 1);
        whole[i] = spoil(path, &n[i]);
    }
    for (int call = 0; call < 5; call++) {
        cr_expect_eq(imageset_pack(dir, pack_path, 40, 1, &made, &e), -1, "call %d", call);
        cr_expect(strstr(e.text, "of 120 images are broken") && strstr(e.text, "bee/005.jpg: is "),
                  "call %d: %s", call, e.text);
        cr_expect_neq(access(pack_path, F_OK), 0);
    }
    // Mended: none is left out, and the file is what one call would have made.
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/train/bee/0%d5.jpg", dir, i);
        picture_write(path, whole[i], n[i]);
        free(whole[i]);
    }
    cr_assert_eq(imageset_pack(dir, pack_path, 40, 1, &made, &e), 0, "%s", e.text);
    cr_expect(made.broken == 0 && made.resumed == 45, "%d broken, %d resumed", (int)made.broken,
              (int)made.resumed);
    snprintf(again, sizeof again, "%s/b.pack", dir);
    cr_assert_eq(imageset_pack(dir, again, 40, 2, &made, &e), 0, "%s", e.text);
    uint8_t *p = content(pack_path, &n[0]), *q = content(again, &n[1]);
    cr_expect(n[0] == n[1] && memcmp(p, q, n[0]) == 0);
    free(p);
    free(q);
    scratch_remove(dir);
}

// Stopped while it looks at what is there already: that stays.
Test(pack, stops_while_it_takes_up)
{
    char dir[64], path[160], part[170];
    struct dataset d;
    struct error e = {""};
    struct pack_progress made;
    struct stat before, after;
    int stop = 11;
    imageset_make(dir, 6);
    snprintf(path, sizeof path, "%s/a.pack", dir);
    snprintf(part, sizeof part, "%s.part", path);
    struct pack_options o = {
        .path = path, .size = 40, .threads = 1, .tell = stop_early, .context = &stop};
    cr_assert_eq(imageset_open("images", dir, &d, &e), 0, "%s", e.text);
    cr_assert_eq(pack_write(&d, &o, &made, &e), 1, "%s", e.text);
    cr_assert_eq(stat(part, &before), 0);
    stop = 3;
    cr_assert_eq(pack_write(&d, &o, &made, &e), 1, "%s", e.text);
    cr_expect(made.done == 3 && made.resumed == 3, "%d", (int)made.done);
    cr_assert_eq(stat(part, &after), 0);
    cr_expect_eq(before.st_size, after.st_size);
    dataset_close(&d);
    cr_assert_eq(imageset_pack(dir, path, 40, 2, &made, &e), 0, "%s", e.text);
    cr_expect_eq(made.resumed, 11);
    scratch_remove(dir);
}

// Ended between the last byte and the new name: nothing is made twice.
Test(pack, finished_but_for_its_name)
{
    char dir[64], path[160], part[170];
    struct error e = {""};
    struct pack_progress made;
    size_t n, m;
    imageset_make(dir, 6);
    snprintf(path, sizeof path, "%s/a.pack", dir);
    snprintf(part, sizeof part, "%s.part", path);
    cr_assert_eq(imageset_pack(dir, path, 40, 2, &made, &e), 0, "%s", e.text);
    uint8_t *p = content(path, &n);
    cr_assert_eq(rename(path, part), 0);
    cr_assert_eq(imageset_pack(dir, path, 40, 2, &made, &e), 0, "%s", e.text);
    cr_expect(made.done == 30 && made.resumed == 30, "%d", (int)made.resumed);
    uint8_t *q = content(path, &m);
    cr_expect(n == m && memcmp(p, q, n) == 0);
    cr_expect_neq(access(part, F_OK), 0);
    free(p);
    free(q);
    // Of another size it is of no use.
    cr_assert_eq(rename(path, part), 0);
    cr_assert_eq(imageset_pack(dir, path, 41, 2, &made, &e), 0, "%s", e.text);
    cr_expect_eq(made.resumed, 0);
    scratch_remove(dir);
}

// A file that happens to have that name is not ours to empty.
Test(pack, somebody_elses_part)
{
    char dir[64], path[160], part[170];
    struct error e = {""};
    struct pack_progress made;
    size_t n;
    imageset_make(dir, 2);
    snprintf(path, sizeof path, "%s/a.pack", dir);
    snprintf(part, sizeof part, "%s.part", path);
    for (int k = 0; k < 2; k++) {
        const char *text = k ? "the first part of my novel" : "x";
        picture_write(part, (const uint8_t *)text, strlen(text));
        cr_assert_eq(imageset_pack(dir, path, 40, 1, &made, &e), -1);
        cr_expect(strstr(e.text, path) && strstr(e.text, "move it away"), "%s", e.text);
        uint8_t *p = content(part, &n);
        cr_expect(n == strlen(text) && memcmp(p, text, n) == 0);
        free(p);
    }
    imageset_cut(part, 0);
    cr_assert_eq(imageset_pack(dir, path, 40, 1, &made, &e), 0, "%s", e.text);
    scratch_remove(dir);
}

// What cannot become a file is refused before any work.
Test(pack, places_that_are_no_file)
{
    char dir[64], path[160], part[170];
    struct error e = {""};
    struct pack_progress made;
    imageset_make(dir, 2);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/to%d", dir, i);
        snprintf(part, sizeof part, "%s.part", path);
        cr_assert_eq(i == 0 ? mkdir(path, 0700) : symlink("to0", path), 0);
        cr_expect_eq(imageset_pack(dir, path, 40, 1, &made, &e), -1);
        cr_expect(strstr(e.text, "is a folder") && strstr(e.text, path), "%s", e.text);
        cr_expect_eq(made.done, 0);
        cr_expect_neq(access(part, F_OK), 0);
    }
    scratch_remove(dir);
}

// A pipe gets the very bytes that a file has.
Test(pack, into_a_pipe)
{
    char dir[64], path[160], to[160];
    struct error e = {""};
    struct pack_progress made;
    size_t n;
    imageset_make(dir, 2);
    snprintf(path, sizeof path, "%s/file", dir);
    snprintf(to, sizeof to, "%s/pipe", dir);
    cr_assert_eq(mkfifo(to, 0600), 0);
    int fd = open(to, O_RDWR | O_NONBLOCK);
    cr_assert_geq(fcntl(fd, F_SETPIPE_SZ, 1 << 20), 1 << 20);
    cr_assert_eq(imageset_pack(dir, path, 40, 1, &made, &e), 0, "%s", e.text);
    cr_assert_eq(imageset_pack(dir, to, 40, 1, &made, &e), 0, "%s", e.text);
    uint8_t *file = content(path, &n), *piped = malloc(n + 1);
    cr_assert(piped != NULL);
    cr_expect_eq(read(fd, piped, n + 1), (ssize_t)n);
    cr_expect_arr_eq(file, piped, n);
    close(fd);
    free(file);
    free(piped);
    scratch_remove(dir);
}

// A folder in DIR that takes long to measure, as `images:...`.
static void make_slow(char *dir, char *spec, size_t size)
{
    enum { LINKS = 600 };
    char path[160], copy[160];
    scratch_make(dir);
    snprintf(path, sizeof path, "%s/0.jpg", dir);
    picture_jpeg(path, 3000, 3000, 1);
    for (int i = 1; i < LINKS; i++) {
        snprintf(copy, sizeof copy, "%s/%d.jpg", dir, i);
        cr_assert_eq(link(path, copy), 0);
    }
    snprintf(spec, size, "images:%s", dir);
}

// Until there is something to keep, a signal ends the command as it ends any.
Test(pack, is_interrupted_while_it_opens, .timeout = 60)
{
    char dir[64], path[160], spec[100], out[100];
    int status;
    const char *ssltop = getenv("SSLTOP");
    cr_assert_not_null(ssltop, "SSLTOP is not set: make check does");
    make_slow(dir, spec, sizeof spec);
    snprintf(out, sizeof out, "%s/a.pack", dir);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        execl(ssltop, ssltop, "pack", spec, "-o", out, (char *)NULL);
        _exit(127);
    }
    while (!has_open(pid, dir))
        usleep(1000);
    cr_assert_eq(kill(pid, SIGTERM), 0);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "status %x", (unsigned)status);
    snprintf(path, sizeof path, "%s.part", out);
    cr_expect_neq(access(path, F_OK), 0);
    scratch_remove(dir);
}

Test(pack, damage)
{
    char dir[64], path[160];
    struct error e = {""};
    struct pack_progress made;
    size_t n;
    imageset_make(dir, 3);
    snprintf(path, sizeof path, "%s/a.pack", dir);
    cr_assert_eq(imageset_pack(dir, path, 40, 1, &made, &e), 0, "%s", e.text);
    uint8_t *good = content(path, &n), *bad = malloc(n);
    cr_assert_not_null(bad);
    struct pack_head h;
    memcpy(&h, good, sizeof h);
    imageset_refused("pack", "/nowhere", "/nowhere", "No such file");
    imageset_refused("pack", dir, dir, "not a file");
    static const struct {
        size_t at;
        const char *word;
    } change[] = {
        {0, "not a packed file"},
        {8, "version"},
        {40, "wrong checksum"},
        {sizeof(struct pack_head) - 20, "wrong checksum"},
    };
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        memcpy(bad, good, n);
        bad[change[i].at] ^= 0x55;
        picture_write(path, bad, n);
        imageset_refused("pack", path, path, change[i].word);
    }
    memcpy(bad, good, n);
    bad[h.index_at + 3] ^= 1;
    picture_write(path, bad, n);
    imageset_refused("pack", path, path, "damaged index");
    for (size_t size = 0; size < n; size += n / 7) {
        picture_write(path, good, size);
        imageset_refused("pack", path, path, "");
    }
    free(good);
    free(bad);
    scratch_remove(dir);
}

// A file with these classes and, of the names, `less` bytes; all its checksums hold.
static void claim_classes(const char *path, const uint8_t *good, size_t n, int32_t classes,
                          size_t less)
{
    struct pack_head h;
    uint8_t *bad = malloc(n);
    cr_assert_not_null(bad);
    memcpy(bad, good, n);
    memcpy(&h, bad, sizeof h);
    h.classes = classes;
    h.index_bytes -= less;
    h.index_crc = (uint32_t)crc32_z(0, bad + h.index_at, h.index_bytes);
    h.crc = (uint32_t)crc32_z(0, (const Bytef *)&h, offsetof(struct pack_head, crc));
    memcpy(bad, &h, sizeof h);
    picture_write(path, bad, n);
    free(bad);
}

// Classes are as many as there are names: who asks for memory for each of them relies on it.
Test(pack, classes_without_names)
{
    char dir[64], path[160];
    struct error e = {""};
    struct pack_progress made;
    struct dataset d;
    size_t n;
    imageset_make(dir, 3);
    snprintf(path, sizeof path, "%s/a.pack", dir);
    cr_assert_eq(imageset_pack(dir, path, 40, 1, &made, &e), 0, "%s", e.text);
    uint8_t *good = content(path, &n);
    claim_classes(path, good, n, IMAGESET_CLASSES, 0);
    cr_assert_eq(imageset_open("pack", path, &d, &e), 0, "%s", e.text);
    dataset_close(&d);
    claim_classes(path, good, n, 2000000000, 0);
    imageset_refused("pack", path, "2000000000 classes", "3 names");
    claim_classes(path, good, n, IMAGESET_CLASSES + 1, 0);
    imageset_refused("pack", path, "4 classes", "3 names");
    claim_classes(path, good, n, 0, 0);
    imageset_refused("pack", path, "0 classes", "3 names");
    claim_classes(path, good, n, IMAGESET_CLASSES, 1); // the last one without its end
    imageset_refused("pack", path, "3 classes", "names");
    claim_classes(path, good, n, IMAGESET_CLASSES, 12); // none
    imageset_refused("pack", path, "3 classes", "0 names");
    claim_classes(path, good, n, -1, 0);
    imageset_refused("pack", path, path, "classes");
    free(good);
    scratch_remove(dir);
}

// Whoever makes the file shorter while it is used gets an error, not a signal.
Test(pack, cut_while_it_is_used)
{
    char dir[64], path[160];
    struct dataset d;
    struct error e = {""};
    struct pack_progress made;
    imageset_make(dir, 20);
    snprintf(path, sizeof path, "%s/a.pack", dir);
    cr_assert_eq(imageset_pack(dir, path, 40, 1, &made, &e), 0, "%s", e.text);
    cr_assert_eq(imageset_open("pack", path, &d, &e), 0, "%s", e.text);
    struct pictures *s = d.split[SPLIT_TRAIN].source;
    float *view = imageset_load(s, 2, 40, &e);
    cr_assert_not_null(view, "%s", e.text);
    free(view);
    static const off_t sizes[] = {40 << 20, 4096, 1, 0}; // longer does no harm
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        imageset_cut(path, sizes[k]);
        view = imageset_load(s, 2, 40, &e);
        cr_expect_eq(view != NULL, k == 0, "cut to %ld", (long)sizes[k]);
        cr_expect(view || (strstr(e.text, path) && strstr(e.text, "has become shorter")), "%s",
                  e.text);
        free(view);
    }
    cr_expect_eq(pictures_broken(s), 0);
    dataset_close(&d);
    scratch_remove(dir);
}

// Says what takes long before there is a bar.
Test(pack, on_a_terminal, .timeout = 300)
{
    char dir[64], spec[100], out[100];
    char *argv[] = {getenv("SSLTOP"), "pack", spec, "-o", out, NULL};
    struct session s = {0};
    int status;
    cr_assert_not_null(argv[0], "SSLTOP is not set: make check does");
    make_slow(dir, spec, sizeof spec);
    snprintf(out, sizeof out, "%s/a.pack", dir);
    session_start(&s, argv);
    session_wait(&s, "reading the data");
    session_type(&s, "\003");
    status = session_finish(&s, 1);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT, "status %x", (unsigned)status);
    scratch_remove(dir);

    imageset_make(dir, 5);
    snprintf(spec, sizeof spec, "images:%s", dir);
    snprintf(out, sizeof out, "%s/a.pack", dir);
    memset(&s, 0, sizeof s);
    session_start(&s, argv);
    session_wait(&s, "27 images of images:");
    const char *text = session_text(&s);
    cr_expect_not_null(strstr(text, "[##############################] 27 / 27 images"), "%s", text);
    cr_expect_null(strstr(text, "reading"), "%s", text);
    session_end(&s);
    scratch_remove(dir);
}

Test(pack, the_command)
{
    char dir[64], words[300], said[2000], path[160];
    imageset_make(dir, 5);
    snprintf(words, sizeof words, "pack images:%s -o %s/a.pack --size 40", dir, dir);
    cr_expect_eq(imageset_command(said, sizeof said, words), 0, "%s", said);
    cr_expect_not_null(strstr(said, "27 images of images:/tmp"), "%s", said);
    cr_expect_not_null(strstr(said, "0 left out"), "%s", said);
    snprintf(words, sizeof words, "pack images:%s", dir);
    cr_expect_eq(imageset_command(said, sizeof said, words), 2, "%s", said);
    cr_expect_not_null(strstr(said, "needs -o"), "%s", said);
    snprintf(words, sizeof words, "pack images:%s -o %s/a.pack --size 0", dir, dir);
    cr_expect_eq(imageset_command(said, sizeof said, words), 2, "%s", said);
    snprintf(words, sizeof words, "pack images:%s -o %s/a.pack --threads 257", dir, dir);
    cr_expect_eq(imageset_command(said, sizeof said, words), 2, "%s", said);
    cr_expect_not_null(strstr(said, "from 1 to 256"), "%s", said);
    snprintf(words, sizeof words, "pack images:%s -o %s/a.pack --threads 256 --size 40", dir, dir);
    cr_expect_eq(imageset_command(said, sizeof said, words), 0, "%s", said);
    cr_expect_eq(imageset_command(said, sizeof said, "pack synthetic:64 -o /tmp/ssltop-never"), 1,
                 "%s", said);
    cr_expect_not_null(strstr(said, "only images:DIR"), "%s", said);
    // The list of what is broken, on its way out.
    snprintf(path, sizeof path, "%s/train/ant/001.jpg", dir);
    imageset_cut(path, 0);
    snprintf(words, sizeof words, "pack images:%s -o %s/b.pack", dir, dir);
    cr_expect_eq(imageset_command(said, sizeof said, words), 1, "%s", said);
    cr_expect_not_null(strstr(said, "train/ant/001.jpg: is empty"), "%s", said);
    scratch_remove(dir);
}
