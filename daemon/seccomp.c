/* SPDX-License-Identifier: Apache-2.0 */

#include "seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#define FOREIGN_CALLS 0x40000000u   /* x32's begin here */
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#define FOREIGN_CALLS 0xffffffffu
#endif

#ifdef NATIVE_ARCH

/* Of a later kernel than the headers may be. */
#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif

/* Everything that makes namespaces: user namespaces give their maker
 * capabilities over much of the kernel. */
#define NEW_NAMESPACES                                                        \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC              \
     | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

static const int refused[] = {
    /* mounts, namespaces, roots */
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_setns, SYS_unshare,
    SYS_open_tree, SYS_move_mount, SYS_fsopen, SYS_fsconfig, SYS_fsmount,
    SYS_fspick, SYS_mount_setattr, SYS_open_by_handle_at, SYS_name_to_handle_at,
    SYS_quotactl, SYS_quotactl_fd, SYS_fanotify_init,
    SYS_open_tree_attr,
    /* other processes' memory and descriptors */
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp,
    SYS_pidfd_getfd,
    /* programs inside the kernel, and its wide interfaces */
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup,
    SYS_io_uring_enter, SYS_io_uring_register, SYS_add_key, SYS_request_key,
    SYS_keyctl, SYS_syslog,
    /* the machine */
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
    SYS_reboot, SYS_swapon, SYS_swapoff, SYS_acct, SYS_sethostname,
    SYS_setdomainname, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex,
    SYS_clock_adjtime, SYS_vhangup,
#ifdef SYS_iopl
    SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_uselib, SYS_ustat,
#endif
};

#define REFUSED (sizeof(refused) / sizeof(refused[0]))

static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

#define FAMILIES (sizeof(families) / sizeof(families[0]))

/* The kernel makes a socket of any family before it finds that it has no pairs. */
static const int pair_families[] = {AF_UNIX};

#define FIELD(name) (offsetof(struct seccomp_data, name))
/* The low half of the first argument; both machines are little-endian. */
#define FIRST_ARGUMENT (offsetof(struct seccomp_data, args))

struct filter {
    struct sock_filter code[64 + 2 * REFUSED + 2 * FAMILIES];
    unsigned short len;
};

static void put(struct filter *f, unsigned op, unsigned k, unsigned yes,
                unsigned no)
{
    f->code[f->len++] = (struct sock_filter)BPF_JUMP((unsigned short)op, k,
                                                     (unsigned char)yes,
                                                     (unsigned char)no);
}

static void load(struct filter *f, size_t offset)
{
    put(f, BPF_LD | BPF_W | BPF_ABS, (unsigned)offset, 0, 0);
}

static void answer(struct filter *f, unsigned action)
{
    put(f, BPF_RET | BPF_K, action, 0, 0);
}

static void fail(struct filter *f, int err)
{
    answer(f, SECCOMP_RET_ERRNO | (unsigned)err);
}

/* Where the value compares so, the next instruction is skipped or not. */
static void skip_unless_equal(struct filter *f, unsigned value)
{
    put(f, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
}

/* A 32-bit program, or one that calls by another table. */
static void refuse_foreign(struct filter *f)
{
    load(f, FIELD(arch));
    put(f, BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0);
    fail(f, EPERM);
    load(f, FIELD(nr));
    put(f, BPF_JMP | BPF_JGE | BPF_K, FOREIGN_CALLS, 0, 1);
    fail(f, EPERM);
}

static void check_clone(struct filter *f)
{
    /* its flags are in memory; without it, libc falls back to clone */
    skip_unless_equal(f, SYS_clone3);
    fail(f, ENOSYS);
    put(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
    load(f, FIRST_ARGUMENT);
    put(f, BPF_JMP | BPF_JSET | BPF_K, (unsigned)NEW_NAMESPACES, 0, 1);
    fail(f, EPERM);
    answer(f, SECCOMP_RET_ALLOW);
}

/* The call makes sockets of these families only. */
static void check_families(struct filter *f, unsigned call, const int *allowed,
                           size_t n)
{
    put(f, BPF_JMP | BPF_JEQ | BPF_K, call, 0, (unsigned)(2 * n + 2));
    load(f, FIRST_ARGUMENT);
    for (size_t i = 0; i < n; i++) {
        skip_unless_equal(f, (unsigned)allowed[i]);
        answer(f, SECCOMP_RET_ALLOW);
    }
    fail(f, EAFNOSUPPORT);
}

int cgwd_seccomp_apply(void)
{
    struct filter f = {.len = 0};
    struct sock_fprog program;

    refuse_foreign(&f);
    for (size_t i = 0; i < REFUSED; i++) {
        skip_unless_equal(&f, (unsigned)refused[i]);
        fail(&f, EPERM);
    }
    check_clone(&f);
    check_families(&f, SYS_socket, families, FAMILIES);
    check_families(&f, SYS_socketpair, pair_families, 1);
    answer(&f, SECCOMP_RET_ALLOW);
    program.len = f.len;
    program.filter = f.code;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

#else

int cgwd_seccomp_apply(void)
{
    errno = ENOSYS;
    return -1;
}

#endif
