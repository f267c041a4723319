/* A page of the program's own code that is taken away: what jumps there, having been there before, faults. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };
static sigjmp_buf back;
void far(void);

static void on_fault(int number) { siglongjmp(back, number); }

__asm__(".section .text\n.balign 4096\n.globl far\nfar: addl $1, count(%rip)\nret\n.balign 4096\n");
int count;

static int ask(void)
{
    int number = sigsetjmp(back, 1);
    if (number)
        return -number;
    for (int i = 0; i < 1000; i++)
        far();
    return count;
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGSEGV, on_fault);
    printf("there: %d\n", ask());
    printf("there still: %d\n", ask());
    munmap((void *)far, PAGE);
    printf("gone: %d\n", ask());
    printf("%d\n", ask());
    return 0;
}
