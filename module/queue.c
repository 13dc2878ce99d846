/* SPDX-License-Identifier: Apache-2.0 */

#include "queue.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http_log.h"

#include "cgw_clock.h"
#include "cgw_log.h"
#include "tally.h"

APLOG_USE_MODULE(cgateway);

int cgwm_queue_join(const cgwm_group *group, int *fd)
{
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rv;

    if (s < 0) {
        return errno;
    }
    do {
        rv = connect(s, (const struct sockaddr *)&group->address,
                     group->address_len);
    } while (rv < 0 && errno == EINTR);
    if (rv < 0) {
        rv = errno;
        close(s);
        return rv;
    }
    *fd = s;
    return 0;
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
