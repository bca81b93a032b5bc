; Bytes: what the compiler and runtime/memory.h call.
;
; Eight bytes at a time by string instructions: an emulator counts and pays every repetition, and on
; a CPU they are as fast as anything without vector registers, which the kernel does not use.  Small
; sizes go without, since starting a string instruction is dear.  Position independent; boot/ calls
; them before the relocation.

default rel
bits 64

global memcpy
global memmove
global memset
global memcmp

section .text

; void *memcpy(void *to, const void *from, size_t bytes)
align 16
memcpy:
    mov rax, rdi
    cmp rdx, 16
    jb small_copy
    cmp rdx, 64
    ja .large
    ; 16 to 64 bytes: words from both ends, which may overlap in the middle.
.pair:
    mov rcx, [rsi + rdx - 8]
    mov r8, [rsi + rdx - 16]
    mov r9, [rsi]
    mov r10, [rsi + 8]
    cmp rdx, 32
    ja .middle
    mov [rdi], r9
    mov [rdi + 8], r10
    mov [rdi + rdx - 16], r8
    mov [rdi + rdx - 8], rcx
    ret
.middle:
    mov r11, [rsi + 16]
    mov [rdi], r9
    mov [rdi + 8], r10
    mov r9, [rsi + 24]
    mov r10, [rsi + rdx - 24]
    mov rsi, [rsi + rdx - 32]
    mov [rdi + 16], r11
    mov [rdi + 24], r9
    mov [rdi + rdx - 32], rsi
    mov [rdi + rdx - 24], r10
    mov [rdi + rdx - 16], r8
    mov [rdi + rdx - 8], rcx
    ret
.large:
    mov r8, [rsi + rdx - 8]     ; the tail, before it may be overwritten
    lea r9, [rdi + rdx - 8]
    lea rcx, [rdx - 1]
    shr rcx, 3
    rep movsq
    mov [r9], r8
    ret

; Fewer than 16 bytes: all are read before any is written, so overlap does not matter.
small_copy:
    cmp edx, 8
    jae .eight
    cmp edx, 4
    jae .four
    test edx, edx
    jz .done
    movzx ecx, byte [rsi]
    movzx r8d, byte [rsi + rdx - 1]
    shr edx, 1
    movzx r9d, byte [rsi + rdx]
    mov [rdi + rdx], r9b
    mov [rdi], cl
    adc edx, edx                ; shr left the lowest bit in the carry
    mov [rdi + rdx - 1], r8b
.done:
    ret
.eight:
    mov rcx, [rsi]
    mov r8, [rsi + rdx - 8]
    mov [rdi], rcx
    mov [rdi + rdx - 8], r8
    ret
.four:
    mov ecx, [rsi]
    mov r8d, [rsi + rdx - 4]
    mov [rdi], ecx
    mov [rdi + rdx - 4], r8d
    ret

; void *memmove(void *to, const void *from, size_t bytes)
align 16
memmove:
    mov rax, rdi
    cmp rdx, 16
    jb small_copy
    mov rcx, rdi
    sub rcx, rsi
    cmp rcx, rdx
    jae forward                 ; `to` is not inside of what is read
    ; Backwards, by words and then the first bytes.
    mov r8, [rsi]
    mov r9, rdi
    lea rsi, [rsi + rdx - 8]
    lea rdi, [rdi + rdx - 8]
    lea rcx, [rdx - 1]
    shr rcx, 3
    std
    rep movsq
    cld
    mov [r9], r8
    ret
forward:
    mov r8, [rsi + rdx - 8]
    lea r9, [rdi + rdx - 8]
    lea rcx, [rdx - 1]
    shr rcx, 3
    rep movsq
    mov [r9], r8
    ret

; void *memset(void *to, int byte, size_t bytes)
align 16
memset:
    mov r8, rdi
    movzx eax, sil
    mov r9, 0x0101010101010101
    imul rax, r9
    cmp rdx, 16
    jb .small
    mov [rdi + rdx - 8], rax
    lea rcx, [rdx - 1]
    shr rcx, 3
    rep stosq
    mov rax, r8
    ret
.small:
    cmp edx, 8
    jae .eight
    cmp edx, 4
    jae .four
    test edx, edx
    jz .done
    mov [rdi], al
    mov [rdi + rdx - 1], al
    shr edx, 1
    mov [rdi + rdx], al
.done:
    mov rax, r8
    ret
.eight:
    mov [rdi], rax
    mov [rdi + rdx - 8], rax
    mov rax, r8
    ret
.four:
    mov [rdi], eax
    mov [rdi + rdx - 4], eax
    mov rax, r8
    ret

; int memcmp(const void *a, const void *b, size_t bytes)
align 16
memcmp:
    cmp rdx, 8
    jb .bytes
.words:
    mov rax, [rdi]
    mov rcx, [rsi]
    cmp rax, rcx
    jne .differ
    add rdi, 8
    add rsi, 8
    sub rdx, 8
    cmp rdx, 8
    jae .words
.bytes:
    test rdx, rdx
    jz .equal
.next:
    movzx eax, byte [rdi]
    movzx ecx, byte [rsi]
    sub eax, ecx
    jne .done
    inc rdi
    inc rsi
    dec rdx
    jnz .next
.equal:
    xor eax, eax
.done:
    ret
.differ:
    bswap rax                   ; the lowest address decides
    bswap rcx
    cmp rax, rcx
    sbb eax, eax
    or eax, 1
    ret
