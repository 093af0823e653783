/* SPDX-License-Identifier: Apache-2.0 */
/* The part of conformance.h about logs, message by message. */
#ifndef FAKE_CONFORMANCE_LOGS_H
#define FAKE_CONFORMANCE_LOGS_H

static int64_t conf_log_ns;

static int conf_log_message(void *arg, int stream, int64_t time_ns, const char *data, size_t length)
{
	(void)arg;
	conf_calls++;
	conf_log_ns = time_ns;
	str_add_bytes(&conf_output[stream], data, length);
	return 0;
}

static int conf_log_refuse(void *arg, int stream, int64_t time_ns, const char *data, size_t length)
{
	(void)arg, (void)stream, (void)time_ns, (void)data, (void)length;
	return -EPIPE;
}

static void conf_take_log_files(const void *result)
{
	snprintf(conf_text, sizeof(conf_text), "%s",
		 ((const struct gantry_log_files *)result)->driver);
}

static int conf_read_log(struct conformance *c, const char *id, int64_t since_ns, bool follow)
{
	conf_output_clear();
	conf_calls = 0;
	return RUN(c->rig, log_read, id, since_ns, follow, conf_log_message, NULL);
}

static void conf_logs(struct conformance *c)
{
	struct rig *rig = c->rig;
	char id[80];

	if (!rig->runtime->log_files || !rig->runtime->log_read)
		return;
	is_int(conf_create(c, "logged", c->hello, id), 0, "create what is logged");
	conf_text[0] = '\0';
	rig->take = conf_take_log_files;
	is_int(RUN(rig, log_files, id), 0, "where its log is");
	ok(conf_text[0], "by the driver %s", conf_text);
	is_int(RUN(rig, start, id), 0, "start it");
	is_int(conf_read_log(c, id, 0, true), 0, "its log, followed, ends with the container");
	is_int(conf_calls, 1, "it has one message");
	is_str(str_text(&conf_output[1]), "hello\n", "with its newline");
	ok(conf_log_ns > 0, "and its time");
	is_int(conf_read_log(c, id, conf_log_ns, false), 0, "from that time on");
	is_int(conf_calls, 1, "it is told again");
	is_int(conf_read_log(c, id, conf_log_ns + 1000000000, false), 0, "from a later time on");
	is_int(conf_calls, 0, "it is not");
	ok(RUN(rig, log_read, id, 0, false, conf_log_refuse, NULL) < 0, "a reader may end it");
	conf_wait(c, id);
	is_int(RUN(rig, start, id), 0, "start it again");
	conf_wait(c, id);
	is_int(conf_read_log(c, id, 0, false), 0, "the log of two lives");
	is_str(str_text(&conf_output[1]), "hello\nhello\n", "has both");
	is_int(RUN(rig, remove, id), 0, "remove it");
	is_int(conf_read_log(c, id, 0, false), -ENOENT, "of what is gone: -ENOENT");
	is_int(RUN(rig, log_files, id), -ENOENT, "nor is it anywhere");
	conf_output_clear();
}

#endif
