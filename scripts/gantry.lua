-- SPDX-License-Identifier: Apache-2.0
-- Settings of gantryd: /etc/gantry/gantry.lua
--
-- This is Lua in the same sandbox that policies run in: the globals that it sets are the settings. An
-- unknown key is an error with its line. All keys with their defaults: gantryd --options
-- Check it with: gantryd --config /etc/gantry/gantry.lua --check-config
-- `gantryd --init` writes a short one with an owner of its own.

-- Marks the containers of this daemon. Two daemons on one engine need two owners; keep it for ever, or
-- the containers that run are nobody's.
owner = "example"

-- Where gantryd listens. On the unix socket the peer's user is the actor ("uid:0"); who may connect is
-- decided by mode and group. TCP is always with TLS, and clients show a certificate ("cn:NAME").
listen = {
	{ unix = "/run/gantry/gantry.sock", mode = "0660" }, -- group = "gantry"
	-- {
	-- 	tcp = "127.0.0.1:7443",
	-- 	ca = "/etc/gantry/tls/ca.pem",
	-- 	certificate = "/etc/gantry/tls/server.pem",
	-- 	key = "/etc/gantry/tls/server.key",
	-- },
	-- Log and console in a browser (gantry console); serves nothing else, to whoever has the address that was printed.
	-- {
	-- 	console = "127.0.0.1:8443",
	-- 	certificate = "/etc/gantry/tls/server.pem",
	-- 	key = "/etc/gantry/tls/server.key",
	-- 	url = "https://gantry.example.org:8443",
	-- },
}

-- The engines. Labels are what policies choose by. One that is given another name here keeps its instances.
nodes = {
	["local"] = {
		plugin = "docker",
		endpoint = "unix:///var/run/docker.sock",
		labels = { zone = "a" },
		-- memory = "24GiB", cpus = 6,     what may be promised, in place of all the host has
		-- overcommit = 1.5,               how often it may be promised
		-- drained = true,                 takes no new instances
	},
	-- east = {
	-- 	plugin = "docker",
	-- 	endpoint = "tcp://10.0.0.2:2376",
	-- 	tls_ca = "/etc/gantry/tls/east-ca.pem",
	-- 	tls_certificate = "/etc/gantry/tls/client.pem",
	-- 	tls_key = "/etc/gantry/tls/client.key",
	-- },
}

-- Where what instances print is forwarded to; plugins/stdout/README.md tells of the kinds.
-- logs = { sinks = { { kind = "syslog", to = "tcp://logs.example.org:601" } } }

-- Options of plugins as a whole.
plugins = {}

policies = "/etc/gantry/policies"
store = "/var/lib/gantry/gantry.db"

-- What event hooks of policies may ask over HTTP, each with all below it.
-- policy_http_allow = { "https://hooks.example.org/gantry/" }

-- Serial ports (gantry serial): an instance's console as plain bytes, without a handshake. Whoever may connect owns it.
-- serial_address = "10.0.0.1"          this host alone, unless an address and who may connect are named
-- serial_allow = { "10.0.0.0/24" }     as where nova-serialproxy runs
-- serial_ports = "10000-10999"

-- Actors that may name a project and user other than their own.
trusted_actors = { "uid:0" }
