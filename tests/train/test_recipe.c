// Recipes: their published numbers, what they leave to a person to say, and how they give way.
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gpu/net.h"
#include "tests/kit/runs.h"
#include "tests/kit/say.h"
#include "train/methods/method.h"
#include "train/options/recipe.h"

#define RECIPES  "data/recipes"
#define IMAGENET "0.485,0.456,0.406/0.229,0.224,0.225"
#define CIFAR    "0.4914,0.4822,0.4465/0.2023,0.1994,0.2010"

static const char *const names[] = {"simsiam-imagenet", "simsiam-cifar10", "byol-imagenet",
                                    "fashion-mnist",    "vicreg-imagenet", "barlow-imagenet"};
enum { RECIPE_COUNT = sizeof names / sizeof *names };

static int is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static struct options recipe(const char *name)
{
    struct options o;
    struct error e;
    setenv("SSLTOP_RECIPES", RECIPES, 1);
    options_default(&o);
    cr_assert(recipe_read(&o, name, NULL, &e) == 0, "%s", e.text);
    cr_assert(method_resolve(&o, &e) == 0, "%s: %s", name, e.text);
    return o;
}

// Numbers as published; the files say where.
Test(recipe, say_what_was_published)
{
    struct options o = recipe("simsiam-imagenet");
    cr_expect(is(o.arch, "resnet50") && is(o.stem, "imagenet") && o.width == 64 && o.zero_init);
    cr_expect(o.dim == 2048 && o.pred_dim == 512 && o.proj_layers == 3 && o.fix_pred_lr == 1);
    cr_expect(o.batch == 512 && o.lr == 0.05 && o.wd == 1e-4 && o.momentum == 0.9);
    cr_expect(o.epochs == 100 && o.warmup == 0 && is(o.optimizer, "sgd"));
    cr_expect(o.image_size == 224 && is(o.normalize, IMAGENET) && is(o.augment, "simsiam"));
    o = recipe("simsiam-cifar10");
    cr_expect(is(o.arch, "resnet18") && is(o.stem, "cifar") && o.width == 64);
    cr_expect(o.dim == 2048 && o.pred_dim == 512 && o.proj_layers == 2 && o.fix_pred_lr == 1);
    cr_expect(o.batch == 512 && o.lr == 0.03 && o.wd == 5e-4 && o.epochs == 800);
    cr_expect(o.warmup == 0 && is(o.optimizer, "sgd") && o.momentum == 0.9);
    cr_expect(is(o.normalize, CIFAR) && is(o.augment, "simsiam"));
    o = recipe("byol-imagenet");
    cr_expect(is(o.method, "byol") && is(o.arch, "resnet50") && is(o.augment, "byol"));
    cr_expect(o.dim == 256 && o.pred_dim == 4096 && o.tau == 0.99 && o.zero_init);
    cr_expect(o.batch == 4096 && o.lr == 0.6 && o.wd == 1e-6 && o.warmup == 10);
    cr_expect(is(o.optimizer, "lars") && is(o.tau_schedule, "constant") && o.fix_pred_lr == 0);
    cr_expect(o.image_size == 224 && is(o.normalize, IMAGENET) && o.momentum == 0.9);
    o = recipe("vicreg-imagenet");
    cr_expect(is(o.method, "vicreg") && is(o.arch, "resnet50") && is(o.augment, "byol"));
    cr_expect(o.dim == 8192 && o.proj_layers == 3 && o.zero_init && o.epochs == 1000);
    cr_expect(o.batch == 2048 && o.lr == 0.2 && o.wd == 1e-6 && o.warmup == 10);
    cr_expect(is(o.optimizer, "lars") && o.momentum == 0.9 && is(o.normalize, IMAGENET));
    o = recipe("barlow-imagenet");
    cr_expect(is(o.method, "barlow") && is(o.arch, "resnet50") && is(o.augment, "byol"));
    cr_expect(o.dim == 8192 && o.proj_layers == 3 && o.zero_init && o.epochs == 1000);
    cr_expect(o.batch == 2048 && o.lr == 0.2 && o.wd == 1e-6 && o.warmup == 10);
    cr_expect(is(o.optimizer, "lars") && o.momentum == 0.9 && is(o.normalize, IMAGENET));
    o = recipe("fashion-mnist");
    cr_expect(is(o.data, "fashion-mnist") && is(o.method, "simsiam") && o.width == 16);
}

