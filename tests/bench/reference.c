/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The physical limit of the benchmark: the daemon's work done in C, compiled and run beside it.
 *
 * Same work: open each file, read it, Adler-32 (libdeflate), CRC32C (ISA-L) where asked for, labels, and one
 * system call for each tape block and mark, as a drive demands; the tape is a SIMH image that is overwritten.
 * Retrieve: read each record, check the sum, write under a temporary name, rename. No database, no report.
 *
 *   reference archive   IMAGE LIST PASSES PROTECT        one loop over one buffer
 *   reference archive2  IMAGE LIST PASSES PROTECT        a reader thread, a writer thread, SLOTS buffers
 *   reference paced     IMAGE LIST PASSES PROTECT        the same; the drive takes size/rate for each block
 *   reference retrieve  IMAGE DIRECTORY PASSES PROTECT   one loop
 *   reference retrieve2 IMAGE DIRECTORY PASSES PROTECT   a reader thread, a writer thread
 *
 * In the environment: WRAP_AT, bytes after which the image is written again from its beginning, so that a long
 * run needs little memory; RATE_MB, the paced drive's speed; SOURCE_NS, what each read of a source takes; FRESH,
 * the image is truncated before each pass, as a tape grows while it is written.
 * LIST has one path a line. Prints "seconds bytes files cpu_seconds" for the best pass.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <libdeflate.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 262144, SLOTS = 8, STRIDE = BLOCK + 4096, LABEL = 80 };

static int image = -1;
static off_t at;
static int protect;
static off_t wrap_at = (off_t)1 << 62;
static double rate;
static long source_ns;
static char *memory;
static uint64_t moved_bytes, moved_files;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static double cpu(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static void sleep_until(double when)
{
	struct timespec t = {(time_t)when, (long)((when - (time_t)when) * 1e9)};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* --- the drive ------------------------------------------------------------------------------------------ */
static void put_block(char *data, uint32_t size)
{
	if (protect) {
		uint32_t crc = ~crc32_iscsi((unsigned char *)data, size, 0xFFFFFFFF);
		memcpy(data + size, &crc, 4);
		size += 4;
	}
	double done_at = rate > 0 ? now() + size / rate : 0;
	struct iovec v[3] = {{&size, 4}, {data, size + (size & 1)}, {&size, 4}};
	if (pwritev(image, v, 3, at) < 0)
		die("pwritev");
	at += size + (size & 1) + 8;
	if (at > wrap_at)
		at = 0;
	if (rate > 0)
		sleep_until(done_at);
}

static void put_mark(void)
{
	static const uint32_t mark = 0;
	if (pwrite(image, &mark, 4, at) < 0)
		die("pwrite");
	at += 4;
}

static const char first_label[LABEL + 1] =
	"HDR100000000000000000V0000100010000000100026327026327 000000CTA 5.11.20.0       ";
static const char second_label[LABEL + 1] =
	"HDR2F0000000000                                   00                            ";
static const char user_label[LABEL + 1] =
	"UHL1000000000000002621440000262144SITE    HOST      VENDOR  MODEL   SERIAL      ";

static void put_number(char *field, uint64_t value, int base, int width)
{
	while (width-- > 0) {
		field[width] = "0123456789ABCDEF"[value % base];
		value /= base;
	}
}

static void put_labels(const char *form, uint64_t id, uint64_t fseq, uint64_t blocks)
{
	char label[LABEL + 8];
	memcpy(label, first_label, LABEL);
	memcpy(label, form, 3);
	put_number(label + 4, id, 16, 17);
	put_number(label + 31, fseq % 10000, 10, 4);
	put_number(label + 54, blocks % 1000000, 10, 6);
	put_block(label, LABEL);
	memcpy(label, second_label, LABEL);
	memcpy(label, form, 3);
	put_block(label, LABEL);
	memcpy(label, user_label, LABEL);
	label[1] = form[0] == 'H' ? 'H' : 'T';
	put_number(label + 4, fseq, 10, 10);
	put_block(label, LABEL);
	put_mark();
}

/* --- the list ------------------------------------------------------------------------------------------- */
static char **paths;
static size_t path_count;

static void load_list(const char *name)
{
	FILE *f = fopen(name, "r");
	char *line = NULL;
	size_t room = 0;
	ssize_t got;
	if (!f)
		die(name);
	while ((got = getline(&line, &room, f)) > 0) {
		if (line[got - 1] == '\n')
			line[got - 1] = 0;
		paths = realloc(paths, (path_count + 1) * sizeof *paths);
		paths[path_count++] = strdup(line);
	}
	fclose(f);
}

static int open_source(const char *path, uint64_t *size)
{
	struct stat s;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &s) < 0)
		die(path);
	*size = s.st_size;
	return fd;
}

