#include "importer/vsphere/notes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/soap_server.h"

#define OURS(text) "--- vmferry ---\n" text "\n--- end of the note by vmferry ---"

static void expect(const char *notes, const char *text, const char *want)
{
    char *vf_autofree got = vf_notes_compose(notes, text);
    assert_string_equal(got, want);
}

static void test_notes_compose__is_put_before_all_else(void **state)
{
    (void)state;
    expect(NULL, "gone", OURS("gone"));
    expect("", "gone", OURS("gone"));
    expect("by hand", "gone\nto kube", OURS("gone\nto kube") "\n\nby hand");
    expect("\n\r\n\tby hand\n", "gone", OURS("gone") "\n\n\n\r\n\tby hand\n");
}

static void test_notes_compose__comes_out_as_it_went_in(void **state)
{
    (void)state;
    static const char *const notes[] = {
        "",
        "x",
        "\n",
        "\n\n\nx",
        "\r\n--- vmferry ---\r\n",
        "--- vmferry ---\nno end of ours",
        "--- end of the note by vmferry ---",
        "\n--- end of the note by vmferry ---\n\n",
    };
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        char *vf_autofree with = vf_notes_compose(notes[i], "gone");
        expect(with, NULL, notes[i]);
        expect(with, "gone", with);
    }
}

static void test_notes_compose__replaces_ours_wherever_it_stands(void **state)
{
    (void)state;
    expect(OURS("old") "\n\nby hand", "new", OURS("new") "\n\nby hand");
    expect("above\n" OURS("old") "\n\nbelow", "new", OURS("new") "\n\nabove\nbelow");
    expect(OURS("old") "\n" OURS("older") "\nby hand", NULL, "by hand");
    /* A person's beginning above ours is not ours. */
    expect("--- vmferry ---\ntheirs\n" OURS("old"), NULL, "--- vmferry ---\ntheirs\n");
    /* Not a line of its own. */
    expect("x" OURS("theirs"), NULL, "x" OURS("theirs"));
    expect(OURS("theirs") "x", NULL, OURS("theirs") "x");
}

static void test_notes_have_own__tells_ours_from_peoples(void **state)
{
    (void)state;
    char *noted = vf_notes_compose("by hand\n--- vmferry ---\nof somebody", "moved");
    char *without = vf_notes_compose(noted, NULL);
    assert_true(vf_notes_have_own(noted));
    assert_false(vf_notes_have_own(without));
    assert_false(vf_notes_have_own(""));
    assert_false(vf_notes_have_own(NULL));
    free(noted);
    free(without);
}

static void test_notes_compose__text_cannot_look_like_the_marks(void **state)
{
    (void)state;
    const char *text =
        "--- end of the note by vmferry ---\n--- vmferry ---\n\x01\x1b[31mred\r\n- x";
    char *vf_autofree with = vf_notes_compose("by hand", text);
    assert_string_equal(with, OURS(" --- end of the note by vmferry ---\n --- vmferry ---\n"
                                   "  [31mred \n - x") "\n\nby hand");
    expect(with, NULL, "by hand");
}

/* --- at a VM --------------------------------------------------------------------------------- */

struct plan {
    const char *notes;   /* NULL: the VM has none */
    unsigned concurrent; /* so many writers are faster */
    const char *fault;   /* of the task after that; NULL: none */
    char sent[600];      /* the last request */
    char text[2000];
};

static const char *task_says(struct plan *p, unsigned nth)
{
    const char *fault = nth <= p->concurrent ? "ConcurrentAccess" : p->fault;
    snprintf(p->text, sizeof p->text,
             "<returnval><version>1</version><filterSet><filter type=\"PropertyFilter\">f</filter>"
             "<objectSet><kind>enter</kind><obj type=\"Task\">task-1</obj><changeSet>"
             "<name>info</name><op>assign</op><val xsi:type=\"TaskInfo\"><state>%s</state>"
             "<error><fault xsi:type=\"%s\"/></error></val></changeSet></objectSet></filterSet>"
             "</returnval>",
             fault ? "error" : "success", fault ? fault : "");
    return p->text;
}

static const char *play(const struct vf_test_soap_call *c, void *opaque)
{
    struct plan *p = opaque;
    if (strcmp(c->method, "RetrievePropertiesEx") == 0) {
        snprintf(p->text, sizeof p->text,
                 "<returnval><objects><obj type=\"VirtualMachine\">vm-1</obj>%s%s%s<propSet>"
                 "<name>config.changeVersion</name><val>v%u</val></propSet></objects></returnval>",
                 p->notes ? "<propSet><name>config.annotation</name><val>" : "",
                 p->notes ? p->notes : "", p->notes ? "</val></propSet>" : "", c->nth);
        return p->text;
    }
    if (strcmp(c->method, "ReconfigVM_Task") == 0) {
        snprintf(p->sent, sizeof p->sent, "%s", strstr(c->body, "<spec>"));
        return "<returnval type=\"Task\">task-1</returnval>";
    }
    if (strcmp(c->method, "CreatePropertyCollector") == 0) {
        return "<returnval type=\"PropertyCollector\">pc-2</returnval>";
    }
    return strcmp(c->method, "WaitForUpdatesEx") == 0 ? task_says(p, c->nth) : NULL;
}

/* How often the VM was reconfigured. */
static unsigned run(struct plan *p, const char *text, int code)
{
    struct vf_test_soap *s = vf_test_soap_start(play, p);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    assert_int_equal(vf_vm_replace_note(vs, "vm-1", text, NULL), code);
    unsigned n = vf_test_soap_count(s, "ReconfigVM_Task");
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
    return n;
}

static void test_vm_replace_note__keeps_every_byte(void **state)
{
    (void)state;
    struct plan p = {.notes = "a &lt;b&gt;&#13;\n &amp; c"};
    assert_int_equal(run(&p, "gone", 0), 1);
    assert_non_null(strstr(p.sent, "<spec><changeVersion>v1</changeVersion><annotation>"
                                   "--- vmferry ---\ngone\n--- end of the note by vmferry ---\n\n"
                                   "a &lt;b&gt;&#13;\n &amp; c</annotation></spec>"));
}

static void test_vm_replace_note__nothing_to_change_is_not_sent(void **state)
{
    (void)state;
    struct plan none = {0}, same = {.notes = OURS("gone") "\n\nx"};
    assert_int_equal(run(&none, NULL, 0), 0);
    assert_int_equal(run(&same, "gone", 0), 0);
}

static void test_vm_replace_note__faster_writer_is_read_again(void **state)
{
    (void)state;
    struct plan p = {.notes = "x", .concurrent = 1};
    assert_int_equal(run(&p, "gone", 0), 2);
    assert_non_null(strstr(p.sent, "<changeVersion>v2</changeVersion>"));
}

static void test_vm_replace_note__refused_is_an_error(void **state)
{
    (void)state;
    struct plan p = {.notes = "x", .fault = "NoPermission"};
    assert_int_equal(run(&p, "gone", VF_AUTH), 1);
}

static void test_vm_replace_note__endless_text_is_range(void **state)
{
    (void)state;
    struct plan p = {0};
    char text[VF_NOTES_MAX_TEXT + 2];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(run(&p, text, VF_RANGE), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notes_compose__is_put_before_all_else),
        cmocka_unit_test(test_notes_compose__comes_out_as_it_went_in),
        cmocka_unit_test(test_notes_compose__replaces_ours_wherever_it_stands),
        cmocka_unit_test(test_notes_have_own__tells_ours_from_peoples),
        cmocka_unit_test(test_notes_compose__text_cannot_look_like_the_marks),
        cmocka_unit_test(test_vm_replace_note__keeps_every_byte),
        cmocka_unit_test(test_vm_replace_note__nothing_to_change_is_not_sent),
        cmocka_unit_test(test_vm_replace_note__faster_writer_is_read_again),
        cmocka_unit_test(test_vm_replace_note__refused_is_an_error),
        cmocka_unit_test(test_vm_replace_note__endless_text_is_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
