-- SPDX-License-Identifier: Apache-2.0
-- What a project may have in sum: instances, memory, CPUs.
--
-- `req.project_usage` is what the project's other instances have: those that exist, running or not, and those
-- that are being made. It is a sum that gantryd keeps, so that asking costs nothing, and a burst of
-- requests cannot slip through: each one counts from the moment it was admitted.
--
-- There are two moments to ask at, and this file uses both:
--
--   admit   comes first, with the limits that the request itself gives. It refuses early, with one
--           reason, and it alone is asked for a resize.
--   filter  comes after all `resources` hooks, so that what they set (10-defaults.lua) counts as well.
--           It is about nodes; a project over its quota may use none.
--
-- A limit that is left out here does not hold.

local quotas = {
	-- blue = { instances = 20, memory = "32GiB", cpus = 16 },
}
local others = { instances = 50, memory = "64GiB", cpus = 32 }

-- Why the project would be over its quota with this request; nil: it would not.
local function over(req)
	local quota = quotas[req.project] or others
	local has = req.project_usage
	if quota.instances and has.instances + 1 > quota.instances then
		return ("project %s has %d instances of %d"):format(req.project, has.instances, quota.instances)
	end
	local memory = quota.memory and gantry.size(quota.memory)
	if memory and has.memory + (req.memory or 0) > memory then
		return ("project %s has %s of %s memory, %s more is wanted"):format(req.project,
			gantry.size_text(has.memory), quota.memory, gantry.size_text(req.memory or 0))
	end
	if quota.cpus and has.cpus + (req.cpus or 0) > quota.cpus then
		return ("project %s has %.4g of %.4g CPUs, %.4g more are wanted"):format(req.project, has.cpus,
			quota.cpus, req.cpus or 0)
	end
end

return {
	name = "quota",

	admit = function(req)
		if req.verb ~= "spawn" and req.verb ~= "resize" then
			return -- what makes nothing larger is not our business
		end
		local why = over(req)
		if why then
			return false, why
		end
	end,

	filter = function(req, node)
		local quota = quotas[req.project] or others
		-- what has no limit cannot be counted, and would make the sums worthless
		if quota.memory and not req.memory then
			return false, "an instance needs a limit of memory, as project " .. req.project .. " has a quota of it"
		end
		if quota.cpus and not req.cpus then
			return false, "an instance needs a limit of CPUs, as project " .. req.project .. " has a quota of them"
		end
		local why = over(req)
		if why then
			return false, why
		end
	end,
}
