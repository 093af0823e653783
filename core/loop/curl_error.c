/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/curl_error.h"
#include "base/str.h"

#include <sys/stat.h>

/* Where curl says no more than that it could not connect. */
static int connect_error(const struct gantry_http_peer *peer, int os_error,
			 struct gantry_error *err)
{
	const char *where = peer->unix_socket ? peer->unix_socket : peer->base_url;
	struct stat status;

	if (peer->unix_socket && os_error == 0)
		os_error = stat(peer->unix_socket, &status) < 0 ? errno : ECONNREFUSED;
	switch (os_error) {
	case ENOENT:
		return gantry_error_set(err, -ENOENT, "%s: there is no such socket", where);
	case EACCES:
	case EPERM:
		return gantry_error_set(err, -EACCES, "%s: no permission to connect", where);
	case 0:
	case ECONNREFUSED:
		return gantry_error_set(err, -ECONNREFUSED, "%s: nobody listens there", where);
	default:
		return gantry_error_set(err, -ECONNREFUSED, "%s: %s", where, strerror(os_error));
	}
}

int curl_error(CURL *easy, CURLcode code, const struct curl_attempt *attempt,
	       struct gantry_error *err)
{
	const char *words = attempt->words[0] ? attempt->words : curl_easy_strerror(code);
	const struct gantry_http_peer *peer = attempt->peer;
	bool tls = str_starts_with(peer->base_url, "https:");
	long os_error = 0, connects = 0;
	curl_off_t connected_us = 0;

	curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_error);
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		return connect_error(peer, (int)os_error, err);
	case CURLE_COULDNT_RESOLVE_HOST:
		return gantry_error_set(err, -ECONNREFUSED, "%s: the host's name is not known",
					peer->base_url);
	case CURLE_OPERATION_TIMEDOUT:
		curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
		if (connected_us == 0)
			return gantry_error_set(err, -ETIMEDOUT, "%s: no connection within %lld ms",
						peer->base_url,
						(long long)attempt->connect_timeout_ms);
		return gantry_error_set(err, -ETIMEDOUT, "no whole reply within %lld ms",
					(long long)attempt->total_timeout_ms);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CIPHER:
		return gantry_error_set(err, -EACCES, "%s: TLS: %s", peer->base_url, words);
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_PARTIAL_FILE:
		/* TLS 1.3: a server that refuses our certificate says so after the handshake */
		if (tls && strstr(words, "alert"))
			return gantry_error_set(err, -EACCES, "%s: TLS: %s", peer->base_url, words);
		if (attempt->status)
			return gantry_error_set(err, -ECONNRESET,
						"the connection broke amid the answer");
		/* … and the words may be lost with the connection */
		curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connects);
		if (!tls || connects == 0)
			words = "";
		else if (peer->certificate_file)
			words = "; our certificate may be refused";
		else
			words = "; a certificate of ours may be wanted";
		return gantry_error_set(err, -ECONNRESET,
					"the connection broke before the answer came%s", words);
	case CURLE_OUT_OF_MEMORY:
		return gantry_error_set(err, -ENOMEM, "out of memory");
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		if (attempt->sent) /* curl's way to say that no status line came */
			return gantry_error_set(err, -EPROTO, "not an answer in HTTP: %s", words);
		return gantry_error_set(err, -EINVAL,
					"%s: no URL of the form http[s]://HOST[:PORT]",
					peer->base_url);
	default:
		return gantry_error_set(err, -EPROTO, "not an answer in HTTP: %s", words);
	}
}