Test(recipe, each_names_its_source_and_builds)
{
    setenv("SSLTOP_RECIPES", RECIPES, 1);
    for (size_t i = 0; i < RECIPE_COUNT; i++) {
        char path[256], text[4096], doc[3 * OPTION_TEXT];
        snprintf(path, sizeof path, RECIPES "/%s.ini", names[i]);
        FILE *f = fopen(path, "r");
        cr_assert(f, "%s", path);
        text[fread(text, 1, sizeof text - 1, f)] = '\0';
        fclose(f);
        cr_expect(text[0] == '#' && strstr(text, "arXiv"), "%s names no source", path);
        option_doc(option_find(options_table, "recipe"), doc, sizeof doc);
        cr_expect(strstr(doc, names[i]), "--help does not name %s", names[i]);
        struct options o = recipe(names[i]);
        struct net net;
        struct error e;
        cr_assert(method_build(&o, 3, 64, 64, &net, &e) == 0, "%s", e.text);
        net_free(&net);
    }
}

Test(recipe, the_command_line_wins)
{
    struct options o;
    struct error e;
    unsigned char given[256] = {0};
    char *argv[] = {"train", "--lr", "0.1", "--recipe=byol-imagenet", "--no-zero-init", NULL};
    cr_assert(options_count <= sizeof given);
    setenv("SSLTOP_RECIPES", RECIPES, 1);
    cr_assert(options_parse(&o, NULL, 5, argv, given, &e) == 0, "%s", e.text);
    cr_expect(o.lr == 0.1 && !o.zero_init && o.epochs == 100 && is(o.method, "byol"));
    cr_expect(given[option_find(options_table, "epochs") - options_table] &&
              given[option_find(options_table, "lr") - options_table]);
    cr_expect(!given[option_find(options_table, "subset") - options_table]);
}

Test(recipe, refuses_with_the_known_names)
{
    static const struct {
        const char *name, *because;
    } bad[] = {
        {"mocov3", "there are barlow-imagenet, byol-imagenet, fashion-mnist, simsiam-cifar10, "
                   "simsiam-imagenet or "
                   "vicreg-imagenet"},
        {"../recipes/fashion-mnist", "--config"},
        {"fashion-mnist.ini", "--config"},
    };
    setenv("SSLTOP_RECIPES", RECIPES, 1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct options o;
        struct error e;
        options_default(&o);
        cr_assert(recipe_read(&o, bad[i].name, NULL, &e) == -1);
        cr_expect(strstr(e.text, bad[i].because), "%s", e.text);
    }
    struct options o;
    struct error e;
    setenv("SSLTOP_RECIPES", "/does/not/exist", 1);
    options_default(&o);
    cr_assert(recipe_read(&o, "fashion-mnist", NULL, &e) == -1);
    cr_expect(strstr(e.text, "/does/not/exist"), "%s", e.text);
}

// Rows of `read` that `path` (a recipe) names must have its values.
static void expect_recipe(const struct options *read, const char *name)
{
    unsigned char named[256] = {0};
    struct options o;
    struct error e;
    char want[OPTION_TEXT], got[OPTION_TEXT];
    setenv("SSLTOP_RECIPES", RECIPES, 1);
    options_default(&o);
    cr_assert(recipe_read(&o, name, named, &e) == 0, "%s", e.text);
    for (size_t i = 0; i < options_count; i++) {
        option_value(&options_table[i], &o, want, sizeof want);
        option_value(&options_table[i], read, got, sizeof got);
        if (named[i])
            cr_expect_str_eq(got, want, "%s of %s is %s, not %s", options_table[i].name, name, got,
                             want);
    }
}

static void read_back(struct options *o, const char *text)
{
    char path[] = "/tmp/ssltop-recipe-XXXXXX";
    struct error e = {""};
    int fd = mkstemp(path);
    size_t n = strlen(text);
    cr_assert(fd >= 0 && write(fd, text, n) == (ssize_t)n);
    close(fd);
    char *argv[] = {"train", "--config", path, NULL};
    int rc = options_parse(o, NULL, 3, argv, NULL, &e);
    unlink(path);
    cr_assert(rc == 0, "%s:\n%s", e.text, text);
}

