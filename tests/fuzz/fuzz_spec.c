/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration as the supervisor reads it: whatever the bytes, no decoder
 * reads beyond them, and what decodes encodes to the same bytes. */

#include <stdlib.h>
#include <string.h>

#include <apr_general.h>

#include "cgw_spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int initialized;
    apr_pool_t *p;
    apr_size_t pos = 0;
    cgw_spec *spec;

    if (!initialized++) {
        apr_initialize();
    }
    apr_pool_create(&p, NULL);
    while (pos < size) {
        apr_size_t begin = pos;
        apr_array_header_t *again = apr_array_make(p, 256, 1);

        if (cgw_spec_decode(&spec, (const char *)data, size, &pos, p) != APR_SUCCESS) {
            break;
        }
        cgw_spec_encode(spec, again);
        if ((apr_size_t)again->nelts != pos - begin
            || memcmp(again->elts, data + begin, pos - begin) != 0
            || strlen(cgw_spec_digest(spec, p)) != CGW_DIGEST_HEX) {
            abort();
        }
    }
    apr_pool_destroy(p);
    return 0;
}
