; The instructions that touch user memory.  Each may fault; .fixups says where to go on then, and
; exceptions.c asks user_hooks.copy_fault first whether the page can be had now.
;
; Rules.  The caller (kernel/user_copy.c) has checked the range and lifted SMAP.  Eight bytes at a
; time by rep movsq: an emulator counts and pays every repetition, so bytes are for the tail only,
; and for finding the exact byte at which memory ends.

bits 64
default rel

global user_copy_bytes
global user_zero_bytes
global user_copy_text

%macro fixup 2 ; the instruction, where to go on
[section .fixups progbits alloc noexec nowrite align=4]
    dd %1 - $
    dd %2 - $
__?SECT?__
%endmacro

section .text

; u64 user_copy_bytes(void *to, const void *from, u64 bytes): how many were not copied
user_copy_bytes:
    mov rcx, rdx
    shr rcx, 3
    and edx, 7
.words:
    rep movsq
    mov ecx, edx
.bytes:
    rep movsb
    mov rax, rcx
    ret
.words_fault: ; again by bytes, up to the first that cannot be had
    lea rcx, [rdx + rcx * 8]
    jmp .bytes
.bytes_fault:
    mov rax, rcx
    ret
    fixup .words, .words_fault
    fixup .bytes, .bytes_fault

; u64 user_zero_bytes(void *to, u64 bytes): how many were not cleared
user_zero_bytes:
    mov rcx, rsi
    mov rdx, rsi
    shr rcx, 3
    and edx, 7
    xor eax, eax
.words:
    rep stosq
    mov ecx, edx
.bytes:
    rep stosb
    mov rax, rcx
    ret
.words_fault:
    lea rcx, [rdx + rcx * 8]
    jmp .bytes
.bytes_fault:
    mov rax, rcx
    ret
    fixup .words, .words_fault
    fixup .bytes, .bytes_fault

; s64 user_copy_text(char *to, const char *from, u64 most): the length without the terminator;
; -1: memory ended first; -2: there is no terminator in `most` bytes
user_copy_text:
    xor eax, eax
.next:
    cmp rax, rdx
    jae .too_long
.load:
    mov cl, [rsi + rax]
    mov [rdi + rax], cl
    inc rax
    test cl, cl
    jnz .next
    dec rax
    ret
.too_long:
    mov rax, -2
    ret
.fault:
    mov rax, -1
    ret
    fixup .load, .fault
