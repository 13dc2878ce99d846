/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_SLOT_H
#define CGWW_SLOT_H

/* What a request thread writes into its slot of the scoreboard as its request
 * goes on. Neither locks nor system calls; knows nothing of Python. */

#include <stdbool.h>

#include "cgw_scoreboard.h"
#include "cgw_wire.h"

/* The calling thread takes the slot, or gives it back. */
void cgww_slot_begin(struct cgw_slot *slot);
void cgww_slot_end(struct cgw_slot *slot);

/* A connection was accepted; REQUEST is being read. */
void cgww_slot_accepted(struct cgw_slot *slot);
/* It is there at `now`: what remains is to get the interpreter lock. */
void cgww_slot_received(struct cgw_slot *slot, const struct cgw_request *request,
                        uint64_t now);
void cgww_slot_running(struct cgw_slot *slot);
/* Begins, or ends, to wait for the client. slot may be NULL. */
void cgww_slot_waits(struct cgw_slot *slot, bool waits);
void cgww_slot_failed(struct cgw_slot *slot, enum cgw_fail_kind kind);
/* The connection is closed, with or without a request. */
void cgww_slot_finished(struct cgw_slot *slot, uint64_t body_bytes);

#endif
