/* SPDX-License-Identifier: Apache-2.0 */

#include "gate.h"

#include <stddef.h>

#include "http_config.h"
#include "util_filter.h"

#include "config.h"

#define FILTER "CGATEWAY_GATE"
/* mod_http2 takes a bucket, however long, as long as it holds less than
 * H2StreamMaxMemSize of the stream: 32 KB by default, and 1024 at least. */
#define ROOM 1024
/* Passed on in one piece. */
#define PIECE_LONGEST ((apr_size_t)64 * 1024)
/* More is not held: a filter may make much of little (INFLATE). */
#define HELD_MOST (1024 * 1024)
/* Nothing tells when the client has taken something: how often it is looked. */
#define PAUSE_LONGEST_MS 32

struct cgwm_gate {
    ap_filter_t *filter;
    apr_bucket_brigade *held;   /* in front of mod_http2 */
    apr_bucket_brigade *out;    /* on its way to mod_http2, else empty */
    apr_size_t underway;        /* bytes that mod_http2 has and its client has not */
    int closed;                 /* how often: a page may include another */
    int has_moved;              /* between the last two looks */
    int pause_ms;
    apr_status_t broken;        /* what passing on what was held ended with */
};

/* mod_http2 deletes a bucket once the client has taken it: by the thread that
 * sent it, when it sends again. */
typedef struct piece {
    cgwm_gate *gate;
    apr_size_t len;
    char bytes[];
} piece;

static void piece_free(void *bytes)
{
    piece *p = (piece *)((char *)bytes - offsetof(piece, bytes));

    p->gate->underway -= p->len;
    apr_bucket_free(p);
}

/* ---- passing on ------------------------------------------------------------ */

static int has_data_first(const apr_bucket_brigade *bb)
{
    return !APR_BRIGADE_EMPTY(bb) && !APR_BUCKET_IS_METADATA(APR_BRIGADE_FIRST(bb));
}

/* How long a piece of the data at the begin of bb can be. */
static apr_size_t piece_length(const apr_bucket_brigade *bb)
{
    apr_size_t total = 0;

    for (apr_bucket *b = APR_BRIGADE_FIRST(bb);
         b != APR_BRIGADE_SENTINEL(bb) && !APR_BUCKET_IS_METADATA(b);
         b = APR_BUCKET_NEXT(b)) {
        if (b->length >= PIECE_LONGEST - total) {
            return PIECE_LONGEST; /* or of unknown length */
        }
        total += b->length;
    }
    return total;
}

/* Moves bytes of the first bucket to the end of the piece. */
static apr_status_t gather(apr_bucket *b, piece *p, apr_size_t longest)
{
    const char *data;
    apr_size_t len;
    apr_status_t rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (len > longest - p->len) {
        len = longest - p->len;
        apr_bucket_split(b, len);
    }
    memcpy(p->bytes + p->len, data, len);
    p->len += len;
    apr_bucket_delete(b);
    return APR_SUCCESS;
}

/* A piece of the data at the begin of held becomes a bucket of out. */
static apr_status_t take_piece(cgwm_gate *gate)
{
    apr_bucket_alloc_t *alloc = gate->held->bucket_alloc;
    apr_size_t longest = piece_length(gate->held);
    piece *p = apr_bucket_alloc(sizeof(*p) + longest, alloc);
    apr_status_t rv = APR_SUCCESS;

    p->gate = gate;
    p->len = 0;
    while (rv == APR_SUCCESS && p->len < longest && has_data_first(gate->held)) {
        rv = gather(APR_BRIGADE_FIRST(gate->held), p, longest);
    }
    if (p->len == 0) {
        apr_bucket_free(p);
        return rv;
    }
    gate->underway += p->len;
    APR_BRIGADE_INSERT_TAIL(gate->out, apr_bucket_heap_create(p->bytes, p->len,
                                                              piece_free, alloc));
    return rv;
}

static apr_status_t pass_out(cgwm_gate *gate)
{
    apr_status_t rv = ap_pass_brigade(gate->filter->next, gate->out);

    apr_brigade_cleanup(gate->out);
    return rv;
}

/* As much of what is held as mod_http2 takes at once. */
/* NOLINTNEXTLINE(readability-function-size): APR's macros have blocks */
static apr_status_t pass_held(cgwm_gate *gate)
{
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(gate->held)) {
        apr_bucket *b = APR_BRIGADE_FIRST(gate->held);
        if (APR_BUCKET_IS_METADATA(b)) {
            APR_BUCKET_REMOVE(b);
            APR_BRIGADE_INSERT_TAIL(gate->out, b);
        }
        else if (b->length == 0) {
            apr_bucket_delete(b); /* filters make such (mod_include) */
        }
        else if (gate->underway < ROOM) {
            rv = take_piece(gate);
        }
        else {
            break;
        }
    }
    if (!APR_BRIGADE_EMPTY(gate->out)) {
        apr_status_t passed = pass_out(gate);
        rv = rv == APR_SUCCESS ? passed : rv;
    }
    return rv;
}

/* With what is held and cannot be passed on: told once, then what is to be said of
 * it may pass. */
static apr_status_t give_up_held(cgwm_gate *gate, apr_status_t rv)
{
    apr_brigade_cleanup(gate->held);
    gate->broken = APR_SUCCESS;
    return rv;
}

static int is_much(const apr_bucket_brigade *bb)
{
    apr_off_t length = 0;

    apr_brigade_length((apr_bucket_brigade *)(intptr_t)bb, 0, &length);
    return length > HELD_MOST;
}

/* NOLINTNEXTLINE(readability-function-size): as above */
static apr_status_t filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    cgwm_gate *gate = f->ctx;
    apr_status_t rv = gate->broken;

    if (rv == APR_SUCCESS && (!gate->closed || is_much(gate->held))) {
        APR_BRIGADE_PREPEND(bb, gate->held);
        return ap_pass_brigade(f->next, bb);
    }
    if (rv == APR_SUCCESS) {
        APR_BRIGADE_CONCAT(gate->held, bb);
        rv = pass_held(gate);
    }
    if (rv != APR_SUCCESS) {
        return give_up_held(gate, rv);
    }
    /* what its maker uses again must not be held as it is */
    APR_BRIGADE_CONCAT(bb, gate->held);
    return ap_save_brigade(f, &gate->held, &bb, f->c->pool);
}

/* ---- asking ------------------------------------------------------------------ */

int cgwm_gate_has_room(cgwm_gate *gate)
{
    apr_size_t before = gate->underway;
    int has_room;

    if (!gate->broken && gate->underway >= ROOM) {
        gate->broken = pass_out(gate); /* nothing: mod_http2 tells what has gone */
    }
    if (!gate->broken && gate->underway < ROOM) {
        gate->broken = pass_held(gate);
    }
    if (gate->broken) {
        apr_brigade_cleanup(gate->held);
    }
    has_room = gate->broken
               || (APR_BRIGADE_EMPTY(gate->held) && gate->underway < ROOM);
    gate->has_moved = gate->underway != before;
    if (has_room || gate->has_moved) {
        gate->pause_ms = !has_room;
    }
    else if (gate->pause_ms < PAUSE_LONGEST_MS) {
        gate->pause_ms = gate->pause_ms ? gate->pause_ms * 2 : 1;
    }
    return has_room;
}

int cgwm_gate_has_moved(const cgwm_gate *gate)
{
    return gate->has_moved;
}

int cgwm_gate_holds(const cgwm_gate *gate)
{
    return !APR_BRIGADE_EMPTY(gate->held);
}

int cgwm_gate_pause(const cgwm_gate *gate)
{
    return gate->pause_ms;
}

/* ---- life -------------------------------------------------------------------- */

static cgwm_gate *create(request_rec *r)
{
    conn_rec *c = r->connection;
    cgwm_gate *gate = apr_pcalloc(c->pool, sizeof(*gate));

    gate->held = apr_brigade_create(c->pool, c->bucket_alloc);
    gate->out = apr_brigade_create(c->pool, c->bucket_alloc);
    gate->filter = ap_add_output_filter(FILTER, gate, r, c);
    ap_set_module_config(c->conn_config, &cgateway_module, gate);
    return gate;
}

cgwm_gate *cgwm_gate_close(request_rec *r)
{
    conn_rec *c = r->connection;
    cgwm_gate *gate;

    if (!c->master) {
        return NULL; /* there, the module's config is another's (file.c) */
    }
    gate = ap_get_module_config(c->conn_config, &cgateway_module);
    if (!gate) {
        gate = create(r);
    }
    gate->closed++;
    gate->pause_ms = 0;
    return gate;
}

void cgwm_gate_open(cgwm_gate *gate)
{
    gate->closed--;
}

void cgwm_gate_register_filter(void)
{
    ap_register_output_filter(FILTER, filter, NULL,
                              (ap_filter_type)(AP_FTYPE_NETWORK - 1));
}
