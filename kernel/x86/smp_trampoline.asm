; How a further CPU gets from real mode to C.
;
; The part between smp_trampoline and smp_trampoline_end is copied to a page below 1 MiB, where the
; CPU starts at its first byte in real mode (Intel SDM 3A, 9.4); kernel/x86/smp.c fills in the
; parameters and maps that page one to one, not writable, until every CPU has left it.  The CPU goes
; from real mode to long mode in one step, with the kernel's page tables, and on to
; smp_entry in the kernel's image.  Several do so at once: they share nothing but the ticket, which
; gives each a slot with a stack of its own.

%define EFER          0xc0000080
%define CR4_PAE       1 << 5
%define CR0_START     0x80000011 ; paging, extension type, protected mode; caches on
%define CODE_SELECTOR 8

default rel

extern smp_slots_offered        ; u32: slots that have a stack
extern smp_slot_stacks          ; u64 for each
extern smp_arrive

global smp_entry
global smp_trampoline
global smp_trampoline_parameters
global smp_trampoline_end
global smp_slots_taken

section .rodata

align 16
bits 16
smp_trampoline:
    cli
    cld
    mov ax, cs
    mov ds, ax
    o32 lgdt [gdt_pointer - smp_trampoline]
    mov eax, CR4_PAE
    mov cr4, eax
    mov eax, [root - smp_trampoline]
    mov cr3, eax
    mov ecx, EFER
    mov eax, [efer - smp_trampoline]
    xor edx, edx
    wrmsr
    mov eax, CR0_START
    mov cr0, eax
    jmp far dword [far_target - smp_trampoline]

bits 64
long_mode:
    mov rax, [entry]            ; relative: right in the copy too
    jmp rax

align 8
gdt:
    dq 0
    dq 0x00af9b000000ffff       ; 64-bit code
gdt_end:

; struct trampoline_parameters of kernel/x86/smp.c
align 8
smp_trampoline_parameters:
entry:      dq 0                ; smp_entry
root:       dd 0                ; CR3
efer:       dd 0
far_target: dd long_mode - smp_trampoline  ; made a linear address
            dw CODE_SELECTOR
gdt_pointer:
            dw gdt_end - gdt - 1
            dd gdt - smp_trampoline        ; made a linear address
smp_trampoline_end:

section .text

smp_entry:
    mov eax, 1
    lock xadd [smp_slots_taken], eax
    cmp eax, [smp_slots_offered]
    jae .none
    lea rcx, [smp_slot_stacks]
    mov rsp, [rcx + rax * 8]
    mov edi, eax
    xor ebp, ebp                ; ends a backtrace
    call smp_arrive             ; does not come back
.none:                          ; more processors than were told of
    cli
    hlt
    jmp .none

section .bss
smp_slots_taken: resd 1
