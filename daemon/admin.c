/* SPDX-License-Identifier: Apache-2.0 */

#include "admin.h"

#include <apr_strings.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cgw_closer.h"
#include "cgw_log.h"
#include "command.h"
#include "group.h"
#include "log.h"

#define CLIENTS_MAX 64
/* of one user who is not root */
#define CLIENTS_OF_USER_MAX 16
#define ACCEPTS_PER_TURN 16
#define ACCEPT_PAUSE_MS 500
/* A request, or the taking of an answer, may take so long; waiting for a state,
 * so long. */
#define TRANSFER_MS 10000
#define WAIT_MS (3600 * 1000)
#define ANSWER_MAX ((size_t)64 << 20)
/* Somebody who may do nothing is logged so often at most. */
#define STRANGER_PAUSE_MS 60000

struct cgwd_admin {
    cgwd_supervisor *sup;
    cgwd_watch listener;        /* fd -1: none */
    cgwd_timer pause;           /* of accepting */
    cgwd_timer recheck;         /* of those who wait */
    int trouble;                /* errno of the latest attempt */
    const char *path, *new_path;
    dev_t dev;                  /* of the socket's file */
    ino_t ino;
    cgwd_client *clients;
    unsigned nclients;
    int64_t stranger_logged;
};

static const char *const error_names[] = {
#define X(sym, name) [CGWD_ADMIN_##sym] = name,
    CGW_ADMIN_ERRORS(X)
#undef X
};

/* ---- who may ------------------------------------------------------------ */

int cgwd_client_is_master(const cgwd_client *client)
{
    return client->peer.uid == 0 || client->peer.uid == geteuid();
}

int cgwd_client_is_reader(const cgwd_client *client)
{
    return cgwd_client_is_master(client)
           || client->peer.uid == client->sup->httpd_uid;
}

int cgwd_client_owns(const cgwd_client *client, const cgwd_group *group)
{
    return group->spec->uid >= 0 && group->spec->uid == (int64_t)client->peer.uid;
}

static int owns_a_group(const cgwd_client *client)
{
    apr_hash_index_t *i;

    for (i = apr_hash_first(NULL, client->sup->groups); i; i = apr_hash_next(i)) {
        void *group;
        apr_hash_this(i, NULL, NULL, &group);
        if (cgwd_client_owns(client, group)) {
            return 1;
        }
    }
    return 0;
}

static void log_stranger(cgwd_admin *admin, const struct ucred *peer)
{
    int64_t now = cgwd_now();

    if (admin->stranger_logged
        && now - admin->stranger_logged < STRANGER_PAUSE_MS) {
        return;
    }
    admin->stranger_logged = now;
    cgwd_log(admin->sup->log, CGWD_WARN, CGW_LOGNO(0310)
             "uid %ld (pid %ld) was refused at the control socket: it is neither "
             "root, nor the user of a group, nor httpd's", (long)peer->uid,
             (long)peer->pid);
}

/* ---- answers ------------------------------------------------------------ */

static void drop(cgwd_client *client)
{
    cgwd_client **at = &client->admin->clients;

    while (*at != client) {
        at = &(*at)->next;
    }
    *at = client->next;
    client->admin->nclients--;
    if (client->end_job) {
        client->end_job(client);
    }
    cgwd_timer_clear(client->sup->loop, &client->deadline);
    cgwd_watch_remove(client->sup->loop, &client->watch);
    cgw_close_socket(client->watch.fd);
    cgw_buf_free(&client->answer.buf);
    free(client);
}

static void write_error(cgwd_json *json, enum cgwd_admin_error error,
                        const char *text)
{
    cgw_buf_free(&json->buf);
    *json = (cgwd_json){0};
    cgwd_json_object(json, NULL);
    cgwd_json_bool(json, "ok", 0);
    cgwd_json_string(json, "error", error_names[error]);
    cgwd_json_string(json, "message", text);
    cgwd_json_object_end(json);
}

