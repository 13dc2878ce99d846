/* SPDX-License-Identifier: Apache-2.0 */

#include "environ.h"

#include "apr_lib.h"
#include "apr_strings.h"
#include "http_core.h"
#include "http_protocol.h"
#include "http_request.h"

#include "cgw_clock.h"
#include "config.h"
#include "debug.h"
#include "filters.h"
#include "sendfile.h"

/* Longer names of headers than this need memory of their own. */
#define NAME_USUAL_LEN 256

static void put(struct cgw_buf *buf, enum cgw_key key, const char *value)
{
    if (value) {
        cgw_put_pair(buf, key, NULL, 0, value, strlen(value));
    }
}

static void put_named(struct cgw_buf *buf, const char *name, const char *value)
{
    cgw_put_pair(buf, CGW_KEY_LITERAL, name, strlen(name), value,
                 strlen(value));
}

static void put_number(struct cgw_buf *buf, enum cgw_key key, apr_uint64_t n)
{
    char digits[24], *p = digits + sizeof(digits);

    do {
        *--p = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    cgw_put_pair(buf, key, NULL, 0, p, (size_t)(digits + sizeof(digits) - p));
}

/* ---- request headers ---------------------------------------------------- */

struct known_header {
    const char *name;
    uint8_t len;
    uint8_t key;
};

#define KNOWN(name, key) {name, sizeof(name) - 1, CGW_KEY_##key}
static const struct known_header known_headers[] = {
    KNOWN("Host", HTTP_HOST),
    KNOWN("User-Agent", HTTP_USER_AGENT),
    KNOWN("Accept", HTTP_ACCEPT),
    KNOWN("Accept-Encoding", HTTP_ACCEPT_ENCODING),
    KNOWN("Accept-Language", HTTP_ACCEPT_LANGUAGE),
    KNOWN("Connection", HTTP_CONNECTION),
    KNOWN("Cookie", HTTP_COOKIE),
    KNOWN("Referer", HTTP_REFERER),
    KNOWN("Cache-Control", HTTP_CACHE_CONTROL),
    KNOWN("Origin", HTTP_ORIGIN),
    KNOWN("If-None-Match", HTTP_IF_NONE_MATCH),
    KNOWN("If-Modified-Since", HTTP_IF_MODIFIED_SINCE),
    KNOWN("Upgrade-Insecure-Requests", HTTP_UPGRADE_INSECURE_REQUESTS),
    KNOWN("X-Forwarded-For", HTTP_X_FORWARDED_FOR),
    KNOWN("X-Forwarded-Proto", HTTP_X_FORWARDED_PROTO),
    KNOWN("X-Requested-With", HTTP_X_REQUESTED_WITH),
    KNOWN("Authorization", HTTP_AUTHORIZATION),
    KNOWN("Transfer-Encoding", HTTP_TRANSFER_ENCODING),
    KNOWN("Content-Type", CONTENT_TYPE),
    KNOWN("Content-Length", CONTENT_LENGTH),
};
#undef KNOWN

static unsigned find_header(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(known_headers) / sizeof(known_headers[0]);
         i++) {
        if (known_headers[i].len == len
            && strncasecmp(known_headers[i].name, name, len) == 0) {
            return known_headers[i].key;
        }
    }
    return CGW_KEY_LITERAL;
}

/* HTTP_<NAME>, or 0 where the name has anything but letters, digits and "-":
 * "X_Forwarded_For" and "X-Forwarded-For" would make the same key, and a
 * client could forge what a proxy is trusted to set. */
static size_t header_key(char *out, const char *name, size_t len)
{
    memcpy(out, "HTTP_", 5);
    for (size_t i = 0; i < len; i++) {
        if (apr_isalnum(name[i])) {
            out[5 + i] = (char)apr_toupper(name[i]);
        }
        else if (name[i] == '-') {
            out[5 + i] = '_';
        }
        else {
            return 0;
        }
    }
    return 5 + len;
}

struct header_writer {
    struct cgw_buf *buf;
    const cgwm_environ_args *args;
    apr_pool_t *pool;
};

static int is_dropped(unsigned key, const cgwm_environ_args *args)
{
    switch (key) {
    case CGW_KEY_HTTP_AUTHORIZATION:
        return !args->pass_authorization;
    case CGW_KEY_HTTP_TRANSFER_ENCODING:
        return args->body_is_whole;
    case CGW_KEY_CONTENT_LENGTH:
        return args->body_is_whole || args->body_is_changed;
    default:
        return 0;
    }
}

