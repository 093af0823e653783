-- SPDX-License-Identifier: Apache-2.0
-- What readers of logs are given: secrets are blanked out, of what debugs one line in so many is shown, and errors have
-- a tag to search by.
--
-- Set `secrets` to the names after which a value is blanked out ("password=…", "password: …"), `debug` to how a line of that
-- kind begins and `shown` to how many of a hundred of those are shown. Labels of an instance may say otherwise:
-- log.debug=all shows all of its own.
--
-- A secret must not be shown because of a slip in this file: where it fails, the line is withheld, and readers are told.

local secrets = { "password", "passwd", "secret", "token", "api_key", "authorization" }
local debug = { "DEBUG", "TRACE", "level=debug" }
local shown = 5

-- "Password" is found as well as "password": a pattern of pairs, "[pP][aA]…". The value: up to a space, quote, comma or "&".
local patterns = {}
for i, name in ipairs(secrets) do
	local any = name:gsub("%a", function(letter)
		return "[" .. letter:lower() .. letter:upper() .. "]"
	end)
	patterns[i] = "(" .. any .. "[\"']?%s*[=:]%s*[\"']?)([^%s\"',&;]+)"
end

-- "Authorization: Bearer abc" is two words.
local function blank(name, value)
	return name .. (value:lower() == "bearer" and value or "***")
end

local function redact(text)
	for _, pattern in ipairs(patterns) do
		text = text:gsub(pattern, blank)
	end
	return (text:gsub("([bB]earer%s+)[^%s\"',;]+", "%1***"))
end

local function is_debug(text)
	for _, word in ipairs(debug) do
		if text:find(word, 1, true) then
			return true
		end
	end
	return false
end

return {
	name = "logs",
	on_error = "deny",
	log = function(line)
		local text = line.text
		if is_debug(text) and line.labels["log.debug"] ~= "all" and math.random(100) > shown then
			return false
		end
		local redacted = redact(text)
		local tags = (text:find("ERROR", 1, true) or text:find("level=error", 1, true)) and { level = "error" } or nil
		if redacted ~= text or tags then
			return { text = redacted, tags = tags }
		end
	end,
	tests = {
		{ name = "a line like any other", hook = "log", line = "GET /index.html 200", expect = true },
		{ name = "a password", hook = "log", line = "login user=ann password=hunter2 ok", expect = "login user=ann password=*** ok" },
		{ name = "however it is written", hook = "log", line = 'API_Key: "k-123", Token=abc&x=1', expect = 'API_Key: "***", Token=***&x=1' },
		{ name = "a header", hook = "log", line = "Authorization: Bearer eyJhbGciOi", expect = "Authorization: Bearer ***" },
		{ name = "in JSON", hook = "log", line = '{"user":"ann","password":"hunter2"}', expect = '{"user":"ann","password":"***"}' },
		{ name = "an error", hook = "log", line = { text = "ERROR no route", stream = "stderr" }, expect = { tags = { level = "error" } } },
		{ name = "an error with a secret", hook = "log", line = "ERROR bad token=abc", expect = { text = "ERROR bad token=***", tags = { level = "error" } } },
		{ name = "most of what debugs", hook = "log", line = { text = "DEBUG 1", sequence = 1 }, expect = false },
		{ name = "unless all is wanted", hook = "log", request = { labels = { ["log.debug"] = "all" } }, line = "DEBUG 1", expect = true },
	},
}
