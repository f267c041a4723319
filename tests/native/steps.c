/* A program whose every instruction is counted by hand, to test what counts instructions: tests/oracle/test_stepper.py.
 *
 *   function  instructions it executes itself
 *   _start    6   xor, four calls, jmp
 *   looping   12  mov; five times dec and jnz; ret
 *   outer     2   call, ret
 *   inner     2   nop, ret
 *   strings   10  lea, mov, xor, rep stosb of 3 (a step each); mov, rep stosb of 0 (one step); lea, ret
 *   asking    5   xor, cpuid, mov, syscall (getpid), ret
 *             37
 */
__asm__(
    ".data\n"
    "buffer: .quad 0x1111111111111111\n"
    ".text\n"
    ".macro function name\n"
    "    .globl \\name\n"
    "    .type \\name, @function\n"
    "\\name:\n"
    ".endm\n"
    ".macro done name\n"
    "    .size \\name, . - \\name\n"
    ".endm\n"
    "function _start\n"
    "    xor %eax, %eax\n"
    "    call looping\n"
    "    call outer\n"
    "    call strings\n"
    "    call asking\n"
    "    jmp stop\n"
    "done _start\n"
    "function looping\n"
    "    mov $5, %ecx\n"
    "1:  dec %ecx\n"
    "    jnz 1b\n"
    "    ret\n"
    "done looping\n"
    "function outer\n"
    "    call inner\n"
    "    ret\n"
    "done outer\n"
    "function inner\n"
    "    nop\n"
    "    ret\n"
    "done inner\n"
    "function strings\n"
    "    lea buffer(%rip), %rdi\n"
    "    mov $3, %ecx\n"
    "    xor %eax, %eax\n"
    "    rep stosb\n"
    "    mov $0, %ecx\n"
    "    rep stosb\n"
    "    lea buffer(%rip), %rdi\n"
    "    ret\n"
    "done strings\n"
    "function asking\n"
    "    xor %eax, %eax\n"
    "    cpuid\n"
    "    mov $39, %eax\n"
    "    syscall\n"
    "    ret\n"
    "done asking\n"
    "function stop\n"
    "    mov $7, %edi\n"
    "    mov $60, %eax\n"
    "    syscall\n"
    "done stop\n"
    ".section .note.GNU-stack,\"\",@progbits\n");
