-- SPDX-License-Identifier: Apache-2.0
-- The environment of each project: addresses, credentials, and what must not be set.
--
-- Later files win over earlier ones, and over the request. Who set what is told by
--
--   gantry policy explain web --env HTTP_PROXY
--
-- A secret is stored and shown as a keyed hash only, and no policy can read it. It is in this file,
-- though: keep the folder of policies readable by gantryd alone (mode 0700).

local all = {
	-- also for those who set it themselves: a debugger's hook has no business in an image of ours
	LD_PRELOAD = false,
}

local projects = {
	blue = {
		HTTP_PROXY = "http://proxy.blue.example:3128",
		NO_PROXY = "localhost,.blue.example",
		DB_PASSWORD = { value = "change me", secret = true },
	},
}

-- Only where neither the request nor an earlier policy set them.
local defaults = {
	LANG = "C.UTF-8",
}

return {
	name = "project-environment",
	on_error = "deny", -- without its credentials an instance would only start and fail

	environment = function(req, env)
		local answer = {}
		for name, value in pairs(defaults) do
			if env[name] == nil then
				answer[name] = value
			end
		end
		for name, value in pairs(all) do
			if env[name] ~= nil or value then
				answer[name] = value
			end
		end
		for name, value in pairs(projects[req.project] or {}) do
			answer[name] = value
		end
		return answer
	end,
}
