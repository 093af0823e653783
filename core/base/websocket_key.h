/* SPDX-License-Identifier: Apache-2.0 */
/* The proof by which a server shows that it speaks WebSocket (RFC 6455, 4.2.2): both ends need it. */
#ifndef BASE_WEBSOCKET_KEY_H
#define BASE_WEBSOCKET_KEY_H

#define WEBSOCKET_KEY_LENGTH    24 /* of Sec-WebSocket-Key: 16 bytes in base64 */
#define WEBSOCKET_ACCEPT_LENGTH 28 /* of Sec-WebSocket-Accept: a SHA-1 in base64 */

/* Makes the key of 16 random bytes; text ends with NUL. */
void websocket_key_make(char ret_key[WEBSOCKET_KEY_LENGTH + 1]);
/* What a server answers to the key. */
void websocket_key_accept(const char *key, char ret_accept[WEBSOCKET_ACCEPT_LENGTH + 1]);

#endif
