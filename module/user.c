/* SPDX-License-Identifier: Apache-2.0 */

#include "user.h"

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apr_strings.h"
#include "unixd.h"

#include "parse.h"

/* ---- who --------------------------------------------------------------- */

static void take_passwd(cgw_spec *spec, const struct passwd *pw, apr_pool_t *p)
{
    spec->user = apr_pstrdup(p, pw->pw_name);
    spec->home = apr_pstrdup(p, pw->pw_dir);
}

/* CGatewayUser's first word. Sets uid, user, home, and gid to the primary
 * group (-1: the number has no entry). False where there is no such user. */
static bool find_user(const char *word, cgw_spec *spec, apr_pool_t *p)
{
    int64_t uid;
    bool numeric = cgwm_parse_numeric_id(word, &uid);
    const struct passwd *pw = numeric ? getpwuid((uid_t)uid) : getpwnam(word);

    if (pw) {
        spec->uid = pw->pw_uid;
        spec->gid = pw->pw_gid;
        take_passwd(spec, pw, p);
        return true;
    }
    spec->uid = numeric ? uid : -1;
    return numeric;
}

static bool find_group(const char *word, int64_t *gid)
{
    const struct group *gr;

    if (cgwm_parse_numeric_id(word, gid)) {
        return true;
    }
    gr = getgrnam(word);
    if (gr) {
        *gid = gr->gr_gid;
    }
    return gr != NULL;
}

/* getpwuid(): a thousand sites of one user look it up once. */
static const struct passwd *default_user(cgwm_report *report)
{
    const char *key = "httpd's";
    struct passwd *pw = apr_hash_get(report->accounts, key, APR_HASH_KEY_STRING);
    const struct passwd *found = pw ? NULL : getpwuid(ap_unixd_config.user_id);

    if (found) {
        pw = apr_pmemdup(report->p, found, sizeof(*pw));
        pw->pw_name = apr_pstrdup(report->p, found->pw_name);
        pw->pw_dir = apr_pstrdup(report->p, found->pw_dir);
        apr_hash_set(report->accounts, key, APR_HASH_KEY_STRING, pw);
    }
    return pw;
}

static void resolve_default(cgwm_report *report, cgw_spec *spec, apr_pool_t *p)
{
    const struct passwd *pw = default_user(report);

    if (ap_unixd_config.user_id == (uid_t)-1 || ap_unixd_config.user_id == 0) {
        cgwm_report_error(report, CGW_LOGNO(0036) "group %s has no CGatewayUser, and "
            "httpd's User is %s: its workers would have to run as root. Add "
            "CGatewayUser to the group, or set User and Group.", spec->name,
            ap_unixd_config.user_id == 0 ? "root" : "not set");
        return;
    }
    spec->uid = ap_unixd_config.user_id;
    spec->gid = ap_unixd_config.group_id;
    if (pw) {
        take_passwd(spec, pw, p);
    }
}

static void resolve_group(cgwm_report *report, const cgwm_definition *def,
                          cgw_spec *spec, const char *said)
{
    if (def->user_group && !find_group(def->user_group, &spec->gid)) {
        cgwm_report_error(report, CGW_LOGNO(0031) "group %s: %s: the system has no "
            "group '%s'. Create it (groupadd), correct the name, or leave it out for "
            "the user's own group.", spec->name, said, def->user_group);
    }
    else if (spec->gid == -1) {
        cgwm_report_error(report, CGW_LOGNO(0032) "group %s: %s: that number has no "
            "entry among the system's users, so its group is not known. Name the group "
            "as the second word.", spec->name, said);
    }
}

static void refuse_other(cgwm_report *report, cgw_spec *spec, const char *said)
{
    if (spec->uid != (int64_t)geteuid()) {
        cgwm_report_error(report, CGW_LOGNO(0034) "group %s: %s: httpd was not started "
            "as root and cannot run workers as another user. Start it as root, or "
            "remove CGatewayUser: the workers then run as the user who started httpd.",
            spec->name, said);
    }
    else if (spec->gid != (int64_t)getegid()) {
        cgwm_report_error(report, CGW_LOGNO(0035) "group %s: %s: httpd was not started "
            "as root and cannot run workers with another group. Start it as root, or "
            "remove CGatewayUser.", spec->name, said);
    }
    spec->uid = spec->gid = -1;
}

