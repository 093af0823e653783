/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers, one a route, by the files they live in. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

struct call;

/* about.c */
void handle_health(struct call *call);
void handle_version(struct call *call);
void handle_doctor(struct call *call);
void handle_log_sinks(struct call *call);
/* metrics.c */
void handle_metrics(struct call *call);
/* instances.c */
void handle_instance_list(struct call *call);
void handle_instance_show(struct call *call);
void handle_instance_spawn(struct call *call);
void handle_instance_remove(struct call *call);
void handle_instance_start(struct call *call);
void handle_instance_stop(struct call *call);
void handle_instance_restart(struct call *call);
void handle_instance_pause(struct call *call);
void handle_instance_unpause(struct call *call);
void handle_instance_kill(struct call *call);
void handle_instance_resize(struct call *call);
void handle_instance_commit(struct call *call);
void handle_port_list(struct call *call); /* ports.c */
void handle_port_attach(struct call *call);
void handle_port_detach(struct call *call);
/* process.c */
void handle_instance_wait(struct call *call);
void handle_instance_output(struct call *call);
/* usage.c */
void handle_instance_top(struct call *call);
void handle_instance_stats(struct call *call);
/* logs.c */
void handle_instance_logs(struct call *call);
/* console.c */
void handle_instance_attach(struct call *call);
void handle_instance_exec(struct call *call);
void handle_exec_attach(struct call *call);
/* serial.c */
void handle_instance_serial(struct call *call);
void handle_instance_serial_close(struct call *call);
/* archive.c */
void handle_archive_get(struct call *call);
void handle_archive_put(struct call *call);
/* page.c */
void handle_instance_console(struct call *call);
/* recordings.c */
void handle_recording_list(struct call *call);
void handle_recording_show(struct call *call);
/* operations.c */
void handle_operation_list(struct call *call);
void handle_operation_show(struct call *call);
void handle_operation_watch(struct call *call);
/* events.c */
void handle_event_list(struct call *call);
/* nodes.c */
void handle_node_list(struct call *call);
void handle_node_show(struct call *call);
/* images.c */
void handle_node_images(struct call *call);
void handle_image_pull(struct call *call);
void handle_image_list(struct call *call);
void handle_image_remove(struct call *call);
void handle_image_save(struct call *call);
void handle_image_load(struct call *call);
/* policies.c */
void handle_policy_show(struct call *call);
void handle_policy_reload(struct call *call);
void handle_policy_eval(struct call *call);
void handle_decision_show(struct call *call);
void handle_decision_matrix(struct call *call);
void handle_instance_decisions(struct call *call);

#endif
