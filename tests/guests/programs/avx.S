// What came with AVX and after it. The upper halves of the registers begin as lower halves of others, and what they are
// in the end goes to `uppers`, which is hashed as well. Memory operands at SI are aligned to 64 bytes.
#include "cases.inc"

// V flags, instruction
.macro V mask:req, text:vararg
    .pushsection .rodata
91: .asciz "\text"
    .popsection
    ENTRY \mask
92: call load_uppers
    \text
    jmp store_uppers
.endm

// Some of them.
#define VC(mask, ...) VQ mask, TEXT(__VA_ARGS__)
.macro VQ mask:req, text:req
    .pushsection .rodata
91: .asciz "\text"
    .popsection
    ENTRY \mask
92: call load_uppers
    \text
    jmp store_uppers
.endm

    .globl uppers
load_uppers:
.altmacro
.macro LOAD n, k
    vinsertf128 $1, %xmm\k, %ymm\n, %ymm\n
.endm
.macro STORE n
    vextractf128 $1, %ymm\n, uppers + 16 * \n
.endm
.set N, 0
.rept 16
    LOAD %N, %((N + 5) & 15)
    .set N, N + 1
.endr
    ret
store_uppers:
.set N, 0
.rept 16
    STORE %N
    .set N, N + 1
.endr
    jmp leave_case
.noaltmacro

GROUP(avx)
.irp op, vaddps, vsubps, vmulps, vdivps, vminps, vmaxps, vandps, vandnps, vorps, vxorps, vunpcklps, vunpckhps, vhaddps, vhsubps, vaddsubps, vaddpd, vsubpd, vmulpd, vdivpd, vminpd, vmaxpd, vandpd, vxorpd, vunpcklpd, vhaddpd, vaddsubpd, vpermilps, vpermilpd
    V NONE, \op %ymm3, %ymm12, %ymm5
    V NONE, \op 5(SI), %ymm9, %ymm1
    V NONE, \op %xmm3, %xmm12, %xmm5
.endr
.irp op, vsqrtps, vsqrtpd, vcvtdq2ps, vcvtps2dq, vcvttps2dq, vmovsldup, vmovshdup, vmovddup, vmovups, vmovdqu
    V NONE, \op %ymm3, %ymm11
    V NONE, \op 3(SI), %ymm11
    V NONE, \op %xmm3, %xmm11
.endr
.irp op, vaddss, vsubss, vmulss, vdivss, vminss, vmaxss, vsqrtss, vaddsd, vmulsd, vdivsd, vsqrtsd, vcvtss2sd, vcvtsd2ss
    V NONE, \op %xmm3, %xmm12, %xmm5
    V NONE, \op 4(SI), %xmm12, %xmm5
.endr
.irp n, 0, 1, 4, 8, 9, 11, 12, 13, 16, 17, 18, 20, 21, 22, 24, 25, 26, 28, 29, 30
    V NONE, vcmpps $\n, %ymm3, %ymm4, %ymm5
    V NONE, vcmpsd $\n, 4(SI), %xmm4, %xmm5
