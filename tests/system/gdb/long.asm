; A boot sector that enters 64-bit mode, for a debugger: RAX counts, R15 holds a value of 64 bits.

bits 16
org 0x7c00

start:
    jmp 0:.flat
.flat:
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    ; Tables at 1000h: the first 2M mapped as they are.
    mov edi, 0x1000
    mov cr3, edi
    xor eax, eax
    mov ecx, 3 * 1024
    cld
    rep stosd
    mov dword [0x1000], 0x2003
    mov dword [0x2000], 0x3003
    mov dword [0x3000], 0x0083
    mov eax, cr4
    or al, 0x20                  ; PAE
    mov cr4, eax
    mov ecx, 0xc0000080          ; EFER.LME
    rdmsr
    or ah, 1
    wrmsr
    lgdt [gdtr]
    mov eax, cr0
    or eax, 0x80000001
    mov cr0, eax
    jmp 8:long64

bits 64
long64:
    xor eax, eax
    mov r15, 0x123456789abcdef0
loop64:
    inc rax
touch64:
    mov [abs counter], rax
    cmp byte [abs leave64], 1
    jne loop64
done64:
    hlt
    jmp done64

align 8
gdt:
    dq 0
    dq 0x00209b0000000000
gdtr:
    dw $ - gdt - 1
    dd gdt
counter: dq 0
leave64: db 0

times 510 - ($ - $$) db 0
    dw 0xaa55
times 1440 * 1024 - ($ - $$) db 0