void cgwd_client_fail(cgwd_client *client, enum cgwd_admin_error error,
                      const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    write_error(&client->answer, error, text);
}

/* What the client takes now; the rest when it can take more. */
static void send_answer(cgwd_client *client)
{
    const struct cgw_buf *buf = &client->answer.buf;

    while (client->sent < buf->len) {
        ssize_t n = send(client->watch.fd, buf->data + client->sent,
                         buf->len - client->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n < 0) {
            break; /* it has gone */
        }
        client->sent += (size_t)n;
    }
    drop(client);
}

static void handle_writable(cgwd_watch *watch)
{
    send_answer(watch->owner);
}

static void answer(cgwd_client *client)
{
    if (client->answer.buf.failed) {
        write_error(&client->answer, CGWD_ADMIN_TOO_LARGE,
                    "the answer is too large; ask for one group");
    }
    cgw_buf_put(&client->answer.buf, "\n", 1);
    client->answered = 1;
    client->watch.handle = handle_writable;
    if (client->answer.buf.failed
        || cgwd_watch_await_writing(client->sup->loop, &client->watch)) {
        drop(client); /* no memory */
        return;
    }
    cgwd_timer_set(client->sup->loop, &client->deadline, TRANSFER_MS);
    send_answer(client);
}

static void handle_deadline(cgwd_timer *timer)
{
    cgwd_client *client = timer->owner;

    if (client->answered || !client->nwords) {
        drop(client);
        return;
    }
    cgwd_client_fail(client, CGWD_ADMIN_BUSY, "it took longer than %d s",
                     WAIT_MS / 1000);
    answer(client);
}

/* ---- requests ----------------------------------------------------------- */

static void run(cgwd_client *client)
{
    client->answer.most = ANSWER_MAX;
    if (cgwd_command_run(client) == CGWD_COMMAND_DONE) {
        answer(client);
    }
}

/* Splits the line in its place. 0 where it is malformed. */
static int split(cgwd_client *client)
{
    char *at = client->request;

    for (const char *c = at; *c; c++) {
        if (*c < 0x20 || *c > 0x7e) {
            return 0;
        }
    }
    while (at) {
        char *space = strchr(at, ' ');
        if (space) {
            *space++ = '\0';
        }
        if (!*at || client->nwords == CGW_ADMIN_WORDS_MAX) {
            return 0;
        }
        client->words[client->nwords++] = at;
        at = space;
    }
    return 1;
}

static void take_request(cgwd_client *client, size_t len)
{
    client->request[len] = '\0';
    if (strlen(client->request) != len || !split(client)) {
        cgwd_client_fail(client, CGWD_ADMIN_USAGE, "a request is a line of at "
                         "most %d words, with one space between them",
                         CGW_ADMIN_WORDS_MAX);
        client->nwords = 1;
        answer(client);
        return;
    }
    cgwd_timer_set(client->sup->loop, &client->deadline, WAIT_MS);
    run(client);
}

/* Its end of file means that it has gone, also where it waits. */
static void handle_readable(cgwd_watch *watch)
{
    cgwd_client *client = watch->owner;
    char more[CGW_ADMIN_REQUEST_MAX];
    size_t room = CGW_ADMIN_REQUEST_MAX - client->request_len;
    ssize_t n = cgw_receive_bytes(watch->fd, more,
                                  client->nwords ? sizeof(more) : room);
    const char *end;

    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            drop(client);
        }
        return;
    }
    if (client->nwords) {
        return; /* nothing is to come behind a request */
    }
    memcpy(client->request + client->request_len, more, (size_t)n);
    client->request_len += (size_t)n;
    end = memchr(client->request, '\n', client->request_len);
    if (end) {
        take_request(client, (size_t)(end - client->request));
    }
    else if (client->request_len == CGW_ADMIN_REQUEST_MAX) {
        drop(client);
    }
}

