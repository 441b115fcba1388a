; Segment loads, far transfers, gates, exceptions and privileged instructions at rings 0 and 3.
%include "guest.inc"

main:
; --- segment registers ---------------------------------------------------------------------------------------------------
CASE "ds outside"
    mov ax, 0x1230
    mov ds, ax
ENDCASE
CASE "ds tss"
    mov ax, TSSSEL
    mov ds, ax
ENDCASE
CASE "ds rpl"
    mov ax, DATA0 | 3
    mov ds, ax
ENDCASE
CASE "es null"
    xor ax, ax
    mov es, ax
ENDCASE
CASE "es null use"
    xor ax, ax
    mov es, ax
    mov al, [es:0]
ENDCASE
CASE "ss null"
    xor ax, ax
    mov ss, ax
ENDCASE
CASE "ss rpl"
    mov ax, DATA3
    mov ss, ax
ENDCASE
CASE "ss absent"
    DESCRIPTOR 0x40, 0, 0xfffff, 0x12, 12
    mov ax, 0x40
    mov ss, ax
ENDCASE
CASE "fs absent"
    mov ax, 0x40
    mov fs, ax
ENDCASE
CASE "gs code without read"
    DESCRIPTOR 0x40, 0, 0xfffff, 0x98, 12
    mov ax, 0x40
    mov gs, ax
ENDCASE
CASE "accessed"
    DESCRIPTOR 0x40, 0x1000, 0xfffff, 0x92, 12
    mov ax, 0x40
    mov fs, ax
    mov eax, [gdt + 0x44]
ENDCASE
CASE "lds"
    mov dword [SCRATCH], 0xabcdef01
    mov dword [SCRATCH + 4], DATA3
    lds ebx, [SCRATCH]
    mov eax, ds
ENDCASE
CASE "lss bad"
    mov dword [SCRATCH + 4], DATA3
    lss esp, [SCRATCH]
ENDCASE
CASE "pop ss wrong"
    push dword CODE0
    pop ss
ENDCASE
CASE "cs by mov"
    mov ax, CODE0
    db 0x8e, 0xc8
ENDCASE
CASE "push pop segment"
    push ds
    mov eax, esp
    pop ebx
    push fs
    pop gs
    o16 push es
    mov ecx, esp
ENDCASE

; --- selectors asked about -------------------------------------------------------------------------------------------------
CASE "lar lsl"
    DESCRIPTOR 0x40, 0, 0x12345, 0xf2, 8
    mov esi, 0x43
    lar eax, si
    lsl ebx, si
    lar cx, si
    lsl dx, si
ENDCASE
CASE "lar null"
    xor esi, esi
    lar eax, si
ENDCASE
CASE "lar gate"
    GATE gdt + 0x40, CODE0, 0x1234, 0x8c00
    mov esi, 0x40
    lar eax, si
    setz bl
    lsl ecx, si
    setz bh
ENDCASE
CASE "verr verw"
    mov esi, CODE0
    verr si
    setz al
    verw si
    setz ah
    mov esi, DATA3
    verw si
    setz bl
ENDCASE
CASE3 "ring 3 verr"
    mov esi, DATA0
    verr si
    setz al
    mov esi, CODE3
    verr si
    setz ah
    lar ebx, si
ENDCASE3
CASE "arpl"
    mov ax, 0x10
    mov bx, 3
    arpl ax, bx
    setz cl
    arpl ax, bx
    setz ch
ENDCASE
CASE "sldt str smsw"
    sldt eax
    str ebx
    smsw cx
ENDCASE
CASE3 "ring 3 sgdt sldt smsw"
    sgdt [0x30000]
    mov ax, [0x30000]
    sldt bx
    str cx
    smsw edx
    and edx, 0xffff
ENDCASE3
CASE "lldt of data"
    mov ax, DATA0
    lldt ax
ENDCASE
CASE "lldt null"
    xor ax, ax
    lldt ax
    mov bx, 4
    mov ds, bx
