; Debug registers, single step and their order with other events.
%include "guest.inc"

%define TF 0x102

%macro STEP 0                    ; sets TF; the next instruction is the first that traps
    push dword TF
    popfd
%endmacro

main:
CASE "single step"
    mov byte [resume], 4
    STEP
    nop
    mov eax, 1
    add eax, 2
    push dword 2
    popfd
    nop
ENDCASE
CASE "step over mov ss"
    mov byte [resume], 9
    STEP
    mov bx, ss
    mov ss, bx
    mov ecx, 1
    mov edx, 2
    push dword 2
    popfd
ENDCASE
CASE "step over pop ss"
    mov byte [resume], 9
    STEP
    push ss
    pop ss
    mov ecx, 1
    push dword 2
    popfd
ENDCASE
CASE "step over sti"
    mov byte [resume], 9
    STEP
    sti
    nop
    push dword 2
    popfd
ENDCASE
CASE "step into int"
    mov byte [resume], 2
    STEP
    int 0x21
    nop
ENDCASE
CASE "step rep"
    mov byte [resume], 9
    mov ecx, 3
    mov edi, SCRATCH
    STEP
    rep stosb
    nop
    push dword 2
    popfd
ENDCASE
CASE "step fault"
    mov byte [resume], 0
    STEP
    ud2
ENDCASE
CASE "step loop"
    mov byte [resume], 9
    mov ecx, 2
    STEP
%$again:
    loop %$again
    push dword 2
    popfd
ENDCASE
CASE3 "step in ring 3"
    mov byte [ss:resume], 3
    STEP
    nop
    nop
    nop
    push dword 2
    popfd
ENDCASE3
CASE "instruction breakpoint"
    mov byte [resume], 1
    mov eax, %$here
    mov dr0, eax
    mov eax, 0x401
    mov dr7, eax
    mov eax, 5
%$here:
    inc eax
    inc eax
ENDCASE
CASE "two breakpoints, one enabled"
    mov eax, %$here
    mov dr0, eax
    mov dr1, eax
    mov eax, 0x404
    mov dr7, eax
%$here:
    inc eax
ENDCASE
CASE "breakpoint with RF"
    mov eax, %$here
    mov dr0, eax
    mov eax, 0x401
    mov dr7, eax
    push dword 0x10002
    push dword CODE0
    push dword %$here
    iretd
%$here:
    inc eax
ENDCASE
CASE "write breakpoint"
    mov byte [resume], 9
    mov eax, SCRATCH + 0x10
    mov dr1, eax
    mov eax, 0x00d00404          ; breakpoint 1: four bytes, writes
    mov dr7, eax
    mov eax, [SCRATCH + 0x10]
    mov [SCRATCH + 0x13], al
    mov [SCRATCH + 0x14], al
    mov [SCRATCH + 0x0e], eax
    inc dword [SCRATCH + 0x10]
    xor eax, eax
    mov dr7, eax
ENDCASE
CASE "access breakpoint"
    mov byte [resume], 9
    mov eax, SCRATCH + 0x20
    mov dr2, eax
    mov eax, 0x03000420          ; breakpoint 2: one byte, any access
    mov dr7, eax
    mov al, [SCRATCH + 0x21]
    mov al, [SCRATCH + 0x20]
    mov [SCRATCH + 0x1e], eax
    push dword [SCRATCH + 0x20]
    xor eax, eax
    mov dr7, eax
ENDCASE
CASE "breakpoint in a string"
    mov byte [resume], 9
    mov eax, SCRATCH + 0x42
    mov dr3, eax
    mov eax, 0x10000480          ; breakpoint 3: one byte, writes
    mov dr7, eax
    mov edi, SCRATCH + 0x40
    mov ecx, 4
    rep stosb
    xor eax, eax
    mov dr7, eax
ENDCASE
CASE "breakpoint hit by mov ss"
    mov byte [resume], 9
    mov word [SCRATCH + 0x50], DATA0
    mov eax, SCRATCH + 0x50
    mov dr0, eax
    mov eax, 0x00030401
    mov dr7, eax
    mov ss, [SCRATCH + 0x50]
    mov ecx, 1
    mov edx, 2
    xor eax, eax
    mov dr7, eax
ENDCASE
CASE "io breakpoint"
    mov byte [resume], 9
    mov eax, 8
    mov cr4, eax
    mov eax, 0xe8
    mov dr0, eax
    mov eax, 0x00020401
    mov dr7, eax
    out 0xe8, al
    out 0xea, al
    xor eax, eax
    mov dr7, eax
    mov cr4, eax
ENDCASE
CASE "general detect"
    mov byte [resume], 1
    mov eax, 0x2400
    mov dr7, eax
    mov ebx, dr0
    mov ecx, dr7
ENDCASE
CASE "handler finds general detect off"
    mov eax, 0x2400
    mov dr7, eax
    mov dr6, eax
ENDCASE
CASE "int3 is no debug exception"
    int3
ENDCASE
    jmp finish

    times SECTORS*512-($-$$) db 0
