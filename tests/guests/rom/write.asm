; Boot sector that writes the next sector of its disk through the BIOS, says so on COM1 and idles: nobody flushes the drive.

cpu 8086
bits 16
org 0x7c00

%define COM1 0x3f8

start:
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    sti
    cld
    push dx                      ; the BIOS's number of the drive
    mov dx, COM1 + 3             ; 8N1: after a reset characters have five bits
    mov al, 3
    out dx, al
    pop dx
    mov di, 0x8000               ; 512 bytes of the pattern
    mov bx, 32
.fill:
    mov si, pattern
    mov cx, 8
    rep movsw
    dec bx
    jnz .fill
    mov ax, 0x0301
    mov bx, 0x8000
    mov cx, 0x0002
    mov dh, 0
    int 0x13
    mov si, written
    jnc .say
    mov si, failed
.say:
    lodsb
    test al, al
    jz .idle
    mov ah, al
    mov dx, COM1 + 5
.wait:
    in al, dx
    test al, 0x20
    jz .wait
    mov al, ah
    mov dx, COM1
    out dx, al
    jmp .say
.idle:
    hlt
    jmp .idle

pattern db "sector of a test"
written db "written", 10, 0
failed db "error", 10, 0
    times 510 - ($ - $$) db 0
    dw 0xaa55
