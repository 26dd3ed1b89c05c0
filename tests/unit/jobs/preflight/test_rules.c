/* The table of rules as a whole: well formed, every row tested, and the page that is made of it. */
#include "jobs/preflight/rule.h"

#include <ctype.h>
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "jobs/preflight/preflight.h"
#include "tests/support/check.h"

#define PAGE "deploy/docs/preflight.md"

/* Heap: a path below the top folder, which __FILE__ leads to. */
static char *path_of(const char *name)
{
    static const char here[] = "tests/unit/jobs/preflight/test_rules.c";
    size_t n = strlen(__FILE__) - strlen(here);
    return vf_xasprintf("%.*s%s", (int)n, __FILE__, name);
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        return NULL;
    }
    struct vf_buf b;
    char block[4096];
    vf_buf_init(&b, (size_t)4 << 20);
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;) {
        vf_test_check(vf_buf_append(&b, block, n));
    }
    fclose(f);
    return vf_buf_take_string(&b);
}

static void test_rules__ids_are_unique_and_in_order(void **state)
{
    (void)state;
    const struct vf_rule *const *r = vf_rules_all();
    assert_non_null(r[0]);
    for (size_t i = 1; r[i]; i++) {
        assert_true(r[i]->area > r[i - 1]->area || strcmp(r[i]->id, r[i - 1]->id) > 0);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(r[i]->id, r[j]->id) == 0) {
                fail_msg("two rules are called \"%s\"", r[i]->id);
            }
        }
        assert_ptr_equal(vf_rule_find(r[i]->id), r[i]);
    }
    assert_null(vf_rule_find("no.such-rule"));
    assert_null(vf_rule_find(NULL));
}

/* "noun.what", lower case, words joined by dashes. */
static bool is_id(const char *id)
{
    const char *dot = strchr(id, '.');
    size_t n = strlen(id);
    return dot && dot > id && dot[1] && !strchr(dot + 1, '.') &&
           strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789.-") == n && id[0] != '-' &&
           id[n - 1] != '-';
}

/* A sentence for people: there, without a full stop, on one line. Names may begin it. */
static bool is_sentence(const char *s)
{
    size_t n = s ? strlen(s) : 0;
    return n >= 3 && s[n - 1] != '.' && s[n - 1] != ' ' && s[0] != ' ' && !strpbrk(s, "\n\t") &&
           !strstr(s, "  ");
}

static void test_rules__every_row_says_what_it_is(void **state)
{
    (void)state;
    for (const struct vf_rule *const *r = vf_rules_all(); *r; r++) {
        if (!is_id((*r)->id)) {
            fail_msg("\"%s\" is no ID", (*r)->id);
        }
        if (!is_sentence((*r)->looks_at) || !is_sentence((*r)->message) ||
            !is_sentence((*r)->action)) {
            fail_msg("%s: what it looks at, means, or what to do is no sentence", (*r)->id);
        }
        assert_string_not_equal(vf_severity_name((*r)->severity), "unknown");
        assert_string_not_equal(vf_rule_area_name((*r)->area), "unknown");
    }
}

/* --- coverage ---------------------------------------------------------------------------- */

static bool is_test_of_rules(const char *name)
{
    size_t n = strlen(name);
    return strncmp(name, "test_", 5) == 0 && strcmp(name, "test_rules.c") != 0 && n > 2 &&
           strcmp(name + n - 2, ".c") == 0;
}

/* Everything that the other tests of this folder say, one text. */
static char *read_tests(void)
{
    char *vf_autofree folder = path_of("tests/unit/jobs/preflight");
    struct vf_buf all;
    vf_buf_init(&all, (size_t)16 << 20);
    DIR *d = opendir(folder);
    vf_test_check(d);
    for (struct dirent *e; (e = readdir(d));) {
        char *vf_autofree path = vf_xasprintf("%s/%s", folder, e->d_name);
        char *vf_autofree text = is_test_of_rules(e->d_name) ? read_file(path) : NULL;
        if (text) {
            vf_test_check(vf_buf_puts(&all, text));
        }
    }
    closedir(d);
    return vf_buf_take_string(&all);
}

/* A rule that no test names is none that anybody has seen trip: its name in quotes has to stand in
 * one of the tests here, as a case of check_world_run_case, or however else it is tried. */
