// The SSE family. Memory operands at SI are aligned.
#include "cases.inc"

GROUP(sse)
.irp op, addps, subps, mulps, divps, minps, maxps, sqrtps, andps, andnps, orps, xorps, unpcklps, unpckhps
    T NONE, \op %xmm3, %xmm5
    T NONE, \op 16(SI), %xmm1
.endr
.irp op, addss, subss, mulss, divss, minss, maxss, sqrtss
    T NONE, \op %xmm3, %xmm5
    T NONE, \op 4(SI), %xmm1
.endr
.irp c, eq, lt, le, unord, neq, nlt, nle, ord
    T NONE, cmp\c\()ps %xmm3, %xmm5
    T NONE, cmp\c\()ss 4(SI), %xmm1
.endr
.irp op, comiss, ucomiss
    T ALL, \op %xmm3, %xmm5
    T ALL, \op 4(SI), %xmm1
.endr
.irp op, cvtps2pi, cvttps2pi
    T NONE, \op %xmm3, %mm5
    T NONE, \op 8(SI), %mm1
.endr
T NONE, cvtpi2ps %mm2, %xmm4
T NONE, cvtss2si %xmm3, %edx
T NONE, cvttss2si 4(SI), %ecx
T NONE, cvtsi2ss %edx, %xmm3
T NONE, cvtsi2ssl 4(SI), %xmm2
T NONE, shufps $0x4e, %xmm2, %xmm6
T NONE, shufps $0xb1, (SI), %xmm6
T NONE, movaps 4(SI), %xmm1
T NONE, movaps %xmm1, 32(SI)
T NONE, movups %xmm1, 3(SI)
T NONE, movhps 3(SI), %xmm2
T NONE, movlps %xmm2, 3(SI)
T NONE, movhlps %xmm2, %xmm3
T NONE, movlhps %xmm2, %xmm3
T NONE, movss 3(SI), %xmm7
T NONE, movmskps %xmm7, %eax
T NONE, movntps %xmm7, 16(SI)
T NONE, addps 4(SI), %xmm1
.irp op, pavgb, pavgw, pmaxsw, pmaxub, pminsw, pminub, pmulhuw, psadbw
    T NONE, \op %mm3, %mm5
    T NONE, \op 4(SI), %mm1
.endr
T NONE, pshufw $0x1b, %mm3, %mm4
T NONE, pinsrw $2, %ecx, %mm4
T NONE, pextrw $3, %mm4, %ecx
T NONE, pmovmskb %mm4, %ebx
C(NONE, stmxcsr 4(SI); sfence; prefetcht0 (SI); ldmxcsr 4(SI); mulss %xmm1, %xmm2)
C(NONE, andl $0xffff, 4(SI); ldmxcsr 4(SI); mulps %xmm1, %xmm2; divps %xmm3, %xmm4; addps %xmm5, %xmm6)

    .purgem ENTRY
GROUP(sse2)
.irp op, addpd, subpd, mulpd, divpd, minpd, maxpd, sqrtpd, andpd, andnpd, orpd, xorpd, unpcklpd, unpckhpd
    T NONE, \op %xmm3, %xmm5
    T NONE, \op 16(SI), %xmm1
.endr
.irp op, addsd, subsd, mulsd, divsd, minsd, maxsd, sqrtsd
    T NONE, \op %xmm3, %xmm5
    T NONE, \op 4(SI), %xmm1
.endr
.irp c, eq, lt, le, unord, neq, nlt, nle, ord
    T NONE, cmp\c\()pd %xmm3, %xmm5
    T NONE, cmp\c\()sd 4(SI), %xmm1
.endr
.irp op, comisd, ucomisd
    T ALL, \op %xmm3, %xmm5
    T ALL, \op 4(SI), %xmm1
.endr
.irp op, cvtps2pd, cvtpd2ps, cvtdq2ps, cvtps2dq, cvttps2dq, cvtdq2pd, cvtpd2dq, cvttpd2dq, cvtss2sd, cvtsd2ss
    T NONE, \op %xmm3, %xmm5
    T NONE, \op 16(SI), %xmm1
.endr
.irp op, cvtpd2pi, cvttpd2pi
    T NONE, \op %xmm3, %mm5
.endr
T NONE, cvtpi2pd %mm1, %xmm2
T NONE, cvtsd2si %xmm3, %edx
T NONE, cvttsd2si 4(SI), %ecx
T NONE, cvtsi2sd %edx, %xmm3
.irp op, paddb, paddw, paddd, paddq, psubb, psubw, psubd, psubq, paddsb, paddsw, paddusb, paddusw, psubsb, psubsw, psubusb, psubusw, pmullw, pmulhw, pmulhuw, pmuludq, pmaddwd, psadbw, pavgb, pavgw, pmaxsw, pmaxub, pminsw, pminub, pand, pandn, por, pxor, pcmpeqb, pcmpeqw, pcmpeqd, pcmpgtb, pcmpgtw, pcmpgtd, packsswb, packssdw, packuswb, punpcklbw, punpcklwd, punpckldq, punpcklqdq, punpckhbw, punpckhwd, punpckhdq, punpckhqdq, psllw, pslld, psllq, psrlw, psrld, psrlq, psraw, psrad
    T NONE, \op %xmm3, %xmm5
    T NONE, \op 16(SI), %xmm1
.endr
.irp op, psllw, pslld, psllq, psrlw, psrld, psrlq, psraw, psrad, pslldq, psrldq
    T NONE, \op $7, %xmm6
    T NONE, \op $64, %xmm0
