; What the tests need in assembly.  See test/kernel/kernel_test_code.h.

bits 64
default rel

global invalid_opcode_caught
global user_program_calls, user_program_calls_end
global user_program_faults, user_program_faults_end
global user_program_fpu, user_program_fpu_end
global user_program_jumps, user_program_jumps_end
global user_program_spins, user_program_spins_end

section .text

invalid_opcode_caught:
    xor eax, eax
.invalid:
    ud2
    ret
.landing:
    mov eax, 1
    ret

section .fixups progbits alloc noexec nowrite align=4
    dd invalid_opcode_caught.invalid - $
    dd invalid_opcode_caught.invalid - $
    dd invalid_opcode_caught.landing - $

section .rodata

; Call 39 a thousand times between two readings of the time-stamp counter, then call 60 with the
; difference; with -icount that is the number of instructions.  Registers must survive each call.
user_program_calls:
    mov rbx, 0x1111
    mov rbp, 0x2222
    mov r12, 0x3333
    mov r15, 0x4444
    mov rdi, 0x5555
    mov r10, 0x6666
    rdtsc
    shl rdx, 32
    or rax, rdx
    mov r14, rax
    mov r13d, 1000
.again:
    mov eax, 39
    syscall
    dec r13d
    jnz .again
    cmp rax, 42
    jne .wrong
    cmp rbx, 0x1111
    jne .wrong
    cmp rbp, 0x2222
    jne .wrong
    cmp r12, 0x3333
    jne .wrong
    cmp r15, 0x4444
    jne .wrong
    cmp rdi, 0x5555
    jne .wrong
    cmp r10, 0x6666
    jne .wrong
    rdtsc
    shl rdx, 32
    or rax, rdx
    sub rax, r14
    mov rdi, rax
    mov eax, 60
    syscall
.wrong:
    xor edi, edi
    mov eax, 60
    syscall
user_program_calls_end:

; Reads at the address in rdi; call 60 with what it found there.
user_program_faults:
    mov rsi, 0x7777
    mov r11, 0x8888
    mov rdi, [rdi]
    cmp rsi, 0x7777
    jne .wrong
    cmp r11, 0x8888
    jne .wrong
    mov eax, 60
    syscall
.wrong:
    ud2
user_program_faults_end:

; Puts rdi into xmm0 and FS:0 into r12, yields (call 24) until rsi is 0, and calls 60 with xmm0.
user_program_fpu:
    movq xmm0, rdi
.again:
    mov eax, 24
    syscall
    dec rsi
    jnz .again
    movq rdi, xmm0
    add rdi, [fs:0]
    mov eax, 60
    syscall
user_program_fpu_end:

; Lets call 15 change where it returns to.
user_program_jumps:
    mov eax, 15
    syscall
    ud2
user_program_jumps_end:

; Until somebody takes the CPU away and writes to [rdi].
user_program_spins:
    pause
    cmp qword [rdi], 0
    je user_program_spins
    mov rdi, [rdi]
    mov eax, 60
    syscall
user_program_spins_end:
