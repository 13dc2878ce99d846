/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGW_CONTROL_H
#define CGW_CONTROL_H

/*
 * Control messages: one bounded struct each over SOCK_SEQPACKET socket pairs,
 * in host byte order (both ends are on one machine and of one build, which the
 * version in each message checks). Only WATCH has a text.
 *
 * 1. httpd's parent <-> cgatewayd. cgatewayd inherits its end as descriptor
 *    CGW_SUPERVISOR_FD. The parent sends, at every post_config:
 *
 *      CONFIG  arg = number of groups; descriptors: [0] memfd with that many
 *              encoded specs (cgw_spec.h) one after another, [1] the main
 *              server's error log
 *      LOCK    descriptors: [0] flock on <runtime dir>/lock, in the place of the
 *              one before: the directory may have been made anew
 *      USER    arg = uid that httpd's children run as
 *      GROUP   arg = index; descriptors: [0] listening socket, [1] the error
 *              log of the virtual host that owns the group; once per group
 *      COMMIT  arg = CGW_COMMIT_*
 *
 *    It also sends them in between, where a socket had to be made anew, or the
 *    directory.
 *
 *    cgatewayd answers ACCEPTED (arg = number of groups) or REFUSED (arg =
 *    errno). End of file from the parent means httpd has ended: remove the
 *    socket files and the runtime directory, end every process, exit.
 *
 * 2. cgatewayd <-> a process of a group (template or worker), which inherits
 *    its end as descriptor CGW_CONTROL_FD.
 *
 *      process -> supervisor
 *        WATCH    before import, once for each name in a directory whose change
 *                 asks for a reload (arg = CGW_WATCH_NAME, text = the name;
 *                 descriptors: [0] the directory, O_PATH), then once with arg =
 *                 CGW_WATCH_END: the process waits for LOAD
 *        READY    after import; arg = CGW_READY_* flags, and sys.hexversion
 *                 shifted left by CGW_READY_PYTHON_SHIFT
 *        FAILED   arg = enum cgw_start_failure; the reason is on stderr
 *        HELLO    a forked worker's first word, for its pid
 *        STACKS   descriptors: [0] the reading end of a pipe: a thread that gets
 *                 CGW_STACKS_SIGNAL writes its Python stack there
 *        SERVING  the worker accepts requests
 *        CLOSED   the worker has stopped accepting
 *        DRAINED  it has no request left, either
 *        WORN     the worker has served as many requests as it was allowed; it
 *                 goes on until it is told to drain
 *        OVERDUE  a request has had a thread for longer than it may (arg = ms);
 *                 httpd has been told
 *        DEADLOCKED  no thread has got the interpreter lock for too long (arg =
 *                 ms)
 *      supervisor -> process
 *        LOAD     the names are watched: import the application
 *        FORK     become a template: fork a worker (twice, so that it is the
 *                 supervisor's child); descriptors: [0] its control channel,
 *                 [1] its output pipe (stdout and stderr), [2] its scoreboard
 *                 (cgw_scoreboard.h); arg = how many requests the worker may
 *                 serve before it says WORN, 0: any
 *        SERVE    be a worker: start the threads, accept requests; arg as
 *                 FORK's; descriptors: [0] its scoreboard
 *        DRAIN    stop accepting, finish what runs, exit 0
 *
 *    The supervisor learns a forked worker's pid from SCM_CREDENTIALS
 *    (SO_PASSCRED on its end) of the worker's first message. End of file from
 *    the supervisor means the same as DRAIN.
 */

/*
 * 3. cgatewayd <-> its successor. At graceful httpd's parent finds another
 *    cgatewayd on disk, or is itself of another version now: it starts that one
 *    beside the running one, and, when the new one has taken the configuration,
 *    tells the old one with CGW_SUCCESSION_SIGNAL and a value of enum
 *    cgw_succession. The new one does the same when its groups serve. This
 *    section stays as it is, whatever CGW_CONTROL_VERSION is.
 *
 *      cgatewayd <runtime dir> [<pid of the predecessor>]
 *
 *    with a pidfd of the predecessor as descriptor CGW_PREDECESSOR_FD.
 */

#include <stddef.h>
#include <stdint.h>

#ifndef CGW_CONTROL_VERSION /* tests build another one */
#define CGW_CONTROL_VERSION 11
#endif
#define CGW_CONTROL_MAGIC 0x31574743u /* "CGW1" */

/* Descriptors that a program inherits. */
#define CGW_SUPERVISOR_FD 3   /* cgatewayd: its end to httpd's parent */
#define CGW_LOCK_FD 4         /* cgatewayd: flock on <runtime dir>/lock */
#define CGW_PREDECESSOR_FD 5  /* cgatewayd: pidfd of the one before, if any */
#define CGW_CONTROL_FD 3      /* template, worker: its end to cgatewayd */
#define CGW_LISTEN_FD 4       /* template, worker: the group's socket */

#define CGW_MESSAGE_TABLE(X)                                                  \
    X(CONFIG, 1) X(GROUP, 2) X(COMMIT, 3) X(ACCEPTED, 4) X(REFUSED, 5)        \
    X(USER, 6) X(LOCK, 7)                                                     \
    X(READY, 16) X(FAILED, 17) X(SERVING, 18) X(DRAINED, 19) X(HELLO, 20)     \
    X(WATCH, 21) X(CLOSED, 22) X(WORN, 24) X(OVERDUE, 26) X(STACKS, 27)       \
    X(DEADLOCKED, 28)                                                         \
    X(FORK, 32) X(SERVE, 33) X(DRAIN, 34) X(LOAD, 35)

