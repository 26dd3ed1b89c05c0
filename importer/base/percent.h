/* Percent-encoding as in URI references (RFC 3986, section 2.1). */
#ifndef IMPORTER_BASE_PERCENT_H
#define IMPORTER_BASE_PERCENT_H

/* "a%20b" to "a b"; what is no escape stays as it is, %00 too. Caller frees. */
char *vf_percent_decode(const char *s);

#endif
