// SPDX-License-Identifier: GPL-2.0-only
/*
 * The nodes' messages on Ethernet. What comes is looked at where it comes, and waits in a queue of
 * limited length; all else happens in one work queue, under one mutex.
 */
#define pr_fmt(fmt) "kerrighed: " fmt

#include <crypto/algapi.h>
#include <crypto/hash.h>
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/random.h>
#include <linux/ratelimit.h>
#include <linux/reboot.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "module.h"

#define QUEUE_MAX 1024

static DEFINE_MUTEX(lock);		/* of members */
static struct krg_members *members;
static char devices[KRG_DEVICES_MAX];
static struct crypto_shash *hmac;
static struct workqueue_struct *workers;
static struct sk_buff_head queue;
static atomic64_t counters[KRG_COUNTERS];
static DEFINE_RATELIMIT_STATE(foreign_limit, 60 * HZ, 1);
static DEFINE_RATELIMIT_STATE(forged_limit, 60 * HZ, 1);

static void count(enum krg_counter counter)
{
	atomic64_inc(&counters[counter]);
}

static u64 now(void)
{
	return ktime_to_ms(ktime_get());
}

static bool is_ours(const struct net_device *device)
{
	const char *name = devices;

	if (device->type != ARPHRD_ETHER || !(device->flags & IFF_UP))
		return false;
	while (*name) {
		size_t length = strcspn(name, ",");

		if (length == strlen(device->name) && !memcmp(name, device->name, length))
			return true;
		name += length + (name[length] == ',');
	}
	return !*devices;
}

static void send_on(struct net_device *device, const u8 *bytes, const u8 *address)
{
	struct sk_buff *skb;

	skb = alloc_skb(LL_RESERVED_SPACE(device) + KRG_MESSAGE_SIZE + device->needed_tailroom,
			GFP_ATOMIC);
	if (!skb)
		return;
	skb_reserve(skb, LL_RESERVED_SPACE(device));
	skb_reset_network_header(skb);
	skb_put_data(skb, bytes, KRG_MESSAGE_SIZE);
	skb->dev = device;
	skb->protocol = htons(KRG_ETHERTYPE);
	skb->priority = TC_PRIO_CONTROL;
	if (dev_hard_header(skb, device, KRG_ETHERTYPE, address, device->dev_addr, skb->len) < 0) {
		kfree_skb(skb);
		return;
	}
	if (dev_queue_xmit(skb) == NET_XMIT_SUCCESS)
		count(KRG_SENT);
}

static void do_send(void *context, const struct krg_message *message, const u8 *address)
{
	u8 bytes[KRG_MESSAGE_SIZE];
	struct net_device *device;

	krg_pack(message, bytes);
	if (crypto_shash_tfm_digest(hmac, bytes, KRG_MESSAGE_SIGNED, bytes + KRG_MESSAGE_SIGNED))
		return;
	rcu_read_lock();
	for_each_netdev_rcu(&init_net, device)
		if (is_ours(device))
			send_on(device, bytes, address ?: device->broadcast);
	rcu_read_unlock();
}

static u64 do_random(void *context)
{
	return get_random_u64();
}

static void do_event(void *context, enum krg_event event, u16 node)
{
	switch (event) {
	case KRG_EVENT_PRESENT:
		pr_info("node %u is present\n", node);
		break;
	case KRG_EVENT_LEFT:
		pr_info("node %u has left\n", node);
		break;
	case KRG_EVENT_FAILED:
		pr_warn("node %u is silent: taken as failed\n", node);
		break;
	case KRG_EVENT_ONLINE:
		pr_info("node %u is online\n", node);
		break;
	case KRG_EVENT_OFFLINE:
		pr_info("node %u is no longer online\n", node);
		break;
	case KRG_EVENT_CONFLICT:
		pr_err("another node has the id %u of this one; it has to stand aside\n", node);
		break;
	case KRG_EVENT_STOOD_DOWN:
		pr_err("another node has the id %u already; this one stands aside: load the module with another node_id\n",
		       node);
		break;
	case KRG_EVENT_DOUBLE:
		pr_err("two nodes have the id %u; the one that was here is believed\n", node);
		break;
	case KRG_EVENT_POWEROFF:
		pr_notice("the cluster is switched off\n");
		orderly_poweroff(true);
		break;
	case KRG_EVENT_REBOOT:
		pr_notice("the cluster starts again\n");
		orderly_reboot();
		break;
	}
}

