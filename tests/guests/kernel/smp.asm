; Several processors: brings them up all at once and one by one, lets them count, sends interrupts about, changes page tables and
; code under them. Each line says what came of it; on a machine that works the numbers depend on nothing but the number of CPUs.
%include "say.inc"
BASE equ 200000h
APIC equ 0fee00000h
IOAPIC equ 0fec00000h
ELSEWHERE equ 0c0000000h        ; nothing is there
TRAMPOLINE equ 8000h
STACKS equ 300000h              ; one page each, that of the first below it
DIRECTORY equ 340000h           ; page directory, and the table of the first 4 MB
TABLE equ 341000h
WINDOW equ 380000h              ; what the table maps here changes
PAGE_A equ 390000h
PAGE_B equ 3a0000h
ROUNDS equ 100

; line "name", variable
%macro line 2
        say %1
        mov eax, [%2]
        call say_number
        call say_newline
%endmacro

; Sends an interrupt command; eax is lost. destination: an APIC id, or a logical one
%macro command 2
        mov eax, %2
        shl eax, 24
        mov [APIC + 310h], eax
        mov dword [APIC + 300h], %1
        call sent
%endmacro
OTHERS equ 0c0000h
INIT equ 4500h
STARTUP equ 4600h + TRAMPOLINE / 1000h
NMI equ 4400h
LOGICAL equ 800h
LOWEST equ 100h

; Waits until a variable has become a register's value.
%macro await 2
%%again:
        pause
        cmp [%1], %2
        jne %%again
%endmacro

        bits 32
        org BASE
        align 4
header: dd 1badb002h, 10003h, -(1badb002h + 10003h)
        dd header, BASE, data_end, data_end + 1000h, entry

entry:
        cli
        cld
        mov esp, STACKS
        lgdt [gdt_pointer]
        jmp 8:flat
flat:
        mov ax, 10h
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov fs, ax
        mov gs, ax
        serial_on
        mov al, 0ffh
        out 21h, al
        out 0a1h, al
        mov al, 5fh             ; CMOS: processors behind the first one
        out 70h, al
        in al, 71h
        movzx eax, al
        mov [others], eax
        call make_gates
        lidt [idt_pointer]
        call apic_on
        sti
        mov esi, trampoline
        mov edi, TRAMPOLINE
        mov ecx, trampoline_end - trampoline
        rep movsb
        line "others ", others

; All at once.
        command INIT | OTHERS, 0
        call short_while
        command STARTUP | OTHERS, 0
        mov ebx, [others]
        await alive, ebx
        line "alive ", alive
        line "ids ", ids
        line "cpuid ", cpuid_ids
        line "bsp ", boot_bits

; Counting together, with LOCK and within a lock.
        command 40h | OTHERS, 0
        call count
        mov ebx, [others]
        inc ebx
        await done, ebx
        line "counted ", counter
        line "within ", plain

%ifdef MOVE                     ; the first one's local APIC goes elsewhere and comes back
        mov ecx, 1bh
        rdmsr
        push eax
        and eax, 0fffh
        or eax, ELSEWHERE
        wrmsr
        mov ebx, [APIC + 20h]
        sub ebx, [ELSEWHERE + 20h]
        mov [moved], ebx
        pop eax
        wrmsr
        line "moved ", moved    ; where nothing is reads as all ones, its number as 0
%endif
%ifdef BUSY                     ; everybody works until a character comes
        mov dword [done], 0
        command 49h | OTHERS, 0
        mov ebx, [others]
        await busy_ones, ebx
        line "busy ", busy_ones
        call busy
        mov ebx, [others]
        inc ebx
        await done, ebx
        mov eax, [shared]
        sub [sum], eax
        line "lost ", sum
        mov dword [done], 0
%endif

; One by one, with paging on from now on.
        call make_tables
        mov dword [paging], 1
        call paging_on
        xor eax, eax
        mov [alive], eax
        mov [ids], eax
        mov [next_stack], eax
        mov esi, 1
