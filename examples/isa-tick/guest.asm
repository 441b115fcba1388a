; Boot sector that uses the ticker at 2F0h, interrupt 5: takes ten interrupts, compares their number with the card's own count,
; prints the result on COM1 and switches the machine off.
;
;   nasm -f bin -o guest.img guest.asm

cpu 386
bits 16
org 0x7c00

%define TICK 0x2f0               ; control, status, period (word), count (dword)
%define IRQ 5
%define PERIOD 5                 ; units of 1 ms
%define WANTED 10

%define COM1 0x3f8
%define PIC1 0x20

start:
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    mov dx, COM1 + 3             ; 8N1: after a reset characters have five bits
    mov al, 3
    out dx, al

    mov word [4 * (8 + IRQ)], on_tick
    mov word [4 * (8 + IRQ) + 2], 0
    in al, PIC1 + 1
    push ax
    and al, ~(1 << IRQ) & 0xff
    out PIC1 + 1, al

    mov dx, TICK + 2
    mov ax, PERIOD
    out dx, ax
    mov dx, TICK
    mov al, 3                    ; run, interrupt
    out dx, al
.wait:
    sti                          ; takes effect behind the next instruction: no interrupt is missed before HLT
    hlt
    cli
    cmp word [ticks], WANTED
    jb .wait

    mov dx, TICK                 ; stopped, it keeps its count
    mov al, 0
    out dx, al
    inc dx
    in al, dx
    or [status], al
    and ax, 1                    ; a tick that came just before, and whose interrupt is not taken any more
    add [ticks], ax
    pop ax
    out PIC1 + 1, al
    mov dx, TICK + 4
    in eax, dx
    mov si, agrees
    movzx ebx, word [ticks]
    cmp eax, ebx
    je .said
    mov si, differs              ; a slow host may lose ticks, and then the card says so
    test byte [status], 2
    jz .said
    mov si, overrun
.said:
    push ax
    call print
    pop ax
    call decimal
    mov si, interrupts
    call print
    mov ax, [ticks]
    call decimal
    mov al, 10
    call put

    mov dx, COM1 + 5             ; the power goes when the last character is out
.drain:
    in al, dx
    test al, 0x40
    jz .drain
    mov si, shutdown
    mov dx, 0x8900
    mov cx, 8
    rep outsb
.end:
    cli
    hlt
    jmp .end

on_tick:
    push ax
    push dx
    inc word [cs:ticks]
    mov dx, TICK + 1
    in al, dx
    or [cs:status], al
    out dx, al                   ; acknowledges what was read
    mov al, 0x20
    out PIC1, al
    pop dx
    pop ax
    iret

print:
    lodsb
    test al, al
    jz .done
    call put
    jmp print
.done:
    ret

; AX in decimal, keeps nothing but SI.
decimal:
    mov bx, 10
    xor cx, cx
.divide:
    xor dx, dx
    div bx
    push dx
    inc cx
    test ax, ax
    jnz .divide
.digits:
    pop ax
    add al, '0'
    call put
    loop .digits
    ret

put:
    push dx
    push ax
    mov dx, COM1 + 5
.wait:
    in al, dx
    test al, 0x20
    jz .wait
    pop ax
    mov dx, COM1
    out dx, al
    pop dx
    ret

ticks dw 0
status db 0
agrees db "agrees: count ", 0
differs db "differs: count ", 0
overrun db "overrun: count ", 0
interrupts db ", interrupts ", 0
shutdown db "Shutdown"

    times 510 - ($ - $$) db 0
    dw 0xaa55
