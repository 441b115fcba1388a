; A boot sector that writes a text to COM1, whose other end is the back end, reads the answer, shows it on a console port (E9h) and
; powers the machine off, which ends `backplane run` with exit code 0. If the answer is another one it hangs.
;
;   nasm -f bin -o guest.img guest.asm
org 0x7c00
bits 16

COM1 equ 0x3f8

    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov dx, COM1 + 3            ; 8 bits, no parity
    mov al, 3
    out dx, al
    dec dx                      ; FIFOs on and empty
    mov al, 7
    out dx, al

    mov si, text
    mov di, answer
    mov cx, text_length
.next:
    mov dx, COM1 + 5
.full:
    in al, dx
    test al, 0x20
    jz .full
    mov dx, COM1
    lodsb
    out dx, al
    mov dx, COM1 + 5
.silent:
    in al, dx
    test al, 1
    jz .silent
    mov dx, COM1
    in al, dx
    stosb
    out 0xe9, al
    loop .next

    mov si, answer
    mov di, expected
    mov cx, text_length
    repe cmpsb
    jne $
    mov si, shutdown            ; the power switch of the boards
    mov dx, 0x8900
.power:
    lodsb
    test al, al
    jz $
    out dx, al
    jmp .power

text        db "is anybody there?", 13, 10
text_length equ $ - text
expected    db "IS ANYBODY THERE?", 13, 10
shutdown    db "Shutdown", 0

    times 510 - ($ - $$) db 0
    dw 0xaa55

answer:
