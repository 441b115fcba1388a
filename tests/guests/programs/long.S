// What only 64-bit mode has: 64-bit operands, registers R8 to R15 and XMM8 to XMM15, RIP-relative operands.
#include "cases.inc"

GROUP(long)
.irp op, add, or, adc, sbb, and, sub, xor, cmp
    T LOGIC, \op %rcx, %rdx
    T LOGIC, \op %r9, %r12
    T LOGIC, \op 5(%rsi), %r13
    T LOGIC, \op %r8, 3(%rsi,%r10)
    T LOGIC, \op $-0x7654321, %r15
    T LOGIC, \op $0x12345678, %rax
    T LOGIC, \op %r8d, %r9d
    T LOGIC, \op %r8w, %r11w
    T LOGIC, \op %sil, %r14b
    T LOGIC, \op %bpl, %r10b
    .ifnc \op, cmp
    T LOGIC, lock \op\()q $3, 8(%rsi)
    .endif
.endr
.irp op, inc, dec, neg, not
    T ALL, \op %r11
    T ALL, \op %r11d
    T ALL, \op\()q 3(%rsi)
.endr
.irp op, mul, imul
    T PRODUCT, \op %rcx
    T PRODUCT, \op %r8
    T PRODUCT, \op\()q 4(%rdi)
.endr
T PRODUCT, imul %r9, %r10
T PRODUCT, imul $-77, %rcx, %r12
T PRODUCT, imul $0x7654321, 4(%rsi), %rcx
.irp op, div, idiv
    T NONE, \op %rcx
    C(NONE, cqto; \op %r9)
    C(NONE, and $0x3f, %rdx; or $0x40, %rcx; \op %rcx)
.endr
.irp op, shl, shr, sar
    T SHIFTED, \op %cl, %rbx
    T SHIFTED, \op %cl, %r8
    T SHIFTED, \op\()q $63, 5(%rsi)
    T SHIFTED | 0x800, \op %r15
.endr
.irp op, rol, ror, rcl, rcr
    T ROTATED, \op %cl, %rbx
    T ROTATED, \op $45, %r13
    T ROTATED | 0x800, \op %r9
.endr
.irp op, shld, shrd
    T SHIFTED, \op %cl, %rdx, %rbx
    T SHIFTED, \op $47, %r8, %r9
.endr
.irp op, bt, bts, btr, btc
    T CARRY, \op %rcx, %r8
    T CARRY, \op\()q $51, 3(%rsi)
    C(CARRY, movsbq %cl, %rcx; \op %rcx, (%rdi))
.endr
.irp op, bsf, bsr
    C(ZERO, orb $1, 8(%rsi); \op 8(%rsi), %r9)
.endr
T ALL, movslq %ecx, %r8
T ALL, movslq 3(%rsi), %rdx
T ALL, movsbq 3(%rsi), %rdx
T ALL, movzwq %r9w, %rdx
T ALL, movabs $0x123456789abcdef0, %r11
T ALL, mov $-5, %rdx
T ALL, cltq
T ALL, cqto
T ALL, bswap %r10
T ALL, bswap %r10d
T ALL, xchg %r8, 3(%rsi)
T ALL, xchg %r8, %rax
T ALL, xadd %r9, 8(%rsi)
T ALL, cmpxchg %rcx, 8(%rdi)
T ALL, cmove %r8, %r9
T ALL, cmovne %r8d, %r9d
T ALL, lea 7(%r8,%r9,8), %r10
T ALL, lea 7(%r13d,%r12d,2), %r10d
T ALL, lock cmpxchg16b (%rsi)
C(ALL, mov 16(%rsi), %rax; mov 24(%rsi), %rdx; lock cmpxchg16b 16(%rsi))
T NONE, lock cmpxchg16b 8(%rsi)
T LOGIC, add area + 16(%rip), %r8
T ALL, movl $0x12345678, area + 20(%rip)
T LOGIC, cmpb $0x80, area + 13(%rip)
T NONE, mov (%r8), %eax
C(NONE, mov $0x0000800000000000, %rax; mov %ecx, (%rax))
C(NONE, mov $0xffff7fffffffffff, %rax; mov %ecx, (%rax))
C(NONE, mov $0xffffffff80000000, %rax; mov %ecx, (%rax))
C(ALL, push %r9; pushq $-7; pushw %cx; pop %bx; pop %rdx; pop %r15)
C(ALL, enter $64, $0; lea 8(%rbp), %rax; sub %rbp, %rax; leave)
C(ALL, cld; and $7, %rcx; rep movsq)
C(ALL, std; and $7, %rcx; rep stosq)
C(ALL, cld; and $7, %rcx; repe cmpsq)
C(ALL, cld; and $7, %ecx; addr32 rep stosb)
C(ALL, and $15, %ecx; inc %ecx; 1: lea 7(%r8), %r8; addr32 loop 1b)
C(ALL, lea 1f(%rip), %rax; jmp *%rax; xor %r8, %r8; 1: nop)
C(ALL, call 1f; xor %r8, %r8; 1: pop %rax; xor %eax, %eax)
T NONE, .byte 0x06
T NONE, .byte 0x27
T NONE, .byte 0x62, 0x00
T NONE, swapgs
T NONE, sysretq
T NONE, mov %cr8, %rax
C(NONE, mov $0x1b, %eax; mov %eax, %gs; mov %gs, %ecx)
C(NONE, mov $0x1234, %eax; mov %eax, %es)
T NONE, int $0x70

    .purgem ENTRY