.start: cmp esi, [others]
        ja .started
        command INIT, esi
        call short_while
        command STARTUP, esi
        call short_while
        command STARTUP, esi    ; the second one finds it running
        await alive, esi
        inc esi
        jmp .start
.started:
        line "alive ", alive
        line "ids ", ids
        line "bsp ", boot_bits

; There and back.
        mov esi, 1
        xor edi, edi
.peer:  cmp esi, [others]
        ja .answered
        mov ebp, ROUNDS
.round: command 41h, esi
        inc edi
        await answers, edi
        dec ebp
        jnz .round
        inc esi
        jmp .peer
.answered:
        line "answers ", answers

; A page that changes under everybody.
        mov dword [PAGE_A], 1111h
        mov dword [PAGE_B], 2222h
        call everybody_reads
        line "first ", sum
        mov dword [TABLE + (WINDOW >> 12) * 4], PAGE_B | 3
        invlpg [WINDOW]
        mov dword [done], 0
        command 44h | OTHERS, 0
        mov ebx, [others]
        await done, ebx
        call everybody_reads
        line "second ", sum

; Code that changes: everybody is told; then while everybody runs it.
        mov dword [sum], 0
        mov esi, 1
.patch: mov [patched + 1], esi
        mov dword [done], 0
        command 46h | OTHERS, 0
        mov ebx, [others]
        await done, ebx
        inc esi
        cmp esi, 20
        jbe .patch
        line "patched ", sum
        mov dword [done], 0
        command 47h | OTHERS, 0
        mov ebx, [others]
        await running, ebx
        mov esi, 1000
.under: mov [patched + 1], esi
        call short_while
        inc esi
        cmp esi, 1010
        jb .under
; QEMU may keep what it read in the middle of a store: it gets the last one again and again.
.last:  mov dword [patched + 1], 12345678h
        call short_while
        cmp [done], ebx
        jne .last
        line "under ", done

; NMI, logical destinations, lowest priority.
        command NMI | OTHERS, 0
        mov ebx, [others]
        await nmis, ebx
        line "nmi ", nmis
        command 45h | LOGICAL, 6 ; ids 1 and 2
        mov ebx, [others]
        cmp ebx, 2
        jbe .few
        mov ebx, 2
.few:   await taken, ebx
        call long_while
        line "logical ", taken
        mov dword [taken], 0
        command 45h | LOGICAL | LOWEST, 0feh
        mov ebx, 1
        await taken, ebx
        call long_while
        line "lowest ", taken

; The interval timer's interrupt on the last one.
        mov al, 34h
        out 43h, al
        mov al, 1193 & 255
        out 40h, al
        mov al, 1193 >> 8
        out 40h, al
        mov dword [IOAPIC], 15h
        mov eax, [others]
        shl eax, 24
        mov [IOAPIC + 10h], eax
        mov dword [IOAPIC], 14h
        mov dword [IOAPIC + 10h], 48h
.tick:  pause
        cmp dword [ticks], 5
        jb .tick
        mov dword [IOAPIC + 10h], 10048h
        line "elsewhere ", strays
        line "done ", others
%ifdef IDLE                     ; everybody sleeps; a character of the terminal is a question
        mov dx, 3f9h
        mov al, 1               ; received data
        out dx, al
        mov dx, 3fch
        mov al, 0bh
        out dx, al
        mov dword [IOAPIC], 19h ; the serial port, on the first one
        mov dword [IOAPIC + 10h], 0
        mov dword [IOAPIC], 18h
        mov dword [IOAPIC + 10h], 49h
.idle:  sti
        hlt
        jmp .idle
%endif
.drain: mov dx, 3fdh
        in al, dx
        test al, 40h
        jz .drain
        mov al, 10h
        out EXIT, al
.end:   cli
        hlt
        jmp .end

