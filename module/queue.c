/* SPDX-License-Identifier: Apache-2.0 */

#include "queue.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_log.h"

#include "cgw_clock.h"
#include "cgw_log.h"
#include "rundir.h"
#include "tally.h"

APLOG_USE_MODULE(cgateway);

/* How long to wait before a connection is tried again, growing. */
#define PAUSE_FIRST_MS 5
#define PAUSE_LONGEST_MS 50

static int connect_to(int fd, const struct sockaddr_un *address, socklen_t len)
{
    int rv;

    do {
        rv = connect(fd, (const struct sockaddr *)address, len);
    } while (rv < 0 && errno == EINTR);
    return rv < 0 ? errno : 0;
}

/* Whatever has become of its name. */
static int connect_by_handle(int fd, int handle)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    cgwm_rundir_handle_path(address.sun_path, handle);
    return connect_to(fd, &address, sizeof(address));
}

static int try_to_join(const cgwm_group *group, int *fd)
{
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int err;

    if (s < 0) {
        return errno;
    }
    err = connect_to(s, &group->address, group->address_len);
    if (err && err != EAGAIN && group->handle >= 0) {
        err = connect_by_handle(s, group->handle);
    }
    if (err) {
        close(s);
        return err;
    }
    *fd = s;
    return 0;
}

/* httpd's parent makes it anew. */
static int is_gone(int err)
{
    return err == ENOENT || err == ENOTDIR || err == ECONNREFUSED;
}

static int await_socket(const cgwm_group *group, int *fd)
{
    int64_t most = group->spec->queue_timeout ? group->spec->queue_timeout
                                              : group->spec->start_timeout;
    uint64_t until = cgw_clock_us() + (uint64_t)most * 1000;
    int pause = PAUSE_FIRST_MS, err;

    do {
        poll(NULL, 0, pause);
        pause = pause * 2 < PAUSE_LONGEST_MS ? pause * 2 : PAUSE_LONGEST_MS;
        err = try_to_join(group, fd);
    } while (is_gone(err) && cgw_clock_us() < until);
    return err;
}

int cgwm_queue_join(const cgwm_group *group, int *fd)
{
    int err = try_to_join(group, fd);

    if (is_gone(err)) {
        if (!cgwm_tally_enter(group->tally, (unsigned)group->spec->queue_size)) {
            return EAGAIN;
        }
        err = await_socket(group, fd);
        cgwm_tally_leave(group->tally);
    }
    return err;
}

/* ---- a place -------------------------------------------------------------- */

void cgwm_place_take(cgwm_place *place, const cgwm_group *group, uint64_t sent,
                     int told)
{
    int64_t timeout = group->spec->queue_timeout;

    place->taken = 0;
    place->told = told;
    place->until = timeout ? sent + (uint64_t)timeout * 1000 : 0;
    if (place->until && told) {
        place->until += CGWM_QUEUE_GRACE_US;
    }
}

/* What was sent in one piece is read in one piece. */
int cgwm_place_waits(cgwm_place *place, int fd)
{
    int unread = 0;

    if (!place->taken && !place->told) {
        place->taken = ioctl(fd, SIOCOUTQ, &unread) < 0 || unread == 0;
    }
    return !place->taken;
}

int cgwm_place_left(const cgwm_place *place)
{
    uint64_t now;

    if (place->taken || !place->until) {
        return -1;
    }
    now = cgw_clock_us();
    return now >= place->until ? 0 : (int)((place->until - now) / 1000) + 1;
}

/* The worker compares times of the same clock after it has read the request:
 * one that is unread now will be late for it. */
int cgwm_place_is_lost(cgwm_place *place, int fd)
{
    return cgwm_place_left(place) == 0 && cgwm_place_waits(place, fd);
}

/* ---- refusing -------------------------------------------------------------- */

int cgwm_refuse(request_rec *r)
{
    apr_table_setn(r->err_headers_out, "Retry-After", CGWM_RETRY_AFTER);
    return HTTP_SERVICE_UNAVAILABLE;
}

int cgwm_queue_refuse_full(request_rec *r, const cgwm_group *group)
{
    unsigned n = cgwm_tally_count(group->tally, CGWM_TALLY_FULL);

    if (n) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, CGW_LOGNO(0160)
                      "%s: its queue is full: all workers are busy and "
                      "CGatewayQueueSize (%d) requests wait. See what keeps the "
                      "workers busy, or give the group more processes or threads. "
                      "Number of requests answered 503 since the last such line: %u",
                      group->spec->name, (int)group->spec->queue_size, n);
    }
    return cgwm_refuse(r);
}

int cgwm_queue_refuse_lost(request_rec *r, const cgwm_group *group, int err)
{
    unsigned n = cgwm_tally_count(group->tally, CGWM_TALLY_LOST);

    if (n) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, err, r, CGW_LOGNO(0130)
                      "%s: cannot connect to %s; %s. Number of requests answered "
                      "503 since the last such line: %u", group->spec->name,
                      group->address.sun_path,
                      is_gone(err) ? "the main error log tells what keeps httpd from "
                                     "making that socket anew"
                                   : "httpd's User must be able to search each "
                                     "directory of that path", n);
    }
    return cgwm_refuse(r);
}

int cgwm_queue_refuse_late(request_rec *r, const cgwm_group *group)
{
    unsigned n = cgwm_tally_count(group->tally, CGWM_TALLY_LATE);

    if (n) {
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, CGW_LOGNO(0161)
                      "%s: no worker was free within CGatewayQueueTimeout (%ld ms). "
                      "See what keeps the workers busy, or give the group more "
                      "processes or threads. Number of requests answered 503, which "
                      "did not run, since the last such line: %u",
                      group->spec->name, (long)group->spec->queue_timeout, n);
    }
    return cgwm_refuse(r);
}
