/* SPDX-License-Identifier: Apache-2.0 */

#include "slot.h"

#include "cgw_clock.h"

#include <unistd.h>

void cgww_slot_begin(struct cgw_slot *slot)
{
    CGW_SLOT_SET(slot, tid, gettid());
    CGW_SLOT_SET(slot, state, CGW_SLOT_IDLE);
}

void cgww_slot_end(struct cgw_slot *slot)
{
    CGW_SLOT_SET(slot, state, CGW_SLOT_ABSENT);
    CGW_SLOT_SET(slot, tid, 0);
}

void cgww_slot_accepted(struct cgw_slot *slot)
{
    CGW_SLOT_SET(slot, state, CGW_SLOT_RECEIVING);
}

void cgww_slot_received(struct cgw_slot *slot, const struct cgw_request *request,
                        uint64_t now)
{
    uint64_t queued = request->sent_us && request->sent_us < now
                          ? now - request->sent_us : 0;

    CGW_SLOT_ADD(slot, queue.count[cgw_bucket(queued)], 1);
    CGW_SLOT_SET(slot, sent, request->sent_us);
    CGW_SLOT_SET(slot, id, request->id);
    CGW_SLOT_SET(slot, deadline, request->deadline_ms
                     ? now + (uint64_t)request->deadline_ms * 1000 : 0);
    /* who sees that it started sees its deadline, too */
    atomic_store_explicit(&slot->started, now, memory_order_release);
    CGW_SLOT_SET(slot, lock_since, now);
    CGW_SLOT_SET(slot, state, CGW_SLOT_LOCKING);
}

void cgww_slot_running(struct cgw_slot *slot)
{
    CGW_SLOT_SET(slot, lock_since, 0);
    CGW_SLOT_SET(slot, state, CGW_SLOT_RUNNING);
}

void cgww_slot_waits(struct cgw_slot *slot, bool waits)
{
    if (slot) {
        CGW_SLOT_SET(slot, state, waits ? CGW_SLOT_CLIENT : CGW_SLOT_RUNNING);
    }
}

void cgww_slot_failed(struct cgw_slot *slot, enum cgw_fail_kind kind)
{
    if ((unsigned)kind < CGW_SLOT_FAILURES) {
        CGW_SLOT_ADD(slot, failures[kind], 1);
    }
}

void cgww_slot_finished(struct cgw_slot *slot, uint64_t body_bytes)
{
    uint64_t started = CGW_SLOT_GET(slot, started);

    if (started) {
        uint64_t now = cgw_clock_us();
        CGW_SLOT_ADD(slot, requests, 1);
        CGW_SLOT_ADD(slot, bytes, body_bytes);
        CGW_SLOT_ADD(slot, busy, now - started);
        CGW_SLOT_ADD(slot, latency.count[cgw_bucket(now - started)], 1);
        CGW_SLOT_SET(slot, ended, now);
        CGW_SLOT_SET(slot, started, 0);
        CGW_SLOT_SET(slot, deadline, 0);
    }
    CGW_SLOT_SET(slot, state, CGW_SLOT_IDLE);
}
