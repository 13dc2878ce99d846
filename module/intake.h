/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGWM_INTAKE_H
#define CGWM_INTAKE_H

/* The client's socket as a bucket that reads more at a time where the client sends
 * more: APR's own reads 8,000 bytes, so that most of the time of an upload goes
 * into reading. Takes its place on every connection of an httpd that has groups. */

void cgwm_intake_register_hooks(void);

#endif
