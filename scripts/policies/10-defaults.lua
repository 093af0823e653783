-- SPDX-License-Identifier: Apache-2.0
-- Limits for what a request leaves open: without them one instance can take a whole node.
--
-- A policy is a file that returns a table of hooks. This one has a single hook, `resources`, which
-- gantryd calls once for each new instance. It gets the request and the limits as they are now, and
-- returns what is to be set. What it does not return stays as it is; nil (no return) is no opinion.
--
-- Change the figures, then: gantry policy check /etc/gantry/policies

local defaults = {
	memory = "512MiB", -- sizes are numbers of bytes, or text with KiB, MiB, GiB
	cpus = 1, -- may be a fraction
	pids = 512, -- processes and threads: what stops a fork bomb
}

return {
	name = "defaults",
	-- Where this file fails, the instance starts without these limits. To refuse it instead:
	-- on_error = "deny",

	resources = function(req, res)
		local answer = {}
		for name, value in pairs(defaults) do
			if res[name] == nil then -- the request did not say
				answer[name] = value
			end
		end
		-- memory_swap counts memory and swap together, so memory may not be above it.
		if answer.memory and res.memory_swap and res.memory_swap < gantry.size(answer.memory) then
			answer.memory = res.memory_swap
		end
		return answer
	end,

	-- Run before the file comes into force: where one fails, all stays as it was.
	tests = {
		{ name = "who does not ask gets the defaults", hook = "resources", expect = defaults },
		{ name = "who asks gets what is asked for", hook = "resources", request = { memory = "64MiB", pids = 20 },
			expect = { memory = "64MiB", pids = 20, cpus = defaults.cpus } },
		{ name = "memory is not above memory and swap", hook = "resources", request = { memory_swap = "16MiB" },
			expect = { memory = "16MiB" } },
	},
}
