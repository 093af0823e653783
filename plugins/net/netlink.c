/* SPDX-License-Identifier: Apache-2.0 */
#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES 32768

struct netlink {
	struct mnl_socket *socket; /* owned */
	unsigned sequence;
	char request[4096];
	char answer[BUFFER_BYTES];
};

/* --- life ---------------------------------------------------------------------------------------- */

/* A socket stays in the namespace in which it was opened; the thread goes back. */
static struct mnl_socket *open_in(const char *namespace, int *ret_code)
{
	int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int other = open(namespace, O_RDONLY | O_CLOEXEC);
	struct mnl_socket *socket = NULL;

	if (own < 0 || other < 0 || setns(other, CLONE_NEWNET) < 0) {
		*ret_code = -errno;
	} else {
		socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
		*ret_code = -errno;
		if (setns(own, CLONE_NEWNET) < 0)
			abort(); /* a thread of the pool must not stay in a container */
	}
	if (own >= 0)
		close(own);
	if (other >= 0)
		close(other);
	return socket;
}

int netlink_open(const char *namespace, struct netlink **ret)
{
	struct netlink *netlink = calloc(1, sizeof(*netlink));
	int code;

	if (!netlink)
		return -ENOMEM;
	if (namespace) {
		netlink->socket = open_in(namespace, &code);
	} else {
		netlink->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
		code = -errno;
	}
	if (netlink->socket && mnl_socket_bind(netlink->socket, 0, MNL_SOCKET_AUTOPID) == 0) {
		*ret = netlink;
		return 0;
	}
	if (netlink->socket)
		code = -errno;
	netlink_close(netlink);
	return code;
}

void netlink_close(struct netlink *netlink)
{
	if (!netlink)
		return;
	if (netlink->socket)
		mnl_socket_close(netlink->socket);
	free(netlink);
}

/* --- one exchange -------------------------------------------------------------------------------- */

static struct nlmsghdr *begin(struct netlink *netlink, int type, int flags)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(netlink->request);

	message->nlmsg_type = (uint16_t)type;
	message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	message->nlmsg_seq = ++netlink->sequence;
	return message;
}

static int exchange(struct netlink *netlink, struct nlmsghdr *message, mnl_cb_t fn, void *arg)
{
	unsigned port = mnl_socket_get_portid(netlink->socket);
	ssize_t length;
	int more;

	if (mnl_socket_sendto(netlink->socket, message, message->nlmsg_len) < 0)
		return -errno;
	do {
		length = mnl_socket_recvfrom(netlink->socket, netlink->answer,
					     sizeof(netlink->answer));
		if (length < 0)
			return -errno;
		more = mnl_cb_run(netlink->answer, (size_t)length, netlink->sequence, port, fn,
				  arg);
	} while (more > 0);
	return more < 0 ? -errno : 0;
}

static int change(struct netlink *netlink, struct nlmsghdr *message)
{
	message->nlmsg_flags |= NLM_F_ACK;
	return exchange(netlink, message, NULL, NULL);
}

/* --- links --------------------------------------------------------------------------------------- */

static void read_kind(const struct nlattr *info, struct netlink_link *link)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, info)
	{
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
			snprintf(link->kind, sizeof(link->kind), "%s", mnl_attr_get_str(attr));
	}
}

static void read_link(const struct nlmsghdr *message, struct netlink_link *link)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;
	bool elsewhere = false;

	*link = (struct netlink_link){
		.index = info->ifi_index,
		.up = info->ifi_flags & IFF_UP,
	};
	mnl_attr_for_each(attr, message, sizeof(*info))
	{
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME:
			snprintf(link->name, sizeof(link->name), "%s", mnl_attr_get_str(attr));
			break;
		case IFLA_IFALIAS:
			snprintf(link->alias, sizeof(link->alias), "%s", mnl_attr_get_str(attr));
			break;
		case IFLA_MTU:
			link->mtu = mnl_attr_get_u32(attr);
			break;
		case IFLA_MASTER:
			link->master = (int)mnl_attr_get_u32(attr);
			break;
		case IFLA_LINK:
			link->peer = (int)mnl_attr_get_u32(attr);
			break;
		case IFLA_LINK_NETNSID:
			elsewhere = true;
			break;
		case IFLA_ADDRESS:
			if (mnl_attr_get_payload_len(attr) == 6)
				memcpy(link->mac, mnl_attr_get_payload(attr), 6);
			break;
		case IFLA_LINKINFO:
			read_kind(attr, link);
			break;
		}
	}
	link->peer_is_here = link->peer && !elsewhere;
}

static int on_found(const struct nlmsghdr *message, void *arg)
{
	read_link(message, arg);
	return MNL_CB_OK;
}

