; Firmware of 64 KiB for state comparisons: from reset through all modes of the processor, without a device. A label that begins with
; `at_` is a checkpoint, where the state is compared. It never ends.

%define PML4 0x10000
%define PDPT 0x11000
%define PD 0x12000
%define PT 0x13000
%define STACK 0x9000
%define TSS 0x6000
%define GDT 0x5000
%define IDT 0x4000
%define DATA 0x2000

bits 16
org 0

; Everything below runs at F000:xxxx, so that an offset is 20 bits of the address with F0000h.
%define HERE(label) ((label) - $$ + 0xf0000)

start:
at_real_flat:
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, STACK
    mov word [DATA], 0x8001
at_real_segments:
    mov ax, 0x1234
    mov fs, ax
    mov ax, 0xffff
    mov gs, ax
    mov cx, 0x77
    mov ax, 0x8765
    imul cx
    mov [DATA + 2], ax
    mov [DATA + 4], dx
    push cs
    push word DATA
    pushf
    popf
    std
    stc
at_real_flags:
    cld
    ; Interrupt vector 20h, and a return from it.
    mov word [0x20 * 4], real_handler
    mov word [0x20 * 4 + 2], 0xf000
    int 0x20
at_real_interrupted:
    ; x87: values of all kinds.
    fninit
    fldpi
    fld1
    fldl2e
    fldz
    fdivp                        ; 0 / log2(e)
    fdiv                         ; 1 / 0
at_real_x87:
    ; Tables in memory.
    mov si, gdt_image
    mov di, GDT
    mov cx, gdt_end - gdt_image
    rep cs movsb
    lgdt [cs:gdt_pointer]
    lidt [cs:idt_pointer]
at_tables:
    mov eax, cr0
    or al, 1
    mov cr0, eax
at_protected_16:
    jmp dword 0x08:HERE(protected)

real_handler:
    pusha
    inc word [DATA + 6]
    popa
    iret

bits 32
protected:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov fs, ax
    mov gs, ax
    mov esp, STACK
at_protected_32:
    mov ax, 0x40                 ; expand-down
    mov fs, ax
    mov ax, 0x48                 ; 16-bit, byte granular
    mov gs, ax
    mov ax, 0x30
    lldt ax
    mov ax, 0x28
    ltr ax
at_protected_system:
    ; Page tables: 2 MiB pages, the first one by 4 KiB pages, for PAE and long mode.
    mov edi, PML4
    xor eax, eax
    mov ecx, 0x4000 / 4
    rep stosd
    mov dword [PML4], PDPT | 7
    mov dword [PDPT], PD | 1     ; in PAE mode nothing else is allowed here
    mov dword [PD], PT | 7
    mov dword [PD + 8], 0x200087
    mov edi, PT
    mov eax, 7
.pages:
    mov [edi], eax
    add edi, 8
    add eax, 0x1000
    cmp edi, PT + 0x1000
    jb .pages
    ; 32-bit paging first: one 4 MiB page.
    mov eax, cr4
    or al, 0x10
    mov cr4, eax
    mov dword [0x14000], 0x87
    mov eax, 0x14000
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80010000
    mov cr0, eax
at_paging_32:
    mov eax, [0x200010]
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    mov eax, cr4
    or al, 0x20
    mov cr4, eax
    mov eax, PDPT
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    mov dword [0x200010], 0x55aa
at_paging_pae:
    ; SSE, if it is there.
    mov eax, cr4
    or eax, 0x600
    mov cr4, eax
    movups xmm0, [HERE(vector)]
    movaps xmm1, xmm0
    addps xmm1, xmm0
    mulps xmm1, xmm1
    divss xmm1, xmm0
    cvtps2pd xmm2, xmm0
    sqrtpd xmm3, xmm2
at_sse:
    ; Ring 3 and back by an interrupt.
    mov dword [TSS + 4], STACK - 0x400
    mov dword [TSS + 8], 0x10
    mov dword [IDT + 0x30 * 8], 0x00080000 | (HERE(from_user) & 0xffff)
    mov dword [IDT + 0x30 * 8 + 4], 0x000fee00
    mov dword [IDT + 14 * 8], 0x00080000 | (HERE(page_fault) & 0xffff)
    mov dword [IDT + 14 * 8 + 4], 0x000f8e00
    push dword 0x23
    push dword STACK - 0x800
    push dword 0x3002               ; no interrupts: nobody has set up the controllers
    push dword 0x1b
    push dword HERE(user)
    iretd
user:
    mov ax, 0x23
    mov ds, ax
    mov es, ax
    mov fs, ax
at_user:
    int 0x30
from_user:
at_from_user:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    add esp, 20
    ; A page fault, whose handler mends it. The checkpoints are reached in the order of their addresses.
    jmp behind
page_fault:
at_page_fault:
    or dword [PT + 0x50 * 8], 1
    add esp, 4
    iretd
behind:
    and dword [PT + 0x50 * 8], ~1
    invlpg [0x50000]
    mov dword [0x50008], 0x1234
at_page_fault_mended:
    ; Long mode.
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    mov dword [PDPT], PD | 7
    mov eax, PML4
    mov cr3, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x901                ; NXE, LME, SCE
    wrmsr
at_long_enabled:
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
at_compatibility:
    jmp 0x50:HERE(long64)

bits 64
long64:
    mov rax, 0xfedcba9876543210
    mov r8, rax
    not r8
    mov r9, rsp
    lea r15, [rel long64]
    mov ecx, 0xc0000100          ; FS base
    mov eax, 0x12345678
    mov edx, 0x7fff
    wrmsr
    mov ecx, 0xc0000102          ; kernel GS base
    wrmsr
    swapgs
at_long:
    movd xmm15, eax
    movq xmm14, r8
    pshufd xmm13, xmm14, 0x1b
    cvtsi2sd xmm12, r8
    fild qword [rel vector]
    fxsave64 [DATA + 0x200]
at_long_vectors:
    mov eax, 0x0f                ; CR8
    mov cr8, rax
    mov rax, cr8
    mov rbx, 0x00007ffffffff000
    bts rbx, 63
    mov rcx, rbx
    imul rcx, rax
    cqo
    mov ax, 0x10
    mov ss, ax
at_long_cr8:
    xor eax, eax
    mov cr8, rax
    ; System call and return.
    mov ecx, 0xc0000081
    xor eax, eax
    mov edx, 0x00130050
    wrmsr
    mov ecx, 0xc0000082
    lea rax, [rel system_call]
    xor edx, edx
    wrmsr
    mov ecx, 0xc0000084
    mov eax, 0x600
    xor edx, edx
    wrmsr
    lea rcx, [rel user64]
    mov r11d, 0x3002
    o64 sysret
user64:
    mov rdx, rsp
at_user64:
    std
    syscall
system_call:
at_system_call:
    mov rsp, STACK
    ; No-execute and accessed and dirty bits.
    mov rax, [0x60000]
    mov [0x61000], rax
at_long_tables:
    jmp $

align 8
vector: dd 1.5, -2.25, 3.0e10, 0x00000001
gdt_image:
    dq 0
    dq 0x00cf9a000000ffff        ; 08 code
    dq 0x00cf92000000ffff        ; 10 data
    dq 0x00cffa000000ffff        ; 18 code, ring 3
    dq 0x00cff2000000ffff        ; 20 data, ring 3
    dq 0x0000890060000067        ; 28 TSS
    dq 0x000082007000001f        ; 30 LDT
    dq 0
    dq 0x00cf96000000ffff        ; 40 expand-down
    dq 0x000092012340ffff        ; 48 16-bit data
    dq 0x00af9a000000ffff        ; 50 code, 64 bits
    dq 0x00cf92000000ffff        ; 58
gdt_end:
gdt_pointer:
    dw gdt_end - gdt_image - 1
    dd GDT
idt_pointer:
    dw 0x7ff
    dd IDT

    times 0xfff0 - ($ - $$) db 0
bits 16
reset:
    jmp 0xf000:start
    times 0x10000 - ($ - $$) db 0
