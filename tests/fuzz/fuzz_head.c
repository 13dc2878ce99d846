/* SPDX-License-Identifier: Apache-2.0 */
/* The response head as the module reads it: whatever a worker sends, what is let
 * through may stand in a response of HTTP/1.1. */

#include <stdlib.h>
#include <string.h>

#include "apr_general.h"

#include "cgw_wire.h"
#include "module/parse_head.h"

static apr_pool_t *parent;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    apr_initialize();
    return apr_pool_create(&parent, NULL) != APR_SUCCESS;
}

static void must(int condition)
{
    if (!condition) {
        abort();
    }
}

/* No line can end within it. */
static void check_text(const char *text)
{
    must(text[strcspn(text, "\r\n")] == '\0');
}

static int check_header(void *unused, const char *name, const char *value)
{
    (void)unused;
    must(*name && !name[strcspn(name, "\r\n: \t")]);
    must(strcasecmp(name, "Content-Length") && strcasecmp(name, "Transfer-Encoding")
         && strcasecmp(name, "Connection"));
    check_text(value);
    return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cgwm_head head;
    apr_pool_t *pool;

    must(apr_pool_create(&pool, parent) == APR_SUCCESS);
    if (cgwm_head_read(&head, data, size, pool)) {
        must(head.status >= 100 && head.status <= 999);
        must(atoi(head.line) == head.status);
        must(head.length == CGW_LENGTH_UNKNOWN || head.length <= INT64_MAX);
        check_text(head.line);
        if (head.type) {
            check_text(head.type);
        }
        apr_table_do(check_header, NULL, head.headers, NULL);
    }
    apr_pool_destroy(pool);
    return 0;
}
