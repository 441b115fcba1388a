; Real mode and 16-bit protected mode: switches back and forth, interrupts through the real-mode table, segments with leftover
; limits ("unreal" mode), 286-style code with 16-bit stacks and gates.
%include "guest.inc"

%define CODE16 0x40              ; base 0, 64K, 16 bits
%define DATA16 0x48
%define STACK16 0x50             ; 16-bit stack with 64K
%define SCRATCH16 0x6000
%define BIG 0x58                 ; 4G data

%macro CASE16 1
    %push case
    mov word [next16], %$end
    mov word [start16b], %$start
    call begin16
    db %1, 0
%$start:
%endmacro
%macro ENDCASE16 0
    call ok16
%$end:
    %pop
%endmacro

main:
    DESCRIPTOR CODE16, 0, 0xffff, 0x9a, 0
    DESCRIPTOR DATA16, 0, 0xffff, 0x92, 0
    DESCRIPTOR STACK16, 0, 0xffff, 0x92, 0
    DESCRIPTOR BIG, 0, 0xfffff, 0x92, 8

; --- 16-bit protected mode -------------------------------------------------------------------------------------------------
CASE "16-bit stack, 32-bit gate"
    mov ax, STACK16
    mov ss, ax
    mov esp, 0x12345000
    int 0x21
ENDCASE
CASE "16-bit code"
    jmp CODE16:%$low
bits 16
%$low:
    mov ax, sp
    push ax
    push dword 0x11223344
    pop bx
    pop cx
    call %$near
    mov dx, sp
    jmp dword CODE0:%$high
%$near:
    call dword %$wide
    ret
%$wide:
    mov si, sp
    mov di, [esp]
    o32 ret
bits 32
%$high:
    sub edi, %$near
ENDCASE
CASE "16-bit code and stack"
    mov ax, STACK16
    mov ss, ax
    mov sp, 0x5000
    jmp CODE16:%$low
bits 16
%$low:
    enter 6, 2
    mov ax, sp
    mov bx, bp
    leave
    mov cx, sp
    pusha
    popa
    call far [cs:%$pointer]
    mov dx, sp
    jmp dword CODE0:%$high
%$pointer:
    dw %$far, CODE16
%$far:
    mov si, [esp]
    sub si, %$low
    mov di, [esp + 2]
    retf
bits 32
%$high:
    mov bp, ss
    mov ax, DATA0
    mov ss, ax
    mov esp, STACK0
ENDCASE
CASE "16-bit interrupt gate"
    GATE idt + 8*0x2f, CODE16, %$handler, 0x8600
    mov ax, STACK16
    mov ss, ax
    mov esp, 0xabcd5000
    int 0x2f
    mov edi, esp
    mov ax, DATA0
    mov ss, ax
    mov esp, STACK0
    jmp %$done
bits 16
%$handler:
    mov bp, sp
    mov ax, [bp]
    sub ax, [case_start]
    mov bx, [bp + 2]
    mov cx, [bp + 4]
    iret
bits 32
%$done:
ENDCASE
CASE "loop and jcxz sizes"
    mov ecx, 0x10000
    a16 jecxz %$yes
    inc eax
%$yes:
    jecxz %$no
    inc ebx
%$no:
    mov ecx, 0x10001
    a16 loop %$no2
    inc edx
%$no2:
ENDCASE
CASE "16-bit address size"
    mov dword [0x1234], 0xcafef00d
    mov ebx, 0xffff1200
    mov esi, 0xffff0034
    a16 mov eax, [bx + si]
    a16 lea ecx, [bx + si]
    a16 lea dx, [bp + 0x10]
    mov dword [0x1234], 0
ENDCASE
CASE "16-bit string addresses"
    mov esi, 0xffff1000
    mov edi, 0xffff1800
    mov ecx, 0xffff0004
    a16 rep movsb
ENDCASE
CASE "16-bit jump cuts eip"
    mov dword [case_start], 0
    db 0x66, 0xe9
    dw %$there - ($ + 2)
%$there:
    mov eax, 7
ENDCASE

; --- real mode ---------------------------------------------------------------------------------------------------------------
    mov ax, BIG
    mov fs, ax
    mov ax, DATA16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov gs, ax
    lidt [real_idtr]
    jmp CODE16:leave_protected
real_idtr: dw 0x3ff
    dd 0
bits 16
leave_protected:
    mov eax, cr0
    and al, 0xfe
    mov cr0, eax
    jmp 0:real
real:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov gs, ax
    mov sp, 0x7000
    xor bx, bx
    mov cx, 0x22
    mov ax, stubs16
.vectors:
    mov [bx], ax
    mov word [bx + 2], 0
    add ax, 5
    add bx, 4
    loop .vectors

CASE16 "divide"
    xor bl, bl
    div bl
ENDCASE16
CASE16 "bound"
    mov word [SCRATCH16], 1
    mov word [SCRATCH16 + 2], 2
    mov ax, 3
    bound ax, [SCRATCH16]
ENDCASE16
CASE16 "into"
    mov al, 0x80
    dec al
    into
ENDCASE16
CASE16 "int3"
    int3
ENDCASE16
CASE16 "int n"
    int 0x21
ENDCASE16
CASE16 "ud2"
    ud2
ENDCASE16
CASE16 "lldt"
    lldt ax
ENDCASE16
CASE16 "arpl"
    db 0x63, 0xc8
ENDCASE16
CASE16 "sysenter"
    sysenter
ENDCASE16
CASE16 "device not available"
    mov eax, cr0
    or al, 8
    mov cr0, eax
    fninit
ENDCASE16
    clts
CASE16 "privileged is allowed"
    mov eax, cr4
    mov ebx, cr0
    sgdt [SCRATCH16]
    mov cx, [SCRATCH16]
    wbinvd
    cli