enum cgw_message_type {
#define X(sym, value) CGW_MSG_##sym = value,
    CGW_MESSAGE_TABLE(X)
#undef X
};

/* From cgatewayd to httpd's parent: something of the runtime directory is missing. Also
 * what the parent gets when cgatewayd ends. Without a handler it is ignored. */
#define CGW_CALL_SIGNAL SIGURG

/* A real-time signal, so that each one is queued with its value. */
#define CGW_SUCCESSION_SIGNAL 44

enum cgw_succession {
    CGW_SUCCEEDED_SHARED = 1,   /* from httpd's parent: another one listens on */
    CGW_SUCCEEDED_APART = 2,    /* the same sockets, or on others. Serve on; the
                                   end of the control channel means nothing */
    CGW_SUCCESSOR_SERVES = 3,   /* from that one: drain, then end */
    CGW_SUCCEEDED_ELSEWHERE = 4, /* as apart, and in another runtime directory */
    CGW_SUCCEEDED_NOW = 0x100   /* with one of those: end at once */
};

/* The supervisor's question to a process whose import takes too long: it writes
 * the Python stack of its main thread to stderr. Without effect where nobody
 * has installed a handler for it. */
#define CGW_STACK_SIGNAL SIGWINCH

#define CGW_COMMIT_GRACEFUL 0
#define CGW_COMMIT_RESTART 1
#define CGW_COMMIT_REPAIR 2     /* only what has changed: a socket, or a file that a group
                                   lacked */

/* READY flags */
#define CGW_READY_FORKABLE 0x1  /* it may become a template */
#define CGW_READY_PYTHON_SHIFT 32

/* The supervisor's question to one thread at any time; it answers as STACKS says.
 * The default would end the process: it is sent to those that catch it only. */
#define CGW_STACKS_SIGNAL 61

/* WATCH */
#define CGW_WATCH_END 0
#define CGW_WATCH_NAME 1

enum cgw_start_failure {
    CGW_START_IMPORT = 1,       /* importing the application raised */
    CGW_START_CALLABLE = 2,     /* no such name in the module, not callable */
    CGW_START_INTERPRETER = 3   /* Python too old, extension not loadable */
};

struct cgw_message {
    uint32_t magic;             /* CGW_CONTROL_MAGIC */
    uint16_t version;           /* CGW_CONTROL_VERSION */
    uint16_t type;              /* enum cgw_message_type */
    uint64_t arg;
    char text[256];             /* NUL-terminated; without it on the wire */
};

#define CGW_MESSAGE_MAX_FDS 3
#define CGW_MESSAGE_FIXED offsetof(struct cgw_message, text)
#define CGW_MESSAGE_TEXT_MAX (sizeof(((struct cgw_message *)0)->text) - 1)

/* Both wait while the peer's queue is full or empty unless the descriptor is
 * non-blocking. Descriptors are received close-on-exec. Return 0 or an errno:
 * EPIPE at end of file, EPROTO for a malformed message, EPROTONOSUPPORT for one
 * of another version, EMFILE where this process has no room for the descriptors
 * of one that is well-formed (all of them are closed in these cases), EAGAIN as
 * usual. Implemented in common/control.c, libc only. */
int cgw_message_send(int fd, enum cgw_message_type type, uint64_t arg,
                     const int *fds, int nfds);
/* As above, with a text of at most CGW_MESSAGE_TEXT_MAX bytes, else EINVAL. */
int cgw_message_send_text(int fd, enum cgw_message_type type, uint64_t arg,
                          const char *text, const int *fds, int nfds);
/* fds has room for CGW_MESSAGE_MAX_FDS, unused entries are set to -1; pid (may
 * be NULL) receives the sender's pid where SO_PASSCRED is on, else 0. */
int cgw_message_recv(int fd, struct cgw_message *out,
                     int fds[CGW_MESSAGE_MAX_FDS], int *pid);
const char *cgw_message_name(unsigned type);
/* What was received is closed with cgw_close_passed(), and a channel with
 * cgw_close_socket() (cgw_closer.h). */

/*
 * Command line of a process of a group, exec'ed by cgatewayd:
 *
 *   <python> <library dir>/bootstrap.py <group> <application> <threads>
 *            <processes> <options...> <sys.path entries...>
 *
 * Options begin with "--", entries with "/":
 *
 *   --owner=<uid>          the user whose connections bring requests: the owner
 *                          of the group's socket, httpd's User
 *   --preload=<name>       of CGW_PRELOAD_TABLE (cgw_spec.h)
 *   --deadlock-timeout=<ms>  say DEADLOCKED then; 0: never
 *   --watch-application    reload when the application's file changes
 *   --watch=<file>         reload when this file changes
 *   --generation=<n>       its number
 *   --check=<path>         serve nothing: import the application, GET that path
 *                          unless it is empty, report on stdout, and exit; both
 *                          descriptors are of /dev/null
 *
 * <library dir> is the directory that holds cgatewayd, bootstrap.py and
 * _cgateway*.so. Environment: the group's, nothing else.
 */

#endif
