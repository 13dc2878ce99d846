/* SPDX-License-Identifier: Apache-2.0 */
/* Loaded before libc into a program under test: calls of libc fail when the plan, a
 * file that the test maps, too, says so. harness/inject.py has the other side. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* X(result, name, parameters, arguments, result of a failure) */
#define CALLS(X) \
    X(int, socket, (int a, int b, int c), (a, b, c), -1) \
    X(int, socketpair, (int a, int b, int c, int d[2]), (a, b, c, d), -1) \
    X(int, accept4, (int a, struct sockaddr *b, socklen_t *c, int d), (a, b, c, d), -1) \
    X(int, accept, (int a, struct sockaddr *b, socklen_t *c), (a, b, c), -1) \
    X(int, bind, (int a, const struct sockaddr *b, socklen_t c), (a, b, c), -1) \
    X(int, listen, (int a, int b), (a, b), -1) \
    X(int, connect, (int a, const struct sockaddr *b, socklen_t c), (a, b, c), -1) \
    X(int, setsockopt, (int a, int b, int c, const void *d, socklen_t e), \
      (a, b, c, d, e), -1) \
    X(int, getsockopt, (int a, int b, int c, void *d, socklen_t *e), (a, b, c, d, e), -1) \
    X(ssize_t, sendmsg, (int a, const struct msghdr *b, int c), (a, b, c), -1) \
    X(ssize_t, recvmsg, (int a, struct msghdr *b, int c), (a, b, c), -1) \
    X(ssize_t, send, (int a, const void *b, size_t c, int d), (a, b, c, d), -1) \
    X(ssize_t, recv, (int a, void *b, size_t c, int d), (a, b, c, d), -1) \
    X(ssize_t, read, (int a, void *b, size_t c), (a, b, c), -1) \
    X(ssize_t, pread, (int a, void *b, size_t c, off_t d), (a, b, c, d), -1) \
    X(ssize_t, write, (int a, const void *b, size_t c), (a, b, c), -1) \
    X(ssize_t, writev, (int a, const struct iovec *b, int c), (a, b, c), -1) \
    X(int, poll, (struct pollfd *a, nfds_t b, int c), (a, b, c), -1) \
    X(int, epoll_create1, (int a), (a), -1) \
    X(int, epoll_wait, (int a, struct epoll_event *b, int c, int d), (a, b, c, d), -1) \
    X(int, signalfd, (int a, const void *b, int c), (a, b, c), -1) \
    X(int, inotify_init1, (int a), (a), -1) \
    X(int, inotify_add_watch, (int a, const char *b, unsigned c), (a, b, c), -1) \
    X(int, pipe2, (int a[2], int b), (a, b), -1) \
    X(int, dup2, (int a, int b), (a, b), -1) \
    X(int, memfd_create, (const char *a, unsigned b), (a, b), -1) \
    X(int, ftruncate, (int a, off_t b), (a, b), -1) \
    X(void *, mmap, (void *a, size_t b, int c, int d, int e, off_t f), \
      (a, b, c, d, e, f), MAP_FAILED) \
    X(pid_t, fork, (void), (), -1) \
    X(int, execve, (const char *a, char *const *b, char *const *c), (a, b, c), -1) \
    X(int, waitid, (idtype_t a, id_t b, siginfo_t *c, int d), (a, b, c, d), -1) \
    X(pid_t, waitpid, (pid_t a, int *b, int c), (a, b, c), -1) \
    X(int, kill, (pid_t a, int b), (a, b), -1) \
    X(int, sigqueue, (pid_t a, int b, const union sigval c), (a, b, c), -1) \
    X(int, lchown, (const char *a, uid_t b, gid_t c), (a, b, c), -1) \
    X(int, chmod, (const char *a, mode_t b), (a, b), -1) \
    X(int, unlink, (const char *a), (a), -1) \
    X(int, rmdir, (const char *a), (a), -1) \
    X(int, mkdir, (const char *a, mode_t b), (a, b), -1) \
    X(int, flock, (int a, int b), (a, b), -1) \
    X(int, fstat, (int a, struct stat *b), (a, b), -1) \
    X(int, stat, (const char *a, struct stat *b), (a, b), -1) \
    X(int, lstat, (const char *a, struct stat *b), (a, b), -1) \
    X(ssize_t, readlink, (const char *a, char *b, size_t c), (a, b, c), -1) \
    X(int, chdir, (const char *a), (a), -1) \
    X(int, setgroups, (size_t a, const gid_t *b), (a, b), -1) \
    X(int, setresgid, (gid_t a, gid_t b, gid_t c), (a, b, c), -1) \
    X(int, setresuid, (uid_t a, uid_t b, uid_t c), (a, b, c), -1) \
    X(pid_t, setsid, (void), (), -1) \
    X(int, setrlimit, (__rlimit_resource_t a, const struct rlimit *b), (a, b), -1) \
    X(int, sched_setaffinity, (pid_t a, size_t b, const cpu_set_t *c), (a, b, c), -1) \
    X(FILE *, fopen, (const char *a, const char *b), (a, b), NULL) \
    X(void *, malloc, (size_t a), (a), NULL) \
    X(void *, calloc, (size_t a, size_t b), (a, b), NULL) \
    X(void *, realloc, (void *a, size_t b), (a, b), NULL)

