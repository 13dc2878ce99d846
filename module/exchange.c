/* SPDX-License-Identifier: Apache-2.0 */

#include "exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "apr_portable.h"
#include "apr_strings.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"

#include "cgw_clock.h"
#include "cgw_closer.h"
#include "cgw_log.h"
#include "cgw_wire.h"
#include "drain.h"
#include "gate.h"
#include "inbox.h"
#include "notes.h"
#include "patience.h"
#include "queue.h"
#include "response.h"

APLOG_USE_MODULE(cgateway);

/* Where the client's socket cannot be waited for (HTTP/2 streams), and where
 * mod_reqtimeout must get its turn: how often the body is asked for. */
#define STREAM_POLL_MS 10
#define STREAM_VAIN_POLLS 50
#define REQTIMEOUT_POLL_MS 500
/* httpd closes the client's socket under a thread when it is told to stop or
 * restart, and waits for the thread. */
#define STOP_POLL_MS 1000
/* How often an HTTP/2 stream is looked at for whether its client gave it up. */
#define STREAM_ABORT_POLL_MS 100
/* A client that ends its direction may still read (nc -N): so long its request
 * may wait for a worker before it counts as given up. */
#define HALF_CLOSED_GRACE apr_time_from_msec(100)
/* So much the kernel takes, and gives, in one piece. */
#define ONE_PIECE 16384
/* A worker returns a request that it has had for a while. So many times it may come
 * back sooner than any worker's watchdog sends it. */
#define RETURN_SOONEST_US 20000
#define RETURNS_MAX 8

typedef struct exchange {
    request_rec *r;
    const cgwm_group *group;
    cgwm_environ_args args;
    cgwm_place place;           /* in the group's queue */
    cgwm_patience patience;     /* with the worker */
    cgwm_body *body;
    cgwm_inbox *inbox;
    cgwm_outbox *outbox;
    cgwm_response response;
    int fd;                     /* to the worker, -1: none */
    apr_time_t begun, ended;    /* the latest attempt */
    uint64_t joined;            /* the queue, in it; cgw_clock_us() */
    int client_fd;              /* -1: not a socket of this connection's own */
    cgwm_gate *gate;            /* of an HTTP/2 stream, else NULL */

    /* being sent: a frame header or the whole REQUEST, then body bytes */
    struct cgw_buf request;
    uint8_t header[CGW_FRAME_HEADER_SIZE];
    struct iovec out[2];
    int body_sent;              /* BODY_END is on its way, or none is due */
    int write_closed;           /* the worker takes no more */
    apr_time_t waiting_since;   /* for the client to move, 0: not at all */
    apr_time_t half_closed_at;  /* the client ended its direction, or broke off
                                   its body; 0: not yet */
    int body_status;            /* the body broke off: what httpd answers */
    int client_writable;        /* the client took what it got so far */
    int vain_polls;             /* of an HTTP/2 stream's body, one after another */
    int worker_ready;           /* the worker said something, or ended */
} exchange;

/* ---- connect -------------------------------------------------------------- */

static int no_connection(const exchange *x, int err)
{
    return err == EAGAIN ? cgwm_queue_refuse_full(x->r, x->group)
                         : cgwm_queue_refuse_lost(x->r, x->group, err);
}

/* ---- to the worker --------------------------------------------------------- */

static int is_sending(const exchange *x)
{
    return x->out[0].iov_len || x->out[1].iov_len;
}

static void advance(exchange *x, size_t n)
{
    for (int i = 0; i < 2; i++) {
        size_t part = n < x->out[i].iov_len ? n : x->out[i].iov_len;
        x->out[i].iov_base = (char *)x->out[i].iov_base + part;
        x->out[i].iov_len -= part;
        n -= part;
    }
}

/* Sends what the socket takes. A worker that has answered and closed need not
 * read the rest: what it said is still to be received. */
static void send_some(exchange *x)
{
    struct msghdr hdr = {.msg_iov = x->out, .msg_iovlen = 2};
    ssize_t n;

    while (is_sending(x) && !x->write_closed) {
        n = sendmsg(x->fd, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0) {
            advance(x, (size_t)n);
        }
        else if (errno == EAGAIN) {
            return;
        }
        else if (errno != EINTR) {
            x->write_closed = 1;
        }
    }
}

