#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/cli/options.h"

struct shared_args {
    const char *proxy;
    bool insecure;
};

struct test_args {
    struct vf_common_args common;
    const char *name;
    const char **tags, **powers;
    unsigned threads;
    int format, dry_run;
    const char *bus;
    bool overwrite, quiet;
    struct shared_args shared;
};

static const char *const formats[] = {"auto", "raw", "qcow2", NULL};
static const char *const powers[] = {"on", "off", NULL};
static const char *const dry_runs[] = {"none", "client", "server", NULL};
static const char *const buses[] = {"virtio", "sata", NULL};

static const struct vf_option options[] = {
    {.name = "name",
     .letter = 'n',
     .kind = VF_OPTION_STRING,
     .value = "NAME",
     .offset = offsetof(struct test_args, name)},
    {.name = "tag",
     .kind = VF_OPTION_LIST,
     .value = "TAG",
     .offset = offsetof(struct test_args, tags)},
    {.name = "power",
     .kind = VF_OPTION_LIST,
     .value = "STATE",
     .choices = powers,
     .offset = offsetof(struct test_args, powers)},
    {.name = "threads",
     .kind = VF_OPTION_NUMBER,
     .value = "N",
     .min = 1,
     .max = 256,
     .offset = offsetof(struct test_args, threads)},
    {.name = "format",
     .letter = 'f',
     .kind = VF_OPTION_CHOICE,
     .value = "FORMAT",
     .choices = formats,
     .offset = offsetof(struct test_args, format)},
    {.name = "overwrite",
     .letter = 'w',
     .kind = VF_OPTION_FLAG,
     .offset = offsetof(struct test_args, overwrite)},
    {.name = "dry-run",
     .letter = 'd',
     .kind = VF_OPTION_CHOICE,
     .value = "[WHERE]",
     .choices = dry_runs,
     .implied = "client",
     .offset = offsetof(struct test_args, dry_run)},
    {.name = "bus",
     .kind = VF_OPTION_STRING,
     .value = "BUS",
     .choices = buses,
     .offset = offsetof(struct test_args, bus)},
    {.name = "quiet",
     .letter = 'q',
     .kind = VF_OPTION_FLAG,
     .offset = offsetof(struct test_args, quiet)},
};
static const struct vf_option shared_options[] = {
    {.name = "proxy",
     .kind = VF_OPTION_STRING,
     .value = "URL",
     .may_be_empty = true,
     .offset = offsetof(struct shared_args, proxy)},
    {.name = "insecure", .kind = VF_OPTION_FLAG, .offset = offsetof(struct shared_args, insecure)},
};
static const struct vf_option_group groups[] = {
    {.options = options, .n_options = VF_COUNT(options)},
    {.options = shared_options,
     .n_options = VF_COUNT(shared_options),
     .offset = offsetof(struct test_args, shared)},
    VF_COMMON_GROUP,
};
static const struct vf_command command = {
    .name = "test",
    .operands = "SRC [DST]",
    .min_operands = 1,
    .max_operands = 2,
    .groups = groups,
    .n_groups = VF_COUNT(groups),
    .args_size = sizeof(struct test_args),
};

#define MAX_ARGS 32
#define MAX_LINE 200

/* line is split at blanks; '_' stands for an empty argument. */
static int parse(const char *line, struct test_args *args, char *words, struct vf_error **err)
{
    char *argv[MAX_ARGS];
    int argc = 0;
    snprintf(words, MAX_LINE, "%s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) {
        argv[argc++] = strcmp(word, "_") == 0 ? word + 1 : word;
    }
    memset(args, 0, sizeof *args);
    return vf_options_parse(&command, argc, argv, args, err);
}

static void check_good(const char *line, struct test_args *args, char *words)
{
    struct vf_error *err = NULL;
    int rc = parse(line, args, words, &err);
    if (rc) {
        print_error("%s: %s\n", line, vf_error_message(err));
    }
    assert_int_equal(rc, 0);
}