// Nothing is opened: neither data nor a device need be there, and hardly any memory.
Test(recipe, prints_without_data_device_or_memory)
{
    setenv("SSLTOP_RECIPES", RECIPES, 1);
    for (size_t i = 0; i < RECIPE_COUNT; i++) {
        struct said plain = SAY("train", "--recipe", names[i], "--print-config"),
                    absent = SAY("train", "--recipe", names[i], "--print-config", "--data",
                                 "images:/nowhere", "--device", "cuda:99", "--runs", "/nowhere");
        struct options o;
        cr_assert(plain.code == 0 && !*plain.err, "%s", plain.err);
        read_back(&o, plain.out);
        expect_recipe(&o, names[i]);
        cr_expect(o.lr >= 0 && o.wd >= 0 && o.fix_pred_lr >= 0 && !is(o.augment, "auto"));
        cr_assert(absent.code == 0 && !*absent.err, "%s", absent.err);
        read_back(&o, absent.out);
        cr_expect_str_eq(o.data, "images:/nowhere");
        cr_expect_str_eq(o.device, "cuda:99");
        said_free(&plain);
        said_free(&absent);
    }
#ifndef __SANITIZE_ADDRESS__
    struct rlimit was, least = {(rlim_t)2 << 30, RLIM_INFINITY};
    cr_assert(getrlimit(RLIMIT_AS, &was) == 0);
    least.rlim_max = was.rlim_max;
    cr_assert(setrlimit(RLIMIT_AS, &least) == 0);
    struct said s = SAY("train", "--recipe", "byol-imagenet", "--print-config");
    cr_expect(s.code == 0 && strstr(s.out, "\nbatch = 4096\n"), "%s", s.err);
    said_free(&s);
    cr_assert(setrlimit(RLIMIT_AS, &was) == 0);
#endif
}

// What only data or a device can tell says auto, and what that means.
Test(recipe, prints_what_auto_means)
{
    setenv("SSLTOP_RECIPES", RECIPES, 1);
    struct said s = SAY("train", "--recipe", "simsiam-cifar10", "--print-config");
    const char *last = s.out;
    for (const char *line = s.out; *line; last = line, line = strchr(line, '\n') + 1) {
        size_t n = strcspn(line, "\n");
        if (n > 7 && !strncmp(line + n - 7, " = auto", 7))
            cr_expect(!strncmp(last, "# auto: ", 8), "%.*s is not explained", (int)n, line);
    }
    cr_expect(strstr(s.out, "\n# auto: one epoch.\neval-every = auto\n"), "%s", s.out);
    cr_expect(strstr(s.out, "\n# auto: f32, or bf16 where it trains") &&
                  strstr(s.out, "\nprecision = auto\n"),
              "%s", s.out);
    cr_expect(strstr(s.out, "\nlr = 0.03\n") && strstr(s.out, "\ntau = auto\n"), "%s", s.out);
    cr_expect(strstr(s.out, "--data cifar10:DIR"), "%s", s.out);
    said_free(&s);
    s = SAY("train", "--print-config", "--lr", "2");
    cr_expect(s.code == 0 && strstr(s.out, "\nlr = 2\n") && strstr(s.out, "\nwd = 0.0005\n") &&
                  strstr(s.out, "\ndata = fashion-mnist\n"),
              "%s", s.out);
    said_free(&s);
}

