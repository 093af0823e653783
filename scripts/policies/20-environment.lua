-- SPDX-License-Identifier: Apache-2.0
-- Environment variables that every instance gets, and those of one project.
--
-- `env` is the environment as it is now: what the request gave and what policies before this one set.
-- A secret variable reads as true: policies never see secret values.
-- The answer has three forms of values:
--
--   NAME = "value"                             set
--   NAME = { value = "value", secret = true }  set, and shown and stored only as a keyed hash
--   NAME = false                               drop

-- Only where the request does not set them.
local defaults = {
	TZ = "UTC",
}

-- By project, in place of whatever was requested.
local by_project = {
	-- blue = { HTTP_PROXY = "http://proxy.blue.example:3128" },
}

return {
	name = "environment",

	environment = function(req, env)
		local answer = {
			GANTRY_INSTANCE = req.name,
			GANTRY_PROJECT = req.project,
		}
		for name, value in pairs(defaults) do
			if env[name] == nil then
				answer[name] = value
			end
		end
		for name, value in pairs(by_project[req.project] or {}) do
			answer[name] = value
		end
		return answer
	end,
}
