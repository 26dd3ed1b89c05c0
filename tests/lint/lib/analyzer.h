/* For clang-tidy alone (tests/lint/tidy.sh): functions of another file that never return 0 are not
 * seen to do so, and every caller would be analysed as if they might. */
#ifndef TESTS_LINT_LIB_ANALYZER_H
#define TESTS_LINT_LIB_ANALYZER_H

#include <vmferry/error.h>

#define vf_error_set(err, code, ...) ((void)vf_error_set(err, code, __VA_ARGS__), (int)(code))
#define vf_error_set_errno(err, errnum, ...)                                                       \
    ((void)vf_error_set_errno(err, errnum, __VA_ARGS__), (int)VF_INTERNAL)
#define vf_error_wrap(err, rc, ...) ((void)vf_error_wrap(err, rc, __VA_ARGS__), (rc))

#endif
