/* SPDX-License-Identifier: Apache-2.0 */
/* Batches: rows gathered in an arena, each for one statement of the table. */
#include "store/internal.h"
#include "base/clock.h"
#include "base/str.h"

#include <stdlib.h>

/*
 * Prunes look only at the oldest rows, a few at a time, so that a commit never waits long. The newest
 * event and decision stay whatever their age: numbers go on from them after a restart.
 */
#define PRUNE(table, key, more)                                                                    \
	"DELETE FROM " table " WHERE " key " IN (SELECT " key " FROM (SELECT * FROM " table        \
	" ORDER BY " key " LIMIT ?2) WHERE " more ")"

const struct store_statement store_statements[STORE_KIND_COUNT] = {
	[STORE_PUT_INSTANCE] = {"INSERT INTO instances (id, json) VALUES (?1, ?2)"
				" ON CONFLICT (id) DO UPDATE SET json = excluded.json",
				2, 0},
	[STORE_DELETE_INSTANCE] = {"DELETE FROM instances WHERE id = ?1", 1, 0},
	[STORE_PUT_OPERATION] = {"INSERT INTO operations (id, kind, instance, state, step,"
				 " idempotency_key, actor, json, created_ms, changed_ms)"
				 " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
				 " ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
				 " step = excluded.step, json = excluded.json,"
				 " changed_ms = excluded.changed_ms",
				 8, 2},
	[STORE_PUT_STEP] = {"UPDATE operations SET step = ?2 WHERE id = ?1", 2, 0},
	[STORE_PUT_EVENT] = {"INSERT INTO events (instance, json, sequence, at_ms)"
			     " VALUES (?1, ?2, ?3, ?4)",
			     2, 2},
	[STORE_PUT_DECISION] = {"INSERT OR REPLACE INTO decisions (instance, json, id, at_ms)"
				" VALUES (?1, ?2, ?3, ?4)",
				2, 2},
	[STORE_PUT_FACT] = {"INSERT OR REPLACE INTO facts (name, value) VALUES (?1, ?2)", 2, 0},
	[STORE_DELETE_FACT] = {"DELETE FROM facts WHERE name = ?1", 1, 0},
	[STORE_BEGIN] = {"BEGIN IMMEDIATE", 0, 0},
	[STORE_COMMIT] = {"COMMIT", 0, 0},
	[STORE_ROLLBACK] = {"ROLLBACK", 0, 0},
	[STORE_PRUNE_EVENTS] =
		{PRUNE("events", "sequence",
		       "at_ms < ?1 AND sequence < (SELECT max(sequence) FROM events)"),
		 0, 2},
	[STORE_PRUNE_DECISIONS] = {PRUNE("decisions", "id",
					 "at_ms < ?1 AND id < (SELECT max(id) FROM decisions)"),
				   0, 2},
	[STORE_PRUNE_OPERATIONS] = {PRUNE("operations", "number",
					  "changed_ms < ?1 AND state <> 'running'"),
				    0, 2},
};

struct store_batch *store_batch_new(struct store *store)
{
	struct store_batch *batch = xcalloc(1, sizeof(*batch));

	batch->store = store;
	list_init(&batch->link);
	return batch;
}

static struct store_row *add(struct store_batch *batch, enum store_kind kind, const char *first,
			     const char *second)
{
	struct store_row *row = ARENA_NEW(&batch->arena, struct store_row);

	row->kind = kind;
	row->text[0] = arena_strdup(&batch->arena, first);
	row->text[1] = arena_strdup(&batch->arena, second);
	if (batch->last)
		batch->last->next = row;
	else
		batch->first = row;
	batch->last = row;
	return row;
}

void store_put_instance(struct store_batch *batch, const char *id, const char *json)
{
	add(batch, STORE_PUT_INSTANCE, id, json);
}

void store_delete_instance(struct store_batch *batch, const char *id)
{
	add(batch, STORE_DELETE_INSTANCE, id, NULL);
}

void store_put_operation(struct store_batch *batch, const struct store_operation *operation)
{
	struct store_row *row = add(batch, STORE_PUT_OPERATION, operation->id, operation->kind);

	row->text[2] = arena_strdup(&batch->arena, operation->instance);
	row->text[3] = arena_strdup(&batch->arena, operation->state);
	row->text[4] = arena_strdup(&batch->arena, operation->step);
	row->text[5] = arena_strdup(&batch->arena, operation->idempotency_key);
	row->text[6] = arena_strdup(&batch->arena, operation->actor);
	row->text[7] = arena_strdup(&batch->arena, operation->json);
	row->number[0] = operation->created_ms;
	row->number[1] = clock_wall_ms();
}

void store_put_step(struct store_batch *batch, const char *operation_id, const char *step)
{
	add(batch, STORE_PUT_STEP, operation_id, step);
}

void store_put_event(struct store_batch *batch, int64_t sequence, int64_t at_ms,
		     const char *instance, const char *json)
{
	struct store_row *row = add(batch, STORE_PUT_EVENT, instance, json);

	row->number[0] = sequence;
	row->number[1] = at_ms;
}

void store_put_decision(struct store_batch *batch, int64_t id, const char *instance, int64_t at_ms,
			const char *json)
{
	struct store_row *row = add(batch, STORE_PUT_DECISION, instance, json);

	row->number[0] = id;
	row->number[1] = at_ms;
}

void store_put_fact(struct store_batch *batch, const char *name, const char *value)
{
	add(batch, value ? STORE_PUT_FACT : STORE_DELETE_FACT, name, value);
}
