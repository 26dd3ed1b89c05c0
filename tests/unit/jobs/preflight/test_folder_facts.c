#include "jobs/preflight/folder_facts.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/check.h"

#define PARTIAL_BYTES ((size_t)8 << 20)

static char root[] = "folder-facts-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(root) && chdir(root) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return chdir("..") == 0 && rmdir(root) == 0 ? 0 : -1;
}

static void test_folder_facts__no_path_is_not_known(void **state)
{
    (void)state;
    struct vf_folder_facts f;
    vf_folder_facts_get(NULL, &f);
    assert_false(f.known);
    vf_folder_facts_release(&f);
}

static void test_folder_facts__one_to_be_made_has_the_space_of_its_parent(void **state)
{
    (void)state;
    struct vf_folder_facts f;
    vf_folder_facts_get("new/", &f);
    assert_true(f.known && f.has_free);
    assert_null(f.trouble);
    assert_int_equal(access("new", F_OK), -1); /* it is not made */
    vf_folder_facts_release(&f);
}

static void test_folder_facts__one_that_cannot_be_made_is_told(void **state)
{
    (void)state;
    struct vf_folder_facts f;
    vf_folder_facts_get("no/such", &f);
    assert_string_equal(f.trouble, "folder \"no\", in which it is to be made, is not there");
    assert_false(f.has_free);
    vf_folder_facts_release(&f);
}

static void test_folder_facts__file_is_no_folder(void **state)
{
    (void)state;
    struct vf_folder_facts f;
    int fd = open("file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    vf_test_check(fd >= 0 && close(fd) == 0);
    vf_folder_facts_get("file", &f);
    assert_string_equal(f.trouble, "\"file\" is not a folder");
    vf_folder_facts_release(&f);
    vf_folder_facts_get("file/in", &f);
    assert_non_null(f.trouble);
    vf_folder_facts_release(&f);
    vf_test_check(unlink("file") == 0);
}

/* Others write to the file system as well, in the meantime: half of what is held has to show. */
static void test_folder_facts__partial_of_an_earlier_run_is_room(void **state)
{
    (void)state;
    static char block[PARTIAL_BYTES];
    struct vf_folder_facts f, with;
    memset(block, 'x', sizeof block);
    vf_test_check(mkdir("images", 0755) == 0);
    int fd = open("images/disk.raw.partial", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    vf_test_check(fd >= 0 && write(fd, block, sizeof block) == (ssize_t)sizeof block &&
                  fsync(fd) == 0 && close(fd) == 0);
    vf_folder_facts_get("images", &with);
    vf_test_check(rename("images/disk.raw.partial", "images/disk.raw") == 0);
    vf_folder_facts_get("images", &f);
    assert_null(with.trouble);
    assert_true(with.free_bytes > f.free_bytes + PARTIAL_BYTES / 2);
    vf_folder_facts_release(&f);
    vf_folder_facts_release(&with);
    vf_test_check(unlink("images/disk.raw") == 0 && rmdir("images") == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder_facts__no_path_is_not_known),
        cmocka_unit_test(test_folder_facts__one_to_be_made_has_the_space_of_its_parent),
        cmocka_unit_test(test_folder_facts__one_that_cannot_be_made_is_told),
        cmocka_unit_test(test_folder_facts__file_is_no_folder),
        cmocka_unit_test(test_folder_facts__partial_of_an_earlier_run_is_room),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
