; A guest without an operating system that uses the copier: boot sector and the sectors behind it, in protected mode.
;
; It finds the function, copies once with the interrupt on the pin (through the 8259s) and once with a message (straight to the local
; APIC), compares the data, lets the function write to its own registers, prints what it sees on COM1 and switches the machine off.
;
;   nasm -f bin -o guest.img guest.asm

cpu 686
org 0x7c00

%define ID 0xc0de1234            ; device and vendor
%define R_CONTROL 0x04           ; registers in BAR 0
%define R_STATUS 0x08
%define R_LENGTH 0x0c
%define R_SOURCE 0x10
%define R_DESTINATION 0x18
%define R_REASON 0x24
%define START_AND_INTERRUPT 3

%define SOURCE 0x20000
%define DESTINATION 0x30000
%define LENGTH 10000

%define COM1 0x3f8
%define PIC1 0x20
%define PIC2 0xa0
%define ELCR 0x4d0
%define APIC 0xfee00000
%define PIN_VECTORS 0x20         ; of the 8259s
%define MSI_VECTOR 0x51
%define IDT 0x1000

bits 16
start:
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, start
    sti
    mov ax, 0x0200 + SECTORS  ; read the sectors behind this one; DL is the drive
    mov bx, rest
    mov cx, 2
    mov dh, 0
    int 0x13
    jc .end
    mov dx, COM1 + 3             ; 8N1: after a reset characters have five bits
    mov al, 3
    out dx, al
    cli
    lgdt [gdt_pointer]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp 8:protected
.end:
    cli
    hlt
    jmp .end

align 8
gdt:
    dq 0
    dq 0x00cf9a000000ffff        ; code and data, flat
    dq 0x00cf92000000ffff
gdt_pointer:
    dw $ - gdt - 1
    dd gdt
idt_pointer:
    dw 8 * 256 - 1
    dd IDT

    times 510 - ($ - $$) db 0
    dw 0xaa55

bits 32
rest:
protected:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, start
    lidt [idt_pointer]
    call pic_init
    call apic_init
    call find
    call pin
    call message
    call own_registers

    mov dx, COM1 + 5             ; the power goes when the last character is out
.drain:
    in al, dx
    test al, 0x40
    jz .drain
    mov esi, shutdown
    mov dx, 0x8900
    mov ecx, 8
    rep outsb
stop:
    cli
    hlt
    jmp stop

; The function: EBX = its place in the form of port CF8h, EDI = its registers, switched on as memory and as bus master.
find:
    mov ebx, 0x80000000
.next:
    mov al, 0
    call config_read
    cmp eax, ID
    je .found
    add ebx, 1 << 11             ; function 0 of the next device
    cmp ebx, 0x80010000
    jb .next
    mov esi, text_none
    call print
    jmp stop
.found:
    mov al, 0x10
    call config_read
    and eax, ~15
    mov edi, eax
    mov al, 4
    call config_read
    or eax, 6
    mov ecx, eax
    mov al, 4
    call config_write
    mov esi, text_found
    call print
    mov eax, ebx
    shr eax, 11
    and eax, 31
    call decimal
    jmp line

; A copy whose end is told by the pin.
pin:
    mov al, 0x3c                 ; the BIOS has noted there which interrupt the pin is
    call config_read
    and eax, 15
    mov ecx, eax
    add eax, PIN_VECTORS
    mov edx, on_pin
    call gate
    mov edx, 1                   ; a line that cards share is level-triggered
    shl edx, cl
    push edx
    mov eax, edx
    mov dx, ELCR
    push eax
    in al, dx
    or al, [esp]
    out dx, al
    inc dx
    in al, dx
    or al, [esp + 1]
    out dx, al
    pop eax
    pop edx
    or edx, 4                    ; and the cascade
    not edx
    mov al, dl
    out PIC1 + 1, al
    mov al, dh
    out PIC2 + 1, al
    call copy
    mov esi, text_pin
    call print
    jmp result

; A copy whose end is told by a message.
message:
    mov al, 0x34
    call config_read
.next:
    movzx ebp, al                ; of the capability
    test ebp, ebp
    jz .none
    mov eax, ebp
    call config_read
    cmp al, 5
    je .found
    mov al, ah
    jmp .next
.none:
    mov esi, text_no_msi
    jmp print
.found:
    push eax                     ; its head and, in the upper half, its control register
    mov eax, MSI_VECTOR
    mov edx, on_message
    call gate
    mov ecx, [APIC + 0x20]       ; to this processor: APIC id in bits 31-24, wanted in 19-12
    shr ecx, 12
    or ecx, APIC
    lea eax, [ebp + 4]
    call config_write
    lea eax, [ebp + 8]
    test byte [esp + 2], 0x80    ; 64-bit address
    jz .data
    xor ecx, ecx
    call config_write
    lea eax, [ebp + 12]
.data:
    mov ecx, MSI_VECTOR
    call config_write
    pop ecx
    or ecx, 1 << 16              ; enable
    mov eax, ebp
    call config_write
    call copy
    mov esi, text_message
    call print
    jmp result

