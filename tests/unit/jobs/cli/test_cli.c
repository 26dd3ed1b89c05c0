#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "importer/base/mem.h"
#include "jobs/cli/command.h"

struct run {
    char *out, *err;
    size_t out_len, err_len;
    int status;
};

#define MAX_ARGS 16

static struct run run(const char *line)
{
    char *vf_autofree words = vf_xstrdup(line);
    char *argv[MAX_ARGS] = {NULL};
    int argc = 0;
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    struct run r = {0};
    struct vf_cli cli = {.out = open_memstream(&r.out, &r.out_len),
                         .err = open_memstream(&r.err, &r.err_len)};
    r.status = vf_cli_main(&cli, argc, argv);
    fclose(cli.out);
    fclose(cli.err);
    return r;
}

static void run_free(struct run *r)
{
    free(r->out);
    free(r->err);
}

static void check_misuse(const char *line, const char *err)
{
    struct run r = run(line);
    assert_int_equal(r.status, 2);
    assert_string_equal(r.err, err);
    assert_string_equal(r.out, "");
    run_free(&r);
}

static void test_cli__misuse_is_one_line_and_status_2(void **state)
{
    (void)state;
    unsetenv("VMFERRY_SOURCE");
    check_misuse("vmferry",
                 "vmferry: error: no command given; \"vmferry help\" lists what there is\n");
    check_misuse("vmferry inventry",
                 "vmferry: error: unknown command \"inventry\"; did you mean inventory?\n");
    check_misuse("vmferry zzzzzz", "vmferry: error: unknown command \"zzzzzz\"; \"vmferry help\" "
                                   "lists what there is\n");
    check_misuse("vmferry --debug=x inventory", "vmferry: error: a command comes first, then its "
                                                "options, not \"--debug\"\n");
    check_misuse("vmferry import --vn x",
                 "vmferry: error: import: unknown option \"--vn\"; did you mean --vm?\n");
    check_misuse("vmferry import --vmdk x --to upload --dry-run server --progress json",
                 "vmferry: error: import: options \"--dry-run\" and \"--progress\" json contradict "
                 "each other: both write to standard output\n");
    check_misuse("vmferry import --vm x", "vmferry: error: import: option \"--to\" is missing: "
                                          "dir:PATH, upload or pvc\n");
    check_misuse(
        "vmferry import --to dir:x",
        "vmferry: error: import: one of \"--vm\", \"--ova\", \"--ovf\" and \"--vmdk\" says "
        "what to import\n");
    check_misuse(
        "vmferry import --to dir:x --ova a --vmdk b",
        "vmferry: error: import: only one of \"--vm\", \"--ova\", \"--ovf\" and \"--vmdk\" "
        "says what to import\n");
    check_misuse("vmferry import --to dir:x --vmdk -",
                 "vmferry: error: import: only an OVA can come from standard input\n");
    check_misuse("vmferry import --to dir: --ova a",
                 "vmferry: error: import: option \"--to\" wants dir:PATH, upload or pvc\n");
    check_misuse("vmferry import --to dir:x --ova a --user u",
                 "vmferry: error: import: \"--source\", \"--user\" and \"--password-file\" go with "
                 "\"--vm\" only\n");
    check_misuse("vmferry import --to dir:x --ova https://u:p@h/x.ova",
                 "vmferry: error: import: the URL to import from holds a password, which every "
                 "user of this machine can see in the list of processes\n");
    check_misuse("vmferry convert a b -q --progress bar",
                 "vmferry: error: convert: options \"--quiet\" and \"--progress\" contradict each "
                 "other\n");
    check_misuse("vmferry inventory", "vmferry: error: inventory: option \"--source\" is missing: "
                                      "the URL of a vCenter or ESXi host\n");
    check_misuse("vmferry help plan", "vmferry: error: help: unknown command \"plan\"; \"vmferry "
                                      "help\" lists what there is\n");
}

static void test_cli__help_in_all_its_forms_is_the_same(void **state)
{
    (void)state;
    static const char *const same[][2] = {{"vmferry help", "vmferry --help"},
                                          {"vmferry help", "vmferry -h"},
                                          {"vmferry help import", "vmferry import --help"},
                                          {"vmferry help import", "vmferry import --vm x -h"},
                                          {"vmferry version", "vmferry --version"}};
    for (size_t i = 0; i < VF_COUNT(same); i++) {
        struct run a = run(same[i][0]), b = run(same[i][1]);
        assert_int_equal(a.status, 0);
        assert_int_equal(b.status, 0);
        assert_true(a.out_len > 100);
        assert_string_equal(a.out, b.out);
        assert_string_equal(a.err, "");
        run_free(&a);
        run_free(&b);
    }
}

