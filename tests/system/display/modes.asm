; A disk that draws a pattern in one video mode after another: a key press brings the next mode, a character on COM1 says
; that it takes keys and that a picture is complete. The table is at the end.
bits 16
org 0x7c00

%define SECTORS 4

start:
        cli
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7c00
        sti
        cld
        mov es, ax
        mov ax, 0x0200 + SECTORS - 1
        mov cx, 2
        mov dh, 0
        mov bx, 0x7e00
        int 0x13
        jc hang
        mov ax, 0x00e3              ; COM1: 9600 8N1
        xor dx, dx
        int 0x14
        mov si, modes
        call tell
.next:
        mov ah, 0
        int 0x16
        lodsw
        cmp ax, 0xffff
        je hang
        mov bp, ax
        push si
        call draw
        pop si
        add si, 2
        call tell
        jmp .next
tell:
        mov ax, 0x0100 + '.'
        xor dx, dx
        int 0x14
        ret
hang:
        hlt
        jmp hang

        times 510 - ($ - $$) db 0
        dw 0xaa55

; BP: mode, [SI]: kind, [SI + 1]: 64 KiB banks or 4 KiB units to fill
draw:
        cmp bp, 0x100
        jae vbe
        mov ax, bp
        int 0x10
        mov ah, 1                   ; no cursor: it blinks
        mov cx, 0x2000
        int 0x10
        mov al, [si]
        mov bx, 0xb800
        cmp al, 'p'
        je planar
        cmp al, '8'
        jne .window
        mov bx, 0xa000
.window:
        mov es, bx
        mov ch, [si + 1]
        shl ch, 4
        mov cl, 0
        xor di, di
        cmp al, 't'
        je text
.byte:
        mov ax, di
        add al, ah
        xor al, 0x5a
        stosb
        loop .byte
        ret

; Every character in every colour, but none that blinks.
text:
        mov ax, di
        shr ax, 1
        mov bx, ax
        shr bx, 3
        mov ah, bl
        and ah, 0x7f
        mov bl, al
        and bl, 0xf0
        cmp bl, 0xb0                ; whether these have a ninth dot is a matter of opinion
        jne .store
        mov al, 0x20
.store:
        stosw
        sub cx, 2
        jnz text
        ret

planar:
        mov bx, 0xa000
        mov es, bx
        xor cx, cx
.plane:
        mov dx, 0x3c4
        mov ax, 0x0102
        shl ah, cl
        out dx, ax
        xor di, di
        mov bh, [si + 1]
        shl bh, 4
        mov bl, 0
.byte:
        mov ax, di
        shr ax, cl
        xor al, ah
        add al, cl
        stosb
        dec bx
        jnz .byte
        inc cx
        cmp cl, 4
        jb .plane
        ret

vbe:
        mov ax, 0x4f02
        mov bx, bp
        int 0x10
        mov bx, 0xa000
        mov es, bx
        xor dx, dx
.bank:
        push dx
        mov ax, 0x4f05
        xor bx, bx
        int 0x10
        pop dx
        xor di, di
.word:
        mov ax, di
        mov bx, di
        rol bx, 5
        xor ax, bx
        add al, dl
        add ah, dl
        stosw
        test di, di
        jnz .word
        inc dx
        cmp dl, [si + 1]
        jb .bank
        ret

%macro entry 3
        dw %1
        db %2, %3
%endmacro
modes:
        entry 0x03, 't', 1
        entry 0x04, 'c', 4
        entry 0x06, 'c', 4
        entry 0x0d, 'p', 8
        entry 0x10, 'p', 7
        entry 0x12, 'p', 10
        entry 0x13, '8', 15
        entry 0x101, 'v', 5
        entry 0x110, 'v', 10
        entry 0x111, 'v', 10
        entry 0x112, 'v', 15
        entry 0x142, 'v', 19
        entry 0x118, 'v', 36
        dw 0xffff

        times SECTORS * 512 - ($ - $$) db 0
