/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/client_internal.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"

#define CONNECT_TIMEOUT_MS 10000
#define ANSWER_TIMEOUT_S   60 /* for an answer that is not held back */
#define PAUSE_MS           100
#define STREAM_BYTES       (256 << 10) /* of a stream, read at a time */

int client_open(const struct client_settings *settings, struct client **ret_client,
		struct gantry_error *err)
{
	const char *host = settings->host;
	struct client *client;

	if (str_starts_with(host, "unix://"))
		host += strlen("unix://");
	if (host[0] != '/' && !str_starts_with(host, "https://"))
		return gantry_error_set(
			err, -EINVAL,
			"the host must be unix:///PATH or https://HOST:PORT, not \"%s\"",
			settings->host);
	if (host[0] == '/' &&
	    (settings->ca_file || settings->certificate_file || settings->key_file))
		return gantry_error_field(
			err, -EINVAL, "host",
			"--ca, --cert and --key are for https:// only, not for \"%s\"",
			settings->host);
	if (!settings->certificate_file != !settings->key_file)
		return gantry_error_set(err, -EINVAL, "--cert and --key belong together");
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return gantry_error_set(err, -ENOMEM, "libcurl cannot be set up");
	client = xcalloc(1, sizeof(*client));
	client->multi = curl_multi_init();
	if (!client->multi)
		abort();
	client->host = xstrdup(settings->host);
	client->wake_fd = -1;
	client->limit_ms = settings->limit_ms;
	if (host[0] == '/') {
		client->unix_socket = xstrdup(host);
		client->base_url = xstrdup("http://localhost");
	} else {
		size_t length = strlen(host);

		while (host[length - 1] == '/')
			length--;
		client->base_url = xasprintf("%.*s", (int)length, host);
	}
	client->ca_file = xstrdup(settings->ca_file);
	client->certificate_file = xstrdup(settings->certificate_file);
	client->key_file = xstrdup(settings->key_file);
	*ret_client = client;
	return 0;
}

void client_close(struct client *client)
{
	if (!client)
		return;
	curl_multi_cleanup(client->multi);
	curl_global_cleanup();
	free(client->host);
	free(client->unix_socket);
	free(client->base_url);
	free(client->ca_file);
	free(client->certificate_file);
	free(client->key_file);
	free(client);
}

const char *client_host(const struct client *client)
{
	return client->host;
}

void client_set_wake(struct client *client, int fd, int (*wake)(void *arg), void *arg)
{
	client->wake_fd = fd;
	client->wake = wake;
	client->wake_arg = arg;
}

void client_reply_fini(struct client_reply *reply)
{
	str_fini(&reply->body);
	json_object_put(reply->json);
	json_object_put(reply->path);
	*reply = (struct client_reply){0};
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	size_t length = size * count;
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	transfer->received += length;
	if (transfer->data && status < 400) {
		transfer->data_error = transfer->data(transfer->arg, bytes, length);
		return transfer->data_error == -EAGAIN ? CURL_WRITEFUNC_PAUSE
		       : transfer->data_error < 0      ? CURL_WRITEFUNC_ERROR
						       : length;
	}
	if (transfer->reply->body.length + length > CLIENT_REPLY_MAX) {
		transfer->data_error = -EFBIG;
		return CURL_WRITEFUNC_ERROR;
	}
	str_add_bytes(&transfer->reply->body, bytes, length);
	return length;
}

/* What a person can do about it. */
static int explain(const struct client *client, const struct transfer *transfer, CURLcode code,
		   bool answering, struct gantry_error *err)
{
	long cause = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &cause);
	switch (code) {
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
		if (cause == EACCES)
			return gantry_error_set(
				err, -EACCES,
				"cannot open %s: permission denied; join the group that "
				"owns the socket",
				client->host);
		return gantry_error_set(err, -ECONNREFUSED,
					"cannot reach gantryd at %s: %s; is it running? --host or "
					"GANTRY_HOST names another",
					client->host,
					cause ? strerror((int)cause) : transfer->message);
	case CURLE_OPERATION_TIMEDOUT:
		return gantry_error_set(err, -ETIMEDOUT, "gantryd at %s does not answer",
					client->host);
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		/* With TLS 1.3 a certificate that is refused is heard of only now. */
		if (!answering && strstr(transfer->message, "alert"))
			return gantry_error_set(err, -EPROTO,
						"gantryd at %s refuses the connection: %s",
						client->host, transfer->message);
		return gantry_error_set(err, -ECONNRESET, "lost the connection to gantryd at %s",
					client->host);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return gantry_error_set(
			err, -EPROTO, "cannot trust gantryd at %s: %s", client->host,
			transfer->message[0] ? transfer->message : curl_easy_strerror(code));
	default:
		return gantry_error_set(err, -EPROTO, "talking to gantryd at %s: %s", client->host,
					transfer->message[0] ? transfer->message
							     : curl_easy_strerror(code));
	}
}

