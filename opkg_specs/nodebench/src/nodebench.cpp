// SPDX-License-Identifier: GPL-2.0-or-later
#include <getopt.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

const char usage[] =
	"Usage: nodebench [OPTION]...\n"
	"Measure how fast this machine calculates and gets at its memory.\n"
	"\n"
	"  -t, --threads NUMBER   use so many threads; one for each processor otherwise\n"
	"  -s, --seconds SECONDS  measure each for so long; 0.5 otherwise\n"
	"  -m, --megabytes SIZE   use so much memory in each thread; 64 otherwise\n"
	"  -j, --json             print JSON\n"
	"  -h, --help             show this and exit\n"
	"  -V, --version          show the version and exit\n";

struct Settings {
	unsigned threads = std::max(1u, std::thread::hardware_concurrency());
	double seconds = 0.5;
	std::size_t megabytes = 0;
	bool json = false;
};

// Keeps what a compiler could see to be of no use.
volatile double sink;

// What one thread does until `stop` is set; how much of it.
using Work = std::function<double(const std::atomic<bool> &stop)>;

// Multiplications and additions of numbers that depend on one another only in eight lines.
double calculate(const std::atomic<bool> &stop)
{
	constexpr int lines = 8, steps = 4096;
	double values[lines] = {1, 2, 3, 4, 5, 6, 7, 8}, done = 0;

	while (!stop) {
		for (int step = 0; step < steps; step++)
#pragma GCC unroll 8
			for (double &value : values)
				value = value * 0.999999 + 0.000001;
		done += 2.0 * lines * steps;
	}
	for (double value : values)
		sink = value;
	return done;
}

struct Fields {
	std::vector<double> a, b, c;
};

// a = b + 3 c, as STREAM's triad does; bytes that are read and written.
double go_through(Fields &fields, const std::atomic<bool> &stop)
{
	auto &[a, b, c] = fields;
	double done = 0;

	while (!stop) {
		for (std::size_t i = 0; i < a.size(); i++)
			a[i] = b[i] + 3 * c[i];
		sink = a[a.size() / 2];
		done += 3.0 * sizeof(double) * a.size();
	}
	return done;
}

// Work of all threads at the same time; how much of it is done in a second.
double rate(const Settings &settings, const std::function<Work()> &prepare)
{
	std::atomic<bool> stop{false}, go{false};
	std::atomic<unsigned> ready{0};
	std::vector<double> done(settings.threads);
	std::vector<std::thread> threads;

	for (unsigned number = 0; number < settings.threads; number++)
		threads.emplace_back([&, number] {
			Work work = prepare();
			ready++;
			while (!go)
				std::this_thread::yield();
			done[number] = work(stop);
		});
	while (ready < settings.threads)
		std::this_thread::yield();
	const auto start = Clock::now();
	go = true;
	std::this_thread::sleep_for(std::chrono::duration<double>(settings.seconds));
	stop = true;
	for (std::thread &thread : threads)
		thread.join();
	const std::chrono::duration<double> took = Clock::now() - start;
	double sum = 0;
	for (double each : done)
		sum += each;
	return sum / took.count();
}

[[noreturn]] void refuse(const char *option, const char *value)
{
	std::fprintf(stderr, "nodebench: --%s %s: this is no such number, or out of bounds\n",
		     option, value);
	std::exit(2);
}

double number(const char *option, const char *value, double least, double most)
{
	char *end;
	const double found = std::strtod(value, &end);

	if (end == value || *end || !(found >= least && found <= most))
		refuse(option, value);
	return found;
}

Settings read(int count, char **words)
{
	static const option options[] = {
		{"threads", required_argument, nullptr, 't'},
		{"seconds", required_argument, nullptr, 's'},
		{"megabytes", required_argument, nullptr, 'm'},
		{"json", no_argument, nullptr, 'j'},
		{"help", no_argument, nullptr, 'h'},
		{"version", no_argument, nullptr, 'V'},
		{nullptr, 0, nullptr, 0},
	};
	Settings settings;
	int word;

	while ((word = getopt_long(count, words, "t:s:m:jhV", options, nullptr)) != -1) {
		switch (word) {
		case 't':
			settings.threads = static_cast<unsigned>(number("threads", optarg, 1, 4096));
			break;
		case 's':
			settings.seconds = number("seconds", optarg, 0.01, 3600);
			break;
		case 'm':
			settings.megabytes =
				static_cast<std::size_t>(number("megabytes", optarg, 1, 65536));
			break;
		case 'j':
			settings.json = true;
			break;
		case 'h':
			std::fputs(usage, stdout);
			std::exit(0);
		case 'V':
			std::puts("nodebench " VERSION);
			std::exit(0);
		default:
			std::exit(2);
		}
	}
	if (optind < count) {
		std::fputs(usage, stderr);
		std::exit(2);
	}
	// Half of the machine's memory is for others.
	const std::size_t most =
		static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) / 2 *
		static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) / 1000000 / settings.threads;
	if (settings.megabytes > most) {
		std::fprintf(stderr, "nodebench: %u threads can have %zu MB each, no more\n",
			     settings.threads, most);
		std::exit(2);
	}
	if (!settings.megabytes)
		settings.megabytes = std::clamp<std::size_t>(most, 1, 64);
	return settings;
}

} // namespace

int main(int count, char **words)
{
	const Settings settings = read(count, words);
	const std::size_t length = settings.megabytes * 1000000 / (3 * sizeof(double));
	const double flops = rate(settings, [] { return Work(calculate); });
	// The memory of a thread is that of the processor that first writes to it.
	const double bytes = rate(settings, [length] {
		const auto fields = std::make_shared<Fields>(
			Fields{std::vector<double>(length, 1), std::vector<double>(length, 2),
			       std::vector<double>(length, 3)});
		return Work([fields](const std::atomic<bool> &stop) {
			return go_through(*fields, stop);
		});
	});
	char host[256] = "";
	gethostname(host, sizeof(host) - 1);
	const char *line = settings.json ? "{\"host\": \"%s\", \"threads\": %u, \"gflops\": %.3f, "
					   "\"memory_gb_per_s\": %.3f}\n"
					 : "%s: %u threads, %.2f GFLOP/s, memory %.2f GB/s\n";
	std::printf(line, host, settings.threads, flops / 1e9, bytes / 1e9);
	return std::fflush(stdout) ? 1 : 0;
}
