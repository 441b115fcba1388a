; Segment limits: data, stack and code, expand-up and expand-down, 16-bit wrap-around, instruction fetch at the end.
%include "guest.inc"

%define SEL 0x40
%define SEL2 0x48

main:
    ; DS: 1000h bytes at SCRATCH.
    DESCRIPTOR SEL, SCRATCH, 0xfff, 0x92, 4
CASE "last byte"
    mov ax, SEL
    mov ds, ax
    mov al, [0xfff]
    mov ax, DATA0
    mov ds, ax
    xor eax, eax
ENDCASE
CASE "word over the end"
    mov ax, SEL
    mov ds, ax
    mov ax, [0xfff]
ENDCASE
CASE "dword write over the end"
    mov ax, SEL
    mov ds, ax
    mov [0xffd], ebx
ENDCASE
CASE "wrap at 4G"
    mov ax, SEL
    mov ds, ax
    mov ax, [0xffffffff]
ENDCASE
CASE "read-modify-write"
    mov ax, SEL
    mov ds, ax
    add [0x1000], ebx
ENDCASE
CASE "rep stosb stops at the limit"
    mov ax, SEL
    mov es, ax
    mov edi, 0xffc
    mov ecx, 8
    rep stosb
ENDCASE
CASE "rep movsd from beyond"
    mov ax, SEL
    mov fs, ax
    mov esi, 0xff8
    mov edi, SCRATCH + 0x2000
    mov ecx, 4
    fs rep movsd
ENDCASE
CASE "cmpsb"
    mov ax, SEL
    mov es, ax
    mov esi, 0
    mov edi, 0x1000
    cmpsb
ENDCASE
CASE "fnstenv over the end"
    mov ax, SEL
    mov es, ax
    fnstenv [es:0xff0]
ENDCASE
CASE "sgdt over the end"
    mov ax, SEL
    mov es, ax
    sgdt [es:0xffc]
ENDCASE
CASE "bound over the end"
    mov ax, SEL
    mov es, ax
    bound eax, [es:0xffc]
ENDCASE
CASE "far pointer over the end"
    mov ax, SEL
    mov es, ax
    jmp far [es:0xffc]
ENDCASE
    ; Read-only and execute-only.
    DESCRIPTOR SEL, SCRATCH, 0xfff, 0x90, 4
CASE "write to read-only"
    mov ax, SEL
    mov es, ax
    mov eax, [es:0]
    xor eax, eax
    mov [es:0], eax
ENDCASE
CASE "write to code"
    mov [cs:SCRATCH], eax
ENDCASE
    DESCRIPTOR SEL, 0, 0xfffff, 0x98, 12
CASE "read from execute-only code"
    jmp SEL:%$there
%$there:
    mov eax, [cs:SCRATCH]
ENDCASE
    ; Expand-down.
    DESCRIPTOR SEL, SCRATCH, 0xfff, 0x96, 4
    DESCRIPTOR SEL2, SCRATCH, 0xfff, 0x96, 0
CASE "expand-down below"
    mov ax, SEL
    mov es, ax
    mov al, [es:0xfff]
ENDCASE
CASE "expand-down above"
    mov ax, SEL
    mov es, ax
    mov [es:0x1000], ebx
    mov [es:0x10000], ebx
    mov eax, [es:0x1000]
ENDCASE
CASE "16-bit expand-down top"
    mov ax, SEL2
    mov es, ax
    mov [es:0xfffc], ebx
    mov eax, [es:0xfffc]
    mov [es:0xfffd], ebx
ENDCASE
    ; Stacks: small ones at SCRATCH; the event needs the flat stack of ring 0, so these run at ring 3.
    DESCRIPTOR SEL, SCRATCH, 0x1f, 0xf2, 4
    DESCRIPTOR SEL2, SCRATCH, 0xffff, 0xf2, 0
CASE3 "push below zero"
    mov ax, SEL | 3
    mov ss, ax
    mov esp, 4
    push eax
    push eax
ENDCASE3
CASE3 "pop beyond"
    mov ax, SEL | 3
    mov ss, ax
    mov esp, 0x1e
    pop eax
ENDCASE3
CASE3 "call"
    mov ax, SEL | 3
    mov ss, ax
    mov esp, 2
    call 0x1234
ENDCASE3
CASE3 "pusha"
    mov ax, SEL | 3
    mov ss, ax
    mov esp, 0x1c
    pushad
ENDCASE3
CASE3 "popa"
    mov ax, SEL | 3
    mov ss, ax
    mov esp, 4
    popad
ENDCASE3
CASE3 "enter"
    mov ax, SEL | 3
    mov ss, ax
    mov esp, 0x10
    enter 0x10, 0
ENDCASE3
CASE3 "leave"
    mov ax, SEL | 3
    mov ss, ax
    mov esp, 0x10
    mov ebp, 0x100
    leave
ENDCASE3
CASE3 "base pointer means stack segment"
    mov ax, SEL | 3
    mov ss, ax
    mov esp, 0x10
    mov eax, [ebp]
ENDCASE3
CASE3 "retf"
    mov ax, SEL | 3
    mov ss, ax
    mov esp, 0x1c
    retf
ENDCASE3
CASE3 "iret"
    mov ax, SEL | 3
    mov ss, ax
    mov esp, 0x18
    iretd
ENDCASE3
CASE3 "16-bit stack wraps"
    mov ax, SEL2 | 3
    mov ss, ax
    mov esp, 0x12340000
    push dword 0x11223344
    mov ecx, esp
    pop edx
    mov ebx, esp
    mov ax, DATA3
    mov ss, ax
    mov esp, STACK3
ENDCASE3
CASE3 "16-bit stack, odd"
    mov ax, SEL2 | 3
    mov ss, ax
    mov esp, 0x12340001
    push eax
ENDCASE3
    ; Code.
    DESCRIPTOR SEL, 0, 0, 0xfa, 4
    mov eax, end_of_code
    mov [gdt + SEL], ax
CASE "instruction across the limit"
    mov dword [case_start], start_of_code
    push dword DATA3
    push dword STACK3
    push dword 2
    push dword SEL | 3
    push dword start_of_code
    iretd
ENDCASE3
CASE "jump beyond the limit"
    mov dword [case_start], jump_beyond
    push dword DATA3
    push dword STACK3
    push dword 2
    push dword SEL | 3
    push dword jump_beyond
    iretd
ENDCASE3
CASE "call beyond the limit"
    mov dword [case_start], call_beyond
    push dword DATA3
    push dword STACK3
    push dword 2
    push dword SEL | 3
    push dword call_beyond
    iretd
ENDCASE3
CASE "ret beyond the limit"
    mov dword [case_start], ret_beyond
    push dword DATA3
    push dword STACK3
    push dword 2
    push dword SEL | 3
    push dword ret_beyond
    iretd
ENDCASE3
CASE "jcc beyond the limit"
    mov dword [case_start], jcc_beyond
    push dword DATA3
    push dword STACK3
    push dword 2
    push dword SEL | 3
    push dword jcc_beyond
    iretd
ENDCASE3
CASE "loop beyond the limit"
    mov dword [case_start], loop_beyond
    push dword DATA3
    push dword STACK3
    push dword 2
    push dword SEL | 3
    push dword loop_beyond
    mov ecx, 2
    iretd
ENDCASE3
    ; Virtual-8086 mode: every segment ends at 64K.
CASEV "word at ffff"
    mov ax, [0xffff]
ENDCASEV
CASEV "string at ffff"
    mov ax, 0x3000
    mov es, ax
    mov di, 0xfffe
    mov cx, 4
    rep stosb
    mov bx, di
    mov di, 0xffff
    stosw
ENDCASEV
CASEV "push at 1"
    mov sp, 1
    push ax
ENDCASEV
CASEV "push at 0"
    mov ax, 0x3000
    mov ss, ax
    xor sp, sp
    push bx
    mov cx, sp
    pop dx
ENDCASEV
CASEV "address wraps"
    mov ax, 0x3000
    mov ds, ax
    mov word [0x10], 0xabcd
    mov bx, 0xfff0
    mov cx, [bx + 0x20]
ENDCASEV
CASEV "32-bit address does not"
    mov ebx, 0xfff0
    mov cx, [ebx + 0x20]
ENDCASEV
    mov dword [0x3fffc], 0xf4909090
CASEV "code to the end"
    mov dword [case_start], 0
    jmp 0x3000:0xfffc
ENDCASEV
    mov dword [0x3fffc], 0x90909090
CASEV "code over the end"
    mov dword [case_start], 0
    jmp 0x3000:0xfffc
ENDCASEV
    jmp finish

jump_beyond:
    jmp 0xc000
call_beyond:
    call 0xc000
ret_beyond:
    push dword 0xc000
    ret
jcc_beyond:
    test eax, eax
    jnz near beyond
    nop
loop_beyond:
    loop beyond
start_of_code:
    nop
    nop
end_of_code:
    mov eax, 0x12345678          ; only its first byte lies inside
beyond:
    nop

    times SECTORS*512-($-$$) db 0
