/* SPDX-License-Identifier: Apache-2.0 */
/* The service manager's notifications (sd_notify): one datagram to $NOTIFY_SOCKET. */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=…". Nothing happens where nobody listens. */
void notify_send(const char *state);
/* How often WATCHDOG=1 is due: half of $WATCHDOG_USEC in milliseconds, 0 where none is wanted. */
int64_t notify_watchdog_ms(void);

#endif