bool client_turn(struct client *client, CURLcode *ret_code)
{
	struct CURLMsg *message;
	int running, left;

	if (curl_multi_perform(client->multi, &running) != CURLM_OK)
		abort();
	while ((message = curl_multi_info_read(client->multi, &left)))
		if (message->msg == CURLMSG_DONE) {
			*ret_code = message->data.result;
			return true;
		}
	return false;
}

int client_rest(struct client *client)
{
	struct curl_waitfd wait = {.fd = client->wake_fd, .events = CURL_WAIT_POLLIN};
	unsigned extra = client->wake_fd >= 0;

	curl_multi_poll(client->multi, extra ? &wait : NULL, extra, 1000, NULL);
	return wait.revents ? client->wake(client->wake_arg) : 0;
}

/* Runs the exchange to its end. 0, or what wake answered. */
static int perform(struct client *client, CURLcode *ret_code)
{
	int error = 0;

	while (!client_turn(client, ret_code) && error == 0)
		error = client_rest(client);
	return error < 0 ? error : 0;
}

void client_set_up(struct client *client, struct transfer *transfer, const char *method,
		   const char *path, const char *body, struct curl_slist *headers)
{
	CURL *easy = transfer->easy = curl_easy_init();
	char *url = xasprintf("%s%s", client->base_url, path);

	if (!easy)
		abort();
	curl_easy_setopt(easy, CURLOPT_URL, url);
	free(url);
	if (strcmp(method, "HEAD") == 0)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	if (!body && strcmp(method, "POST") == 0)
		body = "";
	if (body) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
		curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body);
	}
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "gantry");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->message);
	if (client->unix_socket) {
		curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, client->unix_socket);
		return;
	}
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	if (client->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
	if (client->certificate_file) {
		curl_easy_setopt(easy, CURLOPT_SSLCERT, client->certificate_file);
		curl_easy_setopt(easy, CURLOPT_SSLKEY, client->key_file);
	}
}

int client_judge(struct client *client, struct transfer *transfer, int error, CURLcode code,
		 struct gantry_error *err)
{
	struct client_reply *reply = transfer->reply;
	struct curl_header *header;
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	reply->status = (int)status;
	if (error < 0)
		gantry_error_set(err, error, "interrupted");
	else if (code == CURLE_WRITE_ERROR && transfer->data_error < 0)
		error = gantry_error_set(err, transfer->data_error,
					 transfer->data_error == -EFBIG ? "the answer is too large"
									: "the stream was left");
	else if (code != CURLE_OK)
		error = explain(client, transfer, code, status != 0, err);
	if (error == 0 && reply->body.length)
		json_parse(reply->body.data, reply->body.length, &reply->json, NULL);
	if (error == 0 && curl_easy_header(transfer->easy, "X-Gantry-Path", 0, CURLH_HEADER, -1,
					   &header) == CURLHE_OK)
		json_parse(header->value, strlen(header->value), &reply->path, NULL);
	return error;
}

static int exchange(struct client *client, struct transfer *transfer, struct gantry_error *err)
{
	CURLcode code = CURLE_OK;
	int error;

	curl_multi_add_handle(client->multi, transfer->easy);
	error = perform(client, &code);
	error = client_judge(client, transfer, error, code, err);
	client_disconnect(client, transfer->easy);
	return error;
}

int client_connect(struct client *client, void **ret_easy, struct gantry_error *err)
{
	struct transfer transfer = {0};
	CURLcode code = CURLE_OK;
	int error;

	client_set_up(client, &transfer, "GET", "/", NULL, NULL);
	curl_easy_setopt(transfer.easy, CURLOPT_CONNECT_ONLY, 1L);
	curl_multi_add_handle(client->multi, transfer.easy);
	error = perform(client, &code);
	if (error < 0)
		gantry_error_set(err, error, "interrupted");
	else if (code != CURLE_OK)
		error = explain(client, &transfer, code, false, err);
	curl_easy_setopt(transfer.easy, CURLOPT_ERRORBUFFER, NULL);
	if (error < 0)
		client_disconnect(client, transfer.easy);
	else
		*ret_easy = transfer.easy;
	return error;
}

void client_disconnect(struct client *client, void *easy)
{
	curl_multi_remove_handle(client->multi, easy);
	curl_easy_cleanup(easy);
}

const char *client_authority(const struct client *client)
{
	return strstr(client->base_url, "//") + 2;
}

