; Starts a Multiboot kernel (version 1): kernel with modules, and the information for it, go where the items say; what the
; information says about memory is the firmware's map.
%include "rom.inc"

MAP equ 6000h         ; of memory: entries of 24 bytes, whose first four hold the size of the rest
MAP_END equ 7000h
MAGIC equ 2badb002h

; The information.
FLAGS equ 0
LOWER equ 4
UPPER equ 8
MAP_SIZE equ 44
MAP_ADDRESS equ 48
HAS_MEMORY equ 1
HAS_MAP equ 40h

        bits 16
main:
        mov di, MAP
        xor ebx, ebx
.entry:
        mov eax, 0e820h
        mov edx, 534d4150h
        mov ecx, 20
        mov dword [di], 20
        add di, 4
        int 15h
        jc .no_entry
        cmp eax, 534d4150h
        jne .no_entry
        add di, 20
        test ebx, ebx
        jz .mapped
        cmp di, MAP_END - 24
        jb .entry
        jmp .mapped
.no_entry:
        sub di, 4
.mapped:
        movzx ebp, di
        int 12h
        movzx eax, ax
        mov [lower], eax
        cli
        cld
        enter_protected
        mov esi, parts
        call load
        add esi, 3
        call load

        mov ebx, INITRD_ADDRESS
        call number
        mov ebx, eax
        or dword [ebx + FLAGS], HAS_MEMORY | HAS_MAP
        mov eax, [lower]
        mov [ebx + LOWER], eax
        mov dword [ebx + MAP_ADDRESS], MAP
        mov eax, ebp
        sub eax, MAP
        mov [ebx + MAP_SIZE], eax

        ; Memory from 1 MiB on: the entry of usable memory that holds it, without what lies below.
        mov esi, MAP
.search:
        cmp esi, ebp
        jae .found
        cmp dword [esi + 20], 1
        jne .other
        cmp dword [esi + 8], 0          ; begins, and ends, below 4 GiB
        jne .other
        mov eax, [esi + 4]
        cmp eax, 100000h
        ja .other
        add eax, [esi + 12]
        cmp eax, 100000h
        jbe .other
        sub eax, 100000h
        shr eax, 10
        mov [ebx + UPPER], eax
        jmp .found
.other: add esi, 24
        jmp .search
.found:
        push ebx
        mov ebx, KERNEL_ENTRY
        call number
        pop ebx
        mov ecx, eax
        mov eax, MAGIC
        xor edx, edx
        xor esi, esi
        xor edi, edi
        xor ebp, ebp
        jmp ecx

parts:  db KERNEL_ADDRESS, KERNEL_SIZE, KERNEL_DATA
        db INITRD_ADDRESS, INITRD_SIZE, INITRD_DATA
lower:  dd 0
product: db "Multiboot", 0
        align 512, db 0
end:
