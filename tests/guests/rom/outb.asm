; Writes one byte to one port between two instructions that do nothing, over and over: port 70h gets 0Ch.

%include "rom.inc"

main:
    mov al, 0x0a
    out 0x70, al
    print "outb", 10
    mov al, 0x0c
.again:
    nop
    out 0x70, al
    nop
    jmp .again