static int put_header(void *data, const char *name, const char *value)
{
    struct header_writer *w = data;
    char usual[NAME_USUAL_LEN + 5], *key_name = usual;
    size_t len = strlen(name);
    unsigned key = find_header(name, len);

    if (key != CGW_KEY_LITERAL) {
        if (!is_dropped(key, w->args)) {
            put(w->buf, key, value);
        }
        return 1;
    }
    /* "Proxy" would become HTTP_PROXY, which libraries take for a proxy to
     * use (CVE-2016-5385). */
    if (strcasecmp(name, "Proxy") == 0
        || strcasecmp(name, "Proxy-Authorization") == 0) {
        return 1;
    }
    if (len > NAME_USUAL_LEN) {
        key_name = apr_palloc(w->pool, len + 5);
    }
    len = header_key(key_name, name, len);
    if (len > 0) {
        cgw_put_pair(w->buf, CGW_KEY_LITERAL, key_name, len, value,
                     strlen(value));
    }
    return 1;
}

/* ---- variables ----------------------------------------------------------- */

static int put_variable(void *data, const char *name, const char *value)
{
    put_named(data, name, value ? value : "");
    return 1;
}

/* What of the target follows scheme and authority, or all of it where it has none
 * (RFC 9112, 3.2.2). */
static const char *skip_authority(const char *target)
{
    const char *at = target;

    while (apr_isalnum(*at) || (*at && strchr("+-.", *at))) {
        at++;
    }
    if (strncmp(at, "://", 3) != 0) {
        return target;
    }
    return at + 3 + strcspn(at + 3, "/? ");
}

/* The request target as the client sent it, without scheme and authority, also
 * after internal redirects. */
static const char *request_uri(request_rec *r)
{
    const char *target, *start;
    apr_size_t len;

    if (!r->the_request || !(target = ap_strchr_c(r->the_request, ' '))) {
        return r->unparsed_uri;
    }
    while (*target == ' ') {
        target++;
    }
    start = skip_authority(target);
    len = strcspn(start, " ");
    if (start == target || *start == '/') {
        return apr_pstrmemdup(r->pool, start, len);
    }
    return apr_psprintf(r->pool, "/%.*s", (int)len, start);
}

/* Never empty (PEP 3333), as a client's can be. */
static const char *server_name(request_rec *r)
{
    const char *name = ap_get_server_name_for_url(r);

    return *name ? name : r->server->server_hostname;
}

static void put_server(struct cgw_buf *buf, request_rec *r)
{
    const char *signature = ap_psignature("", r);

    put(buf, CGW_KEY_GATEWAY_INTERFACE, "CGI/1.1");
    put(buf, CGW_KEY_SERVER_SIGNATURE, signature ? signature : "");
    put(buf, CGW_KEY_SERVER_SOFTWARE, ap_get_server_banner());
    put(buf, CGW_KEY_SERVER_NAME,
        ap_escape_html(r->pool, server_name(r)));
    put_number(buf, CGW_KEY_SERVER_PORT, ap_get_server_port(r));
    put(buf, CGW_KEY_SERVER_ADDR, r->connection->local_ip);
    put(buf, CGW_KEY_SERVER_ADMIN, r->server->server_admin);
    put(buf, CGW_KEY_DOCUMENT_ROOT, ap_document_root(r));
    put(buf, CGW_KEY_CONTEXT_PREFIX, ap_context_prefix(r));
    put(buf, CGW_KEY_CONTEXT_DOCUMENT_ROOT, ap_context_document_root(r));
    put(buf, CGW_KEY_REQUEST_SCHEME, ap_run_http_scheme(r));
}

/* That of the original request, where this one is its error document. */
static const char *user_of(const request_rec *r)
{
    while (!r->user && r->prev) {
        r = r->prev;
    }
    return r->user;
}

static void put_client(struct cgw_buf *buf, request_rec *r)
{
    put(buf, CGW_KEY_REMOTE_ADDR, r->useragent_ip);
    put_number(buf, CGW_KEY_REMOTE_PORT, r->useragent_addr->port);
    put(buf, CGW_KEY_REMOTE_HOST,
        ap_get_useragent_host(r, REMOTE_HOST, NULL));
    put(buf, CGW_KEY_REMOTE_USER, user_of(r));
    put(buf, CGW_KEY_AUTH_TYPE, r->ap_auth_type);
}

