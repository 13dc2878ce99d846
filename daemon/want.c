/* SPDX-License-Identifier: Apache-2.0 */

#include "want.h"

#include <stdlib.h>
#include <unistd.h>

#include "cgw_log.h"

/* APR passes nothing to who is told that there is no memory. */
static const cgwd_writer *teller;

void cgwd_want_tell(const cgwd_writer *writer)
{
    teller = writer;
}

int cgwd_want_end(int err)
{
    const cgwd_writer plain = {.fd = STDERR_FILENO};

    (void)err;
    cgwd_log(teller ? teller : &plain, CGWD_ERROR, CGW_LOGNO(0252)
             "the supervisor gets no more memory, and ends; httpd's parent starts "
             "another, and the workers of this one finish their requests. Limits on "
             "memory of httpd's service are the usual cause");
    _exit(EXIT_FAILURE);
}