static void check_refused(const char *line, const char *message)
{
    struct test_args args;
    char words[MAX_LINE];
    struct vf_error *err = NULL;
    assert_int_equal(parse(line, &args, words, &err), VF_INVALID);
    assert_string_equal(vf_error_message(err), message);
    vf_error_free(err);
    vf_options_release(&command, &args);
}

static void test_options__implied_value_unless_a_choice_follows(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int dry_run;
        size_t n_operands;
    } cases[] = {{"src", 0, 1},
                 {"src --dry-run", 1, 1},
                 {"src --dry-run server", 2, 1},
                 {"src --dry-run=server", 2, 1},
                 {"src --dry-run none", 0, 1},
                 {"--dry-run src", 1, 1},
                 {"--dry-run --quiet src", 1, 1},
                 {"src -qd", 1, 1},
                 {"src -d server dst", 2, 2},
                 {"src -dserver dst", 2, 2}};
    for (size_t i = 0; i < VF_COUNT(cases); i++) {
        struct test_args a;
        char words[MAX_LINE];
        check_good(cases[i].line, &a, words);
        assert_int_equal(a.dry_run, cases[i].dry_run);
        assert_int_equal(a.common.n_operands, cases[i].n_operands);
        vf_options_release(&command, &a);
    }
    check_refused("src --dry-run=there",
                  "option \"--dry-run\" wants one of none, client, server, not \"there\"");
}

static void test_options__a_text_of_choices_is_one_of_them(void **state)
{
    (void)state;
    struct test_args a;
    char words[MAX_LINE];
    check_good("src", &a, words);
    assert_null(a.bus);
    vf_options_release(&command, &a);
    check_good("src --bus virtio", &a, words);
    assert_string_equal(a.bus, "virtio");
    vf_options_release(&command, &a);
    check_refused("src --bus ide", "option \"--bus\" wants one of virtio, sata, not \"ide\"");
}

static void test_options__every_kind_and_form(void **state)
{
    (void)state;
    struct test_args a;
    char words[MAX_LINE];
    check_good(
        "src --name=a=b --tag x --threads 256 --tag=y -f qcow2 dst --power on --insecure -wq "
        "--proxy= --power off",
        &a, words);
    assert_string_equal(a.name, "a=b");
    assert_string_equal(a.tags[0], "x");
    assert_string_equal(a.tags[1], "y");
    assert_null(a.tags[2]);
    assert_string_equal(a.powers[1], "off");
    assert_int_equal(a.threads, 256);
    assert_int_equal(a.format, 2);
    assert_true(a.overwrite && a.quiet && a.shared.insecure);
    assert_string_equal(a.shared.proxy, "");
    assert_int_equal(a.common.n_operands, 2);
    assert_string_equal(a.common.operands[0], "src");
    assert_string_equal(a.common.operands[1], "dst");
    assert_null(a.common.operands[2]);
    vf_options_release(&command, &a);
}

static void test_options__nothing_given_leaves_defaults(void **state)
{
    (void)state;
    struct test_args a;
    char words[MAX_LINE];
    check_good("-", &a, words); /* standard input is an operand */
    assert_string_equal(a.common.operands[0], "-");
    assert_null(a.name);
    assert_null(a.tags);
    assert_int_equal(a.threads, 0);
    assert_int_equal(a.format, 0);
    assert_false(a.overwrite);
    vf_options_release(&command, &a);
}

static void test_options__two_dashes_end_them(void **state)
{
    (void)state;
    struct test_args a;
    char words[MAX_LINE];
    check_good("-q -- --name -w", &a, words);
    assert_string_equal(a.common.operands[0], "--name");
    assert_string_equal(a.common.operands[1], "-w");
    assert_true(a.quiet);
    assert_false(a.overwrite);
    vf_options_release(&command, &a);
}

