/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_PARSE_ENV_H
#define CGWM_PARSE_ENV_H

/* The files of CGatewayEnvFile. One variable a line:
 *
 *     # a comment
 *     NAME=value                 white space around the value is dropped
 *     export NAME=value # note   as a shell reads it, without expansion
 *     NAME='literal $value'
 *     NAME="a \"quoted\" value"  knows \" \\ \$ \` \n \t; keeps another \
 *
 * Pure: APR, not httpd. */

#include <apr_pools.h>
#include <apr_tables.h>

#define CGWM_ENV_FILE_MAX 1048576

/* Appends "NAME=value" for every line of bytes[0..len), in order. Returns NULL,
 * or what is wrong and then *line is its number, from 1. */
const char *cgwm_parse_env(const char *bytes, apr_size_t len,
                           apr_array_header_t *out, int *line, apr_pool_t *p);

#endif