.endr
V NONE, vcvtps2pd %xmm3, %ymm4
V NONE, vcvtpd2ps %ymm3, %xmm4
V NONE, vcvtpd2dq %ymm3, %xmm4
V NONE, vcvttpd2dq %ymm3, %xmm4
V NONE, vcvtdq2pd 8(SI), %ymm4
V NONE, vcvtsi2sd %rdx, %xmm4, %xmm5
V NONE, vcvttss2si %xmm4, %r8
V NONE, vbroadcastss 4(SI), %ymm4
V NONE, vbroadcastsd 4(SI), %ymm4
V NONE, vbroadcastf128 4(SI), %ymm4
V NONE, vinsertf128 $1, 4(SI), %ymm3, %ymm4
V NONE, vextractf128 $1, %ymm3, 4(SI)
V NONE, vperm2f128 $0x31, %ymm3, %ymm4, %ymm5
V NONE, vperm2f128 $0x82, %ymm3, %ymm4, %ymm5
V NONE, vshufps $0x4e, %ymm3, %ymm4, %ymm5
V NONE, vshufpd $0x9, %ymm3, %ymm4, %ymm5
V NONE, vblendps $0x5a, %ymm3, %ymm4, %ymm5
V NONE, vblendvps %ymm6, %ymm3, %ymm4, %ymm5
V NONE, vblendvpd %ymm6, 5(SI), %ymm4, %ymm5
V NONE, vdpps $0x75, %ymm3, %ymm4, %ymm5
V NONE, vroundpd $2, %ymm4, %ymm5
V NONE, vmaskmovps 8(SI), %ymm3, %ymm4
V NONE, vmaskmovpd %ymm4, %ymm3, 8(SI)
V NONE, vmovaps %ymm4, 32(SI)
V NONE, vmovaps %ymm4, 16(SI)
V NONE, vmovntps %ymm4, 32(SI)
V NONE, vmovups %ymm4, 1(SI)
V NONE, vmovmskps %ymm4, %eax
V ALL, vtestps %ymm3, %ymm4
V ALL, vptest 5(SI), %ymm4
V ALL, vucomisd %xmm3, %xmm4
V NONE, vzeroupper
V NONE, vzeroall
V NONE, vpaddd %xmm3, %xmm4, %xmm5
V NONE, vpinsrd $2, %edx, %xmm4, %xmm5
V NONE, vpextrq $1, %xmm4, %r8
V NONE, vpshufb 5(SI), %xmm4, %xmm5
V NONE, vpslldq $3, %xmm4, %xmm5
V ALL, vpcmpistri $0x0c, %xmm3, %xmm4
V NONE, addps %xmm3, %xmm4
V NONE, vaddps 4000(SI), %ymm3, %ymm4

    .purgem ENTRY
GROUP(avx2)
.irp op, vpaddb, vpaddw, vpaddd, vpaddq, vpsubb, vpsubq, vpmullw, vpmulld, vpmuludq, vpmuldq, vpmaddwd, vpmaddubsw, vpmulhrsw, vpand, vpandn, vpor, vpxor, vpcmpeqb, vpcmpeqq, vpcmpgtw, vpcmpgtq, vpminub, vpmaxsd, vpavgb, vpsadbw, vpackuswb, vpackssdw, vpunpcklbw, vpunpckhdq, vpshufb, vphaddw, vphsubd, vpsignw, vpaddusb, vpsubsw, vpsllvd, vpsllvq, vpsrlvd, vpsrlvq, vpsravd, vpermd, vpermps
    V NONE, \op %ymm3, %ymm12, %ymm5
    V NONE, \op 5(SI), %ymm9, %ymm1
.endr
.irp op, vpslld, vpsrlq, vpsraw
    V NONE, \op %xmm3, %ymm12, %ymm5
    V NONE, \op $7, %ymm12, %ymm5
.endr
.irp op, vpabsb, vpabsd
    V NONE, \op %ymm12, %ymm5
.endr
.irp op, vpmovzxbw, vpmovsxwd, vpmovzxbq, vpmovsxdq, vpbroadcastb, vpbroadcastw, vpbroadcastd, vpbroadcastq
    V NONE, \op %xmm12, %ymm5
    V NONE, \op 3(SI), %ymm5
