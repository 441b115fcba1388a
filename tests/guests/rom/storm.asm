; Boot sector of a write storm: writes numbered sectors all over the first 2 MiB of its disk, flushes the drive's cache
; after every eighth, and only then says the number on COM1. Sector 1 + 37 * n mod 4096 gets the number n, 128 times.

cpu 386
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
    mov [drive], dl
    mov dx, COM1 + 3             ; 8N1
    mov al, 3
    out dx, al
.next:
    inc dword [number]
    mov eax, [number]
    mov di, 0x8000
    mov cx, 128
    rep stosd
    imul eax, eax, 37
    and eax, 4095
    inc eax
    mov [packet.lba], eax
    mov si, packet
    mov ax, 0x4300
    mov dl, [drive]
    int 0x13
    jc failed
    test byte [number], 7
    jnz .next
    mov dx, 0x1f6
    mov al, 0xe0
    out dx, al
    inc dx
    mov al, 0xe7                 ; FLUSH CACHE
    out dx, al
.busy:
    in al, dx
    test al, 0x80
    jnz .busy
    test al, 1
    jnz failed
    mov ebx, [number]
    mov cx, 8
.digit:
    rol ebx, 4
    mov al, bl
    and al, 15
    add al, '0'
    cmp al, '9'
    jbe .say
    add al, 'a' - '9' - 1
.say:
    call say
    loop .digit
    mov al, 10
    call say
    jmp .next

failed:
    mov al, '!'
    call say
    mov al, 10
    call say
.idle:
    hlt
    jmp .idle

say:
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

align 4
packet:
    db 16, 0
    dw 1
    dw 0x8000, 0
.lba:
    dd 0, 0
number dd 0
drive db 0
    times 510 - ($ - $$) db 0
    dw 0xaa55