everybody_reads:
        mov dword [done], 0
        mov dword [sum], 0
        command 43h | OTHERS, 0
        mov ebx, [others]
        await done, ebx
        ret

; Until the interrupt command is on its way.
sent:   pause
        test dword [APIC + 300h], 1000h
        jnz sent
        ret

short_while:
        push ecx
        mov ecx, 2000
.again: in al, 80h
        loop .again
        pop ecx
        ret
long_while:
        push ecx
        mov ecx, 50
.again: call short_while
        loop .again
        pop ecx
        ret

apic_on:
        mov dword [APIC + 0f0h], 1ffh
        mov dword [APIC + 0e0h], 0ffffffffh
        mov ecx, [APIC + 20h]
        shr ecx, 24
        mov eax, 1
        shl eax, cl
        shl eax, 24             ; the ninth and later ones have no logical id in the flat model
        mov [APIC + 0d0h], eax
        ret

make_gates:
        mov edi, idt
        mov ecx, 256
        mov eax, unexpected
.gate:  call gate
        loop .gate
        mov edi, idt + 2 * 8
        mov eax, on_nmi
        call gate
        mov edi, idt + 40h * 8
        mov esi, handlers
        mov ecx, (handlers_end - handlers) / 4
.own:   lodsd
        call gate
        loop .own
        mov edi, idt + 0ffh * 8
        mov eax, on_spurious
; An interrupt gate at edi to eax; edi advances.
gate:   mov [edi], ax
        mov word [edi + 2], 8
        mov word [edi + 4], 8e00h
        ror eax, 16
        mov [edi + 6], ax
        ror eax, 16
        add edi, 8
        ret

; The first 4 MB as they are, and the 4 MB of the APICs.
make_tables:
        mov edi, DIRECTORY
        mov ecx, 400h
        xor eax, eax
        rep stosd
        mov edi, TABLE
        mov eax, 3
        mov ecx, 400h
.page:  stosd
        add eax, 1000h
        loop .page
        mov dword [DIRECTORY], TABLE | 3
        mov dword [DIRECTORY + (IOAPIC >> 22) * 4], IOAPIC | 93h
        mov dword [TABLE + (WINDOW >> 12) * 4], PAGE_A | 3
        ret
paging_on:
        mov eax, cr4
        or al, 10h
        mov cr4, eax
        mov eax, DIRECTORY
        mov cr3, eax
        mov eax, cr0
        or eax, 80000000h
        mov cr0, eax
        ret

; Another processor, in flat protected mode.
started:
        mov ax, 10h
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov eax, 1
        lock xadd [next_stack], eax
        inc eax
        shl eax, 12
        lea esp, [eax + STACKS]
        lidt [idt_pointer]
        call apic_on
        lock bts [ids], ecx
        push ecx
        mov eax, 1
        cpuid
        shr ebx, 24
        pop ecx
        cmp ebx, ecx
        jne .other
        lock inc dword [cpuid_ids]
.other: mov ecx, 1bh
        rdmsr
        test ah, 1
        jz .application
        lock inc dword [boot_bits]
.application:
        cmp dword [paging], 0
        je .flat
        call paging_on
.flat:  lock inc dword [alive]
.sleep: sti
        hlt
        jmp .sleep

count:
        mov ecx, 10000
.lock:  lock inc dword [counter]
        loop .lock
        mov ecx, 1000
.within:
        lock bts dword [lock_word], 0
        jnc .got
        pause
        jmp .within
.got:   inc dword [plain]
        mov dword [lock_word], 0
        loop .within
        lock inc dword [done]
        ret

%ifdef BUSY
; Counts for itself and with the others, and looks at its own local APIC. The first one asks the terminal.
busy:   xor ebx, ebx
        mov esi, [APIC + 20h]
