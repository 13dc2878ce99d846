/* SPDX-License-Identifier: Apache-2.0 */
/* Requests at the control socket, in any pieces: each answer is one line of JSON,
 * whatever was asked, and a client that goes leaves nothing. */

#include "supervisor.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/admin.h"

static cgwd_supervisor *sup;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

/* No process can be started: groups fail, and what is asked of them is
 * answered. */
pid_t cgwd_spawn_exec(const cgwd_spawn *spawn, const char **what, apr_pool_t *p)
{
    (void)spawn;
    (void)p;
    *what = NULL;
    errno = EAGAIN;
    return -1;
}

static void leave(void)
{
    cgwd_admin_unlink(sup);
    rmdir(sup->rundir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static char dir[] = "/tmp/cgw-fuzz-XXXXXX";

    (void)argc;
    (void)argv;
    ignore_signals();
    apr_initialize();
    sup = make_supervisor();
    sup->rundir = mkdtemp(dir);
    atexit(leave);
    make_group(sup, 1);
    cgwd_admin_listen(sup);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", dir,
             CGW_ADMIN_SOCKET);
    return 0;
}

static void check_answer(int fd)
{
    static char answer[1 << 16];
    ssize_t n = recv(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT);

    if (n <= 0) {
        return; /* it waits for more of the request, or has hung up */
    }
    answer[n] = '\0';
    if (answer[0] != '{' || answer[n - 1] != '\n' || strchr(answer, '\n') != answer + n - 1
        || strlen(answer) != (size_t)n) {
        abort();
    }
}

/* The first byte of the data says into how many pieces it is cut. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t piece = size > 1 ? (size - 1) / (data[0] % 4 + 1u) + 1 : 1;

    if (size < 2 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        return 0;
    }
    turn(sup);
    for (size_t at = 1; at < size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        if (send(fd, data + at, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
            break;
        }
        turn(sup);
    }
    turn(sup);
    check_answer(fd);
    close(fd);
    turn(sup);
    return 0;
}