static uint32_t read_block(int fd, char *slot, uint32_t sum, ssize_t *got)
{
	if (source_ns)
		sleep_until(now() + source_ns * 1e-9);
	*got = read(fd, slot, BLOCK);
	if (*got <= 0)
		die("read");
	return libdeflate_adler32(sum, slot, *got);
}

/* --- archive -------------------------------------------------------------------------------------------- */
static void archive(void)
{
	for (size_t n = 0; n < path_count; n++) {
		uint64_t left, blocks = 0;
		int fd = open_source(paths[n], &left);
		uint32_t sum = 1;
		ssize_t got;
		put_labels("HDR", n + 1, n + 1, 0);
		for (; left; left -= got, blocks++) {
			sum = read_block(fd, memory, sum, &got);
			put_block(memory, got);
			moved_bytes += got;
		}
		put_mark();
		put_labels("EOF", n + 1, n + 1, blocks);
		close(fd);
		moved_files++;
	}
}

static sem_t empty_slots, full_slots;
static struct { ssize_t size; int first, last; } ring[SLOTS];

static void *read_ahead(void *unused)
{
	unsigned slot = 0;
	for (size_t n = 0; n < path_count; n++) {
		uint64_t left;
		int fd = open_source(paths[n], &left), first = 1;
		uint32_t sum = 1;
		ssize_t got;
		for (; left; left -= got, first = 0, slot = (slot + 1) % SLOTS) {
			sem_wait(&empty_slots);
			sum = read_block(fd, memory + slot * STRIDE, sum, &got);
			ring[slot].size = got;
			ring[slot].first = first;
			ring[slot].last = left == (uint64_t)got;
			sem_post(&full_slots);
		}
		close(fd);
	}
	return unused;
}

static void archive2(void)
{
	pthread_t reader;
	uint64_t blocks = 0;
	unsigned slot = 0;
	sem_init(&empty_slots, 0, SLOTS);
	sem_init(&full_slots, 0, 0);
	pthread_create(&reader, NULL, read_ahead, NULL);
	for (size_t n = 0; n < path_count; slot = (slot + 1) % SLOTS) {
		sem_wait(&full_slots);
		if (ring[slot].first) {
			put_labels("HDR", n + 1, n + 1, 0);
			blocks = 0;
		}
		ssize_t size = ring[slot].size;
		put_block(memory + slot * STRIDE, size);
		blocks++;
		moved_bytes += size;
		if (ring[slot].last) {
			put_mark();
			put_labels("EOF", n + 1, n + 1, blocks);
			moved_files++;
			n++;
		}
		sem_post(&empty_slots);
	}
	pthread_join(reader, NULL);
}

/* --- retrieve ------------------------------------------------------------------------------------------- */
static const char *directory;
static off_t image_size;

/* Length of the record at the head: it comes with the record before it, so that one call reads one record. */
static uint32_t next_size;

static void rewind_image(void)
{
	at = 0;
	if (pread(image, &next_size, 4, 0) != 4)
		die("image");
}

/* One record into data, which has room for it and its CRC; its payload size, 0 for a mark. */
static uint32_t get_block(char *data)
{
	uint32_t size = next_size, tail[2] = {0, 0};
	if (size == 0) {
		if (pread(image, tail, 8, at) < 4)
			die("image");
		at += 4;
		next_size = tail[1];
		return 0;
	}
	struct iovec v[2] = {{data, size + (size & 1)}, {tail, 8}};
	if (preadv(image, v, 2, at + 4) < (ssize_t)size + 4 || tail[0] != size)
		die("image");
	at += size + (size & 1) + 8;
	next_size = tail[1];
	if (protect) {
		uint32_t crc;
		size -= 4;
		memcpy(&crc, data + size, 4);
		if (crc != (uint32_t)~crc32_iscsi((unsigned char *)data, size, 0xFFFFFFFF))
			die("crc");
	}
	return size;
}

static void get_labels(void)
{
	char label[LABEL + 8];
	while (get_block(label))
		;
}

