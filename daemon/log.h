/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_LOG_H
#define CGWD_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "cgw_wire.h"

/* Lines in the format of httpd's error log, written to error logs that
 * httpd's parent opened. What cannot be written (disk full, a piped logger
 * that stalls) is lost, never waited for longer than the kernel's write takes. */

enum cgwd_level { CGWD_ERROR, CGWD_WARN, CGWD_NOTICE, CGWD_INFO, CGWD_DEBUG };

/* The longest text of one line, in bytes; the rest is cut. */
#define CGWD_LINE_MAX 8192

/* Where lines go, and how they look. */
typedef struct cgwd_writer {
    int fd;                 /* syslog's socket, or anything that can be written */
    const char *format;     /* ErrorLogFormat, NULL: httpd's default */
    const char *server;     /* %v of it */
    int facility;           /* of syslog: LOG_LOCAL7, ... */
    const char *tag;        /* of syslog; NULL: cgateway */
} cgwd_writer;

/* A line of the supervisor's own; takes no memory. */
void cgwd_log(const cgwd_writer *writer, enum cgwd_level level,
              const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Adds a line that process pid of a group wrote to others; without memory for them, all
 * are written at once. Control characters are shown as \xHH, so that nobody forges a
 * line. */
void cgwd_log_add(struct cgw_buf *lines, const cgwd_writer *writer,
                  const char *group, enum cgwd_level level, pid_t pid,
                  const char *line, size_t len);
/* Writes those lines, and frees their memory. In a file they stay together; a pipe
 * takes 4 KiB at a time whole, syslog a line. */
void cgwd_log_flush(struct cgw_buf *lines, const cgwd_writer *writer);
/* The level of a line that begins with "<n>", n being syslog's number, as
 * cgateway.LogHandler writes: what the line has before its text is *skip bytes.
 * CGWD_ERROR and 0 for any other line. */
enum cgwd_level cgwd_log_level(const char *line, size_t len, size_t *skip);
const char *cgwd_level_name(enum cgwd_level level);
/* syslog's number, as httpd has it. */
int cgwd_level_number(enum cgwd_level level);
/* Whether lines of that level are shown by LogLevel; syslog's number. */
int cgwd_log_shows(int64_t log_level, enum cgwd_level level);

/* A log's descriptor that came from httpd, made fit for a loop that must not
 * block: a pipe (a piped logger's) is opened anew without blocking, so that
 * httpd's own end is not changed. Takes fd over; returns the one to use. */
int cgwd_log_adopt(int fd);

/* The parts, for tests. Both return the length without the NUL. */
size_t cgwd_log_prefix(char *out, size_t size, const struct timespec *now,
                       enum cgwd_level level, pid_t pid);
size_t cgwd_log_escape(char *out, size_t size, const char *text, size_t len);

#endif