ENDCASE
CASE "ltr busy"
    mov ax, TSSSEL
    ltr ax
ENDCASE
CASE "ltr null"
    xor ax, ax
    ltr ax
ENDCASE

; --- exceptions ------------------------------------------------------------------------------------------------------------
CASE "divide"
    xor ecx, ecx
    div ecx
ENDCASE
CASE "divide overflow"
    mov edx, 5
    mov ecx, 5
    div ecx
ENDCASE
CASE "idiv overflow"
    mov ax, 0x8000
    mov bl, 0xff
    idiv bl
ENDCASE
CASE "aam 0"
    aam 0
ENDCASE
CASE "int3"
    int3
ENDCASE
CASE "into"
    mov al, 0x7f
    inc al
    into
ENDCASE
CASE "into not"
    xor al, al
    into
ENDCASE
CASE "icebp"
    db 0xf1
ENDCASE
CASE "bound"
    mov dword [SCRATCH], -5
    mov dword [SCRATCH + 4], 5
    mov eax, 5
    bound eax, [SCRATCH]
    mov eax, 6
    bound eax, [SCRATCH]
ENDCASE
CASE "ud2"
    ud2
ENDCASE
CASE "lock mov"
    db 0xf0
    mov [SCRATCH], eax
ENDCASE
CASE "lock add register"
    db 0xf0, 0x01, 0xc0
ENDCASE
CASE "lock cmp"
    db 0xf0
    cmp [SCRATCH], eax
ENDCASE
CASE "lock add"
    mov dword [SCRATCH], 0x01234567
    mov edx, 5
    lock add [SCRATCH], eax
    lock xadd [SCRATCH], ebx
    lock cmpxchg [SCRATCH], ecx
    lock btc [SCRATCH], edx
ENDCASE
CASE "15 bytes"
    db 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0xb8, 1, 2, 3, 4
ENDCASE
CASE "16 bytes"
    db 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0x26, 0xb8, 1, 2, 3, 4
ENDCASE
CASE "lea register"
    db 0x8d, 0xc0
ENDCASE
CASE "lgdt register"
    db 0x0f, 0x01, 0xd0
ENDCASE
CASE "no device"
    mov eax, cr0
    or al, 8
    mov cr0, eax
    fninit
ENDCASE
CASE "clts"
    clts
    mov eax, cr0
ENDCASE
CASE "int gate dpl 0"
    int 0x10
ENDCASE
CASE3 "ring 3 int dpl 0"
    int 0x10
ENDCASE3
CASE3 "ring 3 int3"
    int3
ENDCASE3
CASE3 "ring 3 int beyond idt"
    int 0x80
ENDCASE3
CASE "empty gate"
    mov dword [idt + 8*0x2f + 4], 0
    int 0x2f
ENDCASE
CASE "absent gate"
    mov dword [idt + 8*0x2f + 4], 0x0e00
    int 0x2f
ENDCASE
CASE "gate to data"
    GATE idt + 8*0x2f, DATA0, 0x1234, 0xee00
    int 0x2f
ENDCASE
CASE "gate null"
    GATE idt + 8*0x2f, 0, 0x1234, 0xee00
    int 0x2f
ENDCASE
CASE "gate outer"
    GATE idt + 8*0x2f, CODE3, 0x1234, 0xee00
    int 0x2f
ENDCASE
CASE "trap gate keeps if"
    GATE idt + 8*0x2f, CODE0, stub33, 0xef00
    pushfd
    or dword [esp], 0x4000       ; NT
    popfd
    int 0x2f
ENDCASE
CASE "double fault"
    mov dword [idt + 8*13 + 4], 0x0e00
    mov ax, 0x1230
    mov ds, ax
ENDCASE
    GATE idt + 8*13, CODE0, stub13, 0x8e00
CASE "benign then contributory"
    mov dword [idt + 8*6 + 4], 0x0e00
    ud2
ENDCASE
    GATE idt + 8*6, CODE0, stub6, 0x8e00
