; Boot sector that prints what the first drive says of itself on COM1 - serial number, version and model, one a line - and leaves
; through the debug exit port F4h with 15h (exit code 43). Booted from that drive, so it is there.

cpu 386
bits 16
org 0x7c00

%define COM1 0x3f8
%define IDE 0x1f0
%define BUFFER 0x8000

start:
    cli                          ; the BIOS would take the drive's interrupt
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    cld
    mov dx, COM1 + 3             ; 8N1: after a reset characters have five bits
    mov al, 3
    out dx, al
    mov dx, 0x3f6
    mov al, 2                    ; no interrupt at all
    out dx, al
    mov dx, IDE + 6
    mov al, 0xa0
    out dx, al
    inc dx
    mov al, 0xec                 ; IDENTIFY DEVICE
    out dx, al
.busy:
    in al, dx
    test al, 0x80
    jnz .busy
    test al, 8
    jz .busy
    mov dx, IDE
    mov di, BUFFER
    mov cx, 256
    rep insw
    mov si, BUFFER + 2*10
    mov cx, 10
    call line
    mov si, BUFFER + 2*23
    mov cx, 4
    call line
    mov si, BUFFER + 2*27
    mov cx, 20
    call line
    mov dx, COM1 + 5
.drain:
    in al, dx
    test al, 0x40
    jz .drain
    mov al, 0x15
    out 0xf4, al
.idle:
    cli
    hlt
    jmp .idle

; CX words at SI, the first character of each above.
line:
    lodsw
    xchg al, ah
    call put
    mov al, ah
    call put
    loop line
    mov al, 10
put:
    push ax
    mov dx, COM1 + 5
.wait:
    in al, dx
    test al, 0x20
    jz .wait
    pop ax
    mov dx, COM1
    out dx, al
    ret

    times 510 - ($ - $$) db 0
    dw 0xaa55
