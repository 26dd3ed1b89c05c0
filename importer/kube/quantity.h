/* Amounts as Kubernetes writes them: "4Gi", "1.5G", "128974848", "12e6".
 *
 * Source: k8s.io/apimachinery, pkg/api/resource/quantity.go.
 */
#ifndef IMPORTER_KUBE_QUANTITY_H
#define IMPORTER_KUBE_QUANTITY_H

#include <stdbool.h>
#include <stdint.h>

/* In bytes, a fraction rounded up. False for what is no quantity, negative, or 2^62 and more. */
bool vf_kube_parse_bytes(const char *text, uint64_t *ret_bytes);
/* In thousandths, as CPU is counted. */
bool vf_kube_parse_millis(const char *text, uint64_t *ret_millis);

#endif
