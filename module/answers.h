/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_ANSWERS_H
#define CGWM_ANSWERS_H

/* What a group answered lately to questions about users, kept for a while in
 * an httpd child. Neither users nor passwords can be read back: a question is
 * kept as a digest with a secret of the child. Any thread may call. */

#include "apr_pools.h"
#include "apr_sha1.h"
#include "apr_time.h"

typedef struct cgwm_answers cgwm_answers;

typedef struct cgwm_answer_key {
    unsigned char digest[APR_SHA1_DIGESTSIZE];
} cgwm_answer_key;

/* Lives in p. Where there is no randomness or no memory: NULL, with which the
 * functions below keep nothing. */
cgwm_answers *cgwm_answers_create(apr_pool_t *p);

/* The key of a question: words, the last one NULL. */
void cgwm_answers_key(const cgwm_answers *answers, const char *const *words,
                      cgwm_answer_key *key);
/* The answer, copied into p; NULL: not known, or not any more. */
const char *cgwm_answers_get(cgwm_answers *answers, const cgwm_answer_key *key,
                             apr_pool_t *p);
/* Keeps it until a time; one that is longer than 4 KiB is not kept. */
void cgwm_answers_put(cgwm_answers *answers, const cgwm_answer_key *key,
                      const char *text, apr_time_t until);

#endif
