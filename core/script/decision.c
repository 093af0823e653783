/* SPDX-License-Identifier: Apache-2.0 */
#include "script/decision.h"
#include "base/clock.h"
#include "base/hash.h"

#include <gantry/text.h>

#include <sys/random.h>

#define REASON_BYTES_MAX 300
#define ANSWER_BYTES_MAX 1024

static unsigned char secret_key[32]; /* see script_set_secret_key */
static bool secret_key_set;

void script_set_secret_key(const unsigned char key[32])
{
	memcpy(secret_key, key, sizeof(secret_key));
	secret_key_set = true;
}

/* --- writing --------------------------------------------------------------------------------------- */

void script_decision_init(struct script_decision *decision, const struct script_set *set,
			  const struct script_request *request, int64_t id)
{
	*decision = (struct script_decision){
		.id = id,
		.at_ms = request->now_ms,
		.seed = request->seed,
		.allowed = true,
	};
	decision->verb = arena_strdup(&decision->arena, request->verb);
	decision->actor = arena_strdup(&decision->arena, request->actor);
	decision->user = arena_strdup(&decision->arena, request->user);
	decision->project = arena_strdup(&decision->arena, request->project);
	if (request->instance)
		decision->instance = arena_strdup(&decision->arena, request->instance->id);
	snprintf(decision->revision, sizeof(decision->revision), "%s", set->revision);
}

void script_decision_fini(struct script_decision *decision)
{
	arena_fini(&decision->arena);
	*decision = (struct script_decision){0};
}

static struct script_record *add(struct script_decision *decision)
{
	if (decision->count == decision->capacity) {
		size_t capacity = decision->capacity ? 2 * decision->capacity : 16;
		struct script_record *records =
			ARENA_ARRAY(&decision->arena, struct script_record, capacity);

		if (decision->count > 0)
			memcpy(records, decision->records, decision->count * sizeof(records[0]));
		decision->records = records;
		decision->capacity = capacity;
	}
	return &decision->records[decision->count++];
}

struct script_record *decision_add(struct script_decision *decision, const struct policy *policy,
				   enum hook hook, const char *outcome)
{
	struct script_record *record = add(decision);

	*record = (struct script_record){
		.policy = policy ? arena_strdup(&decision->arena, policy->name) : "gantry",
		.file = policy ? arena_strdup(&decision->arena, policy->source.name) : NULL,
		.shadow = policy && policy->shadow,
		.hook = hook_text(hook),
		.outcome = outcome,
	};
	return record;
}

void decision_set_error(struct script_decision *decision, struct script_record *record,
			const struct policy *policy)
{
	const char *text = policy_error(policy);

	record->outcome = "error";
	record->reason = decision_text(decision, text, strlen(text));
	record->line = policy_error_line(policy);
}

const char *decision_text(struct script_decision *decision, const char *text, size_t length)
{
	char clean[REASON_BYTES_MAX + 8];
	size_t used = 0;

	for (size_t at = 0; at < length;) {
		size_t part = gantry_utf8_length(text + at, length - at);

		if (used + 4 > REASON_BYTES_MAX) {
			used += (size_t)sprintf(clean + used, "…");
			break;
		}
		if (part == 0 || (part == 1 && (unsigned char)text[at] < ' ')) {
			clean[used++] = part == 0 ? '?' : ' ';
			at++;
			continue;
		}
		memcpy(clean + used, text + at, part);
		used += part;
		at += part;
	}
	return arena_strndup(&decision->arena, clean, used);
}

void decision_add_text(struct str *json, const char *text, bool secret)
{
	unsigned char digest[HASH_BYTES];
	char hex[17];
	size_t length = strlen(text);

	if (secret) {
		if (!secret_key_set) { /* no key is worse than one that nobody knows */
			if (getrandom(secret_key, sizeof(secret_key), 0) != sizeof(secret_key))
				memset(secret_key, 0x5a, sizeof(secret_key));
			secret_key_set = true;
		}
		hash_hmac(secret_key, sizeof(secret_key), text, length, digest);
		hash_hex(digest, 8, hex);
		str_addf(json, "\"hmac:%s\"", hex);
		return;
	}
	str_add_char(json, '"');
	if (length > ANSWER_BYTES_MAX) {
		str_add_json(json, text, ANSWER_BYTES_MAX);
		str_addf(json, "… (%zu bytes)", length);
	} else {
		str_add_json(json, text, length);
	}
	str_add_char(json, '"');
}

const char *decision_answer(struct script_decision *decision, const struct str *json)
{
	return arena_strndup(&decision->arena, str_text(json), json->length);
}

