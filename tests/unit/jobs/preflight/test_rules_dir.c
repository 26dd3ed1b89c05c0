#include "jobs/preflight/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/check_world.h"

#define MIB ((uint64_t)1 << 20)

/* Each VM of the world has 100 MiB in use, of a disk of 1 GiB. */
static void folder(struct check_world *w, uint64_t free_bytes)
{
    w->facts.folder = (struct vf_folder_facts){.known = true,
                                               .path = vf_xstrdup("/images/web01"),
                                               .has_free = true,
                                               .free_bytes = free_bytes};
}

static void trouble(struct check_world *w)
{
    folder(w, 0);
    w->facts.folder.has_free = false;
    w->facts.folder.trouble = vf_xstrdup("folder \"/images\" is not there");
}

static void enough(struct check_world *w)
{
    folder(w, 100 * MIB);
}

static void too_little(struct check_world *w)
{
    folder(w, 100 * MIB - 1);
}

static void usage_unknown(struct check_world *w)
{
    folder(w, 1);
    w->vms[0].disks[0].used_bytes = w->vms[1].disks[0].used_bytes = 0;
}

/* Deltas of snapshots may come to more than the disk, which the copy is not larger than. */
static void more_than_its_size(struct check_world *w)
{
    folder(w, 1024 * MIB);
    w->vms[0].disks[0].used_bytes = 4096 * MIB;
}

static const struct check_case cases[] = {
    {"dir.unusable", VF_CRITICAL, "folder \"/images\" is not there", trouble, enough},
    {"dir.space", VF_CRITICAL, "\"/images/web01\" has space for", too_little, enough},
    {"dir.space", VF_CRITICAL, "space", too_little, more_than_its_size},
    {"dir.space", VF_CRITICAL, "space", too_little, usage_unknown},
    {"dir.space", VF_CRITICAL, "space", too_little, trouble},
};

static void test_rules_dir__each_trips_where_it_is_so_and_only_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_world_run_case(&cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_dir__each_trips_where_it_is_so_and_only_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
