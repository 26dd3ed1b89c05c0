/* The time in an HTTP header. Source: RFC 9110, section 5.6.7 (the form that must be sent). */
#ifndef IMPORTER_BASE_HTTP_DATE_H
#define IMPORTER_BASE_HTTP_DATE_H

#include <stdbool.h>
#include <stdint.h>

/* "Sun, 06 Nov 1994 08:49:37 GMT" as seconds since 1970. False for anything else. */
bool vf_http_parse_date(const char *text, int64_t *ret_s);

#endif