static void test_cli__overview_lists_every_command_and_status(void **state)
{
    (void)state;
    struct run r = run("vmferry help");
    for (size_t i = 0; vf_commands[i]; i++) {
        assert_non_null(strstr(r.out, vf_commands[i]->summary));
        assert_ptr_equal(vf_command_find(vf_commands[i]->name), vf_commands[i]);
    }
    static const char *const statuses[] = {"\n  0 ", "\n  1 ", "\n  2 ", "\n  130 ", "\n  143 "};
    for (size_t i = 0; i < VF_COUNT(statuses); i++) {
        assert_non_null(strstr(r.out, statuses[i]));
    }
    run_free(&r);
}

static void check_help_of(const struct vf_command *c)
{
    char *vf_autofree line = vf_xasprintf("vmferry help %s", c->name);
    struct run r = run(line);
    assert_int_equal(r.status, 0);
    for (size_t g = 0; g < c->n_groups; g++) {
        for (size_t o = 0; o < c->groups[g].n_options; o++) {
            char *vf_autofree name = vf_xasprintf(" --%s", c->groups[g].options[o].name);
            assert_non_null(strstr(r.out, name));
        }
    }
    const char *examples = strstr(r.out, "\nExamples:\n");
    for (const char *p = r.out, *end; *p && (!examples || p < examples); p = end + 1) {
        end = strchr(p, '\n');
        assert_in_range(end - p, 0, 80);
        assert_true(end == p || end[-1] != ' ');
    }
    run_free(&r);
}

static void test_cli__help_of_each_command_has_all_options_in_80_columns(void **state)
{
    (void)state;
    for (size_t i = 0; vf_commands[i]; i++) {
        check_help_of(vf_commands[i]);
    }
}

/* The table is written by hand: what the parser relies on must hold for every entry. */
static void test_cli__table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; vf_commands[i]; i++) {
        const struct vf_command *c = vf_commands[i];
        assert_non_null(c->run);
        assert_true(c->args_size >= sizeof(struct vf_common_args));
        assert_true(c->min_operands <= c->max_operands);
        size_t n = 0;
        for (size_t g = 0; g < c->n_groups; g++) {
            for (size_t o = 0; o < c->groups[g].n_options; o++, n++) {
                const struct vf_option *option = &c->groups[g].options[o];
                assert_non_null(option->help);
                assert_true((option->value != NULL) == (option->kind != VF_OPTION_FLAG));
                assert_true(option->kind != VF_OPTION_CHOICE || option->choices);
                assert_true(option->kind != VF_OPTION_NUMBER || option->min < option->max);
                assert_true(c->groups[g].offset + option->offset < c->args_size);
                for (const char *p = option->name; *p; p++) {
                    assert_true(islower((unsigned char)*p) || *p == '-');
                }
            }
        }
        assert_in_range(n, 2, 128); /* as many as the parser has room for */
    }
}

static void test_cli__version_as_json_and_yaml(void **state)
{
    (void)state;
    struct run r = run("vmferry version -o json");
    assert_int_equal(r.status, 0);
    assert_memory_equal(r.out, "{\n  \"vmferry\": \"" VF_VERSION "\",\n  \"libraries\": {", 40);
    run_free(&r);
    r = run("vmferry version --output=yaml");
    assert_memory_equal(r.out, "vmferry: ", 9);
    run_free(&r);
}

static int status_with_output(FILE *out, char **ret_err)
{
    char *argv[] = {(char[]){"vmferry"}, (char[]){"help"}, NULL};
    size_t len;
    struct vf_cli cli = {.out = out, .err = open_memstream(ret_err, &len)};
    int status = vf_cli_main(&cli, 2, argv);
    fclose(cli.err);
    fclose(out);
    return status;
}

static void test_cli__output_that_cannot_be_written_fails(void **state)
{
    (void)state;
    char *err = NULL;
    assert_int_equal(status_with_output(fopen("/dev/full", "w"), &err), 1);
    assert_string_equal(
        err, "vmferry: error: cannot write to standard output: No space left on device\n");
    free(err);
}

static void test_cli__reader_that_went_away_ends_it_quietly(void **state)
{
    (void)state;
    char *err = NULL;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(status_with_output(fdopen(ends[1], "w"), &err), 1);
    assert_string_equal(err, "");
    free(err);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as main() has it */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cli__misuse_is_one_line_and_status_2),
        cmocka_unit_test(test_cli__help_in_all_its_forms_is_the_same),
        cmocka_unit_test(test_cli__overview_lists_every_command_and_status),
        cmocka_unit_test(test_cli__help_of_each_command_has_all_options_in_80_columns),
        cmocka_unit_test(test_cli__table_is_sound),
        cmocka_unit_test(test_cli__version_as_json_and_yaml),
        cmocka_unit_test(test_cli__output_that_cannot_be_written_fails),
        cmocka_unit_test(test_cli__reader_that_went_away_ends_it_quietly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
