/* SPDX-License-Identifier: Apache-2.0 */
#include "docker.h"

static bool is_right(const unsigned char head[8])
{
	return head[0] <= 3 && !head[1] && !head[2] && !head[3];
}

int docker_frames_next(struct docker_frames *frames, const char **data, size_t *length,
		       struct docker_piece *ret_piece)
{
	const unsigned char *head = frames->head;
	size_t part;

	while (*length > 0 && frames->left == 0) {
		frames->head[frames->head_length++] = (unsigned char)*(*data)++;
		--*length;
		if (frames->head_length < sizeof(frames->head))
			continue;
		if (!is_right(head))
			return -EPROTO;
		frames->left = (uint32_t)head[4] << 24 | (uint32_t)head[5] << 16 |
			       (uint32_t)head[6] << 8 | head[7];
		frames->head_length = 0;
		frames->begins = true;
	}
	if (*length == 0)
		return 0;
	part = *length < frames->left ? *length : frames->left;
	frames->left -= (uint32_t)part;
	*ret_piece = (struct docker_piece){
		.stream = head[0] == 2 ? 2 : 1,
		.data = *data,
		.length = part,
		.first = frames->begins,
		.last = frames->left == 0,
	};
	frames->begins = false;
	*data += part;
	*length -= part;
	return 1;
}

bool docker_frames_amid(const struct docker_frames *frames)
{
	return frames->left > 0 || frames->head_length > 0;
}
