/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_head.h"

#include <string.h>
#include <strings.h>

const char *http_head_find(const char *head, const char *name)
{
	size_t length = strlen(name);

	while ((head = strstr(head, "\r\n")) && head[2] && head[2] != '\r') {
		head += 2;
		if (strncasecmp(head, name, length) == 0 && head[length] == ':')
			return head + length + 1 + strspn(head + length + 1, " \t");
	}
	return NULL;
}
