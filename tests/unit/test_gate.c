/* SPDX-License-Identifier: Apache-2.0 */
/* The gate of an HTTP/2 stream before a mod_http2 that holds what its client has not
 * taken, and counts whenever a thread would have to wait for it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "apr_portable.h"

#include "module/gate.c"

#define MAX_MEM ((apr_size_t)32 * 1024) /* H2StreamMaxMemSize */

module AP_MODULE_DECLARE_DATA cgateway_module;

static struct stage {
    apr_pool_t *connection, *request;
    conn_rec c, master;
    request_rec r;
    void *config;                       /* the module's, of the connection */
    ap_filter_t gate_filter, next;
    apr_bucket_brigade *sent, *taken;   /* mod_http2's */
    apr_status_t broken;                /* what mod_http2 says */
    int waits;
    apr_size_t longest;                 /* bucket in memory */
    apr_size_t flushes[32];             /* how many bytes came before each */
    int flush_count;
    cgwm_gate *gate;
} stage;

/* ---- what httpd does for the gate ---- */

ap_filter_rec_t *ap_register_output_filter(const char *name, ap_out_filter_func func,
                                           ap_init_filter_func init, ap_filter_type type)
{
    (void)name;
    (void)func;
    (void)init;
    (void)type;
    return NULL;
}

ap_filter_t *ap_add_output_filter(const char *name, void *ctx, request_rec *r, conn_rec *c)
{
    (void)name;
    (void)r;
    stage.gate_filter.ctx = ctx;
    stage.gate_filter.c = c;
    stage.gate_filter.next = &stage.next;
    return &stage.gate_filter;
}

apr_status_t ap_save_brigade(ap_filter_t *f, apr_bucket_brigade **save_to,
                             apr_bucket_brigade **b, apr_pool_t *p)
{
    (void)f;
    for (apr_bucket *e = APR_BRIGADE_FIRST(*b); e != APR_BRIGADE_SENTINEL(*b);
         e = APR_BUCKET_NEXT(e)) {
        apr_bucket_setaside(e, p);
    }
    APR_BRIGADE_CONCAT(*save_to, *b);
    return APR_SUCCESS;
}

/* A worker's file is another module's affair. */
int cgwm_file_is(const apr_bucket *b)
{
    (void)b;
    return 0;
}

apr_status_t cgwm_file_make_plain(apr_bucket **b, apr_pool_t *p)
{
    (void)b;
    (void)p;
    return APR_SUCCESS;
}

static apr_size_t in_memory(const apr_bucket_brigade *bb)
{
    apr_size_t n = 0;

    for (apr_bucket *b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb);
         b = APR_BUCKET_NEXT(b)) {
        n += APR_BUCKET_IS_FILE(b) ? 0 : b->length;
    }
    return n;
}

/* mod_http2 deletes what its client has taken when something is sent (h2_beam_send). */
apr_status_t ap_pass_brigade(ap_filter_t *f, apr_bucket_brigade *bb)
{
    assert_ptr_equal(f, &stage.next);
    apr_brigade_cleanup(stage.taken);
    if (stage.broken) {
        return stage.broken;
    }
    while (!APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *b = APR_BRIGADE_FIRST(bb);
        if (!APR_BUCKET_IS_METADATA(b) && in_memory(stage.sent) >= MAX_MEM) {
            stage.waits++;
        }
        if (!APR_BUCKET_IS_FILE(b) && b->length > stage.longest) {
            stage.longest = b->length;
        }
        APR_BUCKET_REMOVE(b);
        apr_bucket_setaside(b, stage.connection);
        APR_BRIGADE_INSERT_TAIL(stage.sent, b);
    }
    return APR_SUCCESS;
}

/* ---- the stage ---- */