static const struct krg_outside outside = {
	.send = do_send,
	.random = do_random,
	.event = do_event,
};

static bool is_signed(const u8 *bytes)
{
	u8 signature[KRG_SIGNATURE];

	return !crypto_shash_tfm_digest(hmac, bytes, KRG_MESSAGE_SIGNED, signature) &&
	       !crypto_memneq(signature, bytes + KRG_MESSAGE_SIGNED, KRG_SIGNATURE);
}

static void take_in(const struct sk_buff *skb)
{
	const u8 *address = eth_hdr(skb)->h_source;
	struct krg_message message;

	if (krg_unpack(skb->data, skb->len, members->session, &message) != KRG_GOOD)
		return;
	if (!is_signed(skb->data)) {
		count(KRG_COUNT_FORGED);
		if (__ratelimit(&forged_limit))
			pr_warn("%pM speaks for node %u of our session without our key: is %s the same there?\n",
				address, message.from, KRG_KEY_FILE);
		return;
	}
	count(KRG_RECEIVED);
	mutex_lock(&lock);
	krg_members_heard(members, &message, address, now());
	mutex_unlock(&lock);
}

static void take_in_all(struct work_struct *work)
{
	struct sk_buff *skb;

	while ((skb = skb_dequeue(&queue))) {
		take_in(skb);
		consume_skb(skb);
		cond_resched();
	}
}

static DECLARE_WORK(receiving, take_in_all);

/* Is it worth a place in the queue? Called wherever the network devices have their interrupts. */
static bool is_welcome(const struct sk_buff *skb)
{
	struct krg_message message;

	switch (krg_unpack(skb->data, skb->len, members->session, &message)) {
	case KRG_MALFORMED:
		count(KRG_COUNT_MALFORMED);
		return false;
	case KRG_FOREIGN:
		count(KRG_COUNT_FOREIGN);
		if (__ratelimit(&foreign_limit))
			pr_warn("%pM belongs to session %u, not to ours, which is %u: ignored\n",
				eth_hdr(skb)->h_source, message.session, members->session);
		return false;
	case KRG_GOOD:
		break;
	}
	if (skb_queue_len(&queue) < QUEUE_MAX)
		return true;
	count(KRG_COUNT_DROPPED);
	return false;
}

static int receive(struct sk_buff *skb, struct net_device *device, struct packet_type *type,
		   struct net_device *original)
{
	skb = skb_share_check(skb, GFP_ATOMIC);
	if (!skb)
		return NET_RX_DROP;
	if (skb->pkt_type == PACKET_OTHERHOST || skb->pkt_type == PACKET_LOOPBACK ||
	    !net_eq(dev_net(device), &init_net) || !is_ours(device) || skb_linearize(skb) ||
	    !is_welcome(skb)) {
		kfree_skb(skb);
		return NET_RX_DROP;
	}
	skb_queue_tail(&queue, skb);
	queue_work(workers, &receiving);
	return NET_RX_SUCCESS;
}

static struct packet_type ethernet = {
	.type = cpu_to_be16(KRG_ETHERTYPE),
	.func = receive,
};

static void tick(struct work_struct *work)
{
	mutex_lock(&lock);
	krg_members_tick(members, now());
	mutex_unlock(&lock);
	queue_delayed_work(workers, to_delayed_work(work), msecs_to_jiffies(KRG_TICK));
}

