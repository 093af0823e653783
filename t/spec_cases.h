/* SPDX-License-Identifier: Apache-2.0 */
/* Every field of the spec in all its forms: for the round trip and for the fuzzer. */
#ifndef T_SPEC_CASES_H
#define T_SPEC_CASES_H

#include <stddef.h>

/* What a person writes, and the form it is printed in (NULL: the same). Each field has a row or more. */
static const struct {
	const char *key, *given, *printed;
} spec_cases[] = {
	{"name", "\"web-1\"", NULL},
	{"project", "\"shop\"", NULL},
	{"labels", "{\"tier\":\"front\",\"empty\":\"\"}", NULL},
	{"labels", "[\"tier=front\",\"a.b/c=x=y\"]", "{\"tier\":\"front\",\"a.b/c\":\"x=y\"}"},
	{"image", "\"registry.example:5000/a/b:1.2@sha256:00\"", NULL},
	{"command", "[\"sh\",\"-c\",\"\"]", NULL},
	{"entrypoint", "[\"/init\"]", NULL},
	{"environment", "[\"A=1\",\"B=x=y\",{\"name\":\"C\",\"value\":\"\",\"secret\":true}]",
	 "[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"B\",\"value\":\"x=y\"},"
	 "{\"name\":\"C\",\"value\":\"\",\"secret\":true}]"},
	{"user", "\"1000:1000\"", NULL},
	{"working_dir", "\"/srv\"", NULL},
	{"hostname", "\"a.example\"", NULL},
	{"tty", "true", NULL},
	{"stdin_open", "true", NULL},
	{"mounts",
	 "[\"//srv/./data/:/data:ro\",\"cache:/var/cache\",\"tmpfs:/run:64MiB\",\"tmpfs:/tmp\","
	 "{\"type\":\"bind\",\"source\":\"/\",\"target\":\"/host\"},\"/a:/b:rw\","
	 "\"instance/web:/rescue:ro\"]",
	 "[{\"type\":\"bind\",\"source\":\"/srv/data\",\"target\":\"/data\",\"read_only\":true},"
	 "{\"type\":\"volume\",\"source\":\"cache\",\"target\":\"/var/cache\"},"
	 "{\"type\":\"tmpfs\",\"target\":\"/run\",\"size\":67108864},"
	 "{\"type\":\"tmpfs\",\"target\":\"/tmp\"},"
	 "{\"type\":\"bind\",\"source\":\"/\",\"target\":\"/host\"},"
	 "{\"type\":\"bind\",\"source\":\"/a\",\"target\":\"/b\"},"
	 "{\"type\":\"instance\",\"source\":\"web\",\"target\":\"/rescue\",\"read_only\":true}]"},
	{"ports",
	 "[\"80\",\"8080:80\",\"0.0.0.0:8443:443/tcp\",\"192.0.2.1::53/udp\",\"192.0.2.1:54\","
	 "\"[::1]:1:2/sctp\",{\"container_port\":9,\"host_ip\":\"::\"}]",
	 "[{\"host_ip\":\"127.0.0.1\",\"host_port\":0,\"container_port\":80,\"protocol\":\"tcp\"},"
	 "{\"host_ip\":\"127.0.0.1\",\"host_port\":8080,\"container_port\":80,\"protocol\":\"tcp\"},"
	 "{\"host_ip\":\"0.0.0.0\",\"host_port\":8443,\"container_port\":443,\"protocol\":\"tcp\"},"
	 "{\"host_ip\":\"192.0.2.1\",\"host_port\":0,\"container_port\":53,\"protocol\":\"udp\"},"
	 "{\"host_ip\":\"192.0.2.1\",\"host_port\":0,\"container_port\":54,\"protocol\":\"tcp\"},"
	 "{\"host_ip\":\"::1\",\"host_port\":1,\"container_port\":2,\"protocol\":\"sctp\"},"
	 "{\"host_ip\":\"::\",\"host_port\":0,\"container_port\":9,\"protocol\":\"tcp\"}]"},
	{"network", "\"container:web\"", NULL},
	{"network_ports",
	 "[\"p-1,bridge=br0,mac=FA:16:3E:00:00:01,address=10.0.0.5/24,address=fd00::5/64,route=default via "
	 "10.0.0.1,dns=192.0.2.1,mtu=1400,create_bridge\",\"p-2,type=ovs,bridge=br-int\",{\"id\":\"p-3\","
	 "\"bridge\":\"br0\",\"routes\":[\"10.1.0.0/16\"]}]",
	 "[{\"id\":\"p-1\",\"type\":\"bridge\",\"bridge\":\"br0\",\"create_bridge\":true,\"mac\":"
	 "\"fa:16:3e:00:00:01\",\"addresses\":[\"10.0.0.5/24\",\"fd00::5/64\"],\"routes\":[\"default via "
	 "10.0.0.1\"],\"dns\":[\"192.0.2.1\"],\"mtu\":1400},"
	 "{\"id\":\"p-2\",\"type\":\"ovs\",\"bridge\":\"br-int\"},"
	 "{\"id\":\"p-3\",\"type\":\"bridge\",\"bridge\":\"br0\",\"routes\":[\"10.1.0.0/16\"]}]"},
	{"dns", "[\"192.0.2.53\",\"2001:db8::53\"]", NULL},
	{"dns_search", "[\"example.org\",\".\"]", NULL},
	{"cap_add", "[\"net_admin\",\"CAP_SYS_TIME\"]", "[\"NET_ADMIN\",\"SYS_TIME\"]"},
	{"cap_drop", "[\"all\"]", "[\"ALL\"]"},
	{"devices",
	 "[\"/dev/kvm\",\"/dev//a:/dev/b\",\"/dev/c:/dev/d:r\",{\"host_path\":\"/dev/e\"}]",
	 "[{\"host_path\":\"/dev/kvm\",\"container_path\":\"/dev/kvm\",\"permissions\":\"rwm\"},"
	 "{\"host_path\":\"/dev/a\",\"container_path\":\"/dev/b\",\"permissions\":\"rwm\"},"
	 "{\"host_path\":\"/dev/c\",\"container_path\":\"/dev/d\",\"permissions\":\"r\"},"
	 "{\"host_path\":\"/dev/e\",\"container_path\":\"/dev/e\",\"permissions\":\"rwm\"}]"},
	{"ulimits", "[\"nofile=1024:2048\",\"nproc=64\",\"core=unlimited\",\"stack=8:-1\"]",
	 "[{\"name\":\"nofile\",\"soft\":1024,\"hard\":2048},{\"name\":\"nproc\",\"soft\":64,\"hard\":64},"
	 "{\"name\":\"core\",\"soft\":-1,\"hard\":-1},{\"name\":\"stack\",\"soft\":8,\"hard\":-1}]"},
	{"ulimits", "[{\"name\":\"cpu\",\"soft\":7}]",
	 "[{\"name\":\"cpu\",\"soft\":7,\"hard\":7}]"},
	{"ulimits", "[{\"name\":\"core\",\"soft\":\"unlimited\",\"hard\":-1}]",
	 "[{\"name\":\"core\",\"soft\":-1,\"hard\":-1}]"},
	{"sysctls", "{\"net.core.somaxconn\":\"1024\"}", NULL},
	{"sysctls", "[\"kernel.msgmax=65536\"]", "{\"kernel.msgmax\":\"65536\"}"},
	{"read_only", "true", NULL},
	{"init", "true", NULL},
	{"stop_signal", "\"SIGRTMIN+3\"", NULL},
	{"stop_grace", "\"1.5s\"", "\"1500ms\""},
	{"stop_grace", "10", "\"10s\""},
	{"stop_grace", "0.25", "\"250ms\""},
	{"stop_grace", "\"2m\"", "\"120s\""},
	{"health_check", "\"curl -f localhost\"",
	 "{\"test\":[\"CMD-SHELL\",\"curl -f localhost\"]}"},
	{"health_check",
	 "{\"test\":[\"CMD\",\"true\"],\"interval\":\"10s\",\"timeout\":1.5,\"start_period\":0,\"retries\":3}",
	 "{\"test\":[\"CMD\",\"true\"],\"interval\":\"10s\",\"timeout\":\"1500ms\",\"start_period\":\"0s\","
	 "\"retries\":3}"},
	{"health_check", "{\"test\":\"true\"}", "{\"test\":[\"CMD-SHELL\",\"true\"]}"},
	{"health_check", "{\"test\":[\"NONE\"]}", NULL},
	{"memory", "\"64MiB\"", "67108864"},
	{"memory", "6291456", NULL},
	{"memory", "67108864.0", "67108864"},
	{"memory_swap", "\"1.5G\"", "1610612736"},
	{"cpus", "1.5", NULL},
	{"cpus", "\"0.01\"", "0.01"},
	{"cpus", "4096", NULL},
	{"cpus", "0.123456789", NULL},
	{"cpu_shares", "2", NULL},
	{"cpuset", "\"0-2,4\"", NULL},
	{"pids", "4194304", NULL},
	{"block_io",
	 "{\"weight\":10,\"devices\":[{\"device\":\"/dev/vda\",\"read_bps\":\"1MiB\",\"write_bps\":2,"
	 "\"read_iops\":3,\"write_iops\":4}]}",
	 "{\"weight\":10,\"devices\":[{\"device\":\"/dev/vda\",\"read_bps\":1048576,\"write_bps\":2,"
	 "\"read_iops\":3,\"write_iops\":4}]}"},
	{"log", "{\"driver\":\"local\",\"size\":\"10m\",\"files\":3}",
	 "{\"driver\":\"local\",\"size\":10485760,\"files\":3}"},
};
#define SPEC_CASES (sizeof(spec_cases) / sizeof(spec_cases[0]))

#endif
