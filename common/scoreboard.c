/* SPDX-License-Identifier: Apache-2.0 */

#include "cgw_scoreboard.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
/* A writer is done within nanoseconds, unless it lost its processor. */
#define READ_TRIES 3

const char *cgw_slot_state_name(unsigned state)
{
    switch (state) {
#define X(sym, name) case CGW_SLOT_##sym: return name;
    CGW_SLOT_STATES(X)
#undef X
    default: return "unknown";
    }
}

/* ---- memory ---------------------------------------------------------------- */

size_t cgw_scoreboard_size(unsigned threads)
{
    return threads * sizeof(struct cgw_slot);
}

int cgw_scoreboard_create(unsigned threads)
{
    int fd = memfd_create("cgateway-scoreboard", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int error;

    if (fd < 0) {
        return -1;
    }
    if (ftruncate(fd, (off_t)cgw_scoreboard_size(threads)) == 0
        && fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) == 0) {
        return fd;
    }
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

struct cgw_scoreboard *cgw_scoreboard_map(int fd, unsigned threads, int writable)
{
    size_t size = cgw_scoreboard_size(threads);
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;
    struct cgw_scoreboard *map;

    if (seals < 0 || fstat(fd, &st) < 0) {
        return NULL;
    }
    if ((seals & SEALS) != SEALS || st.st_size != (off_t)size || size == 0) {
        errno = EINVAL;
        return NULL;
    }
    map = mmap(NULL, size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED,
               fd, 0);
    return map == MAP_FAILED ? NULL : map;
}

void cgw_scoreboard_unmap(struct cgw_scoreboard *board, unsigned threads)
{
    if (board) {
        munmap(board, cgw_scoreboard_size(threads));
    }
}

void cgw_scoreboard_detach(struct cgw_scoreboard *board, unsigned threads)
{
    if (board) {
        /* where there is no memory for it, the child counts with its parent */
        (void)mmap(board, cgw_scoreboard_size(threads), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
}

struct cgw_slot *cgw_scoreboard_slot(struct cgw_scoreboard *board, unsigned n)
{
    return (struct cgw_slot *)board + n;
}

static const struct cgw_slot *slot_of(const struct cgw_scoreboard *board,
                                      unsigned n)
{
    return (const struct cgw_slot *)board + n;
}

/* ---- writing ---------------------------------------------------------------- */

unsigned cgw_bucket(uint64_t us)
{
    unsigned power = us ? 63 - (unsigned)__builtin_clzll(us) : 0;
    unsigned bucket = us < 32 ? 0
                              : 1 + (power - 5) * 4 + (unsigned)(us >> (power - 2) & 3);

    return bucket < CGW_BUCKETS ? bucket : CGW_BUCKETS - 1;
}

static size_t append(char *to, size_t at, const char *bytes, size_t len)
{
    size_t room = CGW_SLOT_TEXT - 1 - at;
    size_t n = len < room ? len : room;

    memcpy(to + at, bytes, n);
    return at + n;
}

/* The readers see whole words, and by the sequence whether all are of one
 * text (a seqlock; its fences cost nothing on x86). */
void cgw_slot_set_text(struct cgw_slot *slot, const char *method,
                       size_t method_len, const char *uri, size_t uri_len)
{
    char text[CGW_SLOT_TEXT];
    uint32_t sequence = CGW_SLOT_GET(slot, sequence);
    size_t len = append(text, 0, method, method_len);
    size_t words;

    len = append(text, len, " ", 1);
    len = append(text, len, uri, uri_len);
    words = len / 8 + 1;
    memset(text + len, 0, words * 8 - len);
    CGW_SLOT_SET(slot, sequence, sequence + 1);
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < words; i++) {
        uint64_t word;
        memcpy(&word, text + i * 8, 8);
        CGW_SLOT_SET(slot, text[i], word);
    }
    atomic_store_explicit(&slot->sequence, sequence + 2, memory_order_release);
}

/* ---- reading ---------------------------------------------------------------- */

static int read_text(const struct cgw_slot *slot, char *out)
{
    uint32_t before = atomic_load_explicit(&slot->sequence, memory_order_acquire);

    for (size_t i = 0; i < CGW_SLOT_TEXT / 8; i++) {
        uint64_t word = CGW_SLOT_GET(slot, text[i]);
        memcpy(out + i * 8, &word, 8);
    }
    atomic_thread_fence(memory_order_acquire);
    return before % 2 == 0 && CGW_SLOT_GET(slot, sequence) == before;
}

void cgw_slot_read(const struct cgw_slot *slot, struct cgw_slot_view *out)
{
    int tries = 1;

    out->state = CGW_SLOT_GET(slot, state);
    if (out->state >= CGW_SLOT_STATE_COUNT) {
        out->state = CGW_SLOT_ABSENT;
    }
    out->tid = CGW_SLOT_GET(slot, tid);
    out->id = CGW_SLOT_GET(slot, id);
    out->started = CGW_SLOT_GET(slot, started);
    out->deadline = CGW_SLOT_GET(slot, deadline);
    out->lock_since = CGW_SLOT_GET(slot, lock_since);
    out->ended = CGW_SLOT_GET(slot, ended);
    out->sent = CGW_SLOT_GET(slot, sent);
    while (!read_text(slot, out->text)) {
        if (tries++ == READ_TRIES) {
            out->text[0] = '\0';
            break;
        }
    }
    out->text[CGW_SLOT_TEXT - 1] = '\0';
}

static void add_slot(const struct cgw_slot *slot, struct cgw_totals *totals)
{
    totals->requests += CGW_SLOT_GET(slot, requests);
    totals->bytes += CGW_SLOT_GET(slot, bytes);
    totals->busy += CGW_SLOT_GET(slot, busy);
    for (int i = 0; i < CGW_SLOT_FAILURES; i++) {
        totals->failures[i] += CGW_SLOT_GET(slot, failures[i]);
    }
    for (int i = 0; i < CGW_BUCKETS; i++) {
        totals->latency[i] += CGW_SLOT_GET(slot, latency.count[i]);
        totals->queue[i] += CGW_SLOT_GET(slot, queue.count[i]);
    }
}

void cgw_scoreboard_total(const struct cgw_scoreboard *board, unsigned threads,
                          struct cgw_totals *totals)
{
    for (unsigned i = 0; i < threads; i++) {
        add_slot(slot_of(board, i), totals);
    }
}

unsigned cgw_scoreboard_busy(const struct cgw_scoreboard *board, unsigned threads)
{
    unsigned n = 0;

    for (unsigned i = 0; i < threads; i++) {
        uint32_t state = CGW_SLOT_GET(slot_of(board, i), state);
        n += state >= CGW_SLOT_RECEIVING && state < CGW_SLOT_STATE_COUNT;
    }
    return n;
}
