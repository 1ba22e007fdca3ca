// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who this node is: from the module's parameters; what they leave out, from /etc/kerrighed_nodes;
 * and the node's id, as a last resort, from the last byte of an IPv4 address.
 */
#define pr_fmt(fmt) "kerrighed: " fmt

#include <linux/inetdevice.h>
#include <linux/kernel_read_file.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uts.h>
#include <linux/utsname.h>
#include <linux/vmalloc.h>

#include "module.h"
#include "nodes_file.h"

#define UNSET -1

static int session_id = UNSET;
module_param(session_id, int, 0444);
MODULE_PARM_DESC(session_id, "1 to 9999, the same on all nodes");

static int node_id = UNSET;
module_param(node_id, int, 0444);
MODULE_PARM_DESC(node_id, "0 to 255, on each node another");

static bool autonodeid = true;
module_param(autonodeid, bool, 0444);
MODULE_PARM_DESC(autonodeid, "with no other source, take the last byte of the IPv4 address");

static int nb_nodes_min = UNSET;
module_param(nb_nodes_min, int, 0444);
MODULE_PARM_DESC(nb_nodes_min, "the cluster starts by itself when so many nodes are present");

static char *net_devices = "";
module_param(net_devices, charp, 0444);
MODULE_PARM_DESC(net_devices, "network devices to the other nodes, with commas (default: all)");

/* Read a file of at most so many bytes. Returns how many, and the bytes for vfree(). */
static ssize_t read_file(const char *path, size_t most, void **bytes)
{
	*bytes = NULL;
	return kernel_read_file_from_path(path, 0, bytes, most, NULL, READING_UNKNOWN);
}

/* What the machine is called now; /etc/hostname may be the same for all nodes of an image. */
static void host_name(char *name, size_t size)
{
	void *bytes;
	ssize_t length;

	strscpy(name, utsname()->nodename, size);
	if (strcmp(name, UTS_NODENAME) && strcmp(name, "localhost"))
		return;
	length = read_file("/etc/hostname", size - 1, &bytes);
	if (length > 0) {
		memcpy(name, bytes, length);
		name[length] = '\0';
		name[strcspn(name, " \t\n")] = '\0';
	}
	vfree(bytes);
}

static int read_nodes_file(struct krg_nodes_file *file)
{
	struct krg_fault fault;
	char host[__NEW_UTS_LEN + 1];
	void *bytes;
	ssize_t length = read_file(KRG_NODES_FILE, KRG_NODES_FILE_MAX, &bytes);
	int error;

	host_name(host, sizeof(host));
	if (length == -ENOENT || length == -EINVAL)	/* no such file, or an empty one */
		return krg_read_nodes("", 0, host, file, &fault);
	if (length < 0) {
		pr_err(KRG_NODES_FILE ": cannot be read, or is longer than %d bytes (error %zd)\n",
		       KRG_NODES_FILE_MAX, length);
		return length;
	}
	error = krg_read_nodes(bytes, length, host, file, &fault);
	vfree(bytes);
	if (error)
		pr_err(KRG_NODES_FILE " line %u: %s\n", fault.line, fault.reason);
	return error;
}

static int read_key(struct krg_identity *identity)
{
	void *bytes;
	ssize_t length = read_file(KRG_KEY_FILE, KRG_KEY_MAX, &bytes);

	if (length < 0)
		pr_err(KRG_KEY_FILE ": no key of the session (error %zd); it has to be the same on all nodes: see krgboot(8)\n",
		       length);
	if (length < 0)
		return length;
	memcpy(identity->key, bytes, length);
	memzero_explicit(bytes, length);
	vfree(bytes);
	while (length && identity->key[length - 1] == '\n')
		length--;
	identity->key_length = length;
	if (length >= KRG_KEY_MIN)
		return 0;
	pr_err(KRG_KEY_FILE ": a key has at least %d bytes\n", KRG_KEY_MIN);
	return -EINVAL;
}

static bool is_between(const char *name, int value, int low, int high)
{
	if (value == UNSET || (value >= low && value <= high))
		return true;
	pr_err("%s=%d: has to be a number from %d to %d\n", name, value, low, high);
	return false;
}

/* Is a device's name among those with commas between? */
static bool is_named(const char *names, const char *name)
{
	size_t length = strlen(name);

	while (*names) {
		size_t here = strcspn(names, ",");

		if (here == length && !memcmp(names, name, length))
			return true;
		names += here + (names[here] == ',');
	}
	return false;
}

/* The last byte of the first IPv4 address of the first device that we use, or UNSET. */
static int last_byte_of_address(const char *devices)
{
	struct net_device *device;
	int id = UNSET;

	rtnl_lock();
	for_each_netdev(&init_net, device) {
		const struct in_device *in = __in_dev_get_rtnl(device);
		const struct in_ifaddr *address = in ? rtnl_dereference(in->ifa_list) : NULL;

		if (!address || device->flags & IFF_LOOPBACK ||
		    (*devices && !is_named(devices, device->name)))
			continue;
		id = ntohl(address->ifa_local) & 0xff;
		pr_info("autonodeid: node %d by the address %pI4 of %s\n", id, &address->ifa_local,
			device->name);
		break;
	}
	rtnl_unlock();
	return id;
}

/* Put together what was said. Only what is missing in the parameters comes from the file. */
static int choose(struct krg_identity *identity, const struct krg_nodes_file *file)
{
	int session = session_id == UNSET ? file->session : session_id;
	int node = node_id == UNSET ? file->node : node_id;
	int least = nb_nodes_min == UNSET ? file->nbmin : nb_nodes_min;
	const char *devices = *net_devices ? net_devices : file->device;

	if (strscpy(identity->devices, devices, sizeof(identity->devices)) < 0) {
		pr_err("net_devices: longer than %d characters\n", KRG_DEVICES_MAX - 1);
		return -EINVAL;
	}
	if (node == UNSET && autonodeid)
		node = last_byte_of_address(identity->devices);
	if (session == UNSET || node == UNSET) {
		pr_err("incomplete session ID / node ID: no %s; give session_id= and node_id=, or write %s\n",
		       session == UNSET ? "session" : "node", KRG_NODES_FILE);
		return -EINVAL;
	}
	identity->session = session;
	identity->node = node;
	identity->nb_nodes_min = least == UNSET ? 0 : least;
	memcpy(identity->listed, file->listed, sizeof(identity->listed));
	return 0;
}

/**
 * krg_identity_find() - find out who this node is
 * @identity: what was found
 *
 * Return: 0, or an error after it was told in the kernel's log.
 */
int krg_identity_find(struct krg_identity *identity)
{
	struct krg_nodes_file *file;
	int error;

	if (!is_between("session_id", session_id, 1, KRG_MAX_SESSION) ||
	    !is_between("node_id", node_id, 0, KRG_MAX_NODES - 1) ||
	    !is_between("nb_nodes_min", nb_nodes_min, 1, KRG_MAX_NODES))
		return -EINVAL;
	file = kzalloc(sizeof(*file), GFP_KERNEL);
	if (!file)
		return -ENOMEM;
	error = read_nodes_file(file);
	if (!error)
		error = choose(identity, file);
	if (!error)
		error = read_key(identity);
	kfree(file);
	return error;
}
