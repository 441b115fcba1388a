; Hardware task switches: JMP, CALL, IRET, task gates, faults in a new task, 16-bit TSSs, tasks in virtual-8086 mode.
%include "guest.inc"

%define TSS1SEL 0x40
%define TSS2SEL 0x48
%define TASKGATE 0x50
%define STACK1 0x6000

; A 32-bit TSS at %1 that begins at %2 with EFLAGS %3, CS %4, SS %5, data segments %6.
%macro TSS32 6
    mov edi, %1
    xor eax, eax
    mov ecx, 0x68/4
    rep stosd
    mov dword [%1 + 4], STACK0 - 0x200
    mov dword [%1 + 8], DATA0
    mov dword [%1 + 0x1c], PAGEDIR
    mov dword [%1 + 0x20], %2
    mov dword [%1 + 0x24], %3
    mov dword [%1 + 0x28], 0xaaaaaaa0
    mov dword [%1 + 0x2c], 0xaaaaaaa1
    mov dword [%1 + 0x30], 0xaaaaaaa2
    mov dword [%1 + 0x34], 0xaaaaaaa3
    mov dword [%1 + 0x38], STACK1
    mov dword [%1 + 0x3c], 0xaaaaaaa5
    mov dword [%1 + 0x40], 0xaaaaaaa6
    mov dword [%1 + 0x44], 0xaaaaaaa7
    mov dword [%1 + 0x48], %6
    mov dword [%1 + 0x4c], %4
    mov dword [%1 + 0x50], %5
    mov dword [%1 + 0x54], %6
    mov dword [%1 + 0x58], %6
    mov dword [%1 + 0x5c], %6
    mov dword [%1 + 0x60], LDTSEL
    mov dword [%1 + 0x64], 0x680000
%endmacro

; All descriptors as the cases expect them.
%macro FRESH 1                   ; where the new task begins
    TSS32 TSS1, %1, 2, CODE0, DATA0, DATA0
    DESCRIPTOR TSS1SEL, TSS1, 0x67, 0x89, 0
    DESCRIPTOR TASKGATE, 0, 0, 0xe5, 0
    mov dword [gdt + TASKGATE], TSS1SEL << 16
%endmacro

main:
    FRESH jumped
CASE "jmp"
    jmp TSS1SEL:0x9999
    jmp nowhere
jumped:
    mov ebx, [TSS0 + 0x20]
    sub ebx, [case_start]
    mov ecx, [TSS0 + 0x24]
    mov edx, [TSS0 + 0x34]
    str esi
    mov eax, [gdt + TSSSEL + 4]
    mov edi, [gdt + TSS1SEL + 4]
ENDCASE
    FRESH jumped2
CASE "task switched flag"
    jmp TASKGATE:0
jumped2:
    mov eax, cr0
    clts
    mov ecx, [TSS1]
ENDCASE
    FRESH called
CASE "call and iret"
    call TSS1SEL:0
    jmp after_call
called:
    pushfd
    mov edi, [TSS1]
    mov esi, [gdt + TSSSEL + 4]
    mov [SCRATCH], esi
    pop dword [SCRATCH + 4]
    iretd
    jmp called
after_call:
    mov eax, [SCRATCH]
    mov ebx, [SCRATCH + 4]
    mov ecx, [TSS1 + 0x20]
    sub ecx, called
    mov edx, [TSS1 + 0x24]
    mov esi, [gdt + TSS1SEL + 4]
    str edi
    clts
ENDCASE
    FRESH jumped
CASE3 "jmp from ring 3"
    jmp TSS1SEL:0
ENDCASE3
    FRESH gated
CASE3 "gate from ring 3"
    mov dword [0x30000], 0
    call TASKGATE:0
    mov eax, cs
ENDCASE3
    jmp next_gate
gated:
    mov edi, [TSS0 + 0x4c]
    mov esi, [TSS0 + 0x38]
    mov edx, cs
    mov [SCRATCH], edi
    iretd
next_gate:
    FRESH jumped
CASE "busy"
    DESCRIPTOR TSS1SEL, TSS1, 0x67, 0x8b, 0
    jmp TSS1SEL:0
ENDCASE
CASE "itself"
    jmp TSSSEL:0
ENDCASE
CASE "absent"
    DESCRIPTOR TSS1SEL, TSS1, 0x67, 0x09, 0
    jmp TSS1SEL:0
ENDCASE
CASE "short"
    DESCRIPTOR TSS1SEL, TSS1, 0x66, 0x89, 0
    jmp TSS1SEL:0
ENDCASE
CASE "gate to data"
    mov dword [gdt + TASKGATE], DATA0 << 16
    jmp TASKGATE:0
ENDCASE
CASE "gate to null"
    mov dword [gdt + TASKGATE], 0
    jmp TASKGATE:0
ENDCASE
CASE "gate to the ldt"
    mov dword [gdt + TASKGATE], 4 << 16
    jmp TASKGATE:0
ENDCASE
; Faults that belong to the new task; their handlers run on its stack, which is good.
    FRESH task_body
CASE "bad ds"
    mov dword [TSS1 + 0x54], 0x1230
    mov dword [case_start], task_body
    jmp TSS1SEL:0
ENDCASE
    FRESH task_body
CASE "absent gs"
    DESCRIPTOR 0x58, 0, 0xfffff, 0x12, 12
    mov dword [TSS1 + 0x5c], 0x58
    mov dword [case_start], task_body
    jmp TSS1SEL:0
ENDCASE
    FRESH task_body
CASE "null data segments"
    mov dword [TSS1 + 0x48], 0
    mov dword [TSS1 + 0x5c], 3
    mov dword [case_start], task_body
    jmp TSS1SEL:0
