/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CGW_LOG_H
#define CGW_LOG_H

/*
 * Ids of log messages. Every message at warning or above carries one; each is
 * used once and is explained in docs/log-messages.md (a guard checks both).
 * CGW0001-CGW0199 module, CGW0200-CGW0399 supervisor, CGW0400-CGW0599 worker.
 */
#define CGW_LOGNO(n) "CGW" #n ": "

#endif
