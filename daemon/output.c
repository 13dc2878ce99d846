/* SPDX-License-Identifier: Apache-2.0 */

#include "output.h"

#include <errno.h>
#include <unistd.h>

#include "group.h"

/* Output that is taken in one turn of the loop: one site's flood does not
 * keep the others waiting. */
#define OUTPUT_PER_TURN (64 * 1024)
/* What is held back for lines that belong to it, and for how long in all. */
#define HELD_MAX ((size_t)32 << 10)
#define HELD_MS 2000
/* Lines that do not belong together go out together, too, where they come as fast. */
#define GATHER_MS 20

/* ---- lines that belong together ------------------------------------------------- */

void cgwd_output_flush(cgwd_process *proc)
{
    cgwd_timer_clear(proc->sup->loop, &proc->hold);
    cgwd_log_flush(&proc->held, proc->generation->group->log);
    proc->block = CGWD_BLOCK_NONE;
}

static void handle_hold(cgwd_timer *timer)
{
    cgwd_output_flush(timer->owner);
}

/* Others of the group write to the same log: what this one says in several pieces
 * stays in one, for a moment. */
static void hold(cgwd_process *proc)
{
    int64_t left = HELD_MS - (cgwd_now() - proc->held_since);
    int patience = cgwd_block_patience(proc->block);

    if (proc->held.len > 0) {
        cgwd_timer_set(proc->sup->loop, &proc->hold,
                       left < 0 ? 0 : left < patience ? left : patience);
    }
}

static void add_line(cgwd_process *proc, enum cgwd_level level, const char *text,
                     size_t len)
{
    const cgwd_group *group = proc->generation->group;
    int begins;
    enum cgwd_block block = cgwd_block_add(proc->block, text, len, &begins);

    if ((begins && cgwd_now() - proc->held_since > GATHER_MS)
        || proc->held.len + len > HELD_MAX) {
        cgwd_output_flush(proc);
    }
    if (proc->held.len == 0) {
        proc->held_since = cgwd_now();
    }
    proc->block = block;
    cgwd_log_add(&proc->held, group->log, group->name, level, proc->pid, text, len);
}

/* ---- reading -------------------------------------------------------------------- */

static void end_line(cgwd_process *proc)
{
    size_t skip;
    enum cgwd_level level = cgwd_log_level(proc->line, proc->line_len, &skip);
    const char *text = proc->line + skip;
    size_t len = proc->line_len - skip;

    proc->line_len = 0;
    if (len == 0
        || (skip && !cgwd_log_shows(proc->generation->spec->log_level, level))) {
        return;
    }
    add_line(proc, level, text, len);
    if (cgwd_words_add(&proc->words, text, len)) {
        cgwd_log_escape(proc->last_words, sizeof(proc->last_words), text, len);
    }
    cgwd_generation_heard(proc->generation, text, len);
}

static void take_output(cgwd_process *proc, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n' || proc->line_len == sizeof(proc->line)) {
            end_line(proc);
        }
        if (bytes[i] != '\n') {
            proc->line[proc->line_len++] = bytes[i];
        }
    }
}

/* 0 at the end of file. */
static int read_lines(cgwd_process *proc)
{
    char bytes[8192];
    ssize_t n = 1;

    for (size_t taken = 0; taken < OUTPUT_PER_TURN; taken += (size_t)n) {
        n = read(proc->output.fd, bytes, sizeof(bytes));
        if (n <= 0) {
            return n < 0 && (errno == EAGAIN || errno == EINTR);
        }
        take_output(proc, bytes, (size_t)n);
    }
    return 1;
}

/* Nothing more comes. */
static void finish(cgwd_process *proc)
{
    end_line(proc);
    cgwd_output_close(proc);
}

static void handle_output(cgwd_watch *watch)
{
    cgwd_process *proc = watch->owner;

    if (!read_lines(proc)) {
        finish(proc);
        return;
    }
    hold(proc);
}

int cgwd_output_open(cgwd_process *proc, int fd)
{
    proc->output = (cgwd_watch){.fd = fd, .owner = proc, .handle = handle_output};
    proc->hold = (cgwd_timer){.owner = proc, .handle = handle_hold};
    return cgwd_watch_add(proc->sup->loop, &proc->output);
}

void cgwd_output_catch_up(cgwd_process *proc)
{
    if (proc->output.fd >= 0) {
        read_lines(proc);
    }
    cgwd_output_flush(proc);
}

void cgwd_output_end(cgwd_process *proc)
{
    if (proc->output.fd >= 0) {
        read_lines(proc);
    }
    finish(proc);
}

void cgwd_output_close(cgwd_process *proc)
{
    cgwd_output_flush(proc);
    cgwd_watch_close(proc->sup->loop, &proc->output);
}
