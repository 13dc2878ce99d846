/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOP_H
#define HOP_H

/* Sizes of a trivial request and its response on mod_cgateway's wire. */
#define HOP_REQUEST 600
#define HOP_RESPONSE 80
#define HOP_BODY "Hello, world!\n"

#endif
