/* SPDX-License-Identifier: Apache-2.0 */
#include "api/browser.h"
#include "base/beside.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/str.h"

#include <stdlib.h>
#include <sys/random.h>

#define TICKETS_MAX    256     /* then the oldest goes */
#define SESSIONS_MAX   256     /* then the one that was longest without a request */
#define TICKET_KEPT_MS 3600000 /* to say why it is no good any more */
#define FILE_BYTES_MAX (4 << 20)
#define STREAMS        (sizeof(((struct browser_session *)0)->streams) / sizeof(struct http_request *))

enum ticket_state { TICKET_FRESH, TICKET_USED, TICKET_LATE };

struct ticket {
	struct list link;
	struct browser *browser; /* borrowed */
	enum ticket_state state;
	char secret[BROWSER_SECRET_SIZE];
	char instance[INSTANCE_ID_SIZE];
	char *actor, *user; /* owned */
	struct loop_timer due;
};

#define HTML "text/html; charset=utf-8"
#define CODE "text/javascript; charset=utf-8"
#define CSS  "text/css; charset=utf-8"

/* Those of the page's folder that are served. */
static const struct browser_file file_table[] = {
	{"console.html", HTML, NULL, 0}, {"console.js", CODE, NULL, 0},
	{"console.css", CSS, NULL, 0},   {"xterm.js", CODE, NULL, 0},
	{"xterm.css", CSS, NULL, 0},     {"addon-fit.js", CODE, NULL, 0},
};
#define FILES (sizeof(file_table) / sizeof(*file_table))

struct browser {
	struct daemon *daemon;         /* borrowed */
	char *url;                     /* owned */
	struct list tickets, sessions; /* oldest first; owned */
	size_t ticket_count, session_count;
	struct browser_file files[FILES]; /* their data is owned */
};

static void on_ticket_due(struct loop_timer *timer);
static void on_idle(struct loop_timer *timer);