static int set_up(void **state)
{
    (void)state;
    memset(&stage, 0, sizeof(stage));
    apr_pool_create(&stage.connection, NULL);
    apr_pool_create(&stage.request, stage.connection);
    stage.c = (conn_rec){.pool = stage.connection, .master = &stage.master,
                         .conn_config = (ap_conf_vector_t *)&stage.config,
                         .bucket_alloc = apr_bucket_alloc_create(stage.connection)};
    stage.r = (request_rec){.pool = stage.request, .connection = &stage.c};
    stage.sent = apr_brigade_create(stage.connection, stage.c.bucket_alloc);
    stage.taken = apr_brigade_create(stage.connection, stage.c.bucket_alloc);
    stage.gate = cgwm_gate_close(&stage.r, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    apr_pool_destroy(stage.connection);
    return 0;
}

static char letter(apr_size_t at)
{
    return (char)('a' + at % 23);
}

/* So many bytes of the response from `from` on, and `end` behind them. */
static apr_status_t respond(apr_size_t from, apr_size_t len, apr_bucket *end)
{
    apr_bucket_brigade *bb = apr_brigade_create(stage.request, stage.c.bucket_alloc);

    for (apr_size_t at = from; at < from + len;) {
        apr_size_t n = from + len - at < 8000 ? from + len - at : 8000;
        char *data = apr_bucket_alloc(n, stage.c.bucket_alloc);
        for (apr_size_t i = 0; i < n; i++) {
            data[i] = letter(at + i);
        }
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_heap_create(data, n, apr_bucket_free,
                                                           stage.c.bucket_alloc));
        at += n;
    }
    if (end) {
        APR_BRIGADE_INSERT_TAIL(bb, end);
    }
    return filter(&stage.gate_filter, bb);
}

/* The client takes so many buckets of what mod_http2 has; *at: which byte of the
 * response is next. */
static void take_some(apr_size_t *at, int buckets)
{
    while (!APR_BRIGADE_EMPTY(stage.sent) && buckets-- > 0) {
        apr_bucket *b = APR_BRIGADE_FIRST(stage.sent);
        const char *data;
        apr_size_t len;
        assert_int_equal(apr_bucket_read(b, &data, &len, APR_BLOCK_READ), APR_SUCCESS);
        for (apr_size_t i = 0; i < len; i++) {
            assert_int_equal(data[i], letter((*at)++));
        }
        if (APR_BUCKET_IS_FLUSH(b) && stage.flush_count < 32) {
            stage.flushes[stage.flush_count++] = *at;
        }
        APR_BUCKET_REMOVE(b);
        APR_BRIGADE_INSERT_TAIL(stage.taken, b);
    }
}

static void take_all(apr_size_t *at)
{
    take_some(at, INT_MAX);
}

static apr_bucket *eos(void)
{
    return apr_bucket_eos_create(stage.c.bucket_alloc);
}

/* ---- while the worker goes on ---- */

static void a_client_that_does_not_read_lets_nobody_wait(void **state)
{
    (void)state;
    for (apr_size_t at = 0; at < 400000; at += 50000) {
        assert_int_equal(respond(at, 50000, NULL), APR_SUCCESS);
    }
    assert_int_equal(stage.waits, 0);
    assert_true(in_memory(stage.sent) <= PIECE);
    assert_true(cgwm_gate_holds(stage.gate));
    assert_false(cgwm_gate_has_room(stage.gate));
    assert_false(cgwm_gate_has_moved(stage.gate));
}

static void it_is_looked_at_more_and_more_rarely(void **state)
{
    int last = 0;

    (void)state;
    respond(0, 100000, NULL);
    for (int look = 0; look < 10; look++) {
        cgwm_gate_has_room(stage.gate);
        assert_true(cgwm_gate_pause(stage.gate) >= last);
        last = cgwm_gate_pause(stage.gate);
    }
    assert_int_equal(last, PAUSE_LONGEST_MS);
    apr_size_t at = 0;
    take_all(&at);
    cgwm_gate_has_room(stage.gate);
    assert_true(cgwm_gate_has_moved(stage.gate));
    assert_int_equal(cgwm_gate_pause(stage.gate), 1);
}

