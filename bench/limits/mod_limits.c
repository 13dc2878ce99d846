/* SPDX-License-Identifier: Apache-2.0 */

/* What httpd can do at best: a handler that answers by itself (limit-direct)
 * and one that asks a C server behind a Unix socket first, over one connection
 * per request as mod_cgateway does (limit-hop). */

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"
#include "http_request.h"

#include "hop.h"

module AP_MODULE_DECLARE_DATA limits_module;

static const char *set_socket(cmd_parms *cmd, void *unused, const char *path)
{
    (void)unused;
    ap_set_module_config(cmd->server->module_config, &limits_module,
                         (void *)path);
    return NULL;
}

static int answer(request_rec *r, const char *body, int len)
{
    ap_set_content_type(r, "text/plain");
    ap_set_content_length(r, len);
    ap_rwrite(body, len, r);
    return OK;
}

/* The same system calls that mod_cgateway makes. */
static int hop(const char *path, char *response, int size)
{
    static const char request[HOP_REQUEST];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct pollfd p = {.events = POLLIN};
    int n = -1;

    p.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    if (p.fd >= 0
        && connect(p.fd, (struct sockaddr *)&address, sizeof(address)) == 0
        && send(p.fd, request, sizeof(request), MSG_NOSIGNAL) > 0
        && poll(&p, 1, 10000) > 0) {
        n = (int)recv(p.fd, response, (size_t)size, 0);
    }
    if (p.fd >= 0) {
        close(p.fd);
    }
    return n;
}

static int handler(request_rec *r)
{
    char response[HOP_RESPONSE];
    int n;

    if (strcmp(r->handler, "limit-direct") == 0) {
        return answer(r, HOP_BODY, sizeof(HOP_BODY) - 1);
    }
    if (strcmp(r->handler, "limit-hop") != 0) {
        return DECLINED;
    }
    n = hop(ap_get_module_config(r->server->module_config, &limits_module),
            response, sizeof(response));
    return n == HOP_RESPONSE ? answer(r, response, sizeof(HOP_BODY) - 1)
                             : HTTP_BAD_GATEWAY;
}

/* No file stands behind the URL, and none is looked for. */
static int claim(request_rec *r)
{
    r->filename = (char *)"limits";
    return OK;
}

static void register_hooks(apr_pool_t *p)
{
    (void)p;
    ap_hook_translate_name(claim, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_map_to_storage(claim, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_FIRST);
}

static const command_rec directives[] = {
    AP_INIT_TAKE1("LimitsSocket", set_socket, NULL, RSRC_CONF,
                  "the socket of bench/limits/server.c"),
    {NULL}};

module AP_MODULE_DECLARE_DATA limits_module = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, directives,
    register_hooks, 0};
