; What the devices for test suites show, next to QEMU's: pc-testdev and pci-testdev. A flat Multiboot kernel.
%include "say.inc"
BASE equ 200000h
FLAGS equ 10003h
SCRATCH equ 0e0h
BYTES equ 0e8h
LINES equ 2000h
MEMORY equ 0ff000000h

        bits 32
        org BASE
header:
        dd 1badb002h, FLAGS, -(1badb002h + FLAGS)
        dd header, BASE, 0, end + 1000h, entry

%macro tell 1                           ; name; value in eax
        push eax
        say %1
        pop eax
        call say_number
        call say_newline
%endmacro
%macro put 3                            ; port, register, value
        mov edx, %1
        mov eax, %3
        out dx, %2
%endmacro
%macro take 2                           ; port, register
        xor eax, eax
        mov edx, %1
        in %2, dx
%endmacro

entry:
        mov esp, end + 1000h
        serial_on
        put SCRATCH, eax, 12345678h
        take SCRATCH, eax
        tell "scratch "
        take SCRATCH + 1, al
        tell "byte "
        take SCRATCH + 2, ax
        tell "word "
        put SCRATCH + 1, al, 0abh
        put SCRATCH + 2, ax, 0cdefh
        take SCRATCH, eax
        tell "scratch "
        take BYTES, eax
        tell "bytes "
        put BYTES, eax, 0a0b0c0dh
        take BYTES, ax
        tell "bytes "
        take SCRATCH, eax
        tell "scratch "
        put 0e4h, eax, BASE

        ; Line 14 at the second interrupt controller.
        put LINES + 14, al, 0
        put 0a0h, al, 0ah
        take 0a0h, al
        and eax, 40h
        tell "low "
        put LINES + 14, al, 1
        take 0a0h, al
        and eax, 40h
        tell "high "
        put LINES + 14, al, 0

        mov dword [MEMORY + 10h], 11223344h
        mov byte [MEMORY + 11h], 0eeh
        mov word [MEMORY + 0fffeh], 5a5bh
        mov eax, [MEMORY + 10h]
        tell "memory "
        movzx eax, word [MEMORY + 12h]
        tell "memory "
        movzx eax, byte [MEMORY + 0ffffh]
        tell "memory "

        ; The PCI function, wherever it sits on the first bus.
        mov ebx, 80000000h
.slot:  put 0cf8h, eax, ebx
        take 0cfch, eax
        cmp eax, 00051b36h
        je .found
        add ebx, 800h
        cmp ebx, 80010000h
        jb .slot
        say "none"
        call say_newline
        jmp .finish
.found:
        lea ecx, [ebx + 8]
        put 0cf8h, eax, ecx
        take 0cfch, eax
        tell "class "
        lea ecx, [ebx + 10h]
        call sizes
        lea ecx, [ebx + 14h]
        call sizes
        lea ecx, [ebx + 10h]
        put 0cf8h, eax, ecx
        put 0cfch, eax, 0c0000000h
        lea ecx, [ebx + 14h]
        put 0cf8h, eax, ecx
        put 0cfch, eax, 0d000h
        lea ecx, [ebx + 4]
        put 0cf8h, eax, ecx
        put 0cfch, eax, 3

        mov edi, 0c0000000h
        xor ecx, ecx
.test:  mov [edi], cl
        movzx eax, byte [edi]
        tell "test "
        movzx eax, byte [edi + 1]
        tell "width "
        mov ebx, [edi + 4]
        mov eax, ebx
        tell "offset "
        mov eax, [edi + 8]
        tell "data "
        lea esi, [edi + 10h]
        call say_text
        cmp ecx, 0                      ; QEMU counts the others elsewhere
        jne .counted
        mov al, [edi + 8]
        mov [edi + ebx], al
        mov [edi + ebx], al
        mov byte [edi + ebx], 11h
        mov eax, [edi + 0ch]
        tell "count "
.counted:
        inc ecx
        cmp ecx, 4
        jb .test

        mov edx, 0d000h
        mov al, 0
        out dx, al
        mov edx, 0d004h
        in eax, dx
        tell "offset "
        mov ebx, eax
        add ebx, 0d000h
        take 0d008h, al
        mov edx, ebx
        out dx, al
        take 0d00ch, eax
        tell "count "
.finish:
        mov al, 10h
        out EXIT, al
        cli
        hlt

; ecx: a base address register
sizes:
        put 0cf8h, eax, ecx
        put 0cfch, eax, 0ffffffffh
        take 0cfch, eax
        tell "size "
        ret
say_text:
        mov al, [esi]
        inc esi
        test al, al
        jz say_newline
        call say_character
        jmp say_text
saying 32
end:
