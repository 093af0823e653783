-- SPDX-License-Identifier: Apache-2.0
-- Sizes to choose from, in place of single limits: gantry run -d --label flavor=small …
--
-- The flavor wins over what the request says, so that each instance is one of a few known sizes. Put
-- this file before 10-defaults.lua (as 05-flavors.lua): the defaults fill in what is still open then.

local flavors = {
	tiny = { memory = "128MiB", cpus = 0.25, pids = 128 },
	small = { memory = "512MiB", cpus = 1, pids = 512 },
	medium = { memory = "2GiB", cpus = 2, pids = 1024 },
	large = { memory = "8GiB", cpus = 4, pids = 4096, ulimits = { nofile = 65536 } },
}
local default = "small" -- nil: without a label no flavor

-- Some flavors are for some projects only.
local only = {
	-- large = { blue = true },
}

local function names()
	local list = {}
	for name in pairs(flavors) do
		list[#list + 1] = name -- pairs goes in a fixed order here
	end
	return table.concat(list, ", ")
end

return {
	name = "flavors",
	on_error = "deny",

	-- A name that is not there is a slip of the pen; better say so than give it some other size.
	admit = function(req)
		if req.verb ~= "spawn" then
			return
		end
		local name = req.labels.flavor or default
		if name and not flavors[name] then
			return false, "there is no flavor " .. name .. "; there are " .. names()
		end
		if name and only[name] and not only[name][req.project] then
			return false, "flavor " .. name .. " is not for project " .. req.project
		end
	end,

	resources = function(req, res)
		local flavor = flavors[req.labels.flavor or default]
		if not flavor then
			return
		end
		local answer = {}
		for name, value in pairs(flavor) do
			answer[name] = value
		end
		-- memory_swap counts memory and swap together: one that was asked for may be too small now
		if res.memory_swap and res.memory_swap < gantry.size(flavor.memory) then
			answer.memory_swap = flavor.memory
		end
		return answer
	end,
}
