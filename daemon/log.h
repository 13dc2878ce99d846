/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_LOG_H
#define CGWD_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* Lines of httpd's default error log format, written to error logs that
 * httpd's parent opened. What cannot be written (disk full, a piped logger
 * that stalls) is lost, never waited for longer than the kernel's write takes. */

enum cgwd_level { CGWD_ERROR, CGWD_WARN, CGWD_NOTICE, CGWD_INFO, CGWD_DEBUG };

/* The longest text of one line, in bytes; the rest is cut. */
#define CGWD_LINE_MAX 8192

void cgwd_log(int fd, enum cgwd_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Lines that go out in one write, so that those of others do not come between:
 * a traceback stays together. As long as a pipe takes whole. */
typedef struct cgwd_log_batch {
    char bytes[4096];
    size_t len;
} cgwd_log_batch;

/* A line that process pid of a group wrote. Control characters are shown as
 * \xHH, so that nobody forges a line. It goes out with the batch. */
struct cgwd_writer {
    int fd;
    const char *format;     /* ErrorLogFormat, NULL: httpd's default */
    const char *group;
};
void cgwd_log_output(cgwd_log_batch *batch, const struct cgwd_writer *writer,
                     enum cgwd_level level, pid_t pid, const char *line, size_t len);
void cgwd_log_flush(cgwd_log_batch *batch, int fd);
/* The level of a line that begins with "<n>", n being syslog's number, as
 * cgateway.LogHandler writes: what the line has before its text is *skip bytes.
 * CGWD_ERROR and 0 for any other line. */
enum cgwd_level cgwd_log_level(const char *line, size_t len, size_t *skip);
const char *cgwd_level_name(enum cgwd_level level);
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
