// Instructions on general registers, the same in 32-bit and 64-bit mode.
#include "cases.inc"

GROUP(integer)
.irp op, add, or, adc, sbb, and, sub, xor, cmp
    T LOGIC, \op %cl, %bh
    T LOGIC, \op 5(SI), %dl
    T LOGIC, \op %ah, 9(SI)
    T LOGIC, \op $0x85, %ch
    T LOGIC, \op $0x7f, %al
    T LOGIC, \op\()b $0x80, 3(DI)
    T LOGIC, \op %cx, %dx
    T LOGIC, \op 7(SI), %bx
    T LOGIC, \op %bp, 1(DI)
    T LOGIC, \op $0x8123, %ax
    T LOGIC, \op\()w $-3, 1(DI)
    T LOGIC, \op %ecx, %edx
    T LOGIC, \op 3(SI), %ebp
    T LOGIC, \op %eax, 15(DI)
    T LOGIC, \op $0x89abcdef, %ebx
    T LOGIC, \op\()l $0x7fffffff, (SI)
    T LOGIC, \op $-128, %eax
.endr
.irp op, add, adc, sbb, sub, cmp
    T ALL, \op %dl, %al
    T ALL, \op %dx, %bp
    T ALL, \op %edx, %ecx
    T ALL, lock cmpxchg %ecx, 4(SI)
.endr
.irp op, add, or, adc, sbb, and, sub, xor
    T LOGIC, lock \op %bl, 3(SI)
    T LOGIC, lock \op %ecx, 4(SI)
.endr
.irp op, inc, dec, neg, not
    T ALL, \op %ah
    T ALL, \op %cx
    T ALL, \op %ebp
    T ALL, \op\()b 3(SI)
    T ALL, \op\()w 3(SI)
    T ALL, \op\()l 3(SI)
    T ALL, lock \op\()l 8(SI)
.endr
.irp op, mul, imul
    T PRODUCT, \op %ch
    T PRODUCT, \op %bp
    T PRODUCT, \op %edx
    T PRODUCT, \op\()l 4(DI)
.endr
T PRODUCT, imul %cx, %dx
T PRODUCT, imul 5(SI), %ebx
T PRODUCT, imul $-77, %ecx, %ebp
T PRODUCT, imul $0x1234567, 4(SI), %ecx
T PRODUCT, imul $0x7fff, %dx, %ax
.irp op, div, idiv
    T NONE, \op %ch
    T NONE, \op %cx
    T NONE, \op %ecx
    T NONE, \op\()l 4(SI)
    C(NONE, mov %eax, %edx; sar $31, %edx; \op %ecx)
    C(NONE, and $0x3f, %edx; or $0x40, %ecx; \op %ecx)
    C(NONE, and $0xff, %ax; \op %dl)
    C(NONE, cwd; \op %bx)
.endr
.irp op, shl, shr, sar
    T NARROW_SHIFTED, \op %cl, %bh
    T NARROW_SHIFTED, \op %cl, %dx
    T SHIFTED, \op %cl, %ebx
    T SHIFTED, \op\()l %cl, 5(SI)
    T SHIFTED | 0x800, \op %ah
    T SHIFTED | 0x800, \op %bp
    T SHIFTED | 0x800, \op\()l (DI)
    T SHIFTED, \op $5, %dl
    T SHIFTED, \op $13, %dx
    T SHIFTED, \op $31, %edx
    T SHIFTED, \op $32, %edx
.endr
.irp op, rol, ror, rcl, rcr
    T ROTATED, \op %cl, %bh
    T ROTATED, \op %cl, %dx
    T ROTATED, \op %cl, %ebx
    T ROTATED, \op\()w %cl, 5(SI)
    T ROTATED, \op\()b $7, 5(SI)
    T ROTATED, \op $19, %eax
    T ROTATED | 0x800, \op %al
    T ROTATED | 0x800, \op %ebp
.endr
.irp op, shld, shrd
    T SHIFTED, \op %cl, %edx, %ebx
    T SHIFTED, \op %cl, %edx, 7(SI)
    T SHIFTED, \op $17, %eax, %ecx
    T SHIFTED, \op $9, %ax, %cx
    C(SHIFTED, and $15, %cl; \op %cl, %ax, %bx)
.endr
.irp op, bt, bts, btr, btc
    T CARRY, \op %ecx, %edx
    T CARRY, \op %cx, %dx
    T CARRY, \op $29, %eax
    T CARRY, \op\()w $11, 3(SI)
    C(CARRY, movsbl %cl, %ecx; \op %ecx, (DI))
    C(CARRY, movsbw %cl, %cx; \op %cx, (DI))
.endr
.irp op, bsf, bsr
    C(ZERO, or $0x10000, %ecx; \op %ecx, %edx)
    C(ZERO, or $0x100, %cx; \op %cx, %dx)
    C(ZERO, orb $1, 8(SI); \op 8(SI), %eax)
.endr
.irp c, o, no, b, ae, e, ne, be, a, s, ns, p, np, l, ge, le, g
    T ALL, set\c %bh
    T ALL, set\c 3(SI)
    T ALL, cmov\c %edx, %eax
    T ALL, cmov\c 6(SI), %bx
    C(ALL, j\c 1f; mov %ebp, %ebx; 1: nop)
