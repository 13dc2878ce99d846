/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_NOTIFY_H
#define CGWD_NOTIFY_H

#include <apr_pools.h>

#include "loop.h"

/* Tells when something of a given name is written, made or moved into a
 * directory, or its attributes change. One inotify instance serves all groups,
 * since a user may have few. Directories are watched, not files, so that files
 * that are replaced are seen too; they are given by descriptor: no path is
 * looked up here. */
typedef struct cgwd_notify cgwd_notify;

/* Who wants to know. Embedded in its owner, zeroed when new. */
typedef struct cgwd_subscriber {
    /* settled: the change is complete; 0 where a file was made that may still
     * be written. May not add or remove interests. */
    void (*changed)(struct cgwd_subscriber *subscriber, const char *name,
                    int settled);
    void *owner;
    struct cgwd_interest *interests;
    unsigned round;
} cgwd_subscriber;

/* Called when a directory changed faster than events could be read. It is not
 * watched any more, since all groups lose events by it. */
typedef void cgwd_notify_overflow(void *data);

/* In the pool. NULL: errno tells why; nothing can be watched then. */
cgwd_notify *cgwd_notify_create(cgwd_loop *loop, cgwd_notify_overflow *overflow,
                                void *data, apr_pool_t *p);

/* What is wanted is said in rounds: what the round before added and this one
 * did not is forgotten at its end, and what both added is never unwatched. */
void cgwd_notify_begin(cgwd_subscriber *subscriber);
/* 0 or an errno. */
int cgwd_notify_add(cgwd_notify *notify, cgwd_subscriber *subscriber, int dir,
                    const char *name);
void cgwd_notify_end(cgwd_notify *notify, cgwd_subscriber *subscriber);
/* Forgets everything of the subscriber. */
void cgwd_notify_remove(cgwd_notify *notify, cgwd_subscriber *subscriber);

#endif