static void start_frame(exchange *x, uint8_t type, const char *data, size_t len)
{
    cgw_frame_encode(x->header, type, 0, (uint32_t)len);
    x->out[0].iov_base = x->header;
    x->out[0].iov_len = sizeof(x->header);
    x->out[1].iov_base = (char *)(intptr_t)data;
    x->out[1].iov_len = len;
}

/* The client broke off its body. The application must not take what it has
 * for all of it: the end of what httpd writes comes before BODY_END. */
static void abort_body(exchange *x, int status)
{
    x->body_status = status;
    x->response.body_broken = 1;
    x->body_sent = 1;
    if (!x->half_closed_at) {
        x->half_closed_at = (apr_time_t)cgw_clock_us();
    }
}

/* Takes up the next part of the body once the last one has gone. Returns 1
 * where only the client can bring things on. */
static int next_part(exchange *x)
{
    const char *data;
    apr_size_t len;
    int status = 0;
    apr_status_t rv = cgwm_body_peek(x->body, &data, &len, &status);

    if (APR_STATUS_IS_EAGAIN(rv)) {
        x->vain_polls += x->vain_polls < STREAM_VAIN_POLLS;
        return 1;
    }
    x->waiting_since = 0;
    x->vain_polls = 0;
    if (rv != APR_SUCCESS) {
        abort_body(x, status);
        return 0;
    }
    start_frame(x, len ? CGW_FRAME_BODY : CGW_FRAME_BODY_END, data, len);
    x->body_sent = len == 0;
    return 0;
}

/* The worker wants no more of the body. It is read all the same: a client may
 * send all of it before it looks at the response. */
static int drop_body(exchange *x)
{
    const char *data;
    apr_size_t len = 1;
    int status = 0;

    if (x->out[1].iov_base) {
        x->out[1].iov_base = NULL;
        cgwm_body_consume(x->body);
    }
    x->out[0].iov_len = x->out[1].iov_len = 0;
    while (!x->body_sent) {
        apr_status_t rv = cgwm_body_peek(x->body, &data, &len, &status);
        if (APR_STATUS_IS_EAGAIN(rv)) {
            return 1;
        }
        x->waiting_since = 0;
        x->body_sent = rv != APR_SUCCESS || len == 0;
        if (!x->body_sent) {
            cgwm_body_consume(x->body);
        }
    }
    return 0;
}

/* Sends as much as there is and the worker takes. Returns 1 where it is the
 * client that must send first. */
static int pump_body(exchange *x)
{
    for (;;) {
        int had_body = x->out[1].iov_base != NULL;
        send_some(x);
        if (x->write_closed) {
            return drop_body(x);
        }
        if (is_sending(x)) {
            return 0;
        }
        if (had_body) {
            x->out[1].iov_base = NULL;
            cgwm_body_consume(x->body);
        }
        if (x->body_sent) {
            return 0;
        }
        if (next_part(x)) {
            return 1;
        }
        if (x->out[1].iov_len == 0) {
            x->out[1].iov_base = NULL;
        }
    }
}

/* All of a small body goes along with the request. */
static void attach_body(exchange *x)
{
    const char *data;
    apr_size_t len;
    int status;

    if (x->args.tell || !x->args.has_body
        || cgwm_body_peek(x->body, &data, &len, &status) != APR_SUCCESS) {
        return;
    }
    cgw_frame_encode(x->header, CGW_FRAME_BODY, CGW_FRAME_LAST, (uint32_t)len);
    cgw_buf_put(&x->request, x->header, sizeof(x->header));
    x->out[1].iov_base = len ? (char *)(intptr_t)data : NULL;
    x->out[1].iov_len = len;
    x->body_sent = 1;
}

/* Is the body one that lies in memory in one piece? */
static int is_body_small(exchange *x)
{
    const char *data;
    apr_size_t len;
    int status;

    return x->body->whole && x->body->read_ahead < ONE_PIECE / 2
           && cgwm_body_peek(x->body, &data, &len, &status) == APR_SUCCESS
           && (apr_off_t)len == x->body->read_ahead;
}

