/* SPDX-License-Identifier: Apache-2.0 */

#include "grouplog.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "apr_portable.h"
#include "http_log.h"

#include "cgw_log.h"
#include "errorformat.h"
#include "ownfile.h"
#include "parse.h"

APLOG_USE_MODULE(cgateway);

#define SYSLOG_SOCKET "/dev/log"

static apr_status_t close_descriptor(void *data)
{
    close((int)(intptr_t)data);
    return APR_SUCCESS;
}

/* The supervisor knows by the kind of the socket that it is syslog's. */
static int open_syslog(const server_rec *s, apr_pool_t *ptemp)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SYSLOG_SOCKET};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, errno, s, CGW_LOGNO(0192)
                     "cannot reach syslog at " SYSLOG_SOCKET "; the group's output "
                     "goes elsewhere until httpd is restarted. Start a syslog "
                     "service");
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    apr_pool_cleanup_register(ptemp, (void *)(intptr_t)fd, close_descriptor,
                              apr_pool_cleanup_null);
    return fd;
}

static int descriptor_of(apr_file_t *file)
{
    apr_os_file_t fd = -1;

    return apr_os_file_get(&fd, file) == APR_SUCCESS ? fd : -1;
}

int cgwm_grouplog_of_server(const server_rec *s, const server_rec *main_server,
                            apr_pool_t *ptemp)
{
    int fd = -1;

    if (s->error_log) {
        fd = descriptor_of(s->error_log);
    }
    else if (s->error_fname && cgwm_is_syslog(s->error_fname)) {
        fd = open_syslog(s, ptemp);
    }
    if (fd < 0 && main_server->error_log) {
        fd = descriptor_of(main_server->error_log);
    }
    return fd < 0 ? STDERR_FILENO : fd;
}

/* Started once for a configuration: a supervisor that is replaced gets the same. */
static int open_program(cgwm_group *group, const char *program)
{
    if (!group->logger) {
        group->logger = ap_open_piped_log(group->owner->process->pconf, program);
    }
    if (!group->logger) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, group->owner, CGW_LOGNO(0193)
                     "group %s: the program of CGatewayErrorLog cannot be started: %s",
                     group->spec->name, program);
        return -1;
    }
    return descriptor_of(ap_piped_log_write_fd(group->logger));
}

static int open_file(const cgwm_group *group, const char *path, apr_pool_t *ptemp)
{
    cgwm_ownfile file = {.path = path, .spec = group->spec};
    int fd;
    apr_status_t rv = cgwm_ownfile_append(&file, 1, &fd, ptemp);

    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, group->owner, CGW_LOGNO(0194)
                     "group %s: CGatewayErrorLog %s cannot be opened: %s. Its lines "
                     "go to the ErrorLog", group->spec->name, path,
                     cgwm_ownfile_explain(&file, rv, ptemp));
        return -1;
    }
    apr_pool_cleanup_register(ptemp, (void *)(intptr_t)fd, close_descriptor,
                              apr_pool_cleanup_null);
    return fd;
}

void cgwm_grouplog_describe(cgwm_group *group, apr_pool_t *p)
{
    cgw_spec *spec = group->spec;
    const char *log = spec->error_log ? spec->error_log : group->owner->error_fname;

    spec->error_format = cgwm_errorformat_of(group->owner, p);
    spec->server_name = group->owner->server_hostname;
    if (!log || !cgwm_parse_syslog(log, &spec->syslog_facility, &spec->syslog_tag)) {
        spec->syslog_tag = NULL;
    }
}

int cgwm_grouplog_open(cgwm_group *group, const server_rec *main_server,
                       apr_pool_t *ptemp)
{
    const char *log = group->spec->error_log;
    int fd = -1;

    if (log) {
        fd = *log == '|' ? open_program(group, log + 1)
             : cgwm_is_syslog(log) ? open_syslog(group->owner, ptemp)
                                   : open_file(group, log, ptemp);
    }
    return fd >= 0 ? fd : cgwm_grouplog_of_server(group->owner, main_server, ptemp);
}
