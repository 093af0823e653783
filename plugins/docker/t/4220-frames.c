/* SPDX-License-Identifier: Apache-2.0 */
/* The frames in which an engine sends output, cut by the network at every byte. */
#include "../../../t/tap.h"

#include "../docker.h"

#include <string.h>

static const char input[] = "\1\0\0\0\0\0\0\5hello"
			    "\2\0\0\0\0\0\0\0"
			    "\2\0\0\0\0\0\0\3err"
			    "\0\0\0\0\0\0\0\1x";
#define INPUT (sizeof(input) - 1)

/* What was taken, as "1:hello|2:err|"; a bar where a message ended. */
struct taken {
	struct docker_frames frames;
	char text[64];
	int code;
};

static void take(struct taken *taken, const char *data, size_t length)
{
	struct docker_piece piece;

	while ((taken->code = docker_frames_next(&taken->frames, &data, &length, &piece)) > 0) {
		char *at = taken->text + strlen(taken->text);

		if (piece.first)
			at += sprintf(at, "%d:", piece.stream);
		sprintf(at, "%.*s%s", (int)piece.length, piece.data, piece.last ? "|" : "");
	}
}

int main(void)
{
	struct taken taken = {0};

	for (size_t cut = 0; cut <= INPUT; cut++) {
		taken = (struct taken){0};
		take(&taken, input, cut);
		take(&taken, input + cut, INPUT - cut);
		is_str(taken.text, "1:hello|2:err|1:x|", "cut at %zu", cut);
		is_int(taken.code, 0, "all was taken");
	}
	ok(!docker_frames_amid(&taken.frames), "it may end behind a message");
	take(&taken, input, 3);
	ok(docker_frames_amid(&taken.frames), "not amid a head");
	take(&taken, input + 3, 6);
	ok(docker_frames_amid(&taken.frames), "nor amid a message");
	take(&taken, input + 9, 4);
	take(&taken, "HTTP/1.1 500", 12);
	is_int(taken.code, -EPROTO, "what is no head");
	done_testing();
	return tap_end();
}
