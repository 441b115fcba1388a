; A boot sector that uses the function: finds it through the PCI BIOS, lets it master the bus, has it turn a text around, prints the
; text on COM1 and powers the machine off, which ends `backplane run` with exit code 0. If something is not as it should be it hangs.
;
;   nasm -f bin -o guest.img guest.asm
org 0x7c00
bits 16

COM1 equ 0x3f8

    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov dx, COM1 + 3            ; 8 bits, no parity
    mov al, 3
    out dx, al

    mov ax, 0xb102              ; find device CX of vendor DX: BX is its place
    mov cx, 0x0001
    mov dx, 0xf0f0
    xor si, si
    int 0x1a
    jc $
    mov ax, 0xb109              ; read the command register
    mov di, 0x04
    int 0x1a
    or cx, 6                    ; memory, bus master
    mov ax, 0xb10c
    int 0x1a
    mov ax, 0xb10a              ; read BAR 0
    mov di, 0x10
    int 0x1a
    and ecx, 0xfffffff0
    mov ebx, ecx

    call big_segments           ; BAR 0 lies far above what real mode reaches
    cmp dword [fs:ebx], 0x31474c50
    jne $
    mov dword [fs:ebx + 0x08], text
    mov dword [fs:ebx + 0x0c], text_length
    mov dword [fs:ebx + 0x10], 1
.busy:
    mov eax, [fs:ebx + 0x04]
    test al, 1
    jnz .busy
    cmp al, 2                   ; done
    jne $
    mov [fs:ebx + 0x04], eax
    cmp dword [fs:ebx + 0x04], 0
    jne $

    mov si, text
    call print
    mov si, shutdown            ; the power switch of the boards
    mov dx, 0x8900
.power:
    lodsb
    test al, al
    jz $
    out dx, al
    jmp .power

; FS gets a limit of 4 GiB, which stays when real mode is back.
big_segments:
    in al, 0x92                 ; A20
    or al, 2
    out 0x92, al
    lgdt [gdt_pointer]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    mov dx, 8
    mov fs, dx
    and al, 0xfe
    mov cr0, eax
    xor dx, dx
    mov fs, dx
    ret

print:
    lodsb
    test al, al
    jz .end
    mov ah, al
    mov dx, COM1 + 5
.full:
    in al, dx
    test al, 0x20
    jz .full
    mov dx, COM1
    mov al, ah
    out dx, al
    jmp print
.end:
    ret

text        db 10, 13, "krow sti seod noitcnuf eht"
text_length equ $ - text
            db 0
shutdown    db "Shutdown", 0

gdt         dq 0, 0x00cf92000000ffff
gdt_pointer dw $ - gdt - 1
            dd gdt

    times 510 - ($ - $$) db 0
    dw 0xaa55