ENDCASE
    ; An event through a task gate.
    TSS32 TSS2, event_task, 2, CODE0, DATA0, DATA0
    DESCRIPTOR TSS2SEL, TSS2, 0x67, 0x89, 0
    mov dword [idt + 8*13], TSS2SEL << 16
    mov dword [idt + 8*13 + 4], 0x8500
CASE "fault through a task gate"
    mov ax, 0x1230
    mov ds, ax
    jmp nowhere
event_task:
    pop eax                      ; error code
    mov ebx, [TSS0 + 0x20]
    sub ebx, [case_start]
    mov ecx, [TSS0 + 0x24]
    and ecx, ~0x10000            ; RF
    mov edx, [TSS2]
    pushfd
    pop esi
    mov edi, esp
ENDCASE
    ; A bad LDT leaves the new task without a stack: the fault needs a task of its own.
    FRESH task_body
    mov dword [TSS2 + 0x20], bad_ldt_task
    mov dword [TSS2 + 0x24], 2
    mov dword [TSS2 + 0x38], STACK1
    DESCRIPTOR TSS2SEL, TSS2, 0x67, 0x89, 0
    mov dword [idt + 8*10], TSS2SEL << 16
    mov dword [idt + 8*10 + 4], 0x8500
CASE "bad ldt"
    mov dword [TSS1 + 0x60], DATA0
    jmp TSS1SEL:0
    jmp nowhere
bad_ldt_task:
    pop eax
    mov ebx, [TSS1 + 0x20]
    sub ebx, task_body
    mov ecx, [TSS1 + 0x50]
    mov edx, [TSS2]
ENDCASE
    GATE idt + 8*10, CODE0, stub10, 0x8e00
    mov dword [TSS2 + 0x20], event_task2
    mov dword [TSS2 + 0x24], 2
    mov dword [TSS2 + 0x38], STACK1
    DESCRIPTOR TSS2SEL, TSS2, 0x67, 0x89, 0
CASE3 "fault of ring 3 through a task gate, resumed"
    mov ax, 0x1230
    mov ds, ax
    mov ebx, 0x1111
ENDCASE3
    jmp next_event
event_task2:
    pop eax
    add dword [TSS0 + 0x20], 2   ; behind the bad load
    iretd
next_event:
    GATE idt + 8*13, CODE0, stub13, 0x8e00
    ; A 16-bit TSS.
    mov edi, TSS1
    xor eax, eax
    mov ecx, 0x2c/4
    rep stosd
    mov word [TSS1 + 0x0e], low_task
    mov word [TSS1 + 0x10], 2
    mov word [TSS1 + 0x12], 0xbb0
    mov word [TSS1 + 0x14], 0xbb1
    mov word [TSS1 + 0x16], 0xbb2
    mov word [TSS1 + 0x18], 0xbb3
    mov word [TSS1 + 0x1a], STACK1
    mov word [TSS1 + 0x22], DATA0
    mov word [TSS1 + 0x24], CODE0
    mov word [TSS1 + 0x26], DATA0
    mov word [TSS1 + 0x28], DATA0
    mov word [TSS1 + 0x2a], LDTSEL
    DESCRIPTOR TSS1SEL, TSS1, 0x2b, 0x81, 0
CASE "16-bit task"
    call TSS1SEL:0
    mov eax, [SCRATCH]
    mov ebx, [SCRATCH + 4]
    mov ecx, [SCRATCH + 8]
    mov edx, [TSS1 + 0x0e]
    sub edx, low_task
    and edx, 0xffff
    mov esi, [gdt + TSS1SEL + 4]
    clts
ENDCASE
    jmp next_low
low_task:
    and esp, 0xffff              ; upper halves are undefined
    and eax, 0xffff
    mov [SCRATCH], eax
    mov cx, fs
    movzx ecx, cx
    mov [SCRATCH + 4], ecx
    mov edx, [TSS1]
    mov [SCRATCH + 8], edx
    iretd
next_low:
    ; A task in virtual-8086 mode; it ends with HLT.
    TSS32 TSS1, v86_task, 0x20002, 0, 0, 0x3000
    DESCRIPTOR TSS1SEL, TSS1, 0x67, 0x89, 0
CASE "virtual-8086 task"
    mov dword [case_start], v86_task
    jmp TSS1SEL:0
bits 16
v86_task:
    mov ax, ds
    mov bx, cs
    mov cx, 0x77
    hlt
bits 32
%$end:
    %pop
    ; Debug trap of the T bit.
    FRESH task_body
CASE "t bit"
    mov word [TSS1 + 0x64], 1
    mov dword [case_start], task_body
    jmp TSS1SEL:0
ENDCASE
    ; Double fault into a task: the way to survive a broken kernel stack.
    TSS32 TSS2, double_fault_task, 2, CODE0, DATA0, DATA0
    DESCRIPTOR TSS2SEL, TSS2, 0x67, 0x89, 0
    mov dword [idt + 8*8], TSS2SEL << 16
    mov dword [idt + 8*8 + 4], 0x8500
CASE "double fault task"
    DESCRIPTOR 0x58, 0, 0x1f, 0x92, 4
    mov ax, 0x58
    mov ss, ax
    mov esp, 4
    mov dword [idt + 8*13 + 4], 0
    mov ax, 0x1230
    mov ds, ax
    jmp nowhere
double_fault_task:
    pop eax
    mov ebx, [TSS0 + 0x20]
    sub ebx, [case_start]
    mov ecx, [TSS0 + 0x50]
ENDCASE
    jmp finish

task_body:
    mov eax, [TSS1]
    mov ebx, ds
    mov ecx, gs
    call case_ok

nowhere:
    mov al, '?'
    call putc
    jmp finish

    times SECTORS*512-($-$$) db 0
