/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_WORDS_H
#define CGWD_WORDS_H

#include <stddef.h>

/* Which line of a process's output is worth telling when it has died: the last one;
 * of a crash that faulthandler reports, the innermost line of the Python code that
 * ran, since the report ends with what all processes say ("Extension modules: ...").
 * Pure functions. */

enum cgwd_words {
    CGWD_WORDS_ANY,         /* no report, or none yet */
    CGWD_WORDS_CRASH,       /* its title has come */
    CGWD_WORDS_STACK,       /* the stack of the thread that crashed begins */
    CGWD_WORDS_TOLD,        /* its first line has come; more of the report may */
};

/* Takes the next line into account. Not 0: it is the one to tell. */
int cgwd_words_add(enum cgwd_words *words, const char *line, size_t len);

#endif
