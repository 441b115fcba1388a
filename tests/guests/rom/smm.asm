; System management mode: a handler at SMBASE 30000h, then one in SMRAM; says what the save area holds and what the handler finds.

%include "rom.inc"

%define APMC 0xb2
%define COUNT 0x5000             ; linear: SMIs served
%define COMMAND 0x5004           ; what the handler shall do
%define FLAG 0x5008
%define COPY 0x60000             ; linear: the save area's upper 512 bytes, then what the handler found itself
%define AREA 0xfe00              ; the same in the handler's code segment
%define PATTERN 0x5a

; Some emulators take the SMI a branch or two later.
%macro smi 0
    out APMC, al
%rep 4
    jmp short $ + 2
%endrep
%endmacro

%macro command 1
    mov dword [es:COMMAND], %1
%endmacro

; show "name", offset of the field in the save area (7E00h-7FFFh), or 8000h + n of what the handler found.
%macro show 2
    print %1, " "
    mov bx, %2 - 0x7e00
    call hex32_copied
%endmacro

main:
    call pic_init
    mov ax, handler
    mov cx, 0x3000
    call plant
    mov eax, 0x8000005a          ; function 1.3, 58h: APMC_EN
    or ah, 0x0b
    and al, 0xfc
    mov dx, 0xcf8
    out dx, eax
    mov dx, 0xcff
    mov al, 2
    out dx, al

    mov ax, 0x1234
    mov gs, ax
    mov esi, 0x51515151
    mov ebp, 0xb0b0b0b0
    command 1
    xor eax, eax
    stc
    mov eax, 0xcafe0001
before_out:
    smi
after_out:
    print "from real mode", 10
    call show_all
    print "EIP is behind OUT: "
    push word COPY >> 4
    pop fs
    mov ax, [fs:0x7ff0 - 0x7e00]
    sub ax, before_out + 2
    cmp ax, after_out - (before_out + 2)
    setbe al
    cmp al, 1
    call yes_if_equal

    command 2
    mov eax, 1
    smi
    print "EAX from the handler: "
    call hex32
    call line

    ; From protected mode, with segments of its own.
    command 1
    lgdt [cs:gdt_register]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp dword 8:protected
bits 32
protected:
    mov ax, 16
    mov ds, ax
    std
    smi
    cld
    mov edx, [0x10]              ; with the base that the segment had
    mov ax, 24
    mov ds, ax
    jmp 32:leave_protected
bits 16
leave_protected:
    mov eax, cr0
    and al, 0xfe
    mov cr0, eax
    jmp 0xf000:real
real:
    mov ax, cs
    mov ds, ax
    mov edi, edx
    print "from protected mode", 10
    call show_all
    print "DS works as before: "
    mov eax, edi
    xor bx, bx
    mov dx, 0x1000
    push ds
    mov ds, dx
    cmp eax, [0x10]
    pop ds
    call yes_if_equal

    ; To SMRAM.
    mov al, 0x4a
    call smram
    mov ax, handler
    mov cx, 0xa000
    call plant
    mov dx, 0xa900
    mov fs, dx
    mov byte [fs:0], PATTERN
    mov byte [fs:0x1000], PATTERN    ; for the handler: an emulator may remember that the first place was hidden
    print "open SMRAM is memory: "
    cmp byte [fs:0], PATTERN
    call yes_if_equal
    command 3
    smi
    mov al, 0x0a
    call smram
    print "and hidden when closed: "
    cmp byte [fs:0], PATTERN
    call no_if_equal
    mov byte [fs:0], 0xee
    command 4
    smi
    print "the handler there finds "
    show "byte", 0x8010
    show "its segment", 0x8008
    show "SMBASE", 0x7ef8

    command 7
    mov dword [es:COUNT], 0
    smi
    print "SMIs with one raised inside: "
    mov eax, [es:COUNT]
    call hex32
    call line

    ; The timer's interrupt as an SMI, through the local interrupt pin, while the processor halts with interrupts off.
    command 5
    smi
    command 6
    mov dword [es:COUNT], 0
    mov al, 0x30
    out 0x43, al
    mov al, 0
    out 0x40, al
    mov al, 0x40
    out 0x40, al
    mov al, 0xfe
    out PIC1 + 1, al
    cli
    hlt
after_halt:
    print "behind HLT, SMIs: "
    mov eax, [es:COUNT]
    call hex32
    call line
    print "EIP was behind HLT: "
    mov ax, after_halt
    mov bx, 0x7ff0 - 0x7e00
    call compare

    mov word [es:6 * 4], undefined
    mov [es:6 * 4 + 2], cs
    rsm
    print "RSM outside did something", 10
    mov al, 1
    ret
