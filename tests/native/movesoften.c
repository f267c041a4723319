/* A page of code that is mapped anew, with other code in it, two hundred times. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void)
{
    int right = 0;
    for (int i = 0; i < 200; i++) {
        char *at = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        char code[] = {(char)0xb8, (char)i, 0, 0, 0, (char)0xc3}; /* mov eax, i; ret */
        memcpy(at, code, sizeof code);
        mprotect(at, 4096, PROT_READ | PROT_EXEC);
        right += ((int (*)(void))at)() == i;
    }
    printf("%d times\n", right);
    return 0;
}
