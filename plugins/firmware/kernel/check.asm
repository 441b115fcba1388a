; The least that is a Multiboot kernel: for the plugin's conformance check.
FLAGS equ 10003h
        bits 32
        org 200000h
header: dd 1badb002h, FLAGS, -(1badb002h + FLAGS)
        dd header, header, 0, 0, entry
entry:  jmp $
