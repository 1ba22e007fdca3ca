// SPDX-License-Identifier: GPL-2.0-only
/*
 * Kerrighed's capabilities of processes.
 *
 * A module cannot add to struct task_struct, so they are kept in a table, by the address of that
 * struct: it stays the same when a process runs another program, even from one of its threads, and
 * it is free for another process only after sched_process_exit. A process that is not in the table
 * has the capabilities of the first process. Kernel threads are processes like others here.
 */
#define pr_fmt(fmt) "kerrighed: " fmt

#include <linux/cred.h>
#include <linux/hashtable.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>
#include <linux/version.h>
#include <trace/events/sched.h>

#include "module.h"

struct entry {
	struct hlist_node place;
	const struct task_struct *task;
	struct krg_capabilities sets;
};

static const struct krg_capabilities first = {
	.permitted = KRG_CAP_ALL,
	.effective = 1u << KRG_CAP_CHANGE_KERRIGHED_CAP,
	.inheritable_permitted = KRG_CAP_ALL,
	.inheritable_effective = 1u << KRG_CAP_CHANGE_KERRIGHED_CAP,
};

/* Probes of tracepoints must not sleep, on no kind of kernel. */
static DEFINE_RAW_SPINLOCK(lock);
static DEFINE_HASHTABLE(table, 10);
static atomic_t entries = ATOMIC_INIT(0);

static struct entry *find(const struct task_struct *task)
{
	struct entry *entry;

	hash_for_each_possible(table, entry, place, (unsigned long)task)
		if (entry->task == task)
			return entry;
	return NULL;
}

static struct krg_capabilities sets_of(const struct task_struct *task)
{
	const struct entry *entry = find(task);

	return entry ? entry->sets : first;
}

static struct entry *take_out(const struct task_struct *task)
{
	struct entry *entry = find(task);

	if (entry) {
		hash_del(&entry->place);
		atomic_dec(&entries);
	}
	return entry;
}

static void put_in(struct entry *entry, const struct task_struct *task,
		   const struct krg_capabilities *sets)
{
	entry->task = task;
	entry->sets = *sets;
	hash_add(table, &entry->place, (unsigned long)task);
	atomic_inc(&entries);
}

/* The child has what its parent lets it inherit. It does not run yet. */
static void on_fork(void *data, struct task_struct *parent, struct task_struct *child)
{
	struct krg_capabilities sets;
	struct entry *new, *old;
	bool is_first;

	if (!atomic_read(&entries))
		return;
	new = kmalloc(sizeof(*new), GFP_ATOMIC);
	raw_spin_lock(&lock);
	old = take_out(child);
	sets = sets_of(parent);
	sets.permitted = sets.inheritable_permitted;
	sets.effective = sets.inheritable_effective;
	is_first = !memcmp(&sets, &first, sizeof(sets));
	if (!is_first && new)
		put_in(new, child, &sets);
	raw_spin_unlock(&lock);
	kfree(old);
	if (is_first)
		kfree(new);
	else if (!new)
		pr_warn_ratelimited("no memory: process %d has the first process's capabilities\n",
				    child->pid);
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
static void on_exit(void *data, struct task_struct *task, bool group_dead)
#else
static void on_exit(void *data, struct task_struct *task)
#endif
{
	struct entry *entry;

	if (!atomic_read(&entries))
		return;
	raw_spin_lock(&lock);
	entry = take_out(task);
	raw_spin_unlock(&lock);
	kfree(entry);
}

/* The tracepoints are not exported by name, but any module may go through all that there are. */
static struct watched {
	const char *name;
	void *probe;
	struct tracepoint *point;
} watched[] = {
	{ "sched_process_fork", on_fork },
	{ "sched_process_exit", on_exit },
};

static void note_point(struct tracepoint *point, void *data)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(watched); i++)
		if (!strcmp(point->name, watched[i].name))
			watched[i].point = point;
}

static bool are_watched;

/**
 * krg_capabilities_start() - follow processes from now on
 *
 * Return: 0, also on a kernel without the tracepoints, where nobody has capabilities.
 */
