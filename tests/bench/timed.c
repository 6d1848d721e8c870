/* Run one command and say what it cost.
 *
 * timed FILE COMMAND [WORD...]
 *
 * Writes to FILE: wall nanoseconds (until COMMAND itself has ended), user and system microseconds and the resident
 * kilobytes of the largest process, all of these over the whole tree (orphans come back to this process and are waited for),
 * and the wait status. A small parent is needed: a child that a large Python starts inherits its peak.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static long microseconds(struct timeval t) { return t.tv_sec * 1000000L + t.tv_usec; }

int main(int count, char **word)
{
    int64_t start = now(), wall = 0;
    int status = 0, one;
    struct rusage cost;
    pid_t child, ended;
    FILE *out;

    if (count < 3 || !(out = fopen(word[1], "w")))
        return 2;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if ((child = fork()) == 0) {
        execvp(word[2], word + 2);
        perror(word[2]);
        _exit(127);
    }
    while ((ended = wait(&one)) > 0)
        if (ended == child) {
            wall = now() - start;
            status = one;
        }
    getrusage(RUSAGE_CHILDREN, &cost);
    fprintf(out, "%lld %ld %ld %ld %d\n", (long long)wall, microseconds(cost.ru_utime), microseconds(cost.ru_stime),
            cost.ru_maxrss, status);
    return fclose(out) != 0;
}