const char *decision_owner(const struct script_decision *decision, enum hook hook,
			   const char *subject)
{
	const char *name = hook_text(hook);

	for (size_t i = decision->count; i > 0; i--) {
		const struct script_record *record = &decision->records[i - 1];

		if (!record->shadow && str_equal(record->hook, name) &&
		    str_equal(record->outcome, "set") && str_equal(record->subject, subject))
			return record->policy;
	}
	return NULL;
}

/* --- denying --------------------------------------------------------------------------------------- */

int decision_deny_text(struct script_decision *decision, const char *text, struct gantry_error *err)
{
	if (decision->allowed) {
		decision->allowed = false;
		decision->reason = arena_strdup(&decision->arena, text);
	}
	gantry_error_set(err, -EACCES, "%s", text);
	if (err)
		err->decision = decision->id;
	return -EACCES;
}

int decision_deny(struct script_decision *decision, const struct script_record *record,
		  struct gantry_error *err)
{
	const char *why = record->reason ? record->reason : "it gave no reason";
	const char *form = str_equal(record->outcome, "error") ? "fails and so refuses" : "refuses";
	char text[480];

	if (record->line)
		snprintf(text, sizeof(text), "policy %s %s: %s (%s:%d)", record->policy, form, why,
			 record->file, record->line);
	else
		snprintf(text, sizeof(text), "policy %s %s: %s (%s)", record->policy, form, why,
			 record->file);
	return decision_deny_text(decision, text, err);
}

/* --- comparing ------------------------------------------------------------------------------------- */

static uint64_t hash_text(uint64_t hash, const char *text)
{
	if (!text)
		text = "\1";
	return gantry_hash(hash, text, strlen(text) + 1);
}

uint64_t script_decision_hash(const struct script_decision *decision, size_t first)
{
	uint64_t hash = hash_text(GANTRY_HASH_SEED, decision->node);

	for (size_t i = first; i < decision->count; i++) {
		const struct script_record *record = &decision->records[i];

		hash = hash_text(hash, record->policy);
		hash = hash_text(hash, record->hook);
		hash = hash_text(hash, record->outcome);
		hash = hash_text(hash, record->subject);
		hash = hash_text(hash, record->answer);
		hash = hash_text(hash, record->reason);
		hash = gantry_hash(hash, &record->line, sizeof(record->line));
	}
	return hash;
}

/* --- printing -------------------------------------------------------------------------------------- */

static struct json_object *print_record(const struct script_record *record)
{
	struct json_object *object = json_object_new_object(), *answer = NULL, *before = NULL;

	json_add_string(object, "policy", record->policy);
	json_add_string(object, "hook", record->hook);
	json_add_string(object, "outcome", record->outcome);
	json_add_string(object, "subject", record->subject);
	if (record->answer &&
	    json_parse(record->answer, strlen(record->answer), &answer, NULL) == 0 && answer)
		json_object_object_add(object, "answer", answer);
	if (record->before &&
	    json_parse(record->before, strlen(record->before), &before, NULL) == 0 && before)
		json_object_object_add(object, "before", before);
	json_add_string(object, "reason", record->reason);
	json_add_string(object, "file", record->file);
	if (record->line)
		json_add_int(object, "line", record->line);
	if (record->shadow)
		json_add_bool(object, "shadow", true);
	if (record->conflict)
		json_add_bool(object, "conflict", true);
	json_add_int(object, "took_us", record->took_us);
	return object;
}

struct json_object *script_decision_print(const struct script_decision *decision)
{
	struct json_object *object = json_object_new_object();
	struct json_object *records = json_object_new_array();
	char seed[24];

	if (decision->id)
		json_add_int(object, "id", decision->id);
	json_add_string(object, "verb", decision->verb);
	json_add_string(object, "actor", decision->actor ? decision->actor : "");
	json_add_string(object, "user", decision->user);
	json_add_string(object, "project", decision->project);
	json_add_string(object, "instance", decision->instance);
	json_add_time(object, "at", decision->at_ms);
	json_add_string(object, "revision", decision->revision);
	snprintf(seed, sizeof(seed), "%016llx", (unsigned long long)decision->seed);
	json_add_string(object, "seed", seed);
	json_add_bool(object, "allowed", decision->allowed);
	json_add_string(object, "reason", decision->reason);
	json_add_string(object, "node", decision->node);
	for (size_t i = 0; i < decision->count; i++)
		json_object_array_add(records, print_record(&decision->records[i]));
	json_object_object_add(object, "records", records);
	return object;
}