static void test_rules__every_one_has_a_test(void **state)
{
    (void)state;
    char *vf_autofree tests = read_tests();
    struct vf_buf missing;
    vf_buf_init(&missing, 65536);
    for (const struct vf_rule *const *r = vf_rules_all(); *r; r++) {
        char *vf_autofree quoted = vf_xasprintf("\"%s\"", (*r)->id);
        if (!strstr(tests, quoted)) {
            vf_buf_printf(&missing, " %s", (*r)->id);
        }
    }
    char *vf_autofree text = vf_buf_take_string(&missing);
    if (*text) {
        fail_msg("no test of tests/unit/jobs/preflight names:%s", text);
    }
}

/* --- concerns ---------------------------------------------------------------------------- */

/* "disk.rdm" and the like: a noun that rules have, a dot, and a word. */
static bool is_concern(const char *quoted, size_t len)
{
    static const char *const nouns[] = {"vm",    "disk",    "nic", "guest", "device",
                                        "cdrom", "mapping", "ovf", "cpu",   "memory"};
    const char *dot = memchr(quoted, '.', len);
    if (!dot || strspn(quoted, "abcdefghijklmnopqrstuvwxyz0123456789-.") < len) {
        return false;
    }
    for (size_t i = 0; i < sizeof nouns / sizeof *nouns; i++) {
        size_t n = strlen(nouns[i]);
        if (n == (size_t)(dot - quoted) && strncmp(quoted, nouns[i], n) == 0) {
            return true;
        }
    }
    return false;
}

static size_t count_concerns(const char *file, const char *text)
{
    size_t found = 0;
    for (const char *at = text; (at = strchr(at, '"'));) {
        size_t len = strcspn(++at, "\"\n");
        if (is_concern(at, len)) {
            char *vf_autofree id = vf_xstrndup(at, len);
            if (!vf_rule_find(id)) {
                fail_msg("%s: no rule has the ID \"%s\" (rows are in rules_mapping.c)", file, id);
            }
            found++;
        }
        at += len + (at[len] == '"');
    }
    return found;
}

/* Whoever maps knows no table of rules, being on a lower floor. */
static void test_rules__every_concern_has_a_row(void **state)
{
    (void)state;
    char *vf_autofree folder = path_of("converters/vm");
    size_t found = 0;
    DIR *d = opendir(folder);
    vf_test_check(d);
    for (struct dirent *e; (e = readdir(d));) {
        size_t n = strlen(e->d_name);
        if (n > 2 && strcmp(e->d_name + n - 2, ".c") == 0) {
            char *vf_autofree path = vf_xasprintf("%s/%s", folder, e->d_name);
            char *vf_autofree text = read_file(path);
            found += count_concerns(e->d_name, text);
        }
    }
    closedir(d);
    assert_true(found >= 30);
}

/* --- the page ---------------------------------------------------------------------------- */

/* To write it anew: VF_UPDATE_DOCS=1 and this program. */
static void test_rules__the_page_is_of_this_table(void **state)
{
    (void)state;
    char *vf_autofree path = path_of(PAGE);
    char *vf_autofree want = vf_rules_print();
    if (getenv("VF_UPDATE_DOCS")) {
        FILE *f = fopen(path, "we");
        vf_test_check(f && fputs(want, f) >= 0 && fclose(f) == 0);
    }
    char *vf_autofree have = read_file(path);
    if (!have || strcmp(have, want) != 0) {
        fail_msg("%s is not of this table of rules: run this test with VF_UPDATE_DOCS=1", PAGE);
    }
}

static void test_rules__the_page_has_a_row_for_each(void **state)
{
    (void)state;
    char *vf_autofree page = vf_rules_print();
    for (const struct vf_rule *const *r = vf_rules_all(); *r; r++) {
        char *vf_autofree row =
            vf_xasprintf("\n| `%s` | %s | ", (*r)->id, vf_severity_name((*r)->severity));
        const char *at = strstr(page, row);
        assert_non_null(at);
        /* Six bars that are no part of a text: five cells. */
        size_t bars = 0;
        for (at++; *at != '\n'; at++) {
            bars += *at == '|' && at[-1] != '\\';
        }
        assert_int_equal(bars, 6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules__ids_are_unique_and_in_order),
        cmocka_unit_test(test_rules__every_row_says_what_it_is),
        cmocka_unit_test(test_rules__every_one_has_a_test),
        cmocka_unit_test(test_rules__every_concern_has_a_row),
        cmocka_unit_test(test_rules__the_page_is_of_this_table),
        cmocka_unit_test(test_rules__the_page_has_a_row_for_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
