; A boot sector for a debugger: a counter in real mode, then one in 32-bit protected mode. Each goes round until somebody
; writes 1 into its byte `leave`. The addresses of its labels are in the listing's symbol file (nasm's map).

bits 16
org 0x7c00

start:
    jmp 0:.flat
.flat:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    sti
loop16:
    inc word [counter]
touch16:
    call below16
    cmp byte [leave16], 1
    jne loop16
    jmp enter32
below16:
    mov bx, [other]
back16:
    ret

enter32:
    cli
    lgdt [gdtr]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp 8:flat32

bits 32
flat32:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x7000
loop32:
    inc dword [counter]
    mov ecx, 100
    mov edi, 0x9000
string32:
    rep stosb
behind32:
    call below32
    cmp byte [leave32], 1
    jne loop32
    mov eax, 0x12345678
done32:
    hlt
    jmp done32
below32:
    mov ebx, [other]
    ret

align 8
gdt:
    dq 0
    dq 0x00cf9b000000ffff
    dq 0x00cf93000000ffff
gdtr:
    dw $ - gdt - 1
    dd gdt
counter: dd 0
other: dd 0x55aa1234
leave16: db 0
leave32: db 0

times 510 - ($ - $$) db 0
    dw 0xaa55
times 1440 * 1024 - ($ - $$) db 0
