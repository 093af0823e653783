-- SPDX-License-Identifier: Apache-2.0
-- Tells a webhook what went wrong: an instance that ended with an error, failed or was lost, a node that
-- is down. Instances with the label notify=off are passed over.
--
-- Set `url` below, and allow it in gantry.lua; event hooks may ask no other address:
--
--   policy_http_allow = { "https://hooks.example.org/gantry/" }
--
-- The message is JSON: {"text": "…", "kind": "…", …}. Many chat services show what is in `text`. Where the
-- server cannot take it now it is tried again after each of `waits`, in seconds; meanwhile the next
-- events wait in a queue. What cannot be delivered at all is an error of this hook, which `gantry policy
-- status` and `gantry doctor` tell.

local url = "https://hooks.example.org/gantry/alert"
local waits = { 1, 5, 15 }

-- What to say of an event; nil: nothing.
local texts = {
	["instance.exited"] = function(ev)
		local exit = ev.detail.exit
		if exit.code ~= 0 then
			return ev.name .. " ended with " .. exit.code .. (exit.oom_killed and ", killed for memory" or "")
		end
	end,
	["instance.failed"] = function(ev)
		return ev.name .. " failed" .. (ev.detail.reason and ": " .. ev.detail.reason or "")
	end,
	["instance.lost"] = function(ev)
		return ev.name .. " is lost: its container is gone"
	end,
	["node.down"] = function(ev)
		return "node " .. ev.node .. " is down" .. (ev.detail.reason and ": " .. ev.detail.reason or "")
	end,
}

-- How it is now: while we waited, things may have changed. nil: there is no such instance any more.
local function state(id)
	local instance = id and gantry.instance(id)
	return instance and instance.state
end

local function deliver(message, id)
	local why
	for attempt = 1, #waits + 1 do
		message.state = state(id)
		local reply, problem = gantry.http({
			url = url,
			body = gantry.json(message),
			headers = { ["Content-Type"] = "application/json" },
		})
		if reply and reply.status < 300 then
			return
		end
		why = problem or "status " .. reply.status
		if reply and reply.status < 500 and reply.status ~= 429 then
			break -- it would say the same again
		end
		if waits[attempt] then
			gantry.sleep(waits[attempt])
		end
	end
	error("the webhook did not take \"" .. message.text .. "\": " .. why)
end

return {
	name = "notify",

	event = function(ev)
		local text = texts[ev.kind] and texts[ev.kind](ev)
		if not text or ev.instance and ev.instance.labels.notify == "off" then
			return
		end
		deliver({ text = text, kind = ev.kind, at = ev.time, node = ev.node, project = ev.project }, ev.instance_id)
	end,
}
