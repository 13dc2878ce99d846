/* SPDX-License-Identifier: Apache-2.0 */

#include "log.h"

#include "format.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

static const char *const level_names[] = {
    [CGWD_ERROR] = "error", [CGWD_WARN] = "warn", [CGWD_NOTICE] = "notice",
    [CGWD_INFO] = "info", [CGWD_DEBUG] = "debug"};

const char *cgwd_level_name(enum cgwd_level level)
{
    return level_names[level];
}

size_t cgwd_log_prefix(char *out, size_t size, const struct timespec *now,
                       enum cgwd_level level, pid_t pid)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri",
                                       "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May",
                                         "Jun", "Jul", "Aug", "Sep", "Oct",
                                         "Nov", "Dec"};
    struct tm tm;
    int n;

    localtime_r(&now->tv_sec, &tm);
    n = snprintf(out, size,
                 "[%s %s %02d %02d:%02d:%02d.%06ld %d] [cgateway:%s] [pid %ld] ",
                 days[tm.tm_wday], months[tm.tm_mon], tm.tm_mday, tm.tm_hour,
                 tm.tm_min, tm.tm_sec, now->tv_nsec / 1000, tm.tm_year + 1900,
                 level_names[level], (long)pid);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

size_t cgwd_log_escape(char *out, size_t size, const char *text, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    size_t at = 0;

    for (size_t i = 0; i < len && at + 5 <= size; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            out[at++] = '\\';
            out[at++] = 'x';
            out[at++] = hex[c >> 4];
            out[at++] = hex[c & 15];
        }
        else {
            out[at++] = (char)c;
        }
    }
    out[at] = '\0';
    return at;
}

int cgwd_log_adopt(int fd)
{
    char path[64];
    struct stat st;
    int again;

    if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode)) {
        return fd;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    again = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (again < 0) {
        return fd;
    }
    close(fd);
    return again;
}

static const int syslog_levels[] = {
    [CGWD_ERROR] = 3, [CGWD_WARN] = 4, [CGWD_NOTICE] = 5, [CGWD_INFO] = 6,
    [CGWD_DEBUG] = 7};

/* syslog's socket (CGatewayErrorLog syslog) takes datagrams. */
static int is_syslog(int fd)
{
    int type = 0;
    socklen_t size = sizeof(type);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0
           && type == SOCK_DGRAM;
}

/* local7, as httpd's own. The service adds the time. */
static void send_syslog(int fd, enum cgwd_level level, pid_t pid, const char *text,
                        size_t len)
{
    char line[CGWD_LINE_MAX + 256];
    int n = snprintf(line, sizeof(line), "<%d>cgateway[%ld]: %.*s",
                     LOG_LOCAL7 | syslog_levels[level], (long)pid, (int)len, text);

    if (n > 0) {
        size_t size = (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1;
        send(fd, line, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

/* One writev, so that lines of several programs do not mix in the log. */
static void emit(int fd, enum cgwd_level level, pid_t pid, char *text,
                 size_t len)
{
    char prefix[128];
    struct timespec now;
    struct iovec iov[3];

    if (is_syslog(fd)) {
        send_syslog(fd, level, pid, text, len);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    iov[0].iov_base = prefix;
    iov[0].iov_len = cgwd_log_prefix(prefix, sizeof(prefix), &now, level, pid);
    iov[1].iov_base = text;
    iov[1].iov_len = len;
    iov[2].iov_base = "\n";
    iov[2].iov_len = 1;
    if (writev(fd, iov, 3) < 0) {
        return; /* there is nowhere else to say so */
    }
}

void cgwd_log(int fd, enum cgwd_level level, const char *format, ...)
{
    char text[CGWD_LINE_MAX], safe[CGWD_LINE_MAX];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n < 0) {
        return;
    }
    emit(fd, level, getpid(), safe,
         cgwd_log_escape(safe, sizeof(safe), text, strlen(text)));
}

enum cgwd_level cgwd_log_level(const char *line, size_t len, size_t *skip)
{
    int number = len >= 3 && line[0] == '<' && line[2] == '>' ? line[1] - '0' : -1;
    int level = CGWD_DEBUG;

    *skip = number >= 0 && number <= 7 ? 3 : 0;
    while (*skip && level > CGWD_ERROR && syslog_levels[level] > number) {
        level--;
    }
    return *skip ? (enum cgwd_level)level : CGWD_ERROR;
}

int cgwd_log_shows(int64_t log_level, enum cgwd_level level)
{
    return syslog_levels[level] <= log_level;
}

void cgwd_log_flush(cgwd_log_batch *batch, int fd)
{
    size_t len = batch->len < sizeof(batch->bytes) ? batch->len
                                                   : sizeof(batch->bytes);

    if (len && write(fd, batch->bytes, len) < 0) {
        /* there is nowhere else to say so */
    }
    batch->len = 0;
}

/* "group: text", as it goes into a line. */
static size_t put_text(char *out, size_t size, const char *group, const char *line,
                       size_t len)
{
    size_t n = (size_t)snprintf(out, size, "%.100s: ", group);

    return n + cgwd_log_escape(out + n, size - n, line, len);
}

/* With its end. 0: ErrorLogFormat does not want it. */
static size_t put_line(char *out, size_t size, const struct cgwd_writer *writer,
                       const cgwd_line *line)
{
    size_t n;

    if (writer->format) {
        n = cgwd_format_line(out, size - 1, writer->format, line);
    }
    else {
        n = cgwd_log_prefix(out, size - line->len - 1, line->now, line->level,
                            line->pid);
        memcpy(out + n, line->text, line->len);
        n += line->len;
    }
    if (n) {
        out[n++] = '\n';
    }
    return n;
}

void cgwd_log_output(cgwd_log_batch *batch, const struct cgwd_writer *writer,
                     enum cgwd_level level, pid_t pid, const char *line, size_t len)
{
    char text[CGWD_LINE_MAX + 128], out[sizeof(text) + 512];
    struct timespec now;
    size_t n = put_text(text, sizeof(text), writer->group, line, len);

    if (is_syslog(writer->fd)) {
        send_syslog(writer->fd, level, pid, text, n);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    n = put_line(out, sizeof(out), writer,
                 &(cgwd_line){.now = &now, .level = level, .pid = pid, .text = text,
                              .len = n});
    if (batch->len + n > sizeof(batch->bytes)) {
        cgwd_log_flush(batch, writer->fd);
    }
    if (n <= sizeof(batch->bytes)) {
        memcpy(batch->bytes + batch->len, out, n);
        batch->len += n;
    }
    else if (write(writer->fd, out, n) < 0) {
        return; /* as above */
    }
}