static void put_request(struct cgw_buf *buf, request_rec *r,
                        const cgwm_environ_args *args)
{
    put(buf, CGW_KEY_REQUEST_METHOD,
        cgwm_filters_need_body(r) ? "GET" : r->method);
    put(buf, CGW_KEY_REQUEST_URI, request_uri(r));
    cgw_put_pair(buf, CGW_KEY_SCRIPT_NAME, NULL, 0, args->script_name,
                 args->script_name_len);
    put(buf, CGW_KEY_PATH_INFO, args->path_info);
    put(buf, CGW_KEY_QUERY_STRING, r->args ? r->args : "");
    put(buf, CGW_KEY_SERVER_PROTOCOL, r->protocol);
    put(buf, CGW_KEY_SCRIPT_FILENAME, args->script_filename);
    if (args->body_is_whole && args->has_length) {
        put_number(buf, CGW_KEY_CONTENT_LENGTH, (apr_uint64_t)args->body_length);
    }
    if (r->prev) {
        put_named(buf, "REDIRECT_URL", r->prev->uri);
        if (r->prev->args) {
            put_named(buf, "REDIRECT_QUERY_STRING", r->prev->args);
        }
    }
}

/* mod_ssl answers the scheme of its own connections; behind a proxy that ends
 * TLS the administrator says SetEnvIf X-Forwarded-Proto https HTTPS=on. */
static int is_https(request_rec *r)
{
    const char *var = apr_table_get(r->subprocess_env, "HTTPS");

    return strcmp(ap_run_http_scheme(r), "https") == 0
           || (var && (strcasecmp(var, "on") == 0 || strcmp(var, "1") == 0));
}

static uint16_t request_flags(request_rec *r, const cgwm_environ_args *args)
{
    if (args->question) {
        return (uint16_t)(CGW_REQUEST_ASK | (is_https(r) ? CGW_REQUEST_HTTPS : 0)
                          | (args->has_body ? CGW_REQUEST_HAS_BODY : 0));
    }
    return (uint16_t)((args->has_body ? CGW_REQUEST_HAS_BODY : 0)
                      | (is_https(r) ? CGW_REQUEST_HTTPS : 0)
                      | (r->header_only && !cgwm_filters_need_body(r)
                             ? CGW_REQUEST_HEAD_ONLY : 0)
                      | (args->has_body && r->expecting_100
                             ? CGW_REQUEST_CONTINUE : 0)
                      | (args->tell ? CGW_REQUEST_TELL : 0)
                      | (cgwm_sendfile_allowed(r) ? CGW_REQUEST_OFFLOAD : 0)
                      | (cgwm_debug_is_on(r) ? CGW_REQUEST_DEBUG : 0)
                      | (args->repeatable ? CGW_REQUEST_REPEATABLE : 0)
                      | CGW_REQUEST_SENDFILE);
}

static void put_question(struct cgw_buf *buf, const struct cgwm_question *question)
{
    put_named(buf, "cgateway.ask", question->kind);
    put_named(buf, "cgateway.ask.function", question->function);
    put_named(buf, "cgateway.ask.user", question->user);
}

void cgwm_environ_put(struct cgw_buf *buf, request_rec *r,
                      const cgwm_environ_args *args)
{
    struct header_writer headers = {.buf = buf, .args = args, .pool = r->pool};
    struct cgw_request request = {.flags = request_flags(r, args),
                                  .id = (uint64_t)r->connection->id,
                                  .sent_us = args->sent_us,
                                  .deadline_ms = args->deadline_ms,
                                  .queue_ms = args->queue_ms};
    size_t frame = cgw_frame_open(buf, CGW_FRAME_REQUEST,
                                  args->has_body ? 0 : CGW_FRAME_LAST);

    cgw_put_request(buf, &request);
    apr_table_do(put_variable, buf, r->subprocess_env, NULL);
    apr_table_do(put_header, &headers, r->headers_in, NULL);
    put_server(buf, r);
    put_client(buf, r);
    put_request(buf, r, args);
    if (args->question) {
        put_question(buf, args->question);
    }
    cgw_frame_close(buf, frame);
}
