/* SPDX-License-Identifier: Apache-2.0 */

#include "cgw_header.h"

#include <string.h>
#include <strings.h>

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

const char *cgw_status_check(const char *text, size_t len, uint16_t *status)
{
    if (len < 3 || !is_digit(text[0]) || !is_digit(text[1])
        || !is_digit(text[2]) || (len > 3 && text[3] != ' ')) {
        return "must be three digits, a space and a reason, as '200 OK'";
    }
    if (has_control_char(text, len)) {
        return "must not contain control characters such as line ends";
    }
    *status = (uint16_t)((text[0] - '0') * 100 + (text[1] - '0') * 10
                         + (text[2] - '0'));
    return *status < 100 ? "must be from 100 to 999" : NULL;
}

static const char *const hop_by_hop[] = {
    "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
    "TE", "Trailer", "Trailers", "Transfer-Encoding", "Upgrade"};

bool cgw_header_is(const char *name, size_t len, const char *other)
{
    return strlen(other) == len && strncasecmp(name, other, len) == 0;
}

const char *cgw_header_name_check(const char *name, size_t len)
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
        if (cgw_header_is(name, len, hop_by_hop[i])) {
            return "is a hop-by-hop header, which httpd alone may set; "
                   "leave it out";
        }
    }
    return NULL;
}

const char *cgw_header_value_check(const char *value, size_t len)
{
    return has_control_char(value, len)
               ? "must not contain control characters such as line ends"
               : NULL;
}

const char *cgw_content_length_parse(const char *value, size_t len,
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

bool cgw_status_interim(uint16_t status)
{
    return status >= 100 && status <= 199 && status != 101;
}

bool cgw_status_bodiless(uint16_t status)
{
    return status == 204 || status == 304;
}