ENDCASE16
CASE16 "popf"
    push dword 0x003f7ed7
    popfd
    pushfd
    pop eax
    push word 2
    popf
ENDCASE16
CASE16 "iretd"
    push dword 0x00247ed7
    push dword 0
    push dword %$there
    iretd
%$there:
    pushfd
    pop eax
    push dword 2
    popfd
ENDCASE16
CASE16 "far call and return, 32 bits"
    call dword 0:%$far
    mov bx, sp
    jmp %$over
%$far:
    mov eax, [esp]
    sub eax, %$start
    mov ecx, [esp + 4]
    o32 retf
%$over:
ENDCASE16
CASE16 "retf with release"
    push word 0x1111
    push word 0x2222
    call 0:%$far
    mov bx, sp
    jmp %$over
%$far:
    retf 4
%$over:
ENDCASE16
CASE16 "unreal"
    mov esi, 0x100000
    mov dword [fs:esi + 0x20000], 0x1badb002
    mov eax, [fs:esi + 0x20000]
    mov bx, fs
ENDCASE16
CASE16 "segment value keeps the limit"
    push word 0x2000
    pop fs
    mov eax, [fs:esi]
    mov esi, 0x100000
    mov eax, [fs:esi]
ENDCASE16
CASE16 "stack wraps"
    mov sp, 0
    push word 0x1234
    mov ax, sp
    pop bx
    mov cx, sp
    mov sp, 0x7000
ENDCASE16
CASE16 "string wrap"
    mov ax, 0x3000
    mov es, ax
    mov di, 0xfffe
    mov cx, 4
    rep stosb
    mov ax, di
    xor bx, bx
    mov es, bx
ENDCASE16
CASE16 "a20"
    mov ax, 0xffff
    mov gs, ax
    mov ax, [gs:0x7c10 + 0x200]
    cmp ax, [0x7c00 + 0x200]
    setz bl
    xor ax, ax
    mov gs, ax
ENDCASE16
CASE16 "push sp"
    push sp
    pop ax
ENDCASE16
CASE16 "shift counts"
    mov ax, 0x8001
    mov cl, 33
    shl ax, cl
    mov bx, 0x8001
    mov cl, 16
    shl bx, cl
    setc dl
    mov si, 0x8001
    mov cl, 17
    rcl si, cl
ENDCASE16
CASE16 "lea and addressing"
    mov bx, 0xfff0
    mov si, 0x20
    lea ax, [bx + si]
    mov dx, [bx + si + 0x7c00 - 0x10]
    mov ebx, 0x7c00
    mov esi, 2
    mov ecx, [ebx + esi*4 - 8]
ENDCASE16
CASE16 "smsw lmsw"
    smsw ax
    and ax, 0x2f
    lmsw ax
    smsw ebx
    and ebx, 0xf
ENDCASE16
CASE16 "single step"
    mov byte [resume16], 3
    push word 0x102
    popf
    nop
    mov ss, ax
    mov bx, 1
    push word 2
    popf
ENDCASE16
CASE16 "protected mode and back without a far jump"
    cli
    mov eax, cr0
    inc ax
    mov cr0, eax
    mov bx, CODE16
    lar cx, bx
    dec ax
    mov cr0, eax
    xor ax, ax
ENDCASE16
    mov al, 0
    out 0xf4, al
    hlt

stubs16:
%assign v 0
%rep 0x22
    push word v
    jmp near event16
    times 5-($-stubs16-5*v) db 0x90
%assign v v+1
%endrep

next16: dw 0
start16b: dw 0
resume16: db 0

event16:
    pushad
    mov bp, sp                   ; pushad: 32 bytes, then vector, ip, cs, flags
    xor bx, bx
    mov ds, bx
    cld
    mov al, 'v'
    call put16
    mov al, [bp + 32]
    call byte16
    mov ax, [bp + 36]
    call field16
    mov ax, [bp + 34]
    sub ax, [start16b]
    call field16
    mov ax, [bp + 38]
    call field16
    call registers16
    cmp byte [resume16], 0
    je .abort
    dec byte [resume16]
    popad
    add sp, 2
    iret
.abort:
    mov sp, 0x7000
    jmp [next16]

ok16:
    pushfd
    pushad
    mov bp, sp
    xor bx, bx
    mov ds, bx
    mov ax, [bp + 32]
    call field16
    call registers16
    mov sp, 0x7000
    jmp [next16]

registers16:
    mov si, 28
.next:
    cmp si, 12
    je .skip
    mov al, ' '
    call put16
    mov ax, [bp + si + 2]
    call word16
    mov ax, [bp + si]
    call word16
.skip:
    sub si, 4
    jns .next
    mov ax, bp
    call field16
    mov al, 10
    jmp put16

begin16:
    pop si
.next:
    lodsb
    test al, al
    jz .end
    call put16
    jmp .next
.end:
    mov al, ':'
    call put16
    push si
    mov byte [resume16], 0
    push word 2
    popf
    mov eax, 0x11111111
    mov ebx, 0x22222222
    mov ecx, 0x33333333
    mov edx, 0x44444444
    mov esi, 0x55555555
    mov edi, 0x66666666
    mov ebp, 0x77777777
    xor ax, ax
    ret

field16:
    push ax
    mov al, ' '
    call put16
    pop ax
word16:
    push ax
    mov al, ah
    call byte16
    pop ax
byte16:
    push ax
    shr al, 4
    call digit16
    pop ax
digit16:
    push ax
    and al, 15
    add al, '0'
    cmp al, '9'
    jbe .ok
    add al, 7
.ok:
    call put16
    pop ax
    ret
put16:
    out 0xe9, al
    ret

    times SECTORS*512-($-$$) db 0
