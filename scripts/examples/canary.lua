-- SPDX-License-Identifier: Apache-2.0
-- Tries something new on a few: some percent of the instances get it, the same ones each time.
--
-- Who is one of them follows from project and name alone. So all hooks agree, an instance that is made
-- again is what it was, and raising the percentage only adds to those who were in before. (math.random would
-- not do: the request seeds it anew for each hook.) The label canary=yes or canary=no decides by hand.
--
-- Here a canary gets a variable by which the program may turn on what is new, and goes to the nodes that have
-- label canary = "yes" in gantry.lua, which may run a newer engine; no one else goes there. Where no
-- node has that label, canaries go anywhere.

local percent = 10

-- 0 to 99, spread evenly. (FNV-1a, 32 bits.)
local function share(text)
	local hash = 2166136261
	for i = 1, #text do
		hash = (hash ~ text:byte(i)) * 16777619 & 0xffffffff
	end
	return (hash >> 8) % 100
end

local function is_canary(req)
	local wish = req.labels.canary
	if wish then
		return wish == "yes"
	end
	return share(req.project .. "/" .. req.name) < percent
end

return {
	name = "canary",

	environment = function(req, env)
		if is_canary(req) then
			return { CHANNEL = "canary" }
		end
		if env.CHANNEL == nil then
			return { CHANNEL = "stable" }
		end
	end,

	filter = function(req, node)
		if node.labels.canary == "yes" and not is_canary(req) then
			return false, "the node is for canaries"
		end
	end,

	-- far above what other policies give: a canary goes to its nodes as long as one has room
	score = function(req, node)
		if node.labels.canary == "yes" then
			return 1000
		end
	end,
}
