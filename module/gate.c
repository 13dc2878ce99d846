/* SPDX-License-Identifier: Apache-2.0 */

#include "gate.h"

#include <stddef.h>

#include "http_config.h"
#include "util_filter.h"

#include "config.h"
#include "file.h"
#include "spool.h"

#define FILTER "CGATEWAY_GATE"
/* mod_http2 takes a bucket, however long, as long as it holds less than
 * H2StreamMaxMemSize of the stream: 32 KB by default, and 1024 at least. */
#define ROOM 1024
/* Passed on in one piece: with ROOM less than 32 KB, so that mod_http2 has room for
 * what follows. */
#define PIECE ((apr_size_t)16 * 1024)
/* The last piece, and each for a client that has taken so many, one after another,
 * within some 10 ms: more than waits in mod_http2 and in a window of 64 KB. */
#define PIECE_LONGEST ((apr_size_t)64 * 1024)
#define QUICK_PIECES 16
#define QUICK_PAUSE_MS 4
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
    int quick;                  /* pieces that were taken soon */
    apr_status_t broken;        /* what passing on what was held ended with */
    apr_pool_t *pool;           /* of the stream's request; NULL: it is over */
    int may_store;
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
static apr_size_t piece_length(const apr_bucket_brigade *bb, apr_size_t longest)
{
    apr_size_t total = 0;

    for (apr_bucket *b = APR_BRIGADE_FIRST(bb);
         b != APR_BRIGADE_SENTINEL(bb) && !APR_BUCKET_IS_METADATA(b);
         b = APR_BUCKET_NEXT(b)) {
        if (b->length >= longest - total) {
            return longest; /* or of unknown length */
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
static apr_status_t take_piece(cgwm_gate *gate, apr_size_t longest)
{
    apr_bucket_alloc_t *alloc = gate->held->bucket_alloc;
    apr_status_t rv = APR_SUCCESS;
    piece *p;

    longest = piece_length(gate->held, longest);
    p = apr_bucket_alloc(sizeof(*p) + longest, alloc);
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

/* Nothing follows before the client has taken it: what mod_http2 1.15 tells nobody
 * of before it holds 32 KB. */
static void hurry(cgwm_gate *gate)
{
    APR_BRIGADE_INSERT_TAIL(gate->out,
                            apr_bucket_flush_create(gate->out->bucket_alloc));
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
            rv = take_piece(gate, gate->quick < QUICK_PIECES ? PIECE
                                                             : PIECE_LONGEST);
        }
        else {
            break;
        }
    }
    if (!APR_BRIGADE_EMPTY(gate->out)) {
        if (!APR_BRIGADE_EMPTY(gate->held)) {
            hurry(gate);
        }
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

/* -1: not known. */
static apr_off_t length_of(const apr_bucket_brigade *bb)
{
    apr_off_t length = 0;

    apr_brigade_length((apr_bucket_brigade *)(intptr_t)bb, 0, &length);
    return length;
}

/* ---- letting go ------------------------------------------------------------ */

/* The first bucket of held follows to out. */
static void let_first_go(cgwm_gate *gate)
{
    apr_bucket *b = APR_BRIGADE_FIRST(gate->held);

    APR_BUCKET_REMOVE(b);
    APR_BRIGADE_INSERT_TAIL(gate->out, b);
}

static apr_status_t store(cgwm_spool *spool, apr_bucket *b)
{
    apr_status_t rv = cgwm_spool_append_bucket(spool, b);

    if (rv == APR_SUCCESS) {
        apr_bucket_delete(b);
    }
    return rv;
}

static int is_file(const apr_bucket *b)
{
    return APR_BUCKET_IS_FILE(b) || cgwm_file_is(b);
}

/* The data at the begin of held that lies in memory becomes a file in out. */
static apr_status_t let_memory_go(cgwm_gate *gate, cgwm_spool *spool)
{
    apr_off_t from = spool->written;
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && has_data_first(gate->held)
           && !is_file(APR_BRIGADE_FIRST(gate->held))) {
        rv = store(spool, APR_BRIGADE_FIRST(gate->held));
    }
    if (spool->written > from) {
        cgwm_spool_refer(spool, gate->out, from, 0, gate->pool);
    }
    return rv;
}

/* mod_http2 takes files at once, however long they are and whatever its client does,
 * as long as it holds less than H2StreamMaxMemSize of other data. */
static void let_files_go(cgwm_gate *gate)
{
    cgwm_spool *spool = NULL;
    apr_status_t rv = gate->may_store ? cgwm_spool_open(&spool, gate->pool)
                                      : APR_SUCCESS;

    while (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(gate->held)) {
        apr_bucket *b = APR_BRIGADE_FIRST(gate->held);
        if (cgwm_file_is(b)) {
            rv = cgwm_file_make_plain(&b, gate->pool);
        }
        else if (spool && has_data_first(gate->held) && !is_file(b)) {
            rv = let_memory_go(gate, spool);
        }
        else {
            let_first_go(gate);
        }
    }
}

/* What follows goes along with what was to be flushed. */
/* NOLINTNEXTLINE(readability-function-size): APR's macros have blocks */
static void drop_flushes(apr_bucket_brigade *bb)
{
    apr_bucket *next;

    for (apr_bucket *b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = next) {
        next = APR_BUCKET_NEXT(b);
        if (APR_BUCKET_IS_FLUSH(b) && next != APR_BRIGADE_SENTINEL(bb)) {
            apr_bucket_delete(b);
        }
    }
}

/* One bucket for all the data, but for what metadata is between. */
/* NOLINTNEXTLINE(readability-function-size): as above */
static void let_pieces_go(cgwm_gate *gate)
{
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(gate->held)) {
        apr_bucket *b = APR_BRIGADE_FIRST(gate->held);
        if (APR_BUCKET_IS_METADATA(b)) {
            let_first_go(gate);
        }
        else if (b->length == 0) {
            apr_bucket_delete(b);
        }
        else {
            rv = take_piece(gate, PIECE_LONGEST);
        }
    }
}

/* No exchange needs the thread any more, which mod_http2 would have wait for the
 * client all the same. What could not be made ready for it, for want of disk space
 * or because it cannot be read, goes as it is. */
/* NOLINTNEXTLINE(readability-function-size): as above */
static apr_status_t let_go(cgwm_gate *gate)
{
    apr_off_t length = gate->pool ? length_of(gate->held) : 0;

    if (length > (apr_off_t)PIECE - ROOM) {
        drop_flushes(gate->held);
    }
    if (length > (apr_off_t)PIECE_LONGEST) {
        let_files_go(gate);
    }
    else if (length > (apr_off_t)PIECE - ROOM) {
        let_pieces_go(gate);
    }
    APR_BRIGADE_CONCAT(gate->out, gate->held);
    return pass_out(gate);
}

/* ---- the filter -------------------------------------------------------------- */

/* NOLINTNEXTLINE(readability-function-size): as above */
static apr_status_t filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    cgwm_gate *gate = f->ctx;
    apr_status_t rv = gate->broken;

    if (rv == APR_SUCCESS) {
        APR_BRIGADE_CONCAT(gate->held, bb);
        if (!gate->closed || length_of(gate->held) > HELD_MOST) {
            return let_go(gate);
        }
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

static void count_quick(cgwm_gate *gate)
{
    if (gate->pause_ms > QUICK_PAUSE_MS) {
        gate->quick = 0;
    }
    else if (gate->quick < QUICK_PIECES) {
        gate->quick++;
    }
}

int cgwm_gate_has_room(cgwm_gate *gate)
{
    apr_size_t before = gate->underway;
    int has_room;

    if (!gate->broken && gate->underway >= ROOM) {
        gate->broken = pass_out(gate); /* nothing: mod_http2 tells what has gone */
    }
    gate->has_moved = gate->underway != before;
    if (gate->has_moved && gate->underway < ROOM) {
        count_quick(gate);
    }
    if (!gate->broken && gate->underway < ROOM) {
        gate->broken = pass_held(gate);
    }
    if (gate->broken) {
        apr_brigade_cleanup(gate->held);
    }
    has_room = gate->broken
               || (APR_BRIGADE_EMPTY(gate->held) && gate->underway < ROOM);
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

static apr_status_t forget_pool(void *data)
{
    ((cgwm_gate *)data)->pool = NULL;
    return APR_SUCCESS;
}

/* Older versions of mod_http2 use the connection for several streams, one after
 * another. */
static void remember_pool(cgwm_gate *gate, const request_rec *r)
{
    while (r->main) {
        r = r->main;
    }
    if (gate->pool != r->pool) {
        gate->pool = r->pool;
        apr_pool_cleanup_register(r->pool, gate, forget_pool, apr_pool_cleanup_null);
    }
}

cgwm_gate *cgwm_gate_close(request_rec *r, int may_store)
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
    remember_pool(gate, r);
    gate->may_store = may_store;
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