; --- far transfers ---------------------------------------------------------------------------------------------------------
CASE "jmp data"
    jmp DATA0:0
ENDCASE
CASE "jmp null"
    jmp 0:0
ENDCASE
CASE "jmp outer"
    jmp CODE3:0
ENDCASE
CASE "jmp conforming"
    DESCRIPTOR 0x40, 0, 0xfffff, 0x9e, 12
    jmp 0x43:%$there
%$there:
    mov eax, cs
    jmp CODE0:%$back
%$back:
ENDCASE
CASE3 "ring 3 conforming"
    jmp 0x40:%$there
%$there:
    mov eax, cs
ENDCASE3
CASE "jmp absent"
    DESCRIPTOR 0x48, 0, 0xfffff, 0x1a, 12
    jmp 0x48:0
ENDCASE
CASE "jmp beyond"
    DESCRIPTOR 0x48, 0, 0xff, 0x9a, 4
    jmp 0x48:0x100
ENDCASE
CASE "call gate same level"
    GATE gdt + 0x50, CODE0, %$there, 0xec00
    call 0x50:0x99999999
    jmp %$done
%$there:
    mov ebx, [esp]
    sub ebx, %$there
    mov ecx, [esp + 4]
    retf
%$done:
ENDCASE
CASE3 "call gate inwards with parameters"
    push dword 0xaaaa
    push dword 0xbbbb
    call 0x58:0
    mov ecx, esp
    mov edx, cs
ENDCASE3
    GATE gdt + 0x58, CODE0, inner, 0xec02
CASE3 "call gate inwards"
    push dword 0xaaaa
    push dword 0xbbbb
    call 0x58:0
    mov ecx, esp
    mov edx, cs
ENDCASE3
    GATE gdt + 0x58, CODE0, inner16, 0xe402
CASE3 "call gate inwards, 16 bits"
    push word 0xaaaa
    push word 0xbbbb
    call 0x58:0
    mov ecx, esp
    mov edx, cs
ENDCASE3
CASE3 "call gate dpl"
    mov byte [ss:0x30000], 0
    call 0x28:0
ENDCASE3
CASE3 "retf inwards"
    push dword CODE0
    push dword 0x1234
    retf
ENDCASE3
CASE "retf outwards"
    push dword DATA3
    push dword STACK3
    push dword CODE3
    push dword %$there
    mov dword [case_start], %$there
    retf
%$there:
    mov ax, ds
    mov bx, fs
ENDCASE3
CASE "retf outwards, bad ss"
    push dword DATA0
    push dword STACK3
    push dword CODE3
    push dword 0x1234
    retf
ENDCASE
CASE "retf null"
    push dword 0
    push dword 0x1234
    retf
ENDCASE
CASE "iret null"
    push dword 2
    push dword 0
    push dword 0x1234
    iretd
ENDCASE
CASE "iret flags"
    push dword 0x3ed7
    and dword [esp], 0xfffffcff
    push dword CODE0
    push dword %$there
    iretd
%$there:
ENDCASE
CASE "iret nt without link"
    mov word [TSS0], 0x1230
    pushfd
    or dword [esp], 0x4000
    popfd
    iretd
ENDCASE

; --- ring 3 ----------------------------------------------------------------------------------------------------------------
CASE3 "cli"
    cli
ENDCASE3
CASE3 "sti"
    sti
ENDCASE3
CASE3 "cli iopl 3", 0x3202
    cli
ENDCASE3
CASE3 "popf", 0x1002
    push dword 0x247fd7
    and dword [esp], ~0x100
    popfd
    pushfd
    pop eax
ENDCASE3
CASE3 "in"
    in al, 0x70
ENDCASE3
CASE3 "in allowed"
    in al, 0xe9
ENDCASE3
    mov dword [TSS0 + 0x88 + 0xe0/8], 0xfffffdff
CASE3 "in by bitmap"
    in al, 0xe9
    in al, 0xe8
ENDCASE3
CASE3 "in word by bitmap"
    in ax, 0xe9
