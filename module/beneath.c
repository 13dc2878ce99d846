/* SPDX-License-Identifier: Apache-2.0 */

#include "beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef SYS_openat2
#include <linux/openat2.h>
#endif

#define DIRECTORY (O_PATH | O_DIRECTORY | O_CLOEXEC)
/* O_NONBLOCK: opening a FIFO must not wait for its writer. */
#define FILE_FLAGS (O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

/* close() that keeps errno. */
static void close_quietly(int fd)
{
    int keep = errno;

    close(fd);
    errno = keep;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

/* What of path is below directory, as it is spelled; NULL: nothing. */
static const char *below(const char *directory, const char *path)
{
    size_t len = strlen(directory);

    while (len > 0 && directory[len - 1] == '/') {
        len--;
    }
    if (strncmp(path, directory, len) != 0 || path[len] != '/') {
        return NULL;
    }
    path += len;
    while (*path == '/') {
        path++;
    }
    return *path ? path : NULL;
}

/* The descriptor where it is of a regular file. */
static int only_regular(int fd)
{
    struct stat st;

    if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
        int is_directory = S_ISDIR(st.st_mode);
        close(fd);
        return fail(is_directory ? EISDIR : EINVAL);
    }
    return fd;
}

/* ---- by openat2 ---------------------------------------------------------- */

#ifdef SYS_openat2
static int open_at(int directory, const char *path, int flags, mode_t mode, int resolve)
{
    struct open_how how = {
        .flags = (unsigned)flags, .mode = flags & O_CREAT ? mode : 0,
        .resolve = (unsigned)resolve | RESOLVE_NO_MAGICLINKS};
    int fd, tries = 0;

    do { /* EAGAIN: something was renamed meanwhile */
        fd = (int)syscall(SYS_openat2, directory, path, &how, sizeof(how));
    } while (fd < 0 && (errno == EINTR || (errno == EAGAIN && ++tries < 100)));
    return fd;
}
#else
#define RESOLVE_BENEATH 0
static int open_at(int directory, const char *path, int flags, mode_t mode, int resolve)
{
    (void)directory;
    (void)path;
    (void)flags;
    (void)mode;
    (void)resolve;
    return fail(ENOSYS);
}
#endif

/* EPERM: a filter of system calls that knows no openat2. */
static int is_missing(int error)
{
    return error == ENOSYS || error == EPERM;
}

/* ---- step by step -------------------------------------------------------- */

/* The next name of *path, which moves behind it. 0: too long. */
static int next_name(const char **path, char *name, size_t size)
{
    size_t len = strcspn(*path, "/");

    if (len >= size) {
        return 0;
    }
    memcpy(name, *path, len);
    name[len] = '\0';
    *path += len;
    *path += strspn(*path, "/");
    return 1;
}

int cgwm_beneath_walk(int directory, const char *path, int flags, mode_t mode)
{
    char name[NAME_MAX + 1];

    if (directory < 0) {
        return -1;
    }
    path += strspn(path, "/");
    for (;;) {
        if (!next_name(&path, name, sizeof(name))) {
            close(directory);
            return fail(ENAMETOOLONG);
        }
        if (strcmp(name, "..") == 0) {
            close(directory);
            return fail(EXDEV);
        }
        int next = openat(directory, name, (*path ? DIRECTORY : flags) | O_NOFOLLOW,
                          mode);
        close_quietly(directory);
        if (next < 0 || !*path) {
            return next;
        }
        directory = next;
    }
}

/* ---- open ---------------------------------------------------------------- */

int cgwm_beneath_open_strictly(const char *directory, const char *path)
{
    const char *rest = below(directory, path);
    int root = rest ? open(directory, DIRECTORY) : fail(EXDEV);

    return only_regular(cgwm_beneath_walk(root, rest, FILE_FLAGS, 0));
}

int cgwm_beneath_open(const char *directory, const char *path)
{
    const char *rest = below(directory, path);
    int root = rest ? open(directory, DIRECTORY) : fail(EXDEV);
    int fd;

    if (root < 0) {
        return -1;
    }
    fd = open_at(root, rest, FILE_FLAGS, 0, RESOLVE_BENEATH);
    close_quietly(root);
    if (fd < 0 && is_missing(errno)) {
        return cgwm_beneath_open_strictly(directory, path);
    }
    return only_regular(fd);
}

int cgwm_beneath_open_plainly(const char *path, int flags, mode_t mode)
{
    int fd = open_at(AT_FDCWD, path, flags, mode, 0);

    return fd < 0 && is_missing(errno)
               ? cgwm_beneath_walk(open("/", DIRECTORY), path, flags, mode) : fd;
}
