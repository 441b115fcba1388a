; Boot image of a disc (El Torito, no emulation): reads the disc through the firmware, then drives the CD-ROM drive, secondary
; master, by itself: packets by PIO, the tray, and a medium that somebody changes meanwhile. Talks to the debug port.
;
; Output, a line each: "volume NAME" as often as a disc is read, "tray KEY/CODE" whenever what TEST UNIT READY says has changed.

cpu 386
bits 16
%include "../nt/say.inc"
org 0x7c00

%define IDE 0x170
%define VOLUME 16                ; sector of the primary volume descriptor
%define BUFFER 0xa000

start:
    jmp 0:begin
begin:
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    sti
    mov [DRIVE], dl
    print 13, 10, "disc booted", 13, 10

    mov si, address
    mov ah, 0x42
    mov dl, [DRIVE]
    int 0x13
    jc .unreadable
    print "firmware: "
    call volume
    jmp .packets
.unreadable:
    print "firmware: unreadable", 13, 10

.packets:
    cli
    mov si, read
    call packet
    print "packet: "
    call volume

    mov si, eject
    call packet
    print "ejected", 13, 10
    mov word [last], 0xffff
.poll:
    mov si, ready
    call packet
    test al, 1
    jz .state
    mov si, sense
    call packet
    mov al, [BUFFER + 2]
    mov ah, [BUFFER + 12]
    jmp .compare
.state:
    xor ax, ax
.compare:
    cmp ax, [last]
    je .same
    mov [last], ax
    print "tray "
    mov ax, [last]
    call hex8
    mov al, '/'
    call put
    mov al, [last + 1]
    call hex8
    print 13, 10
.same:
    cmp word [last], 0
    jne .poll

    mov si, read
    call packet
    print "packet: "
    call volume
    print "end", 13, 10
    jmp finish

; Prints the name in the volume descriptor at BUFFER.
volume:
    cmp dword [BUFFER + 1], "CD00"
    jne .none
    print "volume "
    mov si, BUFFER + 40
    mov cx, 12
.next:
    lodsb
    call put
    loop .next
    print 13, 10
    ret
.none:
    print "no volume", 13, 10
    ret

hex8:
    push ax
    shr al, 4
    call .digit
    pop ax
    and al, 15
.digit:
    add al, '0'
    cmp al, '9'
    jbe put
    add al, 'a' - '0' - 10
    jmp put

; Sends the packet at SI; what comes back goes to BUFFER. AL = status at the end.
packet:
    call until_ready
    mov dx, IDE + 6
    mov al, 0xa0
    out dx, al
    mov dx, IDE + 1
    xor al, al
    out dx, al
    mov dx, IDE + 4              ; blocks of at most 2048 bytes
    out dx, al
    inc dx
    mov al, 8
    out dx, al
    mov dx, IDE + 7
    mov al, 0xa0
    out dx, al
    call until_ready
    mov dx, IDE
    mov cx, 6
    rep outsw
    mov di, BUFFER
.block:
    call until_ready
    test al, 8
    jz .end
    mov dx, IDE + 4
    in al, dx
    mov cl, al
    inc dx
    in al, dx
    mov ch, al
    shr cx, 1
    mov dx, IDE
    rep insw
    jmp .block
.end:
    ret

; Until the drive is not busy; AL = status.
until_ready:
    mov dx, 0x376
    in al, dx
    in al, dx
    mov dx, IDE + 7
    in al, dx
    test al, 0x80
    jnz until_ready
    ret

address:
    db 16, 0
    dw 1
    dw BUFFER, 0
    dd VOLUME, 0
read:
    db 0x28, 0, 0, 0, 0, VOLUME, 0, 0, 1, 0, 0, 0
eject:
    db 0x1b, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0
ready:
    times 12 db 0
sense:
    db 0x03, 0, 0, 0, 18, 0, 0, 0, 0, 0, 0, 0
last:
    dw 0

routines

    times 2048 - ($ - $$) db 0
