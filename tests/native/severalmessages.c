/* recvmmsg and sendmmsg that wait between messages: what they return, what was stored, and the time that is left. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MS = 1000 * 1000 };
static int ends[2];
static int pauses[8], n_pauses;

static void rest(int ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * MS}, NULL); }
static void on_alarm(int number) { (void)number; }

static void *sends(void *to)
{
    for (int i = 0; i < n_pauses; i++) {
        rest(pauses[i]);
        if (to)
            pthread_kill(*(pthread_t *)to, SIGUSR1), to = NULL;
        else
            send(ends[1], "abcdefgh", (size_t)i + 1, 0);
    }
    return NULL;
}

static void *reads(void *count)
{
    char buffer[4096];
    for (int i = 0; i < *(int *)count; i++) {
        rest(5);
        recv(ends[0], buffer, sizeof buffer, 0);
    }
    return NULL;
}

static void receive(const char *what, int flags, struct timespec *timeout, pthread_t *told, int n, const int *given)
{
    struct mmsghdr messages[4];
    struct iovec parts[4];
    char buffers[4][16];
    pthread_t sender;
    n_pauses = n;
    memcpy(pauses, given, (size_t)n * sizeof *given);
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < 4; i++) {
        parts[i] = (struct iovec){buffers[i], sizeof buffers[i]};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    pthread_create(&sender, NULL, sends, told);
    errno = 0;
    int got = recvmmsg(ends[0], messages, 4, flags, timeout);
    printf("%s: %d (%s):", what, got, got < 0 ? strerrorname_np(errno) : "");
    for (int i = 0; i < got; i++)
        printf(" %u", messages[i].msg_len);
    if (timeout)
        printf(", left %s", timeout->tv_sec || timeout->tv_nsec ? "some" : "nothing");
    printf("\n");
    pthread_join(sender, NULL);
    while (recv(ends[0], buffers, sizeof buffers, MSG_DONTWAIT) >= 0)
        ;
}

#define RECEIVE(what, flags, timeout, told, ...) \
    receive(what, flags, timeout, told, sizeof(int[]){__VA_ARGS__} / sizeof(int), (int[]){__VA_ARGS__})

int main(void)
{
    pthread_t self = pthread_self(), reader;
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_alarm, .sa_flags = SA_RESTART}, NULL);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, ends);
    RECEIVE("all four", 0, NULL, NULL, 0, 10, 10, 10);
    RECEIVE("wait for one", MSG_WAITFORONE, NULL, NULL, 10, 30, 1, 1);
    RECEIVE("time for all", 0, (&(struct timespec){5, 0}), NULL, 0, 5, 5, 5);
    RECEIVE("time is over after the second", 0, (&(struct timespec){0, 20 * MS}), NULL, 5, 50, 1, 1);
    RECEIVE("no time", 0, (&(struct timespec){0, 0}), NULL, 5, 5, 5, 5);
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0, 20000}, sizeof(struct timeval));
    RECEIVE("the socket's time is over after the first", 0, NULL, NULL, 5, 60);
    RECEIVE("the socket's time is over before the first", 0, NULL, NULL, 60);
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0, 0}, sizeof(struct timeval));
    RECEIVE("a signal before the first", 0, NULL, &self, 20, 5, 5, 5, 5);
    send(ends[1], "x", 1, 0);
    RECEIVE("a signal after the first", 0, NULL, &self, 20);

    socketpair(AF_UNIX, SOCK_DGRAM, 0, ends); /* the signal is remembered as an error of the old one */
    struct mmsghdr messages[24];
    struct iovec part = {"0123456789", 10};
    int count = 24;
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < count; i++)
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1};
    pthread_create(&reader, NULL, reads, &count);
    int sent = sendmmsg(ends[1], messages, (unsigned)count, 0);
    printf("sent %d, the last %u\n", sent, messages[count - 1].msg_len);
    pthread_join(reader, NULL);
    sent = sendmmsg(ends[1], messages, (unsigned)count, MSG_DONTWAIT);
    printf("at once %d\n", sent);
    return 0;
}