// Words that name nothing are refused, as for a training.
Test(recipe, prints_nothing_that_cannot_be)
{
    static const char *const bad[][2] = {
        {"--arch", "vgg"},         {"--method", "moco"}, {"--augment", "none2"},
        {"--guard", "beauty > 1"}, {"--tau", "0.5"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct said s = SAY("train", "--print-config", bad[i][0], bad[i][1]);
        cr_expect(s.code == 2 && !*s.out && *s.err, "%s: %s", bad[i][0], s.out);
        said_free(&s);
    }
}

// A recipe for other data than the default's never trains on those in silence.
Test(recipe, asks_for_its_data)
{
    static const char *const wants[RECIPE_COUNT] = {
        "recipe simsiam-imagenet does not say where the data are: --data images:DIR",
        "recipe simsiam-cifar10 does not say where the data are: --data cifar10:DIR",
        "recipe byol-imagenet does not say where the data are: --data images:DIR",
        NULL,
        "recipe vicreg-imagenet does not say where the data are: --data images:DIR",
        "recipe barlow-imagenet does not say where the data are: --data images:DIR"};
    struct lab lab;
    setenv("SSLTOP_RECIPES", RECIPES, 1);
    lab_open(&lab);
    for (size_t i = 0; i < RECIPE_COUNT; i++) {
        struct options o;
        struct said printed = SAY("train", "--recipe", names[i], "--print-config");
        read_back(&o, printed.out);
        said_free(&printed);
        if (!wants[i]) {
            cr_expect_str_eq(o.data, "fashion-mnist");
            continue;
        }
        cr_expect_eq(RUN(&lab, "--recipe", names[i], "--name", "x"), 2);
        char *text = lab_text(lab.out);
        cr_expect(strstr(text, wants[i]), "%s", text);
        free(text);
        cr_expect(!lab_exists(&lab, "x"));
        // What was printed asks for them too.
        char data[OPTION_TEXT];
        snprintf(data, sizeof data, "%s", o.data);
        cr_expect_eq(RUN(&lab, "--data", data, "--name", "x"), 2);
        text = lab_text(lab.out);
        cr_expect(strstr(text, "--data images:DIR") || strstr(text, "--data cifar10:DIR"), "%s",
                  text);
        free(text);
    }
    cr_expect_eq(RUN(&lab, "--recipe", "simsiam-cifar10", "--data", "synthetic:64:32", "--width",
                     "4", "--batch", "8", "--threads", "1", "--dry-run"),
                 0, "%s", lab_text(lab.out));
    // Three numbers for three channels are the recipe's; gray images need one.
    cr_expect_eq(RUN(&lab, "--recipe", "simsiam-cifar10", TINY, "--dry-run"), 2);
    char *text = lab_text(lab.out);
    cr_expect(strstr(text, "--normalize '" CIFAR "'"), "%s", text);
    free(text);
    lab_close(&lab);
}

static struct options parse(char **word, struct error *e, int *rc)
{
    struct options o;
    char *argv[16] = {"train"};
    int argc = 1;
    setenv("SSLTOP_RECIPES", RECIPES, 1);
    for (; word[argc - 1]; argc++)
        argv[argc] = word[argc - 1];
    cr_assert(options_parse(&o, NULL, argc, argv, NULL, e) == 0, "%s", e->text);
    *rc = method_resolve(&o, e);
    return o;
}
#define PARSE(...) parse((char *[]){__VA_ARGS__, NULL}, &e, &rc)

// Each value can be overridden, the method too: what it then has no use for gives way, unless a
// person said it.
Test(recipe, gives_way_to_another_method)
{
    struct error e = {""};
    int rc;
    struct options o = PARSE("--recipe", "byol-imagenet", "--method", "simsiam");
    cr_expect(rc == 0, "%s", e.text);
    cr_expect(o.tau == -1 && o.lr == 0.6 && is(o.optimizer, "lars") && o.zero_init);
    o = PARSE("--recipe", "fashion-mnist", "--method", "byol");
    cr_expect(rc == 0, "%s", e.text);
    cr_expect(o.proj_layers == 0 && o.tau == 0.99 && o.width == 16);
    o = PARSE("--recipe", "byol-imagenet", "--method", "simsiam", "--tau", "0.9");
    cr_expect(rc == -1 && strstr(e.text, "no target"), "%s", e.text);
    o = PARSE("--recipe", "fashion-mnist", "--proj-layers", "3", "--method", "byol");
    cr_expect(rc == -1 && strstr(e.text, "has 2"), "%s", e.text);
    o = PARSE("--recipe", "simsiam-imagenet");
    cr_expect(rc == 0 && o.proj_layers == 3, "%s", e.text);
}
