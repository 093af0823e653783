-- SPDX-License-Identifier: Apache-2.0
-- Changes of some projects in working hours only, when somebody is there to see what they do.
--
-- The clock is `req.now`: the time of the request, not that of the call, so that a decision comes out the
-- same when it is explained later. `gantry.calendar(seconds, minutes)` gives the date, minutes east of UTC.
-- There are no time zones with summer time in the sandbox: give the hours so that both fit.

local projects = { production = true }
local east = 60 -- minutes
local from, to = 8, 18 -- o'clock
local days = 5 -- Monday to Friday

-- Whoever is on call; "uid:0" is root on gantryd's socket.
local always = { ["uid:0"] = true }

-- What makes a change. Starting, stopping and killing stay possible: they repair.
local changes = { spawn = true, resize = true, remove = true }

return {
	name = "hours",

	admit = function(req)
		if not projects[req.project] or not changes[req.verb] or always[req.actor] then
			return
		end
		local now = gantry.calendar(req.now, east)
		if now.weekday > days or now.hour < from or now.hour >= to then
			return false, ("%s in project %s is for days 1 to %d from %d to %d o'clock; it is day %d, %02d:%02d")
				:format(req.verb, req.project, days, from, to, now.weekday, now.hour, now.minute)
		end
	end,

	tests = {
		{ name = "a Monday noon", hook = "admit", request = { project = "production" }, actor = "uid:1000",
			now = "2026-01-05T11:00:00Z", expect = true },
		{ name = "a Sunday", hook = "admit", request = { project = "production" }, actor = "uid:1000",
			now = "2026-01-04T11:00:00Z", deny = "it is day 7, 12:00" },
		{ name = "stopping repairs", hook = "admit", verb = "stop", request = { project = "production" }, actor = "uid:1000",
			now = "2026-01-04T11:00:00Z", expect = true },
		{ name = "who is on call", hook = "admit", request = { project = "production" }, actor = "uid:0",
			now = "2026-01-04T11:00:00Z", expect = true },
	},
}
