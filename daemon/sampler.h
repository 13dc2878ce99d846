/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWD_SAMPLER_H
#define CGWD_SAMPLER_H

struct cgwd_supervisor;

/* Take a sample of every group's history every CGWD_SAMPLE_MS, from now on. */
void cgwd_sampler_start(struct cgwd_supervisor *sup);

#endif
