/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an answer in HTTP/1.1, for those who read one themselves. */
#ifndef BASE_HTTP_HEAD_H
#define BASE_HTTP_HEAD_H

/* The value of a header in head, where it stands: it ends with its line. NULL: there is none. */
const char *http_head_find(const char *head, const char *name);

#endif
