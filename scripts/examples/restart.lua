-- SPDX-License-Identifier: Apache-2.0
-- Starts again what ended, as the label `restart` of an instance asks:
--
--   restart=always       whatever the reason
--   restart=on-failure   where the exit code was not 0
--
-- Without the label nothing is restarted, as with an engine. The time between two starts doubles from
-- a second to a minute, and begins anew for a process that ran for ten minutes. One that ended
-- quickly ten times in a row is marked failed, so that somebody looks at it.
--
-- `exit` tells how the process ended: code, signal, cause ("exit", "oom", "engine", "host", "start"), ran (how
-- many seconds), restarts (how often this hook had it started since a person did).
-- The answer: seconds to wait, or false to leave it, or "fail"; and a reason, which is recorded.

local first, most = 1, 60
local give_up = 10

return {
	name = "restart",

	restart = function(instance, exit)
		local wanted = instance.labels.restart
		if wanted ~= "always" and wanted ~= "on-failure" then
			return -- no opinion
		end
		if exit.cause == "engine" or exit.cause == "host" then
			return 0, "its engine or host came back"
		end
		if wanted == "on-failure" and exit.code == 0 then
			return false, "it ended well"
		end
		if exit.ran >= 600 then
			return first, "it had run for a while"
		end
		if exit.restarts >= give_up then
			return "fail", "it ended quickly " .. give_up .. " times in a row"
		end
		return math.min(first * 2 ^ exit.restarts, most), "restart " .. exit.restarts + 1
	end,

	tests = {
		{ name = "not asked for", hook = "restart", exit = { code = 1 }, expect = false },
		{ name = "it ended well", hook = "restart", request = { labels = { restart = "on-failure" } }, exit = { code = 0 },
			expect = false },
		{ name = "the wait doubles", hook = "restart", request = { labels = { restart = "always" } },
			exit = { code = 1, restarts = 3 }, expect = math.min(first * 8, most) },
		{ name = "too often", hook = "restart", request = { labels = { restart = "always" } },
			exit = { code = 1, restarts = give_up }, expect = "fail" },
	},
}