.again: lock inc dword [shared]
        inc ebx
        test bl, bl
        jnz .again
        cmp [APIC + 20h], esi
        jne .wrong
        test esi, esi
        jnz .go_on
        mov edx, 3fdh
        in al, dx
        test al, 1
        jz .go_on
        mov edx, 3f8h
        in al, dx
        mov dword [stop], 1
.go_on: cmp dword [stop], 0
        je .again
        lock add [sum], ebx
.wrong: lock inc dword [done]
        ret
on_busy:
        pushad
        lock inc dword [busy_ones]
        call busy
        jmp end_of_interrupt
%endif
on_count:
        pushad
        call count
        jmp end_of_interrupt
on_ask:
        pushad
        command 42h, 0
        jmp end_of_interrupt
on_answer:
        pushad
        inc dword [answers]
        jmp end_of_interrupt
on_read:
        pushad
        mov eax, [WINDOW]
        lock add [sum], eax
        lock inc dword [done]
        jmp end_of_interrupt
on_changed:
        pushad
        invlpg [WINDOW]
        lock inc dword [done]
        jmp end_of_interrupt
on_taken:
        pushad
        lock inc dword [taken]
        jmp end_of_interrupt
on_patched:
        pushad
        call patched
        lock add [sum], eax
        lock inc dword [done]
        jmp end_of_interrupt
on_run:
        pushad
        lock inc dword [running]
.again: call patched
        cmp eax, 12345678h
        jne .again
        lock inc dword [done]
        jmp end_of_interrupt
on_tick:
        pushad
        inc dword [ticks]
        mov eax, [APIC + 20h]
        shr eax, 24
        cmp eax, [others]
        je end_of_interrupt
        lock inc dword [strays]
        jmp end_of_interrupt
%ifdef IDLE
; Asks everybody else to count, and says the sum.
on_character:
        pushad
        mov dx, 3f8h
        in al, dx
        mov dword [APIC + 0b0h], 0
        sti
        mov dword [done], 0
        command 40h | OTHERS, 0
        mov ebx, [others]
        await done, ebx
        line "counted ", counter
        popad
        iretd
%endif
end_of_interrupt:
        mov dword [APIC + 0b0h], 0
        popad
        iretd
on_nmi: lock inc dword [nmis]
on_spurious:
        iretd
unexpected:
        say "unexpected"
        call say_newline
.end:   cli
        hlt
        jmp .end

        saying 32
        align 4096
patched:
        mov eax, 0
        ret
        align 4096              ; what is written is not in a page of code

; Runs at TRAMPOLINE in real mode.
        bits 16
trampoline:
        cli
        mov ax, cs
        mov ds, ax
        o32 lgdt [gdt_pointer_low - trampoline]
%ifdef BSWAP                    ; only the third one executes this
        mov eax, 1
        cpuid
        shr ebx, 24
        cmp bl, 2
        jne .not_third
        bswap eax
        setc [carry - trampoline]
.not_third:
%endif
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp dword 8:started
        align 4
gdt_pointer_low:
        dw 23
        dd gdt
%ifdef BSWAP
carry:  db 0
%endif
trampoline_end:
        bits 32

        align 8
gdt:    dq 0, 00cf9b000000ffffh, 00cf93000000ffffh
gdt_pointer:
        dw 23
        dd gdt
idt_pointer:
        dw 2047
        dd idt
        align 4
handlers:
        dd on_count, on_ask, on_answer, on_read, on_changed, on_taken, on_patched, on_run, on_tick
%ifdef IDLE
        dd on_character
%elifdef BUSY
        dd on_busy
%endif
handlers_end:
%macro variables 1-*
%rep %0
        align 64
%1:     dd 0
%rotate 1
%endrep
%endmacro
variables others, next_stack, alive, ids, cpuid_ids, boot_bits, counter, plain, lock_word, done, paging, answers, sum, taken, nmis
variables running, ticks, strays
%ifdef BUSY
variables shared, stop, busy_ones
%elifdef MOVE
variables moved
%endif
        align 8
idt:    times 2048 db 0
data_end:
