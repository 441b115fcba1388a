; Paging: permissions, accessed and dirty bits, 4 MiB pages, global pages, PAE, page faults in system accesses.
%include "guest.inc"

%define PAGE 0x200000            ; linear page the cases play with
%define PTE (PAGETAB + (PAGE >> 12) * 4)
%define WP 0x10000

%macro PAGE_BITS 1
    mov dword [PTE], 0x40000 | %1
    mov dword [0x40000], 0xcafe0000
    invlpg [PAGE]
%endmacro

main:
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
CASE "on"
    mov eax, [PAGEDIR]
    and eax, 0xfff
    mov ebx, [PAGETAB + 0x7*4]
    mov ecx, cr0
ENDCASE
CASE "read sets accessed"
    PAGE_BITS 7
    mov eax, [PAGE]
    mov ebx, [PTE]
    mov [PAGE], eax
    mov ecx, [PTE]
ENDCASE
CASE "absent read"
    PAGE_BITS 6
    mov eax, [PAGE + 0x123]
ENDCASE
CASE "absent write"
    PAGE_BITS 6
    mov [PAGE + 0x123], eax
ENDCASE
CASE "supervisor writes read-only"
    PAGE_BITS 5
    mov [PAGE], eax
    mov ebx, [PTE]
ENDCASE
    mov eax, cr0
    or eax, WP
    mov cr0, eax
CASE "supervisor writes read-only with WP"
    PAGE_BITS 5
    mov [PAGE], eax
ENDCASE
CASE "and reads it"
    mov eax, [PAGE]
ENDCASE
    mov eax, cr0
    and eax, ~WP
    mov cr0, eax
    PAGE_BITS 3
CASE3 "user reads supervisor page"
    mov eax, [PAGE]
ENDCASE3
CASE3 "user writes supervisor page"
    mov [PAGE], eax
ENDCASE3
    PAGE_BITS 5
CASE3 "user reads read-only page"
    mov eax, [PAGE]
ENDCASE3
CASE3 "user writes read-only page"
    mov [PAGE], eax
ENDCASE3
    mov dword [PTE], 0
    invlpg [PAGE]
CASE3 "user fetches absent page"
    mov dword [case_start], 0
    mov eax, PAGE + 0x10
    jmp eax
ENDCASE3
CASE "fetch across pages"
    mov dword [case_start], 0
    mov byte [PAGE - 3], 0xb8
    mov word [PAGE - 2], 0x1122
    mov eax, PAGE - 3
    jmp eax
ENDCASE
CASE "write across pages changes nothing"
    mov dword [PAGE - 4], 0x77777777
    mov [PAGE - 2], eax
ENDCASE
CASE "was unchanged"
    mov eax, [PAGE - 4]
ENDCASE
CASE3 "push on absent page"
    mov esp, PAGE + 0x1000
    push eax
ENDCASE3
CASE3 "call across absent page"
    mov esp, PAGE + 2
    call dword [0x30000]
ENDCASE3
CASE "rmw"
    PAGE_BITS 5
    mov ebx, cr0
    or ebx, WP
    mov cr0, ebx
    mov ebx, 0x22222222
    xchg [PAGE], ebx
ENDCASE
    mov eax, cr0
    and eax, ~WP
    mov cr0, eax
    mov dword [PTE], 0
    invlpg [PAGE]
CASE "rep movsd stops at the page"
    mov esi, 0x40000
    mov edi, PAGE - 16
    mov ecx, 8
    rep movsd
ENDCASE
CASE "rep movsb backwards"
    PAGE_BITS 7
    mov dword [PTE - 4], 0
    invlpg [PAGE - 4]
    std
    mov esi, 0x40010
    mov edi, PAGE + 3
    mov ecx, 8
    rep movsb
ENDCASE
    mov dword [PTE - 4], (PAGE - 0x1000) | 7
    invlpg [PAGE - 4]
CASE "stale entry until invlpg"
    PAGE_BITS 7
    mov eax, [PAGE]
    mov dword [0x41000], 0xbeef0000
    mov dword [PTE], 0x41000 | 7
    invlpg [PAGE]
    mov ebx, [PAGE]
    mov dword [PTE], 0x40000 | 7
    mov ecx, cr3
    mov cr3, ecx
    mov ecx, [PAGE]
ENDCASE
    ; Page faults in accesses of the processor itself.
CASE "gdt entry on an absent page"
    mov word [SCRATCH], 0xffff
    mov dword [SCRATCH + 2], gdt
    lgdt [SCRATCH]
    mov dword [PAGETAB + 0x10*4], 0
    invlpg [0x10000]
    mov eax, 0x10008
    sub eax, gdt
    mov ds, ax