int netlink_find(struct netlink *netlink, const char *name, struct netlink_link *ret_link)
{
	struct nlmsghdr *message = begin(netlink, RTM_GETLINK, NLM_F_ACK);

	mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(message, IFLA_IFNAME, name);
	return exchange(netlink, message, on_found, ret_link);
}

struct walk {
	bool (*fn)(void *arg, const struct netlink_link *link);
	void *arg;
	bool over;
};

static int on_link(const struct nlmsghdr *message, void *arg)
{
	struct walk *walk = arg;
	struct netlink_link link;

	read_link(message, &link);
	walk->over = walk->over || !walk->fn(walk->arg, &link);
	return MNL_CB_OK; /* the rest of the answer has to be read as well */
}

int netlink_links(struct netlink *netlink, bool (*fn)(void *arg, const struct netlink_link *link),
		  void *arg)
{
	struct nlmsghdr *message = begin(netlink, RTM_GETLINK, NLM_F_DUMP);
	struct walk walk = {fn, arg, false};

	mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
	return exchange(netlink, message, on_link, &walk);
}

int netlink_add_veth(struct netlink *netlink, const char *name, const char *peer, uint32_t mtu)
{
	struct nlmsghdr *message = begin(netlink, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *info, *data, *other;

	mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(message, IFLA_IFNAME, name);
	mnl_attr_put_u32(message, IFLA_MTU, mtu);
	info = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
	other = mnl_attr_nest_start(message, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(message, IFLA_IFNAME, peer);
	mnl_attr_put_u32(message, IFLA_MTU, mtu);
	mnl_attr_nest_end(message, other);
	mnl_attr_nest_end(message, data);
	mnl_attr_nest_end(message, info);
	return change(netlink, message);
}

int netlink_add_bridge(struct netlink *netlink, const char *name)
{
	struct nlmsghdr *message = begin(netlink, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *info;

	mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(message, IFLA_IFNAME, name);
	info = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(message, info);
	return change(netlink, message);
}

int netlink_remove(struct netlink *netlink, int index)
{
	struct nlmsghdr *message = begin(netlink, RTM_DELLINK, 0);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->ifi_index = index;
	return change(netlink, message);
}

int netlink_change(struct netlink *netlink, int index, const struct netlink_change *asked)
{
	struct nlmsghdr *message = begin(netlink, RTM_NEWLINK, 0);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));

	info->ifi_index = index;
	if (asked->up) {
		info->ifi_flags = IFF_UP;
		info->ifi_change = IFF_UP;
	}
	if (asked->mac)
		mnl_attr_put(message, IFLA_ADDRESS, 6, asked->mac);
	if (asked->mtu)
		mnl_attr_put_u32(message, IFLA_MTU, asked->mtu);
	if (asked->master >= 0)
		mnl_attr_put_u32(message, IFLA_MASTER, (uint32_t)asked->master);
	if (asked->alias)
		mnl_attr_put_strz(message, IFLA_IFALIAS, asked->alias);
	return change(netlink, message);
}

/* --- addresses and routes -------------------------------------------------------------------------- */

static size_t size_of(int family)
{
	return family == AF_INET ? 4 : 16;
}

int netlink_add_address(struct netlink *netlink, int index, const struct netlink_address *address)
{
	struct nlmsghdr *message = begin(netlink, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	uint32_t last;
	int code;

	head->ifa_family = (uint8_t)address->family;
	head->ifa_prefixlen = (uint8_t)address->bits;
	head->ifa_index = (uint32_t)index;
	if (address->family == AF_INET6)
		head->ifa_flags = IFA_F_NODAD; /* as the engine does; the address is the port's */
	mnl_attr_put(message, IFA_LOCAL, size_of(address->family), address->bytes);
	mnl_attr_put(message, IFA_ADDRESS, size_of(address->family), address->bytes);
	if (address->family == AF_INET && address->bits < 31) {
		memcpy(&last, address->bytes, sizeof(last));
		last |= htonl(address->bits ? UINT32_MAX >> address->bits : UINT32_MAX);
		mnl_attr_put_u32(message, IFA_BROADCAST, last);
	}
	code = change(netlink, message);
	return code == -EEXIST ? 0 : code;
}

int netlink_add_route(struct netlink *netlink, int index, const struct netlink_address *to,
		      const struct netlink_address *hop)
{
	struct nlmsghdr *message = begin(netlink, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	struct rtmsg *head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	int code;

	head->rtm_family = (uint8_t)to->family;
	head->rtm_dst_len = (uint8_t)to->bits;
	head->rtm_table = RT_TABLE_MAIN;
	head->rtm_protocol = RTPROT_STATIC;
	head->rtm_scope = hop ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	head->rtm_type = RTN_UNICAST;
	if (to->bits)
		mnl_attr_put(message, RTA_DST, size_of(to->family), to->bytes);
	if (hop)
		mnl_attr_put(message, RTA_GATEWAY, size_of(hop->family), hop->bytes);
	mnl_attr_put_u32(message, RTA_OIF, (uint32_t)index);
	code = change(netlink, message);
	return code == -EEXIST ? 0 : code;
}

struct look {
	int index;
	const struct netlink_address *address, *hop;
	bool found;
};

static int on_address(const struct nlmsghdr *message, void *arg)
{
	const struct ifaddrmsg *head = mnl_nlmsg_get_payload(message);
	struct look *look = arg;
	const struct nlattr *attr, *local = NULL;

	mnl_attr_for_each(attr, message, sizeof(*head))
	{
		int type = mnl_attr_get_type(attr);

		if (type == IFA_LOCAL || (type == IFA_ADDRESS && !local))
			local = attr;
	}
	if (local && (int)head->ifa_index == look->index &&
	    head->ifa_family == look->address->family &&
	    head->ifa_prefixlen == look->address->bits &&
	    memcmp(mnl_attr_get_payload(local), look->address->bytes,
		   size_of(look->address->family)) == 0)
		look->found = true;
	return MNL_CB_OK;
}

bool netlink_has_address(struct netlink *netlink, int index, const struct netlink_address *address)
{
	struct nlmsghdr *message = begin(netlink, RTM_GETADDR, NLM_F_DUMP);
	struct ifaddrmsg *head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	struct look look = {index, address, NULL, false};

	head->ifa_family = (uint8_t)address->family;
	return exchange(netlink, message, on_address, &look) == 0 && look.found;
}

static int on_route(const struct nlmsghdr *message, void *arg)
{
	const struct rtmsg *head = mnl_nlmsg_get_payload(message);
	static const unsigned char zero[16];
	struct look *look = arg;
	size_t size = size_of(look->address->family);
	const unsigned char *to = zero, *hop = zero;
	const struct nlattr *attr;
	int index = 0;

	mnl_attr_for_each(attr, message, sizeof(*head))
	{
		int type = mnl_attr_get_type(attr);

		if (type == RTA_DST)
			to = mnl_attr_get_payload(attr);
		else if (type == RTA_GATEWAY)
			hop = mnl_attr_get_payload(attr);
		else if (type == RTA_OIF)
			index = (int)mnl_attr_get_u32(attr);
	}
	if (head->rtm_family == look->address->family && head->rtm_type == RTN_UNICAST &&
	    head->rtm_dst_len == look->address->bits && (!look->index || index == look->index) &&
	    memcmp(to, look->address->bytes, size) == 0 &&
	    (!look->hop || memcmp(hop, look->hop->bytes, size) == 0))
		look->found = true;
	return MNL_CB_OK;
}

bool netlink_has_route(struct netlink *netlink, int index, const struct netlink_address *to,
		       const struct netlink_address *hop)
{
	struct nlmsghdr *message = begin(netlink, RTM_GETROUTE, NLM_F_DUMP);
	struct rtmsg *head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	struct look look = {index, to, hop, false};

	head->rtm_family = (uint8_t)to->family;
	return exchange(netlink, message, on_route, &look) == 0 && look.found;
}

/* --- reading ------------------------------------------------------------------------------------- */

bool netlink_read_address(const char *text, int family, struct netlink_address *ret)
{
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN];

	*ret = (struct netlink_address){.family = family};
	if (strcmp(text, "default") == 0)
		return true;
	snprintf(address, sizeof(address), "%.*s", slash ? (int)(slash - text) : 45, text);
	ret->family = strchr(address, ':') ? AF_INET6 : AF_INET;
	ret->bits = slash ? atoi(slash + 1) : (int)(8 * size_of(ret->family));
	return inet_pton(ret->family, address, ret->bytes) == 1;
}

/* The network that the address is in. */
static struct netlink_address network_of(const struct netlink_address *address)
{
	struct netlink_address network = *address;

	for (int at = network.bits; at < 128; at++)
		network.bytes[at / 8] &= (unsigned char)~(0x80 >> at % 8);
	return network;
}

bool netlink_overlap(const struct netlink_address *a, const struct netlink_address *b)
{
	struct netlink_address wide = *a, narrow = *b;

	if (a->bits > b->bits) {
		wide = *b;
		narrow = *a;
	}
	narrow.bits = wide.bits;
	wide = network_of(&wide);
	narrow = network_of(&narrow);
	return wide.family == narrow.family && memcmp(wide.bytes, narrow.bytes, 16) == 0;
}
