/* SPDX-License-Identifier: Apache-2.0 */

#include "header.h"

#include <string.h>
#include <strings.h>

#include "cgw_wire.h"

/* RFC 9110, 5.6.2 */
static bool is_token_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
           || (c >= 'a' && c <= 'z') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool has_control_char(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return true;
        }
    }
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

const char *cgww_status_check(const char *text, size_t len, uint16_t *status)
{
    if (len < 4 || !is_digit(text[0]) || !is_digit(text[1])
        || !is_digit(text[2]) || text[3] != ' ') {
        return "must be three digits, a space and a reason, as '200 OK'";
    }
    if (has_control_char(text, len)) {
        return "must not contain control characters such as line ends";
    }
    *status = (uint16_t)((text[0] - '0') * 100 + (text[1] - '0') * 10
                         + (text[2] - '0'));
    if (*status < 200) {
        return "must be a final status, 200 to 999";
    }
    return NULL;
}

static const char *const hop_by_hop[] = {
    "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
    "TE", "Trailer", "Trailers", "Transfer-Encoding", "Upgrade"};

static bool name_equals(const char *name, size_t len, const char *other)
{
    return strlen(other) == len && strncasecmp(name, other, len) == 0;
}

const char *cgww_header_name_check(const char *name, size_t len)
{
    if (len == 0 || len > UINT16_MAX) {
        return "must have 1 to 65535 characters";
    }
    for (size_t i = 0; i < len; i++) {
        if (!is_token_char((unsigned char)name[i])) {
            return "may have letters, digits and !#$%&'*+-.^_`|~ only";
        }
    }
    for (size_t i = 0; i < sizeof(hop_by_hop) / sizeof(hop_by_hop[0]); i++) {
        if (name_equals(name, len, hop_by_hop[i])) {
            return "is a hop-by-hop header, which httpd alone may set; "
                   "leave it out";
        }
    }
    return NULL;
}

const char *cgww_header_value_check(const char *value, size_t len)
{
    return has_control_char(value, len)
               ? "must not contain control characters such as line ends"
               : NULL;
}

bool cgww_header_is_content_length(const char *name, size_t len)
{
    return name_equals(name, len, "Content-Length");
}

const char *cgww_content_length_parse(const char *value, size_t len,
                                      uint64_t *out)
{
    uint64_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (!is_digit(value[i])) {
            len = 0;
            break;
        }
        unsigned digit = (unsigned)(value[i] - '0');
        if (n > ((uint64_t)INT64_MAX - digit) / 10) {
            return "is too large";
        }
        n = n * 10 + digit;
    }
    if (len == 0) {
        return "must be a number of bytes in decimal digits";
    }
    *out = n;
    return NULL;
}

bool cgww_status_bodiless(uint16_t status)
{
    return status == 204 || status == 304;
}
