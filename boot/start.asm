; From the loader to C in 64-bit mode.
;
; Two loaders come here, both in 32-bit protected mode with paging off and the image at its physical
; address (boot/kernel.ld): PVH (the note XEN_ELFNOTE_PHYS32_ENTRY names pvh_entry; ebx points to
; hvm_start_info) and multiboot2 (e_entry; eax holds its magic number, ebx points to the tags).
;
; The code runs where it was loaded, far below where it was linked, so it reaches what is outside
; by distances.  It maps the first 4 GiB one to one, enters long mode and calls boot_main (boot/boot.c),
; which relocates the kernel and builds its real page tables; then it leaves for the high half.

default rel

extern boot_main
extern boot_stack_top
extern boot_tables          ; six pages: PML4, PDPT, four page directories
extern bss_start
extern bss_end

%define LOAD          0x100000 ; boot/kernel.ld places the section .boot there
%define PAGE          4096
%define PTE_TABLE     3        ; present, writable
%define PTE_LARGE     0x83     ; present, writable, 2 MiB
%define CODE_SELECTOR 8
%define DATA_SELECTOR 16
%define EFER          0xc0000080
%define MULTIBOOT2    0xe85250d6
%define SERIAL        0x3f8

; The physical address of a label of this section.
%define PHYSICAL(label) (LOAD + (label) - header)

; Register %1 gets the physical address of symbol %2 of another section.
%macro address 2
    mov %1, [PHYSICAL(%%distance)]
    add %1, PHYSICAL(%%distance)
    jmp short %%over
%%distance: dd %2 - $
%%over:
%endmacro

global multiboot_entry
global pvh_entry

section .boot progbits alloc exec nowrite align=16

; multiboot2 1.6, 3.1: in the first 32 KiB of the file, 8-byte aligned.
header:
    dd MULTIBOOT2, 0, header_end - header, -(MULTIBOOT2 + (header_end - header))
    dw 0, 0
    dd 8                    ; the end tag
header_end:

bits 32
pvh_entry:
    xor eax, eax            ; no magic number: PVH
multiboot_entry:
    cli
    cld
    address esp, boot_stack_top
    push eax
    rdtsc
    pop esi
    push edx
    push eax
    push ebx
    push esi

    address edi, bss_start
    address ecx, bss_end
    sub ecx, edi
    shr ecx, 2
    xor eax, eax
    rep stosd

    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jb no_long_mode
    mov eax, 0x80000001
    cpuid
    bt edx, 29
    jnc no_long_mode

    ; Six pages: PML4[0] -> PDPT[0..3] -> 2048 entries of 2 MiB.
    address edi, boot_tables
    mov ebx, edi
    xor eax, eax
    mov ecx, 2 * PAGE / 4
    rep stosd
    lea eax, [ebx + PAGE + PTE_TABLE]
    mov [ebx], eax
    lea eax, [ebx + 2 * PAGE + PTE_TABLE]
    lea edx, [ebx + PAGE]
    mov ecx, 4
.directory:
    mov [edx], eax
    add eax, PAGE
    add edx, 8
    dec ecx
    jnz .directory
    mov eax, PTE_LARGE
    xor edx, edx
    mov ecx, 4 * 512
.page:
    mov [edi], eax
    mov [edi + 4], edx
    add edi, 8
    add eax, 1 << 21
    dec ecx
    jnz .page

    mov cr3, ebx
    mov eax, cr4
    or eax, 1 << 5          ; PAE
    mov cr4, eax
    mov ecx, EFER
    rdmsr
    or eax, 1 << 8          ; long mode
    wrmsr
    mov eax, cr0
    or eax, 1 << 31 | 1     ; paging
    mov cr0, eax

    mov dword [PHYSICAL(gdt_pointer) + 2], PHYSICAL(gdt)
    lgdt [PHYSICAL(gdt_pointer)]
    jmp dword CODE_SELECTOR:PHYSICAL(long_mode)

; One line on the serial port, and a triple fault: the machine ends or starts again, as its owner
; asked, and does not hang.
no_long_mode:
    mov esi, PHYSICAL(no_long_mode_text)
    mov dx, SERIAL
.next:
    lodsb
    test al, al
    jz .end
    out dx, al
    jmp .next
.end:
    lidt [PHYSICAL(idt_none)]
    int3

no_long_mode_text: db "thunk: this CPU has no 64-bit mode", 10, 0

bits 64
long_mode:
    mov eax, DATA_SELECTOR
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax

    mov edi, [rsp]          ; the magic number
    mov esi, [rsp + 4]      ; the loader's structure
    mov rdx, [rsp + 8]      ; the time-stamp counter at the entry
    sub rsp, 48             ; struct boot_handoff, and 16-byte alignment
    and rsp, -16
    mov rcx, rsp
    call boot_main

    ; The image is mapped high too by now: go there, then drop the low half.
    lea rax, [high]
    add rax, [rsp + 8]
    mov rcx, [rsp]
    mov rdx, [rsp + 16]
    mov rbx, [rsp + 24]
    mov rdi, [rsp + 32]
    jmp rax
high:
    mov cr3, rcx
    mov rsp, rdx
    xor ebp, ebp            ; where backtraces end
    push rbp
    jmp rbx                 ; kernel_start(boot_info)

align 8
gdt:
    dq 0
    dq 0x00af9b000000ffff   ; 64-bit code
    dq 0x00cf93000000ffff   ; data
gdt_end:

align 4
idt_none: dw 0
    dd 0

; Written by the code above, before any page is protected.
gdt_pointer:
    dw gdt_end - gdt - 1
    dd 0