static DECLARE_DELAYED_WORK(ticking, tick);

static struct krg_members *members_of(const struct krg_identity *identity)
{
	struct krg_members *made = vzalloc(sizeof(*made));
	unsigned int node;

	if (!made)
		return NULL;
	made->self = identity->node;
	made->session = identity->session;
	made->nb_nodes_min = identity->nb_nodes_min;
	made->outside = &outside;
	for (node = 0; node < KRG_MAX_NODES; node++)
		made->peers[node].possible = krg_in_set(identity->listed, node);
	return made;
}

static int hmac_with(const struct krg_identity *identity)
{
	int error;

	hmac = crypto_alloc_shash("hmac(sha256)", 0, 0);
	if (IS_ERR(hmac)) {
		pr_err("this kernel has no hmac(sha256) (error %ld)\n", PTR_ERR(hmac));
		return PTR_ERR(hmac);
	}
	error = crypto_shash_setkey(hmac, identity->key, identity->key_length);
	if (error)
		crypto_free_shash(hmac);
	return error;
}

/**
 * krg_wire_start() - begin to speak with the other nodes
 * @identity: who this node is
 *
 * Return: 0 or an error.
 */
int krg_wire_start(const struct krg_identity *identity)
{
	int error = hmac_with(identity);

	if (error)
		return error;
	strscpy(devices, identity->devices, sizeof(devices));
	skb_queue_head_init(&queue);
	members = members_of(identity);
	workers = alloc_ordered_workqueue("kerrighed", WQ_HIGHPRI);
	if (!members || !workers) {
		if (workers)
			destroy_workqueue(workers);
		vfree(members);
		crypto_free_shash(hmac);
		return -ENOMEM;
	}
	mutex_lock(&lock);
	krg_members_start(members, now());
	mutex_unlock(&lock);
	dev_add_pack(&ethernet);
	queue_delayed_work(workers, &ticking, msecs_to_jiffies(KRG_TICK));
	return 0;
}

/** krg_wire_stop() - tell the others that this node goes, and be silent */
void krg_wire_stop(void)
{
	dev_remove_pack(&ethernet);	/* nothing is received after this */
	cancel_delayed_work_sync(&ticking);
	destroy_workqueue(workers);
	skb_queue_purge(&queue);
	mutex_lock(&lock);
	krg_members_leave(members);
	mutex_unlock(&lock);
	vfree(members);
	crypto_free_shash(hmac);
}

/**
 * krg_wire_nodes() - tell what is known of the nodes
 * @nodes: what is known
 */
void krg_wire_nodes(struct krg_node_table *nodes)
{
	unsigned int node;

	mutex_lock(&lock);
	nodes->self = members->self;
	nodes->session = members->session;
	nodes->nb_nodes_min = members->nb_nodes_min;
	nodes->self_state = members->state;
	for (node = 0; node < KRG_MAX_NODES; node++)
		nodes->state[node] = krg_members_state(members, node);
	mutex_unlock(&lock);
}

/**
 * krg_wire_order() - tell nodes to do something
 * @order: what, and which nodes
 *
 * Return: as krg_members_order().
 */
int krg_wire_order(const struct krg_order *order)
{
	int error;

	mutex_lock(&lock);
	error = krg_members_order(members, order, now());
	mutex_unlock(&lock);
	return error;
}

/**
 * krg_wire_counter() - tell how often something happened
 * @counter: what
 *
 * Return: the number.
 */
u64 krg_wire_counter(enum krg_counter counter)
{
	if (counter == KRG_COUNT_OLD)
		return READ_ONCE(members->old);
	return atomic64_read(&counters[counter]);
}

/**
 * krg_wire_devices() - tell which network devices are used
 *
 * Return: their names with commas between; empty for all of Ethernet.
 */
const char *krg_wire_devices(void)
{
	return devices;
}