ENDCASE
CASE3 "the same from ring 3"
    mov eax, 0x10008
    sub eax, gdt
    verr ax
ENDCASE3
    mov dword [PAGETAB + 0x10*4], 0x10003
    invlpg [0x10000]
    mov dword [0x10008], 0xffff
    mov dword [0x1000c], 0x00cff200
CASE3 "descriptor in a supervisor page"
    mov eax, 0x1000b
    sub eax, gdt
    mov ds, ax
    mov eax, [0x10000 - 4]
ENDCASE3
    PAGE_BITS 7
CASE "4M page"
    mov eax, 0x10
    mov cr4, eax
    mov dword [PAGEDIR + 4*2], 0x83
    mov eax, [0x800000 + 0x7c00]
    mov ebx, [PAGEDIR + 4*2]
    mov [0x800000 + SCRATCH + 0x100], eax
    mov ecx, [PAGEDIR + 4*2]
    xor eax, [0x7c00]
    mov edx, [SCRATCH + 0x100]
    xor edx, [0x7c00]
ENDCASE
CASE "4M page, reserved bit"
    mov dword [PAGEDIR + 4*2], 0x200083
    mov ebx, cr3
    mov cr3, ebx
    mov eax, [0x800000]
ENDCASE
    mov dword [PAGEDIR + 4*2], 0x83
CASE3 "4M page, user"
    mov eax, [0x800000]
ENDCASE3
CASE "PS without PSE"
    xor eax, eax
    mov cr4, eax
    mov ebx, cr3
    mov cr3, ebx
    mov dword [PAGEDIR + 4*2], PAGETAB | 0x87
    mov eax, [0x800000 + SCRATCH]
    xor eax, [SCRATCH]
ENDCASE
CASE "global page survives"
    mov eax, 0x80
    mov cr4, eax
    mov dword [0x40000], 0x11110000
    mov dword [0x41000], 0x22220000
    mov dword [PTE], 0x40107
    invlpg [PAGE]
    mov eax, [PAGE]
    mov dword [PTE], 0x41107
    mov ebx, cr3
    mov cr3, ebx
    mov ebx, [PAGE]
    invlpg [PAGE]
    mov ecx, [PAGE]
    xor edx, edx
    mov cr4, edx
ENDCASE
    ; PAE: 2 MiB pages for the first 4 MiB but one of 4 KiB pages at PAGE.
CASE "pae"
    mov edi, 0x110000
    mov ecx, 0x3000/4
    xor eax, eax
    rep stosd
    mov dword [0x110000], 0x111001
    mov dword [0x111000], 0x000087
    mov dword [0x111008], 0x112007
    mov dword [0x111010], 0x4000e7
    mov dword [0x112000], 0x040007
    mov dword [0x112008], 0x041005
    mov dword [0x112010], 0x042003
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    mov ebx, 0x20
    mov cr4, ebx
    mov ebx, 0x110000
    mov cr3, ebx
    or eax, 0x80000000
    mov cr0, eax
    mov dword [0x40000], 0x33330000
    mov eax, [PAGE]
    mov ebx, [0x112000 - 0x0]
    mov ecx, [0x111000]
ENDCASE
CASE "pae absent"
    mov eax, [PAGE + 0x3000]
ENDCASE
CASE "pae absent directory"
    mov eax, [0x40000000]
ENDCASE
CASE3 "pae read-only"
    mov [PAGE + 0x1000], eax
ENDCASE3
CASE3 "pae supervisor"
    mov eax, [PAGE + 0x2000]
ENDCASE3
CASE "pae reserved bit"
    mov dword [0x112018], 0x043007
    mov dword [0x11201c], 0x80
    mov eax, [PAGE + 0x3000]
ENDCASE
CASE "pdpte reserved bit"
    mov dword [0x110008], 0x111007
    mov eax, 0x110000
    mov cr3, eax
ENDCASE
CASE "pdptes are cached"
    mov dword [0x110008], 0x111001
    mov eax, 0x110000
    mov cr3, eax
    mov eax, [0x40000000 + 0x40000]
    mov dword [0x110008], 0
    mov ebx, [0x40000000 + 0x40000]
    mov ecx, cr3
    mov cr3, ecx
    mov ecx, [0x40000000 + 0x40000]
ENDCASE
CASE "off"
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    mov eax, [0x40000]
ENDCASE
    jmp finish

    times SECTORS*512-($-$$) db 0