static void make_key(char *text, size_t size)
{
	unsigned char bytes[16];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		abort();
	for (size_t i = 0; i < sizeof(bytes) && 2 * i + 3 <= size; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

int client_call(struct client *client, const char *method, const char *path,
		struct json_object *body, double wait_seconds, struct client_reply *ret_reply,
		struct gantry_error *err)
{
	bool post = strcmp(method, "POST") == 0, lost = false;
	const char *text = NULL;
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
	int64_t started_us = 0;
	struct gantry_error cause;
	int error;

	if (body)
		text = json_line(body);
	/* Without a body libcurl would name a type of its own. */
	headers = curl_slist_append(headers,
				    text ? "Content-Type: application/json" : "Content-Type:");
	if (post) {
		char line[64] = "Idempotency-Key: ";

		make_key(line + strlen(line), sizeof(line) - strlen(line));
		headers = curl_slist_append(headers, line);
	}
	for (;;) {
		struct transfer transfer = {.reply = ret_reply};
		int wake_error = 0;

		*ret_reply = (struct client_reply){0};
		client_set_up(client, &transfer, method, path, text, headers);
		curl_easy_setopt(transfer.easy, CURLOPT_TIMEOUT_MS,
				 client->limit_ms
					 ? (long)client->limit_ms
					 : (long)((wait_seconds + ANSWER_TIMEOUT_S) * 1000));
		error = exchange(client, &transfer, &cause);
		/* A DELETE is safe too: what is gone answers 404, which the caller can tell. */
		lost |= error == -ECONNRESET && !client->limit_ms;
		if (error == 0 || !lost || (error != -ECONNRESET && error != -ECONNREFUSED) ||
		    !client_retry_pause(client, &started_us, &wake_error)) {
			if (wake_error < 0)
				error = gantry_error_set(&cause, wake_error, "interrupted");
			break;
		}
		client_reply_fini(ret_reply);
	}
	curl_slist_free_all(headers);
	if (error < 0) {
		client_reply_fini(ret_reply);
		if (err)
			*err = cause;
	}
	return error;
}

int client_stream(struct client *client, const char *path,
		  int (*data)(void *arg, const char *bytes, size_t length), void *arg,
		  struct client_reply *ret_reply, struct gantry_error *err)
{
	struct transfer transfer = {.reply = ret_reply, .data = data, .arg = arg};
	int error;

	*ret_reply = (struct client_reply){0};
	client_set_up(client, &transfer, "GET", path, NULL, NULL);
	curl_easy_setopt(transfer.easy, CURLOPT_BUFFERSIZE, (long)STREAM_BYTES);
	error = exchange(client, &transfer, err);
	if (error < 0)
		client_reply_fini(ret_reply);
	return error;
}

struct line_reader {
	struct str line;
	int (*line_fn)(void *arg, struct json_object *object, const char *text);
	void *arg;
};

static int on_line_bytes(void *arg, const char *bytes, size_t length)
{
	struct line_reader *reader = arg;

	while (length) {
		const char *end = memchr(bytes, '\n', length);
		size_t part = end ? (size_t)(end - bytes) : length;
		struct json_object *object = NULL;
		int error = 0;

		if (reader->line.length + part > CLIENT_LINE_MAX)
			return -EFBIG;
		str_add_bytes(&reader->line, bytes, part);
		if (!end)
			return 0;
		bytes += part + 1;
		length -= part + 1;
		if (reader->line.length &&
		    json_parse(reader->line.data, reader->line.length, &object, NULL) == 0)
			error = reader->line_fn(reader->arg, object, reader->line.data);
		json_object_put(object);
		str_clear(&reader->line);
		if (error < 0)
			return error;
	}
	return 0;
}

int client_lines(struct client *client, const char *path,
		 int (*line)(void *arg, struct json_object *object, const char *text), void *arg,
		 struct client_reply *ret_reply, struct gantry_error *err)
{
	struct line_reader reader = {.line_fn = line, .arg = arg};
	int error = client_stream(client, path, on_line_bytes, &reader, ret_reply, err);

	str_fini(&reader.line);
	return error;
}

bool client_retry_pause(struct client *client, int64_t *started_us, int *ret_error)
{
	struct pollfd wait = {.fd = client->wake_fd, .events = POLLIN};
	int64_t now_us = clock_monotonic_us();

	*ret_error = 0;
	if (*started_us == 0)
		*started_us = now_us;
	if (now_us - *started_us > CLIENT_RETRY_MS * 1000)
		return false;
	if (poll(&wait, 1, PAUSE_MS) > 0)
		*ret_error = client->wake(client->wake_arg);
	return *ret_error >= 0;
}