; What a function must not do.
own_registers:
    mov dword [edi + R_DESTINATION], edi
    call run
    mov esi, text_own
    call print
    mov eax, [edi + R_REASON]
    call decimal
    jmp line

; Fills the source, clears the destination and copies.
copy:
    push edi
    mov edi, SOURCE
    mov ecx, LENGTH
    inc dword [seed]             ; not the same data again
    mov eax, [seed]
.fill:
    imul eax, 1103515245
    add eax, 12345
    rol eax, 7
    stosb
    loop .fill
    mov edi, DESTINATION
    mov ecx, LENGTH
    xor eax, eax
    rep stosb
    pop edi
    mov dword [edi + R_SOURCE], SOURCE
    mov dword [edi + R_SOURCE + 4], 0
    mov dword [edi + R_DESTINATION], DESTINATION
    mov dword [edi + R_DESTINATION + 4], 0
    mov dword [edi + R_LENGTH], LENGTH
run:
    mov dword [status], 0
    mov dword [edi + R_CONTROL], START_AND_INTERRUPT
.wait:
    sti                          ; takes effect behind the next instruction: no interrupt is missed before HLT
    hlt
    cli
    cmp dword [status], 0
    je .wait
    ret

; "status 2, pin 1, messages 0, data agree"
result:
    mov esi, text_status
    call print
    mov eax, [status]
    call decimal
    mov esi, text_pins
    call print
    mov eax, [pins]
    call decimal
    mov esi, text_messages
    call print
    mov eax, [messages]
    call decimal
    push edi
    mov esi, SOURCE
    mov edi, DESTINATION
    mov ecx, LENGTH
    repe cmpsb
    pop edi
    mov esi, text_agree
    je .said
    mov esi, text_differ
.said:
    call print
line:
    mov al, 10
    jmp put

on_pin:
    inc dword [pins]
    call acknowledge
    push eax
    mov al, 0x20
    out PIC2, al
    out PIC1, al
    pop eax
    iretd
on_message:
    inc dword [messages]
    call acknowledge
    mov dword [APIC + 0xb0], 0   ; end of interrupt
    iretd
; What the function has to say, so that it takes its interrupt back.
acknowledge:
    push eax
    mov eax, [edi + R_STATUS]
    mov [status], eax
    mov [edi + R_STATUS], eax
    pop eax
    ret

; Vector EAX leads to EDX.
gate:
    lea eax, [IDT + 8 * eax]
    mov [eax], dx
    mov word [eax + 2], 8
    mov word [eax + 4], 0x8e00
    shr edx, 16
    mov [eax + 6], dx
    ret

pic_init:
    mov al, 0x11
    out PIC1, al
    out PIC2, al
    mov al, PIN_VECTORS
    out PIC1 + 1, al
    mov al, PIN_VECTORS + 8
    out PIC2 + 1, al
    mov al, 4
    out PIC1 + 1, al
    mov al, 2
    out PIC2 + 1, al
    mov al, 1
    out PIC1 + 1, al
    out PIC2 + 1, al
    mov al, 0xff
    out PIC1 + 1, al
    out PIC2 + 1, al
    ret

; Software-enabled, all priorities accepted, the 8259s' output let through.
apic_init:
    mov dword [APIC + 0xf0], 0x1ff
    mov dword [APIC + 0x80], 0
    mov dword [APIC + 0x350], 0x700
    ret

; Register AL of the function at EBX: to EAX, from ECX.
config_read:
    call config_address
    in eax, dx
    ret
config_write:
    call config_address
    xchg eax, ecx
    out dx, eax
    xchg eax, ecx
    ret
config_address:
    movzx eax, al
    and al, 0xfc
    or eax, ebx
    mov dx, 0xcf8
    out dx, eax
    mov dx, 0xcfc
    ret

print:
    lodsb
    test al, al
    jz .done
    call put
    jmp print
.done:
    ret

; EAX in decimal.
decimal:
    pushad
    mov ebx, 10
    xor ecx, ecx
.divide:
    xor edx, edx
    div ebx
    push edx
    inc ecx
    test eax, eax
    jnz .divide
.digits:
    pop eax
    add al, '0'
    call put
    loop .digits
    popad
    ret

put:
    push edx
    push eax
    mov dx, COM1 + 5
.wait:
    in al, dx
    test al, 0x20
    jz .wait
    pop eax
    mov dx, COM1
    out dx, al
    pop edx
    ret

align 4
seed dd 0
status dd 0                      ; of the last copy
pins dd 0                        ; interrupts of each kind
messages dd 0
text_none db "no such function", 10, 0
text_no_msi db "no MSI capability", 10, 0
text_found db "copier: device ", 0
text_pin db "by the pin: ", 0
text_message db "by message: ", 0
text_own db "to its own registers: reason ", 0
text_status db "status ", 0
text_pins db ", pin ", 0
text_messages db ", messages ", 0
text_agree db ", data agree", 0
text_differ db ", data differ", 0
shutdown db "Shutdown"

    times -($ - rest) & 511 db 0
SECTORS equ ($ - rest) / 512