GROUP(sse_long)
.irp op, addps, divps, sqrtps, addpd, mulpd, divpd, andps, pxor, paddq, pmuludq, "pshufd $0x1b,", "shufps $0x2d,", cvtdq2ps, cvtps2dq, cvtpd2ps, cvtps2pd, unpckhpd, packuswb, cmpltps, cmpneqpd, psadbw, psllq
    T NONE, \op %xmm8, %xmm15
    T NONE, \op %xmm3, %xmm12
    T NONE, \op %xmm13, %xmm2
    T NONE, \op 16(%rsi), %xmm9
    T NONE, \op area + 32(%rip), %xmm10
    C(NONE, and $16, %r9; \op (%rsi,%r9), %xmm11)
.endr
.irp op, addss, mulss, divss, sqrtss, addsd, subsd, mulsd, divsd, minsd, cvtss2sd, cvtsd2ss, cmpless
    T NONE, \op %xmm8, %xmm15
    T NONE, \op 4(%rsi), %xmm9
.endr
.irp op, ucomiss, comisd
    T ALL, \op %xmm8, %xmm15
    T ALL, \op area + 5(%rip), %xmm1
.endr
.irp op, cvtss2si, cvttss2si, cvtsd2si, cvttsd2si
    T NONE, \op %xmm3, %rdx
    T NONE, \op %xmm12, %r9
    T NONE, \op %xmm12, %r9d
    T NONE, \op 4(%rsi), %r15
.endr
.irp op, cvtsi2ss, cvtsi2sd
    T NONE, \op %r8, %xmm3
    T NONE, \op %rdx, %xmm14
    T NONE, \op %r8d, %xmm14
    T NONE, \op\()q 4(%rsi), %xmm9
.endr
T NONE, movq %r8, %xmm9
T NONE, movq %xmm9, %r8
T NONE, movq %mm3, %rdx
T NONE, movq %r12, %mm3
T NONE, movd %r12d, %xmm8
T NONE, movd %xmm8, %r12d
T NONE, movmskpd %xmm11, %r13d
T NONE, pmovmskb %xmm11, %r13d
T NONE, pextrw $3, %xmm11, %r13d
T NONE, pinsrw $3, %r13d, %xmm11
T NONE, movnti %r13, 3(%rsi)
T NONE, movdqu %xmm14, 3(%rsi)
T NONE, psrldq $3, %xmm12
T NONE, movaps 8(%rsi), %xmm12
C(NONE, fxsave64 state + 1024; xorps %xmm8, %xmm8; fxrstor64 state + 1024; addps %xmm8, %xmm9)

    .purgem ENTRY
GROUP(sse4_long)
.irp op, pshufb, pabsd, phaddw, pmulld, ptest, pmovzxbq, phminposuw
    T NONE, \op %xmm8, %xmm15
    T NONE, \op 16(%rsi), %xmm9
.endr
T NONE, pextrq $1, %xmm9, %r8
T NONE, pinsrq $1, %r8, %xmm9
T NONE, crc32q %r9, %r8
T NONE, crc32b %r9b, %r8
T ALL, popcnt %r9, %r8
T ALL, pcmpistri $0x0c, %xmm9, %xmm8
C(ALL, and $31, %rax; and $31, %rdx; rex.w pcmpestri $0x0c, %xmm9, %xmm8)