/* ---- those who wait ------------------------------------------------------- */

/* Each is asked once: an answer drops clients from the list. */
static void handle_recheck(cgwd_timer *timer)
{
    cgwd_admin *admin = timer->owner;
    cgwd_client *next;

    for (cgwd_client *c = admin->clients; c; c = next) {
        next = c->next;
        if (c->nwords && !c->answered) {
            run(c);
        }
    }
}

void cgwd_admin_notify(cgwd_supervisor *sup)
{
    if (sup->admin) {
        cgwd_timer_set(sup->loop, &sup->admin->recheck, 0);
    }
}

/* ---- connections ---------------------------------------------------------- */

static unsigned connections_of(const cgwd_admin *admin, uid_t uid)
{
    unsigned n = 0;

    for (const cgwd_client *c = admin->clients; c; c = c->next) {
        n += c->peer.uid == uid;
    }
    return n;
}

/* Said to one who is not let in; nobody waits for it to be taken. */
static void turn_away(int fd, enum cgwd_admin_error error, const char *text)
{
    cgwd_json json = {0};

    write_error(&json, error, text);
    cgw_buf_put(&json.buf, "\n", 1);
    if (!json.buf.failed
        && send(fd, json.buf.data, json.buf.len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        /* it has gone */
    }
    cgw_buf_free(&json.buf);
    cgw_close_socket(fd);
}

static int is_let_in(cgwd_admin *admin, const cgwd_client *client, int fd)
{
    int is_master = cgwd_client_is_master(client);

    if (!is_master && !cgwd_client_is_reader(client) && !owns_a_group(client)) {
        log_stranger(admin, &client->peer);
        turn_away(fd, CGWD_ADMIN_REFUSED, "only root, the user of a group and "
                  "httpd may ask");
        return 0;
    }
    /* A place is kept for root: nobody else fills the last ones. */
    if (admin->nclients >= (is_master ? CLIENTS_MAX
                                      : CLIENTS_MAX - CLIENTS_OF_USER_MAX)
        || (!is_master
            && connections_of(admin, client->peer.uid) >= CLIENTS_OF_USER_MAX)) {
        turn_away(fd, CGWD_ADMIN_BUSY, "too many connections at a time");
        return 0;
    }
    return 1;
}

static void welcome(cgwd_admin *admin, int fd)
{
    cgwd_client *client = calloc(1, sizeof(*client));
    socklen_t size = sizeof(client->peer);

    if (!client
        || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &client->peer, &size) < 0) {
        free(client);
        cgw_close_socket(fd);
        return;
    }
    client->admin = admin;
    client->sup = admin->sup;
    if (!is_let_in(admin, client, fd)) {
        free(client);
        return;
    }
    client->watch.fd = fd;
    client->watch.owner = client->deadline.owner = client;
    client->watch.handle = handle_readable;
    client->deadline.handle = handle_deadline;
    if (cgwd_watch_add(client->sup->loop, &client->watch)) {
        free(client);
        cgw_close_socket(fd);
        return;
    }
    cgwd_timer_set(client->sup->loop, &client->deadline, TRANSFER_MS);
    client->next = admin->clients;
    admin->clients = client;
    admin->nclients++;
}

static void handle_pause(cgwd_timer *timer)
{
    cgwd_admin *admin = timer->owner;

    if (admin->listener.fd >= 0 && cgwd_watch_add(admin->sup->loop, &admin->listener)) {
        cgwd_timer_set(admin->sup->loop, timer, ACCEPT_PAUSE_MS);
    }
}

static void handle_listener(cgwd_watch *watch)
{
    cgwd_admin *admin = watch->owner;

    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            welcome(admin, fd);
        }
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM
                 || errno == ENOBUFS) {
            /* what is in the queue stays there, and must not spin the loop */
            cgwd_watch_remove(admin->sup->loop, watch);
            cgwd_timer_set(admin->sup->loop, &admin->pause, ACCEPT_PAUSE_MS);
            return;
        }
        else if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

