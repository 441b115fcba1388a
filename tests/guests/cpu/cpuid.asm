; What CPUID shows: one line a leaf, "leaf subleaf: EAX EBX ECX EDX". The highest leaves come first, then every leaf up
; to them, and one behind each half.
%include "guest.inc"

main:
    xor eax, eax
    call half
    mov eax, 0x80000000
    call half
    jmp finish

; Leaf EAX tells the highest one of its half.
half:
    mov esi, eax
    cpuid
    mov edi, eax
    cmp edi, esi
    jae .known
    mov edi, esi                 ; no such half: what it shows instead
.known:
    inc edi
.leaf:
    xor ecx, ecx
    call show
    cmp esi, 4
    jne .next
    mov ecx, 1
.more:
    push ecx
    call show
    pop ecx
    inc ecx
    cmp ecx, 4
    jbe .more
.next:
    inc esi
    cmp esi, edi
    jbe .leaf
    ret

; ESI: leaf, ECX: the part of it
show:
    push ecx
    mov eax, esi
    call hex32
    pop eax
    push eax
    call field
    mov al, ':'
    call putc
    pop ecx
    mov eax, esi
    cpuid
    call field
    mov eax, ebx
    call field
    mov eax, ecx
    call field
    mov eax, edx
    call field
    jmp newline
