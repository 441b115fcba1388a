; What an exchange of the engine must not lose, in as few instructions as possible, so that a test can exchange at each of them:
; interrupts that are pending, come in HLT, in the shadows of STI and MOV SS and in the middle of REP MOVS, single steps, in real
; mode and in 64-bit mode. Every event mixes the time-stamp counter and where it came into a sum.

%include "rom.inc"
cpu x64

%define sum VARIABLES
%define ticks VARIABLES + 4
%define steps VARIABLES + 8
%define PERIOD 4                 ; of the timer: 3.4 us
%define TABLES 0x10000           ; PML4, page directory pointers, page directory
%define IDT64 0x13000
%define COPY 0x14000

%macro mix 1                     ; EAX to the sum
    rol dword [es:sum], 7
    xor [es:sum], %1
%endmacro

; Busy until a tick is pending.
%macro pending 0
    mov cx, 400
%%wait:
    loop %%wait
%endmacro

main:
    mov dword [es:4*VECTOR1], 0xf0000000 + on_tick
    mov dword [es:4*1], 0xf0000000 + on_step
    xor eax, eax
    mov [es:sum], eax
    mov [es:ticks], eax
    mov [es:steps], eax
    call pic_init
    mov al, 0x34
    out 0x43, al
    mov al, PERIOD
    out 0x40, al
    mov al, 0
    out 0x40, al
    mov al, 0xfe
    out PIC1 + 1, al

    sti                          ; waiting
    hlt
    nop
    hlt
    cli
    pending
    sti                          ; the tick comes behind the instruction after STI
    nop
    nop
    cli
    pending
    sti
    cli                          ; and not at all here
    nop
    pending
    sti
    mov ax, 0
    mov ss, ax                   ; the shadow of MOV SS over a pending tick
    mov sp, STACK - 2
    nop
    pushf                        ; single steps, over the shadow and a string instruction
    or word [esp], 0x100
    popf
    nop
    mov ss, ax
    nop
    mov si, 0
    mov di, COPY >> 4
    push es
    mov es, di
    xor di, di
    mov cx, 5
    rep movsb
    pop es
    pushf
    and word [esp], 0xfeff
    popf
    push es                      ; interrupts in the middle of a string instruction
    mov ax, COPY >> 4
    mov es, ax
    xor si, si
    xor di, di
    mov cx, 4000
    rep movsb
    pop es
    fninit                       ; x87 with an error that waits
    fldcw [zero_divide]
    fldz
    fld1
    fdivrp
    nop
    fnstsw ax
    mix eax
    fnclex
    cli
    jmp long_part

on_tick:
    push bp
    mov bp, sp
    push eax
    push edx
    inc dword [es:ticks]
    rdtsc
    mix eax
    movzx eax, word [bp + 2]
    mix eax
    mov al, 0x20
    out PIC1, al
    pop edx
    pop eax
    pop bp
    iret

on_step:
    push bp
    mov bp, sp
    push eax
    inc dword [es:steps]
    movzx eax, word [bp + 2]
    mix eax
    mov eax, dr6
    mix eax
    pop eax
    pop bp
    iret

long_part:
    push es
    mov ax, TABLES >> 4
    mov es, ax
    xor di, di
    xor eax, eax
    mov cx, 0x3000 / 4
    rep stosd
    mov dword [es:0], TABLES + 0x1003
    mov dword [es:0x1000], TABLES + 0x2003
    mov dword [es:0x2000], 0x83
    pop es
    push es
    mov ax, IDT64 >> 4
    mov es, ax
    mov di, VECTOR1 * 16
    mov word [es:di], on_tick64
    mov word [es:di + 2], 8
    mov dword [es:di + 4], 0x000f8e00
    mov dword [es:di + 8], 0
    pop es
    mov eax, cr4
    or al, 0x20
    mov cr4, eax
    mov eax, TABLES
    mov cr3, eax
    mov ecx, 0xc0000080
    rdmsr
    or ah, 1
    wrmsr
    lgdt [cs:gdt_register]
    lidt [cs:idt_register]
    mov eax, cr0
    or eax, 0x80000001
    mov cr0, eax
    jmp dword 8:0xf0000 + in_long_mode

bits 64
in_long_mode:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov r15, 0x0123456789abcdef
    mov ecx, 400
.wait:
    loop .wait
    sti
    nop
    hlt
    cld
    mov esi, 0xf0000
    mov edi, COPY
    mov ecx, 2000
    rep movsq
    cli
    mov ecx, 400
.again:
    loop .again
    sti
    rol r15, 3
    nop
    cli
    mov eax, r15d
    rol dword [abs sum], 7
    xor [abs sum], eax
    push 24
    push leave_long_mode
    retfq

on_tick64:
    push rax
    push rdx
    inc dword [abs ticks]
    rdtsc
    rol dword [abs sum], 7
    xor [abs sum], eax
    mov rax, [rsp + 16]
    rol dword [abs sum], 7
    xor [abs sum], eax
    mov al, 0x20
    out PIC1, al
    pop rdx
    pop rax
    iretq

bits 16
leave_long_mode:
    mov ax, 32
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, cr0
    and eax, 0x7ffffffe
    mov cr0, eax
    jmp 0xf000:.real
.real:
    xor ax, ax
    mov es, ax
    mov ss, ax
    mov ax, cs
    mov ds, ax
    lidt [cs:idt_real]
    mov ax, [es:sum + 2]
    call hex16
    mov ax, [es:sum]
    call hex16
    print " sum, "
    mov eax, [es:ticks]
    call dec32
    print " ticks, "
    mov eax, [es:steps]
    call dec32
    print " steps", 10
    mov al, 21
    ret

zero_divide: dw 0x037b           ; not masked

align 8
gdt:
    dq 0
    dq 0x00af9b000000ffff        ; 64-bit code
    dq 0x00cf93000000ffff        ; data
    dq 0x00009b0f0000ffff        ; 16-bit code at F0000h
    dq 0x000093000000ffff        ; data of real mode
gdt_end:
gdt_register:
    dw gdt_end - gdt - 1
    dd 0xf0000 + gdt
idt_register:
    dw 0xfff
    dd IDT64
idt_real:
    dw 0x3ff
    dd 0
