/* SPDX-License-Identifier: Apache-2.0 */

#include "origin.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIPE "pipe:["
#define MOUNT_ID "\nmnt_id:"

static int is_pipe(int fd)
{
    char path[64], target[sizeof(PIPE)];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    n = readlink(path, target, sizeof(target));
    if (n < 0) {    /* no /proc: then nobody opens it by its path either */
        return fcntl(fd, F_GETPIPE_SZ) > 0;
    }
    return n >= (ssize_t)strlen(PIPE) && memcmp(target, PIPE, strlen(PIPE)) == 0;
}

/* The number of the mount that it was opened on; -1: unknown. */
static long mount_id(int fd)
{
    char path[64], text[512];
    const char *at;
    ssize_t n;
    int info;

    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    info = open(path, O_RDONLY | O_CLOEXEC);
    if (info < 0) {
        return -1;
    }
    n = read(info, text, sizeof(text) - 1);
    close(info);
    text[n < 0 ? 0 : n] = '\0';
    at = strstr(text, MOUNT_ID);
    return at ? strtol(at + strlen(MOUNT_ID), NULL, 10) : -1;
}

/* Whether a line of it, which is a table as of /proc/self/mountinfo, begins with id. */
static int has_mount(int table, long id)
{
    char bytes[8192], *end;
    size_t have = 0;
    ssize_t n;

    if (table < 0 || lseek(table, 0, SEEK_SET) < 0) {
        return 0;
    }
    while ((n = read(table, bytes + have, sizeof(bytes) - 1 - have)) > 0) {
        char *line = bytes;
        bytes[have + (size_t)n] = '\0';
        while ((end = strchr(line, '\n')) != NULL) {
            if (strtol(line, NULL, 10) == id) {
                return 1;
            }
            line = end + 1;
        }
        have = strlen(line);
        if (have == sizeof(bytes) - 1) {
            return 0;   /* a line of such a length is nobody's */
        }
        memmove(bytes, line, have);
    }
    return 0;
}

static int is_known_path(int fd, const cgwd_mounts *mounts)
{
    int flags = fcntl(fd, F_GETFL), table, known;
    long id = flags >= 0 && flags & O_PATH ? mount_id(fd) : -1;

    if (id < 0) {
        return 0;
    }
    table = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    known = has_mount(table, id) || has_mount(mounts->table, id);
    if (table >= 0) {
        close(table);
    }
    return known;
}

enum cgwd_origin cgwd_origin_of(int fd, const cgwd_mounts *mounts)
{
    return fd < 0                      ? CGWD_ORIGIN_UNKNOWN
           : is_pipe(fd)               ? CGWD_ORIGIN_PIPE
           : is_known_path(fd, mounts) ? CGWD_ORIGIN_PATH
                                       : CGWD_ORIGIN_UNKNOWN;
}
