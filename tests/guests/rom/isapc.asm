; What a PC/AT without PCI and without a BIOS looks like to the first program that runs on it. Every finding is one line on COM1;
; the exit code counts what was wrong.

%include "rom.inc"

%define ticks VARIABLES          ; counted by the interrupt handlers
%define periods VARIABLES + 2
%define transfers VARIABLES + 4
%define wrong VARIABLES + 6
%define gdt_pointer VARIABLES + 8

main:
    mov word [es:wrong], 0
    print "isapc guest", 10
    call memory
    call a20
    call bus
    call vectors
    call timer
    call clock
    call keyboard
    call disk
    print "wrong: "
    movzx eax, word [es:wrong]
    call dec32
    print 10
    mov al, [es:wrong]
    add al, 0x10                 ; 33 when all is well: no code that a failure of the program could have
    ret

; Memory as the CMOS tells it, and its end as it is.
memory:
    print "memory: base "
    mov al, 0x15
    call cmos16
    movzx eax, ax
    call dec32
    print " KiB, extended "
    mov al, 0x17
    call cmos16
    movzx eax, ax
    push eax
    call dec32
    print " KiB, above 16 MiB "
    mov al, 0x34
    call cmos16
    movzx eax, ax
    push eax
    call dec32
    print " x 64 KiB", 10
    pop edi
    pop eax
    test edi, edi
    jz .small
    shl edi, 16
    add edi, 16 << 20
    jmp .probe
.small:
    mov edi, eax
    shl edi, 10
    add edi, 1 << 20
.probe:                          ; edi: the first address without memory
    mov al, 2                    ; A20 on, or odd megabytes show their lower neighbours
    out 0x92, al
    call flat_es
    mov dword [es:edi - 4], 0x600df00d
    mov ebx, [es:edi - 4]
    mov dword [es:edi], 0x0badf00d
    mov ecx, [es:edi]
    xor ax, ax
    mov es, ax
    print "end of memory: "
    mov eax, ebx
    shr eax, 16
    call hex16
    mov ax, bx
    call hex16
    print " "
    mov eax, ecx
    shr eax, 16
    call hex16
    mov ax, cx
    call hex16
    print 10
    ret

; ES with a limit of 4 GiB.
flat_es:
    mov word [es:gdt_pointer], gdt.end - gdt - 1
    mov dword [es:gdt_pointer + 2], 0xf0000 + gdt
    lgdt [es:gdt_pointer]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    mov bx, 8
    mov es, bx
    and al, ~1
    mov cr0, eax
    ret
align 8
gdt:
    dq 0
    dw 0xffff, 0, 0x9200, 0x00cf
.end:

; With the gate closed 10_0600h is 600h.
a20:
    print "A20:"
    mov al, 0
    out 0x92, al
    call .look
    mov al, 2
    out 0x92, al
    call .look
    print 10
    ret
.look:
    mov word [es:0x0500], 0x1234
    mov ax, 0xffff
    mov fs, ax
    mov word [fs:0x0510], 0x5678
    print " "
    mov ax, [es:0x0500]
    jmp hex16

; No PCI: its ports are nobody's.
bus:
    print "port CF8h: "
    mov dx, 0xcf8
    mov eax, 0x80000000
    out dx, eax
    in eax, dx
    mov ebx, eax
    shr eax, 16
    call hex16
    mov ax, bx
    call hex16
    print 10
    ret

vectors:
    mov dword [es:4*VECTOR1], 0xf0000000 + on_tick
    mov dword [es:4*VECTOR2], 0xf0000000 + on_period
    mov dword [es:4*(VECTOR2 + 6)], 0xf0000000 + on_transfer
    mov dword [es:ticks], 0
    mov word [es:transfers], 0
    jmp pic_init

on_tick:
    inc word [es:ticks]
    push ax
    mov al, 0x20
    out PIC1, al
    pop ax
    iret
on_period:
    inc word [es:periods]
    push ax
    mov al, 0x0c                 ; reading it makes room for the next
    call cmos8
    jmp end_of_slave_interrupt
on_transfer:
    inc word [es:transfers]
    push ax
    push dx
    mov dx, IDE + 7
    in al, dx
    pop dx
end_of_slave_interrupt:
    mov al, 0x20
    out PIC2, al
    out PIC1, al
    pop ax
    iret

