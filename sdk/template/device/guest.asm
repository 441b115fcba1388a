; A boot sector that uses the lamp and says on COM1 what it sees: switches it on, waits until it is lit, looks for its interrupt,
; switches it off. Then it powers the machine off, which ends `backplane run` with exit code 0; if it waits in vain it never does.
;
;   nasm -f bin -o guest.img guest.asm
org 0x7c00
bits 16

LAMP equ 0x2f0                  ; `at:` of the VM file
COM1 equ 0x3f8
PIC  equ 0x20
IRQ5 equ 1 << 5

    cli
    xor ax, ax
    mov ds, ax
    mov dx, COM1 + 3            ; 8 bits, no parity
    mov al, 3
    out dx, al

    mov dx, LAMP
    mov al, 1
    out dx, al
.dark:
    in al, dx
    test al, 2
    jz .dark
    mov si, lit
    call print

    mov al, 0x0a                ; OCW3: the next read is the request register
    out PIC, al
.quiet:                         ; it is lit only half of the time
    in al, PIC
    test al, IRQ5
    jz .quiet
    mov si, requested
    call print

    mov dx, LAMP
    xor al, al
    out dx, al
    in al, dx
    test al, al
    jnz $                       ; still on: hangs
    mov si, off
    call print

    mov si, shutdown            ; the power switch of the boards
    mov dx, 0x8900
.power:
    lodsb
    test al, al
    jz $
    out dx, al
    jmp .power

print:
    lodsb
    test al, al
    jz .end
    mov ah, al
    mov dx, COM1 + 5
.full:
    in al, dx
    test al, 0x20
    jz .full
    mov dx, COM1
    mov al, ah
    out dx, al
    jmp print
.end:
    ret

lit       db "the lamp is lit", 13, 10, 0
requested db "interrupt 5 is requested", 13, 10, 0
off       db "the lamp is off", 13, 10, 0
shutdown  db "Shutdown", 0

    times 510 - ($ - $$) db 0
    dw 0xaa55
