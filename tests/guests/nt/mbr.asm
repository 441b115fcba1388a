; Master boot record: loads the boot sector of the active partition by the CHS address in its entry, as those of DOS and
; NT do for partitions that are not marked as LBA. Without an active entry: by the address at 1B0h.

cpu 386
bits 16
%include "say.inc"
%define HERE 0x0800
org HERE

start:
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    mov si, sp
    mov di, HERE
    mov cx, 256
    rep movsw
    jmp 0:moved
moved:
    sti
    mov [DRIVE], dl
    mov si, HERE + 0x1be
    mov cx, 4
.entry:
    cmp byte [si], 0x80
    je .found
    add si, 16
    loop .entry
    mov si, HERE + 0x1b0 - 1     ; head, sector, cylinder stand where an entry has them
.found:
    mov dh, [si + 1]
    mov cx, [si + 2]
    mov dl, [DRIVE]
    mov ax, 0x0201
    mov bx, 0x7c00
    int 0x13
    jc .unreadable
    cmp word [0x7dfe], 0xaa55
    jne .missing
    jmp 0:0x7c00
.unreadable:
    print "NT: MBR cannot read the boot sector", 13, 10
    jmp finish
.missing:
    print "NT: MBR finds no boot sector", 13, 10
    jmp finish

routines

    times 0x1b0 - ($ - start) db 0
    db 1, 1, 0                   ; head, sector and cylinder bits: filled in by whoever makes the disk
    times 0x1fe - ($ - start) db 0
    dw 0xaa55
