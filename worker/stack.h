/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWW_STACK_H
#define CGWW_STACK_H

/*
 * The Python stack of another thread of this process, without the interpreter
 * lock: the thread writes it itself, in a signal handler of Python's module
 * faulthandler, wherever it is, also in C code that never gives the lock up.
 */

#include <stddef.h>
#include <sys/types.h>

struct cgww_stack {
    int signal;         /* faulthandler's handler is installed for it */
    int file;           /* a memory file, which the handler writes to */
    int halves;         /* of its patience that are gone */
};

/* Bytes of the longest stack. */
#define CGWW_STACK_MAX 16384

/* Writes the stack of thread `tid` to out, the innermost call first, a line
 * each, without frames of the gateway itself; of a thread that takes no
 * signals, a text that says so, after half a second; of the next ones in a row sooner.
 * size is at least 128. Returns the length without the NUL, 0
 * where the thread is not in Python code of the application. */
size_t cgww_stack_take(struct cgww_stack *stack, pid_t tid, char *out, size_t size);

#endif
