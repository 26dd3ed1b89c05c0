#include "importer/base/xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"

#define VIM "urn:vim25"

static xmlDoc *parse(const char *text)
{
    xmlDoc *doc = NULL;
    assert_int_equal(vf_xml_parse(text, strlen(text), "the answer", &doc, NULL), 0);
    assert_non_null(doc);
    return doc;
}

static void expect_invalid(const char *text, size_t len, const char *message)
{
    xmlDoc *doc = NULL;
    struct vf_error *err = NULL;
    assert_int_equal(vf_xml_parse(text, len, "the answer", &doc, &err), VF_INVALID);
    assert_null(doc);
    assert_non_null(strstr(vf_error_message(err), "the answer"));
    assert_non_null(strstr(vf_error_message(err), message));
    vf_error_free(err);
}

static void test_xml_parse__damage_is_invalid_with_line(void **state)
{
    (void)state;
    static const char *const damaged[] = {"<a>\n<b></a>",     "<a>\n",           "<a>\n</a></b>",
                                          "<a x=1\n/>",       "<a>\n&none;</a>", "<a>\n\x01</a>",
                                          "<a>\n\xff\xfe</a>"};
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        expect_invalid(damaged[i], strlen(damaged[i]), "line ");
    }
    expect_invalid("", 0, "is empty");
    expect_invalid("text", 4, "not well-formed");
    expect_invalid("<a>b\0c</a>", 10, "not well-formed");
}

static void test_xml_parse__doctype_is_invalid(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a SYSTEM \"http://127.0.0.1:1/x.dtd\"><a/>",
        "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
        "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>",
        "<?xml version=\"1.0\"?><!-- c --><!DOCTYPE a [<!ENTITY % x SYSTEM \"file:///x\">%x;]><a/>",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        expect_invalid(refused[i], strlen(refused[i]), "DOCTYPE");
    }
}

/* In an attribute, where libxml2 expands entities while it parses, and in a document large enough
 * to be parsed without libxml2's own bounds: unbounded this is 10 GB. */
static void test_xml_parse__entity_bomb_is_refused_at_once(void **state)
{
    (void)state;
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    vf_buf_puts(&b, "<!DOCTYPE a [<!ENTITY e0 \"0123456789\">");
    for (int i = 1; i < 10; i++) {
        vf_buf_printf(&b, "<!ENTITY e%d \"", i);
        for (int j = 0; j < 10; j++) {
            vf_buf_printf(&b, "&e%d;", i - 1);
        }
        vf_buf_puts(&b, "\">");
    }
    vf_buf_puts(&b, "]><a x=\"&e9;\">");
    for (int i = 0; i < 9 << 16; i++) {
        vf_buf_puts(&b, "0123456789abcdef");
    }
    vf_buf_puts(&b, "</a>");
    assert_true(b.len > 9u << 20);
    expect_invalid(b.data, b.len, "DOCTYPE");
    vf_buf_release(&b);
}

static char *nested(unsigned depth, size_t padding)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    for (unsigned i = 0; i < depth; i++) {
        vf_buf_puts(&b, "<a>");
    }
    for (size_t i = 0; i < padding; i += 16) {
        vf_buf_puts(&b, "0123456789abcdef");
    }
    for (unsigned i = 0; i < depth; i++) {
        vf_buf_puts(&b, "</a>");
    }
    return vf_buf_take_string(&b);
}

static void test_xml_parse__depth_is_bounded(void **state)
{
    (void)state;
    static const size_t paddings[] = {16, 9u << 20}; /* without and with XML_PARSE_HUGE */
    for (int i = 0; i < 2; i++) {
        char *vf_autofree good = nested(200, paddings[i]);
        xmlFreeDoc(parse(good));
        char *vf_autofree deep = nested(300, paddings[i]);
        expect_invalid(deep, strlen(deep), "");
        char *vf_autofree abyss = nested(100000, paddings[i]);
        expect_invalid(abyss, strlen(abyss), "");
    }
}

static void test_xml_parse__size_is_bounded(void **state)
{
    (void)state;
    xmlDoc *doc = NULL;
    /* Refused by the length alone, so the bytes need not be there. */
    assert_int_equal(vf_xml_parse("<a/>", (size_t)VF_XML_MAX_BYTES + 1, "x", &doc, NULL), VF_SPACE);
    assert_null(doc);
}

static void test_xml_parse__large_text_is_good(void **state)
{
    (void)state;
    char *vf_autofree text = nested(1, 12u << 20);
    xmlDoc *doc = parse(text);
    char *vf_autofree content = vf_xml_text(xmlDocGetRootElement(doc));
    assert_int_equal(strlen(content), 12u << 20);
    xmlFreeDoc(doc);
}

static void test_xml_child__goes_by_namespace_not_prefix(void **state)
{
    (void)state;
    xmlDoc *doc = parse("<s:E xmlns:s='http://schemas.xmlsoap.org/soap/envelope/' xmlns:x='urn:x'>"
                        "<x:name>wrong</x:name><name>none</name>"
                        "<y:name xmlns:y='urn:vim25'>right</y:name>"
                        "<name xmlns='urn:vim25'>second</name></s:E>");
    xmlNode *root = xmlDocGetRootElement(doc);
    assert_true(vf_xml_is(root, "http://schemas.xmlsoap.org/soap/envelope/", "E"));
    assert_true(vf_xml_is(root, NULL, "E"));
    assert_false(vf_xml_is(root, VIM, "E"));
    assert_false(vf_xml_is(NULL, VIM, "E"));
    char *vf_autofree text = vf_xml_child_text(root, VIM, "name");
    assert_string_equal(text, "right");
    xmlNode *second = vf_xml_next(vf_xml_child(root, VIM, "name"), VIM, "name");
    char *vf_autofree next = vf_xml_text(second);
    assert_string_equal(next, "second");
    assert_null(vf_xml_next(second, VIM, "name"));
    char *vf_autofree any = vf_xml_child_text(root, NULL, "name");
    assert_string_equal(any, "wrong");
    assert_null(vf_xml_child(root, VIM, "absent"));
    assert_null(vf_xml_child(NULL, VIM, "name"));
    xmlFreeDoc(doc);
}

