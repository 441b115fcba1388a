; Starts Linux by its 16-bit boot protocol: setup code, command line, kernel and initial RAM disk go where the items say, and the
; setup code runs in real mode, with the command line's place as the top of its stack.
%include "rom.inc"

        bits 16
main:
        enter_protected
        mov esi, parts
        mov ebp, PARTS
.part:  call load
        add esi, 3
        dec ebp
        jnz .part
        mov ebx, COMMAND_ADDRESS
        call number
        mov ecx, eax
        mov ebx, SETUP_ADDRESS
        call number
        sub ecx, eax                    ; ecx = stack, eax = setup code
        sub ecx, 16
        jmp CODE16:.narrow
        bits 16
.narrow:
        mov dx, DATA16
        mov ds, dx
        mov es, dx
        mov ss, dx
        mov fs, dx
        mov gs, dx
        mov edx, cr0
        and dl, 0feh
        mov cr0, edx
        jmp 0:.real
.real:
        shr eax, 4
        mov ss, ax
        mov esp, ecx
        mov ds, ax
        mov es, ax
        mov fs, ax
        mov gs, ax
        add ax, 20h
        push ax
        push word 0
        xor eax, eax
        xor ebx, ebx
        xor ecx, ecx
        xor edx, edx
        xor esi, esi
        xor edi, edi
        xor ebp, ebp
        retf

parts:  db SETUP_ADDRESS, SETUP_SIZE, SETUP_DATA
        db COMMAND_ADDRESS, COMMAND_SIZE, COMMAND_DATA
        db KERNEL_ADDRESS, KERNEL_SIZE, KERNEL_DATA
        db INITRD_ADDRESS, INITRD_SIZE, INITRD_DATA
PARTS equ ($ - parts) / 3
product: db "Linux", 0
        align 512, db 0
end:
