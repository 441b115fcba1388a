; Counts the clock's periodic interrupts (1024 Hz) over 2000 periods of the timer (1 kHz), and mixes the time-stamp counter at
; each of them into a sum: one that comes an instruction earlier, later or not at all gives another. Waits busily, so that a run
; takes its time.

%include "rom.inc"

%define ticks VARIABLES
%define periods VARIABLES + 4
%define sum VARIABLES + 8

main:
    mov dword [es:4*VECTOR1], 0xf0000000 + on_tick
    mov dword [es:4*VECTOR2], 0xf0000000 + on_period
    xor eax, eax
    mov [es:ticks], eax
    mov [es:periods], eax
    mov [es:sum], eax
    call pic_init
    mov al, 0x0a                 ; 32768 Hz time base, 1024 Hz
    out 0x70, al
    mov al, 0x26
    out 0x71, al
    mov al, 0x0b                 ; periodic interrupt, 24 hours
    out 0x70, al
    mov al, 0x42
    out 0x71, al
    mov al, 0x0c
    call cmos8
    mov al, 0x34
    out 0x43, al
    mov al, 1193 & 255
    out 0x40, al
    mov al, 1193 >> 8
    out 0x40, al
    print "ticker", 10
    mov al, 0xfa                 ; timer and cascade
    out PIC1 + 1, al
    mov al, 0xfe
    out PIC2 + 1, al
    sti
.wait:
    cmp dword [es:ticks], 2000
    jb .wait
    cli
    mov eax, [es:periods]
    call dec32
    print " interrupts, sum "
    mov ax, [es:sum + 2]
    call hex16
    mov ax, [es:sum]
    call hex16
    print 10
    mov al, 21
    ret

on_tick:
    inc dword [es:ticks]
    push ax
    mov al, 0x20
    out PIC1, al
    pop ax
    iret

on_period:
    push eax
    push edx
    inc dword [es:periods]
    rdtsc
    rol dword [es:sum], 5
    xor [es:sum], eax
    mov al, 0x0c                 ; reading it makes room for the next
    call cmos8
    mov al, 0x20
    out PIC2, al
    out PIC1, al
    pop edx
    pop eax
    iret
