/* SPDX-License-Identifier: Apache-2.0 */

#include "log.h"

#include "format.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const level_names[] = {
    [CGWD_ERROR] = "error", [CGWD_WARN] = "warn", [CGWD_NOTICE] = "notice",
    [CGWD_INFO] = "info", [CGWD_DEBUG] = "debug"};

const char *cgwd_level_name(enum cgwd_level level)
{
    return level_names[level];
}

static const int syslog_levels[] = {
    [CGWD_ERROR] = 3, [CGWD_WARN] = 4, [CGWD_NOTICE] = 5, [CGWD_INFO] = 6,
    [CGWD_DEBUG] = 7};

int cgwd_level_number(enum cgwd_level level)
{
    return syslog_levels[level];
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

/* ---- a line ------------------------------------------------------------------ */

enum kind { A_FILE, A_PIPE, A_SYSLOG };

/* syslog's socket (CGatewayErrorLog syslog) takes datagrams. */
static enum kind kind_of(int fd)
{
    int type = 0;
    socklen_t size = sizeof(type);
    struct stat st;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0) {
        return type == SOCK_DGRAM ? A_SYSLOG : A_FILE;
    }
    return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) ? A_PIPE : A_FILE;
}

/* For syslog, which adds the time. */
static size_t put_syslog(char *out, size_t size, const cgwd_writer *writer,
                         const cgwd_line *line)
{
    int n = snprintf(out, size, "<%d>%.64s[%ld]: %.*s",
                     writer->facility | syslog_levels[line->level],
                     writer->tag ? writer->tag : "cgateway", (long)line->pid,
                     (int)line->len, line->text);

    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

/* As httpd writes it where there is no ErrorLogFormat. */
static size_t put_default(char *out, size_t size, const cgwd_line *line)
{
    size_t n = cgwd_log_prefix(out, size - line->len, line->now, line->level,
                               line->pid);

    memcpy(out + n, line->text, line->len);
    return n + line->len;
}

/* text is escaped. The bytes of the line, with its end; 0 where ErrorLogFormat does not
 * want it. */
static size_t put_line(char *out, size_t size, const cgwd_writer *writer,
                       enum cgwd_level level, pid_t pid, const char *text, size_t len)
{
    struct timespec now;
    const cgwd_line line = {.now = &now, .level = level, .pid = pid,
                            .server = writer->server, .text = text, .len = len};
    size_t n, room = size - 1;

    clock_gettime(CLOCK_REALTIME, &now);
    n = kind_of(writer->fd) == A_SYSLOG ? put_syslog(out, room, writer, &line)
        : writer->format ? cgwd_format_line(out, room, writer->format, &line)
                         : put_default(out, room, &line);
    if (n) {
        out[n++] = '\n';
    }
    return n;
}

/* ---- lines -------------------------------------------------------------------- */

/* The bytes of the first line, with its end. */
static size_t first_line(const char *lines, size_t len)
{
    const char *end = memchr(lines, '\n', len);

    return end ? (size_t)(end - lines) + 1 : len;
}

/* What goes out at once: whole lines, as many as the log takes in one piece. */
static size_t first_piece(enum kind kind, const char *lines, size_t len)
{
    size_t n = first_line(lines, len);

    if (kind == A_SYSLOG) {
        return n;
    }
    while (n < len) {
        size_t next = first_line(lines + n, len - n);
        if (kind == A_PIPE && n + next > PIPE_BUF) {
            break;
        }
        n += next;
    }
    return n;
}

static void write_piece(enum kind kind, int fd, const char *piece, size_t len)
{
    ssize_t n = kind == A_SYSLOG
                    ? send(fd, piece, len - 1, MSG_DONTWAIT | MSG_NOSIGNAL)
                    : write(fd, piece, len);

    if (n < 0) {
        return; /* there is nowhere else to say so */
    }
}

static void write_lines(const cgwd_writer *writer, const char *lines, size_t len)
{
    enum kind kind = len ? kind_of(writer->fd) : A_FILE;

    for (size_t n; len > 0; len -= n, lines += n) {
        n = first_piece(kind, lines, len);
        write_piece(kind, writer->fd, lines, n);
    }
}

void cgwd_log_flush(struct cgw_buf *lines, const cgwd_writer *writer)
{
    write_lines(writer, (const char *)lines->data, lines->len);
    cgw_buf_free(lines);
}

void cgwd_log_add(struct cgw_buf *lines, const cgwd_writer *writer,
                  const char *group, enum cgwd_level level, pid_t pid,
                  const char *line, size_t len)
{
    char text[CGWD_LINE_MAX + 128], out[CGWD_LINE_MAX + 1024];
    size_t n = (size_t)snprintf(text, sizeof(text), "%.100s: ", group);

    n += cgwd_log_escape(text + n, sizeof(text) - n, line, len);
    n = put_line(out, sizeof(out), writer, level, pid, text, n);
    cgw_buf_put(lines, out, n);
    if (lines->failed) { /* no memory to keep it in */
        cgwd_log_flush(lines, writer);
        write_lines(writer, out, n);
    }
}

void cgwd_log(const cgwd_writer *writer, enum cgwd_level level,
              const char *format, ...)
{
    char text[CGWD_LINE_MAX], safe[CGWD_LINE_MAX], out[CGWD_LINE_MAX + 1024];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n >= 0) {
        write_lines(writer, out,
                    put_line(out, sizeof(out), writer, level, getpid(), safe,
                             cgwd_log_escape(safe, sizeof(safe), text, strlen(text))));
    }
}

/* ---- levels -------------------------------------------------------------------- */

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
