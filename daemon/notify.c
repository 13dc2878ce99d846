/* SPDX-License-Identifier: Apache-2.0 */

#include "notify.h"

#include <apr_hash.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ATTRIB)
/* Reads in one turn of the loop: a directory that never comes to rest does not
 * keep the others waiting. */
#define READS_PER_TURN 16

typedef struct cgwd_interest interest;

typedef struct directory {
    int wd;                 /* the same one for the same directory */
    unsigned turn;          /* the latest turn that brought an event */
    unsigned events;        /* in that turn and those right before it */
    interest *interests;
} directory;

struct cgwd_interest {
    directory *dir;
    cgwd_subscriber *subscriber;
    unsigned round;
    interest *next, **at;               /* of the directory */
    interest *next_own, **at_own;       /* of the subscriber */
    char name[];
};

struct cgwd_notify {
    cgwd_watch watch;
    apr_hash_t *directories;    /* by wd */
    cgwd_notify_overflow *overflow;
    void *data;
    unsigned turn;
};

/* ---- interests ---------------------------------------------------------- */

static void forget_directory(cgwd_notify *notify, directory *dir)
{
    apr_hash_set(notify->directories, &dir->wd, sizeof(dir->wd), NULL);
    free(dir);
}

/* Takes it out of both lists; an empty directory stays. */
static void unlink_interest(interest *i)
{
    *i->at = i->next;
    if (i->next) {
        i->next->at = i->at;
    }
    *i->at_own = i->next_own;
    if (i->next_own) {
        i->next_own->at_own = i->at_own;
    }
    free(i);
}

static void remove_interest(cgwd_notify *notify, interest *i)
{
    directory *dir = i->dir;

    unlink_interest(i);
    if (!dir->interests) {
        inotify_rm_watch(notify->watch.fd, dir->wd);
        forget_directory(notify, dir);
    }
}

static directory *find_directory(cgwd_notify *notify, int wd)
{
    return apr_hash_get(notify->directories, &wd, sizeof(wd));
}

static directory *get_directory(cgwd_notify *notify, int wd)
{
    directory *dir = find_directory(notify, wd);

    if (!dir) {
        dir = calloc(1, sizeof(*dir));
        if (!dir) {
            inotify_rm_watch(notify->watch.fd, wd);
            return NULL;
        }
        dir->wd = wd;
        apr_hash_set(notify->directories, &dir->wd, sizeof(dir->wd), dir);
    }
    return dir;
}

static interest *find_interest(const cgwd_subscriber *subscriber,
                               const directory *dir, const char *name)
{
    for (interest *i = subscriber->interests; i; i = i->next_own) {
        if (i->dir == dir && strcmp(i->name, name) == 0) {
            return i;
        }
    }
    return NULL;
}

static interest *make_interest(cgwd_subscriber *subscriber, directory *dir,
                               const char *name)
{
    size_t size = strlen(name) + 1;
    interest *i = calloc(1, sizeof(*i) + size);

    if (!i) {
        return NULL;
    }
    memcpy(i->name, name, size);
    i->dir = dir;
    i->subscriber = subscriber;
    i->next = dir->interests;
    i->at = &dir->interests;
    i->next_own = subscriber->interests;
    i->at_own = &subscriber->interests;
    if (i->next) {
        i->next->at = &i->next;
    }
    if (i->next_own) {
        i->next_own->at_own = &i->next_own;
    }
    dir->interests = subscriber->interests = i;
    return i;
}

void cgwd_notify_begin(cgwd_subscriber *subscriber)
{
    subscriber->round++;
}

int cgwd_notify_add(cgwd_notify *notify, cgwd_subscriber *subscriber, int fd,
                    const char *name)
{
    char path[64];
    int wd;
    directory *dir;
    interest *i;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    wd = inotify_add_watch(notify->watch.fd, path, EVENTS | IN_ONLYDIR);
    if (wd < 0) {
        return errno;
    }
    dir = get_directory(notify, wd);
    if (!dir) {
        return ENOMEM;
    }
    i = find_interest(subscriber, dir, name);
    if (!i) {
        i = make_interest(subscriber, dir, name);
    }
    if (i) {
        i->round = subscriber->round;
        return 0;
    }
    if (!dir->interests) {
        inotify_rm_watch(notify->watch.fd, wd);
        forget_directory(notify, dir);
    }
    return ENOMEM;
}

