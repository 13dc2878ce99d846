/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGW_RLIMITS_H
#define CGW_RLIMITS_H

#include <sys/resource.h>

/* The limits of CGatewayLimit, as setrlimit(2) has them. X(symbol, name, is_size);
 * is_size: in bytes. */
#define CGW_RLIMIT_TABLE(X)                                                   \
    X(AS, "as", 1)                                                            \
    X(CORE, "core", 1)                                                        \
    X(CPU, "cpu", 0)                                                          \
    X(DATA, "data", 1)                                                        \
    X(FSIZE, "fsize", 1)                                                      \
    X(MEMLOCK, "memlock", 1)                                                  \
    X(MSGQUEUE, "msgqueue", 1)                                                \
    X(NICE, "nice", 0)                                                        \
    X(NOFILE, "nofile", 0)                                                    \
    X(NPROC, "nproc", 0)                                                      \
    X(RTPRIO, "rtprio", 0)                                                    \
    X(RTTIME, "rttime", 0)                                                    \
    X(SIGPENDING, "sigpending", 0)                                            \
    X(STACK, "stack", 1)

#endif
