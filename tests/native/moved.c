/* Code that jumps to a fixed place in another page, where other code comes to lie, or none: what is there runs. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };
static char *const first = (char *)0x10000000, *const second = (char *)0x10000000 + PAGE;
static sigjmp_buf back;

static void on_fault(int number) { siglongjmp(back, number); }

static void map(char *at)
{
    void *got = mmap(at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (got != at)
        _exit(1);
}

static void answers(char *at, char value) { memcpy(at, (char[]){(char)0xb8, value, 0, 0, 0, (char)0xc3}, 6); } /* mov eax, value; ret */

static int ask(void)
{
    int sum = 0, number = sigsetjmp(back, 1);
    if (number)
        return -number;
    for (int i = 0; i < 1000; i++)
        sum += ((int (*)(void))first)();
    return sum;
}

int main(void)
{
    int status;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGSEGV, on_fault);
    map(first);
    map(second);
    /* test edi, edi; jz second; jmp second: both ways lead to the other page */
    memcpy(first, (char[]){0x31, (char)0xff, (char)0x85, (char)0xff, 0x0f, (char)0x84}, 6);
    int distance = PAGE - 10;
    memcpy(first + 6, &distance, 4);
    first[10] = (char)0xe9;
    distance = PAGE - 15;
    memcpy(first + 11, &distance, 4);
    answers(second, 1);
    printf("as it was: %d\n", ask());
    map(second);
    answers(second, 2);
    printf("mapped anew: %d\n", ask());
    answers(second, 3);
    printf("stored into: %d\n", ask());
    int ends[2];
    char *said = (char[]){(char)0xb8, 7, 0, 0, 0, (char)0xc3};
    if (pipe(ends) || write(ends[1], said, 6) != 6 || read(ends[0], second, 6) != 6)
        return 1;
    printf("read into: %d\n", ask());
    int file = memfd_create("code", 0);
    said[1] = 8;
    if (ftruncate(file, PAGE) || pwrite(file, said, 6, 0) != 6)
        return 1;
    mmap(second, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, file, 0);
    printf("a file: %d\n", ask());
    said[1] = 9;
    if (pwrite(file, said, 6, 0) != 6)
        return 1;
    printf("the file changed: %d\n", ask());
    map(second);
    answers(second, 3);
    mprotect(second, PAGE, PROT_READ);
    printf("not to be executed: %d\n", ask());
    mprotect(second, PAGE, PROT_READ | PROT_EXEC);
    printf("executable again: %d\n", ask());
    munmap(second, PAGE);
    printf("gone: %d\n", ask());
    map(second);
    answers(second, 4);
    printf("back: %d\n", ask());
    fflush(stdout);
    if (!fork()) {
        map(second);
        answers(second, 5);
        printf("the child's: %d\n", ask());
        fflush(stdout);
        _exit(0);
    }
    wait(&status);
    printf("the parent's: %d\n", ask());
    mremap(second, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, second + 16 * PAGE);
    printf("moved away: %d\n", ask());
    return 0;
}