/* ---- socket --------------------------------------------------------------- */

static int is_there(const cgwd_admin *admin)
{
    struct stat st;

    return admin->listener.fd >= 0 && lstat(admin->path, &st) == 0
           && st.st_dev == admin->dev && st.st_ino == admin->ino;
}

/* Bound under another name, opened to all, then renamed: whoever finds the
 * socket can use it. The directory is ours alone to write. */
static int bind_socket(cgwd_admin *admin, int fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;

    if (strlen(admin->new_path) >= sizeof(address.sun_path)) {
        return ENAMETOOLONG;
    }
    memcpy(address.sun_path, admin->new_path, strlen(admin->new_path) + 1);
    unlink(admin->new_path);
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0
        || listen(fd, CLIENTS_MAX) < 0 || chmod(admin->new_path, 0666) < 0
        || stat(admin->new_path, &st) < 0
        || rename(admin->new_path, admin->path) < 0) {
        return errno;
    }
    admin->dev = st.st_dev;
    admin->ino = st.st_ino;
    return 0;
}

static void close_listener(cgwd_admin *admin)
{
    if (admin->listener.fd >= 0) {
        cgwd_timer_clear(admin->sup->loop, &admin->pause);
        cgwd_watch_close(admin->sup->loop, &admin->listener);
    }
}

static cgwd_admin *create(cgwd_supervisor *sup)
{
    cgwd_admin *admin = apr_pcalloc(sup->pool, sizeof(*admin));

    admin->sup = sup;
    admin->listener.fd = -1;
    admin->listener.handle = handle_listener;
    admin->pause.handle = handle_pause;
    admin->recheck.handle = handle_recheck;
    admin->listener.owner = admin->pause.owner = admin->recheck.owner = admin;
    admin->path = apr_pstrcat(sup->pool, sup->rundir, "/" CGW_ADMIN_SOCKET, NULL);
    admin->new_path = apr_pstrcat(sup->pool, admin->path, ".new", NULL);
    return admin;
}

int cgwd_admin_is_missing(const cgwd_supervisor *sup)
{
    struct stat st;

    return sup->admin
           && (sup->admin->listener.fd < 0
               || (lstat(sup->admin->path, &st) < 0 && errno == ENOENT));
}

static const char *remedy(int err)
{
    return err == ENOSPC || err == EDQUOT ? "Make room in that file system (space and "
                                            "inodes)"
           : err == EROFS ? "Mount that file system for writing" : "Free the name";
}

void cgwd_admin_listen(cgwd_supervisor *sup)
{
    cgwd_admin *admin = sup->admin ? sup->admin : create(sup);
    int fd, err;

    sup->admin = admin;
    if (is_there(admin)) {
        return;
    }
    close_listener(admin);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    err = fd < 0 ? errno : bind_socket(admin, fd);
    if (!err) {
        admin->listener.fd = fd;
        err = cgwd_watch_add(sup->loop, &admin->listener);
        fd = err ? fd : -1;
        admin->listener.fd = err ? -1 : admin->listener.fd;
    }
    if (err && err != admin->trouble
        && err != ENOENT) { /* the directory itself is gone: httpd's parent says so */
        cgwd_log(sup->log, CGWD_ERROR, CGW_LOGNO(0311)
                 "cannot listen on %s: %s; groups are served, but cgatewayctl and "
                 "the status page are not. %s, or set CGatewayRuntimeDir; it is tried "
                 "again", admin->path, strerror(err), remedy(err));
    }
    admin->trouble = err;
    if (fd >= 0) {
        close(fd);
    }
}

void cgwd_admin_unlink(const cgwd_supervisor *sup)
{
    if (sup->admin && is_there(sup->admin)) {
        unlink(sup->admin->path);
    }
}
