// SPDX-License-Identifier: GPL-2.0-only
/* The way to the module. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "device.h"

static _Thread_local char last_error[256];

const char *krg_last_error(void)
{
	return last_error;
}

int krg_fail(int error, const char *format, ...)
{
	va_list words;

	va_start(words, format);
	vsnprintf(last_error, sizeof(last_error), format, words);
	va_end(words);
	errno = error;
	return -1;
}

static int explain(void)
{
	switch (errno) {
	case EPERM:
		return krg_fail(EPERM, "only root, or who has the capability for it, may do this");
	case ENODEV:
		return krg_fail(ENODEV, "one of these nodes is not present");
	case ENOTUNIQ:
		return krg_fail(ENOTUNIQ, "another node has the id of this one, which stands aside: load the module with another node_id");
	case ENOTTY:
		return krg_fail(ENOSYS, "the module does not know this request: update kerrighed-modules");
	case EOPNOTSUPP:
		return krg_fail(ENOSYS, "the module cannot do this on this kernel");
	default:
		return krg_fail(errno, "%s", strerror(errno));
	}
}

static int check_version(int file)
{
	const struct krg_version ours = { KRG_INTERFACE_MAJOR, KRG_INTERFACE_MINOR };
	struct krg_version module;

	if (ioctl(file, KRG_IOC_VERSION, &module))
		return krg_fail(EPROTO, KRG_DEVICE " is not that of the module kerrighed");
	if (module.major == ours.major && module.minor >= ours.minor)
		return 0;
	return krg_fail(EPROTO,
			"the module speaks version %u.%u, this library %u.%u: install kerrighed-modules and libkerrighed of one version, and load the module again",
			module.major, module.minor, ours.major, ours.minor);
}

int krg_ask(unsigned long request, void *argument)
{
	int file = open(KRG_DEVICE, O_RDWR | O_CLOEXEC);
	int failed, error;

	if (file < 0 && (errno == ENOENT || errno == ENXIO))
		return krg_fail(ENXIO, "the module kerrighed is not loaded: run krgboot start");
	if (file < 0)
		return krg_fail(errno, KRG_DEVICE ": %s", strerror(errno));
	failed = check_version(file);
	if (!failed && ioctl(file, request, argument))
		failed = explain();
	error = errno;
	close(file);
	errno = error;
	return failed;
}
