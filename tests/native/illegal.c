/* Instructions of 32-bit mode that are none in 64-bit mode, alone and behind prefixes: SIGILL at their first byte. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static unsigned char *place;
static sigjmp_buf back;

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    printf(" signal %d code %d at %+d", number, info->si_code, (int)((unsigned char *)info->si_addr - place));
    siglongjmp(back, 1);
}

int main(void)
{
    static const unsigned char opcodes[] = {0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37,
                                            0x3f, 0x60, 0x61, 0x82, 0x9a, 0xce, 0xd4, 0xd6, 0xea};
    static const char *const prefixes[] = {"", "\x66", "\xf3", "\x48", "\x2e\x66\x41"};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    place = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < sizeof opcodes; i++) {
        printf("%02x:", opcodes[i]);
        for (size_t j = 0; j < sizeof prefixes / sizeof *prefixes; j++) {
            size_t n = strlen(prefixes[j]);
            memset(place, 0x90, 64);
            memcpy(place, prefixes[j], n);
            place[n] = opcodes[i];
            place[63] = 0xc3;
            if (!sigsetjmp(back, 1)) {
                ((void (*)(void))place)();
                printf(" ran");
            }
        }
        printf("\n");
    }
    return 0;
}
