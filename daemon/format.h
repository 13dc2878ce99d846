/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_FORMAT_H
#define CGWD_FORMAT_H

#include "log.h"

/* A line by httpd's ErrorLogFormat, as core_log of httpd writes one that belongs to
 * no request: what a format asks for and a process cannot know (client, log id,
 * source file, error code) is absent, and absent things take their field with
 * them, or are shown as "-", by the same rules. */

typedef struct cgwd_line {
    const struct timespec *now;
    enum cgwd_level level;
    pid_t pid;
    const char *server;         /* its name, NULL: unknown */
    const char *text;           /* escaped */
    size_t len;
} cgwd_line;

/* Writes at most size bytes, no NUL. Returns how many; 0: the format does not
 * want the line. */
size_t cgwd_format_line(char *out, size_t size, const char *format,
                        const cgwd_line *line);

#endif