/* Those with more arguments, each of them no longer than a long:
 * X(name, parameters, the last of them, all of them) */
#define CALLS_WITH_MORE(X) \
    X(open, (const char *a, int b, ...), b, (a, b, more)) \
    X(openat, (int a, const char *b, int c, ...), c, (a, b, c, more)) \
    X(fcntl, (int a, int b, ...), b, (a, b, more))

enum {
#define X(type, name, parameters, arguments, failure) CALL_##name,
    CALLS(X)
#undef X
#define X(name, parameters, last, arguments) CALL_##name,
    CALLS_WITH_MORE(X)
#undef X
    CALL_epoll_ctl,
    NCALLS
};

/* Written by the test, but for the last three. */
struct plan {
    int pid;                /* whose calls: 0 everybody's, -n everybody's but n's */
    int call;               /* which; -1: none */
    int first, last;        /* from this one on, up to that one, counted from 1 */
    int error;
    int failed;             /* so many have */
    unsigned long place;    /* of the first that did, in its program */
    char from[32];          /* how the file's name ends whose calls are meant; "": any */
    int seen[NCALLS];
};

static struct plan *plan;

__attribute__((constructor)) static void map_plan(void)
{
    const char *path = getenv("INJECT_PLAN");
    int (*open_it)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    void *(*map_it)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, "mmap");
    int fd = path ? open_it(path, O_RDWR | O_CLOEXEC) : -1;
    struct plan *p = fd < 0 ? MAP_FAILED
                            : map_it(NULL, sizeof(*p), PROT_READ | PROT_WRITE,
                                     MAP_SHARED, fd, 0);
    if (p != MAP_FAILED) {
        plan = p;
    }
    if (fd >= 0) {
        close(fd);
    }
}

static int is_meant(const Dl_info *info)
{
    size_t len = strlen(info->dli_fname), wanted = strlen(plan->from);

    return (plan->pid == 0 || (plan->pid > 0 ? plan->pid == getpid()
                                             : plan->pid != -getpid()))
           && wanted <= len && strcmp(info->dli_fname + len - wanted, plan->from) == 0;
}

static int fails(int call, void *place)
{
    Dl_info info;
    int n;

    if (!plan || !dladdr(place, &info) || !is_meant(&info)) {
        return 0;
    }
    n = __atomic_add_fetch(&plan->seen[call], 1, __ATOMIC_RELAXED);
    if (call != plan->call || n < plan->first || n > plan->last) {
        return 0;
    }
    if (__atomic_fetch_add(&plan->failed, 1, __ATOMIC_RELAXED) == 0) {
        plan->place = (unsigned long)place - (unsigned long)info.dli_fbase;
    }
    errno = plan->error;
    return 1;
}

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t),
    *__libc_realloc(void *, size_t);

/* dlsym() itself needs memory */
static void *real_of(int call, const char *name)
{
    return call == CALL_malloc    ? (void *)__libc_malloc
           : call == CALL_calloc  ? (void *)__libc_calloc
           : call == CALL_realloc ? (void *)__libc_realloc : dlsym(RTLD_NEXT, name);
}

#define X(type, name, parameters, arguments, failure) \
    type name parameters \
    { \
        static type(*real) parameters; \
        if (!real) { real = real_of(CALL_##name, #name); } \
        return fails(CALL_##name, __builtin_return_address(0)) ? failure \
                                                               : real arguments; \
    }
CALLS(X)
#undef X

#define X(name, parameters, last, arguments) \
    int name parameters \
    { \
        static int(*real) parameters; \
        va_list list; \
        va_start(list, last); \
        long more = va_arg(list, long); \
        va_end(list); \
        if (!real) { real = dlsym(RTLD_NEXT, #name); } \
        return fails(CALL_##name, __builtin_return_address(0)) ? -1 : real arguments; \
    }
CALLS_WITH_MORE(X)
#undef X

/* To take one away needs nothing, and does not fail. */
int epoll_ctl(int a, int b, int c, struct epoll_event *d)
{
    static int (*real)(int, int, int, struct epoll_event *);

    if (!real) { real = dlsym(RTLD_NEXT, "epoll_ctl"); }
    return b != EPOLL_CTL_DEL && fails(CALL_epoll_ctl, __builtin_return_address(0))
               ? -1 : real(a, b, c, d);
}