static void start_request(exchange *x)
{
    x->request.len = 0;
    x->args.sent_us = x->args.sent_us ? x->args.sent_us : cgw_clock_us();
    x->args.repeatable = x->body->whole;
    x->args.tell = x->args.has_body && !is_body_small(x);
    cgwm_environ_put(&x->request, x->r, &x->args);
    x->out[1].iov_base = NULL;
    x->out[1].iov_len = 0;
    x->body_sent = !x->args.has_body;
    attach_body(x);
    x->out[0].iov_base = x->request.data;
    x->out[0].iov_len = x->request.len;
    x->write_closed = 0;
    x->half_closed_at = 0;
    cgwm_place_take(&x->place, x->group, x->args.sent_us, x->args.tell);
    cgwm_patience_begin(&x->patience, x->args.deadline_ms);
}

/* ---- a client that goes away ------------------------------------------------- */

/* The worker is told by the end of its connection. */
static void give_up_client(exchange *x, const char *what)
{
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, x->r, "%s: the client %s",
                  x->group->spec->name, what);
    x->response.client_gone = 1;
}

/* All was sent, and the worker must be told once it is due. */
static int owes_half_close(const exchange *x)
{
    return x->half_closed_at && x->body_sent && !is_sending(x)
           && !x->write_closed;
}

/* At once where a worker has taken the request, so that it runs. One that still
 * waits is withdrawn after the grace. */
static void tell_half_close(exchange *x)
{
    if (cgwm_place_waits(&x->place, x->fd)) {
        if ((apr_time_t)cgw_clock_us() - x->half_closed_at >= HALF_CLOSED_GRACE) {
            give_up_client(x, "went away before a worker took its request, "
                              "which is not run");
        }
        return;
    }
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, x->r,
                  "%s: the client ended its direction before its response was "
                  "complete", x->group->spec->name);
    shutdown(x->fd, SHUT_WR); /* seen at once, whatever is unread before it */
    x->write_closed = 1;
}

/* ---- both ways -------------------------------------------------------------- */

/* Milliseconds until the worker must be told of a half-closed client. */
static int grace_left(const exchange *x)
{
    apr_time_t left = x->half_closed_at + HALF_CLOSED_GRACE - (apr_time_t)cgw_clock_us();

    return left > 0 ? (int)apr_time_as_msec(left) + 1 : 0;
}

/* A body that flows is asked for more often than one that has stopped. */
static int stream_poll(const exchange *x)
{
    return x->vain_polls < STREAM_VAIN_POLLS ? 1 : STREAM_POLL_MS;
}

/* Should the client take something? */
static int awaits_room(const exchange *x)
{
    return cgwm_response_is_due(&x->response)
           || (x->gate && cgwm_gate_holds(x->gate));
}

/* Milliseconds until a stream is looked at, which has no socket. */
static int stream_limit(const exchange *x, int awaits_client)
{
    int body = awaits_client ? stream_poll(x) : STREAM_ABORT_POLL_MS;
    int room = x->gate && awaits_room(x) ? cgwm_gate_pause(x->gate) : body;

    return room < body ? room : body;
}

/* Milliseconds that the client may be waited for. */
static int client_limit(const exchange *x, int awaits_client)
{
    if (x->client_fd < 0) {
        return stream_limit(x, awaits_client);
    }
    if (owes_half_close(x)) {
        return grace_left(x);
    }
    return awaits_client || cgwm_response_is_due(&x->response)
               ? REQTIMEOUT_POLL_MS : STOP_POLL_MS;
}

