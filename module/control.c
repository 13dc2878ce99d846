/* SPDX-License-Identifier: Apache-2.0 */

#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "apr_strings.h"
#include "http_log.h"
#include "http_main.h"

#include "cgw_admin.h"
#include "cgw_log.h"
#include "config.h"

APLOG_USE_MODULE(cgateway);

#define PATIENCE_SECONDS 5
#define ANSWER_MAX ((apr_size_t)64 << 20)

static int connect_supervisor(const char *path, apr_status_t *rv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = PATIENCE_SECONDS};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *rv = fd < 0 ? errno : APR_SUCCESS;
    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    apr_cpystrn(address.sun_path, path, sizeof(address.sun_path));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        *rv = errno;
        close(fd);
        return -1;
    }
    return fd;
}

/* Appends what comes until the peer hangs up. */
static apr_status_t receive_all(int fd, apr_array_header_t *bytes)
{
    char part[16384];

    while ((apr_size_t)bytes->nelts < ANSWER_MAX) {
        ssize_t n = recv(fd, part, sizeof(part), 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            /* one that was turned away is reset behind its answer */
            return n == 0 || (errno == ECONNRESET && bytes->nelts) ? APR_SUCCESS
                                                                   : errno;
        }
        for (ssize_t i = 0; i < n; i++) {
            APR_ARRAY_PUSH(bytes, char) = part[i];
        }
    }
    return APR_ENOSPC;
}

static apr_status_t exchange(int fd, const char *line, apr_array_header_t *bytes)
{
    size_t len = strlen(line);

    if (send(fd, line, len, MSG_NOSIGNAL) != (ssize_t)len && errno != EPIPE) {
        return errno;
    }
    return receive_all(fd, bytes);
}

static apr_status_t understand(request_rec *r, const char *answer,
                               const cgwm_json **out)
{
    const cgwm_json *json = cgwm_json_parse(answer, strlen(answer), r->pool);

    if (!cgwm_json_is_true(cgwm_json_get(json, "ok"))) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, CGW_LOGNO(0191)
                      "the supervisor refuses: %s",
                      cgwm_json_text(cgwm_json_get(json, "message"),
                                     "its answer is not understood"));
        return APR_EGENERAL;
    }
    *out = json;
    return APR_SUCCESS;
}

apr_status_t cgwm_control_ask(request_rec *r, const char *line,
                              const char **answer, const cgwm_json **json)
{
    const char *path = apr_pstrcat(r->pool, cgwm_runtime_dir(ap_server_conf, r->pool),
                                   "/" CGW_ADMIN_SOCKET, NULL);
    apr_array_header_t *bytes = apr_array_make(r->pool, 8192, 1);
    apr_status_t rv;
    int fd = connect_supervisor(path, &rv);

    if (fd >= 0) {
        rv = exchange(fd, apr_pstrcat(r->pool, line, "\n", NULL), bytes);
        close(fd);
    }
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, r, CGW_LOGNO(0190)
                      "cannot ask the supervisor at %s: it starts, or httpd has no "
                      "groups", path);
        return rv;
    }
    APR_ARRAY_PUSH(bytes, char) = '\0';
    *answer = bytes->elts;
    return json ? understand(r, bytes->elts, json) : APR_SUCCESS;
}

static int compare_names(const void *a, const void *b)
{
    const cgwm_json *x = *(const cgwm_json *const *)a;
    const cgwm_json *y = *(const cgwm_json *const *)b;

    return strcmp(cgwm_json_text_of(x, "name"), cgwm_json_text_of(y, "name"));
}

apr_array_header_t *cgwm_control_groups(const cgwm_json *status, apr_pool_t *p)
{
    apr_array_header_t *list = apr_array_make(p, 16, sizeof(const cgwm_json *));
    const cgwm_json *groups = cgwm_json_get(status, "groups");

    for (const cgwm_json *g = groups ? groups->first : NULL; g; g = g->next) {
        APR_ARRAY_PUSH(list, const cgwm_json *) = g;
    }
    qsort(list->elts, (size_t)list->nelts, sizeof(const cgwm_json *), compare_names);
    return list;
}

apr_int64_t cgwm_control_sum(const cgwm_json *group, const char *key)
{
    const cgwm_json *generations = cgwm_json_get(group, "generations");
    apr_int64_t sum = 0;

    for (const cgwm_json *g = generations ? generations->first : NULL; g;
         g = g->next) {
        const cgwm_json *processes = cgwm_json_get(g, "processes");
        for (const cgwm_json *p = processes ? processes->first : NULL; p;
             p = p->next) {
            apr_int64_t n = key ? cgwm_json_int_of(p, key) : 1;
            sum += n > 0 ? n : 0;
        }
    }
    return sum;
}