static void a_client_that_reads_gets_everything_in_order(void **state)
{
    apr_size_t at = 0;

    (void)state;
    respond(0, 300001, NULL);
    while (at < 300001) {
        take_all(&at);
        cgwm_gate_has_room(stage.gate);
    }
    assert_int_equal(at, 300001);
    assert_true(cgwm_gate_has_room(stage.gate));
    assert_int_equal(cgwm_gate_pause(stage.gate), 0);
    assert_int_equal(stage.waits, 0);
}

static void a_client_that_reads_soon_gets_longer_pieces(void **state)
{
    apr_size_t at = 0;

    (void)state;
    respond(0, 900000, NULL);
    while (at < (QUICK_PIECES - 1) * PIECE) {
        take_all(&at);
        cgwm_gate_has_room(stage.gate);
    }
    assert_int_equal(stage.longest, PIECE);
    while (at < 900000) {
        take_all(&at);
        cgwm_gate_has_room(stage.gate);
    }
    assert_int_equal(stage.longest, PIECE_LONGEST);
    respond(at, 200000, NULL);
    while (cgwm_gate_pause(stage.gate) < PAUSE_LONGEST_MS) {
        cgwm_gate_has_room(stage.gate);
    }
    take_all(&at);
    stage.longest = 0;
    cgwm_gate_has_room(stage.gate);
    assert_int_equal(stage.longest, PIECE);
}

static void metadata_keeps_its_place(void **state)
{
    apr_size_t at = 0;

    (void)state;
    respond(0, 10, apr_bucket_flush_create(stage.c.bucket_alloc));
    respond(10, 100000, apr_bucket_flush_create(stage.c.bucket_alloc));
    respond(100010, 10, NULL);
    while (at < 100020) {
        take_all(&at);
        cgwm_gate_has_room(stage.gate);
    }
    assert_int_equal(stage.flushes[0], 10);
    assert_int_equal(stage.flushes[1], 10 + PIECE); /* nothing follows before it has gone */
    assert_int_equal(stage.flushes[stage.flush_count - 1], 100010);
}

static void a_stream_that_is_given_up_is_told_once(void **state)
{
    (void)state;
    respond(0, 100000, NULL);
    stage.broken = APR_ECONNABORTED;
    assert_true(cgwm_gate_has_room(stage.gate)); /* what comes meets the error */
    assert_false(cgwm_gate_holds(stage.gate));
    assert_int_equal(respond(100000, 10, NULL), APR_ECONNABORTED);
    stage.broken = APR_SUCCESS;
    assert_int_equal(respond(0, 0, eos()), APR_SUCCESS);
}

/* ---- once it is over ---- */

static void check_the_end(apr_size_t size)
{
    apr_size_t at = 0;

    respond(0, size / 2, NULL);
    cgwm_gate_open(stage.gate);
    assert_int_equal(respond(size / 2, size - size / 2, eos()), APR_SUCCESS);
    assert_int_equal(stage.waits, 0);
    assert_false(cgwm_gate_holds(stage.gate));
    assert_true(APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(stage.sent)));
    take_all(&at);
    assert_int_equal(at, size);
}

static void whatever_is_left_goes_at_once(void **state)
{
    static const apr_size_t sizes[] = {0, 1, 1000, 16000, 32000, 40000, 64000, 66000,
                                       130000, 200000, 2000000};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        check_the_end(sizes[i]);
        tear_down(state);
        set_up(state);
    }
}

static void check_the_end_without_files(void)
{
    apr_size_t at = 0;

    respond(0, 100000, NULL);
    cgwm_gate_open(stage.gate);
    assert_int_equal(respond(100000, 100000, eos()), APR_SUCCESS);
    assert_true(stage.waits > 0);
    take_all(&at);
    assert_int_equal(at, 200000);
}

static void a_thread_that_may_not_store_waits_and_loses_nothing(void **state)
{
    (void)state;
    stage.gate->may_store = 0;
    check_the_end_without_files();
}

static void so_does_one_whose_request_is_over(void **state)
{
    (void)state;
    stage.gate->pool = NULL;
    check_the_end_without_files();
}