; Ten periods of 1/1000 s, as interrupts.
timer:
    mov al, 0x34
    out 0x43, al
    mov al, 1193 & 255
    out 0x40, al
    mov al, 1193 >> 8
    out 0x40, al
    mov al, 0xfe
    out PIC1 + 1, al
.wait:
    sti
    hlt
    cli
    cmp word [es:ticks], 10
    jb .wait
    mov al, 0xff
    out PIC1 + 1, al
    print "timer: 10 interrupts", 10
    ret

; Register D says that time is valid; the periodic interrupt comes through the second controller.
clock:
    print "clock: register D "
    mov al, 0x0d
    call cmos8
    call hex8
    mov al, 0x0a
    call cmos8
    mov bl, al
    mov al, 0x0a
    out 0x70, al
    mov al, bl
    and al, 0xf0
    or al, 6                     ; 1024 Hz
    out 0x71, al
    mov al, 0x0b
    call cmos8
    mov bl, al
    mov al, 0x0b
    out 0x70, al
    mov al, bl
    or al, 0x40
    out 0x71, al
    mov al, 0x0c
    call cmos8
    mov al, 0xfb                 ; the cascade
    out PIC1 + 1, al
    mov al, 0xfe
    out PIC2 + 1, al
.wait:
    sti
    hlt
    cli
    cmp word [es:periods], 4
    jb .wait
    mov al, 0x0b
    out 0x70, al
    mov al, bl
    out 0x71, al
    mov al, 0xff
    out PIC2 + 1, al
    print ", 4 interrupts", 10
    ret

keyboard:
    print "keyboard controller: "
.drain:                          ; the keyboard may have something to say after its reset
    in al, 0x64
    test al, 1
    jz .ask
    in al, 0x60
    jmp .drain
.ask:
    mov al, 0xaa
    out 0x64, al
.wait:
    in al, 0x64
    test al, 1
    jz .wait
    in al, 0x60
    call hex8
    print 10
    ret

disk:
    print "disk: CMOS"
    mov bl, 0x12
    call .cmos
    mov bl, 0x19
    call .cmos
    mov bl, 0x1b                 ; the record of the first disk
.record:
    call .cmos
    cmp bl, 0x24
    jb .record
    print 10
    mov al, 0x12
    call cmos8
    test al, 0xf0
    jz .none
    mov al, 0xfb
    out PIC1 + 1, al
    mov al, 0xbf                 ; IRQ 14
    out PIC2 + 1, al
    mov cl, 0xec                 ; IDENTIFY DEVICE
    xor eax, eax
    call .read
    jc .bad
    print "disk: "
    mov bx, BUFFER + 2*1         ; cylinders, heads, sectors
    call .number
    print "/"
    mov bx, BUFFER + 2*3
    call .number
    print "/"
    mov bx, BUFFER + 2*6
    call .number
    print ", "
    mov eax, [es:BUFFER + 2*60]
    call dec32
    print " sectors, "
    mov si, BUFFER + 2*27        ; the model, two characters a word, the first above
    mov cx, 20
.model:
    mov al, [es:si + 1]
    call .letter
    mov al, [es:si]
    call .letter
    add si, 2
    loop .model
    print 10
    mov cl, 0x20                 ; READ SECTORS
    xor eax, eax
    call .read
    jc .bad
    print "sector 0: "
    mov si, BUFFER
    mov cx, 16
.text:
    mov al, [es:si]
    call .letter
    inc si
    loop .text
    print " "
    mov ax, [es:BUFFER + 510]
    call hex16
    print 10
    print "disk: "
    movzx eax, word [es:transfers]
    call dec32
    print " interrupts", 10
    ret
.none:
    print "disk: none", 10
    ret
.bad:
    print "disk: error "
    mov dx, IDE + 1
    in al, dx
    call hex8
    print 10
    inc word [es:wrong]
    ret
.cmos:
    print " "
    mov al, bl
    inc bl
    call cmos8
    jmp hex8
.number:
    movzx eax, word [es:bx]
    jmp dec32
.letter:
    test al, al
    jnz put
    ret
; One sector into the buffer, at the drive's interrupt.
.read:
    mov bx, [es:transfers]
    inc bx
    call ide_command
    jc .end
.wait:
    sti
    hlt
    cli
    cmp [es:transfers], bx
    jne .wait
    call ide_data
    jc .end
    mov dx, IDE
    mov di, BUFFER
    mov cx, 256
    rep insw
    clc
.end:
    ret