static void resolve_given(cgwm_report *report, const cgwm_definition *def,
                          cgw_spec *spec, apr_pool_t *p)
{
    const char *said = cgwm_definition_quote(def, CGWM_USER, p);

    if (!find_user(def->user, spec, p)) {
        cgwm_report_error(report, CGW_LOGNO(0030) "group %s: %s: the system has no user "
            "'%s'. Create it (adduser --system), or correct the name.", spec->name,
            said, def->user);
        return;
    }
    resolve_group(report, def, spec, said);
    if (geteuid() != 0) {
        refuse_other(report, spec, said);
    }
    else if (spec->uid == 0) {
        cgwm_report_error(report, CGW_LOGNO(0033) "group %s: %s: workers do not run as "
            "root. Name a user of the site's own.", spec->name, said);
    }
}

/* All groups of the user, as texts. The supervisor, which must not wait for a
 * directory service, is told them. */
static apr_array_header_t *look_up_groups(const cgw_spec *spec, apr_pool_t *p)
{
    apr_array_header_t *list = apr_array_make(p, 4, sizeof(const char *));
    int n = 0;
    gid_t *groups;

    if (spec->user) {
        getgrouplist(spec->user, (gid_t)spec->gid, NULL, &n);
    }
    n = n > 0 ? n : 1;
    groups = apr_pcalloc(p, (apr_size_t)n * sizeof(gid_t));
    groups[0] = (gid_t)spec->gid;
    if (spec->user && getgrouplist(spec->user, groups[0], groups, &n) < 0) {
        n = 1; /* they have changed meanwhile */
    }
    for (int i = 0; i < n; i++) {
        APR_ARRAY_PUSH(list, const char *) = apr_psprintf(p, "%ld", (long)groups[i]);
    }
    return list;
}

static void resolve_groups(cgwm_report *report, cgw_spec *spec, apr_pool_t *p)
{
    const char *key = apr_psprintf(report->p, "%s:%ld", spec->user ? spec->user : "",
                                   (long)spec->gid);
    apr_array_header_t *known = apr_hash_get(report->accounts, key,
                                             APR_HASH_KEY_STRING);

    if (!known) {
        known = look_up_groups(spec, p);
        apr_hash_set(report->accounts, key, APR_HASH_KEY_STRING, known);
    }
    spec->groups = known;
}

void cgwm_user_resolve(cgwm_report *report, const cgwm_definition *def,
                       cgw_spec *spec, apr_pool_t *p)
{
    if (def->user) {
        resolve_given(report, def, spec, p);
    }
    else if (geteuid() == 0) {
        resolve_default(report, spec, p);
    }
    else {
        const struct passwd *pw = getpwuid(geteuid());
        if (pw) {
            take_passwd(spec, pw, p);
        }
    }
    if (spec->uid >= 0 && spec->gid >= 0) {
        resolve_groups(report, spec, p);
    }
}

/* ---- what that user can reach ------------------------------------------ */

static bool is_member(const cgw_spec *who, gid_t gid)
{
    for (int i = 0; i < who->groups->nelts; i++) {
        if ((gid_t)strtol(APR_ARRAY_IDX(who->groups, i, const char *), NULL, 10) == gid) {
            return true;
        }
    }
    return (gid_t)who->gid == gid;
}

static bool may(const cgw_spec *who, const char *path, int bits)
{
    struct stat st;
    int granted;

    if (stat(path, &st)) {
        return true;    /* what is missing is another message's */
    }
    if (st.st_uid == (uid_t)who->uid) {
        granted = (int)(st.st_mode >> 6);
    }
    else {
        granted = (int)(is_member(who, st.st_gid) ? st.st_mode >> 3 : st.st_mode);
    }
    return (granted & bits) == bits;
}

static const char *obstacle(const cgw_spec *who, const char *path, int bits,
                            apr_pool_t *p)
{
    for (const char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        const char *dir = apr_pstrmemdup(p, path, (apr_size_t)(at - path));
        if (!may(who, dir, 1)) {
            return dir;
        }
    }
    return may(who, path, bits) ? NULL : apr_pstrdup(p, path);
}

const char *cgwm_user_obstacle(const cgw_spec *spec, const char *path, int bits,
                               apr_pool_t *p)
{
    char *real = realpath(path, NULL);
    const char *found = NULL;

    if (real && spec->uid == -1) {
        found = access(real, bits) ? path : NULL;
    }
    else if (real) {
        found = obstacle(spec, path, bits, p);
        found = found ? found : obstacle(spec, real, bits, p);
    }
    free(real);
    return found;
}
