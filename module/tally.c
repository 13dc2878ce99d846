/* SPDX-License-Identifier: Apache-2.0 */

#include "tally.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

#include "cgw_clock.h"

#define LINE_EVERY_US 1000000
/* CGatewayQueueTimeout is mostly a minute. */
#define FORGET_US ((uint64_t)600 * 1000000)

struct cgwm_tally {
    struct {
        _Alignas(64) _Atomic uint64_t next;     /* no line before */
        _Atomic unsigned untold;
    } kinds[CGWM_TALLY_KINDS];
    _Atomic unsigned waiting;                   /* for the socket */
    _Atomic uint64_t entered;                   /* when the latest one began */
};

struct mapping {
    void *at;
    size_t size;
};

static apr_status_t unmap(void *data)
{
    const struct mapping *m = data;

    munmap(m->at, m->size);
    return APR_SUCCESS;
}

cgwm_tally *cgwm_tallies_create(unsigned n, apr_pool_t *p)
{
    struct mapping *m = apr_palloc(p, sizeof(*m));

    m->size = (n ? n : 1) * sizeof(struct cgwm_tally);
    m->at = mmap(NULL, m->size, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (m->at == MAP_FAILED) {
        m->at = mmap(NULL, m->size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    if (m->at == MAP_FAILED) {
        return NULL;
    }
    apr_pool_cleanup_register(p, m, unmap, apr_pool_cleanup_null);
    return m->at;
}

cgwm_tally *cgwm_tally_of(cgwm_tally *tallies, unsigned i)
{
    return tallies ? &tallies[i] : NULL;
}

unsigned cgwm_tally_count(cgwm_tally *tally, enum cgwm_tally_kind kind)
{
    uint64_t now = cgw_clock_us(), next;

    if (!tally) {
        return 1;
    }
    atomic_fetch_add(&tally->kinds[kind].untold, 1);
    next = atomic_load(&tally->kinds[kind].next);
    if (now < next
        || !atomic_compare_exchange_strong(&tally->kinds[kind].next, &next,
                                           now + LINE_EVERY_US)) {
        return 0;
    }
    return atomic_exchange(&tally->kinds[kind].untold, 0);
}

/* A child of httpd that is killed takes those with it that wait in it, and they leave
 * nothing: they are forgotten once nobody can have waited for so long. */
int cgwm_tally_enter(cgwm_tally *tally, unsigned most)
{
    uint64_t now = cgw_clock_us();

    if (!tally) {
        return 1;
    }
    if (now - atomic_exchange(&tally->entered, now) > FORGET_US) {
        atomic_store(&tally->waiting, 0);
    }
    if (atomic_fetch_add(&tally->waiting, 1) < most) {
        return 1;
    }
    cgwm_tally_leave(tally);
    return 0;
}

void cgwm_tally_leave(cgwm_tally *tally)
{
    unsigned n;

    if (!tally) {
        return;
    }
    n = atomic_load(&tally->waiting);
    while (n > 0 && !atomic_compare_exchange_weak(&tally->waiting, &n, n - 1)) {
        /* n is what it is now */
    }
}
