/* SPDX-License-Identifier: Apache-2.0 */

#include "cgw_cpus.h"

/* Digits at *at, which is moved behind them; -1: none, or too big a number. */
static int number(const char **at)
{
    int n = 0;

    if (**at < '0' || **at > '9') {
        return -1;
    }
    for (; **at >= '0' && **at <= '9'; ++*at) {
        n = n * 10 + (**at - '0');
        if (n >= CPU_SETSIZE) {
            return -1;
        }
    }
    return n;
}

int cgw_cpus_parse(const char *text, cpu_set_t *set)
{
    CPU_ZERO(set);
    for (;;) {
        int first = number(&text), last = first;
        if (*text == '-') {
            text++;
            last = number(&text);
        }
        if (first < 0 || last < first) {
            return 0;
        }
        for (int n = first; n <= last; n++) {
            CPU_SET((size_t)n, set);
        }
        if (*text != ',') {
            return *text == '\0';
        }
        text++;
    }
}