undefined:
    add sp, 6
    print "RSM outside is undefined", 10
    mov al, 0x10
    ret

show_all:
    show "CR0", 0x7ffc
    show "CR3", 0x7ff8
    show "EFLAGS", 0x7ff4
    show "EDI", 0x7fec
    show "ESI", 0x7fe8
    show "EBP", 0x7fe4
    show "ESP", 0x7fe0
    show "EAX", 0x7fd0
    show "DR6", 0x7fcc
    show "DR7", 0x7fc8
    show "CS", 0x7fac
    show "CS base", 0x7f90 + 8
    show "CS limit", 0x7f90 + 4
    show "DS", 0x7fb4
    show "DS base", 0x7f2c + 8
    show "DS limit", 0x7f2c + 4
    show "GS", 0x7fbc
    show "GS base", 0x7f2c + 24 + 8
    show "GDT base", 0x7f74
    show "GDT limit", 0x7f70
    show "CR4", 0x7f14
    show "revision", 0x7efc
    show "SMBASE", 0x7ef8
    print "the handler finds", 10
    show "CR0", 0x8000
    show "EFLAGS", 0x8004
    show "CS", 0x8008
    show "DS, SS", 0x800c
    show "DR7", 0x8014
    ret

; EAX in hexadecimal.
hex32:
    push eax
    shr eax, 16
    call hex16
    pop eax
    jmp hex16
hex32_copied:
    push eax
    push ds
    push word COPY >> 4
    pop ds
    mov eax, [bx]
    pop ds
    call hex32
    call line
    pop eax
    ret
line:
    push ax
    mov al, 10
    call put
    pop ax
    ret
; AX against the word of the copy at BX.
compare:
    push ds
    push word COPY >> 4
    pop ds
    cmp ax, [bx]
    pop ds
yes_if_equal:
    je .yes
    print "no", 10
    ret
.yes:
    print "yes", 10
    ret
no_if_equal:
    je .no
    print "yes", 10
    ret
.no:
    print "no", 10
    ret

; AL to the SMRAM register of the host bridge.
smram:
    push ax
    mov eax, 0x80000070
    mov dx, 0xcf8
    out dx, eax
    pop ax
    mov dx, 0xcfe
    out dx, al
    ret

; The handler to CX:8000h.
plant:
    push es
    mov es, cx
    mov si, ax
    mov di, 0x8000
    mov cx, handler_end - handler
    rep movsb
    pop es
    ret

; Runs at CS:8000h whatever CS is; DS and SS have base 0. RSM loads all registers.
handler:
    mov esp, 0x7800
    inc dword [COUNT]
    mov si, AREA
    mov edi, COPY
    mov cx, 0x200
.copy:
    mov al, [cs:si]
    mov [edi], al
    inc si
    inc edi
    loop .copy
    mov eax, cr0
    mov [edi], eax
    pushfd
    pop eax
    and eax, 0xffffff00          ; what the loop left aside
    mov [edi + 4], eax
    xor eax, eax
    mov ax, cs
    mov [edi + 8], eax
    mov ax, ds
    shl eax, 16
    mov ax, ss
    mov [edi + 12], eax
    movzx eax, byte [dword 0xaa000]
    mov [edi + 16], eax
    mov eax, dr7
    mov [edi + 20], eax
    mov eax, [COMMAND]
    cmp al, 2
    je .eax
    cmp al, 3
    je .move
    cmp al, 5
    je .pin
    cmp al, 6
    je .halt
    cmp al, 7
    je .again
.end:
    rsm
.eax:
    mov dword [cs:0xffd0], 0x12345678
    jmp .end
.move:
    mov dword [cs:0xfef8], 0xa0000
    jmp .end
.pin:
    mov dword [dword 0xfee000f0], 0x1ff
    mov dword [dword 0xfee00350], 0x200  ; LINT0: SMI
    jmp .end
.halt:
    mov dword [dword 0xfee00350], 0x10200  ; no more
    mov word [cs:0xff02], 0      ; on behind HLT
    jmp .end
.again:
    cmp dword [COUNT], 1
    jne .end
    out APMC, al
    out APMC, al
    jmp .end
handler_end:

align 8
gdt:
    dq 0
    dq 0x00cf9a0f0000ffff        ; 8: code, base F0000h
    dq 0x00cf92010000ffff        ; 16: data, base 10000h
    dq 0x000092000000ffff        ; 24: data as in real mode
    dq 0x00009a0f0000ffff        ; 32: 16-bit code, base F0000h
gdt_register:
    dw gdt_register - gdt - 1
    dd 0xf0000 + gdt