ENDCASE3
CASE3 "in beyond the bitmap"
    mov dx, 0xffff
    in al, dx
ENDCASE3
CASE3 "hlt"
    hlt
ENDCASE3
CASE3 "mov cr0"
    mov eax, cr0
ENDCASE3
CASE3 "mov to cr3"
    mov cr3, eax
ENDCASE3
CASE3 "mov dr"
    mov eax, dr7
ENDCASE3
CASE3 "lgdt"
    lgdt [0x30000]
ENDCASE3
CASE3 "lmsw"
    lmsw ax
ENDCASE3
CASE3 "invlpg"
    invlpg [0]
ENDCASE3
CASE3 "wbinvd"
    wbinvd
ENDCASE3
CASE3 "rdmsr"
    rdmsr
ENDCASE3
CASE3 "rdtsc"
    rdtsc
    xor eax, eax
    xor edx, edx
ENDCASE3
CASE3 "ss wrong"
    mov ax, DATA0
    mov ss, ax
ENDCASE3
CASE3 "ds inner"
    mov ax, DATA0
    mov ds, ax
ENDCASE3
CASE3 "sysenter without msr"
    sysenter
ENDCASE3
CASE "sysenter"
    mov ecx, 0x174
    mov eax, CODE0
    xor edx, edx
    wrmsr
    inc ecx
    mov eax, STACK0 - 0x40
    wrmsr
    inc ecx
    mov eax, %$entry
    wrmsr
    rdmsr
    sub eax, %$entry
    push dword DATA3
    push dword STACK3
    push dword 0x3202
    push dword CODE3
    push dword %$user
    iretd
%$user:
    sysenter
%$entry:
    pushfd
    pop eax
    mov ebx, cs
    mov ecx, ss
    mov edx, esp
    mov esi, %$entry
    sub esi, %$back
    mov ecx, STACK3
    mov edx, %$back
    mov dword [ss:case_start], %$back
    sysexit
%$back:
    mov eax, cs
    mov ebx, ss
    xor edx, edx
ENDCASE3

; --- control registers, MSRs -----------------------------------------------------------------------------------------------
CASE "lmsw pe"
    lmsw ax
    xor ax, ax
    lmsw ax
    mov eax, cr0
    and eax, 0xf
ENDCASE
CASE "cr1"
    db 0x0f, 0x20, 0xc8
ENDCASE
CASE "dr4"
    mov eax, dr6
    db 0x0f, 0x21, 0xe3          ; mov ebx, dr4
    mov ecx, 8
    mov cr4, ecx
    db 0x0f, 0x21, 0xe3
ENDCASE
    xor eax, eax
    mov cr4, eax
CASE "dr7 fixed bits"
    mov eax, 0xffff03ff & ~0x2000
    and eax, 0xffff0000
    mov dr7, eax
    mov ebx, dr7
    mov eax, -1
    mov dr6, eax
    mov ecx, dr6
    mov eax, 0xffff0ff0
    mov dr6, eax
ENDCASE
CASE "mtrr cap"
    mov ecx, 0xfe
    rdmsr
ENDCASE
CASE "pat"
    mov ecx, 0x277
    rdmsr
ENDCASE
CASE "cpuid 1"
    mov eax, 1
    cpuid
    and ebx, 0xffffff
ENDCASE
CASE "cpuid 2"
    mov eax, 2
    cpuid
ENDCASE
CASE "cpuid 0"
    xor eax, eax
    cpuid
ENDCASE
CASE "flags id"
    pushfd
    xor dword [esp], 0x240000
    popfd
    pushfd
    pop eax
ENDCASE
    jmp finish

inner:
    mov eax, [esp + 8]
    mov ebx, [esp + 12]
    mov esi, [esp + 16]
    mov edi, [esp + 20]
    retf 8
inner16:
    mov ax, [esp + 4]
    mov bx, [esp + 6]
    mov esi, [esp + 8]
    o16 retf 4

    times SECTORS*512-($-$$) db 0
