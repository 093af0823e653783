-- SPDX-License-Identifier: Apache-2.0
-- Beside whom an instance goes, and beside whom not, as its labels ask:
--
--   apart.NAME=VALUE   on no node that has an instance with label NAME=VALUE
--   near.NAME=VALUE    only on nodes that have one
--   thin.NAME=VALUE    rather where fewer are, but anywhere if it must be
--
--   gantry run -d --label app=web --label apart.app=web …    each web server on a node of its own
--   gantry run -d --label near.app=db …                      on a node with a database
--
-- `gantry.count(node, NAME, VALUE, PROJECT)` is how many instances of the project on the node have the
-- label. It is a counter that gantryd keeps, those that are just being placed included. Without the
-- project it counts all instances; then any project could keep another one off a node by its labels.

-- Calls check(name, value) for each label that begins with prefix, until it returns a reason.
local function each(req, prefix, check)
	for label, value in pairs(req.labels) do
		if label:sub(1, #prefix) == prefix then
			local why = check(label:sub(#prefix + 1), value)
			if why then
				return why
			end
		end
	end
end

return {
	name = "affinity",

	filter = function(req, node)
		local why = each(req, "apart.", function(name, value)
			local count = gantry.count(node, name, value, req.project)
			if count > 0 then
				return ("apart from %s=%s is wanted, %d are there"):format(name, value, count)
			end
		end) or each(req, "near.", function(name, value)
			if gantry.count(node, name, value, req.project) == 0 then
				return ("near %s=%s is wanted, none is there"):format(name, value)
			end
		end)
		if why then
			return false, why
		end
	end,

	-- Scores of all policies add up: 40-spread.lua gives 100 points for an empty node, so that one neighbour
	-- here weighs as much as a fifth of a node.
	score = function(req, node)
		local points = 0
		each(req, "thin.", function(name, value)
			points = points - 20 * gantry.count(node, name, value, req.project)
		end)
		return points
	end,
}
