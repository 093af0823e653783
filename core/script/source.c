/* SPDX-License-Identifier: Apache-2.0 */
#include "script/source.h"
#include "base/str.h"
#include "script/sandbox.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int source_read(const char *path, struct source *ret_source, struct gantry_error *err)
{
	const char *slash = strrchr(path, '/');
	struct source source = {0};
	struct stat about;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), code = 0;

	if (fd < 0)
		return gantry_error_set(err, -errno, "cannot read %s: %s", path, strerror(errno));
	if (fstat(fd, &about) < 0 || !S_ISREG(about.st_mode)) {
		code = gantry_error_set(err, -EINVAL, "%s is no regular file", path);
		goto out;
	}
	source.text = xmalloc(SANDBOX_SOURCE_BYTES + 1);
	while (source.length <= SANDBOX_SOURCE_BYTES) {
		ssize_t got = read(fd, source.text + source.length,
				   SANDBOX_SOURCE_BYTES + 1 - source.length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			code = gantry_error_set(err, -errno, "cannot read %s: %s", path,
						strerror(errno));
		if (got <= 0)
			break;
		source.length += (size_t)got;
	}
	if (code == 0 && source.length > SANDBOX_SOURCE_BYTES)
		code = gantry_error_set(err, -EFBIG, "%s is longer than %d KiB", path,
					SANDBOX_SOURCE_BYTES >> 10);
	if (code < 0)
		goto out;
	source.text = xrealloc(source.text, source.length + 1);
	source.text[source.length] = '\0';
	source.name = xstrdup(slash ? slash + 1 : path);
	*ret_source = source;
	source.text = NULL;
out:
	free(source.text);
	close(fd);
	return code;
}

void source_copy(const struct source *source, struct source *ret_source)
{
	ret_source->name = xstrdup(source->name);
	ret_source->text = xmalloc(source->length + 1);
	memcpy(ret_source->text, source->text, source->length + 1);
	ret_source->length = source->length;
}

void source_fini(struct source *source)
{
	free(source->name);
	free(source->text);
	*source = (struct source){0};
}