.endr
V NONE, vpermq $0x1b, %ymm3, %ymm4
V NONE, vpermpd $0xb1, 3(SI), %ymm4
V NONE, vperm2i128 $0x13, %ymm3, %ymm4, %ymm5
V NONE, vinserti128 $0, 3(SI), %ymm4, %ymm5
V NONE, vextracti128 $1, %ymm4, %xmm5
V NONE, vpblendd $0x36, %ymm3, %ymm4, %ymm5
V NONE, vpalignr $5, %ymm3, %ymm4, %ymm5
V NONE, vpslldq $3, %ymm4, %ymm5
V NONE, vmpsadbw $0x2a, %ymm3, %ymm4, %ymm5
V NONE, vpmovmskb %ymm3, %eax
V NONE, vpmaskmovd 8(SI), %ymm3, %ymm4
V NONE, vpmaskmovq %ymm4, %ymm3, 8(SI)
VC(NONE, vpxor %ymm1, %ymm1, %ymm1; vpcmpeqd %ymm2, %ymm2, %ymm2; vpgatherdd %ymm2, (SI, %ymm1, 4), %ymm3)
VC(NONE, vpsrld $29, %ymm1, %ymm1; vgatherdpd %ymm2, (SI, %xmm1, 8), %ymm3)
VC(NONE, vpsrlq $61, %ymm1, %ymm1; vpgatherqd %xmm2, (SI, %ymm1, 4), %xmm3)
VC(NONE, vpsrlq $44, %ymm1, %ymm1; vpcmpeqd %ymm2, %ymm2, %ymm2; vpgatherqq %ymm2, (SI, %ymm1, 1), %ymm3)

    .purgem ENTRY
GROUP(fma)
.irp op, vfmadd132, vfmsub132, vfnmadd132, vfnmsub132, vfmaddsub132, vfmsubadd132, vfmadd213, vfmsub213, vfnmadd213, vfnmsub213, vfmaddsub213, vfmsubadd213, vfmadd231, vfmsub231, vfnmadd231, vfnmsub231, vfmaddsub231, vfmsubadd231
    V NONE, \op\()ps %ymm3, %ymm12, %ymm5
    V NONE, \op\()pd 5(SI), %ymm12, %ymm5
.endr
.irp op, vfmadd132, vfmsub132, vfnmadd132, vfnmsub132, vfmadd213, vfmsub213, vfnmadd213, vfnmsub213, vfmadd231, vfmsub231, vfnmadd231, vfnmsub231
    V NONE, \op\()ss %xmm3, %xmm12, %xmm5
    V NONE, \op\()sd 5(SI), %xmm12, %xmm5
.endr

    .purgem ENTRY
GROUP(f16c)
V NONE, vcvtph2ps %xmm3, %ymm4
V NONE, vcvtph2ps 3(SI), %xmm4
V NONE, vcvtps2ph $4, %ymm3, %xmm4
V NONE, vcvtps2ph $1, %xmm3, 3(SI)

    .purgem ENTRY
GROUP(vex_aes)
.irp op, vaesenc, vaesenclast, vaesdec, vaesdeclast
    V NONE, \op %xmm3, %xmm12, %xmm5
    V NONE, \op 5(SI), %xmm12, %xmm5
.endr
V NONE, vaesimc %xmm3, %xmm5
V NONE, vaeskeygenassist $27, %xmm3, %xmm5
V NONE, vpclmulqdq $0x10, %xmm3, %xmm12, %xmm5

    .purgem ENTRY
#define BLS 0x8c1
GROUP(bmi1)
T BLS, andn %rcx, %rdx, %r8
T BLS, andn 4(SI), %edx, %r8d
T 0x841, bextr %rcx, %rdx, %r8
T 0x841, bextr %ecx, 4(SI), %r8d
.irp op, blsi, blsr, blsmsk
    T BLS, \op %rcx, %r8
    T BLS, \op 4(SI), %r8d
.endr
T CARRY, tzcnt %rcx, %r8
T CARRY, tzcntw 4(SI), %r8w

    .purgem ENTRY
GROUP(bmi2)
T BLS, bzhi %rcx, %rdx, %r8
T ALL, pdep %rcx, %rdx, %r8
T ALL, pext %rcx, %rdx, %r8
T ALL, pext 4(SI), %edx, %r8d
T ALL, mulx %rcx, %r8, %r9
T ALL, rorx $13, %rcx, %r8
T ALL, sarx %rcx, %rdx, %r8
T ALL, shlx %ecx, 4(SI), %r8d
T ALL, shrx %rcx, 4(SI), %r8

    .purgem ENTRY
GROUP(adx)
T ALL, adcx %rcx, %rdx
T ALL, adox 4(SI), %edx
C(ALL, adcx %rcx, %rdx; adox %rdx, %r8; adcx %r8, %r9)

    .bss
    .balign 16
uppers:
    .zero 256
