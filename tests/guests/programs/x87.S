// The floating-point unit and MMX.
#include "cases.inc"

GROUP(x87)
.irp op, fadd, fmul, fsub, fsubr, fdiv, fdivr
    C(STATUS, \op %st(3), %st; fwait)
    C(STATUS, \op %st, %st(5); fwait)
    C(STATUS, \op\()p %st, %st(1); fwait)
    C(STATUS, \op\()s 4(SI); fwait)
    C(STATUS, \op\()l 8(SI); fwait)
.endr
.irp op, fiadd, fimul, fisub, fisubr, fidiv, fidivr
    C(STATUS, \op\()s 4(SI); fwait)
    C(STATUS, \op\()l 8(SI); fwait)
.endr
.irp op, fsqrt, frndint, fabs, fchs, fxtract, fld1, fldz, fdecstp, fincstp
    C(STATUS, \op; fwait)
.endr
C(COMPARED, fxam; fwait)
C(COMPARED, ftst; fwait)
C(COMPARED, fprem; fwait)
C(COMPARED, fprem1; fwait)
C(COMPARED, fcompp; fwait)
C(COMPARED, fucompp; fwait)
C(COMPARED, fcom %st(2); fwait)
C(COMPARED, fucomp %st(4); fwait)
C(COMPARED, fcoms (SI); fwait)
C(COMPARED, fcompl 8(SI); fwait)
C(COMPARED, ficoms (SI); fwait)
C(COMPARED, ficompl 4(SI); fwait)
.irp op, fcomi, fcomip, fucomi, fucomip
    C(COMPARED & ~0x4500, \op %st(2), %st; pushf; fwait; pop AX; and $0x45, %eax)
.endr
.irp op, fcmovb, fcmove, fcmovbe, fcmovu, fcmovnb, fcmovne, fcmovnbe, fcmovnu
    C(STATUS, \op %st(3), %st; fwait)
.endr
C(STATUS, fscale; fwait)
C(STATUS, flds 4(SI); fwait)
C(STATUS, fldl 8(SI); fwait)
C(STATUS, fldt 7(SI); fwait)
C(STATUS, filds 4(SI); fwait)
C(STATUS, fildl 8(SI); fwait)
C(STATUS, fildll 8(SI); fwait)
C(STATUS, fld %st(3); fwait)
C(STATUS, fxch %st(5); fwait)
C(STATUS, ffree %st(2); fwait)
C(STATUS, fst %st(4); fwait)
C(STATUS, fstp %st(2); fwait)
C(STATUS, fsts 4(SI); fwait)
C(STATUS, fstl 8(SI); fwait)
C(STATUS, fstps 4(SI); fwait)
C(STATUS, fstpl 8(SI); fwait)
C(STATUS, fstpt 7(SI); fwait)
C(STATUS, fists 4(SI); fwait)
C(STATUS, fistl 8(SI); fwait)
C(STATUS, fistps 4(SI); fwait)
C(STATUS, fistpl 4(SI); fwait)
C(STATUS, fistpll 8(SI); fwait)
C(STATUS, fbstp (SI); fwait)
C(COMPARED, fnstcw (SI); fnstsw %ax; fnclex)
C(COMPARED, fninit; fldpi; fldl2e; fldln2; fldl2t)
C(COMPARED, fnstenv (SI); fldenv (SI); andl $0, 12(SI); movl $0, 16(SI); movl $0, 20(SI))
C(STATUS, fldcw 4(SI); fadd %st(1), %st; fwait)
C(STATUS, fninit; fldt (SI); fldt 16(SI); fmulp; fstpt (SI))
C(STATUS, flds 4(SI); fdivs 8(SI); fsqrt; fstl 16(SI); fwait)

    .purgem ENTRY
// Functions whose last bit depends on the processor: arguments between 0 and 1, results of 24 bits.
GROUP(functions)
.irp op, fsin, fcos, f2xm1, fpatan, fyl2xp1, fyl2x
    C(NONE, andl $0x3effffff, 4(SI); andl $0x3e7fffff, 8(SI); fninit; orl $0x3c000000, 4(SI); orl $0x3c000000, 8(SI); flds 4(SI); flds 8(SI); \op; fstps 12(SI); fninit)
.endr
C(NONE, andl $0x3effffff, 4(SI); orl $0x3c000000, 4(SI); fninit; flds 4(SI); fptan; fstps (SI); fstps 12(SI); fninit)
C(NONE, andl $0x3effffff, 4(SI); orl $0x3c000000, 4(SI); fninit; flds 4(SI); fsincos; fstps (SI); fstps 12(SI); fninit)

    .purgem ENTRY
GROUP(mmx)
.irp op, paddb, paddw, paddd, psubb, psubw, psubd, paddsb, paddsw, paddusb, paddusw, psubsb, psubsw, psubusb, psubusw, pmullw, pmulhw, pmaddwd, pand, pandn, por, pxor, pcmpeqb, pcmpeqw, pcmpeqd, pcmpgtb, pcmpgtw, pcmpgtd, packsswb, packssdw, packuswb, punpcklbw, punpcklwd, punpckldq, punpckhbw, punpckhwd, punpckhdq, psllw, pslld, psllq, psrlw, psrld, psrlq, psraw, psrad
    T STATUS, \op %mm3, %mm5
    T STATUS, \op 4(SI), %mm1
.endr
.irp op, psllw, pslld, psllq, psrlw, psrld, psrlq, psraw, psrad
    T STATUS, \op $7, %mm6
    T STATUS, \op $64, %mm0
.endr
T STATUS, movd %ecx, %mm2
T STATUS, movd %mm7, %edx
T STATUS, movq %mm1, 3(SI)
T STATUS, movq 5(SI), %mm4
T STATUS, emms
