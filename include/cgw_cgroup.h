/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGW_CGROUP_H
#define CGW_CGROUP_H

/* What CGatewayCgroup may set of a control group (cgroup v2), and what the kernel has
 * without. X(file, kind, unset); kinds are those of module/limits.c. */
#define CGW_CGROUP_TABLE(X)                                                   \
    X("memory.max", size, "max")                                              \
    X("memory.high", size, "max")                                             \
    X("memory.swap.max", size_or_none, "max")                                 \
    X("cpu.max", share, "max")                                                \
    X("cpu.weight", weight, "100")                                            \
    X("pids.max", number, "max")

#endif