/* The earlier one; -1: never. */
static int earlier(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int wait_limit(const exchange *x, int awaits_client)
{
    return earlier(client_limit(x, awaits_client),
                   earlier(cgwm_place_left(&x->place),
                           cgwm_patience_next(&x->patience)));
}

/* Has the worker, which has said nothing, had the time that it may take, and more,
 * or is there none that takes the request? What has passed is the worker's where it
 * had the request at the last look. */
static void look_at_clock(exchange *x, int awaits_client)
{
    int counts = x->place.taken && !awaits_client && !cgwm_outbox_is_full(x->outbox);
    int waits = !x->worker_ready && cgwm_place_waits(&x->place, x->fd);
    int is_over;

    if (waits && cgwm_place_is_lost(&x->place, x->fd)) {
        x->response.late = 1;
        return;
    }
    is_over = cgwm_patience_is_over(&x->patience, counts);
    if (is_over && !x->worker_ready) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, x->r, CGW_LOGNO(0163)
                      "%s: the worker that has \"%s\" neither answered nor ended it "
                      "within CGatewayRequestTimeout (%u ms) and some more: it is "
                      "stopped, or the machine has no time for it",
                      x->group->spec->name, x->r->the_request,
                      x->args.deadline_ms);
        cgwm_response_give_up(&x->response, HTTP_GATEWAY_TIME_OUT);
    }
}

/* The client has neither sent nor taken anything: httpd's Timeout applies. */
static void count_wait(exchange *x, int awaits_client)
{
    apr_time_t now = (apr_time_t)cgw_clock_us();

    if (!x->waiting_since) {
        x->waiting_since = now;
    }
    if (now - x->waiting_since < x->r->server->timeout) {
        return;
    }
    if (!awaits_client) {
        give_up_client(x, "has taken nothing for Timeout");
    }
    else if (x->write_closed) {
        x->body_sent = 1;
    }
    else {
        abort_body(x, HTTP_REQUEST_TIME_OUT);
    }
}

static short client_events(const exchange *x, int awaits_client)
{
    return (short)((awaits_client ? POLLIN : 0)
                   | (cgwm_response_is_due(&x->response) ? POLLOUT : 0)
                   | (x->half_closed_at ? 0 : POLLRDHUP));
}

static short worker_events(const exchange *x)
{
    return (short)((cgwm_outbox_is_full(x->outbox) ? 0 : POLLIN)
                   | (is_sending(x) && !x->write_closed ? POLLOUT : 0));
}

/* Has the client of a stream moved? */
static void note_stream(exchange *x, int awaits_client)
{
    int awaits = awaits_room(x);

    x->client_writable = awaits && (!x->gate || cgwm_gate_has_room(x->gate));
    if (x->r->connection->aborted) {
        give_up_client(x, "gave up its stream");
    }
    else if (x->client_writable || (awaits && cgwm_gate_has_moved(x->gate))) {
        x->waiting_since = 0;
    }
    else if (awaits || awaits_client) {
        count_wait(x, awaits_client);
    }
}

/* Who moved? A client's socket with nothing asked of it reports a reset all
 * the same. An HTTP/2 stream has none. */
static void note_events(exchange *x, const struct pollfd *fds, int awaits_client)
{
    short client = fds[1].revents;

    x->worker_ready = fds[0].revents & ~POLLOUT;
    if (x->client_fd < 0) {
        note_stream(x, awaits_client);
        return;
    }
    if (client & POLLRDHUP) {
        x->half_closed_at = (apr_time_t)cgw_clock_us();
    }
    x->client_writable = client & POLLOUT;
    if (client & (POLLERR | POLLHUP | POLLNVAL)) {
        give_up_client(x, "reset its connection");
    }
    else if (client & (POLLIN | POLLOUT)) {
        x->waiting_since = 0;
    }
    else if (fds[1].events & (POLLIN | POLLOUT)) {
        count_wait(x, awaits_client);
    }
}

/* Waits until the worker or the client moves. */
static void wait_for_event(exchange *x, int awaits_client)
{
    struct pollfd fds[2] = {
        {.fd = x->fd, .events = worker_events(x)},
        {.fd = x->client_fd, .events = client_events(x, awaits_client)}};

    if (!fds[0].events) {
        fds[0].fd = -1;
    }
    if (poll(fds, 2, wait_limit(x, awaits_client)) < 0) {
        return; /* a signal */
    }
    note_events(x, fds, awaits_client);
    if (owes_half_close(x)) {
        tell_half_close(x);
    }
    look_at_clock(x, awaits_client);
}