.endr
T ALL, movzbl %ch, %edx
T ALL, movsbl 3(SI), %ebx
T ALL, movzwl %cx, %ebp
T ALL, movswl 9(SI), %eax
T ALL, movsbw %al, %dx
T ALL, xchg %ecx, 3(SI)
T ALL, xchg %bh, %cl
T ALL, xadd %ecx, %edx
T ALL, xadd %bl, 3(SI)
T ALL, xadd %bx, 3(SI)
T ALL, lock xadd %ecx, 4(SI)
T ALL, cmpxchg %cl, %dl
T ALL, cmpxchg %ecx, 4(DI)
C(ALL, mov (SI), %eax; cmpxchg %ecx, (SI))
T ALL, lock cmpxchg8b (SI)
C(ALL, mov (SI), %eax; mov 4(SI), %edx; lock cmpxchg8b (SI))
T ALL, bswap %ecx
T ALL, cwtl
T ALL, cltd
T ALL, cwtd
T ALL, cbtw
T ALL, lahf
T ALL, sahf
T ALL, cmc
T ALL, stc
T LOGIC, test %cl, %bh
T LOGIC, test $0x81234567, %eax
T LOGIC, testb $0x90, 3(SI)
T ALL, lea 0x12345678(%eax,%ecx,4), %ebp
T ALL, lea 3(%edx,%edx,8), %ax
T ALL, leal (,%ebx,8), %ecx
C(ALL, and $15, CX; inc CX; 1: add %edx, %eax; loop 1b)
C(ALL, and $15, %ecx; inc %ecx; 1: lea 7(%eax), %eax; loopne 1b)
T NONE, int $3
T NONE, ud2
T NONE, hlt
T NONE, mov 0x10, %eax
T NONE, movb %cl, 0x1010
T NONE, lock addl %ecx, 0x2fff
C(NONE, xor %ecx, %ecx; div %ecx)
T NONE, cli
T NONE, in %dx, %al
T NONE, mov %cr0, AX

    .purgem ENTRY
GROUP(string)
.irp width, b, w, l
.irp way, cld, std
.irp prefix, rep
    C(ALL, \way; and $15, CX; rep movs\width)
    C(ALL, \way; lea 1(SI), DI; and $15, CX; rep movs\width)
    C(ALL, \way; lea -3(SI), DI; and $15, CX; rep movs\width)
    C(ALL, \way; lea 13(SI), DI; mov $13, CX; rep movs\width)
    C(ALL, \way; and $15, CX; rep stos\width)
    C(ALL, \way; and $7, CX; rep lods\width)
    C(ALL, \way; movs\width)
    C(ALL, \way; scas\width)
    C(ALL, \way; cmps\width)
.endr
.irp prefix, repe, repne
    C(ALL, \way; and $15, CX; \prefix cmps\width)
    C(ALL, \way; and $15, CX; \prefix scas\width)
    C(ALL, \way; mov SI, DI; and $15, CX; \prefix cmps\width)
    C(ALL, \way; mov $9, CX; mov 3(DI), %al; \prefix scasb)
.endr
.endr
.endr
// Into the page after the area, which is not there: registers after the fault in the middle.
C(NONE, cld; lea 128(DI), DI; mov $200, CX; add $0xe00, DI; rep stosb)
C(NONE, cld; mov $0x2000, DI; rep movsl)
C(NONE, cld; mov $0x2000, SI; rep lodsl)

#ifndef __x86_64__
    .purgem ENTRY
// What 64-bit mode does not have.
GROUP(only32)
T 0xc4, aad
T 0xc4, aam
T 0xc4, aam $7
T 0xc4, aad $13
C(0x11, and $0x0909, %ax; aaa)
C(0x11, and $0x0f09, %ax; aas)
T 0xd5, daa
T 0xd5, das
C(0xd5, add %cl, %al; daa)
C(0xd5, sub %cl, %al; das)
T ALL, inc %edi
T ALL, dec %bp
T ALL, .byte 0xd6
C(ALL, pusha; popa)
C(ALL, pusha; xor %eax, %eax; mov %eax, %ebx; popa)
C(ALL, push %eax; pushw %cx; pop %dx; pop %ebx)
C(ALL, push %ds; pop %eax; mov %ds, %ecx; sub %cx, %ax; xor %ecx, %ecx)
C(ALL, pushw $-5; pushw $7; pop %eax)
C(ALL, enter $64, $0; lea 4(%ebp), %eax; sub %ebp, %eax; leave)
C(ALL, mov %esp, %ebp; enter $0, $3; mov (%esp), %eax; sub %esp, %eax; xor %ebp, %ebp)
T NONE, bound %eax, (%esi)
T NONE, bound %cx, (%esi)
T NONE, into
C(ALL, mov %esi, (%esi); mov %ss, 4(%esi); lds (%esi), %edx; sub %esi, %edx; movl $0, (%esi); movl $0, 4(%esi))
C(ZERO, mov %cx, %ax; arpl %cx, %dx)
C(NONE, mov %ds, %eax; verw %ax; lar %ax, %edx; lsl %ax, %ecx; mov $0, %eax; and $0xf0ff00, %edx)
T NONE, sysexit
T NONE, lgdt (%esi)
T NONE, mov %ecx, %fs
#endif
