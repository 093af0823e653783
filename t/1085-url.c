/* SPDX-License-Identifier: Apache-2.0 */
/* URLs have one meaning, and a list of allowed ones is not fooled. */
#include "base/url.h"

#include "tap.h"

static const char *parts(const char *text)
{
	static char shown[600];
	struct gantry_error err;
	struct url url;

	if (url_parse(text, &url, &err) < 0)
		snprintf(shown, sizeof(shown), "error: %s", err.text);
	else
		snprintf(shown, sizeof(shown), "%s %s %d %s", url.tls ? "https" : "http", url.host,
			 url.port, url.path);
	return shown;
}

static bool covers(const char *allowed, const char *wanted)
{
	struct gantry_error err;
	struct url a, b;

	if (url_parse(allowed, &a, &err) < 0)
		bail_out("%s %s", allowed, err.text);
	return url_parse(wanted, &b, &err) == 0 && url_covers(&a, &b);
}

static void test_parts(void)
{
	static const char *const cases[][2] = {
		{"http://a", "http a 80 /"},
		{"HTTPS://Hooks.Example.ORG:8443/A/b?c=/../d",
		 "https hooks.example.org 8443 /A/b?c=/../d"},
		{"http://[::1]:9000/x", "http [::1] 9000 /x"},
		{"http://[fe80::A]", "http [fe80::a] 80 /"},
		{"http://a_b-c.d./%41", "http a_b-c.d. 80 /%41"},
		{"http://a:1/...", "http a 1 /..."},
		{"ftp://a/", "error: must begin with http:// or https://"},
		{"http:/a", "error: must begin with http:// or https://"},
		{"//a/", "error: must begin with http:// or https://"},
		{" http://a/", "error: must begin with http:// or https://"},
		{"", "error: must begin with http:// or https://"},
		{"http://", "error: has no host"},
		{"http:///a", "error: has no host"},
		{"http://:80/", "error: has no host"},
		{"http://user@a/", "error: must have no user name"},
		{"http://a:b@c/", "error: must have no user name"},
		{"http://a@b:80/", "error: must have no user name"},
		{"http://a b/", "error: has a host with a wrong character"},
		{"http://a%2eb/", "error: has a host with a wrong character"},
		{"http://\xc3\xa4/", "error: has a host with a wrong character"},
		{"http://[::1/", "error: has a host with a wrong character"},
		{"http://[::1]x/", "error: has a host with a wrong character"},
		{"http://[g]/", "error: has a host with a wrong character"},
		{"http://::1/", "error: has no host"},
		{"http://a:/", "error: has a port that is not 1 to 65535"},
		{"http://a:0/", "error: has a port that is not 1 to 65535"},
		{"http://a:65536/", "error: has a port that is not 1 to 65535"},
		{"http://a:+80/", "error: has a port that is not 1 to 65535"},
		{"http://a:80:80/", "error: has a port that is not 1 to 65535"},
		{"http://a:000080/", "error: has a port that is not 1 to 65535"},
		{"http://a?b", "error: must have a \"/\" after its host"},
		{"http://a#b", "error: must have a \"/\" after its host"},
		{"http://a\\b", "error: must have a \"/\" after its host"},
		{"http://a/b c", "error: has a character that must be written as %XX"},
		{"http://a/b#c", "error: has a character that must be written as %XX"},
		{"http://a/b\\c", "error: has a character that must be written as %XX"},
		{"http://a/\xc3\xa4", "error: has a character that must be written as %XX"},
		{"http://a/b\r\nHost: c", "error: has a character that must be written as %XX"},
		{"http://a/%4", "error: has a \"%\" that starts no %XX"},
		{"http://a/%", "error: has a \"%\" that starts no %XX"},
	};
	static const char *const dots[] = {
		"http://a/.",      "http://a/..",       "http://a/b/../c",   "http://a/b/./c",
		"http://a/b/..?c", "http://a/b/..;x/c", "http://a/%2e%2e/",  "http://a/.%2E/",
		"http://a/b%2fc",  "http://a/..%5Cb",   "http://a/b%2F..%2F"};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_str(parts(cases[i][0]), cases[i][1], "\"%.*s\"", (int)strcspn(cases[i][0], "\r"),
		       cases[i][0]);
	for (size_t i = 0; i < sizeof(dots) / sizeof(dots[0]); i++)
		like(parts(dots[i]), "error: must have no \".\"", "%s", dots[i]);
	{
		char text[600] = "http://";

		memset(text + 7, 'a', 300);
		is_str(parts(text), "error: has a host of over 255 bytes", "a long host");
	}
}

static void test_covers(void)
{
	ok(covers("http://a:9000/", "http://a:9000/x?y"), "all of a host");
	ok(covers("http://a", "http://A:80/x"), "case and the usual port do not matter");
	ok(covers("http://a/hook", "http://a/hook"), "the same");
	ok(covers("http://a/hook", "http://a/hook?x=1"), "with a query");
	ok(covers("http://a/hook", "http://a/hook/b"), "below it");
	ok(covers("http://a/hook/", "http://a/hook/"), "a folder");
	ok(covers("http://a/hook/", "http://a/hook/b"), "and in it");
	ok(!covers("http://a/hook/", "http://a/hook"), "not beside it");
	ok(!covers("http://a/hook", "http://a/hooks"), "a longer name is another");
	ok(!covers("http://a/hook", "http://a/Hook"), "a path has its case");
	ok(!covers("http://a/hook", "http://a/"), "nor above");
	ok(!covers("http://a/hook/", "http://a/hook/../x"), "nor by dots");
	ok(!covers("http://a/", "https://a/"), "another scheme");
	ok(!covers("http://a/", "http://a:81/"), "another port");
	ok(!covers("http://a:80/", "https://a:443/"), "both usual");
	ok(!covers("http://a.example/", "http://a.example.evil/"), "a longer host");
	ok(!covers("http://a.example/", "http://evil.a.example/"), "a host below");
	ok(!covers("http://a.example/", "http://a.example@evil/"), "a user name");
	ok(!covers("http://a.example/", "http://a.example./"), "a host with a dot behind");
	ok(!covers("http://127.0.0.1/", "http://127.1/"), "an address in other words");
	ok(!covers("http://localhost/", "http://127.0.0.1/"), "an address is not its name");
}

int main(void)
{
	test_parts();
	test_covers();
	done_testing();
	return tap_end();
}
