; Remembers when everything happened to it, to the instruction: every interrupt mixes the time-stamp counter, the interrupted
; address and what it brought into a sum. A run in which anything came an instruction earlier or later has another sum.
;
; Interrupts: the timer at 1 kHz, COM1, the keyboard. A byte from COM1 or a key is answered with the sum, one line each. Bytes that
; do more:
;
;   H  waits in HLT from now on     B  waits busily (as at first)      D  reads a sector of the disk, whose bytes count too
;   Q  leaves with exit code 43     R  lets the keyboard controller reset the machine; the sum begins anew

%include "rom.inc"

%define sum VARIABLES
%define asked VARIABLES + 4      ; the byte that wants an answer, and whether there is one
%define answers VARIABLES + 5
%define halts VARIABLES + 6
%define rounds VARIABLES + 8

main:
    mov dword [es:4*VECTOR1], 0xf0000000 + on_timer
    mov dword [es:4*(VECTOR1 + 1)], 0xf0000000 + on_key
    mov dword [es:4*(VECTOR1 + 4)], 0xf0000000 + on_serial
    xor eax, eax
    mov [es:sum], eax
    mov [es:asked], ax
    mov [es:halts], al
    mov [es:rounds], eax
    call pic_init
    mov al, 0x34
    out 0x43, al
    mov al, 1193 & 255
    out 0x40, al
    mov al, 1193 >> 8
    out 0x40, al
    mov al, 0x60                 ; keyboard: translated, with interrupts
    out 0x64, al
    mov al, 0x41
    out 0x60, al
    mov dx, COM1 + 4
    mov al, 0x0b
    out dx, al
    mov dx, COM1 + 1
    mov al, 1
    out dx, al
    mov al, 0xec                 ; IRQ 0, 1, 4
    out PIC1 + 1, al
    print "witness", 10
    xor ecx, ecx
.wait:
    inc ecx
    sti
    cmp byte [es:halts], 0
    je .awake
    hlt
.awake:
    cli
    cmp byte [es:answers], 0
    je .wait
    mov byte [es:answers], 0
    mov eax, ecx
    call mix
    mov al, [es:asked]
    cmp al, 'H'
    je .halt
    cmp al, 'B'
    je .busy
    cmp al, 'D'
    je .disk
    cmp al, 'R'
    je .reset
    call tell
    cmp byte [es:asked], 'Q'
    jne .wait
    mov al, 21
    ret
.halt:
    mov byte [es:halts], 1
    jmp .said
.busy:
    mov byte [es:halts], 0
.said:
    call tell
    jmp .wait
.reset:
    mov al, 0xfe
    out 0x64, al
    jmp .wait
.disk:
    xor eax, eax
    mov cl, 0x20                 ; READ SECTORS
    call ide_command
    jc .said
.poll:                           ; how often is part of the sum
    inc ecx
    mov dx, IDE + 7
    in al, dx
    test al, 0x80
    jnz .poll
    test al, 8
    jz .said
    mov bx, 256
.word:
    mov dx, IDE
    in ax, dx
    movzx eax, ax
    call mix
    dec bx
    jnz .word
    jmp .said

; EAX into the sum.
mix:
    push eax
    xor eax, [es:sum]
    imul eax, eax, 0x01000193
    rol eax, 5
    mov [es:sum], eax
    pop eax
    ret

tell:
    mov eax, [es:sum]
    shr eax, 16
    call hex16
    mov ax, [es:sum]
    call hex16
    print 10
    ret

; The interrupted address lies on the stack above the four registers, 16 bytes, and the return address.
moment:
    push eax
    push edx
    rdtsc
    call mix
    mov bp, sp
    movzx eax, word [bp + 8 + 2 + 16]
    call mix
    pop edx
    pop eax
    ret

%macro enter_handler 0
    push eax
    push edx
    push ebx
    push ebp
    call moment
%endmacro
%macro leave_handler 0
    mov al, 0x20
    out PIC1, al
    pop ebp
    pop ebx
    pop edx
    pop eax
    iret
%endmacro

on_timer:
    enter_handler
    inc dword [es:rounds]
    leave_handler
on_key:
    enter_handler
    in al, 0x60
    movzx eax, al
    call mix
    or al, 0x80                  ; a key is none of the commands
    mov [es:asked], al
    mov byte [es:answers], 1
    leave_handler
on_serial:
    enter_handler
.next:
    mov dx, COM1
    in al, dx
    movzx eax, al
    call mix
    mov [es:asked], al
    mov byte [es:answers], 1
    mov dx, COM1 + 5
    in al, dx
    test al, 1
    jnz .next
    leave_handler
