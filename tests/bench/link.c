/* A line between two network namespaces: rate, delay and a finite queue in each direction.
 *
 * link NEAR FAR RATE DELAY QUEUE RATE DELAY QUEUE
 *
 * NEAR and FAR are files of network namespaces (/run/netns/x); in each one a TUN device "line0" is made, which lives
 * as long as this process. The first three numbers are for packets towards NEAR (down), the others for up:
 * bits a second, nanoseconds one way, octets that may wait for the sender. A packet that finds the queue full is
 * dropped, as a router would; real TCP runs over it and finds the rate by itself. Prints "ready" when the devices are there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 65536, MTU = 1536 };

struct packet { int length; int64_t due; char octets[MTU]; };

struct way {                     /* one direction */
    int from, to;                /* TUN devices */
    int64_t rate, delay, queue;  /* bits a second, ns, octets */
    int64_t free_at;             /* when the sender has sent all that it took */
    uint32_t head, tail;
    struct packet *ring;
    unsigned long passed, dropped;
};

static volatile sig_atomic_t over;
static void stop(int signal_number) { (void)signal_number; over = 1; }

static void die(const char *what) { perror(what); exit(1); }

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int device_in(const char *namespace_file)
{
    struct ifreq request = {0};
    int space = open(namespace_file, O_RDONLY | O_CLOEXEC), device;

    if (space < 0 || setns(space, CLONE_NEWNET) < 0)
        die(namespace_file);
    close(space);
    if ((device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0)
        die("/dev/net/tun");
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    strcpy(request.ifr_name, "line0");
    if (ioctl(device, TUNSETIFF, &request) < 0)
        die("TUNSETIFF");
    return device;
}

static void take(struct way *way)
{
    for (;;) {
        struct packet *slot = &way->ring[way->tail % SLOTS];
        char lost[MTU];
        int64_t at = now(), waiting = (way->free_at > at ? way->free_at - at : 0) * way->rate / 8000000000LL;
        int full = waiting > way->queue || way->tail - way->head >= SLOTS;
        ssize_t length = read(way->from, full ? lost : slot->octets, MTU);

        if (length <= 0)
            return;
        if (full) {
            way->dropped++;
            continue;
        }
        way->free_at = (way->free_at > at ? way->free_at : at) + length * 8000000000LL / way->rate;
        slot->length = (int)length;
        slot->due = way->free_at + way->delay;
        way->tail++;
    }
}

static int64_t give(struct way *way)  /* returns when the next packet is due, or -1 */
{
    while (way->head != way->tail) {
        struct packet *slot = &way->ring[way->head % SLOTS];

        if (slot->due > now())
            return slot->due;
        if (write(way->to, slot->octets, (size_t)slot->length) == slot->length)
            way->passed++;
        way->head++;
    }
    return -1;
}

int main(int count, char **word)
{
    struct way ways[2] = {{0}};
    sigset_t none, usual;

    if (count != 9)
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_TIMERSLACK, 1UL);
    ways[0].to = ways[1].from = device_in(word[1]);
    ways[0].from = ways[1].to = device_in(word[2]);
    for (int i = 0; i < 2; i++) {
        ways[i].rate = atoll(word[3 + 3 * i]);
        ways[i].delay = atoll(word[4 + 3 * i]);
        ways[i].queue = atoll(word[5 + 3 * i]);
        if (!(ways[i].ring = malloc(SLOTS * sizeof(struct packet))))
            die("malloc");
    }
    sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});  /* a line does not wait for a CPU */
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGTERM);
    sigprocmask(SIG_BLOCK, &usual, NULL);  /* heard only inside ppoll */
    signal(SIGTERM, stop);
    puts("ready");
    fflush(stdout);
    while (!over) {
        struct pollfd devices[2] = {{ways[0].from, POLLIN, 0}, {ways[1].from, POLLIN, 0}};
        int64_t due[2] = {give(&ways[0]), give(&ways[1])};
        int64_t next = due[0] < 0 ? due[1] : due[1] < 0 || due[0] < due[1] ? due[0] : due[1];
        int64_t wait = next < 0 ? -1 : next - now();
        struct timespec pause = {wait > 0 ? wait / 1000000000 : 0, wait > 0 ? wait % 1000000000 : 0};

        if (ppoll(devices, 2, next < 0 ? NULL : &pause, &none) < 0 && errno != EINTR)
            die("ppoll");
        take(&ways[0]);
        take(&ways[1]);
    }
    fprintf(stderr, "down: %lu passed, %lu dropped; up: %lu passed, %lu dropped\n", ways[0].passed, ways[0].dropped,
            ways[1].passed, ways[1].dropped);
    return 0;
}
