-- SPDX-License-Identifier: Apache-2.0
-- Chooses the node: labels that the instance wants, room for its memory, then the emptiest.
--
-- An instance wants a node's label by a label of its own with "node." in front:
--
--   gantry run --label node.zone=b --label node.disk=ssd …
--
-- goes only to nodes that have zone = "b" and disk = "ssd" under `labels` in gantry.lua; with node.name=NAME to
-- the node of that name.
--
-- `filter` is asked for each node that is up, and says whether it may be used. `score` is asked for
-- each that is left; the scores of all policies add up, and the highest sum wins. Then fewer
-- instances win, then the name.

return {
	name = "spread",

	filter = function(req, node)
		for name, value in pairs(req.labels) do
			if name:sub(1, 5) == "node." then
				local has = node.labels[name:sub(6)] or name == "node.name" and node.name
				if has ~= value then
					return false, ("label %s is %s, %s is wanted"):format(name:sub(6), has or "missing", value)
				end
			end
		end
		-- memory_free is what may still be promised: the node's memory, times overcommit where
		-- gantry.lua says so, less what instances have. nil: the node has not told its size.
		if req.memory and node.memory_free and req.memory > node.memory_free then
			return false, ("memory: %s is wanted, %s is free"):format(gantry.size_text(req.memory),
				gantry.size_text(node.memory_free))
		end
		return true
	end,

	-- 100 for a node that would still be empty, 0 for one that would be full, less one point for each
	-- instance that is there already.
	score = function(req, node)
		local free = 1
		if req.memory and node.memory then
			free = (node.memory_free - req.memory) / node.memory
		end
		return 100 * free - node.instances
	end,

	tests = {
		{ name = "a label that is wanted", hook = "filter", request = { labels = { ["node.zone"] = "b" } },
			node = { labels = { zone = "b" } }, expect = true },
		{ name = "the node has another one", hook = "filter", request = { labels = { ["node.zone"] = "b" } },
			node = { labels = { zone = "a" } }, deny = "label zone is a, b is wanted" },
		{ name = "a node by its name", hook = "filter", request = { labels = { ["node.name"] = "n1" } },
			node = { name = "n1" }, expect = true },
		{ name = "another one", hook = "filter", request = { labels = { ["node.name"] = "n1" } },
			node = { name = "n2" }, deny = "label name is n2, n1 is wanted" },
		{ name = "no room", hook = "filter", request = { memory = "2GiB" },
			node = { memory = "8GiB", memory_promised = "7GiB" }, deny = "memory: 2GiB is wanted, 1GiB is free" },
		{ name = "half full after, with three there", hook = "score", request = { memory = "2GiB" },
			node = { memory = "8GiB", memory_promised = "2GiB", instances = 3 }, expect = 47 },
	},
}
