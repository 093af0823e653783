-- SPDX-License-Identifier: Apache-2.0
-- Which images may run: by registry, by repository, by digest.
--
-- A short name means Docker Hub: "debian:12" is docker.io/library/debian:12. A rule has the long form:
--
--   "registry.example.org/"             everything of a registry; the slash ends its name
--   "docker.io/library/debian"          one repository, any tag or digest
--   "docker.io/library/debian@sha256:…" this content alone
--
-- A tag can be moved to other content at any time, a digest cannot. `pinned` says for which projects only
-- digests will do.

local allow = {
	"registry.example.org/",
	"docker.io/library/debian",
	"docker.io/library/alpine@sha256:c5b1261d6d3e43071626931fc004f70149baeba2c8ec672bd4f27761f8e1ad6b",
}
local pinned = {
	-- blue = true,
}

-- Registry and repository, and the digest where there is one.
local function parts(image)
	local name, digest = image:match("^([^@]*)@(.*)$")
	name = name or image
	name = name:match("^(.*):[^/]*$") or name -- without the tag; a colon before a slash is a port
	local first = name:match("^([^/]*)/")
	if not first then
		name = "docker.io/library/" .. name
	elseif not first:find("[.:]") and first ~= "localhost" then
		name = "docker.io/" .. name
	end
	return name, digest
end

local function is_allowed(name, digest)
	for _, rule in ipairs(allow) do
		if rule == name or digest and rule == name .. "@" .. digest then
			return true
		end
		if rule:sub(-1) == "/" and name:sub(1, #rule) == rule then
			return true
		end
	end
	return false
end

return {
	name = "images",
	-- a rule about what may run must not be lost where it fails: `admit` refuses then, unless told otherwise

	admit = function(req)
		if req.verb ~= "spawn" then
			return
		end
		local name, digest = parts(req.image)
		if not is_allowed(name, digest) then
			return false, "image " .. name .. " is not on the list of images"
		end
		if pinned[req.project] and not digest then
			return false, "project " .. req.project .. " runs images by digest only, as " .. name .. "@sha256:…"
		end
		return true
	end,
}
