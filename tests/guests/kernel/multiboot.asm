; What a Multiboot kernel finds. With ELF it is an ELF file with a second segment, otherwise flat with addresses in its header.
; Lines that begin with ~ depend on the firmware.
%include "say.inc"
BASE equ 200000h
        bits 32
        org BASE
%ifdef ELF
        db 7fh, "ELF", 1, 1, 1
        times 9 db 0
        dw 2, 3
        dd 1
        dd entry + 1000000h             ; by virtual addresses
        dd segments - $$
        dd 0, 0
        dw 52, 32, 2, 40, 0, 0
segments:
        dd 1, 0, BASE + 1000000h, BASE, data - $$, data - $$, 7, 1000h
        dd 1, data - $$, BASE + 1100000h, BASE + 10000h, data_end - data, data_end - data + 5000h, 6, 1000h
DATA equ BASE + 10000h
FLAGS equ 3
%else
DATA equ data
FLAGS equ 10003h
%endif
        align 4
header:
        dd 1badb002h, FLAGS, -(1badb002h + FLAGS)
%ifndef ELF
        dd header, BASE, data_end, data_end + 5000h, entry
%endif
entry:
        mov esp, stack
        mov ebp, ebx
        push eax
        serial_on
        pop eax
        say "eax "
        call say_number
        call say_newline
        say "if "
        pushfd
        pop eax
        and eax, 200h
        call say_number
        call say_newline
        mov eax, cr0
        and eax, 80000001h
        say "cr0 "
        call say_number
        call say_newline
        say "data "
        mov eax, [DATA]
        call say_number
        mov eax, [DATA + data_end - data + 4ffch]
        call say_number
        call say_newline
        say "flags "
        mov eax, [ebp]
        and eax, 4fh                    ; memory, boot device, command line, modules, map
        call say_number
        call say_newline
        say "lower "
        mov eax, [ebp + 4]
        call say_number
        call say_newline
        say "~upper "
        mov eax, [ebp + 8]
        call say_number
        call say_newline
        say "boot "
        mov eax, [ebp + 12]
        call say_number
        call say_newline
        say "text "
        mov esi, [ebp + 16]
        call say_text
        mov edi, [ebp + 24]
        mov ecx, [ebp + 20]
.module:
        dec ecx
        js .modules
        say "~at "
        mov eax, [edi]
        call say_number
        call say_newline
        say "module "
        mov eax, [edi + 4]
        sub eax, [edi]
        call say_number
        mov esi, [edi]
        movzx eax, byte [esi]
        call say_number
        mov al, ' '
        call say_character
        mov esi, [edi + 8]
        call say_text
        add edi, 16
        jmp .module
.modules:
        say "~name "
        mov esi, [ebp + 64]
        call say_text
        mov esi, [ebp + 48]
        mov ecx, [ebp + 44]
        add ecx, esi
.map:   cmp esi, ecx
        jae .mapped
        say "~map "
        mov eax, [esi + 4]
        call say_number
        mov eax, [esi + 12]
        call say_number
        mov eax, [esi + 20]
        call say_number
        call say_newline
        add esi, [esi]
        add esi, 4
        jmp .map
.mapped:
        mov al, 10h
        out EXIT, al
        cli
        hlt
say_text:
        mov al, [esi]
        inc esi
        test al, al
        jz say_newline
        call say_character
        jmp say_text
saying 32
        align 4
stack equ $$ + 4000h - 4
%ifdef ELF
        times 1000h - ($ - $$) db 0
%endif
data:   dd 12345678h
        times 60 db 0
data_end:
