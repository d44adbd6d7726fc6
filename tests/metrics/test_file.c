// Outputs: whole or not there, whatever stands under the name and whatever goes wrong.
#include "metrics/base/file.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char home[64];

static void enter(void)
{
    strcpy(home, "/tmp/ssltop-file-XXXXXX");
    cr_assert(mkdtemp(home) && chdir(home) == 0);
    umask(022);
    signal(SIGXFSZ, SIG_IGN);
}

// How many names there are.
static int names(const char *folder)
{
    int n = 0;
    DIR *d = opendir(folder);
    cr_assert(d != NULL);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static void leave(void)
{
    cr_assert(chdir("/") == 0);
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", home);
    cr_assert(system(command) == 0);
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void has(const char *path, const char *text)
{
    char got[256] = "";
    FILE *f = fopen(path, "r");
    cr_assert(f != NULL, "%s", path);
    got[fread(got, 1, sizeof got - 1, f)] = '\0';
    fclose(f);
    cr_assert_str_eq(got, text, "%s", path);
}

static mode_t mode(const char *path)
{
    struct stat st;
    cr_assert(lstat(path, &st) == 0, "%s", path);
    return st.st_mode;
}

// Written whole, or begun and given up.
static int write_text(const char *path, unsigned flags, const char *text, int rc)
{
    struct error e = {""};
    struct file f;
    if (file_create(&f, path, flags, &e) < 0)
        return -1;
    cr_assert(fputs(text, f.stream) >= 0);
    rc = file_finish(&f, rc, &e);
    cr_assert(rc == 0 || e.text[0] || rc == -7);
    return rc;
}

// What a refusal says.
static void refuses(const char *path, unsigned flags, const char *why)
{
    struct error e = {""};
    struct file f;
    cr_assert(file_create(&f, path, flags, &e) == -1, "%s", path);
    cr_assert(strstr(e.text, why) != NULL, "%s", e.text);
}

Test(file, whole_or_not_there, .init = enter, .fini = leave)
{
    static const unsigned flags[] = {0, FILE_DURABLE, FILE_PRIVATE, FILE_DURABLE | FILE_PRIVATE};
    for (int i = 0; i < 16; i++) {
        int there = i & 1, fails = i >> 1 & 1;
        struct error e = {""};
        struct file f;
        unlink("x");
        if (there)
            put("x", "old");
        cr_assert(file_create(&f, "x", flags[i >> 2], &e) == 0, "%s", e.text);
        cr_assert(fputs("new", f.stream) >= 0 && file_sync(&f, &e) == 0);
        if (there)
            has("x", "old");
        cr_assert_eq(access("x", F_OK), there ? 0 : -1, "nobody finds half a file");
        cr_assert_eq(file_finish(&f, fails ? -7 : 0, &e), fails ? -7 : 0);
        cr_assert_eq(names("."), there || !fails, "nothing stays behind");
        if (there || !fails)
            has("x", fails ? "old" : "new");
    }
}

Test(file, modes, .init = enter, .fini = leave)
{
    cr_assert(write_text("new", 0, "1", 0) == 0 && write_text("own", FILE_PRIVATE, "1", 0) == 0);
    cr_assert_eq(mode("new") & 07777, 0644);
    cr_assert_eq(mode("own") & 07777, 0600);
    static const mode_t kept[] = {0600, 0640, 0664, 0755, 0222};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        cr_assert(chmod("new", kept[i]) == 0 && write_text("new", 0, "2", 0) == 0);
        cr_assert_eq(mode("new") & 07777, kept[i]);
    }
    chmod("new", 0444);
    if (geteuid())
        refuses("new", 0, strerror(EACCES));
    else
        cr_assert(write_text("new", 0, "3", 0) == 0);
}

Test(file, links_are_followed_and_stay, .init = enter, .fini = leave)
{
    cr_assert(mkdir("a", 0755) == 0 && mkdir("b", 0755) == 0);
    put("b/real", "old");
    cr_assert(symlink("../b/real", "a/near") == 0 && symlink("a/near", "far") == 0);
    cr_assert(symlink("b/later", "dangling") == 0 && symlink("loop", "loop") == 0);
    cr_assert(write_text("far", FILE_DURABLE, "new", 0) == 0);
    cr_assert(S_ISLNK(mode("far")) && S_ISLNK(mode("a/near")));
    has("b/real", "new");
    cr_assert(write_text("dangling", 0, "here", 0) == 0 && S_ISLNK(mode("dangling")));
    has("b/later", "here");
    refuses("loop", 0, strerror(ELOOP));
    refuses("dangling", FILE_NEW, "exists");
    cr_assert_eq(names("a"), 1);
    cr_assert_eq(names("b"), 2);
}

Test(file, what_is_no_file_is_written_as_it_is, .init = enter, .fini = leave)
{
    char got[16] = "";
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "socket"};
    cr_assert(mkfifo("pipe", 0600) == 0);
    int reader = open("pipe", O_RDONLY | O_NONBLOCK);
    cr_assert(write_text("pipe", FILE_DURABLE, "through", 0) == 0 && S_ISFIFO(mode("pipe")));
    cr_assert(read(reader, got, sizeof got) == 7 && !strcmp(got, "through"));
    cr_assert(symlink("pipe", "link") == 0 && write_text("link", 0, "again", 0) == 0);
    cr_assert(S_ISLNK(mode("link")) && S_ISFIFO(mode("pipe")));
    refuses("pipe", FILE_NEW, "exists");
    close(reader);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert(bind(s, (struct sockaddr *)&a, sizeof a) == 0);
    refuses("socket", 0, "socket is a socket");
    refuses(".", 0, "is a folder");
    refuses("no/such", 0, strerror(ENOENT));
    close(s);
    cr_assert_eq(names("."), 3);
}

// Nodes of our own where that is allowed: a test must not cost the machine its own.
Test(file, a_device_stays_a_device, .init = enter, .fini = leave)
{
    if (mknod("null", S_IFCHR | 0666, makedev(1, 3)) ||
        mknod("full", S_IFCHR | 0666, makedev(1, 7)))
        cr_skip_test("no devices can be made here");
    int fd = open("null", O_WRONLY);
    if (fd < 0)
        cr_skip_test("devices can't be opened here");
    close(fd);
    struct error e = {""};
    struct file f;
    cr_assert(write_text("null", FILE_DURABLE, "gone", 0) == 0 && S_ISCHR(mode("null")));
    cr_assert(file_create(&f, "full", FILE_DURABLE, &e) == 0);
    fputs("too much", f.stream);
    cr_assert(file_finish(&f, 0, &e) == -1 && strstr(e.text, strerror(ENOSPC)), "%s", e.text);
    cr_assert(S_ISCHR(mode("full")));
    cr_assert_eq(names("."), 2);
}

// With a file size limit, however late it strikes.
Test(file, a_file_too_large_is_said_and_leaves_nothing, .init = enter, .fini = leave)
{
    struct rlimit small = {100000, RLIM_INFINITY};
    put("x", "old");
    cr_assert(setrlimit(RLIMIT_FSIZE, &small) == 0);
    for (int size = 99000; size < 110000; size += 997) {
        struct error e = {""};
        struct file f;
        cr_assert(file_create(&f, "x", 0, &e) == 0);
        for (int i = 0; i < size; i++)
            fputc('x', f.stream);
        int rc = file_finish(&f, 0, &e);
        cr_assert_eq(rc, size > 100000 ? -1 : 0);
        cr_assert(rc == 0 || strstr(e.text, strerror(EFBIG)), "%s", e.text);
        cr_assert_eq(names("."), 1);
    }
}

// It is not the output's fault then.
Test(file, what_is_made_elsewhere_first_says_so, .init = enter, .fini = leave)
{
    struct error e = {""};
    struct file f;
    struct rlimit none = {0, RLIM_INFINITY};
    cr_assert(setenv("TMPDIR", "/nowhere", 1) == 0);
    refuses("/dev/null", FILE_ANYWHERE, "can't write /dev/null, which is made in /nowhere first: ");
    cr_assert(setenv("TMPDIR", home, 1) == 0 &&
              write_text("/dev/null", FILE_ANYWHERE, "x", 0) == 0);
    cr_assert(file_create(&f, "/dev/null", FILE_ANYWHERE, &e) == 0, "%s", e.text);
    cr_assert(fputs("lost", f.stream) >= 0 && setrlimit(RLIMIT_FSIZE, &none) == 0);
    cr_assert(file_finish(&f, 0, &e) == -1 && strstr(e.text, "first: File too large"), "%s",
              e.text);
    cr_assert_eq(names("."), 0);
}

// An earlier failure counts, even where the last bytes found room.
Test(file, a_failure_on_the_way_is_not_forgotten, .init = enter, .fini = leave)
{
    struct rlimit none = {0, RLIM_INFINITY}, any = {RLIM_INFINITY, RLIM_INFINITY};
    struct error e = {""};
    struct file f;
    cr_assert(file_create(&f, "x", 0, &e) == 0 && setrlimit(RLIMIT_FSIZE, &none) == 0);
    cr_assert(fputs("lost", f.stream) >= 0 && fflush(f.stream) != 0);
    cr_assert(setrlimit(RLIMIT_FSIZE, &any) == 0);
    cr_assert(file_finish(&f, 0, &e) == -1 && e.text[0]);
    cr_assert_eq(names("."), 0);
}

Test(file, new_is_never_over_what_is_there, .init = enter, .fini = leave)
{
    struct error e = {""};
    struct file f;
    put("x", "theirs");
    refuses("x", FILE_NEW, "exists");
    for (unsigned more = 0; more <= FILE_RESUME; more += FILE_RESUME) {
        cr_assert(file_create(&f, "y", FILE_NEW | more, &e) == 0);
        fputs("ours", f.stream);
        put("y", "theirs");
        cr_assert(file_finish(&f, 0, &e) == -1 && strstr(e.text, strerror(EEXIST)), "%s", e.text);
        has("y", "theirs");
        unlink("y");
        cr_assert(write_text("y", FILE_NEW | more, "", 0) == 0);
        unlink("y");
    }
    cr_assert_eq(names("."), 1);
}

Test(file, one_at_a_time_works_on_what_is_resumed, .init = enter, .fini = leave)
{
    struct error e = {""};
    struct file f;
    cr_assert_eq(write_text("x", FILE_RESUME, "half", -7), -7);
    has("x.part", "half");
    cr_assert(file_create(&f, "x", FILE_RESUME, &e) == 0);
    refuses("x", FILE_RESUME, "is being written by another process");
    cr_assert(fseek(f.stream, 0, SEEK_END) == 0 && fputs(", whole", f.stream) >= 0);
    cr_assert(file_finish(&f, 0, &e) == 0, "%s", e.text);
    has("x", "half, whole");
    cr_assert(symlink("x", "y.part") == 0 && mkfifo("z.part", 0600) == 0);
    refuses("y", FILE_RESUME, "can't write y: y.part is a link");
    refuses("z", FILE_RESUME, "not a file");
    has("x", "half, whole");
    cr_assert_eq(names("."), 3);
}

// As on file systems that have no files without a name. 0: that can't be had here.
static int forget_nameless(void)
{
    enum { NAMELESS = O_TMPFILE & ~O_DIRECTORY };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NAMELESS, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0 &&
           open(".", O_TMPFILE | O_RDWR, 0600) < 0 && errno == EOPNOTSUPP;
}

Test(file, what_is_called_part_is_somebodys_own, .init = enter, .fini = leave)
{
    struct error e = {""};
    struct file f, second;
    if (!forget_nameless())
        cr_skip_test("no system call can be filtered here");
    put("x.part", "theirs");
    cr_assert(symlink("x.part", "y.part") == 0);
    cr_assert(write_text("x", FILE_DURABLE, "old", 0) == 0 && write_text("y", 0, "1", 0) == 0);
    has("x", "old");
    cr_assert_eq(write_text("x", 0, "lost", -7), -7);
    cr_assert(file_create(&f, "x", 0, &e) == 0 && file_create(&second, "x", FILE_DURABLE, &e) == 0);
    fputs("one", f.stream);
    fputs("two", second.stream);
    cr_assert(file_finish(&second, 0, &e) == 0 && file_finish(&f, 0, &e) == 0, "%s", e.text);
    has("x", "one");
    has("x.part", "theirs");
    refuses("x", FILE_NEW, "exists");
    refuses("no/such", 0, "can't write no/such: ");
    cr_assert_eq(names("."), 4);
}

// Two work on the same name all the time. Between opening the file in the making and locking it the
// other may have finished it: then it is no more one's own to write, and what is finished stays.
Test(file, one_that_is_finished_meanwhile_is_left_alone, .init = enter, .fini = leave)
{
    pid_t pid = fork();
    for (int i = 0; i < 300; i++) {
        struct error e = {""};
        struct file f;
        char got[8] = "";
        if (file_create(&f, "x", FILE_RESUME, &e) < 0)
            continue;
        cr_assert(read(fileno(f.stream), got, sizeof got) == 0, "a new one is empty");
        fputs("whole", f.stream);
        cr_assert(file_finish(&f, 0, &e) == 0, "%s", e.text);
        has("x", "whole");
    }
    if (pid == 0)
        _exit(0);
    int status;
    cr_assert(waitpid(pid, &status, 0) == pid && status == 0);
    cr_assert_eq(names("."), 1);
}

// A file that is mounted alone, as containers do: nothing takes its place, so it is written over.
Test(file, mounted_alone_is_written_over, .init = enter, .fini = leave)
{
    static const unsigned flags[] = {0, FILE_DURABLE, FILE_RESUME | FILE_ANYWHERE};
    put("real", "old, and longer than the new");
    put("x", "");
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("real", "x", NULL, MS_BIND, NULL) != 0)
        cr_skip_test("nothing can be mounted here");
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        cr_expect_eq(write_text("x", flags[i], "new", -7), -7);
        unlink("x.part");
        cr_expect_eq(write_text("x", flags[i], "new", 0), 0);
        has("x", "new");
        put("real", "old, and longer than the new");
    }
    refuses("x", FILE_NEW, "exists");
    cr_assert_eq(names("."), 2);
    umount("x");
}

// Written over only where there is room: a full disk leaves what was there.
Test(file, mounted_alone_on_a_full_disk_stays, .init = enter, .fini = leave)
{
    struct error e = {""};
    struct file f;
    put("x", "");
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mkdir("small", 0700) != 0 || mount("none", "small", "tmpfs", 0, "size=64k") != 0)
        cr_skip_test("nothing can be mounted here");
    put("small/real", "old");
    cr_assert(mount("small/real", "x", NULL, MS_BIND, NULL) == 0);
    cr_assert(file_create(&f, "x", FILE_DURABLE, &e) == 0, "%s", e.text);
    for (int i = 0; i < 100000; i++)
        fputc('x', f.stream);
    cr_expect(file_finish(&f, 0, &e) == -1 && strstr(e.text, strerror(ENOSPC)), "%s", e.text);
    has("x", "old");
    cr_assert(umount("x") == 0 && umount("small") == 0 && rmdir("small") == 0);
    cr_assert_eq(names("."), 1);
}

// One that may be written, in a folder that may not.
Test(file, in_a_folder_of_others_is_written_over, .init = enter, .fini = leave)
{
    struct error e = {""};
    struct file f;
    cr_assert(mkdir("theirs", 0755) == 0 && mkdir("sticky", 0777) == 0);
    put("theirs/x", "old, and longer than the new");
    put("sticky/x", "old, and longer than the new");
    cr_assert(chmod("theirs/x", 0666) == 0 && chmod("sticky/x", 0666) == 0);
    cr_assert(chmod("sticky", 01777) == 0 && chmod(".", 0755) == 0);
    if (geteuid() || setegid(65534) || seteuid(65534))
        cr_skip_test("only root can be another");
    cr_expect_eq(write_text("theirs/x", FILE_DURABLE, "new", -7), -7);
    has("theirs/x", "old, and longer than the new");
    cr_assert(file_create(&f, "theirs/x", FILE_DURABLE, &e) == 0, "%s", e.text);
    cr_assert(fputs("new", f.stream) >= 0 && file_sync(&f, &e) == 0);
    has("theirs/x", "old, and longer than the new");
    cr_expect(file_finish(&f, 0, &e) == 0, "%s", e.text);
    cr_expect_eq(write_text("sticky/x", 0, "new", 0), 0);
    has("theirs/x", "new");
    has("sticky/x", "new");
    refuses("theirs/y", 0, strerror(EACCES));
    cr_assert(seteuid(0) == 0 && setegid(0) == 0);
    cr_assert(names("theirs") == 1 && names("sticky") == 1);
}

enum { REPLACED = 200 };

static void *replace(void *name)
{
    char got[8] = "";
    for (int i = 0; i < REPLACED; i++) {
        struct error e = {""};
        struct file f;
        if (file_create(&f, name, 0, &e) < 0 || fputs(name, f.stream) < 0 ||
            file_finish(&f, 0, &e) < 0)
            return "can't be written";
        FILE *in = fopen(name, "r");
        got[in ? fread(got, 1, sizeof got - 1, in) : 0] = '\0';
        if (in)
            fclose(in);
        if (strcmp(got, name) != 0)
            return "is another file";
    }
    return NULL;
}

// As the trainer does the best checkpoint while its writer does the way to the socket.
Test(file, threads_replace_files_of_one_folder, .init = enter, .fini = leave)
{
    static char name[2][8] = {"one", "two"};
    pthread_t thread[2];
    void *what;
    for (int i = 0; i < 2; i++) {
        put(name[i], name[i]);
        cr_assert(pthread_create(&thread[i], NULL, replace, name[i]) == 0);
    }
    for (int i = 0; i < 2; i++) {
        cr_assert(pthread_join(thread[i], &what) == 0);
        cr_expect(what == NULL, "%s %s", name[i], (char *)what);
    }
    cr_assert_eq(names("."), 2);
}

