-- SPDX-License-Identifier: Apache-2.0
-- The other way to place: fill one node before the next, so that whole nodes stay empty.
--
-- Put it beside 40-spread.lua as 50-binpack.lua, and take `score` out of 40-spread.lua: scores add up,
-- and the two would pull against each other. The filter of 40-spread.lua is wanted by both.

return {
	name = "binpack",

	-- 100 for a node that would be full, 0 for one that would still be empty.
	score = function(req, node)
		local share = 0
		if node.memory then
			share = (node.memory_promised + (req.memory or 0)) / node.memory
		end
		if node.cpus and (req.cpus or 0) > 0 then
			share = math.max(share, (node.cpus_promised + req.cpus) / node.cpus)
		end
		return 100 * math.min(share, 1)
	end,
}