static int create(char *name, size_t room)
{
	snprintf(name, room, "%s/.reference-%lu", directory, moved_files);
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (fd < 0)
		die(name);
	return fd;
}

static void give_name(int fd, const char *temporary)
{
	char name[4096];
	snprintf(name, sizeof name, "%s/%lu", directory, moved_files);
	if (close(fd) < 0 || rename(temporary, name) < 0)
		die(name);
	moved_files++;
}

static void retrieve(void)
{
	char temporary[4096], *data = memory;
	while (at < image_size) {
		uint32_t size, sum = 1;
		get_labels();
		int fd = create(temporary, sizeof temporary);
		while ((size = get_block(data))) {
			sum = libdeflate_adler32(sum, data, size);
			if (write(fd, data, size) != (ssize_t)size)
				die("write");
			moved_bytes += size;
		}
		get_labels();
		give_name(fd, temporary);
	}
}

static void *write_behind(void *unused)
{
	char temporary[4096];
	unsigned slot = 0;
	int fd = -1;
	uint32_t sum = 1;
	for (;; slot = (slot + 1) % SLOTS) {
		sem_wait(&full_slots);
		if (ring[slot].size < 0)
			return unused;
		if (ring[slot].first) {
			fd = create(temporary, sizeof temporary);
			sum = 1;
		}
		char *data = memory + slot * STRIDE;
		sum = libdeflate_adler32(sum, data, ring[slot].size);
		if (write(fd, data, ring[slot].size) != ring[slot].size)
			die("write");
		moved_bytes += ring[slot].size;
		if (ring[slot].last)
			give_name(fd, temporary);
		sem_post(&empty_slots);
	}
}

static void retrieve2(void)
{
	pthread_t writer;
	unsigned slot = 0;
	sem_init(&empty_slots, 0, SLOTS);
	sem_init(&full_slots, 0, 0);
	pthread_create(&writer, NULL, write_behind, NULL);
	sem_wait(&empty_slots);
	while (at < image_size) {
		int first = 1;
		get_labels();
		uint32_t size = get_block(memory + slot * STRIDE);
		while (size) {
			unsigned next = (slot + 1) % SLOTS;
			sem_wait(&empty_slots);
			uint32_t following = get_block(memory + next * STRIDE);
			ring[slot].size = size;
			ring[slot].first = first;
			ring[slot].last = following == 0;
			sem_post(&full_slots);
			first = 0;
			slot = next;
			size = following;
		}
		get_labels();
	}
	ring[slot].size = -1;
	sem_post(&full_slots);
	pthread_join(writer, NULL);
}

int main(int argc, char **argv)
{
	if (argc != 6)
		return 64;
	const char *what = argv[1];
	int passes = 1, reading = !strncmp(what, "retrieve", 8);
	protect = atoi(argv[5]);
	memory = mmap(NULL, (SLOTS + 1) * STRIDE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		      -1, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	prctl(PR_SET_TIMERSLACK, 1000UL);
	if (!strcmp(what, "paced"))
		rate = atof(getenv("RATE_MB")) * 1e6;
	if (getenv("SOURCE_NS"))
		source_ns = atol(getenv("SOURCE_NS"));
	if (getenv("WRAP_AT"))
		wrap_at = atoll(getenv("WRAP_AT"));
	image = open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (image < 0)
		die(argv[2]);
	passes = atoi(argv[4]);
	if (reading) {
		struct stat s;
		fstat(image, &s);
		image_size = s.st_size;
		directory = argv[3];
	} else {
		load_list(argv[3]);
	}
	double best = 1e9, best_cpu = 0;
	for (int pass = 0; pass < passes; pass++) {
		at = moved_bytes = moved_files = 0;
		if (reading)
			rewind_image();
		if (getenv("FRESH") && ftruncate(image, 0) < 0)
			die("ftruncate");
		double begun = now(), used = cpu();
		if (!strcmp(what, "archive"))
			archive();
		else if (!strcmp(what, "archive2") || !strcmp(what, "paced"))
			archive2();
		else if (!strcmp(what, "retrieve"))
			retrieve();
		else
			retrieve2();
		double took = now() - begun;
		if (took < best) {
			best = took;
			best_cpu = cpu() - used;
		}
	}
	if (!reading && wrap_at == (off_t)1 << 62 && ftruncate(image, at) < 0)
		die("ftruncate");
	printf("%.9f %lu %lu %.6f\n", best, moved_bytes, moved_files, best_cpu);
	return 0;
}
