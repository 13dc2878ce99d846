/* SPDX-License-Identifier: Apache-2.0 */

#include "answers.h"

#include <stdlib.h>
#include <string.h>

#include "apr_general.h"
#include "apr_strings.h"
#include "apr_thread_mutex.h"

/* A place is found by the digest; what stood there is replaced. */
#define PLACES 1024
#define LONGEST 4096

struct answer {
    cgwm_answer_key key;
    apr_time_t until;           /* 0: the place is free */
    char *text;                 /* malloc: pools do not give back */
};

struct cgwm_answers {
    apr_thread_mutex_t *mutex;
    unsigned char secret[32];
    struct answer places[PLACES];
};

static apr_status_t forget_all(void *data)
{
    cgwm_answers *answers = data;

    for (int i = 0; i < PLACES; i++) {
        free(answers->places[i].text);
    }
    return APR_SUCCESS;
}

cgwm_answers *cgwm_answers_create(apr_pool_t *p)
{
    cgwm_answers *answers = apr_pcalloc(p, sizeof(*answers));

    if (apr_generate_random_bytes(answers->secret, sizeof(answers->secret))
        || apr_thread_mutex_create(&answers->mutex, APR_THREAD_MUTEX_DEFAULT, p)) {
        return NULL;
    }
    apr_pool_cleanup_register(p, answers, forget_all, apr_pool_cleanup_null);
    return answers;
}

void cgwm_answers_key(const cgwm_answers *answers, const char *const *words,
                      cgwm_answer_key *key)
{
    apr_sha1_ctx_t sha;

    memset(key, 0, sizeof(*key));
    if (!answers) {
        return;
    }
    apr_sha1_init(&sha);
    apr_sha1_update_binary(&sha, answers->secret, sizeof(answers->secret));
    for (; *words; words++) {
        /* with its end, so that "a", "bc" is not "ab", "c" */
        apr_sha1_update_binary(&sha, (const unsigned char *)*words,
                               (unsigned)strlen(*words) + 1);
    }
    apr_sha1_final(key->digest, &sha);
}

static struct answer *place_of(cgwm_answers *answers, const cgwm_answer_key *key)
{
    return &answers->places[(key->digest[0] << 8 | key->digest[1]) % PLACES];
}

/* In the same time wherever they differ. */
static int is_same(const cgwm_answer_key *a, const cgwm_answer_key *b)
{
    unsigned char differs = 0;

    for (size_t i = 0; i < sizeof(a->digest); i++) {
        differs |= (unsigned char)(a->digest[i] ^ b->digest[i]);
    }
    return !differs;
}

const char *cgwm_answers_get(cgwm_answers *answers, const cgwm_answer_key *key,
                             apr_pool_t *p)
{
    const char *text = NULL;
    struct answer *place;

    if (!answers) {
        return NULL;
    }
    apr_thread_mutex_lock(answers->mutex);
    place = place_of(answers, key);
    if (is_same(&place->key, key) && place->until > apr_time_now()) {
        text = apr_pstrdup(p, place->text);
    }
    apr_thread_mutex_unlock(answers->mutex);
    return text;
}

void cgwm_answers_put(cgwm_answers *answers, const cgwm_answer_key *key,
                      const char *text, apr_time_t until)
{
    struct answer *place;
    char *copy;

    if (!answers || strlen(text) > LONGEST || !(copy = strdup(text))) {
        return;
    }
    apr_thread_mutex_lock(answers->mutex);
    place = place_of(answers, key);
    free(place->text);
    *place = (struct answer){.key = *key, .until = until, .text = copy};
    apr_thread_mutex_unlock(answers->mutex);
}
