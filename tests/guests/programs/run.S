// Loads the registers of `state`, goes to a case and stores what it left.
#include "cases.inc"

    .globl run_case, leave_case, leave_fault
#ifdef __x86_64__
#define GPR 512
#define FLAGS (GPR + 16 * 8)
run_case:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rdi, target
    mov %rsp, saved_stack
    sub $1024, %rsp
    fxrstor state
    push state + FLAGS
    popf
    mov state + GPR + 0, %rax
    mov state + GPR + 8, %rcx
    mov state + GPR + 16, %rdx
    mov state + GPR + 24, %rbx
    mov state + GPR + 40, %rbp
    mov state + GPR + 48, %rsi
    mov state + GPR + 56, %rdi
    mov state + GPR + 64, %r8
    mov state + GPR + 72, %r9
    mov state + GPR + 80, %r10
    mov state + GPR + 88, %r11
    mov state + GPR + 96, %r12
    mov state + GPR + 104, %r13
    mov state + GPR + 112, %r14
    mov state + GPR + 120, %r15
    jmp *target
leave_case:
    mov %rax, state + GPR + 0
    mov %rcx, state + GPR + 8
    mov %rdx, state + GPR + 16
    mov %rbx, state + GPR + 24
    mov %rbp, state + GPR + 40
    mov %rsi, state + GPR + 48
    mov %rdi, state + GPR + 56
    mov %r8, state + GPR + 64
    mov %r9, state + GPR + 72
    mov %r10, state + GPR + 80
    mov %r11, state + GPR + 88
    mov %r12, state + GPR + 96
    mov %r13, state + GPR + 104
    mov %r14, state + GPR + 112
    mov %r15, state + GPR + 120
    pushf
    pop state + FLAGS
    fxsave state
leave_fault:
    fninit
    ldmxcsr usual_mxcsr
    cld
    mov saved_stack, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
#else
#define GPR 512
#define FLAGS (GPR + 16 * 4)
run_case:
    mov 4(%esp), %eax
    mov %eax, target
    push %ebx
    push %ebp
    push %esi
    push %edi
    mov %esp, saved_stack
    sub $1024, %esp
    fxrstor state
    push state + FLAGS
    popf
    mov state + GPR + 0, %eax
    mov state + GPR + 4, %ecx
    mov state + GPR + 8, %edx
    mov state + GPR + 12, %ebx
    mov state + GPR + 20, %ebp
    mov state + GPR + 24, %esi
    mov state + GPR + 28, %edi
    jmp *target
leave_case:
    mov %eax, state + GPR + 0
    mov %ecx, state + GPR + 4
    mov %edx, state + GPR + 8
    mov %ebx, state + GPR + 12
    mov %ebp, state + GPR + 20
    mov %esi, state + GPR + 24
    mov %edi, state + GPR + 28
    pushf
    pop state + FLAGS
    fxsave state
leave_fault:
    fninit
    cld
    cmpl $0, has_sse
    je 1f
    ldmxcsr usual_mxcsr
1:  mov saved_stack, %esp
    pop %edi
    pop %esi
    pop %ebp
    pop %ebx
    ret
#endif

    .data
    .globl saved_stack
    .balign 8
saved_stack:
    .quad 0
target:
    .quad 0
usual_mxcsr:
    .long 0x1f80