static void test_xml_path__follows_chain_or_gives_null(void **state)
{
    (void)state;
    xmlDoc *doc = parse("<vm xmlns='urn:vim25'><config><hardware><memoryMB>4096</memoryMB>"
                        "</hardware></config></vm>");
    xmlNode *root = xmlDocGetRootElement(doc);
    xmlNode *n = vf_xml_path(root, VIM, "config", "hardware", "memoryMB", NULL);
    char *vf_autofree text = vf_xml_text(n);
    assert_string_equal(text, "4096");
    assert_null(vf_xml_path(root, VIM, "config", "missing", "memoryMB", NULL));
    assert_null(vf_xml_path(NULL, VIM, "config", NULL));
    xmlFreeDoc(doc);
}

static void test_xml_type__is_resolved_by_namespace(void **state)
{
    (void)state;
    /* vSphere puts both on one element: the plain one is a reference's type. */
    xmlDoc *doc =
        parse("<v xmlns:i='" VF_XSI_NS "' xmlns:vim25='urn:vim25'>"
              "<val type='VirtualMachine' i:type='vim25:ManagedObjectReference'>vm-1</val>"
              "<plain i:type='Bare'/><none type='X'/></v>");
    xmlNode *root = xmlDocGetRootElement(doc);
    xmlNode *val = vf_xml_child(root, NULL, "val");
    char *vf_autofree type = vf_xml_type(val);
    assert_string_equal(type, "ManagedObjectReference");
    char *vf_autofree ref = vf_xml_attr(val, NULL, "type");
    assert_string_equal(ref, "VirtualMachine");
    char *vf_autofree bare = vf_xml_type(vf_xml_child(root, NULL, "plain"));
    assert_string_equal(bare, "Bare");
    assert_null(vf_xml_type(vf_xml_child(root, NULL, "none")));
    assert_null(vf_xml_attr(NULL, NULL, "type"));
    xmlFreeDoc(doc);
}

static void test_xml_child_number__only_what_fits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool i64, u64;
    } table[] = {{"0", true, true},
                 {"-1", true, false},
                 {"9223372036854775807", true, true},
                 {"9223372036854775808", false, true},
                 {"18446744073709551615", false, true},
                 {"18446744073709551616", false, false},
                 {"-9223372036854775808", true, false},
                 {"", false, false},
                 {"x", false, false},
                 {"1x", false, false},
                 {"0x10", false, false},
                 {"1.5", false, false}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "<v><n>%s</n></v>", table[i].text);
        xmlDoc *doc = parse(text);
        xmlNode *root = xmlDocGetRootElement(doc);
        int64_t s = 77;
        uint64_t u = 77;
        assert_int_equal(vf_xml_child_i64(root, NULL, "n", &s), table[i].i64);
        assert_int_equal(vf_xml_child_u64(root, NULL, "n", &u), table[i].u64);
        assert_true(table[i].i64 ? s == strtoll(table[i].text, NULL, 10) : s == 77);
        assert_true(table[i].u64 ? u == strtoull(table[i].text, NULL, 10) : u == 77);
        assert_false(vf_xml_child_u64(root, NULL, "absent", &u));
        xmlFreeDoc(doc);
    }
}

static void test_xml_child_bool__reads_both_forms(void **state)
{
    (void)state;
    xmlDoc *doc = parse("<v><a>true</a><b>1</b><c>false</c><d>0</d></v>");
    xmlNode *root = xmlDocGetRootElement(doc);
    assert_true(vf_xml_child_bool(root, NULL, "a", false));
    assert_true(vf_xml_child_bool(root, NULL, "b", false));
    assert_false(vf_xml_child_bool(root, NULL, "c", true));
    assert_false(vf_xml_child_bool(root, NULL, "d", true));
    assert_true(vf_xml_child_bool(root, NULL, "e", true));
    assert_false(vf_xml_child_bool(root, NULL, "e", false));
    xmlFreeDoc(doc);
}

static void test_xml_text__joins_cdata_and_references(void **state)
{
    (void)state;
    xmlDoc *doc = parse("<v>a&amp;b<![CDATA[<c>]]>&#228;</v>");
    char *vf_autofree text = vf_xml_text(xmlDocGetRootElement(doc));
    assert_string_equal(text, "a&b<c>\xc3\xa4");
    assert_null(vf_xml_text(NULL));
    xmlFreeDoc(doc);
}

static int init(void **state)
{
    (void)state;
    vf_xml_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xml_parse__damage_is_invalid_with_line),
        cmocka_unit_test(test_xml_parse__doctype_is_invalid),
        cmocka_unit_test(test_xml_parse__entity_bomb_is_refused_at_once),
        cmocka_unit_test(test_xml_parse__depth_is_bounded),
        cmocka_unit_test(test_xml_parse__size_is_bounded),
        cmocka_unit_test(test_xml_parse__large_text_is_good),
        cmocka_unit_test(test_xml_child__goes_by_namespace_not_prefix),
        cmocka_unit_test(test_xml_path__follows_chain_or_gives_null),
        cmocka_unit_test(test_xml_type__is_resolved_by_namespace),
        cmocka_unit_test(test_xml_child_number__only_what_fits),
        cmocka_unit_test(test_xml_child_bool__reads_both_forms),
        cmocka_unit_test(test_xml_text__joins_cdata_and_references),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
