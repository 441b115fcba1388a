; One BSWAP EAX among much else: an engine that makes it wrong (tests/engines) is to be found by it.

%include "rom.inc"

main:
    mov ecx, 3000
    mov eax, 1
.mix:
    rol eax, 5
    add eax, ecx
    imul eax, eax, 77
    test al, al
    loop .mix
    cmp eax, eax
    bswap eax
    setc bl
    mov eax, 5
    print "bswap", 10
    mov al, 21
    ret