/* Receives until the worker pauses (APR_EAGAIN then) or enough is there. */
static apr_status_t receive(exchange *x)
{
    apr_status_t rv;

    do {
        rv = cgwm_inbox_receive(x->inbox, x->fd);
        if (rv == APR_SUCCESS) {
            x->place.taken = 1;
            cgwm_response_take(&x->response);
        }
    } while (rv == APR_SUCCESS && x->response.state < CGWM_RESPONSE_COMPLETE
             && !cgwm_outbox_has_data(x->outbox));
    return rv;
}

static void close_worker(exchange *x)
{
    if (x->fd >= 0) {
        cgw_close_stream(x->fd);
        x->fd = -1;
    }
    x->write_closed = 1;
}

/* With the response complete the rest is httpd's, but for a client that first
 * wants to get rid of its body. */
static int is_over(const exchange *x)
{
    if (x->response.state != CGWM_RESPONSE_COMPLETE) {
        return x->response.state == CGWM_RESPONSE_FAILED || x->response.late
               || x->response.client_gone;
    }
    return x->body_sent || x->client_fd < 0 || x->response.client_gone
           || !cgwm_outbox_has_data(x->outbox);
}

/* An application that reads as much as CONTENT_LENGTH says, as most do, takes a body
 * without one to be empty, and nobody else would notice. */
static void tell_unread(const exchange *x)
{
    if (x->body_sent || x->body->whole || !ap_is_HTTP_SUCCESS(x->r->status)
        || apr_table_get(x->r->headers_in, "Content-Length")) {
        return;
    }
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, x->r, CGW_LOGNO(0141)
                  "%s: the application answered \"%s\" without reading all of the "
                  "body, which came in chunks, had no CONTENT_LENGTH and so may have "
                  "looked empty; raise CGatewayBodyBuffer above the size of such bodies",
                  x->group->spec->name, x->r->the_request);
}

/* Until the response is complete, failed, or the worker or client has gone. */
static void relay(exchange *x)
{
    while (!is_over(x)) {
        int awaits_client = pump_body(x);
        apr_status_t rv = APR_EAGAIN;

        x->worker_ready = x->client_writable = 0;
        wait_for_event(x, awaits_client);
        if (x->worker_ready) {
            rv = receive(x);
        }
        if (x->response.state == CGWM_RESPONSE_COMPLETE) {
            tell_unread(x);
            close_worker(x);
        }
        else if (rv != APR_SUCCESS && !APR_STATUS_IS_EAGAIN(rv)) {
            return;
        }
        if (x->client_writable && !is_over(x)) {
            cgwm_response_pass(&x->response, APR_STATUS_IS_EAGAIN(rv));
        }
    }
}

/* ---- ends -------------------------------------------------------------------- */

static int is_repeatable(const exchange *x)
{
    static const int safe[] = {M_GET, M_OPTIONS, M_TRACE};

    if (x->response.started || !x->body->whole
        || x->response.state == CGWM_RESPONSE_FAILED) {
        return 0;
    }
    for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++) {
        if (x->r->method_number == safe[i]) {
            return 1;
        }
    }
    return 0;
}

/* One attempt. Returns 0, or the HTTP status where no worker can be had. */
static int attempt(exchange *x)
{
    int err;

    start_request(x); /* first, so that a worker finds it once it has accepted */
    if (x->request.failed) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, x->r, CGW_LOGNO(0131)
                      "%s: the request's headers and variables are too large "
                      "to pass on", x->group->spec->name);
        return HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
    }
    x->begun = apr_time_now();
    x->joined = cgw_clock_us();
    err = cgwm_queue_join(x->group, &x->fd);
    if (err) {
        return no_connection(x, err);
    }
    relay(x);
    x->ended = apr_time_now();
    close_worker(x);
    return x->response.late ? cgwm_queue_refuse_late(x->r, x->group) : 0;
}

static int died_early(const exchange *x)
{
    return x->response.state == CGWM_RESPONSE_NONE && !x->response.client_gone
           && !x->body_status;
}

static void rewind_request(exchange *x)
{
    cgwm_inbox_reset(x->inbox);
    cgwm_body_rewind(x->body);
}

