-- SPDX-License-Identifier: Apache-2.0
-- Refuses what can reach out of a container, unless it is named here.
--
-- `req.unsafe` lists such options of a request, one line each, in a fixed form:
--
--   mounts: bind /etc rw        a folder of the host; "ro" where it is read-only
--   mounts: instance ID rw      another instance's filesystem, of its project
--   network: host               the host's network, another container's ("container:web"), a named one
--   network_ports: br-int      a bridge of the host
--   cap_add: SYS_ADMIN          a capability
--   devices: /dev/kvm           a device of the host
--   sysctls: kernel.msgmax      a kernel setting
--
-- An entry allows exactly the line it is, or with "*" at its end every line that begins so:
-- "mounts: bind /srv/data/*" allows all below /srv/data, reading and writing.
-- What a symbolic link on the host points to is not seen here: allow folders you control.

-- For everybody.
local allow = {
	-- "cap_add: NET_BIND_SERVICE",
}

-- For one project.
local allow_project = {
	-- blue = { "mounts: bind /srv/blue/*", "devices: /dev/kvm" },
}

local function is_allowed(line, entries)
	for _, entry in ipairs(entries) do
		if entry == line then
			return true
		end
		if entry:sub(-1) == "*" and line:sub(1, #entry - 1) == entry:sub(1, -2) then
			return true
		end
	end
	return false
end

return {
	name = "unsafe",
	-- `admit` refuses where it fails, unless on_error says "skip". Leave it so here.

	admit = function(req)
		if req.verb ~= "spawn" then
			return -- what runs was admitted when it was made
		end
		for _, line in ipairs(req.unsafe) do
			if not is_allowed(line, allow) and not is_allowed(line, allow_project[req.project] or {}) then
				return false, line .. " is not allowed in project " .. req.project
			end
		end
		return true
	end,

	-- Name in a test what must never be allowed: a slip in the tables above is then found before it counts.
	tests = {
		{ name = "what stays inside is no question", hook = "admit", expect = true },
		{ name = "the whole host", hook = "admit", request = { mounts = { { type = "bind", source = "/", target = "/host" } } },
			deny = "mounts: bind / rw is not allowed" },
		{ name = "the kernel", hook = "admit", request = { cap_add = { "SYS_MODULE" } }, deny = "cap_add: SYS_MODULE" },
	},
}
