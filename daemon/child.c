/* SPDX-License-Identifier: Apache-2.0 */

#include "child.h"

#include <sys/wait.h>

int cgwd_child_is(pid_t pid)
{
    siginfo_t info;

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

int cgwd_child_is_new(const cgwd_supervisor *sup, pid_t pid)
{
    return !apr_hash_get(sup->processes, &pid, sizeof(pid)) && cgwd_child_is(pid);
}