static void test_options__letters_take_values_joined_or_apart(void **state)
{
    (void)state;
    struct test_args a;
    char words[MAX_LINE];
    check_good("-qfraw -n -x- src", &a, words);
    assert_int_equal(a.format, 1);
    assert_string_equal(a.name, "-x-"); /* no option of ours: a value */
    vf_options_release(&command, &a);
}

static void test_options__help_demands_nothing_else(void **state)
{
    (void)state;
    struct test_args a;
    char words[MAX_LINE];
    check_good("-h", &a, words);
    assert_true(a.common.help);
    vf_options_release(&command, &a);
}

static void test_options__unknown_names_the_nearest(void **state)
{
    (void)state;
    check_refused("src --nmae x", "unknown option \"--nmae\"; did you mean --name?");
    check_refused("src --over", "unknown option \"--over\"; did you mean --overwrite?");
    check_refused("src --zzzzzz",
                  "unknown option \"--zzzzzz\"; \"vmferry help test\" lists what there is");
    check_refused("src -qz", "unknown option \"-z\"; \"vmferry help test\" lists what there is");
    check_refused("src --\033[2J=",
                  "unknown option \"--?[2J\"; \"vmferry help test\" lists what there is");
}

/* What follows a mistyped --password= must not be shown. */
static void test_options__value_of_an_unknown_option_is_not_repeated(void **state)
{
    (void)state;
    check_refused("src --insecur=geheim", "unknown option \"--insecur\"; did you mean --insecure?");
    check_refused("src --insecure=geheim", "option \"--insecure\" takes no value");
}

static void test_options__values_are_checked(void **state)
{
    (void)state;
    check_refused("src --format vdi",
                  "option \"--format\" wants one of auto, raw, qcow2, not \"vdi\"");
    check_refused("src --power ON", "option \"--power\" wants one of on, off, not \"ON\"");
    check_refused("src --name", "option \"--name\" wants a value: NAME");
    check_refused("src --name _", "option \"--name\" wants a value that is not empty");
    check_refused("src --name=", "option \"--name\" wants a value that is not empty");
    check_refused("src --name --tag=x", "option \"--name\" wants a value, but \"--tag\" follows");
    check_refused("src --name a -n b", "option \"--name\" was given twice");
}

static void test_options__numbers_have_bounds(void **state)
{
    (void)state;
#define WANTS "option \"--threads\" wants a number from 1 to 256, not "
    check_refused("src --threads 0", WANTS "\"0\"");
    check_refused("src --threads 257", WANTS "\"257\"");
    check_refused("src --threads -1", WANTS "\"-1\"");
    check_refused("src --threads +1", WANTS "\"+1\"");
    check_refused("src --threads 1k", WANTS "\"1k\"");
    check_refused("src --threads 0x10", WANTS "\"0x10\"");
    check_refused("src --threads 99999999999999999999", WANTS "\"99999999999999999999\"");
    check_refused("src --threads 4294967297", WANTS "\"4294967297\"");
}

static void test_options__operands_are_counted(void **state)
{
    (void)state;
    check_refused("-q", "too few operands; usage: vmferry test [OPTION]... SRC [DST]");
    check_refused("a b c",
                  "\"c\" is an operand too many; usage: vmferry test [OPTION]... SRC [DST]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options__implied_value_unless_a_choice_follows),
        cmocka_unit_test(test_options__a_text_of_choices_is_one_of_them),
        cmocka_unit_test(test_options__every_kind_and_form),
        cmocka_unit_test(test_options__nothing_given_leaves_defaults),
        cmocka_unit_test(test_options__two_dashes_end_them),
        cmocka_unit_test(test_options__letters_take_values_joined_or_apart),
        cmocka_unit_test(test_options__help_demands_nothing_else),
        cmocka_unit_test(test_options__unknown_names_the_nearest),
        cmocka_unit_test(test_options__value_of_an_unknown_option_is_not_repeated),
        cmocka_unit_test(test_options__values_are_checked),
        cmocka_unit_test(test_options__numbers_have_bounds),
        cmocka_unit_test(test_options__operands_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