static void make_secret(char text[BROWSER_SECRET_SIZE])
{
	unsigned char bytes[32];

	while (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		;
	hash_hex(bytes, sizeof(bytes), text);
}

/* In a time that tells nothing of where they differ. */
static bool same_secret(const char *a, const char *b)
{
	unsigned char differs = 0;

	if (strlen(a) != BROWSER_SECRET_SIZE - 1 || strlen(b) != BROWSER_SECRET_SIZE - 1)
		return false;
	for (size_t i = 0; i < BROWSER_SECRET_SIZE - 1; i++)
		differs |= (unsigned char)(a[i] ^ b[i]);
	return !differs;
}

/* --- files --------------------------------------------------------------------------------------- */

static int read_file(const char *folder, struct browser_file *file, struct gantry_error *err)
{
	char *path = xasprintf("%s/%s", folder, file->name);
	FILE *stream = fopen(path, "re");
	int code = stream ? 0 : -errno;

	if (code < 0)
		gantry_error_set(
			err, code,
			"the console's page is not whole, %s: %s; make install installs it", path,
			strerror(-code));
	if (stream) {
		file->data = xmalloc(FILE_BYTES_MAX);
		file->length = fread(file->data, 1, FILE_BYTES_MAX, stream);
		file->data = xrealloc(file->data, file->length + 1);
		fclose(stream);
	}
	free(path);
	return code;
}

static int read_files(struct browser *browser, struct gantry_error *err)
{
	const char *named = browser->daemon->settings->console_path;
	char *folder = named ? xstrdup(named) : beside_program("console", "share/gantry/console");
	int code = 0;

	memcpy(browser->files, file_table, sizeof(file_table));
	for (size_t i = 0; code == 0 && i < FILES; i++)
		code = read_file(folder, &browser->files[i], err);
	free(folder);
	return code;
}

const struct browser_file *browser_file(const struct browser *browser, const char *name)
{
	for (size_t i = 0; i < FILES; i++)
		if (str_equal(browser->files[i].name, name))
			return &browser->files[i];
	return NULL;
}

/* --- tickets ------------------------------------------------------------------------------------- */

static void ticket_free(struct ticket *ticket)
{
	loop_timer_stop(ticket->browser->daemon->loop, &ticket->due);
	list_remove(&ticket->link);
	ticket->browser->ticket_count--;
	free(ticket->actor);
	free(ticket->user);
	free(ticket);
}

static void on_ticket_due(struct loop_timer *timer)
{
	struct ticket *ticket = LIST_ENTRY(timer, struct ticket, due);

	if (ticket->state != TICKET_FRESH) {
		ticket_free(ticket);
		return;
	}
	ticket->state = TICKET_LATE;
	loop_timer_start(ticket->browser->daemon->loop, timer, TICKET_KEPT_MS);
}

const char *browser_ticket(struct browser *browser, const struct flows_ask *ask,
			   const struct instance *instance, int64_t *ret_until_ms)
{
	struct ticket *ticket = xcalloc(1, sizeof(*ticket));
	int64_t good_ms = browser->daemon->settings->console_token_ms;

	if (browser->ticket_count == TICKETS_MAX)
		ticket_free(LIST_ENTRY(browser->tickets.next, struct ticket, link));
	ticket->browser = browser;
	make_secret(ticket->secret);
	snprintf(ticket->instance, sizeof(ticket->instance), "%s", instance->id);
	ticket->actor = xstrdup(ask->actor);
	ticket->user = xstrdup(ask->user);
	loop_timer_init(&ticket->due, on_ticket_due);
	loop_timer_start(browser->daemon->loop, &ticket->due, good_ms);
	list_append(&browser->tickets, &ticket->link);
	browser->ticket_count++;
	*ret_until_ms = clock_wall_ms() + good_ms;
	return ticket->secret;
}

static struct ticket *find_ticket(struct browser *browser, const char *secret, const char *instance)
{
	LIST_FOREACH (node, &browser->tickets) {
		struct ticket *ticket = LIST_ENTRY(node, struct ticket, link);

		if (same_secret(ticket->secret, secret) && str_equal(ticket->instance, instance))
			return ticket;
	}
	return NULL;
}

/* --- sessions ------------------------------------------------------------------------------------ */

static void session_free(struct browser_session *session, const char *why)
{
	loop_timer_stop(session->browser->daemon->loop, &session->idle);
	for (size_t i = 0; i < STREAMS; i++) {
		if (!session->streams[i])
			continue;
		http_request_cut(session->streams[i], why);
		http_request_unref(session->streams[i]);
	}
	list_remove(&session->link);
	session->browser->session_count--;
	free(session->actor);
	free(session->user);
	free(session);
}

static void on_idle(struct loop_timer *timer)
{
	session_free(LIST_ENTRY(timer, struct browser_session, idle),
		     "nobody was there for a while");
}

static struct browser_session *session_new(struct browser *browser, struct ticket *ticket)
{
	struct browser_session *session = xcalloc(1, sizeof(*session));

	if (browser->session_count == SESSIONS_MAX)
		session_free(LIST_ENTRY(browser->sessions.next, struct browser_session, link),
			     "too many consoles are open");
	session->browser = browser;
	make_secret(session->secret);
	memcpy(session->instance, ticket->instance, sizeof(session->instance));
	session->actor = xstrdup(ticket->actor);
	session->user = xstrdup(ticket->user);
	loop_timer_init(&session->idle, on_idle);
	loop_timer_start(browser->daemon->loop, &session->idle,
			 browser->daemon->settings->console_idle_ms);
	list_append(&browser->sessions, &session->link);
	browser->session_count++;
	return session;
}

int browser_exchange(struct browser *browser, const char *secret, const char *instance,
		     struct browser_session **ret_session, struct gantry_error *err)
{
	struct ticket *ticket = find_ticket(browser, secret, instance);

	if (!ticket)
		return gantry_error_set(err, -EPERM,
					"this address is not known here; gantryd may have been "
					"restarted since it was made");
	if (ticket->state == TICKET_USED)
		return gantry_error_set(err, -EPERM,
					"this address was used before, and is good once");
	if (ticket->state == TICKET_LATE)
		return gantry_error_set(
			err, -EPERM, "this address came too late: it was good for %lld seconds",
			(long long)browser->daemon->settings->console_token_ms / 1000);
	ticket->state = TICKET_USED;
	loop_timer_start(browser->daemon->loop, &ticket->due, TICKET_KEPT_MS);
	*ret_session = session_new(browser, ticket);
	return 0;
}

struct browser_session *browser_session(struct browser *browser, const char *secret,
					const char *instance)
{
	LIST_FOREACH (node, &browser->sessions) {
		struct browser_session *session = LIST_ENTRY(node, struct browser_session, link);

		if (!same_secret(session->secret, secret) ||
		    !str_equal(session->instance, instance))
			continue;
		loop_timer_start(browser->daemon->loop, &session->idle,
				 browser->daemon->settings->console_idle_ms);
		list_remove(&session->link); /* the oldest is the one that is longest unused */
		list_append(&browser->sessions, &session->link);
		return session;
	}
	return NULL;
}

bool browser_keep(struct browser_session *session, struct http_request *request)
{
	for (size_t i = 0; i < STREAMS; i++) {
		struct http_request **stream = &session->streams[i];

		if (*stream && http_request_open(*stream))
			continue;
		if (*stream)
			http_request_unref(*stream);
		*stream = http_request_ref(request);
		return true;
	}
	return false;
}

/* --- life ---------------------------------------------------------------------------------------- */

int browser_open(struct daemon *daemon, const char *url, struct browser **ret_browser,
		 struct gantry_error *err)
{
	struct browser *browser = xcalloc(1, sizeof(*browser));
	int code;

	browser->daemon = daemon;
	browser->url = xstrdup(url);
	list_init(&browser->tickets);
	list_init(&browser->sessions);
	code = read_files(browser, err);
	if (code < 0)
		browser_close(browser);
	else
		*ret_browser = browser;
	return code;
}

const char *browser_url(const struct browser *browser)
{
	return browser->url;
}

void browser_close(struct browser *browser)
{
	if (!browser)
		return;
	LIST_FOREACH (node, &browser->tickets)
		ticket_free(LIST_ENTRY(node, struct ticket, link));
	LIST_FOREACH (node, &browser->sessions)
		session_free(LIST_ENTRY(node, struct browser_session, link), "gantryd stops");
	for (size_t i = 0; i < FILES; i++)
		free(browser->files[i].data);
	free(browser->url);
	free(browser);
}
