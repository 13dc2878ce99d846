/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_GATE_H
#define CGWM_GATE_H

/*
 * The way of an HTTP/2 stream's response to mod_http2, which makes the thread
 * that passes something on wait where its client does not read. The worker
 * would wait behind that thread. The gate is a filter in front of mod_http2
 * that knows how much the client has not taken yet, and while an exchange with
 * a worker goes on it holds what mod_http2 would not take at once.
 */

#include "httpd.h"

typedef struct cgwm_gate cgwm_gate;

/* The gate of the request's stream; from now on nothing that is passed on
 * waits, unless filters make more than 1 MB of it. may_store: temporary files may
 * be written for what the client has not taken. NULL where it is no HTTP/2
 * stream. */
cgwm_gate *cgwm_gate_close(request_rec *r, int may_store);
/* Once for each that closed it: from now on what is passed on follows what was
 * held. What mod_http2 would not take at once goes as a file, so that no thread waits
 * for the client, unless it may not be stored or the disk has no room. */
void cgwm_gate_open(cgwm_gate *gate);

/* Looks how much the client has taken, and passes on what was held. 1: more may
 * be passed on, which is not held then, but for what filters make of it. */
int cgwm_gate_has_room(cgwm_gate *gate);
/* Had the client taken something at that look? */
int cgwm_gate_has_moved(const cgwm_gate *gate);
/* 1: something is held, so that it should be looked at again. */
int cgwm_gate_holds(const cgwm_gate *gate);
/* Milliseconds until it should be looked at again; 0: it has room. */
int cgwm_gate_pause(const cgwm_gate *gate);

void cgwm_gate_register_filter(void);

#endif
