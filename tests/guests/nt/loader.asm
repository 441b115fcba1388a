; First of the sixteen sectors that the boot sector loads. Reads sixteen more by the INT 13h extensions, from a place that
; no CHS address reaches, and prints what the firmware and the configuration memory say about the disk.

cpu 386
bits 16
%include "say.inc"
%include "report.inc"
org 0x8000

start:
    cld
    mov si, packet
    mov ah, 0x42
    mov dl, [DRIVE]
    int 0x13
    jc unreadable
    mov eax, [packet + 8]
    mov si, 0xa000
    mov cx, SECTORS
.look:
    cmp [si + 0x1f8], eax
    jne wrong
    inc eax
    add si, 512
    loop .look

    report
    print 13, 10, "NT: OK", 13, 10
    jmp finish

unreadable:
    print "NT: the extensions cannot read", 13, 10
    jmp finish
wrong:
    print "NT: the extensions read wrong sectors", 13, 10
    jmp finish

report_routines
routines

    times 0x1e0 - ($ - start) db 0
packet:                          ; 1E0h
    db 16, 0
    dw SECTORS
    dw 0xa000, 0
    dq 0                         ; 1E8h: filled in
    times 0x1f8 - ($ - start) db 0