// Also where the name has no room for anything added to it.
Test(file, long_names, .init = enter, .fini = leave)
{
    char name[NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[NAME_MAX] = '\0';
    cr_assert(write_text(name, 0, "1", 0) == 0 && write_text(name, 0, "2", 0) == 0);
    has(name, "2");
    name[NAME_MAX] = 'n';
    name[NAME_MAX + 1] = '\0';
    refuses(name, 0, strerror(ENAMETOOLONG));
    cr_assert_eq(names("."), 1);
}

// What others wrote there before and after stays.
Test(file, standard_output, .init = enter, .fini = leave)
{
    static const char *const name[] = {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"};
    cr_assert(symlink("/dev/stdout", "link") == 0);
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        put("out", "before ");
        pid_t pid = fork();
        if (pid == 0) {
            int fd = open("out", O_WRONLY | O_APPEND);
            dup2(fd, STDOUT_FILENO);
            printf("printed ");
            int rc = write_text(name[i], FILE_DURABLE, "written ", 0);
            printf("after");
            _exit(fflush(stdout) == 0 && rc == 0 ? 0 : 1);
        }
        int status;
        cr_assert(waitpid(pid, &status, 0) == pid && status == 0, "%s", name[i]);
        has("out", "before printed written after");
    }
    cr_assert(file_is_standard("-") && !file_is_standard("./-") &&
              !file_is_standard("/dev/stderr"));
    cr_assert_eq(names("."), 2);
}

Test(file, an_output_is_none_of_the_inputs, .init = enter, .fini = leave)
{
    struct error e = {""};
    put("in", "1");
    put("other", "1");
    cr_assert(link("in", "hard") == 0 && symlink("in", "soft") == 0);
    static const char *const same[] = {"in", "./in", "hard", "soft"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        for (size_t k = 0; k < sizeof same / sizeof *same; k++)
            cr_assert_eq(file_distinct(same[i], same[k], &e), -1, "%s %s", same[i], same[k]);
    cr_assert(strstr(e.text, "is what is read") != NULL);
    cr_assert(file_distinct("other", "in", &e) == 0 && file_distinct("new", "in", &e) == 0);
    cr_assert(file_distinct("in", "new", &e) == 0 &&
              file_distinct("/dev/null", "/dev/null", &e) == 0);
}

// Of what is not there yet, too.
Test(file, two_outputs_are_two_files, .init = enter, .fini = leave)
{
    struct error e = {""};
    put("there", "1");
    cr_assert(mkdir("folder", 0700) == 0 && mkfifo("pipe", 0600) == 0);
    cr_assert(symlink("new", "soft") == 0 && symlink("../new", "folder/soft") == 0);
    static const char *const one[][2] = {
        {"there", "./there"}, {"new", "./new"},          {"new", "soft"},  {"folder/soft", "new"},
        {"-", "/dev/stdout"}, {"folder/x", "folder//x"}, {"pipe", "pipe"},
    };
    for (size_t i = 0; i < sizeof one / sizeof *one; i++)
        cr_expect(file_apart(one[i][0], one[i][1], &e) == -1 && strstr(e.text, "are one file"),
                  "%s %s", one[i][0], one[i][1]);
    static const char *const two[][2] = {
        {"there", "new"}, {"new", "newer"}, {"new", "folder/new"},      {"-", "new"},
        {"-", "./-"},     {"there", "-"},   {"/dev/null", "/dev/null"},
    };
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        cr_expect(file_apart(two[i][0], two[i][1], &e) == 0, "%s %s", two[i][0], two[i][1]);
}

Test(file, is_read_and_written_at_an_offset, .init = enter, .fini = leave)
{
    char bytes[16] = "";
    put("f", "0123456789");
    int fd = open("f", O_RDWR | O_CLOEXEC);
    cr_assert_eq(file_read_at(fd, bytes, 4, 3), 4);
    cr_assert_str_eq(bytes, "3456");
    errno = EIO;
    cr_assert(file_read_at(fd, bytes, sizeof bytes, 8) == 2 && errno == 0); // it ends there
    cr_assert_eq(file_write_at(fd, "abc", 3, 9), 3);
    has("f", "012345678abc");
    close(fd);
    cr_assert(file_read_at(fd, bytes, 1, 0) == 0 && errno == EBADF);
    cr_assert(file_write_at(fd, bytes, 1, 0) == 0 && errno == EBADF);
}
