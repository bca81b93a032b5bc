; The instructions that touch user memory.  Each may fault; .fixups says where to go on then, and
; exceptions.c asks user_hooks.copy_fault first whether the page can be had now.
;
; Rules.  The caller (kernel/user_copy.c) has checked the range and lifted SMAP.  Eight bytes at a
; time by rep movsq: an emulator counts and pays every repetition, so bytes are for the tail only,
; and for finding the exact byte at which memory ends.
;
; The _unrolled forms are for QEMU's emulation alone, and for a kilobyte or more.  It goes through
; rep movsq one repetition after the other, with a jump for each; movsq written out counts once for
; each word too, and takes three quarters of the time.  A real CPU does rep movsq by lines of its cache.
;
; The _paired form is for more than a few pages: moves through a register take nine tenths of the
; time of movsq, since less of the CPU's state changes between two accesses, but count twice; so
; where the count is most of what a call costs movsq is used.  (SSE and AVX moves are two and four
; accesses to the emulator, and slower than rep.)

bits 64
default rel

global user_copy_bytes
global user_copy_bytes_unrolled
global user_copy_bytes_paired
global user_zero_bytes
global user_zero_bytes_unrolled
global user_copy_text
global user_load_word
global user_swap_word
global user_change_word

%define CHANGES_MOST 1024 ; tries of user_change_word

%define UNROLLED_ORDER 10 ; a round of the unrolled forms is 1 << UNROLLED_ORDER bytes

%define PAIRED_ORDER 9    ; and of the paired one

%macro fixup_range 3 ; the first instruction, the last one, where to go on
[section .fixups progbits alloc noexec nowrite align=4]
    dd %1 - $
    dd %2 - $
    dd %3 - $
__?SECT?__
%endmacro

%macro fixup 2 ; the instruction, where to go on
    fixup_range %1, %1, %2
%endmacro

; Each loop is in one page: QEMU links what it has translated only within one.
section .text align=1024

; user_copy_bytes, for at least one round.  After a fault its round is done again, by bytes.
user_copy_bytes_paired:
    lea r8, [rsi + rdx]         ; the end
    shr rdx, PAIRED_ORDER
.round:
%assign offset 0
%rep (1 << PAIRED_ORDER) / 8
    mov rax, [rsi + offset]
    mov [rdi + offset], rax
%assign offset offset + 8
%endrep
.last:
    add rsi, 1 << PAIRED_ORDER
    add rdi, 1 << PAIRED_ORDER
    dec rdx
    jnz .round
    mov rdx, r8
    sub rdx, rsi
    jnz user_copy_bytes
    xor eax, eax
    ret
.fault:
    mov rcx, r8
    sub rcx, rsi
    jmp user_copy_bytes.bytes
    fixup_range .round, .last, .fault

align 1024

; user_copy_bytes, for at least one round
user_copy_bytes_unrolled:
    lea r8, [rsi + rdx]         ; the end
    shr rdx, UNROLLED_ORDER
.round:
%rep (1 << UNROLLED_ORDER) / 8 - 1
    movsq
%endrep
.last:
    movsq
    dec rdx
    jnz .round
    mov rdx, r8
    sub rdx, rsi
    jnz user_copy_bytes
    xor eax, eax
    ret
.fault:
    mov rcx, r8
    sub rcx, rsi
    jmp user_copy_bytes.bytes
    fixup_range .round, .last, .fault

; user_zero_bytes, for at least one round
user_zero_bytes_unrolled:
    lea r8, [rdi + rsi]         ; the end
    shr rsi, UNROLLED_ORDER
    xor eax, eax
.round:
%rep (1 << UNROLLED_ORDER) / 8 - 1
    stosq
%endrep
.last:
    stosq
    dec rsi
    jnz .round
    mov rsi, r8
    sub rsi, rdi
    jnz user_zero_bytes
    ret
.fault:
    mov rcx, r8
    sub rcx, rdi
    jmp user_zero_bytes.bytes
    fixup_range .round, .last, .fault

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
;
; Words that lie in one page: a byte beyond the terminator may be read, but not a page beyond it,
; so a fault says that the text goes on there.  The bytes around a page's end go one by one.
user_copy_text:
    mov r11, rsi
    sub rdi, rsi                ; rdi + rsi is where the byte at rsi goes
    add rdx, rsi                ; the terminator is before this
    mov r9, 0x0101010101010101
    mov r10, 0x8080808080808080
.piece:
    lea r8, [rsi + 4096]
    and r8, -4096
    cmp r8, rdx
    cmova r8, rdx
    sub r8, 7                   ; a word that begins before this is in the page
    cmp rsi, r8
    jae .across
.word:
    mov rax, [rsi]
    mov [rdi + rsi], rax
    mov rcx, rax
    sub rcx, r9
    not rax
    and rax, rcx
    and rax, r10                ; the lowest bit that is set belongs to the first zero byte
    jnz .ended
    add rsi, 8
    cmp rsi, r8
    jb .word
.across:
    lea r8, [rsi + 8]
    cmp r8, rdx
    cmova r8, rdx
    cmp rsi, r8
    jae .too_long
.byte:
    mov al, [rsi]
    mov [rdi + rsi], al
    test al, al
    jz .ended_here
    inc rsi
    cmp rsi, r8
    jb .byte
    cmp rsi, rdx
    jb .piece
.too_long:
    mov rax, -2
    ret
.ended:
    bsf rax, rax
    shr eax, 3
    add rsi, rax
.ended_here:
    mov rax, rsi
    sub rax, r11
    ret
.fault:
    mov rax, -1
    ret
    fixup .word, .fault
    fixup .byte, .fault

; s64 user_load_word(const u32 *from, u32 *value): 0, or -1 when it cannot be read.  In one piece,
; for another CPU may be writing it.
user_load_word:
.load:
    mov eax, [rdi]
    mov [rsi], eax
    xor eax, eax
    ret
.fault:
    mov rax, -1
    ret
    fixup .load, .fault

; s64 user_swap_word(u32 *at, u32 *expected, u32 value): 0 when *at was *expected and is `value`
; now; 1 when it was not, and *expected is what was found; -1 when it cannot be written
user_swap_word:
    mov eax, [rsi]
.swap:
    lock cmpxchg [rdi], edx
    jne .other
    xor eax, eax
    ret
.other:
    mov [rsi], eax
    mov eax, 1
    ret
.fault:
    mov rax, -1
    ret
    fixup .swap, .fault

; s64 user_change_word(u32 *at, const u32 change[3], u32 *old): *at becomes
; ((*at & change[0]) ^ change[1]) + change[2].  0, and *old is what it was; 1: other CPUs changed it
; at every try; -1: it cannot be written.  As few instructions between two tries as can be: a program
; that changes the word in a loop leaves no more room.
user_change_word:
    mov r8d, [rsi]
    mov r9d, [rsi + 4]
    mov r10d, [rsi + 8]
    mov ecx, CHANGES_MOST
.load:
    mov eax, [rdi]
.again:
    mov r11d, eax
    and r11d, r8d
    xor r11d, r9d
    add r11d, r10d
.swap:
    lock cmpxchg [rdi], r11d
    je .changed
    dec ecx
    jnz .again
    mov eax, 1
    ret
.changed:
    mov [rdx], eax
    xor eax, eax
    ret
.fault:
    mov rax, -1
    ret
    fixup .load, .fault
    fixup .swap, .fault
