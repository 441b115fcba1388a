; Boot sector of a volume. It turns sector numbers into CHS addresses with the sectors per track and heads of its own BIOS
; parameter block, as the boot sectors of NT do, and asks nobody whether the firmware sees the disk that way. It reads
; sixteen sectors, in the pieces that the tracks allow, and looks whether they are those that it wanted.

cpu 386
bits 16
%include "say.inc"
org 0x7c00

start:
    jmp short code
    nop
    db "BACKPLAN"
    dw 512                       ; 0Bh bytes per sector
    db 8, 0, 0, 0, 0, 0, 0, 0
    db 0xf8                      ; 15h
    dw 0                         ; 16h
spt:
    dw 63                        ; 18h sectors per track
heads:
    dw 255                       ; 1Ah heads
hidden:
    dd 63                        ; 1Ch hidden sectors
    times 0x54 - ($ - start) db 0
code:
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    sti
    cld
    mov eax, [wanted]
    add eax, [hidden]
    mov bx, LOADER
    mov bp, SECTORS
.piece:
    push eax
    xor edx, edx
    movzx ecx, word [spt]
    div ecx                      ; eax: track, edx: sector in it
    mov si, cx
    sub si, dx                   ; sectors left in the track
    cmp si, bp
    jbe .fits
    mov si, bp
.fits:
    inc dl
    mov cl, dl
    xor edx, edx
    movzx edi, word [heads]
    div edi                      ; eax: cylinder, edx: head
    mov dh, dl
    mov ch, al
    shl ah, 6
    or cl, ah
    mov dl, [DRIVE]
    mov ax, si
    mov ah, 2
    int 0x13
    jc unreadable
    pop eax
    movzx ecx, si
    add eax, ecx
    sub bp, si
    shl si, 9
    add bx, si
    test bp, bp
    jnz .piece

    mov eax, [wanted]
    add eax, [hidden]
    mov si, LOADER
    mov cx, SECTORS
.look:
    cmp [si + 0x1f8], eax
    jne wrong
    mov edx, eax
    not edx
    cmp [si + 0x1fc], edx
    jne wrong
    inc eax
    add si, 512
    loop .look
    jmp 0:LOADER

unreadable:
    print "NT: a disk read error occurred", 13, 10
    jmp finish
wrong:
    print "NT: wrong sectors", 13, 10
    jmp finish

routines

    times 0x1f0 - ($ - start) db 0
wanted:
    dd 0                         ; 1F0h: first sector of the loader, counted in the volume
    times 0x1fe - ($ - start) db 0
    dw 0xaa55
