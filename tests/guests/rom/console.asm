; Answers what comes in on COM1, one line each, so that a test can ask for whatever it needs:
;
;   P  power off            R  reset by the keyboard controller      T  triple fault
;   X  exit code 43         H  halts with interrupts off             W  writes sector 1 of the disk, without a flush
;   a break                 any other byte: its value
;
; It waits for input in HLT, as an operating system would.

%include "rom.inc"

main:
    mov dword [es:4*(VECTOR1 + 4)], 0xf0000000 + on_serial
    call pic_init
    mov al, 0xef                 ; IRQ 4
    out PIC1 + 1, al
    mov dx, COM1 + 4
    mov al, 0x0b                 ; DTR, RTS, OUT2: the interrupt gets through
    out dx, al
    mov dx, COM1 + 1
    mov al, 5                    ; received data, line status
    out dx, al
    print "console", 10
.next:
    mov dx, COM1 + 5
    in al, dx
    test al, 0x10
    jnz .break
    test al, 1
    jnz .byte
    sti
    hlt
    cli
    jmp .next
.break:
    mov dx, COM1
    in al, dx                    ; the break's own zero
    print "break", 10
    jmp .next
.byte:
    mov dx, COM1
    in al, dx
    cmp al, 'P'
    je .power
    cmp al, 'R'
    je .reset
    cmp al, 'T'
    je .triple
    cmp al, 'X'
    je .exit
    cmp al, 'H'
    je .halt
    cmp al, 'W'
    je .write
    print "byte "
    call hex8
    print 10
    jmp .next

.exit:
    mov al, 21
    ret
.power:
    print "power off", 10
    mov si, shutdown
    mov dx, 0x8900
    mov cx, 8
    rep outsb
    jmp .halt
.reset:
    print "reset", 10
    mov al, 0xfe
    out 0x64, al
    jmp .halt
.triple:
    print "triple fault", 10
    lidt [cs:no_vectors]
    int3
.halt:
    print "halt", 10
    cli
    hlt
    jmp .halt
.write:
    mov cl, 0x30                 ; WRITE SECTORS
    mov eax, 1
    call ide_command
    jc .failed
    call ide_data
    jc .failed
    mov si, pattern
    mov bx, 32
    mov dx, IDE
.repeat:
    mov si, pattern
    mov cx, 8
    rep outsw
    dec bx
    jnz .repeat
.busy:
    mov dx, IDE + 7
    in al, dx
    test al, 0x80
    jnz .busy
    test al, 0x21
    jnz .failed
    print "written", 10
    jmp .next
.failed:
    print "error", 10
    jmp .next

on_serial:
    push ax
    mov al, 0x20
    out PIC1, al
    pop ax
    iret

shutdown db "Shutdown"
pattern db "sector of a test"
no_vectors dw 0, 0, 0
