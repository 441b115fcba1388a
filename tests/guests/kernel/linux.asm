; What a Linux kernel finds when it is started by the 16-bit boot protocol of VERSION: registers, header, command line, and the sums of
; what was loaded. With LOW it is one that is loaded below 1 MiB.
%include "say.inc"
%ifndef VERSION
%define VERSION 206h
%endif
SECTORS equ 7

        bits 16
        org 0
        times 1f1h db 0
        db SECTORS
        dw 0
        dd (end - loaded) / 16
        dw 0
video:  dw 0ffffh
        dw 0
        dw 0aa55h
        jmp short entry
        db "HdrS"
        dw VERSION
        dd 0
        dw 0
        dw 0
loader: db 0
%ifdef LOW
flags:  db 0
        dw 8000h
        dd 10000h
%else
flags:  db 1
        dw 8000h
        dd 100000h
%endif
disk:   dd 0
size:   dd 0
        dd 0
heap:   dw 0
        db 0, 0
command: dd 0
        dd 0bffffffh
        dd 1000h
        db 0, 0
        dw 0
        dd 255
        times 264h - ($ - $$) db 0
entry:
        pushfd
        pushad
        mov ebp, esp
        serial_on
%macro tell 2                           ; name, value
        say %1
        xor eax, eax
        mov %2
        call say_number
        call say_newline
%endmacro
        tell "cs ", {ax, cs}
        tell "ds ", {ax, ds}
        tell "es ", {ax, es}
        tell "fs ", {ax, fs}
        tell "gs ", {ax, gs}
        tell "ss ", {ax, ss}
        mov ebx, ebp
        add ebx, 36
        tell "sp ", {eax, ebx}
        say "if "
        mov eax, [bp + 32]
        and eax, 200h
        call say_number
        call say_newline
        mov ebx, cr0
        and ebx, 1
        tell "pe ", {eax, ebx}
        tell "loader ", {al, [loader]}
        tell "flags ", {al, [flags]}
        tell "video ", {ax, [video]}
        tell "heap ", {ax, [heap]}
        tell "initrd ", {eax, [disk]}
        tell "size ", {eax, [size]}
        tell "command ", {eax, [command]}
        tell "magic ", {ax, [20h]}
        tell "offset ", {ax, [22h]}

        ; Flat data segments, with the selector of this one.
        mov eax, cs
        shl eax, 4
        sub eax, 200h
        add eax, table
        mov [pointer + 2], eax
        lgdt [pointer]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        mov bx, 8
        mov gs, bx
        and al, 0feh
        mov cr0, eax
        xor ax, ax
        mov gs, ax

        say "sum "
        mov esi, [disk]
        mov ecx, [size]
        call sum
        say "kernel "
%ifdef LOW
        mov esi, 10000h
%else
        mov esi, 100000h
%endif
        mov ecx, end - loaded
        call sum
        say "text "
        mov esi, [command]
%if VERSION < 202h
        xor esi, esi
        mov si, ds
        shl esi, 4
        movzx eax, word [22h]
        add esi, eax
%endif
.text:  a32 mov al, [gs:esi]
        test al, al
        jz .ended
        call say_character
        inc esi
        jmp .text
.ended: call say_newline
        mov al, 10h
        out EXIT, al
        cli
        hlt

; esi, ecx: says the bytes, each with its place
sum:
        xor eax, eax
        jecxz .done
.next:  a32 movzx ebx, byte [gs:esi]
        add eax, ebx
        rol eax, 1
        inc esi
        dec ecx
        jnz .next
.done:  call say_number
        jmp say_newline
saying 16
        align 8, db 0
table:  dq 0, 00cf93000000ffffh
pointer: dw 15
        dd 0
        times (SECTORS + 1) * 512 - ($ - $$) db 0
loaded:
%assign i 0
%rep 9000
        db (i * 7 + i / 256) & 255
%assign i i + 1
%endrep
        align 16, db 0
end:
