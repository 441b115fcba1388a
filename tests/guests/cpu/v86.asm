; Virtual-8086 mode: sensitive instructions by IOPL, events out of it and back, wrap-around at 64K, ports.
%include "guest.inc"

main:
CASEV "plain"
    mov ax, cs
    mov bx, ds
    mov cx, fs
    mov dx, sp
ENDCASEV
CASEV "cli"
    cli
ENDCASEV
CASEV "sti"
    sti
ENDCASEV
CASEV "pushf"
    pushf
ENDCASEV
CASEV "popf"
    popf
ENDCASEV
CASEV "iret"
    iret
ENDCASEV
CASEV "int n"
    int 0x21
ENDCASEV
CASEV "int3"
    int3
ENDCASEV
CASEV "ud2"
    ud2
ENDCASEV
CASEV "iopl 3 cli sti", 0x23002
    cli
    pushfd
    pop eax
    sti
    pushfd
    pop ebx
    cli
ENDCASEV
CASEV "iopl 3 popf", 0x23002
    push dword 0x00064fd7 & ~0x100
    popfd
    pushfd
    pop eax
    pushf
    pop bx
    cli
ENDCASEV
CASEV "iopl 3 int n", 0x23002
    int 0x21
ENDCASEV
CASEV "iopl 3 int dpl 0", 0x23002
    int 0x11
ENDCASEV
CASEV "iopl 3 iret", 0x23002
    mov bp, sp
    push word 0x0ed7
    push word 0
    push word %$there
    iret
%$there:
    pushfd
    pop eax
ENDCASEV
CASEV "in"
    in al, 0xe9
ENDCASEV
CASEV "iopl 3 in", 0x23002
    in al, 0xe9
ENDCASEV
CASEV "lldt"
    lldt ax
ENDCASEV
CASEV "verr"
    verr ax
ENDCASEV
CASEV "arpl"
    db 0x63, 0xc8
ENDCASEV
CASEV "lar"
    lar ax, cx
ENDCASEV
CASEV "mov cr0"
    mov eax, cr0
ENDCASEV
CASEV "clts"
    clts
ENDCASEV
CASEV "lgdt"
    db 0x0f, 0x01, 0x16, 0, 0
ENDCASEV
CASEV "smsw"
    smsw eax
    and eax, 0xffff
ENDCASEV
CASEV "rdmsr"
    rdmsr
ENDCASEV
CASEV "segments are paragraphs"
    mov ax, 0x3001
    mov gs, ax
    mov dword [gs:0x10], 0x12345678
    mov ax, 0x3000
    mov es, ax
    mov eax, [es:0x20]
    push gs
    pop bx
ENDCASEV
CASEV "far jump and call"
    jmp 0x10:%$there-0x100
%$there:
    mov ax, cs
    call 0:%$far
    mov bx, cs
    jmp %$done
%$far:
    mov cx, cs
    mov dx, [esp + 2]
    retf
%$done:
    jmp 0:%$last
%$last:
    mov si, sp
ENDCASEV
CASEV "offset above 64K"
    mov eax, 0x10000
    mov al, [eax]
ENDCASEV
CASEV "les"
    mov bx, 0x3000
    mov es, bx
    mov dword [es:0x40], 0x20005678
    les si, [es:0x40]
    mov ax, es
ENDCASEV
CASEV "pusha popa"
    pusha
    mov bp, sp
    mov dx, [bp + 6]
    popa
    pushad
    add sp, 32
ENDCASEV
CASEV "enter leave"
    enter 8, 3
    mov ax, sp
    mov bx, bp
    leave
    mov cx, sp
ENDCASEV
CASEV "divide"
    xor bl, bl
    div bl
ENDCASEV
CASEV "ports by bitmap"
    mov dx, 0xe8
    in al, dx
ENDCASEV
    mov dword [TSS0 + 0x88 + 0xe0/8], 0xfffffdff
CASEV "port closed"
    mov dx, 0xe9
    in al, dx
ENDCASEV
    ; An inner handler of a wrong level.
    GATE idt + 8*0x2f, CODE3, 0x1234, 0xee00
CASEV "gate to ring 3", 0x23002
    int 0x2f
ENDCASEV
    DESCRIPTOR 0x40, 0, 0xfffff, 0x9e, 12
    GATE idt + 8*0x2f, 0x40, 0x1234, 0xee00
CASEV "gate to conforming code", 0x23002
    int 0x2f
ENDCASEV
    ; Through a handler and back.
CASEV "resumed", 0x23002
    mov byte [resume], 1
    int 0x21
    mov ax, ds
    mov bx, es
    mov cx, fs
    mov dx, gs
ENDCASEV
CASEV "single step", 0x20002
    nop
ENDCASEV
CASEV "trap flag", 0x20102
    nop
    nop
ENDCASEV
    jmp finish

    times SECTORS*512-($-$$) db 0