/* As on a full disk: the file can be made, and takes nothing. */
static void so_does_one_that_finds_no_space(void **state)
{
    struct rlimit limit, none;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    check_the_end_without_files();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, SIG_DFL);
}

static void the_gate_of_a_page_within_a_page_opens_with_the_outer_one(void **state)
{
    apr_size_t at = 0;
    request_rec inner = {.pool = stage.request, .connection = &stage.c, .main = &stage.r};

    (void)state;
    respond(0, 100000, NULL);
    assert_ptr_equal(cgwm_gate_close(&inner, 1), stage.gate);
    respond(100000, 50000, NULL);
    cgwm_gate_open(stage.gate);
    assert_int_equal(respond(150000, 50000, NULL), APR_SUCCESS);
    assert_true(cgwm_gate_holds(stage.gate));
    cgwm_gate_open(stage.gate);
    assert_int_equal(respond(200000, 10, eos()), APR_SUCCESS);
    assert_int_equal(stage.waits, 0);
    take_all(&at);
    assert_int_equal(at, 200010);
}

static void what_is_held_has_a_bound(void **state)
{
    apr_size_t at = 0;

    (void)state;
    respond(0, HELD_MOST + 200000, NULL);
    assert_false(cgwm_gate_holds(stage.gate));
    assert_int_equal(stage.waits, 0);
    take_all(&at);
    assert_int_equal(at, HELD_MOST + 200000);
}

static void the_pool_of_a_request_that_is_over_is_not_used(void **state)
{
    (void)state;
    cgwm_gate_open(stage.gate);
    assert_ptr_equal(stage.gate->pool, stage.request);
    apr_pool_destroy(stage.request);
    assert_null(stage.gate->pool);
    apr_pool_create(&stage.request, stage.connection);
    stage.r.pool = stage.request;
    assert_ptr_equal(cgwm_gate_close(&stage.r, 1), stage.gate);
    assert_ptr_equal(stage.gate->pool, stage.request);
}

/* Any sequence of what the worker says, looks, and what the client takes. */
static void nothing_is_lost_or_waited_for_in_any_order(void **state)
{
    for (unsigned seed = 0; seed < 300; seed++) {
        apr_size_t said = 0, at = 0;
        srand(seed);
        for (int step = 0; step < 60; step++) {
            apr_size_t n = (apr_size_t)(rand() % 4 ? rand() % 3000 : rand() % 150000);
            switch (rand() % 4) {
            case 0:
                respond(said, n, rand() % 2 ? apr_bucket_flush_create(
                                                  stage.c.bucket_alloc) : NULL);
                said += n;
                break;
            case 1:
                take_some(&at, rand() % 3);
                break;
            default:
                cgwm_gate_has_room(stage.gate);
            }
        }
        cgwm_gate_open(stage.gate);
        respond(said, 100, eos());
        assert_true(APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(stage.sent)));
        take_all(&at);
        assert_int_equal(at, said + 100);
        assert_int_equal(stage.waits, 0);
        tear_down(state);
        set_up(state);
    }
}

static void without_http_2_there_is_none(void **state)
{
    (void)state;
    stage.c.master = NULL;
    assert_null(cgwm_gate_close(&stage.r, 1));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_client_that_does_not_read_lets_nobody_wait),
        TEST(it_is_looked_at_more_and_more_rarely),
        TEST(a_client_that_reads_gets_everything_in_order),
        TEST(a_client_that_reads_soon_gets_longer_pieces),
        TEST(metadata_keeps_its_place),
        TEST(a_stream_that_is_given_up_is_told_once),
        TEST(whatever_is_left_goes_at_once),
        TEST(a_thread_that_may_not_store_waits_and_loses_nothing),
        TEST(so_does_one_whose_request_is_over),
        TEST(so_does_one_that_finds_no_space),
        TEST(the_gate_of_a_page_within_a_page_opens_with_the_outer_one),
        TEST(what_is_held_has_a_bound),
        TEST(the_pool_of_a_request_that_is_over_is_not_used),
        TEST(nothing_is_lost_or_waited_for_in_any_order),
        TEST(without_http_2_there_is_none)};

    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