/* How long did the worker have what it returned, and may it go on waiting? */
static int may_wait_again(const exchange *x, int *hasty)
{
    uint64_t now = cgw_clock_us();
    uint64_t waits = (uint64_t)x->group->spec->queue_timeout * 1000;

    *hasty += now - x->joined < RETURN_SOONEST_US;
    return x->args.repeatable && *hasty <= RETURNS_MAX
           && !(waits && now - x->args.sent_us >= waits);
}

/* What a worker returned has not run, and another may run it; the time that it
 * waits goes on. */
static int attempt_until_run(exchange *x)
{
    int status = attempt(x), hasty = 0;

    while (!status && x->response.returned && may_wait_again(x, &hasty)) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, x->r,
                      "%s: a worker whose interpreter is busy returned the request, "
                      "which waits again", x->group->spec->name);
        rewind_request(x);
        cgwm_response_begin_again(&x->response);
        status = attempt(x);
    }
    return !status && x->response.returned ? cgwm_queue_refuse_late(x->r, x->group)
                                           : status;
}

static int run_attempts(exchange *x)
{
    int status = attempt_until_run(x);

    if (status || !died_early(x)) {
        return status;
    }
    if (is_repeatable(x)) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, x->r, CGW_LOGNO(0132)
                      "%s: the worker died before it answered \"%s\"; the "
                      "request is repeated once", x->group->spec->name,
                      x->r->the_request);
        rewind_request(x);
        x->args.sent_us = 0;
        status = attempt_until_run(x);
    }
    if (!status && died_early(x)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, x->r, CGW_LOGNO(0133)
                      "%s: the worker died before it answered \"%s\"; what "
                      "ended it is logged by the supervisor (CGW02nn)",
                      x->group->spec->name, x->r->the_request);
        return HTTP_BAD_GATEWAY;
    }
    return status;
}

/* A body that broke off outranks whatever the application made of it. */
static int status_of(exchange *x, int status)
{
    if (status) {
        return status;
    }
    if (x->body_status && !x->response.started) {
        return x->body_status;
    }
    return cgwm_response_finish(&x->response);
}

/* httpd reads the rest of a body before the client sees an answer of its own, unless
 * the connection ends with that. */
static int finish(exchange *x, int status)
{
    status = status_of(x, status);
    if (status != OK && x->body->present && !x->body->eof) {
        x->r->connection->keepalive = AP_CONN_CLOSE;
        cgwm_drain_briefly(x->r);
    }
    return status;
}

static const cgwm_bounds *response_buffer(const request_rec *r)
{
    static const cgwm_bounds defaults = {CGWM_DEFAULT_RESPONSE_MEMORY,
                                         CGWM_DEFAULT_RESPONSE_FILE};

    return cgwm_bounds_or(&cgwm_dir_conf_get(r)->response_buffer, &defaults);
}

static int client_socket(request_rec *r)
{
    apr_socket_t *socket = ap_get_conn_socket(r->connection);
    apr_os_sock_t fd;

    if (r->connection->master || !socket
        || apr_os_sock_get(&fd, socket) != APR_SUCCESS) {
        return -1;
    }
    return fd;
}

int cgwm_exchange_run(request_rec *r, const cgwm_group *group,
                      const cgwm_environ_args *args, cgwm_body *body)
{
    exchange x = {.r = r, .group = group, .args = *args, .body = body, .fd = -1};
    const cgwm_bounds *buffer = response_buffer(r);
    int status;

    x.client_fd = client_socket(r);
    x.gate = cgwm_gate_close(r, buffer->file > 0);
    x.inbox = cgwm_inbox_create(r);
    x.outbox = cgwm_outbox_create(r, buffer->memory, buffer->file);
    cgwm_response_init(&x.response, r, x.inbox, x.outbox, group->spec->name);
    x.response.tally = group->tally;
    status = run_attempts(&x);
    if (x.gate) {
        cgwm_gate_open(x.gate);
    }
    cgw_buf_free(&x.request);
    cgwm_notes_set(r, &x.response, x.ended - x.begun);
    status = finish(&x, status);
    cgwm_inbox_close(x.inbox);
    return status;
}
