/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of addresses: which are right, and who is in them. */
#include "base/cidr.h"

#include "tap.h"

static const char *why(const char *text)
{
	static struct gantry_error err;
	struct cidr cidr;

	return cidr_parse(text, &cidr, &err) == 0 ? "right" : err.text;
}

static bool contains(const char *range, const char *address)
{
	struct cidr cidr;

	if (cidr_parse(range, &cidr, NULL) < 0)
		bail_out("%s is no range", range);
	return cidr_contains(&cidr, address);
}

static void test_in(void)
{
	static const struct {
		const char *range, *address;
		bool in;
	} rows[] = {
		{"192.0.2.7", "192.0.2.7", true},
		{"192.0.2.7", "192.0.2.8", false},
		{"10.0.0.0/8", "10.255.255.255", true},
		{"10.0.0.0/8", "11.0.0.0", false},
		{"10.1.2.128/25", "10.1.2.127", false},
		{"10.1.2.128/25", "10.1.2.128", true},
		{"0.0.0.0/0", "203.0.113.9", true},
		{"0.0.0.0/0", "::1", false},
		{"0.0.0.0/0", "::ffff:203.0.113.9", true},
		{"::/0", "203.0.113.9", true},
		{"2001:db8::/32", "2001:db8:ffff::1", true},
		{"2001:db8::/32", "2001:db9::", false},
		{"::1", "::1", true},
		{"::ffff:127.0.0.1", "127.0.0.1", true},
		{"127.0.0.0/8", "localhost", false},
		{"127.0.0.0/8", "", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		ok(contains(rows[i].range, rows[i].address) == rows[i].in, "%s is %sin %s",
		   rows[i].address, rows[i].in ? "" : "not ", rows[i].range);
}

static void test_wrong(void)
{
	static const char *const rows[][2] = {
		{"", "is no address"},
		{"localhost", "is no address"},
		{"10.0.0/8", "is no address"},
		{"10.0.0.0/33", "0 to 32 bits"},
		{"::/129", "0 to 128 bits"},
		{"10.0.0.0/", "0 to 32 bits"},
		{"10.0.0.0/-1", "0 to 32 bits"},
		{"10.0.0.0/8x", "0 to 32 bits"},
		{"10.0.0.1/8", "after the first 8 must be 0"},
		{"1111:2222:3333:4444:5555:6666:7777:8888:9999/8", "is no address"},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		 "is no address"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		like(why(rows[i][0]), rows[i][1], "\"%s\"", rows[i][0]);
	is_str(why("10.0.0.0/32"), "right", "all bits");
}

int main(void)
{
	test_in();
	test_wrong();
	ok(cidr_is_loopback("127.3.2.1") && cidr_is_loopback("::1") &&
		   !cidr_is_loopback("192.0.2.1") && !cidr_is_loopback("0.0.0.0"),
	   "what is loopback");
	ok(cidr_is_any("0.0.0.0") && cidr_is_any("::") && !cidr_is_any("::1") &&
		   !cidr_is_any("127.0.0.1"),
	   "what is every address of the host");
	done_testing();
	return tap_end();
}
