/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGW_SCOREBOARD_H
#define CGW_SCOREBOARD_H

/*
 * What each request thread of a worker does, for whoever wants to look: one
 * memfd per worker, made by the supervisor, sealed against shrinking and
 * growing (so that looking never ends in SIGBUS), handed over with FORK or
 * SERVE, mapped by both.
 *
 * The worker writes it without locks and without system calls: each slot has
 * one writer, its thread (and one field of the watchdog), and every field is
 * atomic, relaxed. The supervisor
 * only reads, and trusts nothing: the application runs in the same address
 * space, so that any value may be nonsense. cgw_slot_read() bounds what can be
 * bounded; text is for cgwd_log_escape() or the like before it is shown.
 *
 * Times are those of cgw_clock_us(). Implemented in common/scoreboard.c, libc
 * only.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* X(symbol, name) */
#define CGW_SLOT_STATES(X)                                                    \
    X(ABSENT, "absent")         /* no thread yet, or no more */               \
    X(IDLE, "idle")             /* accepts, or waits for its turn to */       \
    X(RECEIVING, "receiving")   /* accepted, REQUEST is not complete */       \
    X(LOCKING, "locking")       /* waits for the interpreter lock */          \
    X(RUNNING, "running")       /* in the application */                      \
    X(CLIENT, "client")         /* the same, waits for the client */

enum cgw_slot_state {
#define X(sym, name) CGW_SLOT_##sym,
    CGW_SLOT_STATES(X)
#undef X
    CGW_SLOT_STATE_COUNT
};
/* "unknown" for one that is none */
const char *cgw_slot_state_name(unsigned state);

#define CGW_SLOT_FAILURES 16    /* counters by enum cgw_fail_kind */
#define CGW_SLOT_TEXT 256       /* "GET /path?query", cut, NUL at its end */
#define CGW_BUCKETS 90

/* Four counts for each power of two: bucket 0 holds what took less than 32 us, bucket
 * n what took cgw_bucket_low(n) or longer, the last one all from 134 s on. */
struct cgw_histogram {
    _Atomic uint64_t count[CGW_BUCKETS];
};

struct cgw_slot {
    _Alignas(64) _Atomic uint32_t sequence; /* odd while text changes */
    _Atomic uint32_t state;     /* enum cgw_slot_state */
    _Atomic int32_t tid;        /* the kernel's, 0: no thread */
    _Atomic uint64_t id;        /* of the request, as REQUEST has it */
    _Atomic uint64_t started;   /* when it was received, 0: no request */
    _Atomic uint64_t deadline;  /* 0: none */
    _Atomic uint64_t lock_since; /* waits for the interpreter since, 0: no */
    _Atomic uint64_t ended;     /* the last request, 0: there was none */
    _Atomic uint64_t sent;      /* by httpd: the last one received; 0: none */
    _Atomic uint64_t text[CGW_SLOT_TEXT / 8];

    /* since the thread began */
    _Atomic uint64_t requests;  /* that ended, well or not */
    _Atomic uint64_t bytes;     /* of response bodies */
    _Atomic uint64_t busy;      /* us, of those requests */
    _Atomic uint64_t failures[CGW_SLOT_FAILURES];
    struct cgw_histogram latency;   /* received to sent */
    struct cgw_histogram queue;     /* sent by httpd to received */

    /* The watchdog's, which writes this alone. */
    _Atomic uint64_t watched;   /* when it last looked at a request here */
};
_Static_assert(sizeof(struct cgw_slot) == 1920, "no two threads share a line");

/* A slot per thread: both sides know how many there are. */
struct cgw_scoreboard;

size_t cgw_scoreboard_size(unsigned threads);
/* A new one, sealed, close-on-exec. -1: errno. */
int cgw_scoreboard_create(unsigned threads);
/* NULL: errno, EINVAL where fd has not the right size or seals. fd may be
 * closed afterwards. */
struct cgw_scoreboard *cgw_scoreboard_map(int fd, unsigned threads,
                                          int writable);
void cgw_scoreboard_unmap(struct cgw_scoreboard *board, unsigned threads);
/* In a child that the application forked: keep what it does to itself. */
void cgw_scoreboard_detach(struct cgw_scoreboard *board, unsigned threads);
/* n < threads */
struct cgw_slot *cgw_scoreboard_slot(struct cgw_scoreboard *board, unsigned n);

/* ---- writing, by the slot's thread only ----------------------------------- */

void cgw_slot_set_text(struct cgw_slot *slot, const char *method,
                       size_t method_len, const char *uri, size_t uri_len);
unsigned cgw_bucket(uint64_t us);
/* Where a bucket begins, in us; also of CGW_BUCKETS, which there is not. */
static inline uint64_t cgw_bucket_low(unsigned bucket)
{
    return bucket ? (uint64_t)(4 + (bucket - 1) % 4) << ((bucket - 1) / 4 + 3) : 0;
}

#define CGW_SLOT_SET(slot, field, value)                                      \
    atomic_store_explicit(&(slot)->field, value, memory_order_relaxed)
#define CGW_SLOT_GET(slot, field)                                             \
    atomic_load_explicit(&(slot)->field, memory_order_relaxed)
/* There is one writer: no locked instruction is needed. */
#define CGW_SLOT_ADD(slot, field, n)                                          \
    CGW_SLOT_SET(slot, field, CGW_SLOT_GET(slot, field) + (n))

/* ---- reading --------------------------------------------------------------- */

/* A slot at one moment. */
struct cgw_slot_view {
    unsigned state;             /* < CGW_SLOT_STATE_COUNT */
    int32_t tid;
    uint64_t id, started, deadline, lock_since, ended, sent;
    char text[CGW_SLOT_TEXT];   /* NUL-terminated; "" while it changes */
};
void cgw_slot_read(const struct cgw_slot *slot, struct cgw_slot_view *out);

/* The counters of any number of slots, added up. */
struct cgw_totals {
    uint64_t requests, bytes, busy;
    uint64_t failures[CGW_SLOT_FAILURES];
    uint64_t latency[CGW_BUCKETS], queue[CGW_BUCKETS];
};
/* Adds those of a worker. */
void cgw_scoreboard_total(const struct cgw_scoreboard *board, unsigned threads,
                          struct cgw_totals *totals);
/* How many threads are with a request (RECEIVING and later). */
unsigned cgw_scoreboard_busy(const struct cgw_scoreboard *board,
                             unsigned threads);

#endif
