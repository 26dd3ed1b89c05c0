#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "importer/base/mem.h"
#include "importer/base/proc.h"
#include "jobs/cli/command.h"
#include "jobs/cli/completion.h"

/* What bash offers for these words, of which the last is being typed: sorted, one a line. Readline
 * hands '=' and ':' over as words of their own. */
static char *complete(const char *words)
{
    char *vf_autofree script = vf_completion_bash();
    char *vf_autofree input =
        vf_xasprintf("%s\nCOMP_WORDS=(%s)\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
                     "_vmferry 2>/dev/null\n"
                     "((${#COMPREPLY[@]})) && printf '%%s\\n' \"${COMPREPLY[@]}\" | LC_ALL=C sort\n"
                     "exit 0\n",
                     script, words);
    static const char *const argv[] = {"bash", "--norc", "-s", NULL};
    const struct vf_proc_options options = {
        .argv = argv, .input = input, .input_len = strlen(input), .timeout_ms = 20000};
    char *output = NULL;
    struct vf_error *err = NULL;
    if (vf_proc_run(&options, &output, &err)) {
        fail_msg("%s", vf_error_message(err));
    }
    return output;
}

static void check(const char *words, const char *expected)
{
    char *got = complete(words);
    assert_string_equal(got, expected);
    free(got);
}

static void test_completion_bash__commands(void **state)
{
    (void)state;
    check("vmferry in", "inventory\n");
    check("vmferry ''",
          "cancel\ncheck\ncleanup\ncompletion\nconvert\ncutover\nexplain\nhelp\nimport\n"
          "inventory\nmigrate\nrollback\nstatus\nverify\nversion\n");
    check("vmferry help ver", "verify\nversion\n");
    check("vmferry completion ''", "bash\nzsh\n");
    check("vmferry nosuch ''", "");
}

static void test_completion_bash__options_of_the_command(void **state)
{
    (void)state;
    check("vmferry import --vm", "--vm\n--vmdk\n");
    check("vmferry inventory --vm", "");
    check("vmferry convert a --over", "--overwrite\n");
}

static void test_completion_bash__values(void **state)
{
    (void)state;
    check("vmferry inventory --output ''", "json\ntable\nwide\nyaml\n");
    check("vmferry inventory -o y", "yaml\n");
    check("vmferry import --format = q", "qcow2\n");
    check("vmferry import --progress =", "auto\nbar\njson\nnone\n");
    check("vmferry inventory --power o", "off\non\n");
    check("vmferry import --vm ''", ""); /* nothing that could be known */
    check("vmferry import --to ''", "dir:\n");
}

static void test_completion_bash__files_and_directories(void **state)
{
    (void)state;
    char dir[] = "/tmp/vf-test-completion-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *vf_autofree file = vf_xasprintf("%s/a file", dir);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fclose(f);
    char *vf_autofree as_option = vf_xasprintf("vmferry inventory --ca-file %s/a", dir);
    char *vf_autofree as_operand = vf_xasprintf("vmferry convert %s/a", dir);
    char *vf_autofree expected = vf_xasprintf("%s\n", file);
    check(as_option, expected);
    check(as_operand, expected);
    char *vf_autofree target =
        vf_xasprintf("vmferry import --to dir : %.*s", (int)sizeof dir - 4, dir);
    char *vf_autofree found = vf_xasprintf("%s\n", dir);
    check(target, found);
    unlink(file);
    rmdir(dir);
}

/* Every option of every command, in both scripts, and no quote of a help text breaks zsh's. */
static void test_completion__knows_the_whole_table(void **state)
{
    (void)state;
    char *bash = vf_completion_bash(), *zsh = vf_completion_zsh();
    size_t quotes = 0;
    for (const char *p = zsh; (p = strchr(p, '\'')); p++) {
        quotes += p[-1] != '\\'; /* '\'' closes, escapes one, opens */
    }
    assert_int_equal(quotes % 2, 0);
    for (size_t i = 0; vf_commands[i]; i++) {
        assert_non_null(strstr(zsh, vf_commands[i]->name));
        for (size_t g = 0; g < vf_commands[i]->n_groups; g++) {
            for (size_t o = 0; o < vf_commands[i]->groups[g].n_options; o++) {
                char *option = vf_xasprintf("--%s", vf_commands[i]->groups[g].options[o].name);
                assert_non_null(strstr(bash, option));
                assert_non_null(strstr(zsh, option));
                free(option);
            }
        }
    }
    free(bash);
    free(zsh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_completion_bash__commands),
        cmocka_unit_test(test_completion_bash__options_of_the_command),
        cmocka_unit_test(test_completion_bash__values),
        cmocka_unit_test(test_completion_bash__files_and_directories),
        cmocka_unit_test(test_completion__knows_the_whole_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
