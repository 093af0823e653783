/* SPDX-License-Identifier: Apache-2.0 */
#include "base/beside.h"
#include "base/str.h"

#include <string.h>
#include <unistd.h>

char *beside_program(const char *built, const char *installed)
{
	char self[4096], *slash;
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[length > 0 ? length : 0] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return xstrdup(built);
	*slash = '\0';
	slash = strrchr(self, '/');
	if (slash && (str_equal(slash, "/bin") || str_equal(slash, "/sbin"))) {
		*slash = '\0';
		return xasprintf("%s/%s", self, installed);
	}
	return xasprintf("%s/%s", self, built);
}