static void remove_older(cgwd_notify *notify, cgwd_subscriber *subscriber)
{
    interest *next;

    for (interest *i = subscriber->interests; i; i = next) {
        next = i->next_own;
        if (i->round != subscriber->round) {
            remove_interest(notify, i);
        }
    }
}

void cgwd_notify_end(cgwd_notify *notify, cgwd_subscriber *subscriber)
{
    remove_older(notify, subscriber);
}

void cgwd_notify_remove(cgwd_notify *notify, cgwd_subscriber *subscriber)
{
    subscriber->round++;
    remove_older(notify, subscriber);
}

/* ---- events ------------------------------------------------------------- */

/* The kernel watches it no more. */
static void drop_directory(cgwd_notify *notify, directory *dir)
{
    while (dir->interests) { /* whose "at" is this very field: it moves on */
        unlink_interest(dir->interests); /* NOLINT(clang-analyzer-unix.Malloc) */
    }
    forget_directory(notify, dir);
}

static int is_recent(const cgwd_notify *notify, const directory *dir)
{
    return notify->turn - dir->turn <= 1;
}

static void handle_overflow(cgwd_notify *notify)
{
    directory *busiest = NULL;

    for (apr_hash_index_t *i = apr_hash_first(NULL, notify->directories); i;
         i = apr_hash_next(i)) {
        void *value;
        apr_hash_this(i, NULL, NULL, &value);
        directory *dir = value;
        if (is_recent(notify, dir)
            && (!busiest || dir->events > busiest->events)) {
            busiest = dir;
        }
    }
    if (busiest) {
        inotify_rm_watch(notify->watch.fd, busiest->wd);
        drop_directory(notify, busiest);
    }
    notify->overflow(notify->data);
}

static void take_event(cgwd_notify *notify, const struct inotify_event *event)
{
    /* a file that is made will be written and closed; a directory, no */
    int settled = (event->mask & IN_ISDIR) || !(event->mask & IN_CREATE);
    directory *dir = find_directory(notify, event->wd);

    if (event->mask & IN_Q_OVERFLOW) {
        handle_overflow(notify);
        return;
    }
    if (!dir) {
        return; /* of one that was removed meanwhile */
    }
    if (event->mask & IN_IGNORED) {
        drop_directory(notify, dir);
        return;
    }
    dir->events = is_recent(notify, dir) ? dir->events + 1 : 1;
    dir->turn = notify->turn;
    for (interest *i = event->len ? dir->interests : NULL; i; i = i->next) {
        if (strcmp(i->name, event->name) == 0) {
            i->subscriber->changed(i->subscriber, i->name, settled);
        }
    }
}

static void handle_events(cgwd_watch *watch)
{
    cgwd_notify *notify = watch->owner;
    union {
        struct inotify_event align;
        char bytes[16384];
    } buf;

    notify->turn++;
    for (int turn = 0; turn < READS_PER_TURN; turn++) {
        ssize_t n = read(watch->fd, buf.bytes, sizeof(buf.bytes));
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event =
                (const struct inotify_event *)(buf.bytes + at);
            take_event(notify, event);
            at += (ssize_t)(sizeof(*event) + event->len);
        }
        if (n <= 0) {
            return;
        }
    }
}

/* The loop may have gone already, the subscribers not yet. */
static apr_status_t close_instance(void *data)
{
    cgwd_notify *notify = data;

    for (apr_hash_index_t *i = apr_hash_first(NULL, notify->directories); i;
         i = apr_hash_next(i)) {
        void *dir;
        apr_hash_this(i, NULL, NULL, &dir);
        drop_directory(notify, dir);
    }
    close(notify->watch.fd);
    return APR_SUCCESS;
}

cgwd_notify *cgwd_notify_create(cgwd_loop *loop, cgwd_notify_overflow *overflow,
                                void *data, apr_pool_t *p)
{
    cgwd_notify *notify = apr_pcalloc(p, sizeof(*notify));

    notify->overflow = overflow;
    notify->data = data;
    notify->directories = apr_hash_make(p);
    notify->watch.owner = notify;
    notify->watch.handle = handle_events;
    notify->watch.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (notify->watch.fd < 0) {
        return NULL;
    }
    errno = cgwd_watch_add(loop, &notify->watch);
    if (errno) {
        close(notify->watch.fd);
        return NULL;
    }
    apr_pool_pre_cleanup_register(p, notify, close_instance);
    return notify;
}
