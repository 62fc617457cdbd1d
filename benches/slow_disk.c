/* What if the disk were slow? Preloaded into a server, makes writes to regular files wait so that no more than
 * SLOW_DISK_MB megabytes a second are written, by all its threads together. Children have a budget of their own. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* When the disk will have taken all that was written, in nanoseconds of the monotonic clock. */
static _Atomic long long busy_until;

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void charge(int fd, ssize_t bytes)
{
    struct stat s;
    const char *rate = getenv("SLOW_DISK_MB");
    if (bytes <= 0 || !rate || fstat(fd, &s) || !S_ISREG(s.st_mode))
        return;
    long long cost = bytes * 1000LL / atoi(rate), began = now(), from = atomic_load(&busy_until), until;
    do
        until = (from > began ? from : began) + cost;
    while (!atomic_compare_exchange_weak(&busy_until, &from, until));
    struct timespec wait = { (until - began) / 1000000000LL, (until - began) % 1000000000LL };
    nanosleep(&wait, NULL);
}

ssize_t write(int fd, const void *bytes, size_t count)
{
    static ssize_t (*real)(int, const void *, size_t);
    if (!real)
        real = dlsym(RTLD_NEXT, "write");
    ssize_t written = real(fd, bytes, count);
    charge(fd, written);
    return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    static ssize_t (*real)(int, const struct iovec *, int);
    if (!real)
        real = dlsym(RTLD_NEXT, "writev");
    ssize_t written = real(fd, parts, count);
    charge(fd, written);
    return written;
}
