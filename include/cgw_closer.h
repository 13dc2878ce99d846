/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGW_CLOSER_H
#define CGW_CLOSER_H

/*
 * Closing what somebody has passed who may be hostile. close() can wait: for a TCP
 * peer that does not read, where the sender wanted it so (SO_LINGER), for a file
 * system that a process plays (FUSE), and for whatever of that kind lies in the
 * queue of a socket that is closed. So a process closes it that shares this one's
 * descriptors and nothing else; it is waited for only as long as an honest
 * descriptor takes. Implemented in common/closer.c, libc only.
 */
#include <sys/types.h>

void cgw_close_passed(int fd);

/* recv() without waiting of a Unix socket whose peer has no business to pass
 * descriptors. -1 with EBADMSG: some are with the next byte, and only closing the
 * socket is left. Without room for them, the kernel would close them here. */
ssize_t cgw_receive_bytes(int fd, void *bytes, size_t size);

/* Closes a Unix socket with all that nobody has received from it, at once. */
void cgw_close_socket(int fd);
/* The same of a stream, which mostly has nothing: with two system calls more. */
void cgw_close_stream(int fd);

#endif
