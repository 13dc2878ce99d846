/* SPDX-License-Identifier: Apache-2.0 */

#include "environment.h"

#include <apr_strings.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BASE_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Sets NAME=VALUE, in the place of an entry of that name if there is one. */
static void set(apr_array_header_t *env, const char *entry)
{
    const char *eq = strchr(entry, '=');
    size_t len = eq ? (size_t)(eq - entry) + 1 : 0;

    if (!len) {
        return;
    }
    for (int i = 0; i < env->nelts; i++) {
        char **have = &APR_ARRAY_IDX(env, i, char *);
        if (strncmp(*have, entry, len) == 0) {
            *have = apr_pstrdup(env->pool, entry);
            return;
        }
    }
    APR_ARRAY_PUSH(env, char *) = apr_pstrdup(env->pool, entry);
}

static void set_pair(apr_array_header_t *env, const char *name, const char *value)
{
    if (value) {
        set(env, apr_pstrcat(env->pool, name, "=", value, NULL));
    }
}

static void set_user(apr_array_header_t *env, const cgw_spec *spec)
{
    const char *user = spec->user, *home = spec->home;

    if (!user || !home) {
        const struct passwd *pw = getpwuid(geteuid());
        user = user ? user : pw ? pw->pw_name : NULL;
        home = home ? home : pw ? pw->pw_dir : NULL;
    }
    set_pair(env, "HOME", home ? home : "/");
    set_pair(env, "USER", user);
    set_pair(env, "LOGNAME", user);
}

char **cgwd_environment(const cgw_spec *spec, apr_pool_t *p)
{
    apr_array_header_t *env = apr_array_make(p, 16, sizeof(char *));

    set(env, "PATH=" BASE_PATH);
    set(env, "LANG=C.UTF-8");
    set_user(env, spec);
    set_pair(env, "TZ", getenv("TZ"));
    set_pair(env, "DJANGO_SETTINGS_MODULE", spec->settings);
    for (int i = 0; i < spec->env->nelts; i++) {
        set(env, APR_ARRAY_IDX(spec->env, i, const char *));
    }
    APR_ARRAY_PUSH(env, char *) = NULL;
    return (char **)env->elts;
}