.endr
.irp op, pshufd, pshuflw, pshufhw, shufpd
    T NONE, \op $0x93, %xmm3, %xmm5
    T NONE, \op $0x1e, 16(SI), %xmm5
.endr
T NONE, pinsrw $5, 3(SI), %xmm4
T NONE, pextrw $6, %xmm4, %ecx
T NONE, pmovmskb %xmm4, %ebx
T NONE, movmskpd %xmm4, %ebx
T NONE, movd %ecx, %xmm2
T NONE, movd %xmm2, 3(SI)
T NONE, movq %xmm2, 3(SI)
T NONE, movq 3(SI), %xmm2
T NONE, movsd 3(SI), %xmm2
T NONE, movsd %xmm1, %xmm2
T NONE, movhpd 3(SI), %xmm2
T NONE, movlpd %xmm2, 3(SI)
T NONE, movdqa 32(SI), %xmm2
T NONE, movdqa %xmm2, 8(SI)
T NONE, movdqu %xmm2, 9(SI)
T NONE, movntdq %xmm2, 16(SI)
T NONE, movnti %ecx, 5(SI)
T NONE, movdq2q %xmm3, %mm4
T NONE, movq2dq %mm4, %xmm3
T NONE, pmuludq %mm3, %mm4
C(NONE, lea 16(SI), DI; maskmovdqu %xmm2, %xmm3; mfence; lfence; pause)
C(NONE, andl $0xffff, 4(SI); ldmxcsr 4(SI); mulpd %xmm1, %xmm2; cvtpd2ps %xmm3, %xmm4; cvtpd2dq %xmm5, %xmm6)

    .purgem ENTRY
GROUP(sse3)
.irp op, addsubps, addsubpd, haddps, haddpd, hsubps, hsubpd, movddup, movshdup, movsldup
    T NONE, \op %xmm3, %xmm5
    T NONE, \op 16(SI), %xmm1
.endr
T NONE, lddqu 3(SI), %xmm1
C(NONE, fisttps 4(SI); fwait)
C(NONE, fisttpl 4(SI); fwait)
C(NONE, fisttpll 4(SI); fwait)

    .purgem ENTRY
GROUP(ssse3)
.irp op, pshufb, phaddw, phaddd, phaddsw, pmaddubsw, phsubw, phsubd, phsubsw, psignb, psignw, psignd, pmulhrsw, pabsb, pabsw, pabsd
    T NONE, \op %xmm3, %xmm5
    T NONE, \op 16(SI), %xmm1
    T NONE, \op 8(SI), %mm1
.endr
T NONE, palignr $5, %xmm3, %xmm5
T NONE, palignr $11, %mm3, %mm5

    .purgem ENTRY
GROUP(sse4_1)
.irp op, "pblendvb %xmm0,", "blendvps %xmm0,", "blendvpd %xmm0,", pmovsxbw, pmovsxbd, pmovsxbq, pmovsxwd, pmovsxwq, pmovsxdq, pmovzxbw, pmovzxbd, pmovzxbq, pmovzxwd, pmovzxwq, pmovzxdq, pmuldq, pcmpeqq, packusdw, pminsb, pminsd, pminuw, pminud, pmaxsb, pmaxsd, pmaxuw, pmaxud, pmulld, phminposuw
    C(NONE, \op %xmm3, %xmm5)
    C(NONE, \op 16(SI), %xmm1)
.endr
.irp op, roundps, roundpd, roundss, roundsd, blendps, blendpd, pblendw, mpsadbw, insertps, dppd
    T NONE, \op $5, %xmm3, %xmm5
    T NONE, \op $2, 16(SI), %xmm1
.endr
T ALL, ptest %xmm3, %xmm5
T NONE, pextrb $7, %xmm3, %ecx
T NONE, pextrd $2, %xmm3, 4(SI)
T NONE, extractps $3, %xmm3, %ecx
T NONE, pinsrb $9, %ecx, %xmm3
T NONE, pinsrd $1, %ecx, %xmm3

    .purgem ENTRY
GROUP(sse4_2)
T NONE, pcmpgtq %xmm3, %xmm5
.irp mode, 0x00, 0x0c, 0x18, 0x44, 0x3e, 0x71
    T ALL, pcmpistri $\mode, %xmm3, %xmm5
    T ALL, pcmpistrm $\mode, %xmm3, %xmm5
    C(ALL, and $31, %eax; and $31, %edx; pcmpestri $\mode, %xmm3, %xmm5)
    C(ALL, and $31, %eax; and $31, %edx; pcmpestrm $\mode, %xmm3, %xmm5)
.endr
T NONE, crc32b 3(SI), %ecx
T NONE, crc32l %edx, %ecx

    .purgem ENTRY
GROUP(popcnt)
T ALL, popcnt %ecx, %edx
T ALL, popcnt 3(SI), %bx

    .purgem ENTRY
GROUP(aes)
.irp op, aesenc, aesenclast, aesdec, aesdeclast, aesimc
    T NONE, \op %xmm3, %xmm5
    T NONE, \op 16(SI), %xmm1
.endr
T NONE, aeskeygenassist $0x36, %xmm3, %xmm5

    .purgem ENTRY
GROUP(pclmul)
.irp which, 0x00, 0x01, 0x10, 0x11
    T NONE, pclmulqdq $\which, %xmm3, %xmm5
.endr
