/* SPDX-License-Identifier: Apache-2.0 */

#include "output.h"

#include <errno.h>
#include <unistd.h>

#include "group.h"

/* Output that is taken in one turn of the loop: one site's flood does not
 * keep the others waiting. */
#define OUTPUT_PER_TURN (64 * 1024)

static void end_line(cgwd_process *proc)
{
    const cgwd_group *group = proc->generation->group;
    size_t skip;
    enum cgwd_level level = cgwd_log_level(proc->line, proc->line_len, &skip);
    const char *text = proc->line + skip;
    size_t len = proc->line_len - skip;

    proc->line_len = 0;
    if (len == 0
        || (skip && !cgwd_log_shows(proc->generation->spec->log_level, level))) {
        return;
    }
    cgwd_log_output(&proc->batch,
                    &(struct cgwd_writer){.fd = group->log, .group = group->name,
                                          .format = group->spec->error_format},
                    level, proc->pid, text, len);
    cgwd_log_escape(proc->last_words, sizeof(proc->last_words), text, len);
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

int cgwd_output_read(cgwd_process *proc)
{
    int more = read_lines(proc);

    cgwd_log_flush(&proc->batch, proc->generation->group->log);
    return more;
}

/* Nothing more comes. */
static void finish(cgwd_process *proc)
{
    end_line(proc);
    cgwd_log_flush(&proc->batch, proc->generation->group->log);
    cgwd_output_close(proc);
}

static void handle_output(cgwd_watch *watch)
{
    cgwd_process *proc = watch->owner;

    if (!cgwd_output_read(proc)) {
        finish(proc);
    }
}

void cgwd_output_open(cgwd_process *proc, int fd)
{
    proc->output = (cgwd_watch){.fd = fd, .owner = proc, .handle = handle_output};
    cgwd_watch_add(proc->sup->loop, &proc->output);
}

void cgwd_output_end(cgwd_process *proc)
{
    if (proc->output.fd >= 0) {
        cgwd_output_read(proc);
    }
    finish(proc);
}

void cgwd_output_close(cgwd_process *proc)
{
    cgwd_watch_close(proc->sup->loop, &proc->output);
}
