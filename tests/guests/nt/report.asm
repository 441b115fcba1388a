; Master boot record that only prints what the firmware and the configuration memory say about the disks.

cpu 386
bits 16
%include "say.inc"
%include "report.inc"
org 0x7c00

start:
    cld
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    sti
    mov [DRIVE], dl
    report
    print 13, 10, "NT: OK", 13, 10
    jmp finish

report_routines
routines

    times 0x1be - ($ - start) db 0
    times 64 db 0               ; partition table: filled in by whoever makes the disk
    dw 0xaa55
