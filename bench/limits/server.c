/* SPDX-License-Identifier: Apache-2.0 */

/* server <socket> <processes>: for each connection one recv, one send, close.
 * Ends with its standard input. */

#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "hop.h"

static void serve(int listener)
{
    static const char response[HOP_RESPONSE] = HOP_BODY;
    char request[HOP_REQUEST];

    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            continue;
        }
        if (recv(fd, request, sizeof(request), MSG_WAITALL) > 0) {
            send(fd, response, sizeof(response), MSG_NOSIGNAL);
        }
        close(fd);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char byte;

    if (argc != 3 || strlen(argv[1]) >= sizeof(address.sun_path)) {
        fprintf(stderr, "usage: server <socket> <processes>\n");
        return 2;
    }
    strcpy(address.sun_path, argv[1]);
    umask(0);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0
        || listen(listener, 1024) != 0) {
        perror(argv[1]);
        return 1;
    }
    for (int i = atoi(argv[2]); i > 0; i--) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            serve(listener);
        }
    }
    return read(STDIN_FILENO, &byte, 1) < 0;
}