int krg_capabilities_start(void)
{
	unsigned int i;
	int error;

	check_trace_callback_type_sched_process_fork(on_fork);
	check_trace_callback_type_sched_process_exit(on_exit);
	for_each_kernel_tracepoint(note_point, NULL);
	for (i = 0; i < ARRAY_SIZE(watched); i++) {
		if (!watched[i].point) {
			pr_warn("no tracepoint %s: no capabilities of processes\n",
				watched[i].name);
			return 0;
		}
	}
	for (i = 0; i < ARRAY_SIZE(watched); i++) {
		error = tracepoint_probe_register(watched[i].point, watched[i].probe, NULL);
		if (error)
			goto failed;
	}
	are_watched = true;
	return 0;

failed:
	while (i--)
		tracepoint_probe_unregister(watched[i].point, watched[i].probe, NULL);
	tracepoint_synchronize_unregister();
	return error;
}

/** krg_capabilities_stop() - follow processes no more, and forget all */
void krg_capabilities_stop(void)
{
	struct hlist_node *next;
	struct entry *entry;
	unsigned int i;

	if (!are_watched)
		return;
	for (i = 0; i < ARRAY_SIZE(watched); i++)
		tracepoint_probe_unregister(watched[i].point, watched[i].probe, NULL);
	tracepoint_synchronize_unregister();
	hash_for_each_safe(table, i, next, entry, place)
		kfree(entry);
}

/* A process by its id, 0 for whoever asks; to be called in a read section of RCU. */
static struct task_struct *task_of(pid_t pid)
{
	return pid ? pid_task(find_vpid(pid), PIDTYPE_PID) : current;
}

/**
 * krg_capabilities_get() - tell the capabilities of a process
 * @asked: which process; its sets
 *
 * Return: 0, -ESRCH, or -EOPNOTSUPP on a kernel without tracepoints.
 */
int krg_capabilities_get(struct krg_capabilities *asked)
{
	const struct task_struct *task;
	pid_t pid = asked->pid;

	if (!are_watched)
		return -EOPNOTSUPP;
	rcu_read_lock();
	task = task_of(pid);
	if (task) {
		raw_spin_lock(&lock);
		*asked = sets_of(task);
		raw_spin_unlock(&lock);
		asked->pid = pid;
	}
	rcu_read_unlock();
	return task ? 0 : -ESRCH;
}

static bool is_within(u32 set, u32 bounds)
{
	return !(set & ~bounds);
}

static bool is_coherent(const struct krg_capabilities *sets)
{
	return is_within(sets->permitted, KRG_CAP_ALL) &&
	       is_within(sets->inheritable_permitted, KRG_CAP_ALL) &&
	       is_within(sets->effective, sets->permitted) &&
	       is_within(sets->inheritable_effective, sets->inheritable_permitted);
}

/* Without CAP_SYS_ADMIN: for one's own processes, and never more than is permitted. */
static bool may_set(const struct task_struct *task, const struct krg_capabilities *wanted)
{
	struct krg_capabilities own = sets_of(current);
	struct krg_capabilities old = sets_of(task);

	return own.effective & 1u << KRG_CAP_CHANGE_KERRIGHED_CAP &&
	       uid_eq(__task_cred(task)->uid, current_uid()) &&
	       is_within(wanted->permitted, old.permitted) &&
	       is_within(wanted->inheritable_permitted, old.permitted);
}

static int set_locked(struct task_struct *task, const struct krg_capabilities *wanted,
		      bool is_admin, struct entry **entry)
{
	struct krg_capabilities sets = *wanted;
	struct entry *old;

	/* Whoever has this flag may have passed on_exit(), which takes our lock after it. */
	if (!task || task->flags & PF_EXITING)
		return -ESRCH;
	if (!is_admin && !may_set(task, wanted))
		return -EPERM;
	sets.pid = 0;
	old = take_out(task);
	put_in(*entry, task, &sets);
	*entry = old;
	return 0;
}

/**
 * krg_capabilities_set() - set the capabilities of a process
 * @wanted: which process, and its sets
 *
 * Return: 0; -EINVAL for sets that do not fit one another, -ESRCH, -EPERM, -ENOMEM; -EOPNOTSUPP on
 * a kernel without tracepoints.
 */
int krg_capabilities_set(const struct krg_capabilities *wanted)
{
	bool is_admin = capable(CAP_SYS_ADMIN);
	struct entry *entry;
	int error;

	if (!are_watched)
		return -EOPNOTSUPP;
	if (!is_coherent(wanted))
		return -EINVAL;
	entry = kmalloc(sizeof(*entry), GFP_KERNEL);
	if (!entry)
		return -ENOMEM;
	rcu_read_lock();
	raw_spin_lock(&lock);
	error = set_locked(task_of(wanted->pid), wanted, is_admin, &entry);
	raw_spin_unlock(&lock);
	rcu_read_unlock();
	kfree(entry);
	return error;
}
