/* SPDX-License-Identifier: Apache-2.0 */
#include "api/call.h"
#include "api/handlers.h"

#include <stddef.h>

#define INSTANCE "/v1/instances/{id}"

const struct route api_routes[] = {
	{"GET", "/v1/health", "health", handle_health, ROUTE_NO_BODY},
	{"GET", "/v1/version", "version", handle_version, ROUTE_NO_BODY},
	{"GET", "/v1/metrics", "metrics", handle_metrics, ROUTE_NO_BODY},
	{"GET", "/v1/doctor", "doctor", handle_doctor, ROUTE_NO_BODY},
	{"GET", "/v1/logs/sinks", "logSinks", handle_log_sinks, ROUTE_NO_BODY},

	{"GET", "/v1/instances", "instanceList", handle_instance_list, ROUTE_NO_BODY},
	{"POST", "/v1/instances", "instanceSpawn", handle_instance_spawn, ROUTE_BODY_REQUIRED},
	{"GET", INSTANCE, "instanceShow", handle_instance_show, ROUTE_NO_BODY},
	{"DELETE", INSTANCE, "instanceRemove", handle_instance_remove, ROUTE_NO_BODY},
	{"POST", INSTANCE "/start", "instanceStart", handle_instance_start, ROUTE_NO_BODY},
	{"POST", INSTANCE "/stop", "instanceStop", handle_instance_stop, ROUTE_BODY_OPTIONAL},
	{"POST", INSTANCE "/restart", "instanceRestart", handle_instance_restart,
	 ROUTE_BODY_OPTIONAL},
	{"POST", INSTANCE "/pause", "instancePause", handle_instance_pause, ROUTE_NO_BODY},
	{"POST", INSTANCE "/unpause", "instanceUnpause", handle_instance_unpause, ROUTE_NO_BODY},
	{"POST", INSTANCE "/kill", "instanceKill", handle_instance_kill, ROUTE_BODY_OPTIONAL},
	{"POST", INSTANCE "/resize", "instanceResize", handle_instance_resize, ROUTE_BODY_REQUIRED},
	{"POST", INSTANCE "/commit", "instanceCommit", handle_instance_commit, ROUTE_BODY_REQUIRED},
	{"GET", INSTANCE "/ports", "portList", handle_port_list, ROUTE_NO_BODY},
	{"POST", INSTANCE "/ports", "portAttach", handle_port_attach, ROUTE_BODY_REQUIRED},
	{"DELETE", INSTANCE "/ports", "portDetach", handle_port_detach, ROUTE_NO_BODY},
	{"GET", INSTANCE "/wait", "instanceWait", handle_instance_wait, ROUTE_NO_BODY},
	{"GET", INSTANCE "/top", "instanceTop", handle_instance_top, ROUTE_NO_BODY},
	{"GET", INSTANCE "/stats", "instanceStats", handle_instance_stats, ROUTE_NO_BODY},
	{"GET", INSTANCE "/output", "instanceOutput", handle_instance_output, ROUTE_NO_BODY},
	{"GET", INSTANCE "/logs", "instanceLogs", handle_instance_logs, ROUTE_NO_BODY},
	{"GET", INSTANCE "/attach", "instanceAttach", handle_instance_attach, ROUTE_NO_BODY},
	{"POST", INSTANCE "/exec", "instanceExec", handle_instance_exec, ROUTE_BODY_REQUIRED},
	{"GET", "/v1/execs/{id}", "execAttach", handle_exec_attach, ROUTE_NO_BODY},
	{"POST", INSTANCE "/serial", "instanceSerial", handle_instance_serial, ROUTE_NO_BODY},
	{"DELETE", INSTANCE "/serial", "instanceSerialClose", handle_instance_serial_close,
	 ROUTE_NO_BODY},
	{"GET", INSTANCE "/archive", "archiveGet", handle_archive_get, ROUTE_NO_BODY},
	{"PUT", INSTANCE "/archive", "archivePut", handle_archive_put, ROUTE_BODY_STREAM},
	{"POST", INSTANCE "/console", "instanceConsole", handle_instance_console, ROUTE_NO_BODY},
	{"GET", INSTANCE "/decisions", "instanceDecisions", handle_instance_decisions,
	 ROUTE_NO_BODY},

	{"GET", "/v1/recordings", "recordingList", handle_recording_list, ROUTE_NO_BODY},
	{"GET", "/v1/recordings/{id}", "recordingShow", handle_recording_show, ROUTE_NO_BODY},

	{"GET", "/v1/operations", "operationList", handle_operation_list, ROUTE_NO_BODY},
	{"GET", "/v1/operations/{id}", "operationShow", handle_operation_show, ROUTE_NO_BODY},
	{"GET", "/v1/operations/{id}/watch", "operationWatch", handle_operation_watch,
	 ROUTE_NO_BODY},

	{"GET", "/v1/events", "eventList", handle_event_list, ROUTE_NO_BODY},

	{"GET", "/v1/nodes", "nodeList", handle_node_list, ROUTE_NO_BODY},
	{"GET", "/v1/nodes/{name}", "nodeShow", handle_node_show, ROUTE_NO_BODY},
	{"GET", "/v1/nodes/{name}/images", "nodeImages", handle_node_images, ROUTE_NO_BODY},
	{"POST", "/v1/nodes/{name}/images", "imagePull", handle_image_pull, ROUTE_BODY_REQUIRED},
	{"GET", "/v1/images", "imageList", handle_image_list, ROUTE_NO_BODY},
	{"POST", "/v1/images", "imageLoad", handle_image_load, ROUTE_BODY_STREAM},
	{"DELETE", "/v1/images/{name}", "imageRemove", handle_image_remove, ROUTE_NO_BODY},
	{"GET", "/v1/images/{name}/archive", "imageSave", handle_image_save, ROUTE_NO_BODY},

	{"GET", "/v1/policies", "policyShow", handle_policy_show, ROUTE_NO_BODY},
	{"POST", "/v1/policies/reload", "policyReload", handle_policy_reload, ROUTE_NO_BODY},
	{"POST", "/v1/policies/eval", "policyEval", handle_policy_eval, ROUTE_BODY_REQUIRED},
	{"GET", "/v1/decisions/{id}", "decisionShow", handle_decision_show, ROUTE_NO_BODY},
	{"GET", "/v1/decisions/{id}/matrix", "decisionMatrix", handle_decision_matrix,
	 ROUTE_NO_BODY},
	{NULL, NULL, NULL, NULL, ROUTE_NO_BODY},
};
